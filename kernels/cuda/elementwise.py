"""Launches elementwise.cu, for arrays in any order of axes; the twin of cpu/elementwise.py.

Other elementwise work is left to CuPy's own kernels, which are as fast; each of these would take two or more launches.
"""

from __future__ import annotations

import numpy as np

from ..values import DeviceArray
from . import memory
from .grid import THREADS, flat, vector
from .loader import kernel

__all__ = ["add", "gate", "leaky_relu", "sigmoid", "softplus", "tanh", "tanh_grad"]


def add(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """Return a + b, of one shape, stored like a: one launch of CuPy's, which by itself stores sums in C order."""
    order, back = memory.orders(a.strides)
    return (a.transpose(order) + b.transpose(order)).transpose(back)


def leaky_relu(x: DeviceArray, slope: float) -> DeviceArray:
    """Return y = x where x > 0, else slope*x; slope 0 is relu; NaN stays NaN. Stored like x."""
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
    """Return 1 / (1 + e^-x), accurate for any x. Stored like x."""
    return _one_by_one("sigmoid", x)


def softplus(x: DeviceArray) -> DeviceArray:
    """Return ln(1 + e^x), accurate for any x. Stored like x."""
    return _one_by_one("softplus", x)


def tanh(x: DeviceArray) -> DeviceArray:
    """Return the hyperbolic tangent, by CuPy's own kernel."""
    return np.tanh(x)


def _one_by_one(name: str, x: DeviceArray) -> DeviceArray:
    x = memory.dense(x)
    y = memory.empty_like(x)
    kernel("elementwise.cu", name, x, VEC=1)(flat(x.size, 1), THREADS, (x, y, x.size))
    return y
