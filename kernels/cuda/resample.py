"""Launches resample.cu: repeating pixels, summing blocks, any linear map of both axes; the twin of cpu/resample.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..values import Array, DeviceArray, Pair, real_of
from . import memory
from .backend import backend_of
from .grid import lines, vector
from .loader import kernel

__all__ = ["block_sum", "resample", "upsample_nearest"]

_bands: dict[Any, Any] = {}  # matrices on their devices; never freed, because a captured graph may read them


def upsample_nearest(x: DeviceArray, scale: Pair) -> DeviceArray:
    """y[n,c,i,j] = x[n,c, i//SH, j//SW]."""
    x = memory.channels_last(x)
    (N, H, W, C), (SH, SW) = x.shape, scale
    y = memory.empty((N, H * SH, W * SW, C), x.dtype, x)
    _launch("upsample_nearest", x, y, H, W, C, SH, SW)
    return y.transpose(0, 3, 1, 2)


def block_sum(x: DeviceArray, scale: Pair) -> DeviceArray:
    """y[n,c,i,j] = sum of the SH x SW pixels x[n,c, i*SH:, j*SW:], the adjoint of upsample_nearest."""
    x = memory.channels_last(x)
    (N, H, W, C), (SH, SW) = x.shape, scale
    y = memory.empty((N, H // SH, W // SW, C), x.dtype, x)
    _launch("block_sum", x, y, H // SH, W // SW, C, SH, SW)
    return y.transpose(0, 3, 1, 2)


def resample(x: DeviceArray, rows: Array | None, columns: Array | None) -> DeviceArray:
    """y[n,c] = rows @ x[n,c] @ columns^T, host matrices rows (OH, H) and columns (OW, W); None leaves that axis alone.

    A matrix is copied to the device at its first use (so not while a graph is captured) and must not change after that.
    """
    x = memory.channels_last(x)
    N, H, W, C = x.shape
    row_from, row_band, KR = _band(rows, x)
    column_from, column_band, KC = _band(columns, x)
    OH, OW = H if rows is None else len(rows), W if columns is None else len(columns)
    y = memory.empty((N, OH, OW, C), x.dtype, x)
    _launch("resample", x, y, row_from, row_band, column_from, column_band, H, W, C, OH, OW, KR, KC)
    return y.transpose(0, 3, 1, 2)


def _launch(name: str, x: DeviceArray, y: DeviceArray, *arguments: Any) -> None:
    N, OH, OW, C = y.shape
    vec = vector(C, x)
    kernel("resample.cu", name, x, VEC=vec)(*lines(N * OH, OW * C, vec), (x, y, *arguments))


def _band(matrix: Array | None, like: DeviceArray) -> tuple[DeviceArray | None, DeviceArray | None, int]:
    """(from (out,), band (out, K), K): of every row of a matrix the K numbers from column `from` on; all others are 0.

    Cached by the matrix's address, shape and strides, because a transposed matrix is a new object every time; the entry
    holds the matrix, so that its address is not used for another.
    """
    if matrix is None:
        return None, None, 1
    backend = backend_of(like)
    place = (matrix.ctypes.data, matrix.shape, matrix.strides, matrix.dtype)
    dtype = real_of(like)
    key = (place, dtype, backend.name, like.device.id)
    if key not in _bands:
        first, width = _ends(matrix)
        band = np.take_along_axis(matrix, first[:, None] + np.arange(width), axis=1)  # (out, K)
        arrays = first.astype(np.int32), np.ascontiguousarray(band, dtype)
        _bands[key] = (matrix, *(backend.asarray(a) for a in arrays), width)
    return _bands[key][1:]


def _ends(matrix: Array) -> tuple[Array, int]:
    """The column where each row's band begins, and the width that all of them share."""
    used = matrix != 0
    size = matrix.shape[1]
    first = np.where(used.any(1), used.argmax(1), 0)
    width = int(max(1, (np.where(used.any(1), size - used[:, ::-1].argmax(1), 0) - first).max()))
    return np.minimum(first, size - width), width
