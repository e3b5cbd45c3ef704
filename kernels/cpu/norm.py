"""Statistics and normalisation of images: batch, instance and layer norm are one kernel that adds over different axes.

    xhat = (x - mean) * rstd        y = gamma * xhat + beta (+ addend, the x of a residual block)
    gx   = rstd * (g - mean_over(g) - xhat * mean_over(g * xhat)),  g = gamma * gy

The one idea: memory is a table with a column per channel. Each block of rows gives one number per column by a
vector-matrix product; these few numbers are then combined, in float64 and in order, over whichever axes are wanted.

Per column a block keeps its mean and its squares about that mean (Chan, Golub & LeVeque, 1983), never the sum of
squares: with a mean of 1000 and a deviation of 1, float32 would subtract two numbers that agree in all their digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..values import Array, Moments, Running
from .blocks import PASS, SHARED, cut, for_each_block
from .elementwise import gate_into, rectify
from .memory import channels_first, channels_last, empty_like, scratch

__all__ = ["norm_apply", "norm_grad", "norm_stats", "normalized", "update_running"]

RUN = 1024  # numbers that elementwise passes take in one inner loop: several pixels side by side
COLUMNS = 64  # numbers in a row of the table for the products: with few channels, again several pixels side by side


def norm_stats(x: Array, over: str, eps: float, running: Running | None = None) -> Moments:
    """Moments (mean, var, rstd) of x over "batch" (N, space), "instance" (space) or "layer" (C, space).

    All are shaped to broadcast with x; var is biased, rstd = 1 / sqrt(var + eps). Reads x once from memory and three
    times from cache. `running` is moved, as by update_running, for the batch or for each image in turn.
    """
    table = _Table(x, merge=over == "batch")
    means, squares = table.partial_sums(), table.partial_sums()

    def block(groups, number, rows):
        part = table.data[groups, rows]  # (g, r, RUN)
        mean = table.sum_rows(part) / table.pixels(rows)  # (g, C)
        apart = np.subtract(part, table.fold(mean), out=scratch("apart", part.shape, part.dtype))
        np.multiply(apart, apart, out=apart)
        means[number, groups], squares[number, groups] = mean, table.sum_rows(apart)

    table.for_each(block)
    count = table.pixels(slice(0, table.rows))
    weights = np.array([table.pixels(rows) for rows in table.parts])[:, None, None]
    mean = (weights * means).sum(0) / count
    var = (squares + weights * (means - mean) ** 2).sum(0) / count  # (G, C)
    if over == "layer":
        centre = mean.mean(1, keepdims=True)
        mean, var = centre, (var + (mean - centre) ** 2).mean(1, keepdims=True)
    shape = (*mean.shape, *(1,) * (x.ndim - 2))
    mean, var = mean.astype(x.dtype).reshape(shape), var.astype(x.dtype).reshape(shape)
    move_running(running, mean, var, count)
    return Moments(mean, var, 1 / np.sqrt(var + eps))


def move_running(running: Running | None, mean: Array, var: Array, count: int) -> None:
    """Move running statistics, if there are any, once for each group of mean and var, of `count` numbers each."""
    if running is not None:
        for group in range(len(mean)):
            update_running(running.mean, running.var, mean[group], var[group], running.momentum, count)


def update_running(
    running_mean: Array, running_var: Array, mean: Array, var: Array, momentum: float, count: int
) -> None:
    """Move running statistics (C,) by `momentum` towards those of a batch of `count` numbers per channel. In place.

    var is the batch's biased variance; running_var follows the unbiased one.
    """
    running_mean += momentum * (mean.reshape(-1) - running_mean)  # (C,)
    running_var += momentum * (var.reshape(-1) * (count / (count - 1)) - running_var)  # (C,)


def norm_apply(
    x: Array, mean: Array, rstd: Array, gamma: Array | None, beta: Array | None, slope: float | None = None,
    addend: Array | None = None,
) -> Array:
    """Affine: y = gamma * (x - mean) * rstd + beta = scale * x + shift, stored channels-last. Reads x, writes y.

    An addend of x's shape and type is added, and with a slope >= 0, y is leaky_relu of that, both while it is in cache.
    Rounding is of the order of x's own last digit times scale, as with x - mean, and there is one pass less.
    """
    table = _Table(x, merge=len(mean) == 1)
    mean, rstd = (v.reshape(len(v), -1).astype(np.float64) for v in (mean, rstd))
    scale = rstd if gamma is None else rstd * gamma
    shift = -mean * scale if beta is None else beta - mean * scale
    scale, shift = (table.fold(table.per_channel(v)) for v in (scale, shift))
    more = None if addend is None else _Table(addend, merge=len(mean) == 1).data
    y = empty_like(table.data)

    def block(groups, _, rows):
        out = y[groups, rows]
        np.multiply(table.data[groups, rows], scale[groups], out=out)
        out += shift[groups]
        if more is not None:
            out += more[groups, rows]
        if slope is not None:
            rectify(out, slope)

    table.for_each(block)
    return table.restore(y)


def normalized(
    x: Array, over: str, eps: float, gamma: Array | None, beta: Array | None, slope: float | None = None,
    running: Running | None = None, addend: Array | None = None,
) -> tuple[Array, Array, Array, Array]:
    """(y, mean, var, rstd): norm_stats of x, and norm_apply with them."""
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
    """(gx, ggamma, gbeta): gx = rstd*(g - mean_over(g) - xhat*mean_over(g*xhat)), ggamma = sum gy*xhat, gbeta = sum gy.

    With a slope, gy first goes through the gate of y. Reads gy and x twice, writes gx once: the means must be known
    before the first gx, a*gy + b*x + c. (A gated gy waits in gx's memory.)

    With `share`, for over "batch", gx has the means that share(sums) gives in place of those of these rows: sums (2, C)
    are ggamma and gbeta, and a batch in several equal parts hands back their mean over the parts.
    """
    table, cotangents = _Table(x, merge=over == "batch"), _Table(gy, merge=over == "batch").data
    gx = empty_like(table.data)
    g = cotangents if slope is None else gx
    mean, rstd = (v.reshape(len(v), -1).astype(np.float64) for v in (mean, rstd))

    def opened(groups, rows):
        if on is not None and slope is not None:
            flat_gy, flat_on, flat_g = (array[groups, rows].reshape(-1) for array in (cotangents, on, gx))  # views
            gate_into(flat_gy, flat_on, flat_g, slope)
        return g[groups, rows]

    on = None if slope is None or y is None else _Table(y, merge=over == "batch").data
    sum_g, sum_gx = _grad_sums(opened, table, mean)  # (G, C)
    sum_gxhat = sum_gx * rstd
    ggamma, gbeta = sum_gxhat.sum(0).astype(x.dtype), sum_g.sum(0).astype(x.dtype)
    if share is not None:
        sum_gxhat, sum_g = share(np.stack([ggamma, gbeta]))[:, None].astype(np.float64)  # (1, C) each
    weight = np.ones(len(gbeta)) if gamma is None else gamma.astype(np.float64)
    mean_g, mean_gxhat = (weight * total / table.pixels(slice(0, table.rows)) for total in (sum_g, sum_gxhat))
    if over == "layer":
        mean_g, mean_gxhat = (v.mean(1, keepdims=True) for v in (mean_g, mean_gxhat))
    b = -rstd * rstd * mean_gxhat
    c = -rstd * mean_g - b * mean
    a, b, c = (table.fold(table.per_channel(v)) for v in (rstd * weight, b, c))

    def block(groups, _, rows):
        out = gx[groups, rows]
        rest = scratch("rest", out.shape, out.dtype)
        np.multiply(g[groups, rows], a[groups], out=out)
        np.multiply(table.data[groups, rows], b[groups], out=rest)
        out += rest
        out += c[groups]

    table.for_each(block)
    return table.restore(gx), ggamma, gbeta


def _grad_sums(opened: Callable[[slice, slice], Array], table: _Table, mean: Array) -> tuple[Array, Array]:
    """Sums over rows of g and of g*(x - mean), (G, C) in float64; opened(groups, rows) gives a block of g."""
    sum_g, sum_gx = table.partial_sums(), table.partial_sums()
    mean = table.fold(table.per_channel(mean))

    def block(groups, number, rows):
        g = opened(groups, rows)
        apart = np.subtract(table.data[groups, rows], mean[groups], out=scratch("apart", g.shape, g.dtype))
        apart *= g
        sum_g[number, groups], sum_gx[number, groups] = table.sum_rows(g), table.sum_rows(apart)

    table.for_each(block)
    return sum_g.sum(0), sum_gx.sum(0)


class _Table:
    """An image as (groups, rows, width): a group is an image, or all merged; a row is several pixels side by side."""

    def __init__(self, x: Array, merge: bool) -> None:
        last = channels_last(x)  # (N, *space, C)
        self.shape, self.channels, self.dtype = last.shape, last.shape[-1], x.dtype
        self.groups = 1 if merge else len(last)
        pixels = last.size // (self.groups * self.channels)
        self.side_by_side = math.gcd(pixels, _power_of_two(RUN // self.channels))
        self.rows, self.width = pixels // self.side_by_side, self.side_by_side * self.channels
        self.data = last.reshape(self.groups, self.rows, self.width)
        self.parts = cut(self.rows, max(1, PASS // self.width))

    def for_each(self, work: Callable[[slice, int, slice], None]) -> None:
        """work(groups, number, rows) for blocks of a table, `number` being that of the slice `rows`."""
        at_once = max(1, PASS // (self.rows * self.width))
        blocks = [(groups, *part) for groups in cut(self.groups, at_once) for part in enumerate(self.parts)]
        for_each_block(lambda block: work(*block), blocks, share=self.data.size > SHARED)

    def pixels(self, rows: slice) -> int:
        """How many pixels of a group are in these rows."""
        return (rows.stop - rows.start) * self.side_by_side

    def partial_sums(self) -> Array:
        """Room for one number per part of the rows, group and channel, (parts, groups, C)."""
        return np.empty((len(self.parts), self.groups, self.channels), np.float64)

    def sum_rows(self, part: Array) -> Array:
        """(g, rows, width) -> (g, C): a product with ones, then the few pixels side by side."""
        beside = math.gcd(self.side_by_side, _power_of_two(COLUMNS // self.channels))
        lines = part.reshape(len(part), -1, beside * self.channels)  # (g, rows * width / (beside*C), beside*C)
        sums = np.matmul(np.ones((1, lines.shape[1]), part.dtype), lines)  # (g, 1, beside*C)
        return sums.reshape(len(part), beside, self.channels).sum(1)

    def per_channel(self, numbers: Array) -> Array:
        """(G or 1, C or 1) numbers as (groups, C) of x's type."""
        return np.broadcast_to(numbers, (self.groups, self.channels)).astype(self.dtype)

    def fold(self, numbers: Array) -> Array:
        """(g, C) -> (g, 1, width), to go with rows of the table."""
        return np.tile(numbers, (1, self.side_by_side))[:, None]

    def restore(self, data: Array) -> Array:
        """A table as an image again, indexed (N, C, *space)."""
        return channels_first(data.reshape(self.shape))


def _power_of_two(number: int) -> int:
    """The largest power of two up to `number`, at least 1."""
    return 1 << max(0, number.bit_length() - 1)
