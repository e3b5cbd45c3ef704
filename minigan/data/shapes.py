"""Circles and squares, drawn by code: translating between them changes geometry, and can be scored exactly.

A circle of radius r around a point and the square of side 2r around it belong together. Networks never see such pairs,
but a translator that keeps place and size, as the cycle loss demands, draws an image's partner. So the overlap (IoU) of
its output with that partner is a score.
"""

from __future__ import annotations

__all__ = ["Shapes", "shapes"]

from dataclasses import dataclass

import numpy as np

from minigan.data.images import NO_LABELS, ImageData
from minigan.errors import OptionError
from minigan.random import Stream

KINDS = ("circles", "squares")
_FINE = 16  # lines per row of pixels while drawing
_BATCH = 250


@dataclass(frozen=True, eq=False)
class Shapes(ImageData):
    """White shapes on black, one per image.

    centres  float64 (N, 2): x and y in pixels, from 0 to the image's size
    radii    float64 (N,), in pixels: the circle's radius, or half the square's side
    kind     "circles" or "squares"
    """

    centres: np.ndarray
    radii: np.ndarray
    kind: str

    def partner(self) -> Shapes:
        """The shapes of the other kind at the same places, of the same sizes, row for row."""
        kind = KINDS[1 - KINDS.index(self.kind)]
        images = draw(kind, self.centres, self.radii, self.images.shape[2])
        return Shapes(images, NO_LABELS, "shapes", f"{len(self):,} {kind} where there are {self.kind}", self.centres,
                      self.radii, kind)


def shapes(kind: str = "circles", count: int = 1000, size: int = 32, split: str = "train", seed: int = 0) -> Shapes:
    """Circles or squares at random places, of random sizes, (count, 1, size, size); equal arguments, equal bytes.

    Radii are uniform in [size / 8, size / 4], and so are centres, over the places that leave a free pixel around the
    shape. Circles, squares and splits are drawn independently, so no circle has its square among the data.

    Raises:
        OptionError: another kind or split, a count below 1, or a size outside 8 .. 1024.
    """
    if kind not in KINDS or split not in ("train", "test"):
        raise OptionError(f"shapes: kind is 'circles' or 'squares' and split 'train' or 'test', not {kind!r} and "
                          f"{split!r}")
    if count < 1 or not 8 <= size <= 1024:
        raise OptionError(f"shapes: count={count} must be at least 1 and size={size} lie in 8 .. 1024")
    numbers = Stream(seed, f"shapes/{kind}/{split}").uniform((count, 3), np.float64)
    radii = size / 8 * (1 + numbers[:, 2])
    free = size / 2 - 1 - radii  # how far the centre may be from the middle
    centres = size / 2 + (2 * numbers[:, :2] - 1) * free[:, None]
    source = f"{count:,} {kind} of {size} x {size} pixels, drawn from seed {seed}, to {split} on"
    return Shapes(draw(kind, centres, radii, size), NO_LABELS, "shapes", source, centres, radii, kind)


def draw(kind: str, centres: np.ndarray, radii: np.ndarray, size: int) -> np.ndarray:
    """Shapes with smooth edges, uint8 (N, 1, size, size): a pixel is as white as it is covered.

    A pixel's coverage is the mean over _FINE lines through it, exact along each line.
    """
    lines = (np.arange(size * _FINE) + 0.5) / _FINE  # (size*_FINE,)
    edges = np.arange(size + 1.0)
    images = np.empty((len(radii), 1, size, size), np.uint8)
    for rows in (slice(start, start + _BATCH) for start in range(0, len(radii), _BATCH)):
        x, y, radius = centres[rows, :1], centres[rows, 1:], radii[rows, None]
        off = np.abs(lines - y)  # (n, size*_FINE)
        inside = np.maximum(radius**2 - off**2, 0)
        half = np.sqrt(inside) if kind == "circles" else radius * (inside > 0)  # width of the shape on each line
        left, right = (x + sign * half for sign in (-1, 1))  # (n, size*_FINE)
        reached = np.clip(edges, left[..., None], right[..., None])  # (n, size*_FINE, size+1)
        covered = np.diff(reached).reshape(len(radius), size, _FINE, size).mean(2)  # (n, size, size)
        images[rows, 0] = np.rint(255 * covered)
    return images
