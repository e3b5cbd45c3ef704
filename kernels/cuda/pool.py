"""Launches pool.cu: max pooling, taking pixels by its index and putting numbers back there; the twin of cpu/pool.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..geometry import out_size
from ..values import DeviceArray, Pair
from . import memory
from .grid import lines, vector
from .loader import kernel as load

__all__ = ["max_pool2d", "pool_put", "pool_take"]


def max_pool2d(
    x: DeviceArray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1), ceil: bool = False
) -> tuple[DeviceArray, DeviceArray]:
    """(y, index): the largest number under each window and its tap, k*KW + l, the first in scan order if several tie.

    Padding counts as -infinity; a NaN under a window is its largest. Both are stored channels-last.
    """
    x = memory.channels_last(x)
    N, H, W, C = x.shape
    OH, OW = (out_size(*axis, ceil) for axis in zip((H, W), kernel, stride, padding, dilation, strict=True))
    y = memory.empty((N, OH, OW, C), x.dtype, x)
    index = memory.empty(y.shape, np.dtype(np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32), x)
    _launch("max_pool2d", y, (x,), x, y, *_either(index), H, W, C, OH, OW, *kernel, *stride, *padding, *dilation)
    return y.transpose(0, 3, 1, 2), index.transpose(0, 3, 1, 2)


def pool_take(
    x: DeviceArray, index: DeviceArray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)
) -> DeviceArray:
    """y[n,c,i,j] = x at tap index[n,c,i,j] of window (i, j); zero where that tap is in the padding."""
    x, index = memory.channels_last(x), memory.channels_last(index)
    (_, H, W, C), (_, OH, OW, _) = x.shape, index.shape
    y = memory.empty(index.shape, x.dtype, x)
    numbers = (H, W, C, OH, OW, kernel[1], *stride, *padding, *dilation)
    _launch("pool_take", y, (x, index), x, *_either(index), y, *numbers)
    return y.transpose(0, 3, 1, 2)


def pool_put(
    g: DeviceArray,
    index: DeviceArray,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    input_size: Pair,
    dilation: Pair = (1, 1),
) -> DeviceArray:
    """The adjoint of pool_take: gx = 0, then gx += g at tap index of each window; where windows overlap, they add."""
    g, index = memory.channels_last(g), memory.channels_last(index)
    N, OH, OW, C = g.shape
    gx = memory.empty((N, *input_size, C), g.dtype, g)
    numbers = (*input_size, C, OH, OW, *kernel, *stride, *padding, *dilation)
    _launch("pool_put", gx, (g, index), g, *_either(index), gx, *numbers)
    return gx.transpose(0, 3, 1, 2)


def _launch(name: str, output: DeviceArray, inputs: tuple[DeviceArray, ...], *arguments: Any) -> None:
    N, rows, columns, C = output.shape
    vec = vector(C, *inputs)
    load("pool.cu", name, output, VEC=vec)(*lines(N * rows, columns * C, vec), arguments)


def _either(index: DeviceArray) -> tuple[DeviceArray | None, DeviceArray | None]:
    """The index as the kernels take it: (bytes, None) or (None, ints)."""
    return (index, None) if index.dtype == np.uint8 else (None, index)
