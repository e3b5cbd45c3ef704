"""Launches filters.cu: the filters of an up-convolution written as a transposed convolution, and the adjoint."""

from __future__ import annotations

from ..values import DeviceArray, Pair
from .loader import kernel
from .memory import contiguous, empty

__all__ = ["blur_filters", "unblur_filters"]

THREADS = 256


def blur_filters(w: DeviceArray, scale: Pair) -> DeviceArray:
    """Turn w (O, C, KH, KW) into (C, O, KH+SH-1, KW+SW-1), stored as (KH+SH-1, KW+SW-1, O, C)."""
    (KH, KW), (SH, SW) = w.shape[2:], scale
    y = _flip_and_sum(w.transpose(2, 3, 0, 1), (KH + SH - 1, KW + SW - 1), (KH - 1, KW - 1), scale)
    return y.transpose(3, 2, 0, 1)  # (C, O, KH+SH-1, KW+SW-1)


def unblur_filters(g: DeviceArray, scale: Pair) -> DeviceArray:
    """The adjoint: g (C, O, KH+SH-1, KW+SW-1) -> (O, C, KH, KW), stored as (KH, KW, O, C)."""
    KH, KW = (n - s + 1 for n, s in zip(g.shape[2:], scale, strict=True))
    y = _flip_and_sum(g.transpose(2, 3, 1, 0), (KH, KW), (KH - 1, KW - 1), scale)
    return y.transpose(2, 3, 0, 1)  # (O, C, KH, KW)


def _flip_and_sum(x: DeviceArray, size: Pair, corner: Pair, scale: Pair) -> DeviceArray:
    """Turn x (H, W, O, C) into y (*size, O, C): y[i,j] = sum of x[top+a-i, left+b-j] over a < SH, b < SW."""
    x = contiguous(x)
    H, W, O, C = x.shape
    y = empty((*size, O, C), x.dtype, x)
    blocks = -(-y.size // THREADS)
    kernel("filters.cu", "flip_and_sum", x)(blocks, THREADS, (x, y, H, W, *size, O * C, *corner, *scale))
    return y
