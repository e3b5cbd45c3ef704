"""minigan: a small reverse-mode autodiff engine with hand-written kernels, and GAN trainers on top.

>>> import minigan as mg
>>> x = mg.tensor([3.0], requires_grad=True)
>>> mg.grad((x**2).sum(), [x])
[Tensor([6.], dtype=float32)]
"""

from typing import TYPE_CHECKING

from minigan import data, errors, losses, models, nn, ops, optim, trainers
from minigan.engine import (
    OPERATIONS,
    PRIMITIVES,
    Tensor,
    capture,
    detect_anomaly,
    device,
    distributed,
    grad,
    no_grad,
    tensor,
)
from minigan.engine.device import device_info, set_device
from minigan.kernels import get_threads, set_threads
from minigan.random import seed
from minigan.teach.explain import explain

__version__ = "0.1.0"

errors.import_late(__name__, "checkpoint", "gradcheck", "report", "run", export="minigan.run.export",
                   interop="minigan.run", load_generator="minigan.run.saved")
if TYPE_CHECKING:  # what of these names type checkers and editors see
    from minigan import checkpoint as checkpoint, gradcheck as gradcheck, report as report, run as run  # isort: skip
    from minigan.run import interop as interop
    from minigan.run.export import export as export
    from minigan.run.saved import load_generator as load_generator

__all__ = ["OPERATIONS", "PRIMITIVES", "Tensor", "capture", "data", "detect_anomaly", "device", "device_info",
           "distributed", "errors", "explain", "get_threads", "grad", "losses", "models", "nn", "no_grad", "ops",
           "optim", "seed", "set_device", "set_threads", "tensor", "trainers"]
