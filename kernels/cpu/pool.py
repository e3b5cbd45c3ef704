"""Max pooling as three maps: find which tap of each window is largest, take values there, and put values back there.

Once that index is known everything is linear: pool_take reads x at those taps, pool_put is its adjoint. Each goes
through the KH*KW taps of a window, one strided image each, in blocks of images. With a dilation, the taps lie that far
apart; with ceil, a last window may reach beyond the padding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..geometry import out_size
from ..values import Array, Pair
from .blocks import SCRATCH_BYTES, for_each_block, image_blocks
from .memory import channels_first, channels_last, empty, framed, scratch

__all__ = ["max_pool2d", "pool_put", "pool_take"]


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1), ceil: bool = False
) -> tuple[Array, Array]:
    """(y, index): the largest number under each window and its tap, k*KW + l, the first in scan order if several tie.

    Padding counts as -infinity; a NaN under a window is its largest. Both are stored channels-last.
    """
    x = channels_last(x)
    OH, OW = (out_size(*axis, ceil) for axis in zip(x.shape[1:3], kernel, stride, padding, dilation, strict=True))
    y = empty((len(x), OH, OW, x.shape[3]), x.dtype)
    index = np.empty(y.shape, np.uint8 if kernel[0] * kernel[1] <= 256 else np.int32)

    def block(where):
        images, rows = where
        best, tap = y[where], index[where]
        best[...] = -np.inf
        tap[...] = 0
        better, known = (scratch(key, best.shape, np.bool_) for key in ("better", "known"))
        for number, values in _taps(x[images], rows, OW, kernel, stride, padding, dilation, -np.inf):
            np.less_equal(values, best, out=better)
            np.logical_not(better, out=better)  # larger, or one of the two is NaN
            better &= np.equal(best, best, out=known)  # a best that is NaN stays
            np.copyto(tap, number, where=better, casting="unsafe")
            np.maximum(best, values, out=best)

    for_each_block(block, _blocks(y, stride))
    return channels_first(y), channels_first(index)


def pool_take(x: Array, index: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Array:
    """y[n,c,i,j] = x at tap index[n,c,i,j] of window (i, j); zero where that tap is in the padding."""
    x, index = channels_last(x), channels_last(index)
    y = empty(index.shape, x.dtype)

    def block(where):
        images, rows = where
        for number, values in _taps(x[images], rows, y.shape[2], kernel, stride, padding, dilation, 0):
            np.copyto(y[where], values, where=index[where] == number)

    for_each_block(block, _blocks(y, stride))
    return channels_first(y)


def pool_put(
    g: Array, index: Array, kernel: Pair, stride: Pair, padding: Pair, input_size: Pair, dilation: Pair = (1, 1)
) -> Array:
    """The adjoint of pool_take: gx = 0, then gx += g at tap index of each window; where windows overlap, they add."""
    g, index = channels_last(g), channels_last(index)
    N, OH, OW, C = g.shape
    (KH, KW), (SH, SW), (PH, PW), (DH, DW), (H, W) = kernel, stride, padding, dilation, input_size
    gx = empty((N, H, W, C), g.dtype)
    tall = max(H + PH, (OH - 1) * SH + DH * (KH - 1) + 1)
    wide = max(W + PW, (OW - 1) * SW + DW * (KW - 1) + 1)

    def block(images):
        frame = scratch("frame", (len(g[images]), tall, wide, C), g.dtype)
        frame[...] = 0
        for k, l in np.ndindex(KH, KW):
            top, left = k * DH, l * DW
            under = frame[:, top : top + (OH - 1) * SH + 1 : SH, left : left + (OW - 1) * SW + 1 : SW]
            np.add(under, g[images], out=under, where=index[images] == k * KW + l)
        gx[images] = frame[:, PH : PH + H, PW : PW + W]

    per_image = tall * wide * C * g.itemsize
    for_each_block(block, [images for images, _ in image_blocks(N, 1, max(1, SCRATCH_BYTES // max(1, per_image)))])
    return channels_first(gx)


def _taps(
    x: Array, rows: slice, OW: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, fill: float
) -> Iterator[tuple[int, Array]]:
    """(number, the values of x at that tap of each window of the output rows `rows`) for every tap, in scan order."""
    (KH, KW), (SH, SW), (PH, PW), (DH, DW) = kernel, stride, padding, dilation
    high, broad = (rows.stop - rows.start - 1) * SH + 1, (OW - 1) * SW + 1  # from the first window's tap to the last's
    frame = framed(x, (rows.start * SH - PH, -PW), (high + DH * (KH - 1), broad + DW * (KW - 1)), fill=fill)
    for k, l in np.ndindex(KH, KW):
        yield k * KW + l, frame[:, k * DH : k * DH + high : SH, l * DW : l * DW + broad : SW]


def _blocks(y: Array, stride: Pair) -> list[tuple[slice, slice]]:
    """Blocks of output rows whose windows fill about a quarter of a worker's scratch."""
    N, OH, OW, C = y.shape
    return image_blocks(N, OH, max(1, SCRATCH_BYTES // 4 // max(1, stride[0] * stride[1] * OW * C * y.itemsize)))
