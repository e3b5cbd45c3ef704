"""What a product of conv.cu or hopper.cu is: its sizes, and which of the three of a convolution."""

from __future__ import annotations

from typing import NamedTuple

FORWARD, DATA_GRAD, WEIGHT_GRAD = range(3)


class Sizes(NamedTuple):
    """Of a product, as conv.product has them."""

    rows: int
    columns: int
    depth: int
    phases: int
    a_along_k: bool
    b_along_k: bool
    mirror: bool = False  # the border of the images x, else zeros

    @property
    def mode(self) -> int:
        """Of hopper.cu."""
        return WEIGHT_GRAD if not self.a_along_k else DATA_GRAD if self.b_along_k else FORWARD
