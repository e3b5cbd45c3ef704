"""Trainers: `update` is one iteration of an algorithm, and `fit` the training loop that all trainers share.

Every module of this folder is imported; the names in its __all__ are available as trainers.NAME.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors, which do not run the loop below
    from minigan.trainers.base import *
    from minigan.trainers.combogan import *
    from minigan.trainers.cyclegan import *
    from minigan.trainers.gan import *
    from minigan.trainers.labelled import *
    from minigan.trainers.pix2pix import *
    from minigan.trainers.pool import *
    from minigan.trainers.recipes import *
    from minigan.trainers.wgan import *
else:
    __all__ = []
    for _path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        _module = importlib.import_module(f"{__name__}.{_path.stem}")
        __all__ += getattr(_module, "__all__", [])
        globals().update({name: getattr(_module, name) for name in getattr(_module, "__all__", [])})
