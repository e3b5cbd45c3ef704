"""minigan: a small reverse-mode autodiff engine with hand-written kernels, and GAN trainers on top.

>>> import minigan as mg
>>> x = mg.tensor([3.0], requires_grad=True)
>>> mg.grad((x**2).sum(), [x])
[Tensor([6.], dtype=float32)]
"""

import importlib
from typing import TYPE_CHECKING, Any

from minigan import data, errors, losses, models, nn, ops, optim, trainers
from minigan.engine import OPERATIONS, PRIMITIVES, Tensor, capture, detect_anomaly, device, grad, no_grad, tensor
from minigan.engine.device import device_info, set_device
from minigan.kernels import get_threads, set_threads
from minigan.random import seed
from minigan.teach.explain import explain

__version__ = "0.1.0"


if TYPE_CHECKING:  # what type checkers and editors see; a program imports these rooms when it first uses them
    from minigan import checkpoint as checkpoint
    from minigan import gradcheck as gradcheck
    from minigan import report as report
    from minigan import run as run
    from minigan.run.saved import load_generator as load_generator
else:

    def __getattr__(name: str) -> Any:
        if name in ("checkpoint", "gradcheck", "report", "run"):
            return importlib.import_module(f"minigan.{name}")
        if name == "load_generator":
            return importlib.import_module("minigan.run.saved").load_generator
        raise AttributeError(f"module 'minigan' has no attribute {name!r}")


__all__ = ["OPERATIONS", "PRIMITIVES", "Tensor", "capture", "data", "detect_anomaly", "device", "device_info", "errors",
           "explain", "get_threads", "grad", "losses", "models", "nn", "no_grad", "ops", "optim", "seed", "set_device",
           "set_threads", "tensor", "trainers"]
