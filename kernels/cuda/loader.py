"""From a .cu file to a function of arrays: inline its includes, read its signatures, compile when first called.

    kernel("norm.cu", "norm_apply", x)(blocks, threads, (x, scale, shift, y, rows, C))

A raw CUDA launch checks nothing: an int where the kernel wants a float, a float64 array, a view with gaps in it are
taken as they come. So every argument is checked against, and cast to, the type the kernel's own signature declares.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigan.errors import DeviceError, DTypeError

FOLDER = Path(__file__).parent
TYPES = {
    "int": np.int32, "unsigned": np.uint32, "unsigned int": np.uint32, "long long": np.int64,
    "unsigned long long": np.uint64, "unsigned char": np.uint8, "bool": np.bool_, "float": np.float32,
    "double": np.float64, "Table": [("word", np.uint64, 480)],  # common.cuh declares the same struct
}
REALS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^()]*\)\s*)?(\w+)\s*\(([^()]*)\)', re.DOTALL)


class Parameter(NamedTuple):
    """One parameter of a kernel: `const float* x` is Parameter("x", float32, pointer=True)."""

    name: str
    dtype: np.dtype
    pointer: bool


class Table(NamedTuple):
    """What a kernel's `Table` takes, by value: the addresses of many REAL arrays, then 64-bit numbers about them."""

    arrays: list
    numbers: list
    words: np.ndarray | None = None  # both as one struct, once an argument has been checked


@functools.cache
def source(file):
    """The text of a .cu file with its own includes in place of their lines: CuPy's cache does not see headers."""
    return _inlined(file, set())


def _inlined(file, seen):
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate((FOLDER / file).read_text().splitlines(), 1):
        include = re.match(r'\s*#include\s+"([^"]+)"', line)
        if line.strip() == "#pragma once":
            lines.append("")
        elif include is None:
            lines.append(line)
        elif include[1] not in seen:
            seen.add(include[1])
            lines += [_inlined(include[1], seen), f'#line {number + 1} "{file}"']
        else:
            lines.append("")
    return "\n".join(lines)


def signatures(text, defines):
    """The kernels a source declares, {name: [Parameter]}; a type that is a macro is looked up in `defines`.

    >>> signatures('extern "C" __global__ void twice(const REAL* x) {}', {"REAL": "double"})["twice"]
    [Parameter(name='x', dtype=dtype('float64'), pointer=True)]
    """
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    return {name: [_parameter(words, defines) for words in inside.split(",") if words.strip()]
            for name, inside in _KERNEL.findall(text)}


def _parameter(words, defines):
    plain = re.sub(r"\b(const|__restrict__)\b", " ", words)
    kind, star, name = re.fullmatch(r"\s*(.+?)\s*(\*?)\s*(\w+)\s*", " ".join(plain.split())).groups()
    kind = defines.get(kind, kind)
    if kind not in TYPES:
        raise TypeError(f"kernel parameter `{words.strip()}`: {kind} is none of {', '.join(TYPES)}")
    return Parameter(name, np.dtype(TYPES[kind]), bool(star))


class Kernel:
    """A `__global__` function: `kernel(grid, block, arguments, shared=0)` checks, casts and launches."""

    def __init__(self, backend, file, name, defines):
        self.backend, self.file, self.name, self.defines = backend, file, name, defines
        declared = signatures(source(file), {"REAL": "float", **defines})
        if name not in declared:
            raise DeviceError(f"{file} declares no kernel {name}, only {', '.join(declared)}")
        self.parameters = declared[name]
        self.function = None

    def __call__(self, grid, block, arguments, shared=0):
        """Launch on the current stream. grid and block are ints or tuples of up to three; shared in bytes."""
        if len(arguments) != len(self.parameters):
            raise TypeError(f"{self.name}: {len(arguments)} arguments for {[p.name for p in self.parameters]}")
        values = [self._checked(p, a) for p, a in zip(self.parameters, arguments, strict=True)]
        if self.function is None:
            self.function = _module(self.backend, self.file, self.defines).function(self.name, self.parameters)
        grid, block = (_triple(size) for size in (grid, block))
        if 0 not in grid:
            self.function(grid, block, values, shared)

    def _checked(self, p, value):
        if p.dtype.kind == "V":
            return self._table(p, value)
        if not p.pointer:
            if not np.isscalar(value):
                raise TypeError(f"{self.name}: {p.name} is a {type(value).__name__}, not a number")
            cast = p.dtype.type(value)
            if p.dtype.kind in "iu" and value != cast:
                raise OverflowError(f"{self.name}: {p.name}={value} does not fit {p.dtype}")
            return cast
        if value is None:
            return None
        if not self.backend.owns(value):
            raise DeviceError(f"{self.name}: {p.name} is a {type(value).__name__}, not an array on {self.backend.name}")
        if value.dtype != p.dtype:
            raise DTypeError(f"{self.name}: {p.name} is {value.dtype}, but the kernel reads {p.dtype}")
        if not is_dense(value):
            raise ValueError(f"{self.name}: {p.name} {value.shape} with strides {value.strides} has gaps in memory")
        return value

    def _table(self, p, table):
        if not isinstance(table, Table):
            raise TypeError(f"{self.name}: {p.name} is a {type(table).__name__}, not a Table")
        real = Parameter(p.name, np.dtype(TYPES[self.defines.get("REAL", "float")]), pointer=True)
        words = [self.backend.address(self._checked(real, array)) for array in table.arrays] + table.numbers
        struct = np.zeros(1, p.dtype)
        struct["word"][0, :len(words)] = words
        return table._replace(words=struct)


def slots(values, address):
    """What a launch puts in its parameters' places: NumPy scalars, structs, and `address` of each array."""
    return [np.uint64(0) if v is None else v.words if isinstance(v, Table) else v if isinstance(v, np.generic)
            else np.uint64(address(v)) for v in values]


def is_dense(array):
    """Whether the elements fill one piece of memory, each place once, in whatever order of axes.

    >>> x = np.empty((2, 3, 4))
    >>> is_dense(x), is_dense(x.transpose(2, 0, 1)), is_dense(x[:, 1:])
    (True, True, False)
    """
    return _fills(array.shape, array.strides, array.itemsize)


@functools.cache  # asked thrice a launch, of the same few shapes in every step
def _fills(shape, strides, itemsize):
    expected = itemsize
    for stride, size in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if stride != expected:
            return 0 in shape
        expected *= size
    return True


def _triple(size):
    size = (size,) if isinstance(size, int) else tuple(size)
    return size + (1,) * (3 - len(size))


@functools.cache
def _module(backend, file, defines):
    return backend.compile(source(file), file, defines)


@functools.cache
def _kernel(backend, file, name, defines):
    return Kernel(backend, file, name, defines)


class Defines(dict):
    """Macros of one compilation; hashable, because modules are kept by them."""

    def __hash__(self):
        return hash(tuple(sorted(self.items())))


def kernel(file, name, like, **defines):
    """The kernel `name` of `file` for the device of the array `like`; REAL is its dtype unless it is given."""
    from . import backend_of

    return _kernel(backend_of(like), file, name, Defines({"REAL": REALS.get(like.dtype, "float"), **defines}))
