"""Activations and the numerically safe forms of log, sigmoid and softmax that losses are made of."""

from __future__ import annotations

import numpy as np

from minigan import kernels
from minigan.engine import Array, Operand, Remarks, S, Tensor, asarray, full, operation, primitive
from minigan.errors import OptionError
from minigan.ops._samples import normal, off_kinks
from minigan.ops.elementwise import exp, where
from minigan.ops.reduce import logsumexp, max, sum
from minigan.random import Stream
from minigan.random import default as default_stream


@primitive(samples=lambda rng: [S(normal(rng, 3, 4), off_kinks(rng, 3, 4), slope=slope) for slope in (0.0, 0.2)],
           linear_in=("g",), keeps=("on",))
def gate(g: Array, on: Array, slope: float) -> Array:
    """Let g through where `on` is positive, scaled by slope elsewhere.

    Forward   y = g [on > 0] + slope g [on <= 0]
    VJP       gg = gate(gy, on)        gon = 0
    Why       a diagonal matrix is its own transpose; moving `on` a little moves nothing.
              This is the derivative of relu and leaky_relu, of any order.
    """
    return kernels.gate(g, on, slope)


gate.defvjp(g=lambda gy, y, g, on, *, slope: gate(gy, on, slope=slope), on=None)
gate.defgate(lambda y, g, on, *, slope: (on, slope))


@primitive(samples=lambda rng: [S(off_kinks(rng, 3, 4)), S(off_kinks(rng, 2, 3, 1, 4))], keeps=("x",),
           remarks=Remarks(dead=lambda y: y <= 0))
def relu(x: Array) -> Array:
    """Rectified linear unit.

    Forward   y = max(x, 0)
    VJP       gx = gy [x > 0]
    Why       slope 1 on the right, 0 on the left, and 0 at the kink (the subgradient of smallest magnitude).
    """
    return kernels.leaky_relu(x, 0.0)


relu.defvjp(x=lambda gy, y, x: gate(gy, x.detach(), slope=0.0))  # a Tensor, so that a change in place is noticed
relu.defgate(lambda y, x: (x, 0.0))
relu.defonnx("Relu")


def _sign_of(slope: float = 0.2) -> tuple[str]:
    """What shows x's sign: y, which the next operation keeps anyway; or x itself, if the slope makes all y positive."""
    return ("y",) if slope >= 0 else ("x",)


@primitive(samples=lambda rng: [S(off_kinks(rng, 3, 4), slope=0.2), S(off_kinks(rng, 2, 3, 1, 4), slope=0.01)],
           keeps=_sign_of)
def leaky_relu(x: Array, slope: float = 0.2) -> Array:
    """Rectifier with a small slope on the left.

    Forward   y = x if x > 0 else slope x
    VJP       gx = gy [x > 0] + slope gy [x <= 0]
    Why       slope 1 on the right, `slope` on the left and, being the smaller of the two, at 0.
    Source    Maas, Hannun & Ng, Rectifier nonlinearities improve neural network acoustic models, 2013.
    """
    return kernels.leaky_relu(x, slope)


leaky_relu.defvjp(x=lambda gy, y, x, *, slope=0.2: gate(gy, (y if slope >= 0 else x).detach(), slope=slope))
leaky_relu.defgate(lambda y, x, *, slope=0.2: (y if slope >= 0 else x, slope))
leaky_relu.defonnx(lambda o, x, slope=0.2: o("LeakyRelu", x, alpha=float(slope)) if slope else o("Relu", x))


@primitive(samples=lambda rng: [S(off_kinks(rng, 3, 4), alpha=alpha) for alpha in (1.0, 0.7)], keeps=("x", "y"))
def elu(x: Array, alpha: float = 1.0) -> Array:
    """Exponential linear unit.

    Forward   y = x if x > 0 else alpha (e^x - 1)
    VJP       gx = gy if x > 0 else gy (y + alpha)
    Why       on the left dy/dx = alpha e^x = y + alpha; the left slope alpha is taken at 0.
    Source    Clevert, Unterthiner & Hochreiter, Fast and accurate deep network learning by ELUs, 2016.
    """
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


elu.defvjp(x=lambda gy, y, x, *, alpha=1.0: gy * where(x.data > 0, 1.0, y + alpha))
elu.defonnx(lambda o, x, alpha=1.0: o("Elu", x, alpha=float(alpha)))


@primitive(samples=lambda rng: [S(3 * normal(rng, 3, 4))], keeps=("y",),
           remarks=Remarks(saturated=("y (1 - y)", lambda y: y * (1 - y))))
def sigmoid(x: Array) -> Array:
    """Logistic function, accurate for any x.

    Forward   y = 1 / (1 + e^-x)
    VJP       gx = gy y (1 - y)
    Why       dy/dx = e^-x / (1 + e^-x)^2 = y (1 - y). With t = e^-|x| nothing overflows: y = 1/(1+t) or t/(1+t).
    """
    return kernels.sigmoid(x)


sigmoid.defvjp(x=lambda gy, y, x: gy * (y * (1 - y)))
sigmoid.defonnx("Sigmoid")


@primitive(samples=lambda rng: [S(normal(rng, 3, 4))], keeps=("y",),
           remarks=Remarks(saturated=("1 - y^2", lambda y: 1 - y * y)))
def tanh(x: Array) -> Array:
    """Hyperbolic tangent.

    Forward   y = tanh x
    VJP       gx = gy (1 - y^2)
    Why       d tanh x / dx = 1 - tanh^2 x.
    """
    return kernels.tanh(x)


tanh.defvjp(x=lambda gy, y, x: gy * (1 - full(y) * full(y)))  # 1 - y^2 of 8 bits would have none left near 1
tanh.deffused(lambda gy, y, x: (kernels.tanh_grad(gy, y),))
tanh.defonnx("Tanh")


@primitive(samples=lambda rng: [S(3 * normal(rng, 3, 4))], keeps=("x",))
def softplus(x: Array) -> Array:
    """Smooth rectifier: minus the logarithm of 1 - sigmoid(x), accurate for any x.

    Forward   y = ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
    VJP       gx = gy sigmoid(x)
    Why       dy/dx = e^x / (1 + e^x) = sigmoid(x); the second form never overflows.
    """
    return kernels.softplus(x)


softplus.defvjp(x=lambda gy, y, x: gy * sigmoid(x))
softplus.defonnx("Softplus")


@operation(samples=lambda rng: [S(3 * normal(rng, 3, 4))])
def log_sigmoid(x: Operand) -> Tensor:
    """Logarithm of the logistic function, accurate for any x.

    Forward   y = ln sigmoid(x) = -softplus(-x)
    VJP       gx = gy sigmoid(-x)
    Why       ln(1 / (1 + e^-x)) = -ln(1 + e^-x); taking the log of a rounded sigmoid would give -inf from x = -104 on.
    """
    return -softplus(-x)


@operation(samples=lambda rng: [S(normal(rng, 2, 3, 4), axis=1), S(normal(rng, 5), axis=-1)])
def log_softmax(x: Operand, axis: int = -1) -> Tensor:
    """Logarithm of softmax along an axis, accurate for any x.

    Forward   y = x - ln sum_k e^(x_k)
    VJP       gx = gy - softmax(x) sum_k gy_k
    Why       the derivative of logsumexp is softmax.
    """
    if not np.size(asarray(x)):
        return x - sum(x, axis, True)  # nothing, of the same shape
    top = max(asarray(x), axis, True).data  # a constant taken off every x cancels; the largest leaves small numbers,
    x = x - np.where(np.isfinite(top), top, 0.0)  # whose logsumexp keeps the digits that one near 1000 would round off
    return x - logsumexp(x, axis, True)


@operation(samples=lambda rng: [S(normal(rng, 2, 3, 4), axis=1), S(normal(rng, 5), axis=-1)])
def softmax(x: Operand, axis: int = -1) -> Tensor:
    """Exponentials of x, scaled so that they sum to one along an axis.

    Forward   y = e^x / sum_k e^(x_k)
    VJP       gx = y (gy - sum_k gy_k y_k)
    Why       dy_i/dx_j = y_i ([i = j] - y_j).
    """
    return exp(log_softmax(x, axis))


def dropout(x: Tensor, p: float = 0.5, training: bool = True, stream: Stream | None = None) -> Tensor:
    """Set each element of x to 0 with probability p and scale the others by 1/(1-p); x itself when not training.

    The mask comes from `stream` (default: the one `mg.seed` seeds), so the same seed drops the same elements.
    Source: Srivastava et al., Dropout, 2014.

    Raises:
        OptionError: p is not in [0, 1).
    """
    if not 0 <= p < 1:
        raise OptionError(f"dropout: p={p} is not a probability below 1")
    if not training or p == 0:
        return x
    keep = (stream or default_stream).uniform(x.shape, device=x.device, samples=0) >= p
    return x * (keep / (1 - p)).astype(x.dtype)


__all__ = ["dropout", "elu", "gate", "leaky_relu", "log_sigmoid", "log_softmax", "relu", "sigmoid", "softmax",
           "softplus", "tanh"]
