"""Initial weights. Each function returns a NumPy array of the wanted shape, drawn from minigan's own streams.

Filters (O, C, KH, KW) are stored so that the kernels need not rearrange them: `filters` gives that memory order.
"""

from __future__ import annotations

import math

import numpy as np

from minigan.random import Stream
from minigan.random import default as default_stream

Shape = tuple[int, ...]


def normal(shape: Shape, mean: float = 0.0, std: float = 0.02, stream: Stream | None = None) -> np.ndarray:
    """N(mean, std^2), float32; 0 and 0.02 are DCGAN's (Radford, Metz & Chintala, 2016)."""
    return (mean + std * (stream or default_stream).normal(shape)).astype(np.float32)


def uniform(shape: Shape, bound: float, stream: Stream | None = None) -> np.ndarray:
    """Uniform from -bound to bound, float32."""
    return ((2 * (stream or default_stream).uniform(shape) - 1) * bound).astype(np.float32)


def fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs one weight connects: of (out, in) or (O, C, KH, KW), whose taps count too.

    >>> fans((64, 3, 4, 4))
    (48, 1024)
    """
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def xavier(shape: Shape, gain: float = 1.0, stream: Stream | None = None) -> np.ndarray:
    """Uniform with variance 2 gain^2 / (fan_in + fan_out) (Glorot & Bengio, 2010)."""
    fan_in, fan_out = fans(shape)
    return uniform(shape, gain * math.sqrt(6 / (fan_in + fan_out)), stream)


def he(shape: Shape, slope: float = 0.0, stream: Stream | None = None) -> np.ndarray:
    """N(0, 2 / ((1 + slope^2) fan_in)), for (leaky) rectifiers (He et al., 2015)."""
    return normal(shape, 0.0, math.sqrt(2 / ((1 + slope**2) * fans(shape)[0])), stream)


def orthogonal(shape: Shape, gain: float = 1.0, stream: Stream | None = None) -> np.ndarray:
    """Rows (or columns, if fewer) orthonormal after reshaping to (O, C*KH*KW), times gain (Saxe et al., 2014)."""
    rows, columns = shape[0], math.prod(shape[1:])
    a = (stream or default_stream).normal((max(rows, columns), min(rows, columns)), np.float64)
    q, r = np.linalg.qr(a)
    q = q * np.sign(np.diag(r))  # a unique factorisation, so that q is uniform over rotations
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(np.float32)  # (O, C, KH, KW)


def default(shape: Shape, fan_in: int, stream: Stream | None = None) -> np.ndarray:
    """Uniform with bound 1/sqrt(fan_in): what PyTorch gives Linear and Conv2d."""
    return uniform(shape, 1 / math.sqrt(fan_in), stream)


def filters(array: np.ndarray, order: tuple[int, int, int, int] = (2, 3, 1, 0)) -> np.ndarray:
    """The same filters in the memory order of the kernels: taps first, and axis 0 innermost (KH, KW, C, O)."""
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))  # logical axes as before
