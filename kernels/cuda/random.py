"""Launches random.cu: the numbers of minigan.random, computed where they are needed.

A value is addressed by (seed, stream, step) and its place in the array, as on the CPU; `step` is an int, or a Counter
when a captured graph moves it on. `like` is any array of the device.
"""

from __future__ import annotations

import math

import numpy as np

from .counters import integer
from .loader import kernel
from .memory import empty

THREADS = 256


def uniform(shape, dtype, seed, stream, step, like):
    """Uniform numbers in [0, 1): multiples of 2^-24 in float32 and of 2^-53 in float64; the CPU's, bit for bit."""
    return _filled("uniform", shape, dtype, like, (seed, stream, *integer(step)))


def normal(shape, dtype, seed, stream, step, like):
    """Standard normal numbers by the Box-Muller transform; float32 ones differ from the CPU's once in 10^8."""
    return _filled("normal", shape, dtype, like, (seed, stream, *integer(step)))


def integers(low, high, shape, seed, stream, step, like):
    """Integers in [low, high), int64, from 64-bit words modulo high - low; the CPU's, bit for bit."""
    if not -(1 << 63) <= low < high <= 1 << 63:
        raise ValueError(f"integers: need -2^63 <= low < high <= 2^63, but low={low} and high={high}.")
    span = ((high - low) % (1 << 64), low % (1 << 64))  # of all integers, 2^64, there is no remainder to take: 0
    return _filled("integers", shape, np.uint64, like, (*span, seed, stream, *integer(step))).view(np.int64)


def permutation_words(n, seed, stream, step, like):
    """The n words, uint64, whose stable argsort is minigan.random.permutation."""
    return _filled("integers", n, np.uint64, like, (0, 0, seed, stream, *integer(step)))


def philox4x32(counter, key):
    """The bijection itself: counter (n, 4) and key (n, 2), uint32, to four random words (n, 4), uint32."""
    n = len(counter)
    if counter.shape != (n, 4) or key.shape != (n, 2):
        raise ValueError(f"philox4x32: counter {counter.shape} must be (n, 4) and key {key.shape} (n, 2).")
    if not (counter.flags.c_contiguous and key.flags.c_contiguous):
        counter, key = counter.copy(order="C"), key.copy(order="C")
    words = empty((n, 4), np.uint32, counter)
    kernel("random.cu", "philox4x32", counter)(-(-n // THREADS), THREADS, (counter, key, words, n))
    return words


def _filled(name, shape, dtype, like, arguments):
    """An array whose 16 bytes number i come from block i of an address."""
    out = empty(shape if np.ndim(shape) else (int(shape),), np.dtype(dtype), like)
    packs = -(-out.nbytes // 16)
    if packs > 1 << 32:
        raise ValueError(f"one (seed, stream, step) addresses 2^32 blocks of four words, but {packs} are asked for.")
    kernel("random.cu", name, out)(math.ceil(packs / THREADS), THREADS, (out, out.size, *arguments))
    return out
