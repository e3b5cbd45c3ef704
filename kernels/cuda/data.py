"""Launches data.cu: batches of images gathered on the device, so that a captured step can draw its own."""

from __future__ import annotations

import math

from ..values import Counter, DeviceArray
from .counters import integer
from .loader import kernel
from .memory import empty

__all__ = ["gather_images"]

THREADS = 256


def gather_images(
    data: DeviceArray, order: DeviceArray, position: int | Counter, batch: int, table: DeviceArray
) -> DeviceArray:
    """Return table[data[order[position + i]]] for i < batch: (batch, H, W, C) of the table's dtype.

    data      (M, H, W, C) uint8
    order     (M,) int64, the epoch's permutation
    position  samples served in this epoch, an int or a Counter; images from beyond the epoch's end are NaN
    table     (256,) the number for each pixel value
    """
    if len(order) != len(data) or table.shape != (256,) or not data.flags.c_contiguous:
        raise ValueError(f"gather_images: data {data.shape}, contiguous, needs order ({len(data)},) and table (256,), "
                         f"not {order.shape} and {table.shape}")
    y = empty((batch, *data.shape[1:]), table.dtype, data)
    size = math.prod(data.shape[1:])
    pixels = 1 if size % 4 else 4
    blocks = -(-size // (THREADS * pixels))
    arguments = (data, order, *integer(position), table, y, len(data), size, blocks)
    kernel("data.cu", "gather_images", table, PIXELS=pixels)(batch * blocks, THREADS, arguments)
    return y
