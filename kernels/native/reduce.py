"""Sums over axes in one pass, partial sums in float64: reduce.c. Twin: cpu/reduce.py."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from .. import cpu
from ..cpu.blocks import get_threads
from ..values import Array
from .library import LIBRARY

__all__ = ["reduce_sum"]

FEW = 4096  # numbers that NumPy has added before C is called
THIN = 64  # numbers per group below which NumPy's own loops are as good


def reduce_sum(x: Array, axes: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """`cpu.reduce_sum` in one pass, where the summed axes lie side by side in memory."""
    if x.dtype != np.float32 or x.size < FEW:
        return cpu.reduce_sum(x, axes, keepdims)
    plan = _plan(x.shape, x.strides, axes, keepdims)
    ordered = x if plan is None else x.transpose(plan.order)
    if plan is None or not ordered.flags.c_contiguous or plan.sizes[1] * plan.sizes[2] < THIN:
        return cpu.reduce_sum(x, axes, keepdims)
    y = np.empty(plan.shape, np.float32)
    LIBRARY.reduce_sum(get_threads(), ordered, y, *plan.sizes)
    return y.transpose(plan.back) if y.ndim else y[()]


class _Plan(NamedTuple):
    order: tuple[int, ...]  # x's axes as they lie in memory
    sizes: tuple[int, int, int]  # of what lies before, in and behind the summed axes
    shape: tuple[int, ...]  # the result in memory
    back: tuple[int, ...]  # its axes in x's order


@functools.lru_cache(4096)
def _plan(
    shape: tuple[int, ...], strides: tuple[int, ...], axes: int | tuple[int, ...] | None, keepdims: bool
) -> _Plan | None:
    """None if the summed axes are not side by side, or are not what NumPy takes."""
    given = range(len(shape)) if axes is None else (axes,) if isinstance(axes, int) else axes
    summed = {axis + len(shape) if axis < 0 else axis for axis in given}
    order = sorted(range(len(shape)), key=lambda axis: (-strides[axis], axis))
    places = [place for place, axis in enumerate(order) if axis in summed and shape[axis] > 1]
    if len(summed) < len(given) or not summed <= set(order) or not places:
        return None
    first, last = places[0], places[-1] + 1
    if any(axis not in summed and shape[axis] > 1 for axis in order[first:last]):
        return None
    size = lambda part: math.prod(shape[axis] for axis in part)
    kept = [axis for axis in order if keepdims or axis not in summed]
    return _Plan(tuple(order), (size(order[:first]), size(order[first:last]), size(order[last:])),
                 tuple(1 if axis in summed else shape[axis] for axis in kept), tuple(map(int, np.argsort(kept))))
