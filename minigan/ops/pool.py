"""Max pooling and the linear pair behind it: an index says which pixel won; taking there, putting there are adjoint."""

from __future__ import annotations

from typing import Any, TypeAlias

from minigan import kernels
from minigan.engine import Array, S, primitive
from minigan.engine import device as devices
from minigan.errors import ShapeError
from minigan.ops._samples import normal, spread
from minigan.ops.conv import Pair, out_size
from minigan.ops.resample import window

_Pair: TypeAlias = tuple[int, int]  # (h, w)
_GEO = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0)}  # windows that overlap


def _winners(rng):
    return kernels.max_pool2d(spread(rng, 2, 3, 5, 4), *_GEO.values())[1]


@primitive(samples=lambda rng: [S(spread(rng, 2, 3, 4, 6), kernel_size=2), S(
    spread(rng, 1, 2, 5, 4), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0))])
def max_pool2d(x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Array:
    """Largest value of each window of x (N, C, H, W); stride defaults to kernel_size; padding counts as -infinity.

    Forward   y[n,c,i,j] = max_{k,l} x[n,c, i*SH-PH+k, j*SW-PW+l]
    VJP       gx = pool_put(gy): each cotangent goes to its window's largest pixel (the first, if several tie)
    Why       only that pixel moves y.
    """
    if x.ndim != 4 or 0 in x.shape:
        raise ShapeError(f"max_pool2d: x {x.shape} must be (N, C, H, W), not empty")
    geometry = window("max_pool2d", kernel_size, stride, padding)
    out_size("max_pool2d", x.shape[2:], geometry[0], geometry[1], geometry[2], (1, 1))
    return kernels.max_pool2d(x, *geometry)[0]


def _max_pool_vjp(gy, y, x, *, kernel_size, stride=None, padding=0):
    kernel, stride, padding = window("max_pool2d", kernel_size, stride, padding)
    _, index = kernels.max_pool2d(x.data, kernel, stride, padding)
    return pool_put(gy, index=index, kernel=kernel, stride=stride, padding=padding, size=x.shape[2:])


max_pool2d.defvjp(x=_max_pool_vjp)


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 5, 4), index=_winners(rng), **_GEO)], linear_in=("x",))
def pool_take(x: Array, index: Any, kernel: _Pair, stride: _Pair, padding: _Pair) -> Array:
    """Take from each window of x the pixel that `index` (the tap's number in the window) names.

    kernel, stride and padding are (h, w) pairs.

    Forward   y[n,c,i,j] = x[n,c, i*SH-PH+k, j*SW-PW+l],   index[n,c,i,j] = k KW + l
    VJP       gx = pool_put(gy)
    Why       each element of y is a copy of one of x.
    """
    return kernels.pool_take(x, devices.index(index, x), kernel, stride, padding)


pool_take.defvjp(x=lambda gy, y, x, *, index, **geo: pool_put(gy, index=index, size=x.shape[2:], **geo))


@primitive(samples=lambda rng: [S(normal(rng, *(i := _winners(rng)).shape), index=i, size=(5, 4), **_GEO)],
           linear_in=("g",))
def pool_put(g: Array, index: Any, kernel: _Pair, stride: _Pair, padding: _Pair, size: _Pair) -> Array:
    """Put each element of g where `index` says its window's pixel lies; overlapping windows add. Adjoint of pool_take.

    kernel, stride and padding are (h, w) pairs, and so is the size of the result.

    Forward   y = 0;  y[n,c, i*SH-PH+k, j*SW-PW+l] += g[n,c,i,j]
    VJP       gg = pool_take(gy)
    Why       the adjoint of an adjoint is the map itself.
    """
    return kernels.pool_put(g, devices.index(index, g), kernel, stride, padding, size)


pool_put.defvjp(g=lambda gy, y, g, *, index, size, **geo: pool_take(gy, index=index, **geo))


__all__ = ["max_pool2d", "pool_put", "pool_take"]
