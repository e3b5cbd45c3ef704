"""Initial weights. Each function returns a float32 NumPy array of the given shape, drawn from a `Stream`.

Filters (O, C, KH, KW) are stored so that the kernels need not rearrange them: `filters` gives that memory order.
"""

from __future__ import annotations

import math

import numpy as np

from minigan.random import Stream
from minigan.random import default as default_stream

Shape = tuple[int, ...]


def normal(shape: Shape, mean: float = 0.0, std: float = 0.02, stream: Stream | None = None) -> np.ndarray:
    """N(mean, std^2); the defaults 0 and 0.02 are DCGAN's (Radford, Metz & Chintala, 2016)."""
    return (mean + std * (stream or default_stream).normal(shape)).astype(np.float32)


def uniform(shape: Shape, bound: float, stream: Stream | None = None) -> np.ndarray:
    """Uniform in [-bound, bound)."""
    return ((2 * (stream or default_stream).uniform(shape) - 1) * bound).astype(np.float32)


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in) or (O, C, KH, KW): inputs per output and outputs per input, taps counted.

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
    """N(0, 2 / ((1 + slope^2) fan_in)), for layers followed by a (leaky) ReLU (He et al., 2015)."""
    return normal(shape, 0.0, math.sqrt(2 / ((1 + slope**2) * fans(shape)[0])), stream)


def orthogonal(shape: Shape, gain: float = 1.0, stream: Stream | None = None) -> np.ndarray:
    """The matrix (O, C*KH*KW) has orthonormal rows, or columns if those are fewer, times gain (Saxe et al., 2014)."""
    rows, columns = shape[0], math.prod(shape[1:])
    a = (stream or default_stream).normal((max(rows, columns), min(rows, columns)), np.float64)
    q, r = np.linalg.qr(a)
    q = q * np.sign(np.diag(r))  # makes the factorisation unique, so that q is uniform over rotations
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(np.float32)  # (O, C, KH, KW)


def default(shape: Shape, fan_in: int, stream: Stream | None = None) -> np.ndarray:
    """Uniform with bound 1/sqrt(fan_in), as PyTorch initialises Linear and Conv2d; 0 without inputs, as its biases."""
    return uniform(shape, 1 / math.sqrt(fan_in) if fan_in else 0.0, stream)


def filters(array: np.ndarray, order: tuple[int, int, int, int] = (2, 3, 1, 0)) -> np.ndarray:
    """The same array (O, C, KH, KW), stored in the kernels' memory order: by default (KH, KW, C, O), O innermost."""
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))  # (O, C, KH, KW) again
