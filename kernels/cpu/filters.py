"""The filters of an up-convolution written as a transposed convolution, and the adjoint: sums of shifted filters."""

from __future__ import annotations

import numpy as np

from ..values import Array, Pair

__all__ = ["blur_filters", "unblur_filters"]


def blur_filters(w: Array, scale: Pair) -> Array:
    """Turn w (O, C, KH, KW) into (C, O, KH+SH-1, KW+SW-1), stored as (KH+SH-1, KW+SW-1, O, C).

    y[c,o,r,q] = sum of w[o,c, KH-1+a-r, KW-1+b-q] over a < SH, b < SW, where inside w.
    """
    (KH, KW), (SH, SW) = w.shape[2:], scale
    flipped = w.transpose(2, 3, 0, 1)[::-1, ::-1]  # (KH, KW, O, C)
    y = np.zeros((KH + SH - 1, KW + SW - 1, *flipped.shape[2:]), w.dtype)
    for a, b in np.ndindex(SH, SW):
        y[a : a + KH, b : b + KW] += flipped
    return y.transpose(3, 2, 0, 1)  # (C, O, KH+SH-1, KW+SW-1), in the memory order of filters


def unblur_filters(g: Array, scale: Pair) -> Array:
    """The adjoint: g (C, O, KH+SH-1, KW+SW-1) -> (O, C, KH, KW), stored as (KH, KW, O, C)."""
    KH, KW = (n - s + 1 for n, s in zip(g.shape[2:], scale, strict=True))
    taps = g.transpose(2, 3, 1, 0)  # (KH+SH-1, KW+SW-1, O, C)
    y = np.zeros((KH, KW, *taps.shape[2:]), g.dtype)
    for a, b in np.ndindex(*scale):
        y += taps[a : a + KH, b : b + KW]
    return np.ascontiguousarray(y[::-1, ::-1]).transpose(2, 3, 0, 1)  # (O, C, KH, KW)
