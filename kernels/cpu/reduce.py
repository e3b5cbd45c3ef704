"""Sums over axes, which NumPy does well by itself, under the name that the CUDA wing needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..values import Array

__all__ = ["reduce_sum"]

FEW = 1 << 15


def reduce_sum(x: Array, axes: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Sum over `axes`: None for all, an int or a tuple.

    A few float32 numbers are added in float64, so that what should cancel does: the gradient of a critic's last bias is
    n times 1/n, less n times 1/n, and Adam makes a whole step of any rest.
    """
    if x.dtype == np.float32 and x.size <= FEW:
        y: Any = np.sum(x, axis=axes, keepdims=keepdims, dtype=np.float64)
        short: Array = y.astype(np.float32)
        return short
    return np.sum(x, axis=axes, keepdims=keepdims)
