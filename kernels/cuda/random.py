"""Launches random.cu: the numbers of cpu/random.py, computed on the device.

A value is addressed by (seed, stream, step) and its place in the array, as on the CPU; `step` is an int, or a Counter
that a captured graph increases. `like` is any array of the device. `first` is as on the CPU.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..geometry import sizes_of
from ..values import Counter, DeviceArray, DTypeLike, Shape
from .counters import integer
from .loader import kernel
from .memory import contiguous, empty

__all__ = ["integers", "normal", "permutation_words", "philox4x32", "uniform"]

THREADS = 256


def uniform(
    like: DeviceArray, shape: Shape, dtype: DTypeLike, seed: int, stream: int, step: int | Counter, first: int = 0
) -> DeviceArray:
    """Uniform numbers in [0, 1): multiples of 2^-24 in float32 and of 2^-53 in float64; the CPU's, bit for bit."""
    return _filled("uniform", like, shape, dtype, (seed, stream, *integer(step)), first)


def normal(
    like: DeviceArray, shape: Shape, dtype: DTypeLike, seed: int, stream: int, step: int | Counter, first: int = 0
) -> DeviceArray:
    """Standard normal numbers by the Box-Muller transform; float32 ones differ from the CPU's once in 10^8."""
    return _filled("normal", like, shape, dtype, (seed, stream, *integer(step)), first)


def integers(
    like: DeviceArray, low: int, high: int, shape: Shape, seed: int, stream: int, step: int | Counter
) -> DeviceArray:
    """Integers in [low, high), int64, from 64-bit words modulo high - low; the CPU's, bit for bit."""
    if not -(1 << 63) <= low < high <= 1 << 63:
        raise ValueError(f"integers: need -2^63 <= low < high <= 2^63, but low={low} and high={high}.")
    span = ((high - low) % (1 << 64), low % (1 << 64))  # of all integers, 2^64, there is no remainder to take: 0
    return _filled("integers", like, shape, np.uint64, (*span, seed, stream, *integer(step))).view(np.int64)


def permutation_words(like: DeviceArray, n: int, seed: int, stream: int, step: int | Counter) -> DeviceArray:
    """The n words, uint64, whose stable argsort is a random order of 0 .. n-1."""
    return _filled("integers", like, n, np.uint64, (0, 0, seed, stream, *integer(step)))


def philox4x32(counter: DeviceArray, key: DeviceArray) -> DeviceArray:
    """The bijection itself: counter (n, 4) and key (n, 2), uint32, to four random words (n, 4), uint32."""
    n = len(counter)
    if counter.shape != (n, 4) or key.shape != (n, 2):
        raise ValueError(f"philox4x32: counter {counter.shape} must be (n, 4) and key {key.shape} (n, 2).")
    counter, key = contiguous(counter), contiguous(key)
    words = empty((n, 4), np.uint32, counter)
    kernel("random.cu", "philox4x32", counter)(-(-n // THREADS), THREADS, (counter, key, words, n))
    return words


def _filled(name: str, like: DeviceArray, shape: Shape, dtype: DTypeLike, arguments: tuple[Any, ...],
            first: int = 0) -> DeviceArray:
    """An array whose bytes are those of the address from number `first` on; a block of it has 16 bytes."""
    shape, dtype = sizes_of(shape), np.dtype(dtype)
    start, skip = divmod(first, 16 // dtype.itemsize)
    out = empty(shape, dtype, like) if not skip else empty((skip + math.prod(shape),), dtype, like)
    packs = -(-out.nbytes // 16)
    if start + packs > 1 << 32:
        raise ValueError("one (seed, stream, step) addresses 2^32 blocks of four words, but "
                         f"{start + packs} are asked for.")
    kernel("random.cu", name, out)(math.ceil(packs / THREADS), THREADS, (out, out.size, start, *arguments))
    return out[skip:].copy().reshape(shape) if skip else out  # a copy: kernels read packs of 16 bytes
