"""Launches pad.cu: borders, their adjoint, and the adjoints of indexing; the twin of cpu/pad.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.errors import ShapeError

from ..values import DeviceArray, Widths
from . import memory
from .backend import backend_of
from .grid import THREADS, flat, lines, vector
from .loader import kernel

__all__ = ["fold", "pad", "place", "scatter_add"]

MODES = ("constant", "reflect", "edge")
AXES = 5


def pad(x: DeviceArray, widths: Widths, mode: str = "constant", value: float = 0.0) -> DeviceArray:
    """`x` with a border of `widths` (before, after) per axis: of one value, mirrored, or of the edge repeated."""
    x = memory.dense(x)
    sizes, before, after, run = _axes(x, x.shape, widths)
    y, out = _output(x, [n + b + a for n, (b, a) in zip(x.shape, widths, strict=True)])
    padded = [n + b + a for n, b, a in zip(sizes, before, after, strict=True)]
    _launch("pad", (x,), padded, run, (x, y, value, MODES.index(mode), *sizes, *before, *padded[1:], run))
    return out


def fold(g: DeviceArray, widths: Widths, mode: str = "constant", addend: DeviceArray | None = None) -> DeviceArray:
    """The adjoint of pad: g without its border, which is added to the elements it was copied from; plus an addend."""
    g = memory.dense(g)
    shape = [m - b - a for m, (b, a) in zip(g.shape, widths, strict=True)]
    sizes, before, after, run = _axes(g, shape, widths)
    y, out = _output(g, shape)
    more = None if addend is None else memory.in_order_of(out, addend)
    _launch("fold", (g, more), sizes, run, (g, more, y, MODES.index(mode), *sizes, *before, *after, run))
    return out


def _launch(name: str, read: Sequence[DeviceArray | None], sizes: Sequence[int], run: int,
            arguments: tuple[Any, ...]) -> None:
    vec = vector(run, *read)
    (rows, pieces), block = lines(math.prod(sizes[:-1]), sizes[-1] * run, vec)
    launch = kernel("pad.cu", name, read[0], VEC=vec)
    launch((rows, min(pieces, 65535)), block, arguments)  # a thread may take several pieces


def _axes(x: DeviceArray, shape: Sequence[int], widths: Widths) -> tuple[Any, Any, Any, int]:
    """(sizes inside, widths before, widths after) of five axes in x's memory order, and the run of numbers behind them.

    Neighbours without a border become one axis: images stored channels-last are (1, 1, N, H, W) with runs of C.
    """
    axes: list[list[int]] = []
    for axis in memory.order_of(x):
        n, (before, after) = shape[axis], widths[axis]
        if axes and axes[-1][1:] == [0, 0] == [before, after]:
            axes[-1][0] *= n
        else:
            axes.append([n, before, after])
    run = axes.pop()[0] if axes and axes[-1][1:] == [0, 0] else 1
    if len(axes) > AXES:
        raise ShapeError(f"pad: borders on more than {AXES} axes of {x.shape}")
    axes = [[1, 0, 0]] * (AXES - len(axes)) + axes
    sizes, befores, afters = zip(*axes, strict=True)
    return sizes, befores, afters, run


def _output(x: DeviceArray, shape: Sequence[int]) -> tuple[DeviceArray, DeviceArray]:
    """Memory for a result in x's memory order, and the same indexed as x is."""
    order = memory.order_of(x)
    y = memory.empty(tuple(shape[axis] for axis in order), x.dtype, x)
    return y, y.transpose([order.index(axis) for axis in range(x.ndim)])


def place(g: DeviceArray, index: Any, shape: tuple[int, ...]) -> DeviceArray:
    """Zeros of `shape` with g at `index`, of slices and numbers, in g's order: a border of zeros, or two launches."""
    parts = [*index, *[slice(None)] * (len(shape) - len(index))] if isinstance(index, tuple) else [
        index, *[slice(None)] * (len(shape) - 1)]
    if len(parts) == g.ndim and all(isinstance(part, slice) and part.step in (None, 1) for part in parts):
        ends = [part.indices(size)[:2] for part, size in zip(parts, shape, strict=True)]
        return pad(g, tuple((start, size - stop) for (start, stop), size in zip(ends, shape, strict=True)))
    y = np.zeros_like(g, shape=shape)
    y[index] = g
    return y


def scatter_add(g: DeviceArray, index: Any, shape: tuple[int, ...]) -> DeviceArray:
    """Zeros of `shape` with g added at `index` (slices, numbers and host arrays of integers or bools), in g's order.

    The numbers of np.add.at, but gathered: the host sorts the places and uploads them, so this cannot be captured.
    """
    n = math.prod(shape)
    places = np.broadcast_to(np.arange(n).reshape(shape)[index], g.shape).reshape(-1)
    if max(n, places.size) >= 2**31:
        raise ShapeError(f"scatter_add: {max(n, places.size)} elements are more than an int counts")
    order = np.argsort(places, kind="stable")
    start = np.searchsorted(places[order], np.arange(n + 1))
    start, order = (backend_of(g).asarray(a.astype(np.int32)) for a in (start, order))
    g = memory.contiguous(g)
    y = memory.empty(shape, g.dtype, g)
    kernel("pad.cu", "scatter_add", g, VEC=1)(flat(n, 1), THREADS, (g, start, order, y, n))
    return y
