"""Spreading: one matrix product per tap on the pixels as they lie, whose results are added where the tap lands.

For transposed convolutions, and for convolutions with few filters: there, windows would be more to copy than results
are to add. Filters come as `taps` (KH, KW, C_in, C_out): of each tap a matrix that turns a pixel of x into one of y.
"""

from __future__ import annotations

import numpy as np

from ..values import Array, Pair
from .blocks import SCRATCH_BYTES, cut, for_each_block, pixel_blocks
from .memory import scratch


def add_taps(x: Array, taps: Array, y: Array, b: Array | None, stride: Pair, offset: Pair, dilation: Pair) -> None:
    """Set y = b, then for each tap y[n, i*SH+offset+k*DH, ...] += x[n, i, ...] @ taps[k, l], a (C_in, C_out) matrix."""
    KH, KW, _, C_out = taps.shape
    H, W = x.shape[1:3]

    def block(where):
        images, rows = where
        y[where] = 0 if b is None else b
        for k in range(KH):
            h, p = _landing(H, rows, stride[0], offset[0] + k * dilation[0])
            pixels = x[images, h]  # (n, h, W, C_in)
            product = scratch("product", (*pixels.shape[:3], C_out), y.dtype)
            for l in range(KW if pixels.size else 0):
                w, q = _landing(W, slice(0, y.shape[2]), stride[1], offset[1] + l * dilation[1])
                np.matmul(pixels.reshape(-1, pixels.shape[3]), taps[k, l], out=product.reshape(-1, C_out))
                y[images, p, q] += product[:, :, w]

    for_each_block(block, pixel_blocks(y, 2 * C_out))


def one_pixel(x: Array, filters: Array, y: Array, b: Array | None) -> None:
    """From 1x1 images, as DCGAN's generator begins: y (N, KH*KW*C) = x (N, O) @ filters^T, cut along the filters."""
    N, O = len(x), filters.shape[3]
    matrix, pixels = filters.reshape(-1, O), x.reshape(N, O)  # (KH*KW*C, O), (N, O)
    out = y.reshape(N, -1)  # (N, KH*KW*C)
    blocks = cut(len(matrix), max(64, SCRATCH_BYTES // 8 // ((N + O) * x.itemsize)))
    for_each_block(lambda part: np.matmul(pixels, matrix[part].T, out=out[:, part]), blocks)
    if b is not None:
        y += b


def _landing(size: int, into: slice, stride: int, shift: int) -> tuple[slice, slice]:
    """Which of `size` positions i land in the slice `into` at i*stride + shift, and where: two slices."""
    first = min(max(0, -((shift - into.start) // stride)), size)
    last = min(max(first, -((shift - into.stop) // stride)), size)
    if first == last:
        return slice(0, 0), slice(0, 0)
    return slice(first, last), slice(first * stride + shift, (last - 1) * stride + shift + 1, stride)
