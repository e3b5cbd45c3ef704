"""Means of functions f(x, t) of numbers and their targets, of which losses are made; lengths; weighted sums.

    of               f(x, t)                   df/dx              df/dt
    cross_entropy    softplus(x) - t x         sigmoid(x) - t     -x
    square           (x - t)^2                 2 (x - t)          -2 (x - t)
    absolute         |x - t|                   sign(x - t)        -sign(x - t)
    hinge            max(0, 1 - t x)           -t [t x < 1]       -x [t x < 1]
    product          t x                       t                  x
    sigmoid          1 / (1 + e^-x)            y (1 - y)          0

A target t is an array of x's shape or one number for all. The cross entropy of D = sigmoid(x) is -ln D for t = 1 and
-ln(1 - D) for t = 0; both are accurate for any x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..values import Array
from .elementwise import sigmoid, softplus

__all__ = ["lengths", "lengths_grad", "mean_of", "mean_of_grad", "means_of_halves", "means_of_halves_grad",
           "weighted_sum", "weighted_sum_grad"]

Term = tuple[float, str, float]  # t, of, weight
FUNCTIONS = "cross_entropy", "square", "absolute", "hinge", "product", "sigmoid"


def mean_of(x: Array, t: Array | float, of: str, weight: float = 1.0) -> Any:
    """The mean of f(x, t) over all numbers times weight, f the function `of`. Of x's dtype, without axes."""
    return np.sum(terms(x, t, of)) * (weight / x.size)


def terms(x: Array, t: Array | float, of: str) -> Array:
    """f(x, t) of each number."""
    if of == "cross_entropy":
        if not isinstance(t, np.ndarray) and t in (0, 1):
            return softplus(-x if t else x)
        return np.maximum(x, 0) - t * x + np.log1p(np.exp(-np.abs(x)))  # exact where x is large and t its label
    if of == "square":
        return np.square(x - t)
    if of == "absolute":
        return np.abs(x - t)
    if of == "hinge":
        return np.maximum(1 - t * x, 0)
    return t * x if of == "product" else sigmoid(x)


def mean_of_grad(g: Array, x: Array, t: Array | float, of: str, weight: float = 1.0, by_target: bool = False) -> Array:
    """Return gx of mean_of, or with by_target gt, in x's shape; g is the cotangent of its result, one number."""
    slopes: Any
    if of == "cross_entropy":
        slopes = -x if by_target else -sigmoid(-x) if not isinstance(t, np.ndarray) and t == 1 else sigmoid(x) - t
    elif of == "square":
        slopes = 2 * (t - x if by_target else x - t)
    elif of == "absolute":
        slopes = np.sign(t - x if by_target else x - t)
    elif of == "hinge":
        slopes = np.where(t * x < 1, -x if by_target else -np.asarray(t, x.dtype), 0).astype(x.dtype, copy=False)
    elif of == "product":
        slopes = x if by_target else np.broadcast_to(np.asarray(t, x.dtype), x.shape)
    else:
        y = sigmoid(x)
        slopes = np.zeros_like(x) if by_target else y * (1 - y)
    gx: Array = slopes * (g * x.dtype.type(weight / x.size))
    return gx


def means_of_halves(x: Array, terms: Sequence[Term]) -> Any:
    """The sum of mean_of the first half of x (2 N, ...) by one term (t, of, weight), and of the second by the other."""
    half = len(x) // 2
    return mean_of(x[:half], *terms[0]) + mean_of(x[half:], *terms[1])


def means_of_halves_grad(g: Array, x: Array, terms: Sequence[Term]) -> Array:
    """Return gx of means_of_halves; g is the cotangent of its result, one number."""
    half = len(x) // 2
    parts = zip((x[:half], x[half:]), terms, strict=True)
    return np.concatenate([mean_of_grad(g, part, *term) for part, term in parts])


def lengths(x: Array, axes: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """Square root of the sum of squares over `axes`: None for all, an int or a tuple."""
    return np.sqrt(np.sum(x * x, axis=axes, keepdims=keepdims))


def lengths_grad(g: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
    """Return gx = g x / y, and 0 where y = 0; g is the cotangent of y = lengths(x, axes)."""
    kept = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(y == 0, 0, g / y).astype(x.dtype, copy=False)
    gx: Array = scale.reshape(kept) * x
    return gx


def weighted_sum(numbers: Sequence[Array], weights: Sequence[float]) -> Any:
    """The sum of weights times arrays of one number each, from the first to the last."""
    y: Any = numbers[0] * weights[0]
    for number, weight in zip(numbers[1:], weights[1:], strict=True):
        y = y + number * weight
    return y


def weighted_sum_grad(g: Array, weights: Sequence[float]) -> list[Array]:
    """The cotangent g of a weighted sum, one number, times each weight."""
    return [g * weight for weight in weights]
