"""The update rules and moving averages in one pass over all parameters: optim.c. Twin, to the bit: cpu/optim.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .. import cpu
from ..cpu.blocks import get_threads
from ..cpu.counters import integer, real
from ..cpu.memory import in_order_of
from ..values import Array, Counter, Rate
from .library import LIBRARY

__all__ = ["adam", "ema", "rmsprop", "sgd"]

Arrays = Sequence[Array]


def sgd(
    params: Arrays,
    grads: Arrays,
    momenta: Arrays | None,
    lr: float | Rate,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> None:
    """`cpu.sgd` in one pass."""
    momenta = momenta if momentum else None
    _update(
        lambda p, g, m=None: LIBRARY.sgd(get_threads(), p, g, m or [], real(lr), momentum, weight_decay, int(nesterov)),
        lambda p, g, m=None: cpu.sgd(p, g, m, lr, momentum, nesterov, weight_decay),
        *(rows for rows in (params, grads, momenta) if rows is not None),
    )


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
    """`cpu.rmsprop` in one pass."""

    def states(rows: Sequence[Arrays]) -> tuple[Arrays | None, Arrays | None]:
        """The averages and momenta among the lists behind the first three."""
        more = list(rows)
        return more.pop(0) if means is not None else None, more.pop(0) if momenta is not None else None

    def native(p: Arrays, g: Arrays, s: Arrays, *rows: Arrays) -> None:
        a, b = states(rows)
        numbers = real(lr), alpha, 1 - alpha, eps, weight_decay, momentum
        LIBRARY.rmsprop(get_threads(), p, g, s, a or [], b or [], *numbers)

    def twin(p: Arrays, g: Arrays, s: Arrays, *rows: Arrays) -> None:
        a, b = states(rows)
        cpu.rmsprop(p, g, s, lr, alpha, eps, weight_decay, a, b, momentum)

    _update(native, twin, *(rows for rows in (params, grads, squares, means, momenta) if rows is not None))


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
    """`cpu.adam` in one pass: reads four arrays and writes three."""
    count, rate = integer(step), real(lr)
    root = math.sqrt(1 - beta2**count)
    decays = (0.0, 1 - rate * weight_decay) if decoupled else (weight_decay, 1.0)
    numbers = rate * root / (1 - beta1**count), beta1, 1 - beta1, beta2, 1 - beta2, eps * root, *decays
    _update(
        lambda *rows: LIBRARY.adam(get_threads(), *rows, *numbers),
        lambda p, g, m, s: cpu.adam(p, g, m, s, step, lr, beta1, beta2, eps, weight_decay, decoupled),
        params, grads, means, squares,
    )  # fmt: skip


def ema(averages: Arrays, params: Arrays, decay: float | Rate) -> None:
    """`cpu.ema` in one pass."""
    _update(
        lambda *rows: LIBRARY.ema(get_threads(), *rows, 1 - real(decay)),
        lambda a, p: cpu.ema(a, p, decay),
        averages, params,
    )  # fmt: skip


def _update(native: Callable[..., None], twin: Callable[..., None], *lists: Arrays) -> None:
    """Call native(*lists) with the parameters that C knows, as flat arrays, and twin(*lists) with all others."""
    flat, others = [], []
    for row in zip(*lists, strict=True):
        views = _flat(*row)
        if views is None:
            others.append(row)
        else:
            flat.append(views)
    if flat:
        native(*map(list, zip(*flat, strict=True)))
    if others:
        twin(*map(list, zip(*others, strict=True)))


def _flat(p: Array, g: Array, *states: Array) -> tuple[Array, ...] | None:
    """All arrays in p's memory order: views, but g may be a copy.

    None if one is not float32, p is not dense, or a state has another order.
    """
    if any(a.dtype != np.float32 for a in (p, g, *states)) or not all(_same_order(p, s) for s in states):
        return None
    flat, *rest = (a.ravel("K") for a in (p, *states))
    if any(view.flags.owndata for view in (flat, *rest)):
        return None  # p has holes or runs backwards
    return flat, g.ravel("K") if _same_order(p, g) else in_order_of(p, g), *rest


def _same_order(x: Array, y: Array) -> bool:
    """Whether their numbers follow one another alike in memory. An axis of length 1 may have any stride."""
    if x.strides == y.strides:
        return True
    return x.shape == y.shape and all(n == 1 or s == t for n, s, t in zip(x.shape, x.strides, y.strides, strict=True))
