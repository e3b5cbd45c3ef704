"""Convolutions with fewer products: winograd.c, which has the algorithms. Twin: cpu/winograd.py."""

from __future__ import annotations

from ..cpu.blocks import get_threads
from ..values import Array, Pair
from .library import LIBRARY

F22, F23, F42, F43, F34 = range(5)  # in the order of winograd.c


def forward(which: int, x: Array, filters: Array, b: Array | None, y: Array, padding: Pair) -> None:
    """Fill y (N, OH, OW, O) = b + conv2d of x (N, H, W, C) with filters (KH, KW, C, O), of the algorithm's stride."""
    (N, H, W, C), (_, OH, OW, O) = x.shape, y.shape
    LIBRARY.winograd_forward(get_threads(), x, filters, b, y, which, N, H, W, C, OH, OW, O, *filters.shape[:2], *padding, 0)


def adjoint(which: int, g: Array, filters: Array, b: Array | None, y: Array, padding: Pair) -> None:
    """Fill y (N, H, W, C) = b + the adjoint of `forward` in x, of g (N, OH, OW, O)."""
    (N, H, W, C), (_, OH, OW, O) = y.shape, g.shape
    LIBRARY.winograd_adjoint(get_threads(), g, filters, b, y, which, N, H, W, C, OH, OW, O, *filters.shape[:2], *padding, 0)


def weights(which: int, x: Array, g: Array, gw: Array, padding: Pair) -> None:
    """Fill gw (KH, KW, C, O) = the gradient by the filters."""
    (N, H, W, C), (_, OH, OW, O) = x.shape, g.shape
    LIBRARY.winograd_weights(get_threads(), x, g, gw, which, N, H, W, C, OH, OW, O, *gw.shape[:2], *padding, 0)
