"""Pictures of translations, as in the papers: a row of images, and their translations in the rows below."""

from __future__ import annotations

__all__ = ["there_and_back", "there_and_back_rows"]

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.report.grids import rows


def there_and_back(trainer: Any, a: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    """A function that returns a picture of six rows: a, translated to b, and back; b, translated to a, and back.

    run.fit takes such functions, because pictures from a GPU may come later.

    trainer  has `translate(images, way)`, as trainers.CycleGAN has
    a, b     images (N, C, H, W) in [-1, 1], equally many and of one size
    """
    a_to_b, b_to_a = trainer.translate(a, "ab"), trainer.translate(b, "ba")
    picture = rows(a, a_to_b, trainer.translate(a_to_b, "ba"), b, b_to_a, trainer.translate(b_to_a, "ab"))
    return lambda: picture


def there_and_back_rows(a: str, b: str) -> str:
    """What the rows of `there_and_back` show, for two domains of these names.

    >>> there_and_back_rows("photos", "paintings")
    'A is photos, B is paintings. Rows: A, A to B, and back to A; B, B to A, and back to B.'
    """
    return f"A is {a}, B is {b}. Rows: A, A to B, and back to A; B, B to A, and back to B."
