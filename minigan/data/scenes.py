"""Scenes drawn by code, with exact masks: striped and spotted things on a cloudy ground, for segmentation.

Things and ground take their colours from the same range, so that neither colour nor brightness tells them apart: a
network has to learn textures and outlines.
"""

from __future__ import annotations

__all__ = ["scenes"]

import numpy as np

from minigan.data.images import NO_LABELS, ImageData, channels_last
from minigan.errors import OptionError
from minigan.random import Stream

MOST = 3  # things in a scene
_FINE = 4  # lines and columns per pixel while drawing
_COARSE = 5  # points per side on which the ground's clouds are drawn


def scenes(count: int = 500, size: int = 32, split: str = "train", seed: int = 0) -> tuple[ImageData, ImageData]:
    """Images (count, 3, size, size) and their masks (count, 1, size, size), 255 where a thing covers the whole pixel.

    Each scene has one to MOST things, discs and turned rectangles, which may overlap. Equal arguments, equal bytes.

    Raises:
        OptionError: another split, a count below 1, or a size outside 16 .. 512.
    """
    if split not in ("train", "test") or count < 1 or not 16 <= size <= 512:
        raise OptionError(f"scenes: split is 'train' or 'test', count at least 1 and size in 16 .. 512, not {split!r}, "
                          f"{count!r} and {size!r}")
    numbers = Stream(seed, f"scenes/{split}")
    drawn = [_scene(numbers, size) for _ in range(count)]
    source = f"of {count:,} scenes of {size} x {size} pixels, drawn from seed {seed}, to {split} on"
    images, masks = (np.stack(part) for part in zip(*drawn, strict=True))
    return (ImageData(channels_last(images), NO_LABELS, "scenes", f"images {source}"),
            ImageData(channels_last(masks), NO_LABELS, "masks", f"masks {source}"))


def _scene(numbers: Stream, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One image (size, size, 3) and its mask (size, size)."""
    fine = size * _FINE
    y, x = (np.indices((fine, fine)) + 0.5) / fine  # 0 .. 1
    picture = _clouds(numbers, fine)
    mask = np.zeros((fine, fine), bool)
    for _ in range(1 + int(numbers.integers(0, MOST, 1)[0])):
        inside = _outline(numbers, x, y)
        picture[inside] = _texture(numbers, x, y)[inside]
        mask |= inside
    light = 1 - 0.3 * numbers.uniform(1, np.float64) * x  # from the left
    blocks = (size, _FINE, size, _FINE)
    pixels = (picture * light[..., None]).reshape(*blocks, 3).mean((1, 3))  # (size, size, 3)
    pixels += 0.02 * numbers.normal(pixels.shape, np.float64)
    cover = mask.reshape(blocks).mean((1, 3))  # (size, size)
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8), np.rint(255 * cover).astype(np.uint8)


def _clouds(numbers: Stream, fine: int) -> np.ndarray:
    """A ground (fine, fine, 3) that changes smoothly between two colours."""
    a, b = _colours(numbers)
    heights = numbers.uniform((_COARSE, _COARSE), np.float64)
    where = (np.arange(fine) + 0.5) / fine * (_COARSE - 1)
    low = where.astype(int)
    share = where - low
    share = share * share * (3 - 2 * share)  # smooth at the points
    along = heights[:, low] * (1 - share) + heights[:, low + 1] * share  # (_COARSE, fine)
    cloud = along[low] * (1 - share[:, None]) + along[low + 1] * share[:, None]  # (fine, fine)
    return a + cloud[..., None] * (b - a)


def _texture(numbers: Stream, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Stripes or spots of two colours, (fine, fine, 3)."""
    a, b = _colours(numbers)
    kind, turn, period = numbers.uniform(3, np.float64)
    angle, wave = np.pi * turn, 2 * np.pi * (6 + 3 * period)  # 6 to 9 stripes across the scene
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    pattern = np.sin(wave * u) > 0 if kind < 0.5 else np.sin(wave * u) * np.sin(wave * v) > 0
    return np.where(pattern[..., None], a, b)


def _outline(numbers: Stream, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The points that a disc or a turned rectangle covers, as bools of x's shape."""
    kind, cx, cy, radius, turn, aspect = numbers.uniform(6, np.float64)
    radius = 0.12 + 0.13 * radius
    dx, dy = x - (0.15 + 0.7 * cx), y - (0.15 + 0.7 * cy)
    if kind < 0.5:
        return np.hypot(dx, dy) < radius
    angle = np.pi * turn
    along, across = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    return (np.abs(along) < radius) & (np.abs(across) < radius * (0.5 + 0.5 * aspect))


def _colours(numbers: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Two colours (3,) that differ clearly."""
    a = numbers.uniform(3, np.float64)
    b = np.where(a < 0.5, a + 0.35 + 0.15 * a, a - 0.35 - 0.15 * (1 - a))
    return a, b
