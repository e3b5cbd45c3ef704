"""Sizes and orders of axes that follow from the formulas alone, the same on every device."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from .values import Pair, Shape, Widths


def out_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil: bool = False) -> int:
    """How many windows fit along one axis.

    With ceil, also a last one that reaches beyond the padding, if it starts inside the input or in the padding before.

    >>> out_size(32, 4, 2, 1), out_size(6, 3, 2, 0), out_size(6, 3, 2, 0, ceil=True), out_size(1, 1, 2, 0, ceil=True)
    (16, 2, 3, 1)
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    number = (room + (stride - 1 if ceil else 0)) // stride + 1
    return number - 1 if ceil and (number - 1) * stride >= size + padding else number


@functools.lru_cache(4096)
def out_sizes(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool = False) -> Pair:
    """`out_size` of both axes, from pairs (h, w).

    >>> out_sizes((32, 28), (4, 4), (2, 2), (1, 1), (1, 1))
    (16, 14)
    """
    h, w = (out_size(*axis, ceil) for axis in zip(size, kernel, stride, padding, dilation, strict=True))
    return h, w


def enlarged_size(size: Pair, kernel: Pair, scale: Pair, padding: Pair) -> Pair:
    """Sizes (OH, OW) after an up-convolution: of images enlarged by `scale`, then correlated at stride 1.

    >>> enlarged_size((4, 7), (3, 3), (2, 2), (1, 1))
    (8, 14)
    """
    h, w = (n * s + 2 * p - k + 1 for n, k, s, p in zip(size, kernel, scale, padding, strict=True))
    return h, w


def blurred_geometry(kernel: Pair, scale: Pair, padding: Pair) -> tuple[Pair, Pair]:
    """Of the transposed convolution of stride `scale` that equals an up-convolution: kernel K+S-1 and padding K-1-P.

    >>> blurred_geometry((3, 3), (2, 2), (1, 1))
    ((4, 4), (1, 1))
    """
    (KH, KW), (SH, SW), (PH, PW) = kernel, scale, padding
    return (KH + SH - 1, KW + SW - 1), (KH - 1 - PH, KW - 1 - PW)


def mirrored_widths(padding: Pair) -> Widths:
    """The widths that `pad` takes for a border of `padding` (h, w) on all sides of images (N, C, H, W)."""
    return (0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1])


def filter_matrices(w: Any) -> Any:
    """Filters (O, C, KH, KW) as a view (KH, KW, C, O): one matrix per tap, contiguous if layers have stored them so."""
    return w.transpose(2, 3, 1, 0)


def sizes_of(shape: Shape) -> tuple[int, ...]:
    """A shape as a tuple, also if it is a single number.

    >>> sizes_of(5), sizes_of((2, 3))
    ((5,), (2, 3))
    """
    sizes = tuple(shape) if np.ndim(shape) else (operator.index(shape),)  # type: ignore[arg-type]
    if any(n < 0 for n in sizes):
        raise ValueError(f"a shape has no negative sizes, but {sizes} does.")
    return sizes
