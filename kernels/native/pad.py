"""Borders along two axes that lie side by side in memory, as an image's rows and columns do, and their adjoint: pad.c.

Twin: cpu/pad.py.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from .. import cpu
from ..cpu.blocks import get_threads
from ..cpu.memory import empty
from ..values import Array, Widths
from .library import LIBRARY

__all__ = ["fold", "pad"]

MODES = {"constant": 0, "reflect": 1, "edge": 2}
Sizes = tuple[int, int, int, int]


def pad(x: Array, widths: Widths, mode: str = "constant", value: float = 0.0) -> Array:
    """`cpu.pad` in one pass."""
    plan = _plan(x.shape, x.strides, tuple(widths)) if x.dtype == np.float32 and x.size and mode in MODES else None
    ordered = x if plan is None else x.transpose(plan.order)
    if plan is None or not ordered.flags.c_contiguous or not plan.can_be(plan.sizes, mode):
        return cpu.pad(x, widths, mode, value)
    y = empty([n + sum(widths[axis]) for n, axis in zip(ordered.shape, plan.order, strict=True)], x.dtype)
    LIBRARY.pad(get_threads(), ordered, y, *plan.sizes, *plan.borders, MODES[mode], value)
    return y.transpose(plan.back)


def fold(g: Array, widths: Widths, mode: str = "constant", addend: Array | None = None) -> Array:
    """`cpu.fold` in one pass; without copies ("constant") the twin gives a view."""
    is_known = g.dtype == np.float32 and g.size and mode in ("reflect", "edge")
    is_known = is_known and (addend is None or addend.dtype == np.float32)
    plan = _plan(g.shape, g.strides, tuple(widths)) if is_known else None
    ordered = g if plan is None else g.transpose(plan.order)
    if plan is None or not ordered.flags.c_contiguous or not plan.can_be(plan.without_borders, mode):
        return cpu.fold(g, widths, mode, addend)
    y = empty([n - sum(widths[axis]) for n, axis in zip(ordered.shape, plan.order, strict=True)], g.dtype)
    more = None if addend is None else np.ascontiguousarray(addend.transpose(plan.order))
    LIBRARY.fold(get_threads(), ordered, more, y, *plan.without_borders, *plan.borders, MODES[mode])
    return y.transpose(plan.back)


class _Plan(NamedTuple):
    order: tuple[int, ...]  # the axes as they lie in memory
    sizes: Sizes  # of what lies before the axes with borders, these two, what lies behind them
    borders: Sizes  # before and after the first, before and after the second
    back: tuple[int, ...]  # the axes in their own order

    @property
    def without_borders(self) -> Sizes:
        """The sizes of an array whose borders these are, if `sizes` is with them."""
        (before, rows, columns, behind), (top, bottom, left, right) = self.sizes, self.borders
        return before, rows - top - bottom, columns - left - right, behind

    def can_be(self, sizes: Sizes, mode: str) -> bool:
        """Whether borders are not negative, and shorter than what they mirror."""
        (_, rows, columns, _), (*tall, left, right) = sizes, self.borders
        least, most = min(rows, columns, *(b + 1 for b in self.borders)), (max(tall), max(left, right))
        return least > 0 and (mode != "reflect" or (most[0] < rows and most[1] < columns))


@functools.lru_cache(4096)
def _plan(shape: tuple[int, ...], strides: tuple[int, ...], widths: Widths) -> _Plan | None:
    """None if there is no border, or the axes that have one do not lie side by side."""
    order = sorted(range(len(shape)), key=lambda axis: (-strides[axis], axis))
    places = [place for place, axis in enumerate(order) if any(widths[axis])]
    if len(widths) != len(shape) or not places or places[-1] - places[0] > 1:
        return None
    first, last = places[0], places[-1]
    size = lambda axes: math.prod(shape[axis] for axis in axes)
    rows = (shape[order[first]], widths[order[first]]) if last > first else (1, (0, 0))
    sizes = size(order[:first]), rows[0], shape[order[last]], size(order[last + 1 :])
    return _Plan(tuple(order), sizes, (*rows[1], *widths[order[last]]), tuple(map(int, np.argsort(order))))
