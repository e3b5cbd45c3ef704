"""Patches of photographs: colour and grey patches to translate between; edges, and the photographs they belong to.

The photographs are cut into cells twice as wide as a patch. Each cell is for training or for testing, and a patch lies
inside one cell, so no pixel is in both sets, and both sets look alike. Colour and grey training patches come from the
same cells but from different places: they are no pairs, yet have one distribution, as in the unpaired studies of paired
data by CycleGAN's authors. If each kind had cells of its own, it would show other things, and networks would learn that
difference, too. Each patch is the one with the most contrast among three random ones: half of a photograph may be sky,
which teaches little.
"""

from __future__ import annotations

__all__ = ["edges", "luma", "patches"]

import os

import numpy as np

from minigan.data.canny import edge_map
from minigan.data.folder import photographs
from minigan.data.images import NO_LABELS, ImageData, channels_last
from minigan.errors import DataError, OptionError, require
from minigan.random import Stream

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in grey: ITU-R Recommendation BT.601
CANDIDATES = 3
PARTS = ("train", "train", "train", "train", "test")  # given to the cells in turn


def patches(kind: str = "colour", count: int = 500, size: int = 32, split: str = "train",
            directory: str | os.PathLike[str] | None = None, seed: int = 0) -> ImageData:
    """Patches in colour (count, 3, size, size) or grey (count, 1, size, size), the two kinds from different places.

    With split="test" both kinds come from the same places, row for row: the true colours of grey patches are known.

    kind       "colour", or "grey", which is the luma
    directory  a folder of photographs; by default scikit-learn's two sample photographs, 640 x 427 pixels

    Raises:
        DataError: the photographs have too few cells for `size`, or there are none.
        OptionError: another kind or split, or a count or size below 1.
    """
    if kind not in ("colour", "grey"):
        raise OptionError(f"patches: kind is 'colour' or 'grey', not {kind!r}")
    _check(split, count, size)
    pictures, source = _photographs(directory)
    which = kind if split == "train" else "both"
    pixels = _cut(pictures, _places(pictures, split, which, count, size, seed), size)  # (count, size, size, 3)
    if kind == "grey":
        pixels = luma(pixels)
    return ImageData(channels_last(pixels), NO_LABELS, "patches",
                     f"{count:,} {kind} patches of {size} x {size} pixels to {split} on, from {source}")


def edges(count: int = 1000, size: int = 64, split: str = "train", directory: str | os.PathLike[str] | None = None,
          seed: int = 0) -> tuple[ImageData, ImageData]:
    """Pairs of edges, white on black (count, 1, size, size), and the photographs (count, 3, size, size) they belong to.

    `edge_map` finds the edges in the whole photographs. Arguments and errors are those of `patches`.

    Raises:
        ModuleNotFoundError: SciPy is not installed.
    """
    _check(split, count, size)
    pictures, source = _photographs(directory)
    places = _places(pictures, split, "edges", count, size, seed)
    lines = [edge_map(luma(picture)) for picture in pictures]
    return tuple(  # type: ignore[return-value]  # a pair
        ImageData(channels_last(_cut(from_, places, size)), NO_LABELS, "edges",
                  f"{count:,} patches of {size} x {size} pixels to {split} on, {what} from {source}")
        for from_, what in ((lines, "edges"), (pictures, "photographs")))


def photograph_cells(size: int) -> np.ndarray:
    """scikit-learn's two photographs cut into squares without overlap, uint8 (N, 3, size, size).

    Raises:
        DataError: scikit-learn is missing.
    """
    return np.stack([picture[row : row + size, column : column + size].transpose(2, 0, 1)
                     for picture in _photographs(None)[0]
                     for row in range(0, picture.shape[0] - size + 1, size)
                     for column in range(0, picture.shape[1] - size + 1, size)])


def luma(pixels: np.ndarray) -> np.ndarray:
    """The grey values of pixels uint8 (..., 3), as uint8 (...): their sum weighted by LUMA, rounded."""
    grey: np.ndarray = np.rint(pixels @ np.array(LUMA)).astype(np.uint8)
    return grey


def _check(split: str, count: int, size: int) -> None:
    if split not in ("train", "test") or count < 1 or size < 1:
        raise OptionError(f"patches: split is 'train' or 'test', count and size at least 1, not {split!r}, {count!r} "
                          f"and {size!r}")


def _photographs(directory: str | os.PathLike[str] | None) -> tuple[list[np.ndarray], str]:
    """Photographs uint8 (H, W, 3), and a description of them."""
    if directory is not None:
        return photographs(directory)
    try:
        datasets = require("sklearn.datasets", "the pair of sample photographs")
    except ModuleNotFoundError as error:
        raise DataError(f"patches: {error}, or give a folder of photographs") from None
    return list(datasets.load_sample_images().images), "scikit-learn's two sample photographs"


def _places(pictures: list[np.ndarray], part: str, kind: str, count: int, size: int, seed: int) -> np.ndarray:
    """Where patches of a kind lie, (count, 3): number of the picture, row and column of the first pixel."""
    side = 2 * size
    cells = [(number, row, column) for number, picture in enumerate(pictures)
             for row in range(0, picture.shape[0] - side + 1, side)
             for column in range(0, picture.shape[1] - side + 1, side)]
    if len(cells) < len(PARTS):
        raise DataError(f"patches: size={size} needs at least {len(PARTS)} cells of {side} x {side} pixels, but the "
                        f"{len(pictures)} photographs have {len(cells)}: choose a smaller size or more photographs")
    order = Stream(seed, "cells").permutation(len(cells))
    mine = np.array([cells[cell] for turn, cell in enumerate(order) if PARTS[turn % len(PARTS)] == part])
    where = Stream(seed, f"patches/{part}/{kind}").integers(0, 1 << 62, (count * CANDIDATES, 3))
    places = mine[where[:, 0] % len(mine)]  # (count*CANDIDATES, 3)
    places[:, 1:] += where[:, 1:] % (size + 1)
    contrast = _cut([luma(picture) for picture in pictures], places, size).std((1, 2))
    best = contrast.reshape(count, CANDIDATES).argmax(1)
    return places.reshape(count, CANDIDATES, 3)[np.arange(count), best]


def _cut(pictures: list[np.ndarray], places: np.ndarray, size: int) -> np.ndarray:
    return np.stack([pictures[n][row : row + size, column : column + size] for n, row, column in places])
