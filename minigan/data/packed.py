"""The one door for data files that may be packed: gzip, bzip2 or xz. The first bytes decide which, not the name.

The unpackers are foreign code that reads files of strangers: whatever they raise becomes a DataError that names the
file.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from minigan.errors import DataError


class _Packing(NamedTuple):
    """One way to pack: the first bytes of its files, and the module of Python whose `open` unpacks them."""

    magic: bytes
    name: str
    module: str
    ratio: int | None  # no stream grows by more than this; None: no useful limit is known


_PACKINGS = (
    _Packing(b"\x1f\x8b", "gzip", "gzip", 1032),  # zlib, "Maximum expansion factor"
    _Packing(b"BZh", "bzip2", "bz2", None),
    _Packing(b"\xfd7zXZ\0", "xz", "lzma", None),
)
PACKED = ("", ".gz", ".bz2", ".xz")  # what follows the name of a file that is read through this door


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """An open stream of a file's contents, unpacked, and the number of bytes that it can hold at most, if known.

    Raises:
        DataError: the file is missing or unreadable, or the stream is truncated or corrupt; also when the body of the
            `with` block meets this while it reads.
    """
    packing, stored = None, 0
    try:
        with path.open("rb") as raw:
            start = raw.read(8)
            raw.seek(0)
            stored = os.fstat(raw.fileno()).st_size
            packing = next((kind for kind in _PACKINGS if start.startswith(kind.magic)), None)
            if packing is None:
                yield raw, stored
            else:
                with importlib.import_module(packing.module).open(raw) as stream:
                    yield stream, stored * packing.ratio if packing.ratio else None
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except MemoryError:
        raise DataError(f"{path}: there is not enough memory to read it; close other programs") from None
    except EOFError:
        raise DataError(f"{path}: the {packing.name if packing else ''} stream is truncated ({stored:,} bytes are "
                        "there); fetch it again") from None
    except Exception as error:  # an unpacker may raise anything; a list of its errors would never be complete
        if packing is None or getattr(error, "strerror", None):
            raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
        raise DataError(f"{path}: the {packing.name} stream is corrupt ({error or type(error).__name__}); fetch it "
                        "again") from None
