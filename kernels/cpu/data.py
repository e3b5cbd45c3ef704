"""Batches of images: gathered in the order of an epoch, each pixel value looked up in a table."""

from __future__ import annotations

import numpy as np

from ..values import Array, Counter
from .counters import integer

__all__ = ["gather_images"]


def gather_images(data: Array, order: Array, position: int | Counter, batch: int, table: Array) -> Array:
    """Return table[data[order[position + i]]] for i < batch: (batch, H, W, C) of the table's dtype.

    data      (M, H, W, C) uint8
    order     (M,) int64, the epoch's permutation
    position  samples served in this epoch, an int or a Counter; images from beyond the epoch's end are NaN
    table     (256,) the number for each pixel value
    """
    if len(order) != len(data) or table.shape != (256,):
        raise ValueError(f"gather_images: data {data.shape} needs order ({len(data)},) and table (256,), "
                         f"not {order.shape} and {table.shape}")
    places = integer(position) + np.arange(batch)
    inside = (places >= 0) & (places < len(order))
    samples = order[np.where(inside, places, 0)]
    inside &= (samples >= 0) & (samples < len(data))
    y = table.take(data.take(np.where(inside, samples, 0), axis=0))  # (batch, H, W, C)
    y[~inside] = np.nan
    return y
