"""Launches filters.cu: the filters of an up-convolution written as a transposed convolution, and their adjoint."""

from __future__ import annotations

from .loader import kernel
from .memory import empty

THREADS = 256


def blur_filters(w, scale):
    """W (O, C, KH, KW) -> (C, O, KH+SH-1, KW+SW-1), stored as (KH+SH-1, KW+SW-1, O, C); see ops.blur_filters."""
    (KH, KW), (SH, SW) = w.shape[2:], scale
    y = _flip_and_sum(w.transpose(2, 3, 0, 1), (KH + SH - 1, KW + SW - 1), (KH - 1, KW - 1), scale)
    return y.transpose(3, 2, 0, 1)  # (C, O, KH+SH-1, KW+SW-1)


def unblur_filters(g, scale):
    """The adjoint: g (C, O, KH+SH-1, KW+SW-1) -> (O, C, KH, KW), stored as (KH, KW, O, C)."""
    KH, KW = (n - s + 1 for n, s in zip(g.shape[2:], scale, strict=True))
    y = _flip_and_sum(g.transpose(2, 3, 1, 0), (KH, KW), (KH - 1, KW - 1), scale)
    return y.transpose(2, 3, 0, 1)  # (O, C, KH, KW)


def _flip_and_sum(x, size, corner, scale):
    """X (H, W, O, C) -> (*size, O, C)."""
    x = x if x.flags.c_contiguous else x.copy(order="C")
    H, W, O, C = x.shape
    y = empty((*size, O, C), x.dtype, x)
    blocks = -(-y.size // THREADS)
    kernel("filters.cu", "flip_and_sum", x)(blocks, THREADS, (x, y, H, W, *size, O * C, *corner, *scale))
    return y
