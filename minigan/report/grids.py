"""Pictures of samples: a batch of images as one picture, and PNG files; equal pixels give equal bytes."""

from __future__ import annotations

__all__ = ["grid", "rows", "save_png"]

import io
import math
import os
from pathlib import Path

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.data.paths import user_path
from minigan.errors import DataError, OptionError, require


def grid(images: np.ndarray, columns: int | None = None, pad: int = 2) -> np.ndarray:
    """Lay out images (N, C, H, W), C = 1 or 3, row by row, as uint8 (height, width[, 3]).

    images   values in [-1, 1], those beyond are clipped; or uint8, 0 to 255, which are shown as they are
    columns  by default the root of N, rounded up, so that the picture is almost square
    pad      black pixels between the images and around them

    Raises:
        DataError: another shape, NaN or infinity, which would look like any other pixel, or other integers beyond 1.
        OptionError: columns below 1, or pad below 0.

    >>> grid(np.full((6, 1, 28, 28), -1.0)).shape
    (62, 92)
    """
    images = _pixels(images)
    N, C, H, W = images.shape
    columns = math.isqrt(N - 1) + 1 if columns is None else columns
    if columns < 1 or pad < 0:
        raise OptionError(f"grid: columns={columns} must be at least 1 and pad={pad} at least 0.")
    columns = min(columns, N)
    rows = -(-N // columns)
    cells = np.zeros((rows * columns, H + pad, W + pad, C), np.uint8)  # each with a frame above and to the left
    cells[:N, pad:, pad:] = images.transpose(0, 2, 3, 1)  # (N, H, W, C)
    sheet = cells.reshape(rows, columns, H + pad, W + pad, C).swapaxes(1, 2)  # (rows, H, columns, W, C)
    sheet = sheet.reshape(rows * (H + pad), columns * (W + pad), C)
    sheet = np.pad(sheet, ((0, pad), (0, pad), (0, 0)))
    return sheet[:, :, 0] if C == 1 else sheet


def _pixels(images: np.ndarray) -> np.ndarray:
    """Images (N, C, H, W) as uint8; see `grid`."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise DataError(f"grid: images {images.shape} must be (N, C, H, W) with C = 1 or 3, and not empty.")
    if images.dtype.kind not in "fiub":
        raise DataError(f"grid: images are {images.dtype}, but must be real numbers in [-1, 1], or uint8")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind in "iu" and (images.max() > 1 or images.min() < -1):
        raise DataError(f"grid: images are {images.dtype} from {images.min()} to {images.max()}; give numbers in "
                        "[-1, 1] (data.scaled), or pixels as uint8")
    broken = ~np.isfinite(images).all(axis=(1, 2, 3))
    if broken.any():
        raise DataError(f"grid: {broken.sum()} of {len(images)} images hold NaN or infinity: the network has diverged.")
    return np.rint((np.clip(images.astype(np.float64), -1, 1) + 1) * 127.5).astype(np.uint8)


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
    alike = [np.repeat(batch, channels, 1) if batch.shape[1] == 1 else batch for batch in map(_pixels, batches)]
    return grid(np.concatenate(alike), shapes[0][0])


def save_png(array: np.ndarray, path: str | os.PathLike[str], scale: int = 1) -> None:
    """Write uint8 pixels (H, W) or (H, W, 3) as a PNG, each pixel as a square of `scale` x `scale`.

    The file appears complete or not at all, and equal pixels give equal bytes.

    Raises:
        DataError: another shape or type. OptionError: scale below 1, or a name that does not end in .png.
        ModuleNotFoundError: Pillow is missing. OSError: the file cannot be written.
    """
    image = require("PIL.Image", "a picture")
    path = named(path, ".png", "save_png")
    enlarged = magnified(array, scale, "save_png")
    buffer = io.BytesIO()
    image.fromarray(np.ascontiguousarray(enlarged)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def named(path: str | os.PathLike[str], suffix: str, what: str) -> Path:
    """The path of a picture, with a leading ~ expanded. Raises OptionError if it does not end in `suffix`."""
    if Path(path).suffix.lower() != suffix:
        raise OptionError(f"{what}: the picture is a {suffix[1:].upper()}, so name it *{suffix}, not "
                          f"{Path(path).name!r}.")
    return user_path(path)


def magnified(array: np.ndarray, scale: int, what: str) -> np.ndarray:
    """Pixels uint8 (H, W) or (H, W, 3), each as a square of `scale` x `scale`.

    Raises:
        DataError: another shape or type. OptionError: scale below 1.
    """
    array = np.asarray(array)
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] != 3)
        or not array.size
    ):
        raise DataError(f"{what}: needs uint8 (H, W) or (H, W, 3), not {array.dtype} {array.shape}.")
    if scale < 1:
        raise OptionError(f"{what}: scale={scale} must be at least 1.")
    return array.repeat(scale, 0).repeat(scale, 1)
