"""What a teacher would point at: where a gradient vanishes or explodes at a step, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minigan.engine import device

if TYPE_CHECKING:
    from minigan.teach.explain.walk import Step, Value

FLAT = 0.01  # a slope below which a squashing function counts as saturated
FAR = 1e4  # how many times one leaf's gradient is another's, to be worth a word
SMALL, LARGE = 0.01, 100.0  # what a cotangent's root mean square is scaled by in one step, to be worth a word


def rms(array: np.ndarray) -> float:
    """Root mean square, in float64; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0


def remarks(step: Step) -> list[str]:
    """Sentences about a step: numbers that are not finite, units that are saturated or dead, a cotangent that shrinks
    or grows a hundredfold and the numbers that did it."""
    found = []
    for what, array in (("result", step.result.array), ("cotangent", step.result.gradient)):
        if array is not None and not np.isfinite(array).all():
            found.append(f"not finite: {np.count_nonzero(~np.isfinite(array))} of {array.size} elements of its {what}")
    look = _LOOKS.get(step.primitive.name)
    if look is not None and step.result.array is not None:
        found += [text for text in (look(step, step.result.array),) if text]
    return found + _gain(step)


def _saturated(slope: Callable[[np.ndarray], np.ndarray], formula: str) -> Callable[..., str]:
    def look(step: Step, y: np.ndarray) -> str:
        flat = int(np.count_nonzero(slope(y) < FLAT))
        if not flat:
            return ""
        return (f"saturated: at {flat} of {y.size} elements the slope {formula} is below {FLAT:g} "
                f"(the smallest {float(slope(y).min()):.1e}), so next to nothing of the gradient passes there")

    return look


def _dead(step: Step, y: np.ndarray) -> str:
    """Units (channels, axis 1) of a rectifier that are off for every sample: they pass no gradient to any weight."""
    if y.ndim < 2 or len(y) < 2:
        off = int(np.count_nonzero(y <= 0))
        return f"dead: off at {off} of {y.size} elements, where no gradient passes" if off else ""
    units = np.all(y <= 0, axis=(0, *range(2, y.ndim)))  # (C,)
    share = f"off at {np.count_nonzero(y <= 0) / y.size:.0%} of the elements"
    return (f"dead: {np.count_nonzero(units)} of {units.size} units are off for every sample, so no gradient reaches "
            f"their weights ({share})" if units.any() else "")


def _normalized(step: Step, y: np.ndarray) -> str:
    return _dead(step, y) if step.params.get("slope") == 0 else ""


def _clipped(step: Step, y: np.ndarray) -> str:
    low, high = step.params.get("low"), step.params.get("high")
    off = int(np.count_nonzero((y == low) | (y == high)))
    return f"clipped: {off} of {y.size} elements lie on a bound, where no gradient passes" if off else ""


_LOOKS: dict[str, Callable[..., str]] = {
    "sigmoid": _saturated(lambda y: y * (1 - y), "y (1 - y)"),
    "tanh": _saturated(lambda y: 1 - y * y, "1 - y^2"),
    "relu": _dead,
    "normalize": _normalized,
    "clip": _clipped,
}


def overall(steps: Sequence[Step], leaves: Sequence[Value]) -> list[str]:
    """A gradient that vanishes or explodes little by little, over many steps; the operation that does most of it."""
    sizes = {v.name: size for v in leaves if v.gradient is not None and (size := rms(v.gradient))}
    if len(sizes) < 2 or not np.isfinite(list(sizes.values())).all():
        return []
    names = list(sizes)  # in order of first use: what comes first is furthest from the output
    small, large = min(names, key=sizes.__getitem__), max(names, key=sizes.__getitem__)
    if sizes[large] < FAR * sizes[small]:
        return []
    vanishes = names.index(small) < names.index(large)
    first, last = (small, large) if vanishes else (large, small)
    factors: dict[str, list[float]] = {}
    for step in steps:
        for name, gx in step.terms.items():
            gy = step.result.gradient
            if gy is not None and step.arguments[name].kind == "computed" and not _summed(name, gx, gy) and rms(gx):
                factors.setdefault(step.primitive.name, []).append(float(np.log10(rms(gx) / rms(gy))))
    most = (min if vanishes else max)(factors, key=lambda name: sum(factors[name]), default="")
    told = f"; most of it at {most}, {len(factors[most])} times, 1e{sum(factors[most]):+.0f} in all" if most else ""
    return [f"the gradient {'vanishes' if vanishes else 'explodes'} on its way back: g[{first}] is of size "
            f"{sizes[first]:.1e}, g[{last}] {sizes[last]:.1e}{told}"]


def _summed(name: str, gx: np.ndarray, gy: np.ndarray) -> bool:
    """A sum over samples and places, which is large because they are many."""
    return name in _SUMMED or (gx.size < gy.size and name not in ("x", "g"))


_SUMMED = ("w", "gamma", "beta")


def _gain(step: Step) -> list[str]:
    """A cotangent that a step scales a hundredfold, and the other numbers in its rule."""
    gy, found = step.result.gradient, []
    if gy is None or not rms(gy):
        return []
    for name, gx in step.terms.items():
        if _summed(name, gx, gy):
            continue
        gain = rms(gx) / rms(gy)
        if gain == 0:
            found.append(f"vanishes: the gradient that reaches {step.arguments[name].name} is zero")
        elif gain > LARGE or (gain < SMALL and not _scaled_on_purpose(step, name)):
            word = "explodes: grows" if gain > 1 else "vanishes: shrinks"
            found.append(f"{word} {max(gain, 1 / gain):.2g}-fold on the way to {step.arguments[name].name}"
                         f"{_because(step, name)}")
    return found


def _scaled_on_purpose(step: Step, name: str) -> bool:
    """A product with a constant number, such as the 1/m of a mean."""
    others = [v for other, v in step.arguments.items() if other != name]
    return step.primitive.name in ("mul", "div") and len(others) == 1 and others[0].kind == "constant"


def _because(step: Step, name: str) -> str:
    others = [v for other, v in step.arguments.items() if other != name and v.array is not None and v.array.size]
    own = step.arguments[name].array
    if step.primitive.name in ("log", "sqrt", "power", "div") and own is not None and own.size:
        return f": the smallest |{step.arguments[name].name}| is {float(np.abs(own).min()):.1e}"
    if step.primitive.name == "normalize" and step.params.get("moments") is not None:
        deviation = 1 / float(np.max(device.asnumpy(step.params["moments"].rstd)))
        return f": it divides by the standard deviation, the smallest of which is {deviation:.1e}"
    if others:
        return ": " + ", ".join(f"{v.name} is of size {rms(v.array):.2g}" for v in others if v.array is not None)
    return ""
