"""Arrays of random numbers that are looked up, not drawn: Philox4x32-10, a keyed hash of a counter.

A value is addressed by (seed, stream, step) and its place in the array; nothing else has state.

    key      seed, 64 bits
    counter  (block, step low, step high, stream), four words of 32 bits; one block is four words of noise

Every function takes `like` first, any array of the device on which the numbers are wanted; seed is in [0, 2^64), stream
in [0, 2^32), and step in [0, 2^64) is an int or a Counter. `minigan.random` checks them. `first` is the position of the
first number: the array is that part of the address's numbers, without those before it.

Bits    Words, uniforms and integers are equal bit for bit everywhere. Normals are computed in float64 and rounded once.
Source  Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from ..geometry import sizes_of
from ..values import Array, Counter, DTypeLike, Shape
from .counters import integer

__all__ = ["integers", "normal", "permutation_words", "philox4x32", "uniform"]

Words: TypeAlias = tuple[Array, Array, Array, Array]  # the four words of n blocks, (n,) each
Address: TypeAlias = tuple[int, int, int | Counter]  # seed, stream, step

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)  # multipliers of the two products
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # key steps: golden ratio, sqrt(3) - 1
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_CHUNK = 8192  # blocks at a time: six uint64 arrays of 64 KiB stay in L2


def _rounds(words: Words, k0: Any, k1: Any) -> None:
    """Ten Philox rounds, in place. Words are uint64 below 2^32, so that a 32 x 32 bit product is one multiplication."""
    c0, c1, c2, c3 = words
    p0, p1 = np.empty_like(c0), np.empty_like(c2)
    for round_ in range(10):
        if round_:
            k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
        np.multiply(c0, _M0, out=p0)
        np.multiply(c2, _M1, out=p1)
        np.right_shift(p1, _HALF, out=c0)  # c0 <- high(p1) ^ c1 ^ k0
        c0 ^= c1
        c0 ^= k0
        np.right_shift(p0, _HALF, out=c2)  # c2 <- high(p0) ^ c3 ^ k1
        c2 ^= c3
        c2 ^= k1
        np.bitwise_and(p1, _LOW, out=c1)
        np.bitwise_and(p0, _LOW, out=c3)


def philox4x32(counter: Array, key: Array) -> Array:
    """The bijection itself: counter (..., 4) and key (2,) or (..., 2), uint32, to four words (..., 4), uint32."""
    shape = np.broadcast_shapes(counter.shape[:-1], key.shape[:-1])
    c0, c1, c2, c3 = (np.array(np.broadcast_to(counter[..., i], shape), np.uint64, ndmin=1) for i in range(4))
    words = (c0, c1, c2, c3)
    _rounds(words, key[..., 0].astype(np.uint64), key[..., 1].astype(np.uint64))
    return np.stack(words, axis=-1).astype(np.uint32).reshape(*shape, 4)


def _blocks(first: int, count: int, address: Address) -> Iterator[tuple[slice, Words]]:
    """The words of blocks first .. first+count-1, _CHUNK of them at a time, with their places in 0 .. count-1."""
    (seed, stream), step, last = address[:2], integer(address[2]), first + count
    if last > 1 << 32:
        raise ValueError(f"one (seed, stream, step) addresses 2^32 blocks of four words, but {last} are asked for.")
    k0, k1 = np.uint64(seed) & _LOW, np.uint64(seed) >> _HALF
    for start in range(0, count, _CHUNK):
        c0 = np.arange(first + start, first + min(start + _CHUNK, count), dtype=np.uint64)
        c1, c2, c3 = (np.full(len(c0), value, np.uint64) for value in (step & 0xFFFFFFFF, step >> 32, stream))
        words = (c0, c1, c2, c3)
        _rounds(words, k0, k1)
        yield slice(start, start + len(c0)), words


def _filled(
    shape: Shape, dtype: DTypeLike, per_block: int, address: Address, convert: Callable[[Words, Array], None],
    first: int = 0
) -> Array:
    """An array whose element i comes from block (first + i) // per_block: `convert(words, out)` writes out.

    out is (n, per_block), of whole blocks.
    """
    shape = sizes_of(shape)
    start, skip = divmod(first, per_block)
    size = skip + math.prod(shape)
    out = np.empty((-(-size // per_block), per_block), dtype)
    for rows, words in _blocks(start, len(out), address):
        convert(words, out[rows])
    return out.reshape(-1)[skip:size].reshape(shape)


def _pairs(words: Words) -> tuple[Array, Array]:
    """The two 64-bit words of each block."""
    return words[0] | words[1] << _HALF, words[2] | words[3] << _HALF


def _unit53(word: Array) -> Array:
    return (word >> np.uint64(11)) * 2.0**-53  # every multiple of 2^-53 in [0, 1), exactly


def uniform(
    like: Array, shape: Shape, dtype: DTypeLike, seed: int, stream: int, step: int | Counter, first: int = 0
) -> Array:
    """Uniform numbers in [0, 1): multiples of 2^-24 in float32, of 2^-53 in float64. Exact, so 1 is never returned."""

    def convert32(words: Words, out: Array) -> None:
        for column, word in enumerate(words):
            np.multiply(word >> np.uint64(8), 2.0**-24, out=out[:, column], casting="same_kind")

    def convert64(words: Words, out: Array) -> None:
        for column, word in enumerate(_pairs(words)):
            out[:, column] = _unit53(word)

    per_block, convert = (2, convert64) if np.dtype(dtype) == np.float64 else (4, convert32)
    return _filled(shape, dtype, per_block, (seed, stream, step), convert, first)


def normal(
    like: Array, shape: Shape, dtype: DTypeLike, seed: int, stream: int, step: int | Counter, first: int = 0
) -> Array:
    """Standard normal numbers by the Box-Muller transform of two uniforms u, v in [0, 1).

    Forward   r = sqrt(-2 log(1 - u)),  (r cos 2 pi v, r sin 2 pi v)
    Why       1 - u lies in (0, 1], so the logarithm is finite: |value| <= 6.7 (float32, 32 bits of u) or 8.6 (float64).
    Source    Box & Muller, A note on the generation of random normal deviates, 1958.
    """

    def box_muller(u: Array, v: Array, out: Array) -> None:
        radius, angle = np.sqrt(-2.0 * np.log(1.0 - u)), 2.0 * np.pi * v
        np.multiply(radius, np.cos(angle), out=out[:, 0], casting="same_kind")
        np.multiply(radius, np.sin(angle), out=out[:, 1], casting="same_kind")

    def convert32(words: Words, out: Array) -> None:
        for pair in (0, 2):
            box_muller(words[pair] * 2.0**-32, words[pair + 1] * 2.0**-32, out[:, pair : pair + 2])

    def convert64(words: Words, out: Array) -> None:
        first, second = _pairs(words)
        box_muller(_unit53(first), _unit53(second), out)

    per_block, convert = (2, convert64) if np.dtype(dtype) == np.float64 else (4, convert32)
    return _filled(shape, dtype, per_block, (seed, stream, step), convert, first)


def integers(like: Array, low: int, high: int, shape: Shape, seed: int, stream: int, step: int | Counter) -> Array:
    """Integers in [low, high), int64, from 64-bit words modulo high - low (bias below (high - low) / 2^64).

    Raises ValueError when the range is empty or leaves int64.
    """
    if not -(1 << 63) <= low < high <= 1 << 63:
        raise ValueError(f"integers: need -2^63 <= low < high <= 2^63, but low={low} and high={high}.")
    words = _words64(shape, (seed, stream, step))
    if high - low < 1 << 64:
        words %= np.uint64(high - low)
    words += np.uint64(low % (1 << 64))  # arithmetic modulo 2^64 is two's complement
    return words.view(np.int64)


def permutation_words(like: Array, n: int, seed: int, stream: int, step: int | Counter) -> Array:
    """The n words, uint64, whose stable argsort is a random order of 0 .. n-1."""
    return _words64(n, (seed, stream, step))


def _words64(shape: Shape, address: Address) -> Array:
    def convert(words: Words, out: Array) -> None:
        out[:, 0], out[:, 1] = _pairs(words)

    return _filled(shape, np.uint64, 2, address, convert)
