"""Launches reduce.cu, and means.cu for a sum of everything: always in the same order; the twin of cpu/reduce.py."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ..cpu.means import FUNCTIONS
from ..values import DeviceArray, real_of
from . import memory, moments
from .backend import backend_of
from .grid import THREADS, parts_of, table, vector
from .loader import kernel
from .tickets import tickets

__all__ = ["reduce_sum"]

SHORT = 512  # numbers in a line that one warp adds up
PACKS = 8  # that a thread of means.cu adds up, where one block is not enough
PIECES = 256  # blocks of a sum over everything, at most


def reduce_sum(x: DeviceArray, axes: int | tuple[int, ...] | None = None, keepdims: bool = False) -> DeviceArray:
    """Sum over `axes` (None: all), of x's dtype: the same bytes every time, in one or two launches, rarely more.

    Of bfloat16, the sum is float32. The result's axes lie in memory in the order of x's.
    """
    every: Sequence[int] = range(x.ndim) if axes is None else axes if isinstance(axes, tuple | list) else (axes,)
    summed = {axis % x.ndim for axis in every}
    sums = moments.take_sums(x, summed)
    if sums is not None:
        return sums.reshape(1, -1, 1, 1) if keepdims else sums
    x = memory.dense(x)
    order = memory.order_of(x)
    kept = [axis for axis in order if axis not in summed]
    long = [axis for axis in order if x.shape[axis] != 1]
    runs = [(out, math.prod(x.shape[a] for a in run)) for out, run in itertools.groupby(long, summed.__contains__)]
    if x.size:
        y = _sum_runs(x.transpose(order).reshape(-1), runs)  # (x.size,) to (y.size,)
    else:
        y = backend_of(x).full((math.prod(x.shape[axis] for axis in kept),), 0.0, real_of(x))
    y = y.reshape([x.shape[axis] for axis in kept]).transpose([kept.index(axis) for axis in sorted(kept)])
    return y.reshape([1 if axis in summed else n for axis, n in enumerate(x.shape)]) if keepdims else y


def _sum_runs(x: DeviceArray, runs: list[tuple[bool, int]]) -> DeviceArray:
    """x, whose memory is runs of (summed, size) from the slowest to the fastest, without the summed ones."""
    places = [i for i, (summed, _) in enumerate(runs) if summed]
    for i in reversed(places):
        outer, inner = (math.prod(n for _, n in part) for part in (runs[:i], runs[i + 1 :]))
        x = _sum_rows(x, outer, runs[i][1], inner)
        del runs[i]
    return x if places else x.astype(real_of(x))


def _sum_rows(x: DeviceArray, groups: int, rows: int, channels: int) -> DeviceArray:
    """(groups, rows, channels) -> (groups, channels)."""
    if groups == channels == 1 and rows > SHORT:
        return _total(x)
    y = memory.empty((groups * channels,), real_of(x), x)
    if channels == 1 and rows <= SHORT:
        kernel("reduce.cu", "reduce_lines", x, VEC=1)(-(-groups // 8), (32, THREADS // 32), (x, y, groups, rows))
        return y
    t = table(groups, rows, channels, x, parts=parts_of(x))
    several = t.lines > 1
    partial = memory.empty((groups * t.lines * channels,), y.dtype, x) if several else None
    places = tickets(x, groups * t.grid[1]) if several and t.width == channels else None
    final = not several or places is not None
    kernel("reduce.cu", "reduce_columns", x, VEC=t.vec)(
        t.grid, t.block, (x, partial, places, y if final else partial, t.rows, t.width, t.parts, t.share))
    return y if final else _sum_rows(partial, groups, t.lines, channels)


def _total(x: DeviceArray) -> DeviceArray:
    """The sum of all numbers (size,), as (1,): the mean of 1 x of means.cu, times their number."""
    vec = vector(4, x)
    pieces, *room, y, share = room_for_sum(x, x.size // vec)
    kernel("means.cu", "mean_of", x, VEC=vec)(
        pieces, THREADS, (x, None, 1.0, FUNCTIONS.index("product"), 1.0, *room, y, x.size, share))
    return y.reshape(1)


def room_for_sum(x: DeviceArray, packs: int) -> tuple[int, DeviceArray | None, DeviceArray | None, DeviceArray, int]:
    """Blocks for a sum over packs of x, room for the sums of their pieces, tickets, the result, packs in a piece."""
    places = tickets(x, 1) if packs > THREADS * PACKS else None
    pieces = 1 if places is None else min(PIECES, -(-packs // (THREADS * PACKS)))
    partial = None if pieces == 1 else memory.empty((pieces,), real_of(x), x)
    return pieces, partial, places, memory.empty((), real_of(x), x), -(-packs // pieces)
