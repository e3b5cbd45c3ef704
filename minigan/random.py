"""Random numbers by address: Philox4x32-10, a keyed hash of a counter.

A value depends only on (seed, stream, step) and its position in the array; there is no other state.

    key      seed, 64 bits
    counter  (block, step low, step high, stream), four words of 32 bits; one block is four words of noise

Why     Value i depends on no earlier value, so NumPy can fill arrays in any order, a GPU thread computes its own
        value, and a run resumes from three integers. The formulas are in kernels/cpu/random.py and in its CUDA twin.
Bits    Words, uniforms, integers and permutations are equal on all machines, bit for bit. Normals are computed in
        float64 and rounded once, so float32 normals of two machines differ, by one unit in the last place, about once
        in 10^8.
Source  Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

import math
import operator
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigan import kernels
from minigan.engine.distributed import ALONE, joint
from minigan.errors import DTypeError

Shape = int | tuple[int, ...]

_HOST = np.empty(0, np.float32)  # argument `like` of the kernels: the results are on the CPU


def philox4x32(counter: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The bijection itself: counter (..., 4) and key (2,) or (..., 2), uint32, to four random words (..., 4), uint32.

    >>> [f"{word:08x}" for word in philox4x32(np.zeros(4, np.uint32), np.zeros(2, np.uint32))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    counter, key = np.asarray(counter, np.uint32), np.asarray(key, np.uint32)
    if counter.shape[-1:] != (4,) or key.shape[-1:] != (2,):
        raise ValueError(f"philox4x32: counter {counter.shape} must end in 4 words and key {key.shape} in 2.")
    return kernels.philox4x32(counter, key)


def _natural(value: Any, name: str, bits: int = 64) -> int:
    """`value` as a Python integer in [0, 2^bits). Raises TypeError or ValueError, with `name`, if it is not."""
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


def _address(seed: int, stream: int | str, step: int) -> tuple[int, int, int]:
    """Seed, stream and step as integers, checked against their ranges."""
    return _natural(seed, "seed"), stream_id(stream), _natural(step, "step")


def _real(dtype: DTypeLike) -> np.dtype[Any]:
    """The dtype, or float32 for bfloat16 images. Raises DTypeError unless it is float32 or float64."""
    if np.dtype(dtype).name == "bfloat16":
        return np.dtype(np.float32)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise DTypeError(f"random: dtype must be float32 or float64, not {np.dtype(dtype)}.")
    return np.dtype(dtype)


def uniform(
    shape: Shape, *, seed: int, stream: int | str = 0, step: int = 0, dtype: DTypeLike = np.float32, first: int = 0
) -> np.ndarray:
    """Uniform numbers in [0, 1): multiples of 2^-24 in float32, of 2^-53 in float64; exact, so 1 is never returned.

    With `first`, the numbers from this one on: uniform(n, first=k) is uniform(k + n)[k:], without computing the others.

    Raises ValueError if seed, step or first is outside [0, 2^64) or stream outside [0, 2^32), DTypeError for other
    dtypes.
    """
    return kernels.uniform(_HOST, shape, _real(dtype), *_address(seed, stream, step), _natural(first, "first"))


def normal(
    shape: Shape, *, seed: int, stream: int | str = 0, step: int = 0, dtype: DTypeLike = np.float32, first: int = 0
) -> np.ndarray:
    """Standard normal numbers by the Box-Muller transform of two uniforms u, v in [0, 1); `first` as in `uniform`.

    Forward   r = sqrt(-2 log(1 - u)),  (r cos 2 pi v, r sin 2 pi v)
    Why       1 - u lies in (0, 1], so the logarithm is finite: |value| <= 6.7 (float32, 32 bits of u) or 8.6 (float64).
    Source    Box & Muller, A note on the generation of random normal deviates, 1958. Raises as `uniform`.
    """
    return kernels.normal(_HOST, shape, _real(dtype), *_address(seed, stream, step), _natural(first, "first"))


def integers(low: int, high: int, shape: Shape, *, seed: int, stream: int | str = 0, step: int = 0) -> np.ndarray:
    """Integers in [low, high), int64, from 64-bit words modulo high - low (bias below (high - low) / 2^64).

    Raises ValueError if the range is empty or exceeds int64. Other errors as `uniform`.
    """
    low, high = operator.index(low), operator.index(high)
    return kernels.integers(_HOST, low, high, shape, *_address(seed, stream, step))


def permutation(n: int, *, seed: int, stream: int | str = 0, step: int = 0) -> np.ndarray:
    """A random order of 0 .. n-1, int64 (n,): the stable argsort of n 64-bit words, unique also for equal words."""
    words = kernels.permutation_words(_HOST, _natural(n, "n"), *_address(seed, stream, step))
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


class Stream:
    """An address that advances: each call uses the present step, then adds one to it.

    seed is in [0, 2^64); name is a text or an integer in [0, 2^32), stored as the number `id`. Two streams with one
    seed and different names are independent. Raises ValueError outside these ranges.

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
        self.step += 1  # after the call: one that raises does not advance
        return values

    def _fill(self, name: str, shape: Shape, dtype: DTypeLike, device: str, samples: int | None) -> Any:
        ranks = ALONE if samples is None else joint()
        if ranks.size == 1 or samples is None:
            return self._filled(name, shape, dtype, device)
        sizes = [shape] if isinstance(shape, int) else list(shape)
        if all(size == 1 for size in sizes[:samples]):  # this rank's numbers follow one another in the joint array
            return self._filled(name, shape, dtype, device, first=ranks.rank * math.prod(sizes))
        sizes[samples] = ranks.total(sizes[samples])
        return ranks.rows(self._filled(name, tuple(sizes), dtype, device), samples)

    def _filled(self, name: str, shape: Shape, dtype: DTypeLike, device: str, first: int = 0) -> Any:
        if device == "cpu":
            return self._draw({"normal": normal, "uniform": uniform}[name], shape, dtype=dtype, first=first)
        from minigan.engine import device as devices
        from minigan.engine.capture import counter

        like = devices.constant(0.0, _real(dtype), device)
        kernel = {"normal": kernels.normal, "uniform": kernels.uniform}[name]
        values = kernel(like, shape, np.dtype(dtype), self.seed, self.id, counter(self, "step"), first)
        self.step += 1
        return values

    def normal(self, shape: Shape, dtype: DTypeLike = np.float32, device: str = "cpu",
               samples: int | None = None) -> Any:
        """Standard normal numbers; see `normal`. A GPU computes them with its own kernel.

        samples: the axis that counts the samples of a batch, if any. While several ranks train together, each gets its
            part of the numbers of the joint batch, so that they are those of one process with that batch.
        """
        return self._fill("normal", shape, dtype, device, samples)

    def uniform(self, shape: Shape, dtype: DTypeLike = np.float32, device: str = "cpu",
                samples: int | None = None) -> Any:
        """Uniform numbers in [0, 1); see `uniform`. A GPU computes the same numbers with its own kernel.

        samples: as in `normal`.
        """
        return self._fill("uniform", shape, dtype, device, samples)

    def integers(self, low: int, high: int, shape: Shape) -> np.ndarray:
        """Integers in [low, high); see `integers`."""
        return self._draw(integers, low, high, shape)

    def permutation(self, n: int) -> np.ndarray:
        """A random order of 0 .. n-1; see `permutation`."""
        return self._draw(permutation, n)

    def state_dict(self) -> dict[str, int]:
        """The whole state: {"seed", "stream", "step"}, Python integers."""
        return {"seed": self.seed, "stream": self.id, "step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a state that `state_dict` returned. Raises ValueError if a key is missing or out of range."""
        if set(state) != {"seed", "stream", "step"}:
            raise ValueError(f"Stream.load_state_dict: needs seed, stream and step, but got {sorted(state)}.")
        # through a new stream, because its constructor checks the values
        vars(self).update(vars(Stream(state["seed"], state["stream"], state["step"])))


default = Stream(seed=0, name="default")
"""The stream of layers and dropout that have none of their own; minigan never uses NumPy's global state."""


def seed(n: int) -> None:
    """Set `default` to step 0 of seed n, in [0, 2^64), so that networks made next have the same weights in every run.

    >>> seed(1); first = default.normal(3); seed(1); bool((first == default.normal(3)).all())
    True
    """
    default.load_state_dict({"seed": n, "stream": default.id, "step": 0})
