"""Convolution and its two adjoints on channels-last arrays: three sums over the same triples (pixel, tap, pixel).

    T(x, w, g) = sum_{n,o,i,j,c,k,l}  g[n,o,i,j]  x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW]  w[o,c,k,l]

The one idea: all arithmetic is matrix products of a block that stays in cache, and memory is only ever moved in runs of
whole channels. There are two ways to do that, and each function takes the cheaper:

    gather     copy the KH*KW pixels under each window side by side (KH*KW*C numbers), then one product per block
    spread     one product per tap on the pixels as they lie (O numbers per tap), then add each where its tap lands

Filters are needed as matrices, (KH, KW, C, O) and contiguous, by all three functions; layers store them so, and another
order is copied once. In conv_transpose2d, the adjoint, O counts the channels that go in and C those that come out.
"""

from __future__ import annotations

import numpy as np

from ..geometry import filter_matrices, mirrored_widths, out_size
from ..values import Array, Pair
from . import gather, spread
from .memory import channels_first, channels_last, contiguous, empty
from .pad import pad

__all__ = ["conv2d", "conv2d_weight_grad", "conv_transpose2d"]

GATHER_WINS = 4  # spreading also pays for the additions: it must move this many times less


def conv2d(
    x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, reflect: bool = False
) -> Array:
    """Correlate: y[n,o,i,j] = b[o] + sum_{c,k,l} x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] w[o,c,k,l], stored channels-last.

    Beyond x's edges are zeros or, with reflect, x mirrored as by `pad`.

    Gathers: reads x about KH*KW/(SH*SW) times, all but the first from cache, and writes y once; 2*KH*KW*C*O operations
    a pixel. DCGAN-32's 64 -> 128 layer, batch 64: 1.1 GFLOP for 7 MB. Few filters (O << C) at stride 1 spread instead.
    """
    if reflect:
        x, padding = pad(x, mirrored_widths(padding), "reflect"), (0, 0)
    x, filters = channels_last(x), contiguous(filter_matrices(w))  # (N, H, W, C), (KH, KW, C, O)
    KH, KW, C, O = filters.shape
    OH, OW = (out_size(*axis) for axis in zip(x.shape[1:3], (KH, KW), stride, padding, dilation, strict=True))
    y = empty((len(x), OH, OW, O), x.dtype)
    if stride == (1, 1) and O * GATHER_WINS <= C and (OH, OW) != (1, 1):
        backwards = (-dilation[0], -dilation[1])  # as a pixel of x sees the taps
        spread.add_taps(x, filters, y, b, (1, 1), padding, backwards)
    else:
        gather.correlate(x, filters, y, b, stride, (-padding[0], -padding[1]), dilation)
    return channels_first(y)


def conv_transpose2d(
    x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> Array:
    """The adjoint of conv2d in x: y[n,c,p,q] = b[c] + sum of x[n,o,i,j] w[o,c,k,l] where p = i*SH-PH+k*DH, q likewise.

    w is (C_in, C_out, KH, KW), which is conv2d's (O, C, KH, KW). No zero is ever multiplied: x's pixels spread to where
    their taps land, or, when few channels come in, each of the SH*SW phases of y gathers from x by itself.
    """
    x, filters = channels_last(x), contiguous(filter_matrices(w))  # (N, H, W, O), (KH, KW, C, O)
    KH, KW, C, O = filters.shape
    y = empty((len(x), *output_size, C), x.dtype)
    if x.shape[1:3] == (1, 1) and padding == (0, 0) and dilation == (1, 1) and output_size == (KH, KW):
        spread.one_pixel(x, filters, y, b)
    elif O * GATHER_WINS <= C:
        gather.correlate_phases(x, filters, y, b, stride, padding, dilation)
    else:
        offset = -padding[0], -padding[1]
        spread.add_taps(x, filters.transpose(0, 1, 3, 2), y, b, stride, offset, dilation)
    return channels_first(y)


def conv2d_weight_grad(
    x: Array, gy: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, reflect: bool = False
) -> Array:
    """Sum of gw[o,c,k,l] = gy[n,o,i,j] x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] over n, i, j; stored as (KH, KW, C, O).

    Gathers like conv2d, one kernel row at a time, so that a partial sum is only KW*C*O numbers: which pixels share a
    partial sum depends on the shapes alone, and partial sums are added in order.
    Reads x about KH*KW/(SH*SW) times, all but the first from cache, and gy KH times.
    """
    if reflect:
        x, padding = pad(x, mirrored_widths(padding), "reflect"), (0, 0)
    x, gy = channels_last(x), channels_last(gy)  # (N, H, W, C), (N, OH, OW, O)
    C, O = x.shape[3], gy.shape[3]
    if gy.shape[1:3] == (1, 1) and padding == (0, 0) and kernel_size == x.shape[1:3] and dilation == (1, 1):
        gw = gather.outer_products_of_one_window(x, gy)
    elif stride == (1, 1) and O * GATHER_WINS <= C:  # windows of gy are smaller: the sum as x's pixels see it
        (KH, KW), (PH, PW), (DH, DW) = kernel_size, padding, dilation
        offset = PH - (KH - 1) * DH, PW - (KW - 1) * DW
        mirrored = gather.outer_products(gy, x, kernel_size, stride, offset, dilation)  # (KH, KW, O, C)
        gw = np.ascontiguousarray(mirrored[::-1, ::-1].transpose(0, 1, 3, 2))
    else:
        gw = gather.outer_products(x, gy, kernel_size, stride, (-padding[0], -padding[1]), dilation)
    return gw.transpose(3, 2, 0, 1)  # (O, C, KH, KW)
