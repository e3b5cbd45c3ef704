"""Means of a function of each number and its target, of which losses are made, and weighted sums of such numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan import kernels
from minigan.engine import Array, Operand, Remarks, S, Tensor, primitive
from minigan.errors import OptionError, ShapeError
from minigan.ops._samples import normal, off_kinks
from minigan.ops.activation import sigmoid
from minigan.ops.elementwise import neg
from minigan.ops.shape import broadcast_to, concat, reshape, split

FUNCTIONS = "cross_entropy", "square", "absolute", "hinge", "product", "sigmoid"


def _samples(rng):
    """Every function, with an array of targets and with one number; no number lies within 0.1 of a kink."""
    labels = np.sign(normal(rng, 3, 4))
    return [
        *(S(off_kinks(rng, 3, 4), of=of, number=t, weight=w) for of, t, w in (
            ("cross_entropy", 0.0, -1.0), ("cross_entropy", 0.9, 1.0), ("cross_entropy", 1.0, 2.0),
            ("square", 1.0, 1.0), ("absolute", 0.0, 1.0), ("product", -1.0, 0.5), ("sigmoid", 0.0, 1.0))),
        S(1 + off_kinks(rng, 3, 4), of="hinge", number=1.0), S(off_kinks(rng, 2, 3) - 1, of="hinge", number=-1.0),
        S(normal(rng, 3, 4), rng.random((3, 4)), of="cross_entropy"), S(normal(rng, 2), normal(rng, 2), of="square"),
        S(labels * (1 + off_kinks(rng, 3, 4)), labels, of="hinge"), S(normal(rng, 5), normal(rng, 5), of="product"),
        S(labels + off_kinks(rng, 3, 4), labels, of="absolute"), S(normal(rng, 3), normal(rng, 3), of="sigmoid"),
    ]


@primitive(samples=_samples, keeps=("x", "target"), remarks=Remarks(averages=True))
def mean_of(x: Array, target: Array | None = None, *, of: str, number: float = 0.0, weight: float = 1.0) -> Array:
    """The mean over all numbers of x of a function of each and its target t: a loss, or a metric.

    target: of x's shape; None: t = number for all. of: one of these functions, times the weight.

        of               f(x, t)                     df/dx                  df/dt
        cross_entropy    ln(1 + e^x) - t x           sigmoid(x) - t         -x
        square           (x - t)^2                   2 (x - t)              -2 (x - t)
        absolute         |x - t|                     sign(x - t)            -sign(x - t)
        hinge            max(0, 1 - t x)             -t [t x < 1]           -x [t x < 1]
        product          t x                         t                      x
        sigmoid          sigmoid(x)                  y (1 - y)              0

    Forward   y = weight/m sum_i f(x_i, t_i)
    VJP       gx_i = gy weight/m df/dx(x_i, t_i)        gtarget_i = gy weight/m df/dt(x_i, t_i)
    Why       each number enters through its own term. The cross entropy is that of D = sigmoid(x), -ln D for t = 1 and
              -ln(1 - D) for t = 0, as ln(1 + e^x) - x = ln(1 + e^-x); at kinks, the slope of smallest magnitude.
    """
    if of not in FUNCTIONS:
        raise OptionError(f"mean_of: of={of!r} is not one of {', '.join(FUNCTIONS)}")
    if target is not None and target.shape != x.shape:
        raise ShapeError(f"mean_of: x {x.shape} and target {target.shape} must have one shape")
    if not x.size:
        raise ShapeError(f"mean_of: x {x.shape} has 0 elements: a mean needs 1")
    return kernels.mean_of(x, number if target is None else target, of, weight)


def _slope(x: Tensor, t: Tensor | float, of: str) -> Any:
    """df/dx of each number, or one number for all; of Tensors, where it depends on x or t."""
    if of == "cross_entropy":
        return neg(sigmoid(neg(x))) if isinstance(t, float) and t == 1 else sigmoid(x) - t
    if of == "square":
        return 2.0 * (x - t)
    if of == "absolute":
        return np.sign(x.data - _numbers(t))
    if of == "hinge":
        return neg(t * _inside(x, t)) if isinstance(t, Tensor) else -t * _inside(x, t)
    if of == "sigmoid":
        y = sigmoid(x)
        return y * (1.0 - y)
    return t


def _slope_by_target(x: Tensor, t: Tensor, of: str) -> Any:
    """df/dt of each number."""
    if of in ("square", "absolute"):
        return -_slope(x, t, of)
    return neg(x) if of == "cross_entropy" else neg(x * _inside(x, t)) if of == "hinge" else x


def _inside(x: Tensor, t: Tensor | float) -> Array:
    """1 where the hinge is open, else 0."""
    return (x.data * _numbers(t) < 1).astype(x.dtype)


def _numbers(t: Tensor | float) -> Any:
    return t.data if isinstance(t, Tensor) else t


def _by_x(gy, y, x, target, *, of, number=0.0, weight=1.0):
    gx = gy * (weight / x.size) * _slope(x, float(number) if target is None else target, of)
    return gx if gx.shape == x.shape else broadcast_to(gx, shape=x.shape)


def _by_target(gy, y, x, target, *, of, number=0.0, weight=1.0):
    return None if of == "sigmoid" else gy * (weight / x.size) * _slope_by_target(x, target, of)


mean_of.defvjp(x=_by_x, target=_by_target)


@mean_of.deffused
def _mean_of_grad(gy, y, x, target, *, of, number=0.0, weight=1.0):
    """The rules above, each in one sweep over x."""
    t = number if target is None else target
    return (lambda: kernels.mean_of_grad(gy, x, t, of, weight),
            None if of == "sigmoid" else lambda: kernels.mean_of_grad(gy, x, t, of, weight, True))


@primitive(samples=lambda rng: [
    S(off_kinks(rng, 6, 2), terms=((1.0, "cross_entropy", 1.0), (0.0, "square", -0.5))),
    S(off_kinks(rng, 2, 1, 2, 2), terms=((0.0, "product", 2.0), (-0.0, "absolute", 1.0)))], keeps=("x",),
    remarks=Remarks(averages=True))
def means_of_halves(x: Array, terms: Sequence[tuple[float, str, float]]) -> Array:
    """The sum of two means, mean_of each half of x (2 N, ...): a discriminator's loss on real and generated samples.

    terms: of each half (number, of, weight), see mean_of.

    Forward   y = w/m sum_{i < m} f(x_i, t) + w'/m sum_{i >= m} f'(x_i, t')
    VJP       gx_i = gy w/m df/dx(x_i, t) in the first half, gy w'/m df'/dx(x_i, t') in the second
    Why       each number enters through its own term of its own mean.
    """
    if not x.size or x.ndim == 0 or len(x) % 2 or len(terms) != 2 or {of for _, of, _ in terms} - {*FUNCTIONS}:
        raise ShapeError(f"means_of_halves: x {x.shape} must have two halves of one size, and {terms} functions that "
                         "mean_of knows")
    return kernels.means_of_halves(x, terms)


def _by_halves(gy, y, x, *, terms):
    parts = zip(split(x, len(x) // 2), terms, strict=True)
    return concat([_by_x(gy, y, part, None, of=of, number=t, weight=w) for part, (t, of, w) in parts])


means_of_halves.defvjp(x=_by_halves)
means_of_halves.deffused(lambda gy, y, x, *, terms: (kernels.means_of_halves_grad(gy, x, terms),))


@primitive(samples=lambda rng: [S(normal(rng), normal(rng), normal(rng), weights=(1.0, -2.0, 0.5)),
                                S(normal(rng), weights=(3.0,))], keeps=(), remarks=Remarks(averages=True))
def _weighted_sum(*numbers: Array, weights: Sequence[float]) -> Array:
    """The sum of tensors of one number each, times weights: of the terms of a loss.

    Forward   y = sum_k w_k x_k
    VJP       gx_k = w_k gy
    Why       y is linear in every number.
    """
    shape = numbers[0].shape if numbers else ()
    unlike = not numbers or any(number.shape != shape for number in numbers)
    if unlike or len(weights) != len(numbers) or math.prod(shape) != 1:
        raise ShapeError(f"weighted_sum: {len(weights)} weights for tensors of shapes "
                         f"{[number.shape for number in numbers]}: each must have one number and one weight; sum first")
    return kernels.weighted_sum(numbers, weights)


_weighted_sum.defvjp(numbers=lambda gy, y, *numbers, position, weights: gy * float(weights[position]))


@_weighted_sum.deffused
def _weighted_sum_grad(gy, y, *numbers, weights):
    """The cotangent itself where the weight is 1; all others at once."""
    others = [k for k, weight in enumerate(weights) if weight != 1]
    products = kernels.weighted_sum_grad(gy, [weights[k] for k in others]) if others else []
    scaled = dict(zip(others, products, strict=True))
    return [scaled.get(k, gy) for k in range(len(weights))]


def weighted_sum(numbers: Sequence[Operand], weights: Sequence[float]) -> Tensor:
    """The sum of tensors of one number each, times weights: a loss of several terms.

    Raises:
        ShapeError: a tensor of several numbers, or not one weight for each.
    """
    scalars = [reshape(n, ()) if isinstance(n, Tensor) and n.ndim and n.size == 1 else n for n in numbers]  # ()
    return _weighted_sum(*scalars, weights=tuple(map(float, weights)))


__all__ = ["mean_of", "means_of_halves", "weighted_sum"]
