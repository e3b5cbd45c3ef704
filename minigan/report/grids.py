"""Pictures of samples: a batch of images as one picture, and PNG files; equal pixels give equal bytes."""

from __future__ import annotations

__all__ = ["grid", "rows", "save_png"]

import io
import math
import os
from pathlib import Path

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.errors import DataError, OptionError, require


def grid(images: np.ndarray, columns: int | None = None, pad: int = 2) -> np.ndarray:
    """Lay out images (N, C, H, W), C = 1 or 3, values in [-1, 1], row by row, as uint8 (height, width[, 3]).

    columns  by default the root of N, rounded up, so that the picture is almost square
    pad      black pixels between the images and around them

    Values beyond [-1, 1] are clipped.

    Raises:
        DataError: another shape, or NaN or infinity, which would look like any other pixel.
        OptionError: columns below 1, or pad below 0.

    >>> grid(np.full((6, 1, 28, 28), -1.0)).shape
    (62, 92)
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise DataError(f"grid: images {images.shape} must be (N, C, H, W) with C = 1 or 3, and not empty.")
    broken = ~np.isfinite(images).all(axis=(1, 2, 3))
    if broken.any():
        raise DataError(f"grid: {broken.sum()} of {len(images)} images hold NaN or infinity: the network has diverged.")
    N, C, H, W = images.shape
    columns = math.isqrt(N - 1) + 1 if columns is None else columns
    if columns < 1 or pad < 0:
        raise OptionError(f"grid: columns={columns} must be at least 1 and pad={pad} at least 0.")
    columns = min(columns, N)
    rows = -(-N // columns)
    cells = np.zeros((rows * columns, H + pad, W + pad, C), np.uint8)  # each with a frame above and to the left
    pixels = np.rint((np.clip(images.astype(np.float64), -1, 1) + 1) * 127.5)
    cells[:N, pad:, pad:] = pixels.transpose(0, 2, 3, 1)  # (N, H, W, C)
    sheet = cells.reshape(rows, columns, H + pad, W + pad, C).swapaxes(1, 2)  # (rows, H, columns, W, C)
    sheet = sheet.reshape(rows * (H + pad), columns * (W + pad), C)
    sheet = np.pad(sheet, ((0, pad), (0, pad), (0, 0)))
    return sheet[:, :, 0] if C == 1 else sheet


def rows(*batches: np.ndarray) -> np.ndarray:
    """Lay out batches of images (N, C, H, W), one row per batch, with image n of each in column n; see `grid`.

    Grey and colour batches can be mixed.

    Raises:
        DataError: batches of unequal numbers or sizes; and as `grid`.

    >>> rows(np.zeros((5, 1, 28, 28)), np.zeros((5, 3, 28, 28))).shape
    (62, 152, 3)
    """
    shapes = [np.shape(batch) for batch in batches]
    if not batches or any(len(shape) != 4 for shape in shapes) or len({(n, *size) for n, _, *size in shapes}) > 1:
        raise DataError(f"rows: batches {shapes} must be at least one, all (N, C, H, W) with equal N, H and W.")
    channels = max(shape[1] for shape in shapes)
    alike = [np.repeat(batch, channels, 1) if np.shape(batch)[1] == 1 else batch for batch in batches]
    return grid(np.concatenate(alike), shapes[0][0])


def save_png(array: np.ndarray, path: str | os.PathLike[str], scale: int = 1) -> None:
    """Write uint8 pixels (H, W) or (H, W, 3) as a PNG, each pixel as a square of `scale` x `scale`.

    The file appears complete or not at all, and equal pixels give equal bytes.

    Raises:
        DataError: another shape or type. OptionError: scale below 1. ModuleNotFoundError: Pillow is missing.
        OSError: the file cannot be written.
    """
    image = require("PIL.Image", "a picture")
    array = np.asarray(array)
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] != 3)
        or not array.size
    ):
        raise DataError(f"save_png: needs uint8 (H, W) or (H, W, 3), not {array.dtype} {array.shape}.")
    if scale < 1:
        raise OptionError(f"save_png: scale={scale} must be at least 1.")
    buffer = io.BytesIO()
    image.fromarray(np.ascontiguousarray(array.repeat(scale, 0).repeat(scale, 1))).save(buffer, "PNG")
    write_atomically(Path(path), buffer.getvalue())
