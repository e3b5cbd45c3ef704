"""Images to Pillow and matplotlib and back. A Pillow picture shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan import report
from minigan.data import scaled
from minigan.engine import Tensor, device
from minigan.errors import DataError, require
from minigan.report.canvas import require_matplotlib

__all__ = ["from_figure", "from_pil", "to_figure", "to_pil"]


def to_pil(images: Tensor | np.ndarray, columns: int | None = None, scale: int = 1) -> Any:
    """Images (N, C, H, W), or one (C, H, W), as a Pillow picture: a sheet, see report.grid, or the image alone.

    Values are in [-1, 1], or pixels as uint8; each becomes a square of `scale` x `scale`. Raises as report.grid.
    """
    array = device.asnumpy(images.data) if isinstance(images, Tensor) else np.asarray(images)
    one = array.ndim == 3
    sheet = report.grid(array[None] if one else array, 1 if one else columns, 0 if one else 2)
    return require("PIL.Image", "a picture").fromarray(np.ascontiguousarray(sheet.repeat(scale, 0).repeat(scale, 1)))


def from_pil(pictures: Any | Sequence[Any], channels: int = 3) -> np.ndarray:
    """Pillow's pictures, one or several of one size, as images (N, channels, H, W) float32 in [-1, 1].

    What is transparent becomes white. channels is 1 (grey) or 3.

    Raises:
        DataError: pictures of several sizes, or none.
    """
    image = require("PIL.Image", "a picture")
    several: list[Any] = list(pictures) if isinstance(pictures, list | tuple) else [pictures]
    if channels not in (1, 3) or not several or len({picture.size for picture in several}) > 1:
        raise DataError(f"from_pil: {len(several)} pictures of sizes {sorted({p.size for p in several})} to {channels} "
                        "channels; give pictures of one size, and 1 or 3 channels")
    arrays = []
    for picture in several:
        whole = picture.convert("RGBA")
        flat = image.alpha_composite(image.new("RGBA", whole.size, "white"), whole).convert("RGB")
        pixels = np.asarray(flat.convert("L") if channels == 1 else flat)
        arrays.append(pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1))  # (C, H, W)
    return scaled(np.stack(arrays))


def to_figure(images: Tensor | np.ndarray, columns: int | None = None, title: str = "") -> Any:
    """Images (N, C, H, W), or one, as a matplotlib Figure with one picture and no axes; save it by its savefig."""
    _, canvas, Figure = require_matplotlib()
    pixels = np.asarray(to_pil(images, columns))
    figure = Figure(figsize=(6, 6 * pixels.shape[0] / pixels.shape[1]), layout="constrained")
    canvas(figure)
    axes = figure.subplots()
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
    if title:
        axes.set_title(title)
    return figure


def from_figure(figure: Any, channels: int = 3) -> np.ndarray:
    """What a matplotlib Figure shows, at its own dpi, as images (1, channels, H, W) float32 in [-1, 1]."""
    _, canvas, _ = require_matplotlib()
    drawn = canvas(figure)
    drawn.draw()
    return from_pil(require("PIL.Image", "a picture").fromarray(np.asarray(drawn.buffer_rgba())), channels)
