"""Up- and down-sampling of images: resample.c. Twin: cpu/resample.py."""

from __future__ import annotations

import numpy as np

from .. import cpu
from ..cpu.blocks import get_threads
from ..cpu.memory import channels_first, channels_last, empty
from ..values import Array, Pair
from .library import LIBRARY

__all__ = ["block_sum", "resample", "upsample_nearest"]

NARROW = 2  # channels up to which sums pixel by pixel are slower than NumPy's
FEW = 8  # weights per row of a matrix, besides zeros, up to which sums are cheaper than a matrix product


def upsample_nearest(x: Array, scale: Pair) -> Array:
    """`cpu.upsample_nearest` in one pass."""
    if x.dtype != np.float32 or x.size == 0 or min(scale) < 1:
        return cpu.upsample_nearest(x, scale)
    x = channels_last(x)
    N, H, W, C = x.shape
    y = empty((N, H * scale[0], W * scale[1], C), x.dtype)
    LIBRARY.upsample_nearest(get_threads(), x, y, N * H, W, C, *scale)
    return channels_first(y)


def block_sum(x: Array, scale: Pair) -> Array:
    """`cpu.block_sum` in one pass."""
    SH, SW = scale
    if not _pays(x) or min(scale) < 1 or x.shape[2] % SH or x.shape[3] % SW:
        return cpu.block_sum(x, scale)
    x = channels_last(x)
    N, H, W, C = len(x), x.shape[1] // SH, x.shape[2] // SW, x.shape[3]
    y = empty((N, H, W, C), x.dtype)
    LIBRARY.block_sum(get_threads(), x, y, N * H, W, C, SH, SW)
    return channels_first(y)


def resample(x: Array, rows: Array | None, columns: Array | None) -> Array:
    """`cpu.resample` without the products by zeros, where the matrices have few other numbers."""
    matrices = [m for m in (rows, columns) if m is not None]
    if not _pays(x) or not matrices or not all(map(_has_few, matrices)):
        return cpu.resample(x, rows, columns)
    N, C, H, W = x.shape
    rows, columns = (None if m is None else np.ascontiguousarray(m, x.dtype) for m in (rows, columns))
    OH, OW = H if rows is None else len(rows), W if columns is None else len(columns)
    if (rows is not None and rows.shape != (OH, H)) or (columns is not None and columns.shape != (OW, W)):
        return cpu.resample(x, rows, columns)  # NumPy says what is wrong
    y = empty((N, OH, OW, C), x.dtype)
    LIBRARY.resample(get_threads(), channels_last(x), rows, columns, y, N, H, W, C, OH, OW)
    return channels_first(y)


def _pays(x: Array) -> bool:
    return x.dtype == np.float32 and x.size > 0 and x.shape[1] > NARROW


def _has_few(matrix: Array) -> bool:
    return bool(matrix.size and np.count_nonzero(matrix) <= FEW * len(matrix))
