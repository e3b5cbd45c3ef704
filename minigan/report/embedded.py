"""Pictures of a run, read so that they can be put into a page: PNG and GIF as minigan writes them, and nothing else.

The page is mailed; it must hold no bytes of a file that only has a picture's name, nor what is hidden behind a picture,
nor texts inside it: only the parts that show the picture are put into the page.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from pathlib import Path

from minigan.checkpoint import inside
from minigan.errors import DataError

MOST_PIXELS = 100_000_000
MOST_TEXT = 1024  # bytes of a chunk that is left out
_PICTURE = {b"IHDR": 13, b"PLTE": 768, b"tRNS": 256, b"gAMA": 4, b"sRGB": 1, b"IDAT": 1 << 31, b"IEND": 0}  # most bytes
_LEFT_OUT = (b"tEXt", b"pHYs")  # what Pillow and matplotlib may add
_EXTENSIONS = (re.compile(rb"\x21\xf9\x04.{4}\x00", re.DOTALL),  # of a GIF: times, and how often it is repeated
               re.compile(rb"\x21\xff\x0bNETSCAPE2\.0\x03\x01..\x00", re.DOTALL))


def inline(folder: Path, name: str, most: int) -> str:
    """A picture of a run as a data URL.

    Raises:
        DataError: it is no regular file, longer than `most` bytes, or not a PNG or GIF from its first to its last byte.
    """
    raw = inside.read(folder, name, most)
    form = "gif" if name.endswith(".gif") else "png"
    try:
        shown = (checked_gif if form == "gif" else checked_png)(raw)
    except (ValueError, LookupError, struct.error) as error:
        raise DataError(f"{folder / name}: is not a {form.upper()} that minigan wrote ({error})") from None
    return f"data:image/{form};base64,{base64.b64encode(shown).decode()}"


def checked_png(raw: bytes) -> bytes:
    """A PNG with only the chunks that show the picture, without texts.

    Raises ValueError unless the bytes are one whole PNG: its chunks, their checksums, and pixels of the right number.

    Source  Portable Network Graphics (PNG) Specification, W3C, sections 5 and 11.
    """
    if raw[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("its signature is missing")
    place, data, header, kind = 8, [], b"", b""
    shown: dict[bytes, bytes] = {}  # chunks, those of IDAT in a row
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", raw, place)
        body = raw[place + 8 : place + 8 + length]
        if len(body) < length or zlib.crc32(kind + body) != struct.unpack_from(">I", raw, place + 8 + length)[0]:
            raise ValueError(f"the checksum of a chunk at byte {place:,} is wrong")
        left_out = kind in _LEFT_OUT and length <= MOST_TEXT
        if not left_out and (length > _PICTURE.get(kind, -1) or (kind in shown and kind != b"IDAT")):
            raise ValueError(f"it has a chunk {kind!r} of {length:,} bytes")
        if (kind == b"IHDR") != (place == 8):
            raise ValueError("IHDR is not its first chunk")
        header = body if kind == b"IHDR" else header
        data += [body] if kind == b"IDAT" else []
        if not left_out:
            shown[kind] = shown.get(kind, b"") + raw[place : place + 12 + length]
        place += 12 + length
    if place != len(raw):
        raise ValueError(f"{len(raw) - place:,} bytes follow its end")
    _check_pixels(header, b"".join(data))
    if header[9] != 3:  # the colours are no entries of a palette
        shown.pop(b"PLTE", None)
        if len(shown.get(b"tRNS", b"")) > 12 + 6:
            raise ValueError("its tRNS is longer than one colour")
    return raw[:8] + b"".join(shown.values())


def _check_pixels(header: bytes, data: bytes) -> None:
    """Raise ValueError unless the compressed data are exactly the rows that the header describes."""
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 0)
    if not 0 < width * height <= MOST_PIXELS or not channels or interlaced:
        raise ValueError(f"{width} x {height} pixels of colour type {colour}")
    size = height * (1 + (width * bits * channels + 7) // 8)
    stream = zlib.decompressobj()
    try:
        rows = len(stream.decompress(data, size + 1))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if rows != size or not stream.eof or stream.unused_data:
        raise ValueError("its data are not its pixels")


def checked_gif(raw: bytes) -> bytes:
    """The same bytes.

    Raises ValueError unless they are one whole GIF: its blocks up to the trailer, which is the last byte. Comments,
    texts and extensions of programs are refused; the one that says how often a film is repeated is none of these.

    Source  Graphics Interchange Format, Version 89a, CompuServe, 1990, sections 15 to 27.
    """
    if raw[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("its signature is missing")
    width, height, flags = struct.unpack_from("<HHB", raw, 6)
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels")
    place = 13 + _table(flags)
    while raw[place] != 0x3B:
        if raw[place] == 0x2C:  # an image: ten bytes, a table of colours, the size of a code
            place += 11 + _table(raw[place + 9])
        elif any(extension.match(raw, place) for extension in _EXTENSIONS):
            place += 2
        else:
            raise ValueError(f"it has a block {raw[place]:#x} at byte {place:,}")
        while raw[place]:
            place += 1 + raw[place]
        place += 1
    if place + 1 != len(raw):
        raise ValueError(f"{len(raw) - place - 1:,} bytes follow its end")
    return raw


def _table(flags: int) -> int:
    """The bytes of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
