"""Batch, instance and layer norm in one or two passes: norm.c, norm_grad.c. Twin: cpu/norm.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import cpu
from ..cpu.blocks import get_threads
from ..cpu.memory import channels_first, channels_last, empty
from ..cpu.norm import move_running
from ..values import FLOAT32, Array, Moments, Running
from .library import LIBRARY

__all__ = ["norm_apply", "norm_grad", "norm_stats", "normalized"]


def norm_stats(x: Array, over: str, eps: float, running: Running | None = None) -> Moments:
    """`cpu.norm_stats`, reading x once."""
    if x.dtype != FLOAT32 or x.size == 0:
        return cpu.norm_stats(x, over, eps, running)
    channels = 1 if over == "layer" else x.shape[1]
    groups = 1 if over == "batch" else len(x)
    mean, var, rstd = moments = np.empty((3, groups, channels, *(1,) * (x.ndim - 2)), np.float32)
    pixels = x.size // (groups * channels)
    LIBRARY.norm_stats(get_threads(), channels_last(x), mean, var, rstd, groups, pixels, channels, eps)
    move_running(running, mean, var, pixels)
    return Moments(*moments)


def norm_apply(
    x: Array, mean: Array, rstd: Array, gamma: Array | None, beta: Array | None, slope: float | None = None,
    addend: Array | None = None,
) -> Array:
    """`cpu.norm_apply`, reading x once."""
    others = x.dtype != FLOAT32 or (addend is not None and addend.dtype != FLOAT32)
    if others or not _are_plain(mean, rstd, gamma, beta) or x.size == 0 or mean.size != rstd.size:
        return cpu.norm_apply(x, mean, rstd, gamma, beta, slope, addend)
    last, more = channels_last(x), None if addend is None else channels_last(addend)
    y = empty(last.shape, last.dtype)
    numbers = (*_sizes(x, len(mean) == 1), 1 if slope is None else slope)
    LIBRARY.norm_apply(get_threads(), last, mean, rstd, gamma, beta, more, y, *numbers)
    return channels_first(y)


def normalized(
    x: Array, over: str, eps: float, gamma: Array | None, beta: Array | None, slope: float | None = None,
    running: Running | None = None, addend: Array | None = None,
) -> tuple[Array, Array, Array, Array]:
    """`cpu.normalized`, reading x twice."""
    mean, var, rstd = norm_stats(x, over, eps, running)
    return norm_apply(x, mean, rstd, gamma, beta, slope, addend), mean, var, rstd


def norm_grad(
    gy: Array,
    x: Array,
    mean: Array,
    rstd: Array,
    gamma: Array | None,
    over: str,
    y: Array | None = None,
    slope: float | None = None,
    share: Callable[[Array], Array] | None = None,
) -> tuple[Array, Array, Array]:
    """`cpu.norm_grad`, reading gy, x and y twice; with `share`, in two calls."""
    on = None if slope is None else y
    others = gy.dtype != FLOAT32 or x.dtype != FLOAT32 or (on is not None and on.dtype != FLOAT32)
    if others or not _are_plain(mean, rstd, gamma) or x.size == 0:
        return cpu.norm_grad(gy, x, mean, rstd, gamma, over, y, slope, share)
    last = channels_last(x)
    gx = empty(last.shape, last.dtype)
    ggamma, gbeta = sums = np.empty((2, x.shape[1]), np.float32)
    inputs = (channels_last(gy), last, mean, rstd, gamma, None if on is None else channels_last(on))
    numbers = (*_sizes(x, over == "batch"), 1 if slope is None else slope)
    LIBRARY.norm_grad(get_threads(), *inputs, None, gx if share is None else None, ggamma, gbeta, *numbers)
    if share is not None:
        given = np.ascontiguousarray(share(sums), np.float32)
        LIBRARY.norm_grad(get_threads(), *inputs, given, gx, None, None, *numbers)
    return channels_first(gx), ggamma, gbeta


def _are_plain(*arrays: Array | None) -> bool:
    """Whether all of them are float32, in C order."""
    return all(a is None or (a.dtype == FLOAT32 and a.flags.c_contiguous) for a in arrays)


def _sizes(x: Array, merge: bool) -> tuple[int, int, int]:
    """(groups, pixels of a group, channels): a group is an image, or all merged."""
    groups = 1 if merge else len(x)
    return groups, x.size // (groups * x.shape[1]), x.shape[1]
