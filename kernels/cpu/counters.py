"""Numbers that change from step to step: on the CPU, plain ints and floats, passed when the step runs.

A Counter or a Rate, which a captured graph needs (cuda/counters.py), is read from its array, so every kernel takes
both here, too.
"""

from __future__ import annotations

from ..values import Array, Counter, Rate

__all__ = ["advance"]


def integer(value: int | Counter) -> int:
    """The number that an int or a Counter stands for.

    >>> import numpy as np
    >>> integer(7), integer(Counter(np.array([5]), 2)), integer(Counter(None, 2))
    (7, 7, 2)
    """
    if not isinstance(value, Counter):
        return value
    return value.offset + (0 if value.base is None else int(value.base[0]))


def real(value: float | Rate) -> float:
    """The number that a float or a Rate stands for."""
    return float(value.array[0]) if isinstance(value, Rate) else value


def advance(counters: Array, increments: Array) -> None:
    """Add int64 increments to int64 counters, both (n,). In place in counters."""
    if counters.shape != increments.shape:
        raise ValueError(f"advance: {counters.shape} counters, but {increments.shape} increments")
    counters += increments
