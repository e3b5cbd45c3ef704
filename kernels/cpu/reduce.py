"""Sums over axes, which NumPy does well by itself, under the name that the CUDA wing needs."""

from __future__ import annotations

import numpy as np

from ..values import Array

__all__ = ["reduce_sum"]


def reduce_sum(x: Array, axes: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Sum over `axes`: None for all, an int or a tuple."""
    return np.sum(x, axis=axes, keepdims=keepdims)
