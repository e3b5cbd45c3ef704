"""Pictures of translations, in rows as in the papers: a row of images, below it what has become of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.errors import DataError
from minigan.report.grids import grid


def rows(*images: np.ndarray, pad: int = 2) -> np.ndarray:
    """Each argument a row of images (N, C, H, W) in [-1, 1], as one picture, uint8 (height, width[, 3]).

    Grey rows are repeated to RGB if another one has colours.

    Raises:
        DataError: rows of different length or size.

    >>> rows(np.zeros((4, 1, 8, 8)), np.zeros((4, 3, 8, 8))).shape
    (22, 42, 3)
    """
    sizes = {(len(row), *row.shape[2:]) for row in images}
    if len(sizes) != 1:
        raise DataError(f"rows: all rows must have equally many images of one size, not {sorted(sizes)}")
    channels = max(row.shape[1] for row in images)
    alike = [row if row.shape[1] == channels else np.repeat(row, channels, 1) for row in images]
    return grid(np.concatenate(alike), len(images[0]), pad)


def there_and_back(trainer: Any, a: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    """A picture of six rows: images of a, translated to b, and back; images of b, translated to a, and back.

    trainer  has `translate(images, way)`, as trainers.CycleGAN; a and b equally many, of one size, in [-1, 1]

    A function that returns it, as run.fit asks for.
    """
    there, other = trainer.translate(a, "ab"), trainer.translate(b, "ba")
    picture = rows(a, there, trainer.translate(there, "ba"), b, other, trainer.translate(other, "ab"))
    return lambda: picture
