"""Launches means.cu: one launch per mean, one per gradient; the twin of cpu/means.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cpu.means import FUNCTIONS, Term
from ..values import DeviceArray, real_of
from . import memory
from .elementwise import cast
from .grid import THREADS, flat, vector
from .loader import is_dense, kernel
from .reduce import reduce_sum, room_for_sum
from .source import Table

__all__ = ["lengths", "lengths_grad", "mean_of", "mean_of_grad", "means_of_halves", "means_of_halves_grad",
           "weighted_sum", "weighted_sum_grad"]

WORDS = 240  # numbers in one weighted sum: half of a Table's words


def mean_of(x: DeviceArray, t: DeviceArray | float, of: str, weight: float = 1.0) -> DeviceArray:
    """The mean of f(x, t) over all numbers times weight, f the function `of`. One launch; of bfloat16, float32."""
    x, t, number = _operands(x, t)
    vec = vector(4, x, t)
    pieces, *room, y, share = room_for_sum(x, x.size // vec)
    kernel("means.cu", "mean_of", x, VEC=vec)(
        pieces, THREADS, (x, t, number, FUNCTIONS.index(of), weight / x.size, *room, y, x.size, share))
    return y


def mean_of_grad(
    g: DeviceArray, x: DeviceArray, t: DeviceArray | float, of: str, weight: float = 1.0, by_target: bool = False
) -> DeviceArray:
    """Return gx of mean_of, or with by_target gt; g is the cotangent of its result. Stored like x; one launch."""
    x, t, number = _operands(x, t)
    gx, vec = memory.empty_like(x), vector(4, x, t)
    kernel("means.cu", "mean_of_grad", x, VEC=vec)(
        flat(x.size, vec), THREADS, (memory.dense(g), x, t, number, FUNCTIONS.index(of), weight / x.size, by_target,
                                     gx, x.size))
    return gx


def means_of_halves(x: DeviceArray, terms: Sequence[Term]) -> DeviceArray:
    """The sum of mean_of the first half of x (2 N, ...) by one term (t, of, weight), and of the second by the other."""
    x, half, numbers = _halves(x, terms)
    vec = vector(half, x)
    pieces, *room, y, share = room_for_sum(x, half // vec)
    kernel("means.cu", "means_of_halves", x, VEC=vec)(pieces, THREADS, (x, *numbers, *room, y, half, share))
    return y


def means_of_halves_grad(g: DeviceArray, x: DeviceArray, terms: Sequence[Term]) -> DeviceArray:
    """Return gx of means_of_halves; g is the cotangent of its result. Stored like x; one launch."""
    x, half, numbers = _halves(x, terms)
    gx, vec = memory.empty_like(x), vector(half, x)
    kernel("means.cu", "means_of_halves_grad", x, VEC=vec)(
        flat(x.size, vec), THREADS, (memory.dense(g), x, *numbers, gx, half))
    return gx


def _halves(x: DeviceArray, terms: Sequence[Term]) -> tuple[DeviceArray, int, list[Any]]:
    """Return x with each half in one piece, the numbers in a half, and what the kernels take for two terms."""
    x = memory.dense(x)
    if x.shape[0] > 1 and memory.order_of(x)[0] != 0:
        x = memory.contiguous(x)
    half = x.size // 2
    return x, half, [v for t, of, weight in terms for v in (t, FUNCTIONS.index(of), weight / half)]


def _operands(x: DeviceArray, t: DeviceArray | float) -> tuple[DeviceArray, DeviceArray | None, float]:
    """Return x without gaps, the target in x's order or None, and the number that stands for it."""
    x = memory.dense(x)
    return (x, None, t) if isinstance(t, int | float) else (x, memory.in_order_of(x, t), 0.0)


def lengths(x: DeviceArray, axes: int | tuple[int, ...] | None = None, keepdims: bool = False) -> DeviceArray:
    """Square root of the sum of squares over `axes` (None: all): one launch where they are the fastest in memory."""
    every: Sequence[int] = range(x.ndim) if axes is None else axes if isinstance(axes, tuple | list) else (axes,)
    axes = tuple(axis % x.ndim for axis in every) if x.ndim else ()
    x = cast(x, real_of(x))
    rows = _rows(x, axes)
    if rows is None:
        return np.sqrt(reduce_sum(x * x, axes, keepdims))
    y, vec = memory.empty(rows.shape[:1], x.dtype, x), vector(rows.shape[1], rows)
    kernel("means.cu", "lengths", x, VEC=vec)(len(rows), THREADS, (rows, y, rows.shape[1]))
    kept = [1 if axis in axes else n for axis, n in enumerate(x.shape) if keepdims or axis not in axes]
    return y.reshape(kept)


def lengths_grad(g: DeviceArray, y: DeviceArray, x: DeviceArray, axes: tuple[int, ...]) -> DeviceArray:
    """Return gx = g x / y, and 0 where y = 0; stored like x. One launch where the axes are the fastest in memory."""
    x = cast(x, real_of(x))
    rows = _rows(x, axes)
    if rows is None:
        kept = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
        zero = (y == 0).astype(x.dtype)
        return (g * (1 - zero) / (y + zero)).reshape(kept) * x
    gx, width = memory.empty_like(x), rows.shape[1]
    vec = vector(width, rows)
    g, y = (memory.contiguous(v) for v in (g, y))
    kernel("means.cu", "lengths_grad", x, VEC=vec)((len(rows), flat(width, vec)), THREADS, (g, y, rows, gx, width))
    return gx


def _rows(x: DeviceArray, axes: tuple[int, ...]) -> DeviceArray | None:
    """Rows (kept, summed) that x is in memory; None if it does not lie so, or has no numbers."""
    order = memory.order_of(x)
    kept = [axis for axis in order if axis not in axes]
    if not x.size or list(order[: len(kept)]) != sorted(kept) or not is_dense(x):
        return None
    return x.transpose(order).reshape(-1, math.prod(x.shape[axis] for axis in axes))  # (kept, summed)


def weighted_sum(numbers: Sequence[DeviceArray], weights: Sequence[float]) -> DeviceArray:
    """The sum of weights times arrays of one number each, from the first to the last; up to 240 in a launch."""
    y = memory.empty(numbers[0].shape, numbers[0].dtype, numbers[0])
    table = Table([memory.dense(number) for number in numbers[:WORDS]], _bits(weights[:WORDS]))
    kernel("means.cu", "weighted_sum", y)(1, 1, (table, len(table.arrays), y))
    return y if len(numbers) <= WORDS else weighted_sum([y, *numbers[WORDS:]], [1.0, *weights[WORDS:]])


def weighted_sum_grad(g: DeviceArray, weights: Sequence[float]) -> list[DeviceArray]:
    """The cotangent g of a weighted sum, one number, times each weight; up to 480 in a launch."""
    gs = memory.empty((len(weights),), g.dtype, g)
    for start in range(0, len(weights), 2 * WORDS):
        words, part = _bits(weights[start : start + 2 * WORDS]), gs[start : start + 2 * WORDS]
        kernel("means.cu", "weighted_sum_grad", g)(
            -(-len(words) // THREADS), THREADS, (memory.dense(g), Table([], words), len(words), part))
    return [gs[k : k + 1].reshape(g.shape) for k in range(len(weights))]


def _bits(weights: Sequence[float]) -> list[int]:
    """The bits of each weight as a double, in a whole number."""
    return [int(word) for word in np.asarray(weights, np.float64).view(np.uint64)]
