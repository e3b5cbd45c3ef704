"""Launches optim.cu: all parameters of an optimiser in one kernel; one launch each would cost more than the work.

A kernel must be told where some dozens of arrays lie, and gradients lie elsewhere in every step. Three ways to tell it:

    a table on the device    must be uploaded anew for every plain step, which a captured graph forbids
    one flat buffer          parameters and gradients then have to be views of it: a rule for the whole engine
    a table by value         480 words among the launch's own arguments: nothing is uploaded, a graph keeps them

The last is simplest: 80 parameters a launch for Adam, 120 for plain SGD, more in a second one. Rates and step counts
are numbers, or places on the device (counters.py).
"""

from __future__ import annotations

import itertools

from .counters import integer, real
from .loader import TYPES, Table, is_dense, kernel
from .memory import empty_like, in_order_of

THREADS = 256
WORDS = TYPES["Table"][0][2]
CHUNK = 4 * THREADS  # elements a block works on at least, and at most LONGEST times as many
LONGEST = 8
BLOCKS = 1024  # about as many as a large GPU holds at once


def sgd(params, grads, momenta, lr, momentum, nesterov, weight_decay):
    """As the CPU's: m = momentum*m + g; p -= lr*m, or lr*(g + momentum*m) if nesterov. In place."""
    if momentum:
        _update("sgd_momentum", [params, grads, momenta], *real(lr), momentum, nesterov, weight_decay)
    else:
        _update("sgd", [params, grads], *real(lr), weight_decay)


def rmsprop(params, grads, squares, lr, alpha, eps, weight_decay):
    """As the CPU's: s = alpha*s + (1-alpha)*g^2;  p -= lr * g / (sqrt(s) + eps). In place."""
    _update("rmsprop", [params, grads, squares], *real(lr), alpha, eps, weight_decay)


def adam(params, grads, means, squares, step, lr, beta1, beta2, eps, weight_decay):
    """As the CPU's; step counts from 1, an int or a Counter, and lr is a float or a Rate. In place."""
    _update("adam", [params, grads, means, squares], *real(lr), *integer(step), beta1, beta2, eps, weight_decay)


def ema(averages, params, decay):
    """As the CPU's: a = decay*a + (1-decay)*p; decay is a float or a Rate. In place in averages."""
    _update("ema", [averages, params], *real(decay))


def _update(name, columns, *scalars):
    """Launch a rule on rows (updated, only read, *states); one launch per dtype and per table full of rows."""
    rows = [row for row in zip(*columns, strict=True) if row[0].size]
    capacity = WORDS // (len(columns) + 2)
    for dtype in sorted({row[0].dtype.str for row in rows}):
        same = [row for row in rows if row[0].dtype.str == dtype]
        for start in range(0, len(same), capacity):
            _launch(name, same[start : start + capacity], scalars)


def _launch(name, rows, scalars):
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


def _in_one_order(name, p, *others):
    """Return p and what belongs to it, dense, all in p's order in memory; copies where they are not already."""
    if any(x.shape != p.shape for x in others):
        raise ValueError(f"{name}: a parameter of shape {p.shape} with arrays of shape {[x.shape for x in others]}")
    if not is_dense(p):
        p, gaps = empty_like(p), p
        p[...] = gaps
    return [p, *(in_order_of(p, x) for x in others)]
