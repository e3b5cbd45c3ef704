"""Pictures of translations, in rows as in the papers: a row of images, below it what has become of them."""

from __future__ import annotations

__all__ = ["there_and_back"]

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.report.grids import rows


def there_and_back(trainer: Any, a: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    """A picture of six rows: images of a, translated to b, and back; images of b, translated to a, and back.

    trainer  has `translate(images, way)`, as trainers.CycleGAN; a and b equally many, of one size, in [-1, 1]

    A function that returns it, as run.fit asks for.
    """
    there, other = trainer.translate(a, "ab"), trainer.translate(b, "ba")
    picture = rows(a, there, trainer.translate(there, "ba"), b, other, trainer.translate(other, "ab"))
    return lambda: picture
