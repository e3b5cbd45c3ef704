"""Launches filters.cu: the filters of an up-convolution written as a transposed convolution; and that convolution."""

from __future__ import annotations

from ..geometry import blurred_geometry, enlarged_size
from ..precision import get_precision
from ..values import DeviceArray, Pair, is_bfloat16
from .conv import conv2d, conv2d_weight_grad, conv_transpose2d
from .loader import kernel
from .memory import contiguous, empty, once
from .partials import parts_left

__all__ = ["blur_filters", "unblur_filters", "upconv2d", "upconv2d_adjoint", "upconv2d_weight_grad"]

ONE = (1, 1)
THREADS = 256


def blur_filters(w: DeviceArray, scale: Pair) -> DeviceArray:
    """Turn w (O, C, KH, KW) into (C, O, KH+SH-1, KW+SW-1), stored as (KH+SH-1, KW+SW-1, O, C)."""
    (KH, KW), (SH, SW) = w.shape[2:], scale
    y = _flip_and_sum(w.transpose(2, 3, 0, 1), (KH + SH - 1, KW + SW - 1), (KH - 1, KW - 1), scale)
    return y.transpose(3, 2, 0, 1)  # (C, O, KH+SH-1, KW+SW-1)


def unblur_filters(g: DeviceArray, scale: Pair) -> DeviceArray:
    """The adjoint: g (C, O, KH+SH-1, KW+SW-1) -> (O, C, KH, KW), stored as (KH, KW, O, C)."""
    return _unblurred(g, scale)


def _unblurred(g: DeviceArray, scale: Pair, partial: DeviceArray | None = None) -> DeviceArray:
    """unblur_filters of g or, with `partial`, of the sum of parts (parts, KH+SH-1, KW+SW-1, O, C) in g's place."""
    KH, KW = (n - s + 1 for n, s in zip(g.shape[2:], scale, strict=True))
    y = _flip_and_sum(g.transpose(2, 3, 1, 0), (KH, KW), (KH - 1, KW - 1), scale, partial)
    return y.transpose(2, 3, 0, 1)  # (O, C, KH, KW)


def upconv2d(x: DeviceArray, w: DeviceArray, b: DeviceArray | None, scale: Pair, padding: Pair) -> DeviceArray:
    """Enlarge x (N, C, H, W) by repeating pixels, then conv2d with w (O, C, KH, KW), b (O,) or None, at stride 1."""
    size = enlarged_size(x.shape[2:], w.shape[2:], scale, padding)
    _, rest = blurred_geometry(w.shape[2:], scale, padding)
    return conv_transpose2d(x, _blurred(w, scale), b, scale, rest, ONE, size)


def upconv2d_adjoint(g: DeviceArray, w: DeviceArray, scale: Pair, padding: Pair) -> DeviceArray:
    """The adjoint of upconv2d in x: g (N, O, OH, OW) -> (N, C, H, W)."""
    _, rest = blurred_geometry(w.shape[2:], scale, padding)
    return conv2d(g, _blurred(w, scale), None, scale, rest, ONE)


def upconv2d_weight_grad(x: DeviceArray, g: DeviceArray, kernel_size: Pair, scale: Pair, padding: Pair) -> DeviceArray:
    """The adjoint of upconv2d in w: x (N, C, H, W) and g (N, O, OH, OW) -> (O, C, KH, KW)."""
    blurred, rest = blurred_geometry(kernel_size, scale, padding)
    if scale != ONE and get_precision() != "bf16" and not is_bfloat16(g):  # then it is a product's result as it is
        with parts_left() as left:
            gw = conv2d_weight_grad(g, x, blurred, scale, rest, ONE)  # (C, O, KH+SH-1, KW+SW-1)
        if left.partial is None or left.are(gw):
            return _unblurred(gw, scale, left.partial)
    return unblur_filters(conv2d_weight_grad(g, x, blurred, scale, rest, ONE), scale)


def _blurred(w: DeviceArray, scale: Pair) -> DeviceArray:
    return once(w, ("blur", *scale), lambda: blur_filters(w, scale))


def _flip_and_sum(
    x: DeviceArray, size: Pair, corner: Pair, scale: Pair, partial: DeviceArray | None = None
) -> DeviceArray:
    """Turn x (H, W, O, C) into y (*size, O, C): y[i,j] = sum of x[top+a-i, left+b-j] over a < SH, b < SW."""
    x = contiguous(x)
    H, W, O, C = x.shape
    y = empty((*size, O, C), x.dtype, x)
    numbers = H, W, *size, O * C, *corner, *scale
    if partial is None:
        kernel("filters.cu", "flip_and_sum", x)(-(-y.size // THREADS), THREADS, (x, y, *numbers))
    else:
        kernel("filters.cu", "flip_and_sum_parts", partial)(
            -(-y.size // 32), (32, 8), (partial, y, *numbers, len(partial)))
    return y
