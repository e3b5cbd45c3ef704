"""Convolution and its two adjoints on channels-last arrays: three sums over the same triples (pixel, tap, pixel).

    T(x, w, g) = sum_{n,o,i,j,c,k,l}  g[n,o,i,j]  x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW]  w[o,c,k,l]

The one idea: all arithmetic is matrix products of a block that stays in cache, and memory is only ever moved in runs of
whole channels. There are two ways round, and each function takes the one that moves less:

    gather   copy the KH*KW pixels under each window side by side (KH*KW*C numbers), then one product per block
    spread   one product per tap on the pixels as they lie (O numbers per tap), then add each where its tap lands

Filters are wanted as matrices: w.transpose(2, 3, 1, 0) contiguous, (KH, KW, C, O), for all three functions; in
conv_transpose2d, the adjoint, O counts the channels that go in and C those that come out. Another order is copied once.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from . import winograd
from .blocks import SCRATCH_BYTES, cut, for_each_block, image_blocks
from .memory import channels_first, channels_last, empty, framed, scratch

NARROW = 4  # channels out up to which spreading works on planes of pixels
FEW_WEIGHTS = 256  # numbers in a window up to which weight gradients take all kernel rows in one product
NARROW_RUN = 16  # numbers in a run of KW*C below which windows are stored tap by tap, in long runs of pixels
GATHER_WINS = 4  # spreading also pays for the additions: it must move this many times less


def conv2d(x, w, b, stride, padding, dilation):
    """Correlate: y[n,o,i,j] = b[o] + sum_{c,k,l} x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] w[o,c,k,l], stored channels-last.

    Gathers: reads x about KH*KW/(SH*SW) times, all but the first from cache, and writes y once; 2*KH*KW*C*O operations
    a pixel. DCGAN-32's 64 -> 128 layer, batch 64: 1.1 GFLOP for 7 MB. Few filters (O << C) at stride 1 spread instead.
    """
    x, filters = channels_last(x), filter_matrices(w)
    KH, KW, C, O = filters.shape
    OH, OW = (out_size(*axis) for axis in zip(x.shape[1:3], (KH, KW), stride, padding, dilation, strict=True))
    y = empty((len(x), OH, OW, O), x.dtype)
    if winograd.pays(len(x), (OH, OW), C, O, (KH, KW), stride, dilation, x.dtype):
        winograd.conv2d(x, filters, y, b, padding)
    elif stride == (1, 1) and O * GATHER_WINS <= C and (OH, OW) != (1, 1):
        backwards = (-dilation[0], -dilation[1])  # as a pixel of x sees the taps
        (_spread_narrow if O <= NARROW else _spread)(x, filters, y, b, (1, 1), padding, backwards)
    else:
        _gather(x, filters, y, b, stride, (-padding[0], -padding[1]), dilation)
    return channels_first(y)


def conv_transpose2d(x, w, b, stride, padding, dilation, output_size):
    """The adjoint of conv2d in x: y[n,c,p,q] = b[c] + sum of x[n,o,i,j] w[o,c,k,l] where p = i*SH-PH+k*DH, q likewise.

    w is (C_in, C_out, KH, KW), which is conv2d's (O, C, KH, KW). No zero is ever multiplied: x's pixels spread to where
    their taps land, or, when few channels come in, each of the SH*SW phases of y gathers from x by itself.
    """
    x, filters = channels_last(x), filter_matrices(w)
    KH, KW, C, O = filters.shape
    y = empty((len(x), *output_size, C), x.dtype)
    few = winograd.pays(len(x), x.shape[1:3], C, O, (KH, KW), stride, dilation, x.dtype)
    if few and all(out_size(*axis) == n for *axis, n in zip(output_size, (KH, KW), stride, padding, dilation,
                                                            x.shape[1:3], strict=True)):
        winograd.conv_transpose2d(x, filters, y, b, padding)
    elif x.shape[1:3] == (1, 1) and padding == (0, 0) and dilation == (1, 1) and output_size == (KH, KW):
        _spread_one_pixel(x, filters, y, b)
    elif O * GATHER_WINS <= C:
        _gather_phases(x, filters, y, b, stride, padding, dilation)
    else:
        spread = _spread_narrow if C <= NARROW else _spread
        spread(x, filters.transpose(0, 1, 3, 2), y, b, stride, (-padding[0], -padding[1]), dilation)
    return channels_first(y)


def conv2d_weight_grad(x, gy, kernel_size, stride, padding, dilation):
    """Sum of gw[o,c,k,l] = gy[n,o,i,j] x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] over n, i, j; stored as (KH, KW, C, O).

    Gathers like conv2d, one kernel row at a time, so that a partial sum is only KW*C*O numbers: which pixels share a
    partial sum depends on the shapes alone, and partial sums are added in order.
    Reads x about KH*KW/(SH*SW) times, all but the first from cache, and gy KH times.
    """
    x, gy = channels_last(x), channels_last(gy)
    C, O = x.shape[3], gy.shape[3]
    if winograd.pays(len(x), gy.shape[1:3], C, O, kernel_size, stride, dilation, x.dtype):
        gw = winograd.conv2d_weight_grad(x, gy, padding)
    elif gy.shape[1:3] == (1, 1) and padding == (0, 0) and kernel_size == x.shape[1:3] and dilation == (1, 1):
        gw = _outer_products_one_window(x, gy)
    elif stride == (1, 1) and O * GATHER_WINS <= C:  # windows of gy are smaller: the sum as x's pixels see it
        offset = tuple(p - (k - 1) * d for k, p, d in zip(kernel_size, padding, dilation, strict=True))
        mirrored = _outer_products(gy, x, kernel_size, stride, offset, dilation)  # (KH, KW, O, C)
        gw = np.ascontiguousarray(mirrored[::-1, ::-1].transpose(0, 1, 3, 2))
    else:
        gw = _outer_products(x, gy, kernel_size, stride, (-padding[0], -padding[1]), dilation)
    return gw.transpose(3, 2, 0, 1)  # (O, C, KH, KW)


def out_size(size, kernel, stride, padding, dilation):
    """How many windows fit along one axis.

    >>> out_size(32, 4, 2, 1, 1)
    16
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def filter_matrices(w):
    """(O, C, KH, KW) -> contiguous (KH, KW, C, O): a view when stored that way, else copied, the taps shared out."""
    matrices = w.transpose(2, 3, 1, 0)
    if matrices.flags.c_contiguous:
        return matrices
    copied = empty(matrices.shape, w.dtype)
    if w.size < SCRATCH_BYTES // 16:
        np.copyto(copied, matrices)
    else:
        for_each_block(lambda k: np.copyto(copied[k], matrices[k]), cut(len(copied), 1))
    return copied


# ------------------------------------------------------------------------------------------------------------ gather


def _gather(x, filters, y, b, stride, offset, dilation):
    """Fill y[n,i,j] = b + the window of x at (i, j)*stride + offset, times filters (KH, KW, C, O); y may be strided."""
    KH, KW, C, O = filters.shape
    OW, matrix = y.shape[2], filters.reshape(KH * KW * C, O)

    def block(where):
        images, rows = where
        out = y[where]  # (n, oh, OW, O)
        columns = _columns(_windows(x[images], rows, OW, (KH, KW), stride, offset, dilation))  # (n*oh*OW, KH*KW*C)
        if out.flags.c_contiguous:
            product = out.reshape(len(columns), O)
            np.matmul(columns, matrix, out=product)
            _add_bias(product, b)
        else:
            product = scratch("product", (len(columns), O), y.dtype)
            np.matmul(columns, matrix, out=product)
            _add_bias(product, b)
            out[...] = product.reshape(out.shape)

    for_each_block(block, _pixel_blocks(y, len(matrix) + O))


def _gather_phases(x, filters, y, b, stride, padding, dilation):
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
            _gather(x, np.ascontiguousarray(taps), phase, b, (1, 1), (top, left), (row_step, column_step))
        else:
            phase[...] = 0 if b is None else b


def _phases(size, kernel, stride, padding, dilation):
    """For each phase p of an axis: (p, its taps in the order of the rows of x they meet, the first row, their step)."""
    for p in range(min(stride, size)):
        taps = [k for k in reversed(range(kernel)) if (p + padding - k * dilation) % stride == 0]
        first = (p + padding - taps[0] * dilation) // stride if taps else 0
        yield p, taps, first, dilation // math.gcd(dilation, stride)


def _windows(x, rows, width, kernel, stride, offset, dilation):
    """A view (n, oh, OW, KH, KW, C): what the windows of the output rows `rows` see of x, zero beyond its edges."""
    (SH, SW), (DH, DW), (KH, KW) = stride, dilation, kernel
    row_step = SH if KH == 1 else 1  # one kernel row sees only every SH-th row of x
    height = rows.stop - rows.start
    tall = height if KH == 1 else (height - 1) * SH + (KH - 1) * DH + 1
    wide = (width - 1) * SW + (KW - 1) * DW + 1
    seen = framed(x, (rows.start * SH + offset[0], offset[1]), (tall, wide), row_step)
    n, h, w, c = seen.strides
    strides = (n, h * SH // row_step, w * SW, h * DH, w * DW, c)
    return np.lib.stride_tricks.as_strided(seen, (len(x), height, width, KH, KW, x.shape[3]), strides, writeable=False)


def _columns(windows):
    """(n, oh, OW, KH, KW, C) windows as a matrix (n*oh*OW, KH*KW*C): in scratch, unless they already lie like that."""
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


# ------------------------------------------------------------------------------------------------------------ spread


def _spread(x, taps, y, b, stride, offset, dilation):
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

    for_each_block(block, _pixel_blocks(y, 2 * C_out))


def _spread_narrow(x, taps, y, b, stride, offset, dilation):
    """_spread for very few channels out: one product for all taps, with a plane of pixels per tap and channel.

    Runs of one or three channels would cost more than the additions; rows of pixels are long.
    """
    KH, KW, C_in, C_out = taps.shape
    H, W = x.shape[1:3]
    matrix = np.ascontiguousarray(taps.transpose(0, 1, 3, 2)).reshape(-1, C_in)  # (KH*KW*C_out, C_in)
    across = [_landing(W, slice(0, y.shape[2]), stride[1], offset[1] + l * dilation[1]) for l in range(KW)]

    def block(where):
        images, rows = where
        total = scratch("total", (C_out, *y[where].shape[:3]), y.dtype)
        total[...] = 0 if b is None else b[:, None, None, None]
        down = [_landing(H, rows, stride[0], offset[0] + k * dilation[0]) for k in range(KH)]
        first = min((h.start for h, _ in down if h.stop), default=0)
        pixels = x[images, first : max(h.stop for h, _ in down)]  # (n, h, W, C_in)
        planes = scratch("planes", (KH, KW, C_out, *pixels.shape[:3]), y.dtype)
        np.matmul(matrix, pixels.reshape(-1, C_in).T, out=planes.reshape(len(matrix), -1))
        for k, (h, p) in enumerate(down):
            for l, (w, q) in enumerate(across):
                total[:, :, _from(p, rows.start), q] += planes[k, l, :, :, _from(h, first), w]
        y[where] = total.transpose(1, 2, 3, 0)

    for_each_block(block, _pixel_blocks(y, len(matrix) // (stride[0] * stride[1]) + C_in + C_out))


def _landing(size, into, stride, shift):
    """Which of `size` positions i land in the slice `into` at i*stride + shift, and where: two slices."""
    first = min(max(0, -((shift - into.start) // stride)), size)
    last = min(max(first, -((shift - into.stop) // stride)), size)
    if first == last:
        return slice(0, 0), slice(0, 0)
    return slice(first, last), slice(first * stride + shift, (last - 1) * stride + shift + 1, stride)


def _from(positions, start):
    """A slice counted from `start` on."""
    return slice(positions.start - start, positions.stop - start, positions.step) if positions.stop else positions


def _spread_one_pixel(x, filters, y, b):
    """From 1x1 images, as DCGAN's generator begins: y (N, KH*KW*C) = x (N, O) @ filters^T, cut along the filters."""
    N, O = len(x), filters.shape[3]
    matrix, pixels, out = filters.reshape(-1, O), x.reshape(N, O), y.reshape(N, -1)
    blocks = cut(len(matrix), max(64, SCRATCH_BYTES // 8 // ((N + O) * x.itemsize)))
    for_each_block(lambda part: np.matmul(pixels, matrix[part].T, out=out[:, part]), blocks)
    _add_bias(y, b)


# ---------------------------------------------------------------------------------------------------- outer products


def _outer_products(x, g, kernel, stride, offset, dilation):
    """(KH, KW, C, O): the sum over all pixels (i, j) of g of [what each tap sees of x at (i, j)] times g[i, j]."""
    (KH, KW), C, O = kernel, x.shape[3], g.shape[3]
    at_once = KH if KH * KW * C <= FEW_WEIGHTS else 1  # kernel rows to a product
    depth = at_once * KW * C
    blocks = _pixel_blocks(g, depth)
    groups = cut(len(blocks), -(-len(blocks) // _group_count(KH * KW * C * O * x.itemsize)))
    sums = empty((len(groups), KH // at_once, depth, O), x.dtype)

    def task(which):
        group, k = which
        corner = (offset[0] + k * dilation[0], offset[1])
        for number, (images, rows) in enumerate(blocks[groups[group]]):
            columns = _columns(_windows(x[images], rows, g.shape[2], (at_once, KW), stride, corner, dilation))
            some = g[images, rows].reshape(-1, O)  # (n*oh*OW, O); columns are (n*oh*OW, at_once*KW*C)
            if number == 0:
                np.matmul(columns.T, some, out=sums[group, k])
            else:
                sums[group, k] += np.matmul(columns.T, some, out=scratch("product", (depth, O), x.dtype))

    for_each_block(task, [(group, k) for group in range(len(groups)) for k in range(KH // at_once)])
    for group in range(1, len(groups)):
        sums[0] += sums[group]
    return sums[0].reshape(KH, KW, C, O)


def _outer_products_one_window(x, g):
    """(KH, KW, C, O) where one window covers the whole image: x^T (KH*KW*C, N) @ g (N, O), cut along x's pixels."""
    N, KH, KW, C = x.shape
    columns, some = x.reshape(N, KH * KW * C), g.reshape(N, -1)
    gw = empty((KH, KW, C, some.shape[1]), x.dtype)
    products = gw.reshape(KH * KW * C, -1)
    blocks = cut(len(products), max(64, SCRATCH_BYTES // 8 // ((N + some.shape[1]) * x.itemsize)))
    for_each_block(lambda part: np.matmul(columns[:, part].T, some, out=products[part]), blocks)
    return gw


def _group_count(weight_bytes):
    """How many partial sums of all the weights: more of them share the work better, fewer are added sooner."""
    return int(np.clip(4 * SCRATCH_BYTES // max(1, weight_bytes), 2, 16))


def _pixel_blocks(y, numbers_per_pixel):
    """Blocks of whole rows of y that fill a worker's scratch, and at least four of them if they are worth sharing.

    Not many more: in small blocks threads mostly wait for the interpreter lock.
    """
    N, OH, OW = y.shape[:3]
    pixels = min(SCRATCH_BYTES // (numbers_per_pixel * y.itemsize), max(64, N * OH * OW // 4))
    return image_blocks(N, OH, max(1, pixels // max(1, OW)))


def _add_bias(pixels, b):
    if b is not None:
        pixels += b
