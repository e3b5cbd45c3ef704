"""What NumPy does well by itself, under the names the CUDA wing needs: sums over axes and matrix products."""

from __future__ import annotations

import numpy as np


def reduce_sum(x, axes, keepdims):
    """Sum over `axes`: None for all, an int or a tuple."""
    return np.sum(x, axis=axes, keepdims=keepdims)


def matmul(a, b):
    """Products of the last two axes of a (..., M, K) and b (..., K, N); leading axes broadcast."""
    return np.matmul(a, b)
