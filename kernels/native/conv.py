"""Convolution and its two adjoints in C. Twin: cpu/conv.py."""

from __future__ import annotations

from .. import cpu
from ..cpu.memory import channels_first, channels_last, contiguous, empty
from ..geometry import filter_matrices, mirrored_widths, out_sizes
from ..values import FLOAT32, Array, Pair
from . import direct, winograd
from .pad import pad

__all__ = ["conv2d", "conv2d_weight_grad", "conv_transpose2d"]


def conv2d(
    x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, reflect: bool = False
) -> Array:
    """`cpu.conv2d`. A mirrored border is read where it is mirrored; only the direct way needs a copy with it."""
    if not are_known(x, w, b):
        return cpu.conv2d(x, w, b, stride, padding, dilation, reflect)
    O, C, KH, KW = w.shape
    OH, OW = out_sizes(x.shape[2:], (KH, KW), stride, padding, dilation)
    size = _size(x, padding, reflect)
    algorithm = winograd.cheapest(len(x), (OH, OW), C, O, (KH, KW), stride, dilation, "forward", size)
    y, filters = empty((len(x), OH, OW, O), x.dtype), contiguous(filter_matrices(w))  # (KH, KW, C, O)
    if algorithm is None:
        x, padding = _with_border(x, padding, reflect)
        direct.forward(channels_last(x), filters, b, y, stride, padding, dilation)
    else:
        winograd.forward(algorithm, channels_last(x), filters, b, y, padding, reflect)
    return channels_first(y)


def conv_transpose2d(
    x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> Array:
    """`cpu.conv_transpose2d`."""
    if not are_known(x, w, b):
        return cpu.conv_transpose2d(x, w, b, stride, padding, dilation, output_size)
    (O, C, KH, KW), (N, _, H, W) = w.shape, x.shape
    algorithm = winograd.cheapest(N, (H, W), C, O, (KH, KW), stride, dilation, "adjoint", output_size)
    y, filters = empty((N, *output_size, C), x.dtype), contiguous(filter_matrices(w))  # (KH, KW, C, O)
    if algorithm is None:
        direct.adjoint(channels_last(x), filters, b, y, stride, padding, dilation)
    else:
        winograd.adjoint(algorithm, channels_last(x), filters, b, y, padding)
    return channels_first(y)


def conv2d_weight_grad(
    x: Array, gy: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, reflect: bool = False
) -> Array:
    """`cpu.conv2d_weight_grad`; for a mirrored border, see conv2d."""
    if not are_known(x, gy):
        return cpu.conv2d_weight_grad(x, gy, kernel_size, stride, padding, dilation, reflect)
    C, (N, O, OH, OW) = x.shape[1], gy.shape
    size = _size(x, padding, reflect)
    algorithm = winograd.cheapest(N, (OH, OW), C, O, kernel_size, stride, dilation, "weights", size)
    gw = empty((*kernel_size, C, O), x.dtype)
    if algorithm is None:
        x, padding = _with_border(x, padding, reflect)
        direct.weights(channels_last(x), channels_last(gy), gw, stride, padding, dilation)
    else:
        winograd.weights(algorithm, channels_last(x), channels_last(gy), gw, padding, reflect)
    return gw.transpose(3, 2, 0, 1)  # (O, C, KH, KW)


def _size(x: Array, padding: Pair, reflect: bool) -> Pair:
    """Of the images that are convolved: a mirrored border is part of them."""
    H, W = x.shape[2:]
    return (H + 2 * padding[0], W + 2 * padding[1]) if reflect else (H, W)


def _with_border(x: Array, padding: Pair, reflect: bool) -> tuple[Array, Pair]:
    """Images for a convolution with a border of zeros, and that border: if it is mirrored, it becomes part of them."""
    if not reflect or padding == (0, 0):
        return x, padding
    return pad(x, mirrored_widths(padding), "reflect"), (0, 0)


def are_known(*arrays: Array | None) -> bool:
    """Whether C computes with these: float32, not empty."""
    return all(array is None or (array.dtype == FLOAT32 and array.size > 0) for array in arrays)
