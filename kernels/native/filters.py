"""The filters of an up-convolution, and the adjoint, which here has the memory order of filters: filters.c.

Twin: cpu/filters.py.
"""

from __future__ import annotations

import numpy as np

from .. import cpu
from ..cpu.blocks import get_threads
from ..cpu.memory import contiguous, empty
from ..values import Array, Pair
from .library import LIBRARY

__all__ = ["blur_filters", "unblur_filters"]


def blur_filters(w: Array, scale: Pair) -> Array:
    """`cpu.blur_filters` in one pass."""
    if w.dtype != np.float32 or w.size == 0:
        return cpu.blur_filters(w, scale)
    (O, C, KH, KW), (SH, SW) = w.shape, scale
    y = empty((KH + SH - 1, KW + SW - 1, O, C), w.dtype)
    _shift(w.transpose(2, 3, 1, 0), y, scale, (KH - 1, KW - 1))
    return y.transpose(3, 2, 0, 1)  # (C, O, KH+SH-1, KW+SW-1)


def unblur_filters(g: Array, scale: Pair) -> Array:
    """`cpu.unblur_filters` in one pass, but stored as (KH, KW, C, O), as filters are: an optimiser need not copy it."""
    C, O, *size = g.shape
    KH, KW = (n - s + 1 for n, s in zip(size, scale, strict=True))
    if g.dtype != np.float32 or g.size == 0 or min(KH, KW) < 1:
        return cpu.unblur_filters(g, scale)
    y = empty((KH, KW, C, O), g.dtype)
    _shift(g.transpose(2, 3, 1, 0), y, scale, (KH - 1, KW - 1))
    return y.transpose(3, 2, 0, 1)  # (O, C, KH, KW)


def _shift(w: Array, y: Array, scale: Pair, first: Pair) -> None:
    """Fill y (OH, OW, B, A) with sums of w (KH, KW, A, B)."""
    LIBRARY.shifted_filters(get_threads(), contiguous(w), y, *w.shape, *y.shape[:2], *scale, *first)
