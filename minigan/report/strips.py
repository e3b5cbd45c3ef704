"""Pictures above one another, each with a line of words; and films of pictures."""

from __future__ import annotations

__all__ = ["film", "stacked"]

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.errors import DataError, require

_WORDS = 15  # height of the letters in pixels
_GAP = 10


def stacked(parts: Sequence[tuple[str, np.ndarray]], scale: int = 2) -> np.ndarray:
    """Pictures, uint8 (H, W) or (H, W, 3), each enlarged and below a line of words, as one picture on black.

    Raises:
        DataError: there are none. ModuleNotFoundError: without Pillow.
    """
    if not parts:
        raise DataError("stacked: there are no pictures")
    blocks = []
    for words, picture in parts:
        blocks += [_line(words)] if words else []
        blocks.append(_coloured(picture).repeat(scale, 0).repeat(scale, 1))
        blocks.append(np.zeros((_GAP, 1, 3), np.uint8))
    width = max(block.shape[1] for block in blocks)
    whole = np.concatenate([np.pad(block, ((0, 0), (0, width - block.shape[1]), (0, 0))) for block in blocks[:-1]])
    return np.pad(whole, ((_GAP, _GAP), (_GAP, _GAP), (0, 0)))


def film(frames: Sequence[np.ndarray], path: str | os.PathLike[str], milliseconds: int = 80, scale: int = 2) -> None:
    """Write frames, uint8 (H, W) or (H, W, 3), as a GIF that goes round for ever; equal frames give equal bytes.

    Raises:
        DataError: there are no frames. ModuleNotFoundError: without Pillow. OSError: it cannot be written.
    """
    if not frames:
        raise DataError(f"{path}: a film needs a frame")
    image = _pillow()[0]
    pictures = [image.fromarray(np.ascontiguousarray(frame.repeat(scale, 0).repeat(scale, 1))) for frame in frames]
    pictures = [picture if picture.mode == "L" else picture.quantize() for picture in pictures]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0,
                     optimize=True)
    write_atomically(path, buffer.getvalue())


def _coloured(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, 2)


def _line(words: str) -> np.ndarray:
    """Words, light on black, (height, width, 3)."""
    image, draw, fonts = _pillow()
    font = fonts.load_default(_WORDS)
    left, _, right, _ = font.getbbox(words)
    strip = image.new("RGB", (int(right - left) + 4, _WORDS + 8))
    draw.Draw(strip).text((0, 2), words, fill=(225, 225, 220), font=font)
    return np.asarray(strip)


def _pillow() -> tuple[Any, Any, Any]:
    image, draw, fonts = (require(f"PIL.{name}", "a picture") for name in ("Image", "ImageDraw", "ImageFont"))
    return image, draw, fonts
