"""Pictures one above the other, each below a line of text; and films."""

from __future__ import annotations

__all__ = ["film", "labelled", "stacked"]

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.errors import DataError, OptionError, require
from minigan.report.grids import magnified, named

_LETTERS = 15  # height in pixels
_GAP = 10


def stacked(parts: Sequence[tuple[str, np.ndarray]], scale: int = 2) -> np.ndarray:
    """Pictures, uint8 (H, W) or (H, W, 3), enlarged, each below a line of text, as one picture on black.

    Args:
        parts: text, which may be empty, and picture.
        scale: enlargement of the pictures.

    Raises:
        DataError: there are no pictures, or one is of another shape or type. OptionError: scale below 1.
        ModuleNotFoundError: Pillow is missing.
    """
    if not parts:
        raise DataError("stacked: there are no pictures")
    blocks = []
    for text, picture in parts:
        blocks += [_line(text)] if text else []
        blocks.append(_coloured(magnified(picture, scale, "stacked")))
        blocks.append(np.zeros((_GAP, 1, 3), np.uint8))
    width = max(block.shape[1] for block in blocks)
    whole = np.concatenate([np.pad(block, ((0, 0), (0, width - block.shape[1]), (0, 0))) for block in blocks[:-1]])
    return np.pad(whole, ((_GAP, _GAP), (_GAP, _GAP), (0, 0)))


def labelled(picture: np.ndarray, labels: Sequence[str], marked: Sequence[bool], scale: int = 2) -> np.ndarray:
    """A row of images, uint8 (H, W) or (H, W, 3), enlarged, with a label below each; returns (height, width, 3).

    Args:
        picture: the row; its images have equal widths.
        labels: one for each image.
        marked: whether the label is bright, and the image underlined.
        scale: enlargement of the picture.

    Raises:
        DataError: a picture of another shape or type. OptionError: scale below 1.
        ModuleNotFoundError: Pillow is missing.
    """
    image, draw, fonts = _pillow()
    row = _coloured(magnified(picture, scale, "labelled"))
    strip = image.new("RGB", (row.shape[1], _LETTERS + 10))
    pen, font = draw.Draw(strip), fonts.load_default(_LETTERS)
    width = row.shape[1] / max(1, len(labels))
    for number, (label, is_marked) in enumerate(zip(labels, marked, strict=True)):
        colour = (255, 200, 60) if is_marked else (140, 140, 140)
        pen.text(((number + 0.5) * width, 4), label, fill=colour, font=font, anchor="mt" if label else None)
        if is_marked:
            pen.line([(number * width + 6, 0), ((number + 1) * width - 6, 0)], fill=colour, width=2)
    return np.concatenate([row, np.asarray(strip)])


def film(frames: Sequence[np.ndarray], path: str | os.PathLike[str], milliseconds: int = 80, scale: int = 2) -> None:
    """Write frames, uint8 (H, W) or (H, W, 3), as a GIF that repeats for ever; equal frames give equal bytes.

    Args:
        frames: all of one size.
        path: the file.
        milliseconds: time of each frame.
        scale: enlargement of the frames.

    Raises:
        DataError: there are no frames, they differ in size, or one is of another shape or type.
        OptionError: scale or milliseconds below 1, or a name that does not end in .gif.
        ModuleNotFoundError: Pillow is missing. OSError: the file cannot be written.
    """
    if not len(frames):
        raise DataError(f"{path}: a film needs at least one frame")
    path = named(path, ".gif", "film")
    if milliseconds < 1:
        raise OptionError(f"film: milliseconds={milliseconds} must be at least 1")
    if len(sizes := {np.shape(frame)[:2] for frame in frames}) > 1:
        raise DataError(f"film: frames of {' and '.join(map(str, sorted(sizes)))} pixels; they must have one size")
    image = _pillow()[0]
    pictures = [image.fromarray(np.ascontiguousarray(magnified(frame, scale, "film"))) for frame in frames]
    pictures = [picture if picture.mode == "L" else picture.quantize() for picture in pictures]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0,
                     optimize=True)
    write_atomically(path, buffer.getvalue())


def _coloured(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, 2)


def _line(text: str) -> np.ndarray:
    """Text, light on black, (height, width, 3)."""
    image, draw, fonts = _pillow()
    font = fonts.load_default(_LETTERS)
    left, _, right, _ = font.getbbox(text)
    strip = image.new("RGB", (int(right - left) + 4, _LETTERS + 8))
    draw.Draw(strip).text((0, 2), text, fill=(225, 225, 220), font=font)
    return np.asarray(strip)


def _pillow() -> tuple[Any, Any, Any]:
    image, draw, fonts = (require(f"PIL.{name}", "a picture") for name in ("Image", "ImageDraw", "ImageFont"))
    return image, draw, fonts
