"""USPS, digits from envelopes, from a folder, the cache, the network, or, if there are none, scikit-learn's digits.

Search order   as in data/store.py, and last the digits of 8 x 8 pixels that scikit-learn contains.
Format         LIBSVM's: one line per digit, "label index:value index:value ...", label 1 .. 10 for digit 0 .. 9, index
               1 .. 256 rising, value -1 (paper) .. 1 (ink), 0 where an index is left out. Plain, or packed by bzip2,
               gzip or xz. The last line may lack its end, and blank lines may follow it.
Source         Hull, A database for handwritten text recognition research, 1994; Chang & Lin, LIBSVM data.
"""

from __future__ import annotations

__all__ = ["read_libsvm", "usps"]

import codecs
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from minigan.data import store
from minigan.data.digits import digits
from minigan.data.images import ImageData, boxed, channels_last, repeated
from minigan.data.packed import PACKED, unpacked
from minigan.data.paths import user_path
from minigan.errors import DataError, OptionError

MAX_BYTES = 64 << 20  # of text; USPS's training file has 14 MB
SIDE = 16
_FILES = {"train": "usps", "test": "usps.t"}
_SHA256 = {
    "usps.bz2": "26b153faca4dc03f09e4433f48a2654539da39c6b57306f5d10185dd468a5174",
    "usps.t.bz2": "0d2769af9e1639e6414af7de031e60ae6c3d46b474ca8a34b02ce5b4bd51b3fb",
}
_MIRRORS = ("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",)


def usps(
    size: int = 16,
    split: str = "train",
    directory: str | os.PathLike[str] | None = None,
    download: bool = True,
    channels: int = 1,
    box: int | None = None,
) -> ImageData:
    """Digits from envelopes: 7,291 for training or 2,007 for testing; if they are not found, scikit-learn's digits.

    size       16 or more; digits are enlarged bilinearly
    directory  a folder that must hold usps[.bz2, .gz, .xz] or usps.t[...], itself or in its folder `usps`
    download   whether they may be downloaded; a missing network is noticed within seconds
    channels   1, or 3 equal ones
    box        side of the digits in the image, in pixels; the rest is black. By default 20 if size is 28 or 32, else
               size. MNIST's digits fill 20 pixels of 28: a classifier of MNIST reads 97 % of USPS in such a box, and
               85 % of USPS that fills 28, near the 82 % at which studies of domain adaptation start

    Raises:
        DataError: `directory` does not hold USPS, or a file is damaged.
        OptionError: another size, split or number of channels, or a box that does not fit.
        ModuleNotFoundError: USPS was not found, and scikit-learn is not installed.
    """
    if size < SIDE or split not in _FILES or channels not in (1, 3):
        raise OptionError(f"usps: size is {SIDE} or more, split 'train' or 'test' and channels 1 or 3, not {size!r}, "
                          f"{split!r} and {channels!r}")
    name = _FILES[split] + ".bz2"
    path, why = store.locate("usps", lambda folder: _search(folder, split), f"{_FILES[split]}[.bz2]",
                             store.Remote({name: _SHA256[name]}, _MIRRORS), directory, download)
    if path is None:
        data = digits(SIDE, split)
        data = replace(data, source=f"{data.source}, in the place of USPS, which was not found ({why})")
    else:
        pixels, labels = read_libsvm(path)
        data = ImageData(channels_last(pixels), labels, "usps", f"USPS, {len(labels):,} digits from {path.parent}")
    return replace(data, images=repeated(boxed(data.images, size, box), channels))


def _search(folder: Path, split: str) -> Path | None:
    places = (folder, folder / "usps", *(folder / name for name in _names(split)))  # some unpack into a folder each
    return next((place / name for place in places for name in _names(split) if (place / name).is_file()), None)


def _names(split: str) -> list[str]:
    """The usual names of the file of a split; that of the download first."""
    return [_FILES[split] + ending for ending in sorted(PACKED, key=".bz2".__ne__)]


def read_libsvm(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> tuple[np.ndarray, np.ndarray]:
    """Digits uint8 (N, 16, 16), ink 255, and labels uint8 (N,), from a file in the format above.

    Raises:
        DataError: the file is missing, unreadable, truncated, corrupt, empty, or longer than `max_bytes` of text; or a
            line is not in the format. The message names the file, the line and what is wrong with it.
    """
    path = user_path(path)
    text = _text(path, max_bytes).removeprefix(codecs.BOM_UTF8)
    lines = text.rstrip().split(b"\n")  # blank lines at the end, and a last line without an end, are usual
    if not lines[0] and len(lines) == 1:
        raise DataError(f"{path}: empty: there is no digit in it")
    values = np.zeros((len(lines), SIDE * SIDE))
    labels = np.empty(len(lines), np.uint8)
    for number, line in enumerate(lines):
        try:
            labels[number] = _parse(line, values[number])
        except ValueError as error:
            if number == len(lines) - 1 and not text.endswith(b"\n"):
                raise _truncated(path, len(lines)) from None
            raise DataError(f"{path}: line {number + 1:,}: {error}; it is not LIBSVM's USPS, or is damaged") from None
    if not text.endswith(b"\n") and _is_cut(lines):
        raise _truncated(path, len(lines))
    pixels = np.rint((values + 1) * 127.5).astype(np.uint8).reshape(-1, SIDE, SIDE)  # (N, 16*16) to (N, 16, 16)
    return pixels, labels


def _is_cut(lines: list[bytes]) -> bool:
    """Whether the last line, which has no end, lacks its last values or digits: all other lines end with one index."""
    ends = [line.split()[-1].partition(b":")[::2] for line in lines]
    return ends[-1][1].endswith(b".") or (len({index for index, _ in ends[:-1]}) == 1 and ends[-1][0] != ends[0][0])


def _truncated(path: Path, number: int) -> DataError:
    return DataError(f"{path}: truncated: line {number:,}, the last, has no end; fetch it again")


def _parse(line: bytes, out: np.ndarray) -> int:
    """Write the values of a line to `out` (256,), and return the digit. Raises ValueError, which says what is wrong."""
    label, *pairs = line.split()[: len(out) + 2] or [b""]
    if not (label.isdigit() and 1 <= int(label[:9]) <= 10):
        raise ValueError(f"the label {_shown(label)} is not one of 1 .. 10")
    last = 0
    for pair in pairs:
        index, colon, value = pair.partition(b":")
        if not (colon and index.isdigit()):
            raise ValueError(f"{_shown(pair)} is not index:value")
        place = int(index[:9])
        if not last < place <= len(out):
            raise ValueError(f"the index {place} follows {last}, but indices rise from 1 to {len(out)}")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not -1 <= number <= 1:
            raise ValueError(f"the value {_shown(value)} of index {place} is not in [-1, 1]")
        out[place - 1], last = number, place
    return int(label) - 1


def _shown(text: bytes) -> str:
    return repr(text[:20].decode("ascii", "replace"))


def _text(path: Path, max_bytes: int) -> bytes:
    """The whole text of a plain or packed file."""
    with unpacked(path) as (stream, _):
        text = stream.read(max_bytes + 1)
    if len(text) > max_bytes:
        raise DataError(f"{path}: more than {max_bytes:,} bytes of text; USPS has 14 million")
    return text
