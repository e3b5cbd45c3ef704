"""Means of functions of x and a target, summed by reduce.c. Twin: cpu/means.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cpu.means import terms
from ..values import Array
from .reduce import reduce_sum

__all__ = ["lengths", "mean_of"]


def mean_of(x: Array, t: Array | float, of: str, weight: float = 1.0) -> Any:
    """`cpu.mean_of`; of many numbers, partial sums are in float64."""
    return reduce_sum(terms(x, t, of)) * (weight / x.size)


def lengths(x: Array, axes: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """`cpu.lengths`; of many numbers, partial sums are in float64."""
    return np.sqrt(reduce_sum(x * x, axes, keepdims))
