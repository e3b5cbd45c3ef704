"""Up- and down-sampling of images: repeating pixels, summing blocks, and any linear map along the two axes.

Each map's adjoint is here, too: upsample_nearest and block_sum are each other's, and that of resample is resample with
transposed matrices. Images (N, C, H, W) come in any layout and leave channels-last, cut in blocks of output rows.
"""

from __future__ import annotations

import numpy as np

from ..values import Array, Pair
from .blocks import SCRATCH_BYTES, for_each_block, image_blocks
from .memory import channels_first, channels_last, empty, scratch

__all__ = ["block_sum", "resample", "upsample_nearest"]


def upsample_nearest(x: Array, scale: Pair) -> Array:
    """y[n,c,i,j] = x[n,c, i//SH, j//SW]. Reads x once and writes SH*SW times as much."""
    x = channels_last(x)
    N, H, W, C = x.shape
    SH, SW = scale
    y = empty((N, H, SH, W, SW, C), x.dtype)

    def block(where):
        y[where] = x[where][:, :, None, :, None, :]

    for_each_block(block, _row_blocks(N, H, SH * W * SW * C * x.itemsize))
    return channels_first(y.reshape(N, H * SH, W * SW, C))


def block_sum(x: Array, scale: Pair) -> Array:
    """y[n,c,i,j] = sum of the SH x SW pixels x[n,c, i*SH:, j*SW:], the adjoint of upsample_nearest. Reads x once."""
    x = channels_last(x)
    SH, SW = scale
    N, H, W, C = len(x), x.shape[1] // SH, x.shape[2] // SW, x.shape[3]
    tiles = x.reshape(N, H, SH, W, SW, C)
    y = empty((N, H, W, C), x.dtype)

    def block(where):
        y[where] = tiles[where][:, :, 0, :, 0]
        for k, l in list(np.ndindex(SH, SW))[1:]:
            y[where] += tiles[where][:, :, k, :, l]

    for_each_block(block, _row_blocks(N, H, SH * W * SW * C * x.itemsize))
    return channels_first(y)


def resample(x: Array, rows: Array | None, columns: Array | None) -> Array:
    """y[n,c] = rows @ x[n,c] @ columns^T with rows (OH, H) and columns (OW, W); None leaves that axis alone.

    One map for bilinear, any-size nearest and average pooling. Two thin matrix products per image, the rows first.
    """
    x = channels_last(x)
    N, H, W, C = x.shape
    OH = H if rows is None else len(rows)
    OW = W if columns is None else len(columns)
    rows = None if rows is None else np.ascontiguousarray(rows, x.dtype)
    columns = None if columns is None else np.ascontiguousarray(columns, x.dtype)
    y = empty((N, OH, OW, C), x.dtype)

    def block(where):
        images, out_rows = where
        if rows is None:
            mixed = x[where]  # (n, oh, W, C)
        else:
            mixed = scratch("mixed", (*y[where].shape[:2], W, C), x.dtype)
            lines = x[images].reshape(len(mixed), H, W * C)
            np.matmul(rows[out_rows], lines, out=mixed.reshape(len(mixed), -1, W * C))
        if columns is None:
            y[where] = mixed
        else:
            np.matmul(columns, mixed, out=y[where])  # (OW, W) @ (n, oh, W, C)

    for_each_block(block, _row_blocks(N, OH, max(W, OW) * C * x.itemsize))
    return channels_first(y)


def _row_blocks(N: int, rows: int, bytes_per_row: int) -> list[tuple[slice, slice]]:
    """Blocks of image rows, a quarter of a worker's scratch each: input and output share the cache."""
    return image_blocks(N, rows, max(1, SCRATCH_BYTES // 4 // max(1, bytes_per_row)))
