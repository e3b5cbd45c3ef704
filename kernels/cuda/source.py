"""Reading .cu files: their text with its includes inlined, and the signatures of the kernels they declare."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..values import Array, DeviceArray

Defines: TypeAlias = Mapping[str, Any]  # the macros of one compilation

FOLDER = Path(__file__).parent
TYPES: dict[str, Any] = {
    "int": np.int32, "unsigned": np.uint32, "unsigned int": np.uint32, "long long": np.int64,
    "unsigned long long": np.uint64, "unsigned char": np.uint8, "bool": np.bool_, "float": np.float32,
    "double": np.float64, "bf16": np.uint16, "Table": [("word", np.uint64, 480)],  # common.cuh declares the same struct
}
DEFAULTS = {"REAL": "float", "STORE": "REAL", "OUT": "REAL"}  # common.cuh has the same
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__\w+__\s*\([^()]*\)\s*)*(\w+)\s*\(([^()]*)\)', re.DOTALL)


class Parameter(NamedTuple):
    """One parameter of a kernel: `const float* x` is Parameter("x", float32, pointer=True, const=True)."""

    name: str
    dtype: np.dtype[Any]
    pointer: bool
    const: bool = False  # what it points to is not written


class Table(NamedTuple):
    """What a kernel's `Table` takes, by value: the addresses of many REAL arrays, then 64-bit numbers about them."""

    arrays: Sequence[DeviceArray]
    numbers: Sequence[int]
    words: Array | None = None  # both as one struct, once an argument has been checked


@functools.cache
def source(file: str) -> str:
    """The text of a .cu file, each of its own includes inlined once: CuPy's cache does not see headers."""
    return _inlined(file, set())


def _inlined(file: str, inlined: set[str]) -> str:
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate((FOLDER / file).read_text().splitlines(), 1):
        include = re.match(r'\s*#include\s+"([^"]+)"', line)
        if line.strip() == "#pragma once":
            lines.append("")
        elif include is None:
            lines.append(line)
        elif include[1] not in inlined:
            inlined.add(include[1])
            lines += [_inlined(include[1], inlined), f'#line {number + 1} "{file}"']
        else:
            lines.append("")
    return "\n".join(lines)


def signatures(text: str, defines: Defines) -> dict[str, list[Parameter]]:
    """The kernels a source declares, {name: [Parameter]}; a type that is a macro is looked up in `defines`.

    >>> signatures('extern "C" __global__ void twice(const REAL* x) {}', {"REAL": "double"})["twice"]
    [Parameter(name='x', dtype=dtype('float64'), pointer=True, const=True)]
    """
    text, defines = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL), {**DEFAULTS, **defines}
    return {name: [_parameter(words, defines) for words in inside.split(",") if words.strip()]
            for name, inside in _KERNEL.findall(text)}


def _parameter(words: str, defines: Defines) -> Parameter:
    plain = " ".join(re.sub(r"\b(const|__restrict__)\b", " ", words).split())
    match = re.fullmatch(r"(.+?)\s*(\*?)\s*(\w+)", plain)
    kind, star, name = match.groups() if match else (plain, "", "")
    kind = defines.get(kind, kind)
    kind = defines.get(kind, kind)  # STORE may be REAL
    if kind not in TYPES:
        raise TypeError(f"kernel parameter `{words.strip()}`: {kind} is none of {', '.join(TYPES)}")
    return Parameter(name, np.dtype(TYPES[kind]), bool(star), bool(star) and "const" in words.split())


def slots(values: Sequence[Any], address: Callable[[DeviceArray], int]) -> list[Any]:
    """What a launch passes for its parameters: NumPy scalars, structs, and `address` of each array."""
    return [np.uint64(0) if v is None else v.words if isinstance(v, Table) else v if isinstance(v, np.generic)
            else np.uint64(address(v)) for v in values]
