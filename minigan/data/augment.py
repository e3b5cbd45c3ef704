"""Augmentations that a gradient passes through: the discriminator sees real and generated images through the same ones.

If only the real images were augmented, the generator would learn to draw augmented images. If both are, and the
generator's gradient comes back through the augmentation, it still learns the images themselves, and a discriminator
cannot learn a small data set by heart.

Source: Zhao, Liu, Lin, Zhu & Han, Differentiable augmentation for data-efficient GAN training, 2020.
"""

from __future__ import annotations

__all__ = ["DiffAugment"]

import math
from typing import Any

import numpy as np

from minigan import ops
from minigan.engine import Array, Tensor, device
from minigan.errors import OptionError, ShapeError
from minigan.random import Stream

POLICIES = ("colour", "translation", "cutout")
MOVED, CUT = 1 / 8, 1 / 2  # shares of a side: the largest translation, the side of the square that is cut out
DRAWS = 7  # uniform numbers per image: brightness, saturation, contrast, two of the translation, two of the cutout


class DiffAugment:
    """Images x (N, C, H, W) in [-1, 1] changed at random, each in its own way, in this order:

        colour       x + b;  with C = 3, m + s (x - m), m an image's mean over channels;  m + c (x - m), m its mean;
                     b, s, c uniform in [-0.5, 0.5), [0, 2), [0.5, 1.5)
        translation  y[i,j] = x[i+v, j+h], 0 outside; v, h whole numbers up to 1/8 of a side
        cutout       0 in a square of half a side, whose centre is anywhere; what lies outside the image is lost

    Colour and cutout are sums and products with constants. A translation is x with a matrix of zeros and ones on either
    side, one pair per image. So each is made of operations that have all derivatives, and that a captured step can
    repeat, as all random numbers are computed on the device.

    Args:
        policy: names from the table, separated by commas, in any order; they are applied in that of the table.
        stream: the random numbers.

    Raises:
        OptionError: a name that is not in the table, or none.
    """

    def __init__(self, policy: str = "colour,translation,cutout", stream: Stream | None = None) -> None:
        names = [name.strip().replace("color", "colour") for name in policy.split(",")]
        if not {*names} <= {*POLICIES}:
            raise OptionError(f"augment={policy!r:.60} must be names separated by commas, of {', '.join(POLICIES)}")
        self.policy = tuple(name for name in POLICIES if name in names)
        self.stream = stream or Stream(0, "augment")
        self._places: dict[tuple[int, Any, str], Array] = {}  # 0 ... side-1: a captured step cannot make them

    def draw(self, x: Tensor) -> Array:
        """The random numbers for a batch (N, ...): DRAWS uniform numbers in [0, 1) per image, (DRAWS, N)."""
        return self.stream.uniform((DRAWS, len(x)), x.dtype, x.device, samples=1)

    def __call__(self, x: Tensor, draw: Array | None = None) -> Tensor:
        """The images (N, C, H, W) changed by `draw`, from `draw(x)`; by default new numbers.

        Raises:
            ShapeError: x is no batch of images, or the draw is for another number of them.
        """
        draw = self.draw(x) if draw is None else draw
        if x.ndim != 4 or draw.shape != (DRAWS, len(x)):
            raise ShapeError(f"DiffAugment: x {x.shape} must be (N, C, H, W), and its draw {draw.shape} ({DRAWS}, N)")
        if "colour" in self.policy:
            x = recoloured(x, draw[0], draw[1], draw[2])
        if "translation" in self.policy:
            x = self._translated(x, draw[3], draw[4])
        if "cutout" in self.policy:
            x = x * Tensor(self._kept(x, draw[5], draw[6]))
        return x

    def _translated(self, x: Tensor, down: Array, right: Array) -> Tensor:
        rows, columns = (self._moved(x, side, u) for side, u in zip(x.shape[2:], (down, right), strict=True))
        return ops.matmul(ops.matmul(Tensor(rows), x), Tensor(columns.swapaxes(2, 3)))

    def _moved(self, x: Tensor, side: int, u: Array) -> Array:
        """Matrices (N, 1, side, side) with a one at [i, i + t], t the translation of each image."""
        limit = math.floor(side * MOVED + 0.5)
        t = _whole(u, 2 * limit + 1) - limit  # (N,)
        place = self._place(x, side)
        return (place == place[:, None] + t[:, None, None, None]).astype(x.dtype)  # (N, 1, side, side)

    def _kept(self, x: Tensor, down: Array, right: Array) -> Array:
        """0 in each image's square, 1 around it, (N, 1, H, W)."""
        cut = []
        for side, u in zip(x.shape[2:], (down, right), strict=True):
            length = math.floor(side * CUT + 0.5)
            start = _whole(u, side + 1 - length % 2) - length // 2  # (N,)
            place = self._place(x, side) - start[:, None]  # (N, side), counted from the start
            cut.append((place >= 0) & (place < length))
        rows, columns = cut
        return (~(rows[:, None, :, None] & columns[:, None, None, :])).astype(x.dtype)

    def _place(self, x: Tensor, side: int) -> Array:
        """0, 1, ..., side - 1, (side,), of the dtype of the draws."""
        key = (side, x.dtype, x.device)
        if key not in self._places:
            self._places[key] = device.put(np.arange(side, dtype=x.dtype), x.device)
        return self._places[key]


def recoloured(x: Tensor, brightness: Array, saturation: Array, contrast: Array) -> Tensor:
    """Images (N, C, H, W) with another brightness, saturation (three channels only) and contrast, by u in [0, 1)."""
    b, s, c = (Tensor(u[:, None, None, None]) for u in (brightness - 0.5, saturation * 2, contrast + 0.5))
    x = x + b
    if x.shape[1] == 3:
        mean = ops.mean(x, axis=1, keepdims=True)
        x = mean + (x - mean) * s
    mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
    return mean + (x - mean) * c


def _whole(u: Array, count: int) -> Array:
    """Whole numbers 0, ..., count - 1 from u uniform in [0, 1), still real; u * count may have been rounded up."""
    return np.minimum(np.floor(u * count), count - 1)
