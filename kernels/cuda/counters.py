"""Launches counters.cu. Numbers that change from step to step, in two forms: Python's, or a place on the device.

A captured graph repeats its launches with the same arguments. So where a plain step passes `step=7`, a captured one
passes Counter(base, 1): the kernel adds 1 to whatever `base` holds when the graph runs. `advance` is the graph's last
launch and moves the counters on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .loader import kernel

THREADS = 128


class Counter(NamedTuple):
    """An integer: offset plus the one element of `base`, int64 on the device (None: plus nothing)."""

    base: Any
    offset: int


class Rate(NamedTuple):
    """A real number: the one element of `array`, float64 on the device."""

    array: Any


def integer(value):
    """The two arguments, address and offset, by which a kernel takes an int or a Counter."""
    return (value.base, value.offset) if isinstance(value, Counter) else (None, value)


def real(value):
    """The two arguments, address and number, by which a kernel takes a float or a Rate."""
    return (value.array, 0.0) if isinstance(value, Rate) else (None, value)


def advance(counters, increments):
    """Add int64 increments to int64 counters, both (n,) on the device."""
    if counters.shape != increments.shape:
        raise ValueError(f"advance: {counters.shape} counters, but {increments.shape} increments")
    blocks = -(-counters.size // THREADS)
    kernel("counters.cu", "advance", counters)(blocks, THREADS, (counters, increments, counters.size))
