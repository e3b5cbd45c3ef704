"""Pictures through JPEG and WebP, to set a learnt codec beside them: what is left, and how many bytes it takes.

    files      whole files, as a program would write them; JPEG's Huffman tables are optimised
    payload    what depends on the picture: JPEG's entropy-coded data with the standard's own Huffman tables, WebP's
               file without its 30 bytes of headers

At 64 x 64 pixels JPEG's headers are larger than its data. A reader who knew them could do without: the payload is the
least that each format could take, and the fair number beside a codec whose weights the reader has.
"""

from __future__ import annotations

__all__ = ["Compressed", "compressed_to"]

import io
from typing import Any, NamedTuple

import numpy as np

from minigan.data.images import channels_last
from minigan.data.pictures import decoded_own
from minigan.errors import OptionError, ShapeError, require
from minigan.metrics.pictures import psnr

QUALITIES = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 25, 30, 40, 50, 60, 75, 90)
SHRINKS = (1.0, 1.25, 1.5, 1.6, 1.75, 2.0, 2.5, 3.0, 4.0)  # a format has a least size: below it, reduce the picture
TRIED = 32  # pictures on which the setting is chosen
TOLERANCE = 1.03  # qualities are whole numbers: a payload this much above what is asked for still counts as equal
WEBP_HEADERS = 30  # RIFF 12, chunk 8, frame 10: RFC 6386, section 9.1, and the WebP container's description
SCAN, END = b"\xff\xda", b"\xff\xd9"  # JPEG's markers: ITU-T T.81, table B.1


class Compressed(NamedTuple):
    """Pictures uint8 (N, C, H, W) as they come back, the sizes (N,) in bytes of files and payloads, the setting."""

    images: np.ndarray
    files: np.ndarray
    payload: np.ndarray
    quality: int
    shrink: float


def compressed_to(kind: str, images: np.ndarray, payload: float) -> Compressed:
    """Pictures uint8 (N, C, H, W) by "JPEG" or "WEBP", at the best setting with this mean payload in bytes, or less.

    Settings are a quality and a factor by which pictures are made smaller first, and enlarged after; the best has the
    highest PSNR on some of the pictures. If none is small enough, it is the smallest.

    Raises:
        OptionError: another format. ShapeError: other images. ModuleNotFoundError: Pillow is not installed.
    """
    if kind not in ("JPEG", "WEBP"):
        raise OptionError(f"compressed_to: kind is 'JPEG' or 'WEBP', not {kind!r}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ShapeError(f"compressed_to: images {images.dtype} {images.shape} must be uint8 (N, 1 or 3, H, W)")
    some = images[np.linspace(0, len(images) - 1, min(TRIED, len(images))).astype(int)]
    best: tuple[tuple[float, float], int, float] | None = None
    for shrink in SHRINKS:
        for quality in QUALITIES:
            trial = _all(kind, some, quality, shrink)
            mean = float(trial.payload.mean())
            rank = (0.0, psnr(trial.images, some)) if mean <= TOLERANCE * payload else (-mean, 0.0)
            best = max(best, (rank, quality, shrink)) if best else (rank, quality, shrink)
            if mean > TOLERANCE * payload:
                break  # higher qualities are larger still
    assert best is not None
    return _all(kind, images, *best[1:])


def _all(kind: str, images: np.ndarray, quality: int, shrink: float) -> Compressed:
    results = [_one(kind, image.transpose(1, 2, 0), quality, shrink) for image in images]
    pixels, files, payload = zip(*results, strict=True)
    return Compressed(channels_last(np.stack(pixels)), np.array(files), np.array(payload), quality, shrink)


def _one(kind: str, pixels: np.ndarray, quality: int, shrink: float) -> tuple[np.ndarray, int, int]:
    """Pixels (H, W, C) as they come back, the bytes of the file and of its payload."""
    image_module = require("PIL.Image", "a comparison with other formats")
    H, W, C = pixels.shape
    picture = image_module.fromarray(pixels[:, :, 0] if C == 1 else pixels)
    if shrink > 1:
        sides = max(1, round(W / shrink)), max(1, round(H / shrink))
        picture = picture.resize(sides, image_module.Resampling.LANCZOS)
    if kind == "WEBP":
        content = _written(picture, "WEBP", quality=quality, method=6)
        file, payload = len(content), len(content) - WEBP_HEADERS
    else:
        file = len(_written(picture, "JPEG", quality=max(1, quality), optimize=True))
        content = _written(picture, "JPEG", quality=max(1, quality))
        payload = len(content) - _scan(content) - len(END)
    back = image_module.fromarray(decoded_own(content, kind, C)).resize((W, H), image_module.Resampling.BICUBIC)
    return np.asarray(back).reshape(H, W, C), file, payload


def _written(picture: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _scan(content: bytes) -> int:
    """Where a JPEG's entropy-coded data begin: after the header of its scan."""
    place = content.index(SCAN) + len(SCAN)
    return place + int.from_bytes(content[place : place + 2], "big")
