"""One image file, read with suspicion: its size and kind are checked in the header before any pixel is decoded.

Every file becomes 8-bit grey or RGB: palettes are looked up, 16-bit grey is divided by 257, CMYK is converted,
transparent pixels are put on white, and the orientation that a camera notes (EXIF) is applied.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import DataError, require

MAX_PIXELS = 50_000_000  # of one picture, 150 MB as RGB; a file of a few kB could ask for a thousand times as many
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_GREY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I")


def read_picture(path: Path, channels: int | None = None) -> np.ndarray:
    """The pixels of an image file, uint8 (H, W, C); of an animation, of its first frame.

    channels  3: grey is repeated; 1: colour becomes luma (BT.601); None: 1 for a grey file, 3 for any other

    Raises:
        DataError: the file is missing, no image, truncated, damaged, larger than MAX_PIXELS, or holds real numbers.
        ModuleNotFoundError: Pillow is not installed.
    """
    image_module, operations = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow: sizes are checked here, odd metadata does not matter
            with image_module.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{path}: {image.width:,} x {image.height:,} pixels, more than the limit of "
                                    f"{MAX_PIXELS:,}: reduce it first")
                if image.mode == "F":
                    raise DataError(f"{path}: holds real numbers, and it is not known which are black and white: "
                                    "save it with 8 or 16 bits")
                pixels = np.array(_eight_bits(operations.exif_transpose(image), channels, image_module))
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except image_module.DecompressionBombError:
        raise DataError(f"{path}: more pixels than the limit of {MAX_PIXELS:,}: reduce it first") from None
    except image_module.UnidentifiedImageError:
        raise DataError(f"{path}: not an image, or not of a kind that Pillow can read") from None
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, EOFError) as error:  # how Pillow reports damage
        raise DataError(f"{path}: cannot be read: {_short(error)}") from None
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def square(pixels: np.ndarray, size: int | None) -> np.ndarray:
    """The middle square of pixels (H, W, C), scaled to (size, size, C) by Lanczos' filter; unchanged for size None."""
    if size is None or pixels.shape[:2] == (size, size):
        return pixels
    image_module, operations = _pillow()
    image = image_module.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.array(operations.fit(image, (size, size), image_module.Resampling.LANCZOS)).reshape(size, size, -1)


def _eight_bits(image: Any, channels: int | None, image_module: Any) -> Any:
    """A Pillow image of mode L or RGB."""
    grey = image.mode in _GREY
    if image.mode.startswith("I"):  # 16 bits; Pillow gives 32-bit integers for some byte orders
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError(f"its grey values run from {wide.min()} to {wide.max()}, which is more than 16 bits")
        image = image_module.fromarray(np.rint(wide / 257).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        paper = image_module.new("RGBA", image.size, "white")
        image = image_module.alpha_composite(paper, image).convert("RGB")
    mode = {None: "L" if grey else "RGB", 1: "L", 3: "RGB"}[channels]
    return image if image.mode == mode else image.convert("RGB").convert(mode) if mode == "L" else image.convert(mode)


def _short(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0][:120]


def _pillow() -> tuple[Any, Any]:
    return require("PIL.Image", "an image file"), require("PIL.ImageOps", "an image file")
