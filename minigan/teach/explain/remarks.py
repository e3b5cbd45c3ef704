"""What a teacher would point at: where a gradient vanishes or explodes at a step, and why.

What there is to point at, each primitive's declaration says (`Remarks` in minigan.engine.primitive); here are the
measures and the words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from minigan.teach.explain.derivation import Step, Value

FLAT = 0.01  # a slope below which a squashing function counts as saturated
FAR = 1e4  # how many times one leaf's gradient is another's, to be worth a remark
ROUNDING = 16.0  # in units of the dtype's epsilon: how much of a sum may be left where its terms cancel
SMALL, LARGE = 0.01, 100.0  # what a cotangent's root mean square is scaled by in one step, to be worth a remark


def rms(array: np.ndarray) -> float:
    """Root mean square, in float64; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0


def short(number: float) -> str:
    """A number to two digits, with an exponent only where it is far from 1.

    >>> [short(x) for x in (5, 0.123, 340, 0.0012, 53000, 0)]
    ['5.0', '0.12', '340', '1.2e-03', '5.3e+04', '0']
    """
    size = abs(number)
    return f"{number:.{max(0, 1 - math.floor(math.log10(size)))}f}" if 0.01 <= size < 1000 else (
        f"{number:.1e}" if number else "0")


def remarks(step: Step) -> list[str]:
    """Sentences about a step: numbers that are not finite, units that are saturated or dead, a cotangent that shrinks
    or grows a hundredfold and the numbers that did it."""
    sentences = []
    for what, array in (("result", step.result.array), ("cotangent", step.result.gradient)):
        if array is not None and not np.isfinite(array).all():
            sentences.append(f"not finite: {np.count_nonzero(~np.isfinite(array))} of {array.size} elements "
                             f"of its {what}")
    if step.result.array is not None:
        sentences += _blocked(step, step.result.array)
    return sentences + _gains(step)


def _blocked(step: Step, y: np.ndarray) -> list[str]:
    """Elements and units that pass next to nothing of the gradient."""
    kinds, sentences = step.primitive.remarks, []
    if kinds.saturated is not None:
        sentences.append(_saturated(y, *kinds.saturated))
    if kinds.dead is not None and (off := kinds.dead(y, **step.params)) is not None:
        sentences.append(_dead(off))
    if kinds.clipped is not None and (count := int(np.count_nonzero(kinds.clipped(y, **step.params)))):
        sentences.append(f"clipped: {count} of {y.size} elements lie on a bound, where no gradient passes")
    return [sentence for sentence in sentences if sentence]


def _saturated(y: np.ndarray, formula: str, slope: Callable[[np.ndarray], np.ndarray]) -> str:
    flat = int(np.count_nonzero(slope(y) < FLAT))
    if not flat:
        return ""
    return (f"saturated: at {flat} of {y.size} elements the slope {formula} is below {FLAT:g} "
            f"(the smallest {short(float(slope(y).min()))}), so next to nothing of the gradient passes there")


def _dead(off: np.ndarray) -> str:
    """Units (channels, axis 1) of a rectifier that are off for every sample: they pass no gradient to any weight."""
    count = int(np.count_nonzero(off))
    if off.ndim < 2 or len(off) < 2:
        return f"dead: off at {count} of {off.size} elements, where no gradient passes" if count else ""
    units = np.all(off, axis=(0, *range(2, off.ndim)))  # (C,)
    return (f"dead: {np.count_nonzero(units)} of {units.size} units are off for every sample, so no gradient reaches "
            f"their weights (off at {count / off.size:.0%} of the elements)" if units.any() else "")


def overall(steps: Sequence[Step], leaves: Sequence[Value]) -> list[str]:
    """A gradient that vanishes or explodes little by little, over many steps; the operation that does most of it.

    Leaves whose gradient is 0 except for rounding, such as a bias before a norm, have no part in it.
    """
    cancelled = _cancelled(steps)
    sizes = {v.name: size for v in leaves
             if v.gradient is not None and id(v) not in cancelled and (size := rms(v.gradient))}
    if len(sizes) < 2 or not np.isfinite(list(sizes.values())).all():
        return []
    names = list(sizes)  # in order of first use: what comes first is furthest from the output
    small, large = min(names, key=sizes.__getitem__), max(names, key=sizes.__getitem__)
    if sizes[large] < FAR * sizes[small]:
        return []
    vanishes = names.index(small) < names.index(large)
    first, last = (small, large) if vanishes else (large, small)
    return [f"the gradient {'vanishes' if vanishes else 'explodes'} on its way back: g[{first}] is of size "
            f"{short(sizes[first])}, g[{last}] {short(sizes[last])}{_most_of_it(steps, vanishes)}"]


def _cancelled(steps: Sequence[Step]) -> set[int]:
    """Values, by id, of whose gradient only rounding is left: they are only added to something, where gy cancels."""
    uses: dict[int, list[bool]] = {}
    for step in reversed(steps):
        gy = step.result.gradient
        for name, gx in step.terms.items():
            inherited = all(uses.get(id(step.result), [False]))
            uses.setdefault(id(step.arguments[name]), []).append(
                inherited or (gy is not None and name in step.primitive.remarks.shifts and _rounding(gx, gy)))
    return {value for value, cancels in uses.items() if all(cancels)}


def _rounding(gx: np.ndarray, gy: np.ndarray) -> bool:
    """Whether a sum gx of parts of gy is no larger than the rounding of its terms."""
    terms = float(np.abs(gy).sum(dtype=np.float64)) / max(gx.size, 1)
    return 0 < gx.size < gy.size and rms(gx) <= ROUNDING * np.finfo(gx.dtype).eps * terms


def _most_of_it(steps: Sequence[Step], vanishes: bool) -> str:
    """The operation whose steps together shrink, or grow, the gradient most."""
    factors: dict[str, list[float]] = {}
    for step in steps:
        gy = step.result.gradient
        for name, gx in step.terms.items():
            if gy is not None and step.arguments[name].kind == "computed" and not _summed(step, name, gy) and rms(gx):
                factors.setdefault(step.primitive.name, []).append(float(np.log10(rms(gx) / rms(gy))))
    most = (min if vanishes else max)(factors, key=lambda name: sum(factors[name]), default="")
    return f"; most of it at {most}, {len(factors[most])} times, 1e{sum(factors[most]):+.0f} in all" if most else ""


def _gains(step: Step) -> list[str]:
    """A cotangent that a step scales a hundredfold, and the other numbers in its rule."""
    gy, sentences = step.result.gradient, []
    if gy is None or not rms(gy):
        return []
    for name, gx in step.terms.items():
        if _summed(step, name, gy):
            continue
        gain = rms(gx) / rms(gy)
        if gain > 1 and name in step.primitive.remarks.unscaled:
            continue  # the small weights before a norm shrink it again
        if gain == 0:
            sentences.append(f"vanishes: the gradient that reaches {step.arguments[name].name} is zero")
        elif not step.primitive.remarks.averages and (
                gain > LARGE or (gain < SMALL and not _scaled_on_purpose(step, name))):
            word = "explodes: grows" if gain > 1 else "vanishes: shrinks"
            sentences.append(f"{word} {max(gain, 1 / gain):.2g}-fold on the way to {step.arguments[name].name}"
                             f"{_because(step, name)}")
    return sentences


def _summed(step: Step, name: str, gy: np.ndarray) -> bool:
    """Whether a cotangent is a sum over samples and places, or over what was broadcast: large because they are many."""
    letter = step.primitive.argnames[0] if step.primitive.variadic else name
    return letter in step.primitive.remarks.summed or (
        step.primitive.broadcasts and step.terms[name].size < gy.size)


def _scaled_on_purpose(step: Step, name: str) -> bool:
    """A product with a constant number, such as the 1/m of a mean."""
    others = [v for other, v in step.arguments.items() if other != name]
    return step.primitive.remarks.scales and len(others) == 1 and others[0].kind == "constant"


def _because(step: Step, name: str) -> str:
    """Which numbers of the rule did it."""
    because = step.primitive.remarks.because
    if because in step.arguments:
        own = step.arguments[because]
        if own.array is not None and own.array.size:
            return f": the smallest |{own.name}| is {short(float(np.abs(own.array).min()))}"
    others = [v for other, v in step.arguments.items() if other != name]
    sizes = [f"{v.name} is of size {rms(v.array):.2g}" for v in others if v.array is not None and v.array.size]
    return ": " + ", ".join(sizes) if sizes else ""
