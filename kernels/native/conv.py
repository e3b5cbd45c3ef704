"""Convolution and its two adjoints in C. Twin: cpu/conv.py."""

from __future__ import annotations

import numpy as np

from .. import cpu
from ..cpu.memory import channels_first, channels_last, contiguous, empty
from ..geometry import filter_matrices, out_size
from ..values import Array, Pair
from . import winograd

__all__ = ["conv2d", "conv2d_weight_grad", "conv_transpose2d"]


def conv2d(x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """`cpu.conv2d`."""
    O, C, *kernel = w.shape
    size = tuple(out_size(*axis) for axis in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True))
    algorithm = winograd.cheapest(len(x), size, C, O, tuple(kernel), stride, dilation)
    if algorithm is None or not _float32(x, w, b):
        return cpu.conv2d(x, w, b, stride, padding, dilation)
    y = empty((len(x), *size, O), x.dtype)
    winograd.forward(algorithm, channels_last(x), contiguous(filter_matrices(w)), b, y, padding)
    return channels_first(y)


def conv_transpose2d(
    x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> Array:
    """`cpu.conv_transpose2d`."""
    O, C, *kernel = w.shape
    algorithm = winograd.cheapest(len(x), x.shape[2:], C, O, tuple(kernel), stride, dilation)
    if algorithm is None or not _float32(x, w, b):
        return cpu.conv_transpose2d(x, w, b, stride, padding, dilation, output_size)
    y = empty((len(x), *output_size, C), x.dtype)
    winograd.adjoint(algorithm, channels_last(x), contiguous(filter_matrices(w)), b, y, padding)
    return channels_first(y)


def conv2d_weight_grad(
    x: Array, gy: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """`cpu.conv2d_weight_grad`."""
    C, O = x.shape[1], gy.shape[1]
    algorithm = winograd.cheapest(len(x), gy.shape[2:], C, O, kernel_size, stride, dilation)
    if algorithm is None or not _float32(x, gy):
        return cpu.conv2d_weight_grad(x, gy, kernel_size, stride, padding, dilation)
    gw = empty((*kernel_size, C, O), x.dtype)
    winograd.weights(algorithm, channels_last(x), channels_last(gy), gw, padding)
    return gw.transpose(3, 2, 0, 1)  # (O, C, KH, KW)


def _float32(*arrays: Array | None) -> bool:
    return all(array is None or (array.dtype == np.float32 and array.flags.aligned) for array in arrays)
