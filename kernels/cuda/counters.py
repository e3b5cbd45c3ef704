"""Launches counters.cu. Numbers that change from step to step: Python's, or read from the device's memory.

A captured graph repeats its launches with the same arguments. So where a plain step passes `step=7`, a captured one
passes Counter(base, 1): the kernel adds 1 to the number in `base` when the graph runs. `advance` is the graph's last
launch and increases the counters.
"""

from __future__ import annotations

from typing import Any

from ..values import Counter, DeviceArray, Rate
from .loader import kernel

__all__ = ["advance"]

THREADS = 128


def integer(value: int | Counter) -> tuple[Any, int]:
    """The two arguments, address and offset, by which a kernel takes an int or a Counter."""
    return (value.base, value.offset) if isinstance(value, Counter) else (None, value)


def real(value: float | Rate) -> tuple[Any, float]:
    """The two arguments, address and number, by which a kernel takes a float or a Rate."""
    return (value.array, 0.0) if isinstance(value, Rate) else (None, value)


def advance(counters: DeviceArray, increments: DeviceArray) -> None:
    """Add int64 increments to int64 counters, both (n,). In place in counters."""
    if counters.shape != increments.shape:
        raise ValueError(f"advance: {counters.shape} counters, but {increments.shape} increments")
    blocks = -(-counters.size // THREADS)
    kernel("counters.cu", "advance", counters)(blocks, THREADS, (counters, increments, counters.size))
