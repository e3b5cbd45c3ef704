"""The one door for image files: its size and kind are checked in the header before any pixel is decoded.

Every file becomes 8-bit grey or RGB: palettes are looked up, 16-bit grey is divided by 257, CMYK is converted,
transparent pixels are put on white, and the orientation that a camera notes (EXIF) is applied.

Grey of 16 bits is white at 65,535, however dark a picture is: PNG, PGM and TIFF say so. For the other whole numbers of
TIFF (32 bits, or with a sign) no white is defined, and programs save 8-bit and 16-bit pictures in them: a picture of
values up to 255 is taken as 8-bit, as Pillow's own conversion to 8 bits keeps such values, and one of values
up to 65,535 as 16-bit. Larger or negative values and real numbers are refused: their black and white are not known.

The decoders are foreign code that reads files of strangers. Only those in FORMATS are started, whatever the name of the
file says: others, such as PostScript's, run programs. Whatever they raise becomes a DataError that names the file.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from minigan.data.paths import user_path
from minigan.errors import DataError, require

MAX_PIXELS = 50_000_000  # of one picture, 150 MB as RGB; a file of a few kB could ask for a thousand times as many
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".jpe", ".jfif", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
            ".webp", ".avif")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")  # Pillow's names; AVIF since Pillow 11.3
_GREY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I")
_ORIENTATION = 0x0112  # the tag of EXIF
_TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
          7: "TRANSVERSE", 8: "ROTATE_90"}  # what undoes each orientation; EXIF 2.32, section 4.6.4


class MemoryDataError(DataError):
    """There is not enough memory for a picture. It says nothing about the file, so no reader leaves the file out."""


def read_picture(path: str | os.PathLike[str], channels: int | None = None) -> np.ndarray:
    """The pixels of an image file, uint8 (H, W, C); of an animation, of its first frame.

    channels  3: grey is repeated; 1: colour becomes luma (BT.601); None: 1 for a grey file, 3 for any other

    A warning names a file whose orientation cannot be read; its pixels are returned as they are stored.

    Raises:
        DataError: the file is missing, no image, truncated, damaged, larger than MAX_PIXELS, or holds real numbers; or
            there is not enough memory.
        ModuleNotFoundError: Pillow is not installed.
    """
    pixels, note = decoded(user_path(path), channels)
    if note:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return pixels


def decoded(path: Path, channels: int | None = None) -> tuple[np.ndarray, str]:
    """As `read_picture`, without a warning: the pixels, and a remark on the orientation, or ""."""
    image_module = _pillow()[0]
    image_module.init()  # registers every decoder; `open` below starts only those it is given
    formats = [name for name in FORMATS if name in image_module.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow: sizes are checked here, odd metadata does not matter
            with image_module.open(path, formats=formats) as image:
                _check_header(image, path)
                grey = image.mode in _GREY or "LA;16" in str(image.tile)  # Pillow gives 16-bit grey + alpha as RGBA
                has_white = image.mode != "I" or image.format != "TIFF"
                image.load()
                upright, note = _upright(image, image_module)
                pixels = np.array(_eight_bits(upright, grey, channels, has_white, image_module))
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except MemoryError:
        raise MemoryDataError(f"{path}: there is not enough memory to decode it; close other programs, or reduce it "
                              "first") from None
    except image_module.DecompressionBombError:
        raise DataError(f"{path}: more pixels than the limit of {MAX_PIXELS:,}: reduce it first") from None
    except image_module.UnidentifiedImageError:
        raise DataError(f"{path}: not an image, or not of a kind that Pillow can read") from None
    except Exception as error:  # a decoder may raise anything; a list of its errors would never be complete
        raise DataError(f"{path}: cannot be read: {_short(error)}") from None
    return pixels[:, :, None] if pixels.ndim == 2 else pixels, note


def decoded_own(content: bytes, kind: str = "PNG", channels: int = 3) -> np.ndarray:
    """Pixels uint8 (H, W, 3), or grey (H, W), of a picture in memory, which another part of this program has made."""
    with _pillow()[0].open(io.BytesIO(content), formats=[kind]) as image:
        return np.array(image.convert("RGB" if channels == 3 else "L"))


def square(pixels: np.ndarray, size: int | None) -> np.ndarray:
    """The middle square of pixels (H, W, C), scaled to (size, size, C) by Lanczos' filter; unchanged for size None."""
    return _fitted(pixels, size, "fit")


def padded(pixels: np.ndarray, size: int | None) -> np.ndarray:
    """As `square`, but the whole picture (H, W, C), in the middle of a white square."""
    return _fitted(pixels, size, "pad", color="white")


def _fitted(pixels: np.ndarray, size: int | None, operation: str, **options: str) -> np.ndarray:
    if size is None or pixels.shape[:2] == (size, size):
        return pixels
    image_module, operations = _pillow()
    image = image_module.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image = getattr(operations, operation)(image, (size, size), image_module.Resampling.LANCZOS, **options)
    return np.array(image).reshape(size, size, -1)


def _check_header(image: Any, path: Path) -> None:
    """Raise DataError for a picture that is too large, or whose black and white are not known."""
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"{path}: {image.width:,} x {image.height:,} pixels, more than the limit of {MAX_PIXELS:,}: "
                        "reduce it first")
    if image.mode == "F":
        raise DataError(f"{path}: holds real numbers, and it is not known which are black and white: save it with 8 or "
                        "16 bits")


def _upright(image: Any, image_module: Any) -> tuple[Any, str]:
    """A loaded Pillow image, turned as its EXIF says; if that cannot be read, as it is stored, and a remark."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # the pixels are good: odd metadata must not cost the picture
        return image, f"its orientation (EXIF) cannot be read, so it is used as stored: {_short(error)}"
    return image.transpose(image_module.Transpose[turn]) if turn else image, ""


def _eight_bits(image: Any, grey: bool, channels: int | None, has_white: bool, image_module: Any) -> Any:
    """A Pillow image of mode L or RGB. Without `has_white`, its values tell whether they are those of 8 or 16 bits."""
    if image.mode.startswith("I"):  # 16 bits or more; Pillow gives 32-bit integers for some formats and byte orders
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError(f"its grey values run from {wide.min()} to {wide.max()}, and it is not known which are "
                             "black and white: more than 16 bits; save it with 8 or 16 bits")
        unit = 257 if has_white or wide.max() > 255 else 1  # 65,535 / 255
        image = image_module.fromarray(np.rint(wide / unit).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        paper = image_module.new("RGBA", image.size, "white")
        image = image_module.alpha_composite(paper, image).convert("RGB")
    mode = {None: "L" if grey else "RGB", 1: "L", 3: "RGB"}[channels]
    return image if image.mode == mode else image.convert("RGB").convert(mode) if mode == "L" else image.convert(mode)


def _short(error: Exception) -> str:
    """What went wrong, and of which kind it is where Pillow does not say it in words of its own."""
    text = (getattr(error, "strerror", None) or str(error)).splitlines()[:1]
    kind = "" if isinstance(error, OSError) or type(error) in (SyntaxError, ValueError) else type(error).__name__
    module = type(error).__module__
    kind = f"{module}.{kind}" if kind and module not in ("builtins", "__main__") else kind
    return " ".join([*(line[:120] for line in text), *([f"({kind})" if text else kind] if kind else [])]) or "damaged"


def _pillow() -> tuple[Any, Any]:
    return require("PIL.Image", "an image file"), require("PIL.ImageOps", "an image file")
