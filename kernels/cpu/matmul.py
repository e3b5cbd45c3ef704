"""Products of matrices, which NumPy's BLAS does well by itself, under the name that the CUDA wing needs."""

from __future__ import annotations

import numpy as np

from ..values import Array

__all__ = ["matmul"]


def matmul(a: Array, b: Array) -> Array:
    """Products of the last two axes of a (..., M, K) and b (..., K, N); leading axes broadcast."""
    return np.matmul(a, b)
