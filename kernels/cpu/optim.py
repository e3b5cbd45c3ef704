"""The three update rules, all parameters in one go: their memory in blocks, every pass of a rule over a block in cache.

Written as NumPy lines over whole arrays, Adam reads and writes memory some thirty times; in blocks it reads four arrays
and writes three once each. PyTorch's formulas to the letter, so that its published hyper-parameters mean the same here.
"""

from __future__ import annotations

import math

import numpy as np

from .blocks import PASS, SHARED, cut, for_each_block
from .memory import in_order_of, memory_view, scratch


def sgd(params, grads, momenta, lr, momentum, nesterov, weight_decay):
    """With g += weight_decay*p: m = momentum*m + g; p -= lr*m, or lr*(g + momentum*m) if nesterov.

    momenta is None when momentum is 0. All in place; grads are left alone.
    """

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
        np.multiply(g, lr, out=step)
        p -= step

    _update(rule, params, grads, *([momenta] if momentum else []))


def rmsprop(params, grads, squares, lr, alpha, eps, weight_decay):
    """With g += weight_decay*p: s = alpha*s + (1-alpha)*g^2;  p -= lr * g / (sqrt(s) + eps). In place."""

    def rule(p, g, s):
        step = scratch("step", p.shape, p.dtype)
        g = _decayed(g, p, weight_decay)
        _average_square(s, g, alpha, step)
        np.sqrt(s, out=step)
        step += eps
        np.divide(g, step, out=step)
        step *= lr
        p -= step

    _update(rule, params, grads, squares)


def adam(params, grads, means, squares, step, lr, beta1, beta2, eps, weight_decay):
    """Moments m = beta1*m + (1-beta1)*g, s = beta2*s + (1-beta2)*g^2; p -= lr * mhat / (sqrt(shat) + eps). In place.

    mhat = m/(1-beta1^t) and shat = s/(1-beta2^t) at step t = 1, 2, ...; g += weight_decay*p first.
    Kingma & Ba, Adam, 2015, algorithm 1.
    """
    root = math.sqrt(1 - beta2**step)  # sqrt(shat) + eps = (sqrt(s) + eps*root) / root saves one pass
    rate = lr * root / (1 - beta1**step)

    def rule(p, g, m, s):
        change = scratch("step", p.shape, p.dtype)
        g = _decayed(g, p, weight_decay)
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


def _decayed(g, p, weight_decay):
    """Return g + weight_decay*p, in scratch."""
    if not weight_decay:
        return g
    total = scratch("decayed", p.shape, p.dtype)
    np.multiply(p, weight_decay, out=total)
    total += g
    return total


def _average_square(s, g, decay, room):
    """Set s = decay*s + (1-decay)*g^2."""
    s *= decay
    np.multiply(g, g, out=room)
    room *= 1 - decay
    s += room


def ema(averages, params, decay):
    """Moving averages: a = decay*a + (1-decay)*p, for every parameter. In place in averages."""

    def rule(a, p):
        step = scratch("step", p.shape, p.dtype)
        np.subtract(p, a, out=step)
        step *= 1 - decay
        a += step

    _update(rule, averages, params)


def _update(rule, params, grads, *states):
    """rule(p, g, *state) on flat pieces of every parameter; states whose order differs are done whole, as they are."""
    pieces = []
    for p, g, *state in zip(params, grads, *states, strict=True):
        flat = memory_view(p)
        if flat is None or any(s.strides != p.strides for s in state):
            pieces.append((p, g, *state))
        else:
            arrays = (flat, in_order_of(p, g), *map(memory_view, state))
            pieces += [tuple(array[part] for array in arrays) for part in cut(p.size, PASS)]
    for_each_block(lambda piece: rule(*piece), pieces, share=sum(p.size for p in params) > SHARED // 2)
