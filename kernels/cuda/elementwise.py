"""Launches elementwise.cu, for arrays in any order of axes; the twin of cpu/elementwise.py.

Other elementwise work is left to CuPy's own kernels, which are as fast; each of these would take two or more launches.
"""

from __future__ import annotations

import math

import numpy as np

from ..values import FLOAT32, DeviceArray, DTypeLike, bfloat16, is_bfloat16, real_of
from . import memory, openings
from .grid import THREADS, flat, vector
from .loader import kernel

__all__ = ["add", "cast", "gate", "leaky_relu", "mix", "sigmoid", "softplus", "tanh", "tanh_grad"]


def add(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """Return a + b, of one shape, stored like a: one launch of CuPy's, which by itself stores sums in C order.

    Of two arrays of bfloat16, one of ours.
    """
    if is_bfloat16(a) and is_bfloat16(b):
        a = memory.dense(a)
        b, y = memory.in_order_of(a, b), memory.empty_like(a)
        vec = vector(4, a, b)
        kernel("elementwise.cu", "sum_of_two", a, VEC=vec)(flat(a.size, vec), THREADS, (a, b, y, a.size))
        return y
    order, back = memory.orders(a.strides)
    return (a.transpose(order) + b.transpose(order)).transpose(back)


def mix(a: DeviceArray, b: DeviceArray, share: DeviceArray) -> DeviceArray:
    """Return share a + (1 - share) b of samples a and b (N, ...), one share each, (N, 1, ...). Stored like a."""
    a = memory.dense(a)
    if memory.order_of(a)[:1] != (0,):
        a = memory.contiguous(a)
    b, y = memory.in_order_of(a, b), memory.empty_like(a)
    width = a.size // len(a)
    vec = vector(width, a, b)
    kernel("elementwise.cu", "mix", a, VEC=vec)(
        (len(a), flat(width, vec)), THREADS, (a, b, memory.dense(share), y, width))
    return y


def cast(x: DeviceArray, dtype: DTypeLike) -> DeviceArray:
    """`x` as another type of float, stored like x, rounded to nearest, ties to even; x itself if it has that type."""
    if x.dtype == dtype:
        return x
    if not (is_bfloat16(x) and dtype == FLOAT32) and not (x.dtype == FLOAT32 and dtype == bfloat16()):
        return x.astype(dtype)
    x = memory.dense(x)
    y = memory.empty_like(x, dtype)
    vec, out = vector(4, x), "bf16" if is_bfloat16(y) else "float"
    kernel("elementwise.cu", "cast", x, VEC=vec, OUT=out)(flat(x.size, vec), THREADS, (x, y, x.size))
    return y


def widened(x: DeviceArray, n: int, m: int) -> DeviceArray:
    """Lines of n numbers, float32 or bfloat16, as lines of m in bfloat16, with zeros at their ends: (lines, m)."""
    lines = x.size // n
    y = memory.empty((lines, m), bfloat16(), x)
    vec = math.gcd(m, 4)
    kernel("elementwise.cu", "widen", x, VEC=vec, OUT="bf16")(flat(y.size, vec), THREADS, (x, y, n, m, y.size))
    return y


def leaky_relu(x: DeviceArray, slope: float) -> DeviceArray:
    """Return y = x where x > 0, else slope*x; slope 0 is relu; NaN stays NaN. Stored like x.

    x itself, if the product before has written this already.
    """
    if openings.is_rectified(x, slope):
        return x
    x = memory.dense(x)
    y = memory.empty_like(x)
    vec = vector(4, x)
    kernel("elementwise.cu", "leaky_relu", x, VEC=vec)(flat(x.size, vec), THREADS, (x, slope, y, x.size))
    return y


def gate(g: DeviceArray, on: DeviceArray, slope: float) -> DeviceArray:
    """Return z = g where on > 0, else slope*g, stored like `on`.

    A closed gate of slope 0 lets nothing pass, not even NaN.
    """
    on = memory.dense(on)
    g, z = memory.in_order_of(on, g), memory.empty_like(on)
    vec = vector(4, g, on)
    kernel("elementwise.cu", "gate", on, VEC=vec)(flat(on.size, vec), THREADS, (g, on, slope, z, on.size))
    return z


def tanh_grad(g: DeviceArray, y: DeviceArray) -> DeviceArray:
    """Return z = g (1 - y^2), stored like y."""
    y = memory.dense(y)
    g, z = memory.in_order_of(y, g), memory.empty_like(y)
    vec = vector(4, g, y)
    kernel("elementwise.cu", "tanh_grad", y, VEC=vec)(flat(y.size, vec), THREADS, (g, y, z, y.size))
    return z


def sigmoid(x: DeviceArray) -> DeviceArray:
    """Return 1 / (1 + e^-x), accurate for any x. Stored like x; of bfloat16, as float32."""
    return _one_by_one("sigmoid", x)


def softplus(x: DeviceArray) -> DeviceArray:
    """Return ln(1 + e^x), accurate for any x. Stored like x; of bfloat16, as float32."""
    return _one_by_one("softplus", x)


def tanh(x: DeviceArray) -> DeviceArray:
    """Return the hyperbolic tangent, by CuPy's own kernel; of bfloat16, by one of ours."""
    if not is_bfloat16(x):
        order, back = memory.orders(x.strides)
        return np.tanh(x.transpose(order)).transpose(back)  # CuPy by itself stores results in C order
    x = memory.dense(x)
    y, vec = memory.empty_like(x), vector(4, x)
    kernel("elementwise.cu", "tanh_of", x, VEC=vec)(flat(x.size, vec), THREADS, (x, y, x.size))
    return y


def _one_by_one(name: str, x: DeviceArray) -> DeviceArray:
    x = memory.dense(cast(x, real_of(x)))
    y = memory.empty_like(x)
    kernel("elementwise.cu", name, x, VEC=1)(flat(x.size, 1), THREADS, (x, y, x.size))
    return y
