"""What kind of mistake a wrong array shows: a constant factor, a sign, a transpose, a flip, one axis.

The kind is recognised from the numbers alone: an answer that equals the reference after one such change was probably
derived with exactly that mistake.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

LARGEST_COUNT = 10_000  # a larger whole factor is hardly a forgotten 1/N


def kind_of(mine: np.ndarray, reference: np.ndarray, rtol: float = 1e-6) -> str:
    """The kind of mistake in words, or "" if it is none of those known here.

    >>> kind_of(np.array([5.0, -10.0]), np.array([1.0, -2.0]))
    '5 times the reference: is a division by 5 missing?'
    >>> kind_of(np.array([[1.0, 3.0], [2.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    'transposed'
    """
    wrong = int(np.count_nonzero(~np.isfinite(mine)))
    if wrong:
        return f"not finite: {wrong} of {mine.size} elements are inf or NaN"
    if mine.shape != reference.shape:
        return _shape(mine, reference, rtol)
    if np.count_nonzero(reference) < 2:
        return "the sign is wrong" if _close(mine, -reference, rtol) else ""
    for change, moved in _rearranged(mine, reference):
        factor = float(np.vdot(reference, moved) / np.vdot(reference, reference))
        if factor and _close(moved, factor * reference, rtol):
            words = _factor(factor)
            return f"{change}, and {words}" if change and words else change or words
    if _close(np.abs(mine), np.abs(reference), rtol):
        return f"right except for the sign of {np.count_nonzero(mine * reference < 0)} of {mine.size} elements"
    return _one_axis(mine, reference, rtol)


def _close(a: np.ndarray, b: np.ndarray, rtol: float) -> bool:
    """Whether two arrays of one shape differ by rounding only."""
    return a.shape == b.shape and a.size > 0 and bool(np.abs(a - b).max() <= rtol * np.abs(b).max())


def _rearranged(mine: np.ndarray, reference: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The answer as it is, with axes exchanged, and read backwards along axes."""
    yield "", mine
    axes = range(mine.ndim)
    for a, b in itertools.combinations(axes, 2):
        if mine.shape[a] == mine.shape[b]:
            yield "transposed" if mine.ndim == 2 else f"axes {a} and {b} exchanged", np.swapaxes(mine, a, b)
    for count in range(1, mine.ndim + 1):
        for along in itertools.combinations(axes, count):
            yield f"flipped along {'axis' if count == 1 else 'axes'} {', '.join(map(str, along))}", np.flip(mine, along)


def _factor(factor: float) -> str:
    """A constant factor in words; "" for 1."""
    if abs(factor - 1) < 1e-6:
        return ""
    if abs(factor + 1) < 1e-6:
        return "the sign is wrong"
    size, sign = abs(factor), " and the sign is wrong" if factor < 0 else ""
    for value, words in ((size, "{n} times the reference: is a division by {n} missing"),
                         (1 / size, "1/{n} of the reference: divided by {n} once too often")):
        n = round(value)
        if 2 <= n <= LARGEST_COUNT and abs(value - n) < 1e-5 * n:
            return words.format(n=n) + sign + "?"
    return f"{factor:.6g} times the reference: a constant factor"


def _one_axis(mine: np.ndarray, reference: np.ndarray, rtol: float) -> str:
    """A factor that depends on one axis, a constant that was added, or places that are shifted."""
    if _close(mine - reference, np.full_like(mine, (mine - reference).mean()), rtol):
        return f"differs by the constant {(mine - reference).mean():.6g}: is a term missing, such as a mean?"
    for axis in range(mine.ndim):
        others = tuple(a for a in range(mine.ndim) if a != axis)
        if others and mine.shape[axis] > 1:
            products = np.sum(mine * reference, others, keepdims=True)
            squares = np.maximum(np.sum(reference**2, others, keepdims=True), np.finfo(np.float64).tiny)
            if _close(mine, reference * products / squares, rtol):
                return f"each slice along axis {axis} has a factor of its own: a factor that belongs to axis {axis}"
            difference = mine - reference
            if _close(difference, np.broadcast_to(difference.mean(others, keepdims=True), mine.shape), rtol):
                return f"differs by a number per slice of axis {axis}: is a term missing, such as a mean?"
        if mine.shape[axis] > 2:
            inner, outer = (np.take(a, range(1, mine.shape[axis]), axis) for a in (mine, reference))
            first, last = (np.take(a, range(mine.shape[axis] - 1), axis) for a in (mine, reference))
            if _close(inner, last, rtol) or _close(first, outer, rtol):
                return f"shifted by one place along axis {axis}"
    return ""


def _shape(mine: np.ndarray, reference: np.ndarray, rtol: float) -> str:
    """Why an answer of another shape is nearly right."""
    for axes in itertools.permutations(range(mine.ndim)):
        if _close(mine.transpose(axes), reference, rtol):
            return "transposed"
    if mine.size == reference.size and _close(mine.reshape(reference.shape), reference, rtol):  # to the reference's
        return "the right numbers in another shape"
    for whole, part, words in ((mine, reference, "the sum over axis {} is missing"),
                               (reference, mine, "summed over axis {} once too often")):
        for axis in range(whole.ndim):
            if any(_close(whole.sum(axis, keepdims=keep), part, rtol) for keep in (False, True)):
                return words.format(axis)
    return ""
