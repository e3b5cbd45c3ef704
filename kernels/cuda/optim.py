"""Launches optim.cu: all parameters of an optimiser in one kernel; one launch each would cost more than the work.

A kernel needs the addresses of dozens of arrays, and gradients have new ones in every step. There are three ways to
pass them:

    a table on the device    must be uploaded again for every plain step, which a captured graph forbids
    one flat buffer          parameters and gradients then have to be views of it: a rule for the whole engine
    a table by value         480 words among the launch's own arguments: nothing is uploaded, a graph keeps them

The last is simplest: 80 parameters in one launch for Adam, 120 for plain SGD, more in further launches. Rates and step
counts are numbers, or read from the device's memory (counters.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ..values import Counter, DeviceArray, Rate
from .counters import integer, real
from .loader import is_dense, kernel
from .memory import dense, empty_like, in_order_of
from .source import TYPES, Table

__all__ = ["adam", "add_up", "ema", "rmsprop", "sgd"]

Arrays = Sequence[DeviceArray]

THREADS = 256
WORDS = TYPES["Table"][0][2]
CHUNK = 4 * THREADS  # elements that a block works on at least; at most LONGEST times as many
LONGEST = 8
BLOCKS = 1024  # about what a large GPU runs at once


def sgd(
    params: Arrays,
    grads: Arrays,
    momenta: Arrays | None,
    lr: float | Rate,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> None:
    """As the CPU's: m = momentum*m + g; p -= lr*m, or lr*(g + momentum*m) if nesterov. In place."""
    if momentum:
        assert momenta is not None
        _update("sgd_momentum", [params, grads, momenta], *real(lr), momentum, nesterov, weight_decay)
    else:
        _update("sgd", [params, grads], *real(lr), weight_decay)


def rmsprop(
    params: Arrays,
    grads: Arrays,
    squares: Arrays,
    lr: float | Rate,
    alpha: float,
    eps: float,
    weight_decay: float,
    means: Arrays | None = None,
    momenta: Arrays | None = None,
    momentum: float = 0.0,
) -> None:
    """As the CPU's: s = alpha*s + (1-alpha)*g^2;  p -= lr * g / (sqrt(s) + eps); centred and with momenta. In place."""
    columns, scalars = [params, grads, squares], [*real(lr), alpha, eps, weight_decay]
    if means is None and momenta is None:
        _update("rmsprop", columns, *scalars)
    elif momenta is None:
        _update("rmsprop_centered", [*columns, means or []], *scalars)
    elif means is None:
        _update("rmsprop_momentum", [*columns, momenta], *scalars, momentum)
    else:
        _update("rmsprop_centered_momentum", [*columns, means, momenta], *scalars, momentum)


def adam(
    params: Arrays,
    grads: Arrays,
    means: Arrays,
    squares: Arrays,
    step: int | Counter,
    lr: float | Rate,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool = False,
) -> None:
    """As the CPU's; step counts from 1, an int or a Counter, and lr is a float or a Rate. In place."""
    _update("adam", [params, grads, means, squares], *real(lr), *integer(step), beta1, beta2, eps, weight_decay,
            decoupled)


def ema(averages: Arrays, params: Arrays, decay: float | Rate) -> None:
    """As the CPU's: a = decay*a + (1-decay)*p; decay is a float or a Rate. In place in averages."""
    _update("ema", [averages, params], *real(decay))


def add_up(terms: Arrays, counts: Sequence[int]) -> list[DeviceArray]:
    """As the CPU's: the sums of up to three terms in one launch for all, or one launch for each number of terms."""
    ends = itertools.accumulate(counts)
    rest = [list(terms[end - count : end]) for count, end in zip(counts, ends, strict=True)]
    while any(len(run) > 1 for run in rest):
        for width in (2, 3):  # terms in this launch
            runs = [run for run in rest if min(3, len(run)) == width]
            sums = [empty_like(dense(run[0])) for run in runs]
            columns = [[in_order_of(y, run[k]) for y, run in zip(sums, runs, strict=True)] for k in range(width)]
            _update(f"add_{width}", [sums, *columns])
            for y, run in zip(sums, runs, strict=True):
                run[:width] = [y]
    return [run[0] for run in rest]


def _update(name: str, columns: Sequence[Arrays], *scalars: Any) -> None:
    """Launch a rule on rows (updated, only read, *states); one launch per dtype and per table full of rows."""
    rows = [row for row in zip(*columns, strict=True) if row[0].size]
    capacity = WORDS // (len(columns) + 2)
    for dtype in sorted({row[0].dtype.str for row in rows}):
        same = [row for row in rows if row[0].dtype.str == dtype]
        for start in range(0, len(same), capacity):
            _launch(name, same[start : start + capacity], scalars)


def _launch(name: str, rows: Sequence[tuple[DeviceArray, ...]], scalars: tuple[Any, ...]) -> None:
    dense = [_in_one_order(name, *row) for row in rows]
    sizes = [row[0].size for row in rows]
    chunk = CHUNK * min(LONGEST, max(1, sum(sizes) // (CHUNK * BLOCKS)))
    *first, blocks = itertools.accumulate((-(-size // chunk) for size in sizes), initial=0)
    table = Table([array for row in dense for array in row], [*sizes, *first])
    kernel("optim.cu", name, rows[0][0])(blocks, THREADS, (table, len(rows), chunk, *scalars))
    for row, used in zip(rows, dense, strict=True):
        for k, (array, copy) in enumerate(zip(row, used, strict=True)):
            if k != 1 and copy is not array:
                array[...] = copy


def _in_one_order(name: str, p: DeviceArray, *others: DeviceArray) -> list[DeviceArray]:
    """`p` and what belongs to it, dense, all in p's memory order; copies where they are not so already."""
    if any(x.shape != p.shape for x in others):
        raise ValueError(f"{name}: a parameter of shape {p.shape} with arrays of shape {[x.shape for x in others]}")
    if not is_dense(p):
        p, gaps = empty_like(p), p
        p[...] = gaps
    return [p, *(in_order_of(p, x) for x in others)]
