"""Convolution and its two adjoints in C. Twin: cpu/conv.py."""

from __future__ import annotations

import numpy as np

from .. import cpu
from ..cpu.memory import channels_first, channels_last, contiguous, empty
from ..geometry import filter_matrices, out_sizes
from ..values import Array, Pair
from . import direct, winograd

__all__ = ["conv2d", "conv2d_weight_grad", "conv_transpose2d"]


def conv2d(x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """`cpu.conv2d`."""
    O, C, KH, KW = w.shape
    OH, OW = out_sizes(x.shape[2:], (KH, KW), stride, padding, dilation)
    algorithm = winograd.cheapest(len(x), (OH, OW), C, O, (KH, KW), stride, dilation, "forward", x.shape[2:])
    if not are_known(x, w, b):
        return cpu.conv2d(x, w, b, stride, padding, dilation)
    y, filters = empty((len(x), OH, OW, O), x.dtype), contiguous(filter_matrices(w))  # (KH, KW, C, O)
    if algorithm is None:
        direct.forward(channels_last(x), filters, b, y, stride, padding, dilation)
    else:
        winograd.forward(algorithm, channels_last(x), filters, b, y, padding)
    return channels_first(y)


def conv_transpose2d(
    x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> Array:
    """`cpu.conv_transpose2d`."""
    (O, C, KH, KW), (N, _, H, W) = w.shape, x.shape
    algorithm = winograd.cheapest(N, (H, W), C, O, (KH, KW), stride, dilation, "adjoint", output_size)
    if not are_known(x, w, b):
        return cpu.conv_transpose2d(x, w, b, stride, padding, dilation, output_size)
    y, filters = empty((N, *output_size, C), x.dtype), contiguous(filter_matrices(w))  # (KH, KW, C, O)
    if algorithm is None:
        direct.adjoint(channels_last(x), filters, b, y, stride, padding, dilation)
    else:
        winograd.adjoint(algorithm, channels_last(x), filters, b, y, padding)
    return channels_first(y)


def conv2d_weight_grad(
    x: Array, gy: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """`cpu.conv2d_weight_grad`."""
    C, (N, O, OH, OW) = x.shape[1], gy.shape
    algorithm = winograd.cheapest(N, (OH, OW), C, O, kernel_size, stride, dilation, "weights", x.shape[2:])
    if not are_known(x, gy):
        return cpu.conv2d_weight_grad(x, gy, kernel_size, stride, padding, dilation)
    gw = empty((*kernel_size, C, O), x.dtype)
    if algorithm is None:
        direct.weights(channels_last(x), channels_last(gy), gw, stride, padding, dilation)
    else:
        winograd.weights(algorithm, channels_last(x), channels_last(gy), gw, padding)
    return gw.transpose(3, 2, 0, 1)  # (O, C, KH, KW)


def are_known(*arrays: Array | None) -> bool:
    """Whether C computes with these: float32, not empty."""
    return all(array is None or (array.dtype == np.float32 and array.size > 0) for array in arrays)
