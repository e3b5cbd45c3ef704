"""Up-convolution, nearest up-sampling and a convolution in one, as a transposed convolution with blurred filters.

Blurred filters are sums of shifted ones. The up-convolution and its two adjoints are, like conv2d's, three sums over
the same triples (pixel, tap, enlarged pixel).
"""

from __future__ import annotations

import numpy as np

from ..geometry import blurred_geometry, enlarged_size
from ..values import Array, Pair
from .conv import conv2d, conv2d_weight_grad, conv_transpose2d

__all__ = ["blur_filters", "unblur_filters", "upconv2d", "upconv2d_adjoint", "upconv2d_weight_grad"]

ONE = (1, 1)


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


def upconv2d(x: Array, w: Array, b: Array | None, scale: Pair, padding: Pair) -> Array:
    """Enlarge x (N, C, H, W) by repeating pixels, then conv2d with w (O, C, KH, KW), b (O,) or None, at stride 1."""
    size = enlarged_size(x.shape[2:], w.shape[2:], scale, padding)
    _, rest = blurred_geometry(w.shape[2:], scale, padding)
    return conv_transpose2d(x, blur_filters(w, scale), b, scale, rest, ONE, size)


def upconv2d_adjoint(g: Array, w: Array, scale: Pair, padding: Pair) -> Array:
    """The adjoint of upconv2d in x: g (N, O, OH, OW) -> (N, C, H, W)."""
    _, rest = blurred_geometry(w.shape[2:], scale, padding)
    return conv2d(g, blur_filters(w, scale), None, scale, rest, ONE)


def upconv2d_weight_grad(x: Array, g: Array, kernel_size: Pair, scale: Pair, padding: Pair) -> Array:
    """The adjoint of upconv2d in w: x (N, C, H, W) and g (N, O, OH, OW) -> (O, C, KH, KW)."""
    blurred, rest = blurred_geometry(kernel_size, scale, padding)
    return unblur_filters(conv2d_weight_grad(g, x, blurred, scale, rest, ONE), scale)
