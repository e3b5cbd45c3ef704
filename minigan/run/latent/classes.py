"""Arithmetic on concepts: the mean noise vector of images of one class, minus that of another, plus a third.

A classifier says which noise vector draws which class. Means of several vectors are used because single vectors gave
unstable results in the paper.
Source   Radford, Metz & Chintala, 2016, section 6.3.2 and figure 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from minigan.errors import DataError, OptionError
from minigan.run.latent.paths import Draw

Probabilities = Callable[[np.ndarray], np.ndarray]  # images (N, C, H, W) to (N, classes)


class Term(NamedTuple):
    """A class in an expression, its sign (+1 or -1), and noise vectors (n, latent) that draw it."""

    sign: int
    label: int
    points: np.ndarray


def parse_terms(expression: str, classes: int = 10) -> list[tuple[int, int]]:
    """The signs and classes of an expression such as 8-3+5.

    Raises:
        OptionError: the expression is not a sum of classes, or a class does not exist.

    >>> parse_terms("8-3+5")
    [(1, 8), (-1, 3), (1, 5)]
    """
    text = expression.replace(" ", "")
    if not re.fullmatch(r"[+-]?\d+([+-]\d+)*", text):
        raise OptionError(f"{expression!r} is not a sum of classes such as 8-3+5")
    terms = [(-1 if sign == "-" else 1, int(label)) for sign, label in re.findall(r"([+-]?)(\d+)", text)]
    if wrong := [label for _, label in terms if label >= classes]:
        raise OptionError(f"{expression!r}: there is no class {wrong[0]}; there are 0 to {classes - 1}")
    return terms


def most_typical(points: np.ndarray, probabilities: np.ndarray, label: int, count: int) -> np.ndarray:
    """The `count` points (n, latent) whose images are most probably of a class, given (N, classes).

    Raises:
        DataError: the classifier reads fewer images as the class.
    """
    order = np.argsort(-probabilities[:, label], kind="stable")[:count]
    of_class = int((probabilities.argmax(1) == label).sum())
    if of_class < count:
        raise DataError(f"of {len(points):,} images the classifier reads {of_class} as {label}, fewer than the {count} "
                        "that are needed; draw more images, or take another class")
    return points[order]


def arithmetic(draw: Draw, points: np.ndarray, probabilities: Probabilities, expression: str, count: int = 8
               ) -> tuple[list[Term], np.ndarray]:
    """The terms of an expression of classes, and its value, a noise vector (latent,).

    Args:
        draw: the generator.
        points: noise (N, latent) in which the classes are searched.
        probabilities: the classifier.
        expression: such as 8-3+5.
        count: number of vectors in a mean.

    Raises:
        OptionError: as parse_terms. DataError: as most_typical.
    """
    signs = parse_terms(expression)
    of_classes = probabilities(draw(points))  # (N, classes)
    terms = [Term(sign, label, most_typical(points, of_classes, label, count)) for sign, label in signs]
    return terms, sum_of(terms)


def sum_of(terms: Sequence[Term]) -> np.ndarray:
    """The signed sum of the means, (latent,)."""
    return np.sum([term.sign * term.points.mean(0) for term in terms], axis=0).astype(np.float32)
