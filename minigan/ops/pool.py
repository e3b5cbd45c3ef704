"""Max pooling and the linear pair behind it: an index says which pixel won; taking there, putting there are adjoint."""

from __future__ import annotations

from typing import Any, TypeAlias

from minigan import kernels
from minigan.engine import Array, S, primitive
from minigan.engine import device as devices
from minigan.errors import ShapeError
from minigan.ops._samples import normal, spread
from minigan.ops.conv import Pair, no_images, out_size
from minigan.ops.resample import window

_Pair: TypeAlias = tuple[int, int]  # (h, w)
_GEO = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0)}  # windows that overlap
_FAR = {"kernel": (2, 3), "stride": (2, 2), "padding": (0, 1), "dilation": (3, 2)}  # windows with gaps


def _winners(rng, ceil=False, **geometry):
    return kernels.max_pool2d(spread(rng, 2, 3, 5, 4), **geometry, ceil=ceil)[1]


@primitive(samples=lambda rng: [
    S(spread(rng, 2, 3, 4, 6), kernel_size=2),
    S(spread(rng, 1, 2, 5, 4), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0)),
    S(spread(rng, 2, 1, 6, 5), kernel_size=(2, 3), stride=(1, 2), padding=(0, 1), dilation=(3, 2)),
    S(spread(rng, 1, 2, 4, 6), kernel_size=(3, 2), stride=(2, 3), padding=(1, 0), ceil_mode=True)])
def max_pool2d(x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1,
               ceil_mode: bool = False) -> Array:
    """Largest value of each window of x (N, C, H, W); stride defaults to kernel_size; padding counts as -infinity.

    Neighbours in a window are dilation D apart, (DH, DW) or one number for both axes.
    OH = (H + 2 PH - DH (KH - 1) - 1) / SH + 1, rounded down, or with ceil_mode up: a last window may reach beyond the
    padding, where nothing counts. It must start inside x or in the padding before it; otherwise there is none.

    Forward   y[n,c,i,j] = max_{k,l} x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW]
    VJP       gx = pool_put(gy): each cotangent goes to its window's largest pixel (the first, if several tie)
    Why       only that pixel moves y.

    Raises:
        ShapeError: no window fits, x is no (N, C, H, W), or padding is more than half of kernel_size.
    """
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ShapeError(f"max_pool2d: x {x.shape} must be (N, C, H, W), and only N may be 0")
    geometry = window("max_pool2d", kernel_size, stride, padding, dilation)
    out = out_size("max_pool2d", x.shape[2:], *geometry, ceil=bool(ceil_mode))  # raises if no window fits
    if not len(x):
        return no_images(x, x.shape[1], *out)
    return kernels.max_pool2d(x, *geometry, ceil=bool(ceil_mode))[0]


def _max_pool_vjp(gy, y, x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    geometry = window("max_pool2d", kernel_size, stride, padding, dilation)
    _, index = (None, None) if not len(x) else kernels.max_pool2d(x.data, *geometry, ceil=bool(ceil_mode))
    names = ("kernel", "stride", "padding", "dilation")
    return pool_put(gy, index=index, size=x.shape[2:], **dict(zip(names, geometry, strict=True)))


max_pool2d.defvjp(x=_max_pool_vjp)


@max_pool2d.defonnx
def _max_pool2d_onnx(o, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    kernel, strides, pads, dilations = window("max_pool2d", kernel_size, stride, padding, dilation)
    return o("MaxPool", x, kernel_shape=kernel, strides=strides, pads=pads * 2, dilations=dilations,
             ceil_mode=int(ceil_mode))


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 5, 4), index=_winners(rng, **_GEO), **_GEO),
                                S(normal(rng, 2, 3, 5, 4), index=_winners(rng, True, **_FAR), **_FAR)],
           linear_in=("x",))
def pool_take(x: Array, index: Any, kernel: _Pair, stride: _Pair, padding: _Pair, dilation: _Pair = (1, 1)) -> Array:
    """Take from each window of x the pixel that `index` (the tap's number in the window) names.

    kernel, stride, padding and dilation are (h, w) pairs.

    Forward   y[n,c,i,j] = x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW],   index[n,c,i,j] = k KW + l
    VJP       gx = pool_put(gy)
    Why       each element of y is a copy of one of x.
    """
    if not len(x):
        return no_images(x, x.shape[1], *index.shape[2:])
    return kernels.pool_take(x, devices.index(index, x), kernel, stride, padding, dilation)


pool_take.defvjp(x=lambda gy, y, x, *, index, **geo: pool_put(gy, index=index, size=x.shape[2:], **geo))


@primitive(samples=lambda rng: [S(normal(rng, *(i := _winners(rng, **_GEO)).shape), index=i, size=(5, 4), **_GEO),
                                S(normal(rng, *(i := _winners(rng, True, **_FAR)).shape), index=i, size=(5, 4),
                                  **_FAR)], linear_in=("g",))
def pool_put(g: Array, index: Any, kernel: _Pair, stride: _Pair, padding: _Pair, size: _Pair,
             dilation: _Pair = (1, 1)) -> Array:
    """Put each element of g where `index` says its window's pixel lies; overlapping windows add. Adjoint of pool_take.

    kernel, stride, padding and dilation are (h, w) pairs, and so is the size of the result.

    Forward   y = 0;  y[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] += g[n,c,i,j]
    VJP       gg = pool_take(gy)
    Why       the adjoint of an adjoint is the map itself.
    """
    if not len(g):
        return no_images(g, g.shape[1], *size)
    return kernels.pool_put(g, devices.index(index, g), kernel, stride, padding, size, dilation)


pool_put.defvjp(g=lambda gy, y, g, *, index, size, **geo: pool_take(gy, index=index, **geo))


__all__ = ["max_pool2d", "pool_put", "pool_take"]
