"""Convolutions with fewer products: winograd.c, which has the algorithms. Twin: cpu/conv.py, the direct sum."""

from __future__ import annotations

import functools
import math
import operator
from typing import NamedTuple

from ..cpu.blocks import get_threads
from ..precision import get_precision
from ..values import Array, Pair
from .library import LIBRARY

F22, F23, F42, F43, F34, UP, C43, C34 = range(8)  # in the order of winograd.c
PRECISE = (F22, F23, UP, C43, C34)  # with errors of at most 6e-6 of the result's deviation; of the others, up to 5e-5
ALGORITHMS = {  # outputs, taps, stride, points (a pair of complex ones counts as three)
    F22: (2, 2, 2, 3),
    F23: (2, 3, 1, 4),
    F42: (4, 2, 2, 5),
    F43: (4, 3, 1, 6),
    F34: (3, 4, 1, 6),
    C43: (4, 3, 1, 7),
    C34: (3, 4, 1, 7),
}

# What is paid for, in multiplications of the direct way: fitted to the times of 348 layers (AVX2, one thread).
FEWER = {  # a product; a number of transformed windows, of the result before it is transformed back, of filters
    "forward": (1.3, 11, 17, 8),
    "scattered": (1.3, 8, 41, 8),  # tiles in, windows out: an adjoint of stride 2, or of an image with a border
    "weights": (1.6, 13, 30, 4),
}
DIRECT = {"forward": (6, 10), "adjoint": (10, 35), "weights": (15, 34)}  # a number of the images, of the filters
VECTOR, PANEL, DOTS = 8, 16, 4  # channels are padded to vectors and panels; products of up to DOTS columns are not


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


class Layer(NamedTuple):
    """The sizes of a convolution: of images, (H, W) before and after it, channels, filters."""

    images: int
    size: Pair
    out_size: Pair
    channels: int
    filters: int
    kernel: Pair
    stride: Pair


def cheapest(
    images: int,
    out_size: Pair,
    channels: int,
    filters: int,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    kind: str = "forward",
    size: Pair | None = None,
) -> int | None:
    """The cheapest algorithm of the chosen precision for a convolution; None if the direct way is cheaper.

    Args:
        kind: "forward", "adjoint" or "weights".
        size: of the image; by default, as large as the strides of all outputs.

    >>> cheapest(1, (32, 32), 256, 256, (3, 3), (1, 1), (1, 1)) == F43  # CycleGAN's residual blocks
    True
    >>> cheapest(1, (128, 128), 64, 3, (7, 7), (1, 1), (1, 1))  # its last layer
    """
    size = size or (out_size[0] * stride[0], out_size[1] * stride[1])
    layer = Layer(images, size, out_size, channels, filters, kernel, stride)
    return _cheapest(layer, dilation, kind, get_precision() == "fp32")[0]


def enlarges(
    kind: str, images: int, size: Pair, channels: int, filters: int, kernel: Pair, scale: Pair, padding: Pair
) -> bool:
    """Whether UP is known to do this up-convolution of images of `size`, and cheaper than blurred filters.

    >>> enlarges("forward", 64, (8, 8), 128, 64, (3, 3), (2, 2), (1, 1))  # DCGAN's generator
    True
    >>> enlarges("forward", 64, (16, 16), 64, 1, (3, 3), (2, 2), (1, 1))  # its last layer
    False
    """
    if kernel != (3, 3) or scale != (2, 2) or padding != (1, 1):
        return False
    return _enlarges(kind, images, size, channels, filters, get_precision() == "fp32")


@functools.lru_cache(4096)
def _cheapest(layer: Layer, dilation: Pair, kind: str, precise: bool) -> tuple[int | None, float]:
    """The cheapest algorithm and what it costs."""
    costs: dict[int | None, float] = {None: _direct_cost(layer, kind)}
    if dilation == (1, 1) and layer.stride in ((1, 1), (2, 2)) and layer.out_size != (1, 1):
        for which, (_, taps, step, _) in ALGORITHMS.items():
            fits = step == layer.stride[0] and all((taps - 1) * step < k <= taps * step for k in layer.kernel)
            if fits and (which in PRECISE or not precise):
                costs[which] = _cost(layer, which, kind)
    return min(costs.items(), key=operator.itemgetter(1))


@functools.lru_cache(4096)
def _enlarges(kind: str, images: int, size: Pair, channels: int, filters: int, precise: bool) -> bool:
    large, tiles = (2 * size[0], 2 * size[1]), images * math.prod(-(-n // 2) for n in size)
    fewer = _weighed("scattered" if kind == "adjoint" else kind, 25, tiles, 25, channels, filters, 1)
    other = {"forward": "adjoint", "adjoint": "forward"}.get(kind, kind)  # of the convolution from large to small
    blurred = Layer(images, large, size, filters, channels, (4, 4), (2, 2))
    return fewer < _cheapest(blurred, (1, 1), other, precise)[1]


def _direct_cost(layer: Layer, kind: str) -> float:
    images, size, out_size, C, O, kernel, _ = layer
    rows, columns = (O, C) if kind == "adjoint" else (C, O)
    wide = _padded(columns, VECTOR if kind == "weights" else PANEL if columns > DOTS else DOTS)
    number, filter_number = DIRECT[kind]
    numbers, taps = images * (math.prod(size) * C + math.prod(out_size) * O), math.prod(kernel)
    return images * math.prod(out_size) * taps * rows * wide + number * numbers + filter_number * taps * C * O


def _cost(layer: Layer, which: int, kind: str) -> float:
    """What an algorithm costs; of phases with fewer taps, the products at infinity are left out."""
    m, taps, step, points = ALGORITHMS[which]
    products = math.prod(sum(points - (-(-(k - p) // step) < taps) for p in range(step)) for k in layer.kernel)
    tiles, windows = (math.prod(-(-n // m) for n in size) for size in (layer.out_size, layer.size))
    C, O = layer.channels, layer.filters
    if kind == "adjoint" and step == 1 and 5 * windows <= 6 * tiles:  # as in winograd.c: a convolution of its own
        return _weighed("forward", products, layer.images * windows, points**2, O, C, 1)
    way = "scattered" if kind == "adjoint" else kind
    return _weighed(way, products, layer.images * tiles, points**2, C, O, step**2)


def _weighed(way: str, products: int, tiles: int, points: int, C: int, O: int, phases: int) -> float:
    """The cost of `products` per tile and pair of channels, in `phases` of the image, and of the transforms."""
    product, windows, results, filter_number = FEWER[way]
    wide, deep = phases * _padded(C, VECTOR), _padded(O, VECTOR)
    if way == "scattered":
        pairs, moved = deep * _padded(C, PANEL), windows * deep + results * wide
    else:
        pairs, moved = _padded(C, VECTOR) * _padded(O, PANEL), windows * wide + results * deep
    return tiles * (product * products * pairs + points * moved) + filter_number * points * wide * deep


def _padded(channels: int, unit: int) -> int:
    return -(-channels // unit) * unit
