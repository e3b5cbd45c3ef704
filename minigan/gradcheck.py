"""Is a gradient right? Finite differences in float64, over every element, with a random cotangent.

    python -m minigan.gradcheck                 every operation
    python -m minigan.gradcheck conv2d tanh     these two

For a function f and a random cotangent v, the vjp claims to be the gradient of the number s(x) = <v, f(x)>. Central
differences (s(x+h) - s(x-h)) / 2h give each element of that gradient to about h^2; h = 1e-5 and float64 leave ten
digits. The cotangent must be random: with ones, the gradient of batch norm is zero, and a rule that returns zeros
passes. Where f is linear, the difference with a step of 1 is exact up to rounding, and <A x, y> = <x, A* y> tests the
adjoint.

The second order is the first order of the gradient: the map x, v -> vjp(x, v), differentiated by all of its arguments.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.engine import Operation, Primitive, Sample, Tensor, grad, no_grad, tensor
from minigan.engine import device as devices
from minigan.errors import GradientError

STEP = 1e-5
RTOL = 1e-6
RTOL_LINEAR = 1e-12
Function = Callable[..., Tensor]


def gradcheck(
    f: Function,
    inputs: Sequence[Any],
    *,
    wrt: Iterable[int] | None = None,
    cotangent: np.ndarray | None = None,
    seed: int = 0,
    step: float = STEP,
    rtol: float = RTOL,
) -> float:
    """Compare the gradients of `f(*inputs)` with central differences, element by element, in float64.

    Each gradient is taken twice: as create_graph=False computes it (fused where there is a fused rule) and as
    create_graph=True does (the composite rule).

    Args:
        f: takes Tensors, returns one Tensor; no randomness, no state that changes.
        inputs: arrays or tensors; converted to float64.
        wrt: positions of the inputs to differentiate by (all by default).
        cotangent: weights of f's output (random normal by default).
        seed: of the random cotangent.
        step: h, times max(1, |x|) for each element x.
        rtol: largest difference allowed, relative to the gradient's largest element.

    Returns:
        The largest relative difference.

    Raises:
        GradientError: with both numbers, the element, and what a smaller and a larger step say about the cause.

    >>> from minigan import ops
    >>> gradcheck(ops.tanh, [np.array([0.3, -1.0])]) < 1e-9
    True
    """
    arrays = [np.array(x.numpy() if isinstance(x, Tensor) else x, dtype=np.float64) for x in inputs]
    v = _cotangent(f, arrays, seed) if cotangent is None else np.asarray(cotangent, np.float64)
    worst = 0.0
    for i in range(len(arrays)) if wrt is None else wrt:
        numeric = _numeric(f, arrays, i, v, step)
        for create_graph in (False, True):
            analytic = _analytic(f, arrays, i, v, create_graph)
            error = _error(analytic, numeric)
            if not error <= rtol:  # written this way because NaN is not greater than anything
                raise GradientError(_explain(f, arrays, i, v, step, analytic, numeric, error, rtol))
            worst = max(worst, error)
    return worst


def gradgradcheck(f: Function, inputs: Sequence[Any], *, wrt: Iterable[int] | None = None, seed: int = 0,
                  step: float = STEP, rtol: float = RTOL) -> float:
    """Check second derivatives: gradcheck of the map from inputs and cotangent to each first-order gradient.

    Arguments, result and errors as in gradcheck.
    """
    arrays = [np.array(x.numpy() if isinstance(x, Tensor) else x, dtype=np.float64) for x in inputs]
    v = _cotangent(f, arrays, seed)
    worst = 0.0
    for i in range(len(arrays)) if wrt is None else wrt:

        def first(*args: Tensor, i: int = i) -> Tensor:
            xs = [a if a.requires_grad else Tensor(a.data, requires_grad=j == i) for j, a in enumerate(args[:-1])]
            return grad(f(*xs), [xs[i]], args[-1], create_graph=True)[0]

        worst = max(worst, gradcheck(first, [*arrays, v], seed=seed + 1, step=step, rtol=rtol))
    return worst


def formula(forward: Callable[..., np.ndarray], vjp: Callable[..., Any]) -> Function:
    """A function of tensors whose gradient is what `vjp` returns: to check a formula that is no declared operation.

    Args:
        forward: arrays in, one array out.
        vjp: `vjp(gy, y, *args)` gets Tensors, as a rule of defvjp does, and returns the cotangents of all arguments:
            one Tensor or array, or a tuple of them. Second derivatives need Tensors all the way.

    >>> gradcheck(formula(lambda x: x**3, lambda gy, y, x: gy * 3 * x * x), [np.array([2.0])]) < 1e-9
    True
    """
    def alone(*args: np.ndarray) -> np.ndarray:
        return forward(*args)

    def rule(i: int) -> Callable[..., Tensor]:
        def part(*args: Any) -> Tensor:
            gxs = vjp(*args)
            gx = gxs[i] if isinstance(gxs, tuple) else gxs
            return gx if isinstance(gx, Tensor) else tensor(gx)

        return part

    signature = inspect.signature(forward)
    alone.__signature__ = signature.replace(parameters=[  # type: ignore[attr-defined]
        p.replace(annotation=p.empty) for p in signature.parameters.values()  # np.exp has `out` and `where`, too
        if p.default is p.empty and p.kind < p.KEYWORD_ONLY])
    alone.__name__ = "formula"
    op = Primitive(alone, samples=lambda rng: [])  # not declared: the tables do not know it
    op.defvjp(**{name: rule(i) for i, name in enumerate(op.argnames)})
    return op


def _cotangent(f: Function, arrays: list[np.ndarray], seed: int) -> np.ndarray:
    y = f(*(_tensor(a) for a in arrays))
    return np.random.default_rng([seed, 1]).normal(size=y.shape)  # other numbers than an input drawn with this seed


def _analytic(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray, create_graph: bool = False) -> np.ndarray:
    xs = [_tensor(a, requires_grad=j == i) for j, a in enumerate(arrays)]
    y = f(*xs)
    if not y.requires_grad:  # f does not depend on input i
        return np.zeros_like(arrays[i])
    return devices.asnumpy(grad(y, [xs[i]], _tensor(v), create_graph)[0].data)


def _tensor(array: np.ndarray, requires_grad: bool = False) -> Tensor:
    """A copy on the device in use."""
    return Tensor(devices.put(array.copy(), devices.default()), requires_grad)


def _numeric(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray, step: float) -> np.ndarray:
    """Central differences by every element, at h = step max(1, |x|)."""
    numeric = np.zeros_like(arrays[i])
    for position in np.ndindex(numeric.shape):
        h = step * max(1.0, float(abs(arrays[i][position])))
        numeric[position] = (_at(f, arrays, i, v, position, h) - _at(f, arrays, i, v, position, -h)) / (2 * h)
    return numeric


def _at(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray, position: tuple[int, ...], h: float) -> float:
    """<v, f> with element `position` of input i moved by h. Gradient-based functions need the graph, so it is on."""
    moved = [a.copy() for a in arrays]
    moved[i][position] += h
    return float(np.sum(f(*(_tensor(a) for a in moved)).numpy() * v))


def _error(analytic: np.ndarray, numeric: np.ndarray) -> float:
    """Largest difference over the gradient's largest element, or over 1e-3 where the gradient vanishes."""
    if not analytic.size:
        return 0.0
    if not np.isfinite(analytic).all():
        return float("nan")
    scale = max(np.max(np.abs(numeric)), np.max(np.abs(analytic)), 1e-3)
    return float(np.max(np.abs(analytic - numeric)) / scale)


def _explain(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray, step: float, analytic: np.ndarray,
             numeric: np.ndarray, error: float, rtol: float) -> str:
    """Both numbers, and the cause: a kink, too coarse a step, or a wrong rule."""
    gap = np.abs(analytic - numeric)
    position = tuple(int(k) for k in np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape))
    finer, coarser = (np.max(np.abs(analytic - _numeric(f, arrays, i, v, s))) for s in (step / 2, 2 * step))
    h = step * max(1.0, abs(arrays[i][position]))
    (_, less), (slope, bend), (_, more) = (_differences(f, arrays, i, v, position, s) for s in (h / 2, h, 2 * h))
    if not np.isfinite(analytic).all():
        cause = "the gradient is not finite"
    elif bend > 1e-3 * max(1.0, slope) and not (0.4 < less / bend < 0.6 and 1.8 < more / bend < 2.2):  # no curve
        cause = f"the slopes on both sides differ: a kink lies within {h:g} of this element; move the sample away"
    elif finer > 0 and 1.6 < (order := np.log2(coarser / finer) / 2) < 2.4:
        cause = f"the difference shrinks as h^{order:.1f}: the function curves too much for this step; take less"
    else:
        cause = "the difference does not depend on the step: the derivative is wrong"
    return (f"input {i}, element {position}: the vjp gives {analytic[position]:.12g}, finite differences "
            f"{numeric[position]:.12g}; largest relative difference {error:.2e} > {rtol:g}. At h/2 and 2h it is "
            f"{finer:.2e} and {coarser:.2e}: {cause}.")


def _differences(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray, position: tuple[int, ...],
                 h: float) -> tuple[float, float]:
    """Sum and difference of the slopes on both sides of an element; of a smooth function the difference goes as h."""
    ahead, here, behind = (_at(f, arrays, i, v, position, s) for s in (h, 0.0, -h))
    return abs(ahead - behind) / h, abs(ahead - 2 * here + behind) / h


# ---- the table of operations ----
@dataclass
class Row:
    """The results of one operation's checks: largest relative errors, the time, and the first failure."""

    name: str
    samples: int = 0
    first: float = 0.0
    second: float = 0.0
    linear: float | None = None
    seconds: float = 0.0
    failure: str = ""


def apply(op: Operation, sample: Sample) -> Function:
    """The operation as a function of its tensors alone."""
    return lambda *tensors: op(*tensors, **sample.params)


def samples_of(op: Operation) -> list[Sample]:
    """The operation's own samples, the same at every call.

    Raises:
        GradientError: there are none: an operation without samples would pass every check.
    """
    samples = list(op.samples(np.random.default_rng(0)))
    if not samples:
        raise GradientError(f"{op.name}: its table of samples is empty, so nothing would be checked")
    return samples


def check_linear(op: Operation, sample: Sample, seed: int = 0) -> float:
    """For every argument the operation is linear in: differences at step 1, and the adjoint identity. Largest error."""
    f, rng, worst = apply(op, sample), np.random.default_rng(seed), 0.0
    for i in linear_positions(op, sample):
        v = _cotangent(f, list(sample.args), seed)
        exact = _numeric(f, list(sample.args), i, v, 1.0)
        gx = _analytic(f, list(sample.args), i, v)
        step = rng.normal(size=gx.shape)
        there = [a + step if j == i else a for j, a in enumerate(sample.args)]
        with no_grad():
            forward = f(*map(_tensor, map(np.array, there))).numpy() - f(*map(_tensor, sample.args)).numpy()
        adjoint = abs(np.sum(forward * v) - np.sum(step * gx)) / max(np.sum(np.abs(step * gx)), 1e-3)
        worst = max(worst, _error(gx, exact), float(adjoint))
    if not worst <= RTOL_LINEAR:
        raise GradientError(f"{op.name} is declared linear, but its exact differences are off by {worst:.2e}")
    return worst


def linear_positions(op: Operation, sample: Sample) -> list[int]:
    """Positions of the arguments the operation is linear in (all, for a variadic one that is)."""
    if op.variadic and op.linear_in:
        return list(range(len(sample.args)))
    return [i for i in range(len(sample.args)) if op.argnames[i] in op.linear_in]


def check_operation(op: Operation) -> Row:
    """All checks of one operation; a failure is recorded in the row, not raised."""
    row, start = Row(op.name), time.perf_counter()
    try:
        for sample in samples_of(op):
            f = apply(op, sample)
            row.first = max(row.first, gradcheck(f, sample.args))
            row.second = max(row.second, gradgradcheck(f, sample.args))
            if op.linear_in:
                row.linear = max(row.linear or 0.0, check_linear(op, sample))
            row.samples += 1
    except Exception as error:
        row.failure = f"{type(error).__name__}: {error}"
    row.seconds = time.perf_counter() - start
    return row


if __name__ == "__main__":  # the command of the same name, which imports this module
    sys.exit(importlib.import_module("minigan.commands.gradcheck").main())
