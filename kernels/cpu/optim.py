"""The update rules and moving averages, for all parameters in one call: every pass of a rule over a block in cache.

Written as NumPy lines over whole arrays, Adam reads and writes memory about thirty times; in blocks it reads four
arrays and writes three, once each. The formulas are exactly PyTorch's, so its published hyper-parameters
hold here.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence

import numpy as np

from ..values import Array, Counter, Rate
from .blocks import PASS, SHARED, cut, for_each_block
from .counters import integer, real
from .memory import in_order_of, memory_view, scratch

__all__ = ["adam", "add_up", "ema", "rmsprop", "sgd"]

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
    """With g += weight_decay*p: m = momentum*m + g; p -= lr*m, or lr*(g + momentum*m) if nesterov.

    momenta is None when momentum is 0. In place in params and momenta; grads are not written to.
    """
    rate = real(lr)

    def rule(p, g, *state):
        step = scratch("step", p.shape, p.dtype)
        g = _decayed(g, p, weight_decay)
        if state:
            (m,) = state
            m *= momentum
            m += g
            if nesterov:
                np.multiply(m, momentum, out=step)
                step += g
                g = step
            else:
                g = m
        np.multiply(g, rate, out=step)
        p -= step

    _update(rule, params, grads, *([momenta] if momentum and momenta is not None else []))


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
    """With g += weight_decay*p: s = alpha*s + (1-alpha)*g^2;  p -= lr * g / (sqrt(s) + eps). In place.

    With means, a = alpha*a + (1-alpha)*g, and max(s - a^2, 0) takes the place of s in the root. With momenta,
    b = momentum*b + g / (sqrt(s) + eps) and p -= lr*b. Graves, Generating sequences, 2013, equations 38 to 41.
    """
    rate = real(lr)

    def rule(p, g, s, *more):
        state = list(more)
        step = scratch("step", p.shape, p.dtype)
        g = _decayed(g, p, weight_decay)
        _average_square(s, g, alpha, step)
        if means is not None:
            a = state.pop(0)
            a *= alpha
            np.multiply(g, 1 - alpha, out=step)
            a += step
            np.multiply(a, a, out=step)
            np.subtract(s, step, out=step)
            np.maximum(step, 0, out=step)  # rounding may make a variance of 0 negative
            np.sqrt(step, out=step)
        else:
            np.sqrt(s, out=step)
        step += eps
        np.divide(g, step, out=step)
        if state:
            (b,) = state
            b *= momentum
            b += step
            np.multiply(b, rate, out=step)
        else:
            step *= rate
        p -= step

    _update(rule, params, grads, squares, *(rows for rows in (means, momenta) if rows is not None))


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
    """Moments m = beta1*m + (1-beta1)*g, s = beta2*s + (1-beta2)*g^2; p -= lr * mhat / (sqrt(shat) + eps). In place.

    mhat = m/(1-beta1^t) and shat = s/(1-beta2^t) at step t = 1, 2, ...; first g += weight_decay*p or, if decoupled,
    p *= 1 - lr*weight_decay. Kingma & Ba, Adam, 2015, algorithm 1; Loshchilov & Hutter, AdamW, 2019, algorithm 2.
    """
    count = integer(step)
    root = math.sqrt(1 - beta2**count)  # sqrt(shat) + eps = (sqrt(s) + eps*root) / root saves one pass
    rate = real(lr) * root / (1 - beta1**count)
    kept = 1 - real(lr) * weight_decay if decoupled else 1.0
    added = 0.0 if decoupled else weight_decay

    def rule(p, g, m, s):
        change = scratch("step", p.shape, p.dtype)
        if kept != 1:
            p *= kept
        g = _decayed(g, p, added)
        m *= beta1
        np.multiply(g, 1 - beta1, out=change)
        m += change
        _average_square(s, g, beta2, change)
        np.sqrt(s, out=change)
        change += eps * root
        np.divide(m, change, out=change)
        change *= rate
        p -= change

    _update(rule, params, grads, means, squares)


def _decayed(g: Array, p: Array, weight_decay: float) -> Array:
    """Return g + weight_decay*p, in scratch."""
    if not weight_decay:
        return g
    total = scratch("decayed", p.shape, p.dtype)
    np.multiply(p, weight_decay, out=total)
    total += g
    return total


def _average_square(s: Array, g: Array, decay: float, room: Array) -> None:
    """Set s = decay*s + (1-decay)*g^2."""
    s *= decay
    np.multiply(g, g, out=room)
    room *= 1 - decay
    s += room


def ema(averages: Arrays, params: Arrays, decay: float | Rate) -> None:
    """Moving averages: a = decay*a + (1-decay)*p, for every parameter. In place in averages."""
    share = 1 - real(decay)

    def rule(a, p):
        step = scratch("step", p.shape, p.dtype)
        np.subtract(p, a, out=step)
        step *= share
        a += step

    _update(rule, averages, params)


def add_up(terms: Arrays, counts: Sequence[int]) -> list[Array]:
    """Sums of the first counts[0] terms, of the next counts[1], ...; each is added in this order."""
    ends = itertools.accumulate(counts)
    return [functools.reduce(operator.add, terms[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _update(rule: Callable[..., None], params: Arrays, grads: Arrays, *states: Arrays) -> None:
    """rule(p, g, *state) on flat pieces of every parameter; if a state has another order, on all of it at once."""
    pieces: list[tuple[Array, ...]] = []
    for p, g, *state in zip(params, grads, *states, strict=True):
        flat = memory_view(p)
        if flat is None or any(s.strides != p.strides for s in state):
            pieces.append((p, g, *state))
        else:
            arrays = (flat, in_order_of(p, g), *(in_order_of(p, s) for s in state))  # all but g: views
            pieces += [tuple(array[part] for array in arrays) for part in cut(p.size, PASS)]
    for_each_block(lambda piece: rule(*piece), pieces, share=sum(p.size for p in params) > SHARED // 2)
