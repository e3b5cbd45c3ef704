"""Images in memory, as every data set of images returns them; their range, size and channels changed."""

from __future__ import annotations

__all__ = ["ImageData", "enlarged", "one_per_label", "scaled"]

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from minigan import ops
from minigan.engine import Tensor, no_grad
from minigan.errors import DataError, OptionError

MAX_BYTES = 2 << 30  # of the largest set of images that is made; 60,000 digits of 128 x 128 x 3 would take 3 GB
_BATCH = 500  # images enlarged at a time
MNIST_BOX, MNIST_SIZES = 20, (28, 32)  # MNIST's digits fill a box of 20 pixels in images of 28, or of 32 with a frame
NO_LABELS = np.zeros(0, np.uint8)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images in memory, labelled or not.

    images  uint8 (N, C, H, W), stored channels-last: images.transpose(0, 2, 3, 1) is contiguous
    labels  unsigned integers (N,), or (0,) for images without labels
    name    of the data set, such as "mnist"
    source  one sentence: how many there are, and where they came from
    credit  who made them and under which licence, where that must be named; printed, and kept in config.json and in
            report.html
    """

    images: np.ndarray
    labels: np.ndarray
    name: str
    source: str
    credit: str = field(default="", kw_only=True)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, count: int) -> Self:
        """The first `count` images with their labels and other arrays; all images if there are fewer.

        Raises:
            OptionError: count is not positive.
        """
        if count < 1:
            raise OptionError(f"take: count={count} must be at least 1")
        return self if count >= len(self) else self._rows(slice(count), f"the first {count:,} of: {self.source}")

    def spread(self, count: int) -> Self:
        """At most `count` images, evenly spread over the set, which may be sorted by label.

        Raises:
            OptionError: count is not positive.
        """
        if count < 1:
            raise OptionError(f"spread: count={count} must be at least 1")
        rows = np.arange(0, len(self), max(1, len(self) // count))[:count]
        return self._rows(rows, f"{len(rows):,} of: {self.source}")

    def _rows(self, rows: Any, source: str) -> Self:
        """These rows of every array that has a row per image."""
        arrays: dict[str, Any] = {name: value[rows] for name, value in vars(self).items()
                                  if isinstance(value, np.ndarray) and len(value) == len(self)}
        return replace(self, source=source, **arrays)


def channels_last(pixels: np.ndarray) -> np.ndarray:
    """Pixels (N, H, W, C) or grey ones (N, H, W) as images (N, C, H, W), channels-last in memory."""
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    return np.ascontiguousarray(pixels).transpose(0, 3, 1, 2)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Pixel values from 0 to 255, of any shape and type, as float32 in [-1, 1]: what networks take and give.

    >>> scaled(np.array([0, 51, 255], np.uint8))
    array([-1. , -0.6,  1. ], dtype=float32)
    """
    return pixels.astype(np.float32) / 127.5 - 1


def one_per_label(data: ImageData) -> np.ndarray:
    """The first image of each label, in the order of the labels: float32 (labels, C, H, W) in [-1, 1]."""
    _, first = np.unique(data.labels, return_index=True)
    return scaled(data.images[first])


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images uint8 (N, C, H, W) enlarged bilinearly to uint8 (N, C, size, size), rounded; align_corners=False.

    Raises:
        OptionError: `size` is smaller than a side of the images: bilinear reduction would skip pixels.
        DataError: the result would take more than MAX_BYTES.
    """
    N, C, H, W = images.shape
    if size < max(H, W):
        raise OptionError(f"resized: {H} x {W} images are enlarged, to size {max(H, W)} or more, not to {size}")
    _check_bytes(N, C, size)
    if H == W == size:
        return channels_last(images.transpose(0, 2, 3, 1))
    out = np.empty((N, size, size, C), np.uint8)
    with no_grad():
        for rows in (slice(start, start + _BATCH) for start in range(0, N, _BATCH)):
            pixels = ops.interpolate(Tensor(images[rows].astype(np.float32)), (size, size), "bilinear").data
            out[rows] = np.rint(np.clip(pixels, 0, 255)).transpose(0, 2, 3, 1)  # (n, H, W, C)
    return out.transpose(0, 3, 1, 2)


def enlarged(data: ImageData, size: int, channels: int | None = None) -> ImageData:
    """The same data with images enlarged bilinearly to size x size; with channels=3, grey ones are repeated.

    For networks made for photographs, as in the study of MNIST and USPS at 128 x 128 x 3.

    Raises:
        OptionError: a size below that of the images, or channels other than theirs and 3 for grey ones.
        DataError: the result would take more than MAX_BYTES; take fewer.
    """
    have = data.images.shape[1]
    channels = have if channels is None else channels
    if channels != have and (have, channels) != (1, 3):
        raise OptionError(f"enlarged: {data.name} has {have} channels, and channels={channels} cannot be made of them; "
                          "only 1 channel can become 3")
    _check_bytes(len(data), channels, size)
    return replace(data, images=repeated(resized(data.images, size), channels))


def boxed(images: np.ndarray, size: int, box: int | None) -> np.ndarray:
    """Digits (N, C, h, w) that fill their image, enlarged to box x box in the middle of size x size black pixels.

    box  None: 20 if size is 28 or 32, as in MNIST, otherwise `size`

    Raises:
        OptionError: a box smaller than the digits are, or larger than `size`.
    """
    box = (MNIST_BOX if size in MNIST_SIZES else size) if box is None else box
    if not images.shape[2] <= box <= size:
        raise OptionError(f"box={box} must lie between the digits' own {images.shape[2]} pixels and size={size}")
    before = (size - box) // 2
    around = (before, size - box - before)
    pixels = resized(images, box).transpose(0, 2, 3, 1)  # (N, box, box, C)
    return np.pad(pixels, ((0, 0), around, around, (0, 0))).transpose(0, 3, 1, 2)  # (N, C, size, size), channels-last


def repeated(images: np.ndarray, channels: int) -> np.ndarray:
    """Images (N, 1, H, W) with their channel repeated; unchanged if they have `channels` already."""
    if images.shape[1] == channels:
        return images
    return channels_last(images.transpose(0, 2, 3, 1).repeat(channels, axis=3))


def _check_bytes(count: int, channels: int, size: int) -> None:
    asked = count * channels * size * size
    if asked > MAX_BYTES:
        raise DataError(f"{count:,} images of {size} x {size} x {channels} would take {asked / 2**30:.1f} GiB, more "
                        f"than {MAX_BYTES >> 30} GiB: use fewer, such as data.take({MAX_BYTES * count // asked:,}), or "
                        "a smaller size")
