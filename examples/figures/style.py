"""The pictures of style_transfer.py: those that are given, or what is there offline."""

from pathlib import Path

import numpy as np

from minigan import data, report
from minigan.data import ImageData
from minigan.data.pictures import read_picture, square
from minigan.errors import require
from minigan.run import RunOptions

SIDE = 64  # of pictures that a network learns from


def given(options: RunOptions) -> list[ImageData]:
    """CONTENT and STYLE, or their defaults, as ImageData of pictures (N, 3, size, size)."""
    return [pictures(path, options.size) or default(options.size)
            for path, default in ((options.content, default_content), (options.style, default_style))]


def pictures(path: Path | None, size: int) -> ImageData | None:
    """The pictures of a folder, or the one in a file, (N, 3, size, size); None if path is None."""
    if path is None:
        return None
    return data.image_folder(path, size, 3) if path.is_dir() else one(square(read_picture(path, 3), size), str(path))


def one(pixels: np.ndarray, source: str, credit: str = "") -> ImageData:
    """One picture, uint8 (H, W, 3), as ImageData."""
    return ImageData(pixels.transpose(2, 0, 1)[None], np.zeros(0, np.uint8), "picture", source, credit=credit)


def default_content(size: int) -> ImageData:
    """A pagoda, from scikit-learn's photographs."""
    photograph = require("sklearn.datasets", "the sample photograph").load_sample_image("china.jpg")
    return one(square(photograph[:, :427], size), "scikit-learn's china.jpg")


def default_style(size: int) -> ImageData:
    """The middles of sixteen emojis side by side: colours and ink, little paper."""
    emojis = data.openmoji(min(512, max(8, size // 2)), groups=("animals-nature", "food-drink"), limit=16)
    return one(square(report.grid(middles(emojis), 4, pad=0), size), emojis.source, emojis.credit)


def middles(emojis: ImageData) -> np.ndarray:
    """The middle of each picture, of half its side."""
    quarter = emojis.images.shape[2] // 4
    return emojis.images[:, :, quarter:-quarter, quarter:-quarter]


def to_learn_from(options: RunOptions) -> list[ImageData]:
    """Contents and styles for a network: of the folders that were named, or what is there offline."""
    few = 8 if options.smoke else None
    photographs, blocks = data.patches("colour", few or 500, SIDE), data.voxels("blocks", few or 60, SIDE)
    emojis = data.openmoji(2 * SIDE, limit=few)
    mixed = np.concatenate([photographs.images, middles(emojis), blocks.images])
    styles = ImageData(mixed, np.zeros(0, np.uint8), "styles", f"{len(mixed):,} styles: photographs, emojis, "
                       "landscapes of blocks", credit=emojis.credit)
    folders = [path if path and path.is_dir() else None for path in (options.content, options.style)]
    return [pictures(path, SIDE) or default for path, default in zip(folders, (photographs, styles), strict=True)]
