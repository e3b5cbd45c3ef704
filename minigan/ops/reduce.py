"""Reductions over axes. `axis` is None (all), an int or a tuple; `keepdims` keeps reduced axes with size 1.

The sum is the adjoint of broadcasting, so the vjp of each is the other.
"""

from __future__ import annotations

import math

import numpy as np

from minigan import kernels
from minigan.engine import Array, Axes, Operand, S, Tensor, bind, operation, primitive
from minigan.errors import ShapeError
from minigan.ops._samples import normal, spread
from minigan.ops.elementwise import exp, where
from minigan.ops.shape import broadcast_to, reshape


def _axes(axis, ndim):
    """The reduced axes as a tuple of non-negative ints; none of one number (axis 0 and -1 are allowed)."""
    if axis is None or ndim == 0:
        return tuple(range(ndim))
    return tuple(a % ndim for a in ((axis,) if isinstance(axis, int | np.integer) else axis))


def _kept_shape(shape, axis):
    """The shape with reduced axes at size 1."""
    axes = _axes(axis, len(shape))
    return tuple(1 if a in axes else n for a, n in enumerate(shape))


def _count(op, shape, axis, correction=0):
    """How many elements share a mean, less the correction; at least one must be left."""
    count = math.prod(shape[a] for a in _axes(axis, len(shape))) - correction
    if count <= 0 and not math.prod(_kept_shape(shape, axis)):
        return 1  # there is no mean that could be wrong
    if count <= 0:
        raise ShapeError(f"{op}: x {shape} has {count + correction} elements along axis {axis}: needs {1 + correction}")
    return count


def _filled(op, shape, axis):
    """Raise ShapeError if there is nothing to take an extremum from; a sum of nothing is 0."""
    if 0 in [shape[a] for a in _axes(axis, len(shape))]:
        raise ShapeError(f"{op}: x {shape} has no elements along axis {axis}, so {op} has no value there; leave empty "
                         "batches out, or join a value with ops.concat")


def _reductions(make):
    """Samples over one axis, several, none and all, with and without keepdims."""
    return lambda rng: [
        S(make(rng, 2, 3, 4)), S(make(rng, 2, 3, 4), axis=1), S(make(rng, 2, 3, 4), axis=(0, -1)),
        S(make(rng, 2, 3), axis=0, keepdims=True), S(make(rng, 1, 3), axis=(0, 1), keepdims=True),
    ]


@primitive(samples=_reductions(normal), linear_in=("x",))
def sum(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Sum of x over `axis`; `keepdims` keeps the reduced axes, with size 1.

    Forward   y = sum_i x_i
    VJP       gx_i = gy
    Why       every element enters with weight 1: the adjoint of adding up is handing out copies.
    """
    return kernels.reduce_sum(x, axis, keepdims)


sum.defvjp(x=lambda gy, y, x, *, axis=None, keepdims=False:
           broadcast_to(reshape(gy, _kept_shape(x.shape, axis)), x.shape))
sum.defonnx(lambda o, x, axis=None, keepdims=False:
            o("ReduceSum", x, _axes(axis, len(x.shape)), keepdims=int(keepdims)))


@operation(samples=_reductions(normal), linear_in=("x",))
def mean(x: Operand, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Mean of x over `axis`; `keepdims` keeps the reduced axes, with size 1.

    Forward   y = (1/m) sum_i x_i
    VJP       gx_i = gy / m
    Why       a sum, scaled.
    """
    return sum(x, axis, keepdims) * (1.0 / _count("mean", x.shape, axis))


@operation(samples=lambda rng: [*_reductions(normal)(rng)[:4], S(normal(rng, 5, 2), axis=0, correction=0)])
def var(x: Operand, axis: Axes = None, keepdims: bool = False, correction: int = 1) -> Tensor:
    """Variance of x over `axis`; `keepdims` keeps the reduced axes, with size 1.

    The sum is divided by m - c, c the correction (NumPy's ddof): so it is unbiased by default, as in PyTorch.

    Forward   y = 1/(m-c) sum_i (x_i - mean)^2
    VJP       gx_i = gy 2/(m-c) (x_i - mean)
    Why       the mean's own dependence on x drops out, because the deviations sum to 0.
    """
    count = _count("var", x.shape, axis, correction)
    deviation = x - mean(x, axis, True)
    return sum(deviation * deviation, axis, keepdims) * (1.0 / count)


def _ties(x, y, axis):
    """1/k at the k elements of x that equal the extremum y, 0 elsewhere."""
    hit = (x == y.reshape(_kept_shape(x.shape, axis))).astype(x.dtype)
    return hit / np.sum(hit, axis=axis, keepdims=True)


def _extremum_vjp(gy, y, x, *, axis=None, keepdims=False):
    return reshape(gy, _kept_shape(x.shape, axis)) * _ties(x.data, y.data, axis)


@primitive(samples=_reductions(spread))
def max(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Largest value of x over `axis`; `keepdims` keeps the reduced axes, with size 1.

    Forward   y = max_i x_i
    VJP       gx_i = gy [x_i = y] / (number of ties)
    Why       only the largest element moves y; ties share, the subgradient of smallest norm (PyTorch's amax).
    """
    _filled("max", x.shape, axis)
    return np.max(x, axis=axis, keepdims=keepdims)


max.defvjp(x=_extremum_vjp)
max.defonnx(lambda o, x, axis=None, keepdims=False:
            o("ReduceMax", x, _axes(axis, len(x.shape)), keepdims=int(keepdims)))


@primitive(samples=_reductions(spread))
def min(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Smallest value of x over `axis`; `keepdims` keeps the reduced axes, with size 1.

    Forward   y = min_i x_i
    VJP       gx_i = gy [x_i = y] / (number of ties)
    Why       only the smallest element moves y; ties share, the subgradient of smallest norm (PyTorch's amin).
    """
    _filled("min", x.shape, axis)
    return np.min(x, axis=axis, keepdims=keepdims)


min.defvjp(x=_extremum_vjp)
min.defonnx(lambda o, x, axis=None, keepdims=False:
            o("ReduceMin", x, _axes(axis, len(x.shape)), keepdims=int(keepdims)))


@primitive(samples=_reductions(normal))
def logsumexp(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Logarithm of the sum of exponentials of x over `axis`, without overflow.

    `keepdims` keeps the reduced axes, with size 1.

    Forward   y = ln sum_i e^(x_i) = m + ln sum_i e^(x_i - m),  m = max_i x_i
    VJP       gx_i = gy e^(x_i - y)
    Why       dy/dx_i = e^(x_i) / sum_k e^(x_k) = e^(x_i - y): softmax.
    """
    if math.prod(_kept_shape(x.shape, axis)):
        _filled("logsumexp", x.shape, axis)
    top = np.max(x, axis=axis, keepdims=True) if x.size else np.sum(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, np.zeros_like(top))  # all -inf: -inf - -inf would be NaN
    with np.errstate(divide="ignore"):
        y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, _axes(axis, x.ndim))


def _logsumexp_vjp(gy, y, x, *, axis=None, keepdims=False):
    shape = _kept_shape(x.shape, axis)
    floor = where(np.isneginf(y.data), 0.0, y)  # all x = -inf: e^(x - 0) = 0, where e^(x - y) would be NaN
    return reshape(gy, shape) * exp(x - reshape(floor, shape))


logsumexp.defvjp(x=_logsumexp_vjp)
logsumexp.defonnx(lambda o, x, axis=None, keepdims=False:
                  o("ReduceLogSumExp", x, _axes(axis, len(x.shape)), keepdims=int(keepdims)))


@primitive(samples=_reductions(spread), keeps=("x", "y"))
def norm(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Euclidean length of x over `axis`, with derivative 0 (not NaN) where all elements are 0.

    `keepdims` keeps the reduced axes, with size 1.

    Forward   y = (sum_i x_i^2)^(1/2)
    VJP       gx_i = gy x_i / y, and 0 where y = 0
    Why       the length has a cone's tip at 0; the subgradient of smallest norm there is 0. In the rule, a length
              of 0 is replaced by the constant 1 and its gy by 0, so that no 0/0 arises, at any order.
    """
    return kernels.lengths(x, axis, keepdims)


def _norm_vjp(gy, y, x, *, axis=None, keepdims=False):
    zero = (y.data == 0).astype(x.dtype)
    return reshape(gy * (1 - zero) / (y + zero), _kept_shape(x.shape, axis)) * x


norm.defvjp(x=_norm_vjp)
norm.deffused(lambda gy, y, x, *, axis=None, keepdims=False: (kernels.lengths_grad(gy, y, x, _axes(axis, x.ndim)),))
norm.defonnx(lambda o, x, axis=None, keepdims=False:
             o("ReduceL2", x, _axes(axis, len(x.shape)), keepdims=int(keepdims)))


bind(sum=sum, mean=mean, var=var, max=max, min=min)

__all__ = ["logsumexp", "max", "mean", "min", "norm", "sum", "var"]
