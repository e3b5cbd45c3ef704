"""The file of a compressed picture.

    bytes 0-2    "MGC"
    3            version of the format, 1
    4-7          the first bytes of the SHA-256 of what decodes it: the decoder's weights and the prior
    8-9, 10-11   height and width in pixels, most significant byte first
    12-15        CRC-32 of all other bytes, most significant byte first
    16-          the entropy-coded code

The hash and the checksum find mistakes, not forgeries.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from minigan.errors import DataError

MAGIC, VERSION = b"MGC", 1
FIELDS = struct.Struct(">3sB4sHHI")
HEADER = FIELDS.size  # bytes
MOST_PIXELS = 1 << 22  # of one picture: the decoder's feature maps take some hundred times as many bytes


class Container(NamedTuple):
    """The contents of a file: the model's hash (4 bytes), the picture's sides, the entropy-coded bytes."""

    model: bytes
    height: int
    width: int
    body: bytes


def check_sides(height: int, width: int, name: str) -> None:
    """Raise DataError for a picture that is empty or too large."""
    if min(height, width) < 1 or max(height, width) > 0xFFFF or height * width > MOST_PIXELS:
        raise DataError(f"{name}: {height:,} x {width:,} pixels; the codec takes 1 to {MOST_PIXELS:,} pixels, with "
                        f"sides up to {0xFFFF:,}: reduce the picture first")


def pack(contents: Container) -> bytes:
    """The bytes of a file."""
    model, height, width, body = contents
    start = FIELDS.pack(MAGIC, VERSION, model, height, width, 0)[:-4]
    return start + struct.pack(">I", zlib.crc32(start + body)) + body


def unpack(file: bytes, name: str = "the file") -> Container:
    """The contents of a file.

    Raises:
        DataError: a file of another kind or version, a truncated or damaged one, or impossible sides; the message has
            the remedy.
    """
    if file[:3] != MAGIC[: len(file)]:
        raise DataError(f"{name}: not a picture that minigan compressed; such files are written by `python -m minigan "
                        "codec compress RUN PICTURE OUT`")
    if len(file) < HEADER:
        raise DataError(f"{name}: truncated: {len(file)} bytes, fewer than the {HEADER} of its header; restore it from "
                        "a copy, or compress the picture again")
    _, version, model, height, width, checksum = FIELDS.unpack(file[:HEADER])
    if version != VERSION:
        raise DataError(f"{name}: version {version} of the format; this minigan reads version {VERSION}: decompress it "
                        "with the minigan that wrote it, or install a newer one")
    if zlib.crc32(file[: HEADER - 4] + file[HEADER:]) != checksum:
        raise DataError(f"{name}: damaged or truncated: its {len(file):,} bytes do not fit their checksum; restore it "
                        "from a copy, or compress the picture again")
    check_sides(height, width, name)
    return Container(model, height, width, file[HEADER:])
