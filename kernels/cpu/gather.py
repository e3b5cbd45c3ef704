"""Gathering: the pixels under a convolution's windows copied side by side, so that one matrix product does the rest.

    correlate           y = windows of x, times filters              conv2d
    correlate_phases    the same for each phase of a strided y       conv_transpose2d, few channels in
    outer_products      windows of x, transposed, times g            conv2d_weight_grad

Windows are a strided view; `_columns` copies those of one block to scratch, in runs of whole channels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from ..values import Array, Pair
from .blocks import SCRATCH_BYTES, cut, for_each_block, pixel_blocks
from .memory import empty, framed, scratch

FEW_WEIGHTS = 256  # numbers in a window up to which weight gradients take all kernel rows in one product
NARROW_RUN = 16  # numbers in a run of KW*C below which windows are stored tap by tap, in long runs of pixels


def correlate(
    x: Array, filters: Array, y: Array, b: Array | None, stride: Pair, offset: Pair, dilation: Pair
) -> None:
    """Fill y[n,i,j] = b + the window of x at (i, j)*stride + offset, times filters (KH, KW, C, O); y may be strided."""
    KH, KW, C, O = filters.shape
    OW, matrix = y.shape[2], filters.reshape(KH * KW * C, O)

    def block(where):
        images, rows = where
        out = y[where]  # (n, oh, OW, O)
        columns = _columns(_windows(x[images], rows, OW, (KH, KW), stride, offset, dilation))  # (n*oh*OW, KH*KW*C)
        in_place = out.flags.c_contiguous
        product = out.reshape(len(columns), O) if in_place else scratch("product", (len(columns), O), y.dtype)
        np.matmul(columns, matrix, out=product)
        if b is not None:
            product += b
        if not in_place:
            out[...] = product.reshape(out.shape)

    for_each_block(block, pixel_blocks(y, len(matrix) + O))


def correlate_phases(
    x: Array, filters: Array, y: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair
) -> None:
    """The adjoint where few channels come in: pixels of y that agree modulo the stride are a dense convolution of x.

    Row p of y meets tap k at row i of x when i*SH = p + PH - k*DH. For one p modulo SH the taps that divide are every
    SH/gcd(SH, DH)-th, and their rows of x lie DH/gcd apart.
    """
    rows, columns = (
        list(_phases(*axis)) for axis in zip(y.shape[1:3], filters.shape[:2], stride, padding, dilation, strict=True)
    )
    for (p, row_taps, top, row_step), (q, column_taps, left, column_step) in itertools.product(rows, columns):
        phase = y[:, p :: stride[0], q :: stride[1]]
        if row_taps and column_taps:
            taps = filters[np.ix_(row_taps, column_taps)].transpose(0, 1, 3, 2)
            correlate(x, np.ascontiguousarray(taps), phase, b, (1, 1), (top, left), (row_step, column_step))
        else:
            phase[...] = 0 if b is None else b


def _phases(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> Iterator[tuple[int, list[int], int, int]]:
    """For each phase p of an axis: (p, its taps in the order of the rows of x they meet, the first row, their step)."""
    for p in range(min(stride, size)):
        taps = [k for k in reversed(range(kernel)) if (p + padding - k * dilation) % stride == 0]
        first = (p + padding - taps[0] * dilation) // stride if taps else 0
        yield p, taps, first, dilation // math.gcd(dilation, stride)


def outer_products(x: Array, g: Array, kernel: Pair, stride: Pair, offset: Pair, dilation: Pair) -> Array:
    """(KH, KW, C, O): the sum over all pixels (i, j) of g of [what each tap sees of x at (i, j)] times g[i, j]."""
    (KH, KW), C, O = kernel, x.shape[3], g.shape[3]
    if not g.size:
        return np.zeros((KH, KW, C, O), x.dtype)
    at_once = KH if KH * KW * C <= FEW_WEIGHTS else 1  # kernel rows to a product
    depth = at_once * KW * C
    blocks = pixel_blocks(g, depth)
    groups = cut(len(blocks), -(-len(blocks) // _group_count(KH * KW * C * O * x.itemsize)))
    sums = empty((len(groups), KH // at_once, depth, O), x.dtype)

    def task(which):
        group, k = which
        corner = (offset[0] + k * dilation[0], offset[1])
        for number, (images, rows) in enumerate(blocks[groups[group]]):
            columns = _columns(_windows(x[images], rows, g.shape[2], (at_once, KW), stride, corner, dilation))
            pixels = g[images, rows].reshape(-1, O)  # (n*oh*OW, O); columns are (n*oh*OW, at_once*KW*C)
            if number == 0:
                np.matmul(columns.T, pixels, out=sums[group, k])
            else:
                sums[group, k] += np.matmul(columns.T, pixels, out=scratch("product", (depth, O), x.dtype))

    for_each_block(task, [(group, k) for group in range(len(groups)) for k in range(KH // at_once)])
    for group in range(1, len(groups)):
        sums[0] += sums[group]
    return sums[0].reshape(KH, KW, C, O)


def outer_products_of_one_window(x: Array, g: Array) -> Array:
    """(KH, KW, C, O) where one window covers the whole image: x^T (KH*KW*C, N) @ g (N, O), cut along x's pixels."""
    N, KH, KW, C = x.shape
    columns, pixels = x.reshape(N, KH * KW * C), g.reshape(N, -1)  # (N, KH*KW*C), (N, O)
    gw = empty((KH, KW, C, pixels.shape[1]), x.dtype)
    products = gw.reshape(KH * KW * C, -1)  # (KH*KW*C, O)
    blocks = cut(len(products), max(64, SCRATCH_BYTES // 8 // ((N + pixels.shape[1]) * x.itemsize)))
    for_each_block(lambda part: np.matmul(columns[:, part].T, pixels, out=products[part]), blocks)
    return gw


def _group_count(weight_bytes: int) -> int:
    """How many partial sums of all the weights: more of them share the work better, fewer are added sooner."""
    return int(np.clip(4 * SCRATCH_BYTES // max(1, weight_bytes), 2, 16))


def _windows(x: Array, rows: slice, width: int, kernel: Pair, stride: Pair, offset: Pair, dilation: Pair) -> Array:
    """A view (n, oh, OW, KH, KW, C): what the windows of the output rows `rows` see of x, zero beyond its edges."""
    (SH, SW), (DH, DW), (KH, KW) = stride, dilation, kernel
    row_step = SH if KH == 1 else 1  # one kernel row sees only every SH-th row of x
    height = rows.stop - rows.start
    tall = height if KH == 1 else (height - 1) * SH + (KH - 1) * DH + 1
    wide = (width - 1) * SW + (KW - 1) * DW + 1
    frame = framed(x, (rows.start * SH + offset[0], offset[1]), (tall, wide), row_step)
    n, h, w, c = frame.strides
    strides = (n, h * SH // row_step, w * SW, h * DH, w * DW, c)
    shape = (len(x), height, width, KH, KW, x.shape[3])
    return np.lib.stride_tricks.as_strided(frame, shape, strides, writeable=False)


def _columns(windows: Array) -> Array:
    """(n, oh, OW, KH, KW, C) windows as a matrix (n*oh*OW, KH*KW*C): in scratch, unless they are already stored so."""
    pixels, depth = math.prod(windows.shape[:3]), math.prod(windows.shape[3:])
    if windows.flags.c_contiguous:
        return windows.reshape(pixels, depth)
    if windows.shape[4] * windows.shape[5] >= NARROW_RUN:
        columns = scratch("columns", windows.shape, windows.dtype)
        np.copyto(columns, windows)
        return columns.reshape(pixels, depth)
    columns = scratch("columns", windows.shape[3:] + windows.shape[:3], windows.dtype)  # (KH, KW, C, n, oh, OW)
    np.copyto(columns, windows.transpose(3, 4, 5, 0, 1, 2))
    return columns.reshape(depth, pixels).T  # BLAS takes a transposed matrix as it is
