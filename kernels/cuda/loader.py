"""From a .cu file to a function of arrays: read its signatures, compile it at the first call, check every argument.

    kernel("norm.cu", "norm_apply", x)(blocks, threads, (x, scale, shift, y, rows, C))

A CUDA launch itself checks nothing: it takes an int where the kernel wants a float, a float64 array, a view with gaps.
So every argument is checked against, and cast to, the type that the kernel's own signature declares.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigan.errors import DeviceError, DTypeError

from ..values import DeviceArray, handed, is_bfloat16
from .backend import Backend, backend_of
from .source import TYPES, Parameter, Table, signatures, source

BITS = np.dtype(np.uint16)  # what source.TYPES has for bf16
REALS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


class Kernel:
    """A `__global__` function: `kernel(grid, block, arguments, shared=0)` checks, casts and launches."""

    def __init__(self, backend: Backend, file: str, name: str, defines: Defines) -> None:
        self.backend, self.file, self.name, self.defines = backend, file, name, defines
        declared = signatures(source(file), defines)
        if name not in declared:
            raise DeviceError(f"{file} declares no kernel {name}, only {', '.join(declared)}")
        self.parameters = declared[name]
        self.function: Callable[..., None] | None = None

    def __call__(
        self,
        grid: int | tuple[int, ...],
        block: int | tuple[int, ...],
        arguments: Sequence[Any],
        shared: int = 0,
    ) -> None:
        """Launch on the current stream. grid and block are ints or tuples of up to three; shared in bytes."""
        if len(arguments) != len(self.parameters):
            raise TypeError(f"{self.name}: {len(arguments)} arguments for {[p.name for p in self.parameters]}")
        values = [self._checked(p, a) for p, a in zip(self.parameters, arguments, strict=True)]
        if self.function is None:
            self.function = _module(self.backend, self.file, self.defines).function(self.name, self.parameters)
        grid, block = _triple(grid), _triple(block)
        handed.launches += 1
        if 0 not in grid:
            self.function(grid, block, values, shared)

    def _checked(self, p: Parameter, value: Any) -> Any:
        if p.dtype.kind == "V":
            return self._table(p, value)
        if not p.pointer:
            if not np.isscalar(value):
                raise TypeError(f"{self.name}: {p.name} is a {type(value).__name__}, not a number")
            cast: Any = p.dtype.type(value)
            if p.dtype.kind in "iu" and value != cast:
                raise OverflowError(f"{self.name}: {p.name}={value!s} does not fit {p.dtype}")
            return cast
        if value is None:
            return None
        if not self.backend.owns(value):
            raise DeviceError(f"{self.name}: {p.name} is a {type(value).__name__}, not an array on {self.backend.name}")
        if (BITS if is_bfloat16(value) else value.dtype) != p.dtype:
            raise DTypeError(f"{self.name}: {p.name} is {value.dtype}, but the kernel reads {p.dtype}")
        if not is_dense(value):
            raise ValueError(f"{self.name}: {p.name} {value.shape} with strides {value.strides} has gaps in memory")
        return value

    def _table(self, p: Parameter, table: Any) -> Table:
        if not isinstance(table, Table):
            raise TypeError(f"{self.name}: {p.name} is a {type(table).__name__}, not a Table")
        real = Parameter(p.name, np.dtype(TYPES[self.defines.get("REAL", "float")]), pointer=True)
        words = [*(self.backend.address(self._checked(real, array)) for array in table.arrays), *table.numbers]
        struct = np.zeros(1, p.dtype)
        struct["word"][0, : len(words)] = words
        return table._replace(words=struct)


def is_dense(array: DeviceArray) -> bool:
    """Whether the elements fill one piece of memory, each place once, in whatever order of axes.

    >>> x = np.empty((2, 3, 4))
    >>> is_dense(x), is_dense(x.transpose(2, 0, 1)), is_dense(x[:, 1:])
    (True, True, False)
    """
    return _fills(array.shape, array.strides, array.itemsize)


@functools.cache  # asked three times per launch, about the same few shapes in every step
def _fills(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    expected = itemsize
    for stride, size in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if stride != expected:
            return 0 in shape
        expected *= size
    return True


def _triple(size: int | tuple[int, ...]) -> tuple[int, ...]:
    size = (size,) if isinstance(size, int) else tuple(size)
    return size + (1,) * (3 - len(size))


class Defines(dict[str, Any]):
    """Macros of one compilation; hashable, because compiled modules are cached by them."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))


@functools.cache
def _module(backend: Backend, file: str, defines: Defines) -> Any:
    return backend.compile(source(file), file, defines)


@functools.cache
def _kernel(backend: Backend, file: str, name: str, defines: Defines) -> Kernel:
    return Kernel(backend, file, name, defines)


def kernel(file: str, name: str, like: DeviceArray, **defines: Any) -> Kernel:
    """The kernel `name` of `file` for the device of the array `like`.

    Unless they are given, REAL is its dtype or, if that is bfloat16, float, and then STORE is bf16.
    """
    if is_bfloat16(like):
        defines = {"STORE": "bf16", **defines}
    return _kernel(backend_of(like), file, name, Defines({"REAL": REALS.get(like.dtype, "float"), **defines}))
