"""IDX, the file format of MNIST, read strictly: every number of the header is checked before memory is allocated.

    00 00  type  D  |  size 1 .. size D, 4 bytes each, big-endian  |  the values, last axis fastest

Only type 08, unsigned bytes, is read. A file is plain or packed: its first bytes decide, not its name.
Source   LeCun, Cortes & Burges, The MNIST database of handwritten digits, 1998, "file formats".
"""

from __future__ import annotations

__all__ = ["read_idx"]

import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minigan.data.packed import unpacked
from minigan.data.paths import user_path
from minigan.errors import DataError

MAX_BYTES = 1 << 30  # of the largest array that is read; MNIST has 47 MB
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def read_idx(path: str | os.PathLike[str], ndim: int | None = None, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array in an IDX file, uint8, with `ndim` axes if given.

    Raises:
        DataError: the file is missing, unreadable, not IDX, of another type or number of axes, empty, larger than
            `max_bytes`, truncated, too long, or corrupt. The message names the file and the numbers that disagree.
    """
    path = user_path(path)
    with unpacked(path) as (stream, largest):
        return _parse(stream, path, ndim, max_bytes, largest)


def _parse(stream: BinaryIO, path: Path, ndim: int | None, max_bytes: int, largest: int | None) -> np.ndarray:
    """The array in an open stream; `largest` is the number of bytes that it can hold at most, if known."""
    sizes = _read_sizes(stream, path, ndim)
    count, shown = math.prod(sizes), " x ".join(f"{n:,}" for n in sizes)  # Python integers: no overflow
    if count > max_bytes:
        raise DataError(f"{path}: the header asks for {shown} = {count:,} bytes, more than the {max_bytes:,} allowed.")
    if largest is not None and count > largest:
        raise DataError(
            f"{path}: truncated: the header says {shown} = {count:,} bytes, but the file is far too short for that."
        )
    if count == 0:
        raise DataError(f"{path}: the header says {shown}, so the array is empty.")
    array = np.empty(count, np.uint8)
    got = _read_into(stream, array)
    if got < count:
        raise DataError(f"{path}: truncated: the header says {shown} = {count:,} bytes, but only {got:,} follow it.")
    if stream.read(1):  # reading to the end also makes gzip check its CRC
        raise DataError(f"{path}: trailing bytes after the {shown} = {count:,} of the header.")
    return array.reshape(sizes)


def _read_sizes(stream: BinaryIO, path: Path, ndim: int | None) -> tuple[int, ...]:
    """The sizes of the axes, after the magic number has been checked."""
    magic = stream.read(4)
    if len(magic) < 4:
        raise DataError(f"{path}: truncated: {len(magic)} bytes, but an IDX header has at least 8.")
    if magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(f"{path}: not an IDX file: it starts with {magic.hex(' ')}, not with 00 00 08.")
    if magic[2] != 0x08:
        raise DataError(f"{path}: holds {_TYPES[magic[2]]} (type {magic[2]:02x}); only uint8 (type 08) is read.")
    if not 1 <= magic[3] <= 8 or ndim not in (None, magic[3]):
        raise DataError(f"{path}: has {magic[3]} axes, but {ndim or '1 to 8'} are needed.")
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError(f"{path}: truncated: {4 + len(header)} bytes, but the header alone has {4 + 4 * magic[3]}.")
    return tuple(int(n) for n in np.frombuffer(header, ">u4"))


def _read_into(stream: BinaryIO, array: np.ndarray) -> int:
    """Fill `array`, and return the number of bytes read; one read may give fewer than asked for."""
    view, got = array.data, 0
    while got < len(view):
        part = stream.readinto(view[got:])  # type: ignore[attr-defined]
        if not part:
            break
        got += part
    return got
