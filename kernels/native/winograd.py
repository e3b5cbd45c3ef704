"""Convolutions with fewer products: winograd.c, which has the algorithms. Twin: cpu/winograd.py."""

from __future__ import annotations

import functools
import math

from ..cpu.blocks import get_threads
from ..precision import get_precision
from ..values import Array, Pair
from .library import LIBRARY

F22, F23, F42, F43, F34 = range(5)  # in the order of winograd.c
PRECISE = (F22, F23)  # with errors of at most 6e-6 of the result's deviation; of the others, up to 5e-5
ALGORITHMS = {F22: (2, 2, 2), F23: (2, 3, 1), F42: (4, 2, 2), F43: (4, 3, 1), F34: (3, 4, 1)}  # outputs, taps, stride
MOVED, FILTER = 20, 8  # what one number of a transformed image, and of transformed filters, costs in multiplications


def forward(
    which: int, x: Array, filters: Array, b: Array | None, y: Array, padding: Pair, reflect: bool = False
) -> None:
    """Fill y (N, OH, OW, O) = b + conv2d of x (N, H, W, C) with filters (KH, KW, C, O), of the algorithm's stride."""
    (N, H, W, C), (_, OH, OW, O) = x.shape, y.shape
    sizes = (N, H, W, C, OH, OW, O, *filters.shape[:2], *padding)
    LIBRARY.winograd_forward(get_threads(), x, filters, b, y, which, *sizes, int(reflect))


def adjoint(which: int, g: Array, filters: Array, b: Array | None, y: Array, padding: Pair) -> None:
    """Fill y (N, H, W, C) = b + the adjoint of `forward` in x, of g (N, OH, OW, O)."""
    (N, H, W, C), (_, OH, OW, O) = y.shape, g.shape
    sizes = (N, H, W, C, OH, OW, O, *filters.shape[:2], *padding)
    LIBRARY.winograd_adjoint(get_threads(), g, filters, b, y, which, *sizes, 0)


def weights(which: int, x: Array, g: Array, gw: Array, padding: Pair, reflect: bool = False) -> None:
    """Fill gw (KH, KW, C, O) = the gradient by the filters."""
    (N, H, W, C), (_, OH, OW, O) = x.shape, g.shape
    sizes = (N, H, W, C, OH, OW, O, *gw.shape[:2], *padding)
    LIBRARY.winograd_weights(get_threads(), x, g, gw, which, *sizes, int(reflect))


def cheapest(
    images: int, out_size: Pair, channels: int, filters: int, kernel: Pair, stride: Pair, dilation: Pair
) -> int | None:
    """The cheapest algorithm of the chosen precision for a convolution; None if the direct way is cheaper.

    >>> cheapest(1, (32, 32), 256, 256, (3, 3), (1, 1), (1, 1)) == F43  # CycleGAN's residual blocks
    True
    >>> cheapest(1, (128, 128), 64, 3, (7, 7), (1, 1), (1, 1))  # its last layer
    """
    return _cheapest(images, out_size, channels, filters, kernel, stride, dilation, get_precision() == "fp32")


@functools.lru_cache(4096)
def _cheapest(
    images: int, out_size: Pair, channels: int, filters: int, kernel: Pair, stride: Pair, dilation: Pair, precise: bool
) -> int | None:
    if dilation != (1, 1) or stride not in ((1, 1), (2, 2)) or out_size == (1, 1):
        return None
    best, least = None, images * math.prod(out_size) * math.prod(kernel) * channels * filters
    for which, (m, r, step) in ALGORITHMS.items():
        if which not in PRECISE and precise:
            continue
        if step != stride[0] or max(kernel) > r * step or min(kernel) <= (r - 1) * step:
            continue
        tiles, points = images * math.prod(-(-n // m) for n in out_size), (m + r - 1) ** 2
        depth = step * step * channels
        cost = points * (tiles * (depth * filters + MOVED * (depth + filters)) + FILTER * depth * filters)
        if cost < least:
            best, least = which, cost
    return best
