"""Elementwise operations worth a kernel: rectifiers, their derivative, the gate; tanh and its; sigmoid, softplus; sums.

Other elementwise work is left to NumPy. leaky_relu and the gate are in every layer of a GAN and need several passes;
np.where or a boolean mask would cost more than ten times an addition. So they go in blocks that stay in cache from pass
to pass, and the gate selects with integer operations on the floats' bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..values import Array, DTypeLike
from .blocks import PASS, SHARED, cut, for_each_block
from .memory import empty_like, in_order_of, scratch

__all__ = ["add", "cast", "gate", "leaky_relu", "mix", "sigmoid", "softplus", "tanh", "tanh_grad"]

ZEROS = {np.dtype(dtype): np.zeros(PASS, dtype) for dtype in (np.float32, np.float64)}


def add(a: Array, b: Array) -> Array:
    """Return a + b, of one shape, stored like a."""
    y = empty_like(a)
    np.add(a, b, out=y)
    return y


def mix(a: Array, b: Array, share: Array) -> Array:
    """Return share a + (1 - share) b of samples a and b (N, ...) of one shape, one share each, (N, 1, ...)."""
    y: Array = a * share + b * (1 - share)
    return y


def cast(x: Array, dtype: DTypeLike) -> Array:
    """`x` as another type of float, stored like x, rounded to nearest, ties to even; x itself if it has that type."""
    return x.astype(dtype, copy=False)


def leaky_relu(x: Array, slope: float) -> Array:
    """Return y = x where x > 0, else slope*x; slope 0 is relu; NaN stays NaN. Stored like x; reads x, writes y."""
    y = empty_like(x)
    _by_blocks(lambda x, y: _leaky_relu(x, slope, y), x, y)
    return y


def _leaky_relu(x: Array, slope: float, y: Array) -> None:
    if slope == 0:  # not 0*x, which is NaN at infinity
        np.maximum(x, zeros(x), out=y)
    else:
        np.multiply(x, slope, out=y)
        (np.maximum if slope <= 1 else np.minimum)(x, y, out=y)


def rectify(block: Array, slope: float) -> None:
    """leaky_relu in place, on a contiguous block that another kernel has in cache; slope >= 0."""
    flat = block.reshape(-1)
    scaled = zeros(flat) if slope == 0 else np.multiply(flat, slope, out=scratch("scaled", flat.shape, flat.dtype))
    (np.maximum if slope <= 1 else np.minimum)(flat, scaled, out=flat)


def gate(g: Array, on: Array, slope: float) -> Array:
    """Return z = g where on > 0, else slope*g: the derivative of (leaky_)relu, `on` its input or (slope >= 0) output.

    Stored like `on`. Nothing passes a closed gate of slope 0, not even NaN. Reads g and on, writes z, all once.
    """
    z = empty_like(on)
    _by_blocks(lambda g, on, z: gate_into(g, on, z, slope), g, on, z)
    return z


def gate_into(g: Array, on: Array, z: Array, slope: float) -> None:
    """`gate` on flat pieces. For floats, on > 0 is bits > 0 with the same bits read as an integer, also for -0.0.

    So -max(bits, 0) has its sign set exactly where the gate is open, and the shift spreads that sign over all bits.
    """
    bits, sign = (np.int32, 31) if on.dtype == np.float32 else (np.int64, 63)
    is_open = scratch("open", on.shape, bits)
    np.maximum(on.view(bits), zeros(on).view(bits), out=is_open)
    np.negative(is_open, out=is_open)
    np.right_shift(is_open, sign, out=is_open)
    if slope == 0:
        np.bitwise_and(g.view(bits), is_open, out=z.view(bits))
        return
    one, closed = np.array([1, slope], on.dtype).view(bits)
    np.bitwise_and(is_open, one ^ closed, out=is_open)
    np.bitwise_xor(is_open, closed, out=is_open)  # the bits of 1.0 or of slope
    np.multiply(g, is_open.view(on.dtype), out=z)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x): with t = e^-|x|, which never overflows, 1/(1+t) or t/(1+t)."""
    t = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, t) / (1 + t)


def softplus(x: Array) -> Array:
    """Return ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent. At the door for the sake of its precision: it draws the images of a generator."""
    y: Array = np.tanh(x)
    return y


def tanh_grad(g: Array, y: Array) -> Array:
    """Return z = g (1 - y^2), the cotangent of tanh's input. Stored like y; reads g and y, writes z, all once."""
    z = empty_like(y)
    _by_blocks(_tanh_grad, g, y, z)
    return z


def _tanh_grad(g: Array, y: Array, z: Array) -> None:
    np.multiply(y, y, out=z)
    np.subtract(1, z, out=z)
    np.multiply(g, z, out=z)


def zeros(x: Array) -> Array:
    """len(x) zeros: the maximum of two arrays takes a third of the time of the maximum of an array and a number."""
    return ZEROS[x.dtype][: len(x)]


def _by_blocks(work: Callable[..., None], *arrays: Array) -> None:
    """work(*pieces) for flat pieces of arrays of one shape, in the memory order of the last, which is the output."""
    flat, size = [in_order_of(arrays[-1], array) for array in arrays], arrays[-1].size
    if size <= PASS:
        work(*flat)
    else:
        for_each_block(lambda piece: work(*(array[piece] for array in flat)), cut(size, PASS), share=size > SHARED)
