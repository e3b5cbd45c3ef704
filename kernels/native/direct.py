"""Convolutions as they are: direct.c, direct_weights.c. Twins: cpu/gather.py and cpu/spread.py."""

from __future__ import annotations

from ..cpu.blocks import get_threads
from ..values import Array, Pair
from .library import LIBRARY


def forward(x: Array, filters: Array, b: Array | None, y: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill y (N, OH, OW, O) = b + conv2d of x (N, H, W, C) with filters (KH, KW, C, O)."""
    _call(LIBRARY.direct_forward, x, filters, b, y, stride, padding, dilation)


def adjoint(g: Array, filters: Array, b: Array | None, y: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill y (N, H, W, C) = b + the adjoint of `forward` in x, of g (N, OH, OW, O)."""
    _call(LIBRARY.direct_adjoint, g, filters, b, y, stride, padding, dilation)


def weights(x: Array, g: Array, gw: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Fill gw (KH, KW, C, O) = the gradient of `forward` by the filters, of g (N, OH, OW, O)."""
    sizes = (*x.shape, *g.shape[1:], *gw.shape[:2], *stride, *padding, *dilation)
    LIBRARY.direct_weights(get_threads(), x, g, gw, *sizes)


def _call(kernel, x, filters, b, y, stride, padding, dilation):
    kernel(get_threads(), x, filters, b, y, *x.shape, *y.shape[1:], *filters.shape[:2], *stride, *padding, *dilation)
