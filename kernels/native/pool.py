"""Max pooling in one pass: pool.c. Twin: cpu/pool.py."""

from __future__ import annotations

import numpy as np

from .. import cpu
from ..cpu.blocks import get_threads
from ..cpu.memory import channels_first, channels_last, empty
from ..geometry import out_size
from ..values import Array, Pair
from .library import LIBRARY

__all__ = ["max_pool2d", "pool_put", "pool_take"]


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1), ceil: bool = False
) -> tuple[Array, Array]:
    """`cpu.max_pool2d` in one pass."""
    size = [out_size(*axis, ceil) for axis in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)]
    if x.dtype != np.float32 or x.size == 0 or min(size) < 1 or kernel[0] * kernel[1] > 256:
        return cpu.max_pool2d(x, kernel, stride, padding, dilation, ceil)
    x = channels_last(x)
    y = empty((len(x), *size, x.shape[3]), x.dtype)
    index = np.empty(y.shape, np.uint8)
    LIBRARY.max_pool2d(get_threads(), x, y, index, *x.shape, *size, *kernel, *stride, *padding, *dilation)
    return channels_first(y), channels_first(index)


def pool_take(x: Array, index: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Array:
    """`cpu.pool_take` in one pass."""
    if not _are_known(x, index, kernel):
        return cpu.pool_take(x, index, kernel, stride, padding, dilation)
    x, index = channels_last(x), channels_last(index)
    y = empty(index.shape, x.dtype)
    sizes = (*x.shape, *index.shape[1:3], *kernel, *stride, *padding, *dilation)
    LIBRARY.pool_take(get_threads(), x, index, y, *sizes)
    return channels_first(y)


def pool_put(
    g: Array, index: Array, kernel: Pair, stride: Pair, padding: Pair, input_size: Pair, dilation: Pair = (1, 1)
) -> Array:
    """`cpu.pool_put` in one pass; where windows overlap, they add in their own order, not that of the taps."""
    if not _are_known(g, index, kernel) or min(input_size) < 1:
        return cpu.pool_put(g, index, kernel, stride, padding, input_size, dilation)
    g, index = channels_last(g), channels_last(index)
    gx = empty((len(g), *input_size, g.shape[3]), g.dtype)
    sizes = (*gx.shape, *index.shape[1:3], *kernel, *stride, *padding, *dilation)
    LIBRARY.pool_put(get_threads(), g, index, gx, *sizes)
    return channels_first(gx)


def _are_known(x: Array, index: Array, kernel: Pair) -> bool:
    types, taps = (x.dtype, index.dtype), kernel[0] * kernel[1]
    return types == (np.float32, np.uint8) and min(x.size, index.size) > 0 and taps <= 256
