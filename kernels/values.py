"""What goes through the door: the names for arguments and results that all wings share."""

from __future__ import annotations

import functools
import threading
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from minigan.errors import require

Array: TypeAlias = np.ndarray[Any, Any]  # in signatures; at the door, an array of the device whose wing computes
DeviceArray: TypeAlias = Any  # CuPy's or the emulated device's
Pair: TypeAlias = tuple[int, int]  # (h, w)
Shape: TypeAlias = int | tuple[int, ...]
Widths: TypeAlias = tuple[Pair, ...]  # (before, after) for each axis
FLOAT32 = np.dtype(np.float32)  # compared to an array's dtype, a third of the time that np.float32 takes

__all__ = ["FLOAT32", "Array", "Counter", "DTypeLike", "DeviceArray", "Moments", "Pair", "Rate", "Running", "Shape",
           "Widths", "bfloat16", "is_bfloat16", "real_of"]


@functools.cache
def bfloat16() -> np.dtype[Any]:
    """The data type of images in precision "bf16": the upper half of a float32.

    Raises:
        ModuleNotFoundError: ml_dtypes, from which NumPy and CuPy have the type, is not installed.
    """
    return np.dtype(require("ml_dtypes", "precision bf16").bfloat16)


def is_bfloat16(array: Any) -> bool:
    """Whether the numbers of an array (or tensor) are stored as bfloat16."""
    dtype = array.dtype
    return dtype.itemsize == 2 and dtype.name == "bfloat16"


def real_of(array: Any) -> np.dtype[Any]:
    """The type in which kernels compute with an array, and of its sums: its own, or float32 for bfloat16."""
    dtype: np.dtype[Any] = FLOAT32 if is_bfloat16(array) else array.dtype
    return dtype


class Moments(NamedTuple):
    """Statistics of images, shaped to broadcast with them: the biased variance, and rstd = 1 / sqrt(var + eps)."""

    mean: Any
    var: Any
    rstd: Any


class Running(NamedTuple):
    """Running statistics (C,), and how far they move towards those of each group of images, in place."""

    mean: Any
    var: Any
    momentum: float


class Counter(NamedTuple):
    """An integer that lives in an array: `offset` plus the one element of `base`, int64 (None: plus nothing).

    A captured graph repeats its launches with the same arguments, so a number that changes from step to step must be
    read from memory when the graph runs.
    """

    base: Any
    offset: int


class Rate(NamedTuple):
    """A real number that lives in an array: the one element of `array`, float64."""

    array: Any


class _Made(threading.local):
    """What was made of weights, by their address first, with the weights; None while they may change."""

    of: dict[Any, Any] | None = None


class _Handed(threading.local):
    """What a product hands on to the kernel that comes next: moments of its result, or sums of an operand."""

    wanted = False  # whether the next product shall leave moments
    left: Any = None
    sums_wanted = False  # whether the next gradient of filters shall leave sums
    sums: Any = None
    launches = 0  # of CUDA kernels so far: one after the product may have changed the arrays


class _Branch(threading.local):
    """Where launches go while a graph is captured; see cuda/branches.py."""

    graph: Any = None  # which has branches
    joins = False  # whether a backward pass runs, at whose end branches join
    on = False  # whether launches go beside


branch = _Branch()
handed = _Handed()  # see wings.moments_wanted, wings.sums_wanted
made = _Made()  # see wings.constant_weights
