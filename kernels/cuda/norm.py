"""Launches norm.cu: statistics and normalisation of images; the twin of cpu/norm.py.

Images are groups of tables with a column per channel: all pixels of a batch are one group, or those of each image are.
"""

from __future__ import annotations

import math

from . import memory
from .grid import THREADS, parts_of, table
from .loader import kernel


def norm_stats(x, over, eps=None):
    """(mean, var), biased, to broadcast with x, over "batch" (N, space), "instance" (space) or "layer" (C, space).

    With eps a third result, rstd = 1 / sqrt(var + eps), comes from the same one or two launches.
    """
    shape, x = x.shape, _pixels_by_channels(x)
    N, P, C = x.shape
    groups, pixels, channels = {"batch": (1, N * P, C), "instance": (N, P, C), "layer": (N, P * C, 1)}[over]
    t = table(groups, pixels, channels, x, parts=parts_of(x))
    outputs = [memory.empty((groups, channels), x.dtype, x) for _ in range(2 if eps is None else 3)]
    results, settings = (*outputs, None)[:3], (0.0 if eps is None else eps, *t.numbers)
    if t.lines == 1:
        kernel("norm.cu", "norm_moments", x, VEC=t.vec)(t.grid, t.block, (x, *results, *settings))
    else:
        partial = [memory.empty((groups, t.lines, channels), x.dtype, x) for _ in range(2)]
        kernel("norm.cu", "norm_moments", x, VEC=t.vec)(t.grid, t.block, (x, *partial, None, *settings))
        last = table(groups, t.lines, channels, x, parts=1)
        kernel("norm.cu", "norm_combine", x, VEC=last.vec)(last.grid, last.block, (x, *partial, *results, *settings))
    return tuple(v.reshape(*v.shape, *(1,) * (len(shape) - 2)) for v in outputs)  # (1 or N, C or 1, 1, ...)


def update_running(running_mean, running_var, mean, var, momentum, count):
    """Move running statistics (C,) by `momentum` towards a batch's of `count` numbers, variance unbiased. In place."""
    unbiased, C = count / (count - 1), running_mean.size
    if running_mean.dtype != mean.dtype:  # float32 buffers of a float64 network
        mean, var = mean.astype(running_mean.dtype), var.astype(running_var.dtype)
    kernel("norm.cu", "update_running", running_mean)(
        -(-C // THREADS), THREADS, (running_mean, running_var, mean, var, momentum, unbiased, C))


def norm_apply(x, mean, rstd, gamma, beta, slope=None):
    """Affine: y = gamma * (x - mean) * rstd + beta, with a slope >= 0 leaky_relu of that, stored channels-last."""
    shape, x = x.shape, _pixels_by_channels(x)
    N, P, C = x.shape
    t = table(len(mean), N // len(mean) * P, C, x)
    vectors = [None if v is None else memory.dense(v) for v in (mean, rstd, gamma, beta)]
    y = memory.empty(x.shape, x.dtype, x)
    kernel("norm.cu", "norm_apply", x, VEC=t.vec)(
        t.grid, t.block, (x, *vectors, 1.0 if slope is None else slope, y, *t.numbers, mean.size < len(mean) * C))
    return _image(y, shape)


def norm_grad(gy, x, mean, rstd, gamma, over, y=None, slope=None):
    """(gx, ggamma, gbeta): gx = rstd*(g - mean_over(g) - xhat*mean_over(g*xhat)), ggamma = sum gy*xhat, gbeta = sum gy.

    With a slope, gy first goes through the gate of y.
    """
    shape = x.shape
    gy, x, y = (None if v is None else _pixels_by_channels(v) for v in (gy, x, None if slope is None else y))
    N, P, C = x.shape
    groups, layer = 1 if over == "batch" else N, over == "layer"
    t = table(groups, N // groups * P, C, gy, x, y)
    mean, rstd, gamma = (None if v is None else memory.dense(v) for v in (mean, rstd, gamma))
    sums = [memory.empty((groups, t.lines, C), x.dtype, x) for _ in range(2)]
    gx, outputs = memory.empty(x.shape, x.dtype, x), [memory.empty((C,), x.dtype, x) for _ in range(2)]
    inputs = (gy, x, y, 1.0 if slope is None else slope, mean)
    kernel("norm.cu", "norm_grad_sums", x, VEC=t.vec)(t.grid, t.block, (*inputs, *sums, *t.numbers, layer))
    kernel("norm.cu", "norm_grad_apply", x, VEC=t.vec)(
        t.grid, t.block, (*inputs, rstd, gamma, *sums, gx, *outputs, groups, *t.numbers, layer))
    return _image(gx, shape), *outputs


def _pixels_by_channels(x):
    """(N, C, *space) in any layout -> a contiguous (N, P, C), P the pixels of an image."""
    N, C = x.shape[:2]
    return memory.channels_last(x.reshape(N, C, math.prod(x.shape[2:]), 1)).reshape(N, -1, C)  # (N, P, C)


def _image(y, shape):
    """(N, P, C) -> the same memory indexed (N, C, *space)."""
    y = y.reshape(shape[0], *shape[2:], shape[1])  # (N, *space, C)
    return y.transpose(0, y.ndim - 1, *range(1, y.ndim - 1))
