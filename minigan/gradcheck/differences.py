"""The checks of any function of tensors: gradients against central differences; see the package for the idea."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minigan.engine import Primitive, Tensor, grad, tensor
from minigan.engine import device as devices
from minigan.errors import GradientError

STEP = 1e-5
RTOL = 1e-6
RTOL_SMALL = 0.1  # of elements that are small beside the gradient's largest, whose differences are less exact
ROUNDING = 50 * np.finfo(np.float64).eps  # of a function's values: its own sums and products round many times
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
        rtol: largest difference allowed, relative to the gradient's largest element. Where a gradient is so small
            beside the function's values that their rounding hides it, that rounding is allowed for. Elements that are
            small beside the largest must be right to a tenth of themselves, unless rounding hides them.

    Returns:
        The largest relative difference.

    Raises:
        GradientError: with both numbers, the element, and what a smaller and a larger step say about the cause; or
            that f is not the same twice.

    >>> from minigan import ops
    >>> gradcheck(ops.tanh, [np.array([0.3, -1.0])]) < 1e-9
    True
    """
    arrays = [np.array(x.numpy() if isinstance(x, Tensor) else x, dtype=np.float64) for x in inputs]
    y = check_repeats(f, arrays)
    v = random_cotangent(y, seed) if cotangent is None else np.asarray(cotangent, np.float64)
    return _check(f, arrays, range(len(arrays)) if wrt is None else wrt, v, y, step, rtol, 0.0)


def _check(f: Function, arrays: list[np.ndarray], wrt: Iterable[int], v: np.ndarray, y: np.ndarray, step: float,
           rtol: float, terms: float) -> float:
    """The check with cotangent v. `terms`: size of what adds up to f's values, if they are small by cancellation."""
    worst = 0.0
    for i in wrt:
        numeric, sizes = differences(f, arrays, i, v, step)
        rounding = ROUNDING * np.maximum(sizes, terms / step)
        floor = float(np.max(rounding, initial=0.0)) / rtol
        for create_graph in (False, True):
            analytic = analytic_gradient(f, arrays, i, v, create_graph)
            error = relative_error(analytic, numeric, floor)
            if not error <= rtol:  # written this way because NaN is not greater than anything
                check_repeats(f, arrays, y, calls=5)
                raise GradientError(_explain(f, arrays, i, v, step, analytic, numeric, rtol, np.True_))
            small = _small_and_wrong(f, arrays, i, v, step, analytic, numeric, rounding)
            if small.any():
                check_repeats(f, arrays, y, calls=5)
                raise GradientError(_explain(f, arrays, i, v, step, analytic, numeric, RTOL_SMALL, small))
            worst = max(worst, error)
    return worst


def gradgradcheck(f: Function, inputs: Sequence[Any], *, wrt: Iterable[int] | None = None, seed: int = 0,
                  step: float = STEP, rtol: float = RTOL) -> float:
    """Check second derivatives: gradcheck of the map from inputs and cotangent to each first-order gradient.

    Arguments, result and errors as in gradcheck.
    """
    arrays = [np.array(x.numpy() if isinstance(x, Tensor) else x, dtype=np.float64) for x in inputs]
    y = check_repeats(f, arrays)
    v = random_cotangent(y, seed)
    terms = float(np.sum(np.abs(y * v)))  # gradients may cancel to 0, as those of a bias below batch norm
    worst = 0.0
    for i in range(len(arrays)) if wrt is None else wrt:

        def first(*args: Tensor, i: int = i) -> Tensor:
            xs = [a if a.requires_grad else Tensor(a.data, requires_grad=j == i) for j, a in enumerate(args[:-1])]
            return grad(f(*xs), [xs[i]], args[-1], create_graph=True)[0]

        both = [*arrays, v]
        gx = check_repeats(first, both)
        w = random_cotangent(gx, seed + 1)
        worst = max(worst, _check(first, both, range(len(both)), w, gx, step, rtol, terms))
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


def values(f: Function, arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The values of f, on the host. Raises GradientError if f returns anything but one Tensor."""
    y = f(*(on_device(a) for a in arrays))
    if not isinstance(y, Tensor):
        raise GradientError(f"the function returns a {type(y).__name__}, not one Tensor; check its parts one by one")
    return y.numpy()


def check_repeats(f: Function, arrays: list[np.ndarray], y: np.ndarray | None = None, calls: int = 2) -> np.ndarray:
    """Call f again with equal inputs, at most `calls` times with the one that gave y. Returns y.

    Raises:
        GradientError: a call gives other values, by more than rounding.
    """
    y = values(f, arrays) if y is None else y
    for _ in range(calls - 1):
        again = values(f, arrays)
        if again.shape != y.shape:
            raise GradientError(f"the function is not the same twice: of equal inputs it makes shapes {y.shape} and "
                                f"{again.shape}")
        gap, size = np.abs(again - y), float(np.max(np.abs(y), initial=0.0))
        if not np.all((gap <= ROUNDING * size) | (again == y) | (np.isnan(again) & np.isnan(y))):
            raise GradientError(
                f"the function is not the same twice: with equal inputs its values, up to {size:.3g}, change by up to "
                f"{np.nanmax(gap):.3g}, so differences say nothing of its gradient. It draws random numbers, as "
                "dropout does, or changes state that it reads, as spectral norm does in training; check it in "
                "evaluation (network.eval()), or make what it draws an input")
    return y


def random_cotangent(y: np.ndarray, seed: int) -> np.ndarray:
    """Standard normal weights of f's values y."""
    return np.random.default_rng([seed, 1]).normal(size=y.shape)  # other numbers than an input drawn with this seed


def analytic_gradient(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray,
                      create_graph: bool = False) -> np.ndarray:
    """The gradient of <v, f> by input i, as the engine computes it."""
    xs = [on_device(a, requires_grad=j == i) for j, a in enumerate(arrays)]
    y = f(*xs)
    if not y.requires_grad:  # f does not depend on input i
        return np.zeros_like(arrays[i])
    return devices.asnumpy(grad(y, [xs[i]], on_device(v), create_graph)[0].data)


def on_device(array: np.ndarray, requires_grad: bool = False) -> Tensor:
    """A copy on the device in use."""
    return Tensor(devices.put(array.copy(), devices.default()), requires_grad)


def numeric_gradient(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray, step: float) -> np.ndarray:
    """Central differences by every element, at h = step max(1, |x|)."""
    return differences(f, arrays, i, v, step)[0]


def differences(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray,
                step: float) -> tuple[np.ndarray, np.ndarray]:
    """Central differences by every element, at h = step max(1, |x|), and the sums of |values that move| / h.

    Such a size, times the rounding of one value, is what is uncertain of the difference.
    """
    numeric, sizes = np.zeros_like(arrays[i]), np.zeros_like(arrays[i])
    for position in np.ndindex(numeric.shape):
        h = step * max(1.0, float(abs(arrays[i][position])))
        ahead, behind = (_moved(f, arrays, i, position, s) for s in (h, -h))
        numeric[position] = np.sum((ahead - behind) * v) / (2 * h)
        sizes[position] = np.sum(np.abs(v * ahead) * (ahead != behind)) / h
    return numeric, sizes


def _moved(f: Function, arrays: list[np.ndarray], i: int, position: tuple[int, ...], h: float) -> np.ndarray:
    """Values of f, element `position` of input i moved by h. Gradient-based functions need the graph: it is on."""
    moved = [a.copy() for a in arrays]
    moved[i][position] += h
    return values(f, moved)


def relative_error(analytic: np.ndarray, numeric: np.ndarray, floor: float = 0.0) -> float:
    """Largest difference over the gradient's largest element, or over `floor` where the gradient is smaller."""
    if not analytic.size:
        return 0.0
    if not np.isfinite(analytic).all():
        return float("nan")
    gap, scale = np.max(np.abs(analytic - numeric)), max(np.max(np.abs(numeric)), np.max(np.abs(analytic)), floor)
    return float(gap / scale) if scale else float(gap)


def _small_and_wrong(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray, step: float, analytic: np.ndarray,
                     numeric: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Which elements differ by much of themselves: not by rounding, nor by the step's error, which shrinks as h^2."""
    gap = np.abs(analytic - numeric)
    wrong = gap > np.maximum(RTOL_SMALL * np.maximum(np.abs(analytic), np.abs(numeric)), 100 * rounding)
    if wrong.any():
        wrong &= np.abs(analytic - numeric_gradient(f, arrays, i, v, step / 2)) > 0.5 * gap
    return wrong


def _explain(f: Function, arrays: list[np.ndarray], i: int, v: np.ndarray, step: float, analytic: np.ndarray,
             numeric: np.ndarray, rtol: float, wrong: np.ndarray | np.bool_) -> str:
    """Both numbers of the worst of the elements `wrong`, and the cause: a kink, too coarse a step, or a wrong rule."""
    gap = np.where(wrong, np.abs(analytic - numeric), 0.0)
    scale = float(np.max(np.where(wrong, np.maximum(np.abs(numeric), np.abs(analytic)), 0.0)))
    error = relative_error(np.where(wrong, analytic, 0.0), np.where(wrong, numeric, 0.0))
    position = tuple(int(k) for k in np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape))
    finer, coarser = (np.max(np.where(wrong, np.abs(analytic - numeric_gradient(f, arrays, i, v, s)), 0.0))
                      for s in (step / 2, 2 * step))
    h = step * max(1.0, abs(arrays[i][position]))
    (_, less), (slope, bend), (_, more) = (_differences(f, arrays, i, v, position, s) for s in (h / 2, h, 2 * h))
    if not np.isfinite(analytic).all():
        cause = "the gradient is not finite"
    elif not np.isfinite(numeric).all():
        cause = "the function is not finite there, so it has no differences; move the sample to where it is"
    elif bend > 1e-3 * max(scale, slope) and not (0.4 < less / bend < 0.6 and 1.8 < more / bend < 2.2):  # no curve
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
    ahead, here, behind = (_moved(f, arrays, i, position, s) for s in (h, 0.0, -h))
    after, before = float(np.sum((ahead - here) * v)) / h, float(np.sum((here - behind) * v)) / h
    return abs(after + before), abs(after - before)
