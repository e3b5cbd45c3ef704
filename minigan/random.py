"""Random numbers that are looked up, not drawn: Philox4x32-10, a keyed hash of a counter.

A value is addressed by (seed, stream, step) and its place in the array; nothing else has state.

    key      seed, 64 bits
    counter  (block, step low, step high, stream), four words of 32 bits; one block is four words of noise

Why     Value i needs no value before it, so NumPy fills arrays in any order, a GPU thread can compute its own value,
        and a run resumes from three integers. The CUDA twin comes with the CUDA kernels and evaluates the same formula.
Bits    Words, uniforms, integers and permutations are equal bit for bit everywhere. Normals are computed in float64 and
        rounded once, so two machines' float32 normals differ, by one unit in the last place, about once in 10^8.
Source  Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

import math
import operator
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigan.errors import DTypeError

Shape = int | tuple[int, ...]
Words = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # the four words of n blocks, (n,) each

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


def philox4x32(counter: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The bijection itself: counter (..., 4) and key (2,) or (..., 2), uint32, to four random words (..., 4), uint32.

    >>> [f"{word:08x}" for word in philox4x32(np.zeros(4, np.uint32), np.zeros(2, np.uint32))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    counter, key = np.asarray(counter, np.uint32), np.asarray(key, np.uint32)
    if counter.shape[-1:] != (4,) or key.shape[-1:] != (2,):
        raise ValueError(f"philox4x32: counter {counter.shape} must end in 4 words and key {key.shape} in 2.")
    shape = np.broadcast_shapes(counter.shape[:-1], key.shape[:-1])
    c0, c1, c2, c3 = (np.array(np.broadcast_to(counter[..., i], shape), np.uint64, ndmin=1) for i in range(4))
    words = (c0, c1, c2, c3)
    _rounds(words, key[..., 0].astype(np.uint64), key[..., 1].astype(np.uint64))
    return np.stack(words, axis=-1).astype(np.uint32).reshape(*shape, 4)


def _natural(value: Any, name: str, bits: int = 64) -> int:
    """`value` as a Python integer in [0, 2^bits), or an error that says which number is wrong."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}.") from None
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name} must lie in [0, 2^{bits}), but is {number}.")
    return number


def stream_id(stream: int | str) -> int:
    """The 32-bit word of a stream. A name is hashed by CRC-32, the same in every process (Python's `hash` is not).

    >>> stream_id("noise"), stream_id(7)
    (4255749673, 7)
    """
    return zlib.crc32(stream.encode()) if isinstance(stream, str) else _natural(stream, "stream", 32)


def _blocks(count: int, seed: int, stream: int | str, step: int) -> Iterator[tuple[slice, Words]]:
    """The words of blocks 0 .. count-1, some thousands at a time."""
    seed, step, word = _natural(seed, "seed"), _natural(step, "step"), stream_id(stream)
    if count > 1 << 32:
        raise ValueError(f"one (seed, stream, step) addresses 2^32 blocks of four words, but {count} are asked for.")
    k0, k1 = np.uint64(seed) & _LOW, np.uint64(seed) >> _HALF
    for start in range(0, count, _CHUNK):
        c0 = np.arange(start, min(start + _CHUNK, count), dtype=np.uint64)
        c1, c2, c3 = (np.full(len(c0), value, np.uint64) for value in (step & 0xFFFFFFFF, step >> 32, word))
        words = (c0, c1, c2, c3)
        _rounds(words, k0, k1)
        yield slice(start, start + len(c0)), words


def _fill(
    shape: Shape,
    dtype: DTypeLike,
    per_block: int,
    address: tuple[int, int | str, int],
    convert: Callable[[Words, np.ndarray], None],
) -> np.ndarray:
    """An array whose element i comes from block i // per_block: `convert(words, out)` writes out, (n, per_block)."""
    shape = tuple(shape) if np.ndim(shape) else (operator.index(shape),)  # type: ignore[arg-type]
    if any(n < 0 for n in shape):
        raise ValueError(f"a shape has no negative sizes, but {shape} does.")
    size = math.prod(shape)
    out = np.empty((-(-size // per_block), per_block), dtype)
    for rows, words in _blocks(len(out), *address):
        convert(words, out[rows])
    return out.reshape(-1)[:size].reshape(shape)


def _is_float64(dtype: DTypeLike) -> bool:
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise DTypeError(f"random: dtype must be float32 or float64, not {np.dtype(dtype)}.")
    return np.dtype(dtype) == np.float64


def _pairs(words: Words) -> tuple[np.ndarray, np.ndarray]:
    """The two 64-bit words of each block."""
    return words[0] | words[1] << _HALF, words[2] | words[3] << _HALF


def _unit53(word: np.ndarray) -> np.ndarray:
    return (word >> np.uint64(11)) * 2.0**-53  # every multiple of 2^-53 in [0, 1), exactly


def uniform(
    shape: Shape, *, seed: int, stream: int | str = 0, step: int = 0, dtype: DTypeLike = np.float32
) -> np.ndarray:
    """Uniform numbers in [0, 1): multiples of 2^-24 in float32 and of 2^-53 in float64. Exact, so 1 is never returned.

    Raises ValueError when seed or step is outside [0, 2^64) or stream outside [0, 2^32), DTypeError for other dtypes.
    """

    def convert32(words: Words, out: np.ndarray) -> None:
        for column, word in enumerate(words):
            np.multiply(word >> np.uint64(8), 2.0**-24, out=out[:, column], casting="same_kind")

    def convert64(words: Words, out: np.ndarray) -> None:
        for column, word in enumerate(_pairs(words)):
            out[:, column] = _unit53(word)

    if _is_float64(dtype):
        return _fill(shape, np.float64, 2, (seed, stream, step), convert64)
    return _fill(shape, np.float32, 4, (seed, stream, step), convert32)


def normal(
    shape: Shape, *, seed: int, stream: int | str = 0, step: int = 0, dtype: DTypeLike = np.float32
) -> np.ndarray:
    """Standard normal numbers by the Box-Muller transform of two uniforms u, v in [0, 1).

    Forward   r = sqrt(-2 log(1 - u)),  (r cos 2 pi v, r sin 2 pi v)
    Why       1 - u lies in (0, 1], so the logarithm is finite: |value| <= 6.7 (float32, 32 bits of u) or 8.6 (float64).
    Source    Box & Muller, A note on the generation of random normal deviates, 1958. Raises as `uniform` does.
    """

    def box_muller(u: np.ndarray, v: np.ndarray, out: np.ndarray) -> None:
        radius, angle = np.sqrt(-2.0 * np.log(1.0 - u)), 2.0 * np.pi * v
        np.multiply(radius, np.cos(angle), out=out[:, 0], casting="same_kind")
        np.multiply(radius, np.sin(angle), out=out[:, 1], casting="same_kind")

    def convert32(words: Words, out: np.ndarray) -> None:
        for pair in (0, 2):
            box_muller(words[pair] * 2.0**-32, words[pair + 1] * 2.0**-32, out[:, pair : pair + 2])

    def convert64(words: Words, out: np.ndarray) -> None:
        first, second = _pairs(words)
        box_muller(_unit53(first), _unit53(second), out)

    if _is_float64(dtype):
        return _fill(shape, np.float64, 2, (seed, stream, step), convert64)
    return _fill(shape, np.float32, 4, (seed, stream, step), convert32)


def _words64(shape: Shape, address: tuple[int, int | str, int]) -> np.ndarray:
    def convert(words: Words, out: np.ndarray) -> None:
        out[:, 0], out[:, 1] = _pairs(words)

    return _fill(shape, np.uint64, 2, address, convert)


def integers(low: int, high: int, shape: Shape, *, seed: int, stream: int | str = 0, step: int = 0) -> np.ndarray:
    """Integers in [low, high), int64, from 64-bit words modulo high - low (bias below (high - low) / 2^64).

    Raises ValueError when the range is empty or leaves int64.
    """
    low, high = operator.index(low), operator.index(high)
    if not -(1 << 63) <= low < high <= 1 << 63:
        raise ValueError(f"integers: need -2^63 <= low < high <= 2^63, but low={low} and high={high}.")
    words = _words64(shape, (seed, stream, step))
    if high - low < 1 << 64:
        words %= np.uint64(high - low)
    words += np.uint64(low % (1 << 64))  # arithmetic modulo 2^64 is two's complement
    return words.view(np.int64)


def permutation(n: int, *, seed: int, stream: int | str = 0, step: int = 0) -> np.ndarray:
    """A random order of 0 .. n-1, int64 (n,): the argsort of n 64-bit words; stable, so a tie has one order too."""
    return np.argsort(_words64(_natural(n, "n"), (seed, stream, step)), kind="stable").astype(np.int64, copy=False)


class Stream:
    """An address that moves on: each call uses the current step and then adds one to it.

    seed is in [0, 2^64); name is a text or an integer in [0, 2^32), kept as the number `id`: two streams of one seed
    with different names are independent.

    >>> noise = Stream(seed=0, name="noise")
    >>> noise.normal((64, 100)).shape, noise.step
    ((64, 100), 1)
    """

    def __init__(self, seed: int = 0, name: int | str = 0, step: int = 0) -> None:
        self.seed, self.id, self.step = _natural(seed, "seed"), stream_id(name), _natural(step, "step")

    def __repr__(self) -> str:
        return f"Stream(seed={self.seed}, name={self.id}, step={self.step})"

    def _draw(self, function: Callable[..., np.ndarray], *args: Any, **options: Any) -> np.ndarray:
        values = function(*args, **options, **self.state_dict())
        self.step += 1  # only now: a call that raises leaves the address where it was
        return values

    def _fill(self, name: str, shape: Shape, dtype: DTypeLike, device: str) -> Any:
        if device == "cpu":
            return self._draw({"normal": normal, "uniform": uniform}[name], shape, dtype=dtype)
        from minigan.engine import device as devices
        from minigan.engine.capture import counter
        from minigan.kernels.cuda import random

        _is_float64(dtype)
        like = devices.constant(0.0, dtype, device)
        values = getattr(random, name)(shape, np.dtype(dtype), self.seed, self.id, counter(self, "step"), like)
        self.step += 1
        return values

    def normal(self, shape: Shape, dtype: DTypeLike = np.float32, device: str = "cpu") -> Any:
        """Standard normal numbers; see `normal`. On another device its own kernel computes them there."""
        return self._fill("normal", shape, dtype, device)

    def uniform(self, shape: Shape, dtype: DTypeLike = np.float32, device: str = "cpu") -> Any:
        """Uniform numbers in [0, 1); see `uniform`. On another device its own kernel computes the same ones there."""
        return self._fill("uniform", shape, dtype, device)

    def integers(self, low: int, high: int, shape: Shape) -> np.ndarray:
        """Integers in [low, high); see `integers`."""
        return self._draw(integers, low, high, shape)

    def permutation(self, n: int) -> np.ndarray:
        """A random order of 0 .. n-1; see `permutation`."""
        return self._draw(permutation, n)

    def state_dict(self) -> dict[str, int]:
        """Everything there is to know: {"seed", "stream", "step"}, plain integers."""
        return {"seed": self.seed, "stream": self.id, "step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue exactly where `state_dict` was taken. Raises ValueError when a key is missing or out of range."""
        if set(state) != {"seed", "stream", "step"}:
            raise ValueError(f"Stream.load_state_dict: needs seed, stream and step, but got {sorted(state)}.")
        # a new stream first, because its constructor validates
        vars(self).update(vars(Stream(state["seed"], state["stream"], state["step"])))


default = Stream(seed=0, name="default")
"""What layers and dropout use when they are given no stream: an object to pass, save and re-seed, never NumPy's."""


def seed(n: int) -> None:
    """Put `default` back to step 0 of seed n, in [0, 2^64), so that what is built next is the same in every run.

    >>> seed(1); first = default.normal(3); seed(1); bool((first == default.normal(3)).all())
    True
    """
    default.load_state_dict({"seed": n, "stream": default.id, "step": 0})
