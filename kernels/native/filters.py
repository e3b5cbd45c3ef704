"""Up-convolution: with fewer products (winograd.c), or by blurred filters (filters.c), whichever is cheaper.

Twin: cpu/filters.py. The adjoint of the blur has here the memory order of filters.
"""

from __future__ import annotations

import numpy as np

from .. import cpu
from ..cpu.blocks import get_threads
from ..cpu.memory import channels_first, channels_last, contiguous, empty
from ..geometry import blurred_geometry, enlarged_size, filter_matrices
from ..values import Array, Pair
from . import winograd
from .conv import are_known, conv2d, conv2d_weight_grad, conv_transpose2d
from .library import LIBRARY

__all__ = ["blur_filters", "unblur_filters", "upconv2d", "upconv2d_adjoint", "upconv2d_weight_grad"]

ONE = (1, 1)


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


def upconv2d(x: Array, w: Array, b: Array | None, scale: Pair, padding: Pair) -> Array:
    """`cpu.upconv2d`."""
    (N, C, H, W), (O, _, *_) = x.shape, w.shape
    OH, OW = size = enlarged_size((H, W), w.shape[2:], scale, padding)
    if not are_known(x, w, b) or not winograd.enlarges("forward", N, (H, W), C, O, w.shape[2:], scale, padding):
        _, rest = blurred_geometry(w.shape[2:], scale, padding)
        return conv_transpose2d(x, blur_filters(w, scale), b, scale, rest, ONE, size)
    y = empty((N, OH, OW, O), x.dtype)
    winograd.forward(winograd.UP, channels_last(x), contiguous(filter_matrices(w)), b, y, padding)
    return channels_first(y)


def upconv2d_adjoint(g: Array, w: Array, scale: Pair, padding: Pair) -> Array:
    """`cpu.upconv2d_adjoint`."""
    (N, _, OH, OW), (O, C, *_), (SH, SW) = g.shape, w.shape, scale
    H, W = OH // SH, OW // SW
    if not are_known(g, w) or not winograd.enlarges("adjoint", N, (H, W), C, O, w.shape[2:], scale, padding):
        _, rest = blurred_geometry(w.shape[2:], scale, padding)
        return conv2d(g, blur_filters(w, scale), None, scale, rest, ONE)
    gx = empty((N, H, W, C), g.dtype)
    winograd.adjoint(winograd.UP, channels_last(g), contiguous(filter_matrices(w)), None, gx, padding)
    return channels_first(gx)


def upconv2d_weight_grad(x: Array, g: Array, kernel_size: Pair, scale: Pair, padding: Pair) -> Array:
    """`cpu.upconv2d_weight_grad`, stored as (KH, KW, C, O)."""
    (N, C, H, W), O = x.shape, g.shape[1]
    if not are_known(x, g) or not winograd.enlarges("weights", N, (H, W), C, O, kernel_size, scale, padding):
        blurred, rest = blurred_geometry(kernel_size, scale, padding)
        return unblur_filters(conv2d_weight_grad(g, x, blurred, scale, rest, ONE), scale)
    gw = empty((*kernel_size, C, O), x.dtype)
    winograd.weights(winograd.UP, channels_last(x), channels_last(g), gw, padding)
    return gw.transpose(3, 2, 0, 1)  # (O, C, KH, KW)


def _shift(w: Array, y: Array, scale: Pair, first: Pair) -> None:
    """Fill y (OH, OW, B, A) with sums of w (KH, KW, A, B)."""
    LIBRARY.shifted_filters(get_threads(), contiguous(w), y, *w.shape, *y.shape[:2], *scale, *first)
