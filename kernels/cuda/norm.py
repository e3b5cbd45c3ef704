"""Launches norm.cu: statistics and normalisation of images; the twin of cpu/norm.py.

Images are groups of tables with a column per channel: all pixels of a batch are one group, or those of each image are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..values import DeviceArray, Moments, Running, real_of
from . import memory, moments
from .grid import THREADS, parts_of, table
from .loader import kernel
from .tickets import tickets

__all__ = ["norm_apply", "norm_grad", "norm_stats", "normalized", "update_running"]

STILL = None, None, 0.0, 1.0, None  # in place of `_moving`: no running statistics


def norm_stats(x: DeviceArray, over: str, eps: float, running: Running | None = None) -> Moments:
    """Moments (mean, var, rstd) of x over "batch" (N, space), "instance" (space) or "layer" (C, space).

    All are shaped to broadcast with x; var is biased, rstd = 1 / sqrt(var + eps). One launch, or two where channels are
    no multiple of 16 bytes. `running` is moved, for the batch or for each image in turn, in the same launch.
    """
    shape, x = x.shape, _pixels_by_channels(x)
    N, P, C = x.shape
    groups, pixels, channels = {"batch": (1, N * P, C), "instance": (N, P, C), "layer": (N, P * C, 1)}[over]
    t = table(groups, pixels, channels, x, parts=parts_of(x))
    outputs, settings = [memory.empty((groups, channels), real_of(x), x) for _ in range(3)], (eps, *t.numbers)
    moving = _moving(x, running, groups, pixels, t.grid[1])
    left = None if over == "layer" else moments.take(x, groups)
    if left is not None:
        last = table(groups, left.lines(groups), channels, left.parts, parts=1)
        kernel("norm.cu", "norm_merge", left.parts, VEC=last.vec)(
            last.grid, last.block, (left.parts, *outputs, eps, channels, *left.numbers(groups), *moving))
    elif t.lines == 1:
        kernel("norm.cu", "norm_moments", x, VEC=t.vec)(
            t.grid, t.block, (x, None, None, None, *outputs, *settings, *moving))
    else:
        places = tickets(x, groups * t.grid[1]) if t.width == channels else None
        partial = [memory.empty((groups, t.lines, channels), real_of(x), x) for _ in range(2)]
        kernel("norm.cu", "norm_moments", x, VEC=t.vec)(
            t.grid, t.block, (x, *partial, places, *outputs, *settings, *(STILL if places is None else moving)))
        if places is None:
            last = table(groups, t.lines, channels, x, parts=1)
            kernel("norm.cu", "norm_combine", x, VEC=last.vec)(
                last.grid, last.block, (x, *partial, *outputs, *settings, *moving))
    if running is not None and moving is STILL:
        for mean, var in zip(*outputs[:2], strict=True):
            update_running(*running[:2], mean, var, running.momentum, pixels)
    return Moments(*(v.reshape(*v.shape, *(1,) * (len(shape) - 2)) for v in outputs))  # (1 or N, C or 1, 1, ...)


def _moving(x: DeviceArray, running: Running | None, groups: int, pixels: int, tiles: int) -> tuple[Any, ...]:
    """The kernels' last arguments: running statistics, momentum, the factor of an unbiased variance, tickets."""
    places = None if running is None or groups == 1 else tickets(x, groups * tiles + running.mean.size)
    if running is None or running.mean.dtype != real_of(x) or (groups > 1 and places is None):
        return STILL
    own = None if places is None else places[groups * tiles :]
    return running.mean, running.var, running.momentum, pixels / (pixels - 1), own


def update_running(
    running_mean: DeviceArray,
    running_var: DeviceArray,
    mean: DeviceArray,
    var: DeviceArray,
    momentum: float,
    count: int,
) -> None:
    """Move running statistics (C,) by `momentum` towards those of a batch of `count` numbers per channel. In place.

    var is the batch's biased variance; running_var follows the unbiased one.
    """
    unbiased, C = count / (count - 1), running_mean.size
    if running_mean.dtype != mean.dtype:  # float32 buffers of a float64 network
        mean, var = mean.astype(running_mean.dtype), var.astype(running_var.dtype)
    kernel("norm.cu", "update_running", running_mean)(
        -(-C // THREADS), THREADS, (running_mean, running_var, mean, var, momentum, unbiased, C))


def norm_apply(
    x: DeviceArray,
    mean: DeviceArray,
    rstd: DeviceArray,
    gamma: DeviceArray | None,
    beta: DeviceArray | None,
    slope: float | None = None,
    addend: DeviceArray | None = None,
) -> DeviceArray:
    """Affine: y = gamma * (x - mean) * rstd + beta + addend, with a slope >= 0 leaky_relu of that; channels-last.

    addend: of x's shape and type, or None.
    """
    shape, x, addend = x.shape, _pixels_by_channels(x), None if addend is None else _pixels_by_channels(addend)
    N, P, C = x.shape
    t = table(len(mean), N // len(mean) * P, C, x, addend)
    vectors = [None if v is None else memory.dense(v) for v in (mean, rstd, gamma, beta)]
    y = memory.empty(x.shape, x.dtype, x)
    kernel("norm.cu", "norm_apply", x, VEC=t.vec)(
        t.grid, t.block, (x, *vectors, addend, 1.0 if slope is None else slope, y, *t.numbers,
                          mean.size < len(mean) * C))
    return _image(y, shape)


def normalized(
    x: DeviceArray,
    over: str,
    eps: float,
    gamma: DeviceArray | None,
    beta: DeviceArray | None,
    slope: float | None = None,
    running: Running | None = None,
    addend: DeviceArray | None = None,
) -> tuple[DeviceArray, DeviceArray, DeviceArray, DeviceArray]:
    """(y, mean, var, rstd): norm_stats of x, and norm_apply with them. One launch if a product has left x's moments.

    Then each block merges the moments of its columns by itself, which must not be more to read than its rows of x.
    """
    shape, images = x.shape, _pixels_by_channels(x)
    N, P, C = images.shape
    groups = 1 if over == "batch" else N
    more = None if addend is None else _pixels_by_channels(addend)
    t = table(groups, N // groups * P, C, images, beta, more)
    left = None if over == "layer" or t.width > C else moments.take(images, groups)
    moving = _moving(x, running, groups, images.size // C // groups, t.grid[1])
    if left is None or left.lines(groups) > t.share or (running is not None and moving is STILL):
        moments.put_back(left)
        own = norm_stats(x, over, eps, running)
        return norm_apply(x, own.mean, own.rstd, gamma, beta, slope, addend), *own
    y, outputs = memory.empty(images.shape, x.dtype, x), [memory.empty((groups, C), real_of(x), x) for _ in range(3)]
    vectors = [None if v is None else memory.dense(v) for v in (gamma, beta)]
    kernel("norm.cu", "norm_merge_apply", x, VEC=t.vec)(
        t.grid, t.block, (images, left.parts, *outputs, eps, *vectors, more, 1.0 if slope is None else slope, y, t.rows,
                          C, t.parts, t.share, *left.numbers(groups), *moving))
    return _image(y, shape), *(v.reshape(groups, C, *(1,) * (len(shape) - 2)) for v in outputs)


def norm_grad(
    gy: DeviceArray,
    x: DeviceArray,
    mean: DeviceArray,
    rstd: DeviceArray,
    gamma: DeviceArray | None,
    over: str,
    y: DeviceArray | None = None,
    slope: float | None = None,
    share: Callable[[DeviceArray], DeviceArray] | None = None,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """(gx, ggamma, gbeta): gx = rstd*(g - mean_over(g) - xhat*mean_over(g*xhat)), ggamma = sum gy*xhat, gbeta = sum gy.

    With a slope, gy first goes through the gate of y. `share` is as on the CPU; gx is then corrected in a further pass.
    """
    shape, image = x.shape, x
    gy, x, y = (None if v is None else _pixels_by_channels(v) for v in (gy, x, None if slope is None else y))
    N, P, C = x.shape
    groups, layer = 1 if over == "batch" else N, over == "layer"
    t = table(groups, N // groups * P, C, gy, x, y)
    mean, rstd, gamma = (None if v is None else memory.dense(v) for v in (mean, rstd, gamma))
    sums = [memory.empty((groups, t.lines, C), real_of(x), x) for _ in range(2)]
    gx, ggamma, gbeta = memory.empty(x.shape, x.dtype, x), *(memory.empty((C,), real_of(x), x) for _ in range(2))
    inputs = (gy, x, y, 1.0 if slope is None else slope, mean)
    kernel("norm.cu", "norm_grad_sums", x, VEC=t.vec)(t.grid, t.block, (*inputs, *sums, *t.numbers, layer))
    kernel("norm.cu", "norm_grad_apply", x, VEC=t.vec)(
        t.grid, t.block, (*inputs, rstd, gamma, *sums, gx, ggamma, gbeta, groups, *t.numbers, layer))
    gx = _image(gx, shape)
    if share is not None:
        gx += _correction(image, ggamma, gbeta, share, mean, rstd, gamma)
    return gx, ggamma, gbeta


def _correction(x: DeviceArray, ggamma: DeviceArray, gbeta: DeviceArray,
                share: Callable[[DeviceArray], DeviceArray], mean: DeviceArray, rstd: DeviceArray,
                gamma: DeviceArray | None) -> DeviceArray:
    """What gx changes by if its two means are those of share's sums: an affine function of x.

    gx is affine in both means, and they are sums that ggamma and gbeta hold.
    """
    own = np.stack([ggamma, gbeta])  # (2, C)
    weight = rstd.reshape(-1) if gamma is None else rstd.reshape(-1) * gamma  # (C,)
    scale, shift = (own - share(own)) * (own.dtype.type(x.shape[1] / x.size) * weight)
    return norm_apply(x, mean, rstd, scale, shift)


def _pixels_by_channels(x: DeviceArray) -> DeviceArray:
    """(N, C, *space) in any layout -> a contiguous (N, P, C), P the pixels of an image."""
    N, C = x.shape[:2]
    return memory.channels_last(x.reshape(N, C, math.prod(x.shape[2:]), 1)).reshape(N, -1, C)  # (N, P, C)


def _image(y: DeviceArray, shape: tuple[int, ...]) -> DeviceArray:
    """(N, P, C) -> the same memory indexed (N, C, *space)."""
    y = y.reshape(shape[0], *shape[2:], shape[1])  # (N, *space, C)
    return y.transpose(0, y.ndim - 1, *range(1, y.ndim - 1))
