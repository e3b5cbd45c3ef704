"""Arithmetic, element by element. Shapes broadcast as in NumPy; the engine sums a cotangent back, so no rule does.

Where a function has a kink, its derivative there is the subgradient of smallest magnitude, written in the docstring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan import kernels
from minigan.engine import Array, Operand, Remarks, S, Sample, Tensor, bind, operation, primitive
from minigan.engine import device as devices
from minigan.errors import ShapeError
from minigan.ops._samples import normal, off_kinks, positive

LARGE = 1 << 16  # numbers from which a sum is worth a kernel: gradients of weights, residual blocks


def _pairs(rng: np.random.Generator) -> Sequence[Sample]:
    """Two arguments: equal shapes, a row against a matrix, a column against a row, a scalar."""
    return [
        S(off_kinks(rng, 3, 4), off_kinks(rng, 3, 4)),
        S(off_kinks(rng, 3, 4), off_kinks(rng, 4)),
        S(off_kinks(rng, 2, 3, 1), off_kinks(rng, 1, 4)),
        S(off_kinks(rng), off_kinks(rng, 2, 3)),
    ]


def _apart(rng: np.random.Generator) -> Sequence[Sample]:
    """Two arguments that nowhere come within 0.1 of each other."""
    a, b = off_kinks(rng, 3, 4), off_kinks(rng, 4)
    return [S(a + b, b), S(b, a + b)]


@primitive(samples=_pairs, linear_in=("a", "b"), broadcasts=True, keeps=(), remarks=Remarks(shifts=("a", "b")))
def add(a: Array, b: Array) -> Array:
    """Sum of two tensors.

    Forward   y = a + b
    VJP       ga = gy        gb = gy
    Why       dy/da = dy/db = 1.
    """
    return kernels.add(a, b) if a.size >= LARGE and a.shape == b.shape else a + b


add.defvjp(a=lambda gy, y, a, b: gy, b=lambda gy, y, a, b: gy)
add.defonnx("Add")


@primitive(samples=_pairs, linear_in=("a", "b"), broadcasts=True, keeps=(), remarks=Remarks(shifts=("a", "b")))
def sub(a: Array, b: Array) -> Array:
    """Difference of two tensors.

    Forward   y = a - b
    VJP       ga = gy        gb = -gy
    Why       dy/da = 1, dy/db = -1.
    """
    return a - b


sub.defvjp(a=lambda gy, y, a, b: gy, b=lambda gy, y, a, b: neg(gy))
sub.defonnx("Sub")


@primitive(samples=_pairs, linear_in=("a", "b"), broadcasts=True, keeps=("a", "b"), remarks=Remarks(scales=True))
def mul(a: Array, b: Array) -> Array:
    """Product of two tensors.

    Forward   y = a b
    VJP       ga = gy b        gb = gy a
    Why       dy/da = b, dy/db = a: each factor scales the other's cotangent.
    """
    return a * b


mul.defvjp(a=lambda gy, y, a, b: gy * b, b=lambda gy, y, a, b: gy * a)
mul.defonnx("Mul")


@primitive(samples=_pairs, linear_in=("a",), broadcasts=True, keeps=("b", "y"),
           remarks=Remarks(scales=True, because="b"))
def div(a: Array, b: Array) -> Array:
    """Quotient of two tensors.

    Forward   y = a / b
    VJP       ga = gy / b        gb = -gy y / b
    Why       dy/da = 1/b, dy/db = -a/b^2 = -y/b.
    """
    return a / b


div.defvjp(a=lambda gy, y, a, b: gy / b, b=lambda gy, y, a, b: neg(gy * y / b))
div.defonnx("Div")


@primitive(samples=lambda rng: [S(normal(rng, 2, 3))], linear_in=("x",), keeps=())
def neg(x: Array) -> Array:
    """Minus x.

    Forward   y = -x
    VJP       gx = -gy
    Why       dy/dx = -1.
    """
    return -x


neg.defvjp(x=lambda gy, y, x: neg(gy))
neg.defonnx("Neg")


@primitive(samples=lambda rng: [S(positive(rng, 2, 3), exponent=c) for c in (-0.5, 0, 1, 2, 3.5)], keeps=("x",),
           remarks=Remarks(because="x"))
def _power(x: Array, exponent: float) -> Array:
    """The power of x with a constant exponent c.

    Forward   y = x^c
    VJP       gx = gy c x^(c-1)
    Why       the power rule; c = 0, 1, 2 are cases of their own so that x = 0 gives no 0 * infinity.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # 0^-1 = inf, (-2)^0.5 = nan are answers; see detect_anomaly
        return np.ones_like(x) if exponent == 0 else x * x if exponent == 2 else x**exponent


def _power_vjp(gy, y, x, *, exponent):
    if exponent == 0:
        return None
    return gy if exponent == 1 else gy * (2.0 * x) if exponent == 2 else gy * (exponent * power(x, exponent - 1))


_power.defvjp(x=_power_vjp)
_power.defonnx(lambda o, x, exponent: o("Pow", x, exponent))


def _bases(rng: np.random.Generator) -> Sequence[Sample]:
    """Positive bases with any exponents, broadcast."""
    return [S(positive(rng, 3, 4), normal(rng, 3, 4)), S(positive(rng, 2, 1), normal(rng, 3)),
            S(positive(rng), normal(rng, 2, 2))]


@primitive(samples=_bases, broadcasts=True, keeps=("x", "exponent", "y"), remarks=Remarks(because="x"))
def pow(x: Array, exponent: Array) -> Array:
    """The power of x with an exponent c that is differentiated, too.

    Forward   y = x^c
    VJP       gx = gy c x^(c-1)        gexponent = gy y ln x
    Why       the power rule, and x^c = e^(c ln x). Where x = 0: gx = 0 for c = 0, and gexponent = 0 for c >= 0, as y
              stays 0 (or 1). A negative x has powers with whole exponents, but no slope along the exponent: NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return x**exponent


def _pow_by_base(gy, y, x, exponent):
    flat = ((x.data == 0) | np.isnan(x.data)) & (exponent.data == 0)  # 0 * 0^-1 would be NaN; NaN^0 is 1
    return gy * (exponent * pow(x, _where(1.0, exponent, condition=flat) - 1.0))


def _pow_by_exponent(gy, y, x, exponent):
    flat = (x.data == 0) & (exponent.data >= 0)  # 0 * ln 0 would be NaN
    return gy * (y * log(_where(1.0, x, condition=flat)))


pow.defvjp(x=_pow_by_base, exponent=_pow_by_exponent)
pow.defonnx("Pow")


def power(x: Operand, exponent: Operand) -> Tensor:
    """`x ** exponent`: `pow` if the exponent is a Tensor, which is then differentiated; else a constant power."""
    if isinstance(exponent, Tensor):
        return pow(x, exponent)
    if np.ndim(exponent):
        raise ShapeError(f"power: an array of exponents, {np.shape(exponent)}, must be a Tensor: mg.tensor(exponent)")
    return _power(x, exponent=np.asarray(exponent).item())


def _between_jumps(rng: np.random.Generator) -> Sequence[Sample]:
    """Quotients at least 0.2 away from every whole number, where floor(a / b) jumps; both signs of both."""
    b = off_kinks(rng, 3, 4)
    c = off_kinks(rng, 4)
    return [S((rng.integers(-3, 3, (3, 4)) + rng.uniform(0.2, 0.8, (3, 4))) * b, b),
            S((rng.integers(-3, 3, (2, 4)) + rng.uniform(0.2, 0.8, (2, 4))) * c, c)]


@primitive(samples=_between_jumps, broadcasts=True, keeps=())
def floor_divide(a: Array, b: Array) -> Array:
    """The whole number of times that b goes into a, rounded down: `a // b`.

    Forward   y = floor(a / b)
    VJP       ga = 0        gb = 0
    Why       y is constant between its jumps. (PyTorch refuses to differentiate it.)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return a // b


floor_divide.defvjp(a=None, b=None)
floor_divide.defonnx(lambda o, a, b: o("Floor", o("Div", a, b)))


@primitive(samples=_between_jumps, broadcasts=True, keeps=("a", "b"))
def remainder(a: Array, b: Array) -> Array:
    """What is left of a after whole multiples of b: `a % b`, with b's sign, as in Python.

    Forward   y = a - b floor(a / b)
    VJP       ga = gy        gb = -gy floor(a / b)
    Why       floor(a / b) is constant between its jumps, and y is linear there.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return a % b


remainder.defvjp(a=lambda gy, y, a, b: gy, b=lambda gy, y, a, b: neg(gy * floor_divide(a, b)))
remainder.defonnx(lambda o, a, b: o("Sub", a, o("Mul", b, o("Floor", o("Div", a, b)))))


@primitive(samples=lambda rng: [S(normal(rng, 2, 3))], keeps=("y",))
def exp(x: Array) -> Array:
    """Exponential.

    Forward   y = e^x
    VJP       gx = gy y
    Why       the exponential is its own derivative.
    """
    return np.exp(x)


exp.defvjp(x=lambda gy, y, x: gy * y)
exp.defonnx("Exp")


@primitive(samples=lambda rng: [S(positive(rng, 2, 3))], keeps=("x",), remarks=Remarks(because="x"))
def log(x: Array) -> Array:
    """Natural logarithm, for x > 0.

    Forward   y = ln x
    VJP       gx = gy / x
    Why       d ln x / dx = 1/x.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # ln 0 = -inf and ln(-1) = nan are answers; see detect_anomaly
        return np.log(x)


def _log_vjp(gy, y, x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return gy / x


log.defvjp(x=_log_vjp)
log.defonnx("Log")


@primitive(samples=lambda rng: [S(positive(rng, 2, 3))], keeps=("y",), remarks=Remarks(because="x"))
def sqrt(x: Array) -> Array:
    """Square root of x; its slope at 0 is infinite (use `norm` for lengths: it is safe there).

    Forward   y = x^(1/2)
    VJP       gx = gy / (2 y)
    Why       dy/dx = 1 / (2 x^(1/2)) = 1 / (2 y).
    """
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def _sqrt_vjp(gy, y, x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return gy / (2.0 * y)


sqrt.defvjp(x=_sqrt_vjp)
sqrt.defonnx("Sqrt")


@primitive(samples=lambda rng: [S(off_kinks(rng, 3, 4))], keeps=("x",))
def _abs(x: Array) -> Array:
    """Absolute value.

    Forward   y = |x|
    VJP       gx = gy sign(x), with sign(0) = 0
    Why       slope -1 on the left, 1 on the right; at 0 the subgradient of smallest magnitude.
    """
    return np.abs(x)


_abs.defvjp(x=lambda gy, y, x: gy * np.sign(x.data))
_abs.defonnx("Abs")
abs = _abs  # under NumPy's and PyTorch's name


@primitive(samples=lambda rng: [S(off_kinks(rng, 3, 4))], keeps=())
def sign(x: Array) -> Array:
    """Sign: -1, 0 or 1.

    Forward   y = sign(x)
    VJP       gx = 0
    Why       the sign is constant on both sides of its jump.
    """
    return np.sign(x)


sign.defvjp(x=None)
sign.defonnx("Sign")


@primitive(samples=_apart, broadcasts=True, keeps=("a", "b"))
def maximum(a: Array, b: Array) -> Array:
    """The larger of two.

    Forward   y = max(a, b)
    VJP       ga = gy [a > b]        gb = gy [b > a]        half to each where a = b
    Why       the larger argument is passed on unchanged; a tie is shared, the subgradient of smallest norm.
    """
    return np.maximum(a, b)


maximum.defvjp(a=lambda gy, y, a, b: gy * _wins(a.data, b.data), b=lambda gy, y, a, b: gy * _wins(b.data, a.data))
maximum.defonnx("Max")


@primitive(samples=_apart, broadcasts=True, keeps=("a", "b"))
def minimum(a: Array, b: Array) -> Array:
    """The smaller of two.

    Forward   y = min(a, b)
    VJP       ga = gy [a < b]        gb = gy [b < a]        half to each where a = b
    Why       the smaller argument is passed on unchanged; a tie is shared, the subgradient of smallest norm.
    """
    return np.minimum(a, b)


minimum.defvjp(a=lambda gy, y, a, b: gy * _wins(b.data, a.data), b=lambda gy, y, a, b: gy * _wins(a.data, b.data))
minimum.defonnx("Min")


def _wins(a, b):
    """1 where a > b, 1/2 where a = b, 0 elsewhere; compared, not subtracted: infinities tie, too."""
    return (a > b) + 0.5 * (a == b)


@primitive(samples=lambda rng: [S(off_kinks(rng, 3, 4, kinks=(-0.7, 0.9)), low=-0.7, high=0.9)], keeps=("x",),
           remarks=Remarks(clipped=lambda y, low=None, high=None: (y == low) | (y == high)))
def clip(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """Limit x to the interval from low to high; None: no limit on that side.

    Forward   y = min(max(x, low), high)
    VJP       gx = gy [low < x < high]
    Why       inside, y = x; outside, y is constant; on a bound the subgradient of smallest magnitude is 0
              (PyTorch's clamp passes the gradient on there).
    """
    return np.clip(x, low, high)


clip.defvjp(x=lambda gy, y, x, *, low=None, high=None: gy * (
    (True if low is None else x.data > low) & (True if high is None else x.data < high)))
clip.defonnx(lambda o, x, low=None, high=None: o("Clip", x, low, high))


@primitive(samples=lambda rng: [S(normal(rng, 3, 4), normal(rng, 4), condition=rng.random((3, 4)) > 0.5),
                                S(normal(rng, 1), normal(rng, 2, 3), condition=rng.random((2, 1)) > 0.5)],
           linear_in=("a", "b"), broadcasts=True, keeps=())
def _where(a: Array, b: Array, condition: Any) -> Array:
    """Choose between two tensors, element by element.

    Forward   y = a where the condition holds, b elsewhere
    VJP       ga = gy where it holds, else 0        gb = gy where it does not, else 0
    Why       each element of y is a copy of one of the two.
    """
    return np.where(devices.index(condition, a), a, b)


_where.defvjp(
    a=lambda gy, y, a, b, *, condition: _where(gy, 0.0, condition=condition),
    b=lambda gy, y, a, b, *, condition: _where(0.0, gy, condition=condition),
)
_where.defonnx(lambda o, a, b, condition: o("Where", condition, a, b))


def where(condition: Any, a: Operand, b: Operand) -> Tensor:
    """`a` where `condition` (a boolean array, not differentiated) holds, `b` elsewhere."""
    mask = condition.data if isinstance(condition, Tensor) else condition
    here = devices.of(mask) if devices.is_array(mask) else "cpu"
    return _where(a, b, condition=devices.copy(mask, bool, here))  # a copy: the graph keeps it


@operation(samples=lambda rng: [S(normal(rng, 2, 3))])
def square(x: Operand) -> Tensor:
    """Square.

    Forward   y = x x
    VJP       gx = 2 gy x
    Why       the product rule, both factors being x.
    """
    return _power(x, exponent=2)


bind(
    __add__=lambda a, b: add(a, b), __radd__=lambda a, b: add(b, a),
    __sub__=lambda a, b: sub(a, b), __rsub__=lambda a, b: sub(b, a),
    __mul__=lambda a, b: mul(a, b), __rmul__=lambda a, b: mul(b, a),
    __truediv__=lambda a, b: div(a, b), __rtruediv__=lambda a, b: div(b, a),
    __floordiv__=lambda a, b: floor_divide(a, b), __rfloordiv__=lambda a, b: floor_divide(b, a),
    __mod__=lambda a, b: remainder(a, b), __rmod__=lambda a, b: remainder(b, a),
    __divmod__=lambda a, b: (floor_divide(a, b), remainder(a, b)),
    __rdivmod__=lambda a, b: (floor_divide(b, a), remainder(b, a)),
    __pow__=lambda x, exponent: power(x, exponent), __rpow__=lambda exponent, x: power(x, exponent),
    __neg__=lambda x: neg(x), __pos__=lambda x: x, __abs__=lambda x: abs(x),
)

__all__ = ["abs", "add", "clip", "div", "exp", "floor_divide", "log", "maximum", "minimum", "mul", "neg", "pow",
           "power", "remainder", "sign", "sqrt", "square", "sub", "where"]
