"""What is recorded of a run, in words: how far it is, how long it took, settings, nested scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def state(done: int, planned: Any) -> str:
    """The number of steps done, in words."""
    if not isinstance(planned, int):
        return f"{done:,} steps"
    if planned == 0:  # of a program of several runs
        return "no steps of its own"
    return f"all {done:,} steps done" if done >= planned else f"{done:,} of {planned:,} steps done"


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested objects, each with the keys on the way to it.

    >>> list(leaves({"scores": {"kid": 0.5}, "ab": {"kept": 1.0}}))
    [('kid', 0.5), ('ab kept', 1.0)]
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{name} {key}".strip() if key != "scores" else name)
    elif isinstance(value, bool | int | float | str):
        yield name, value


def plain(value: Any) -> str:
    """A setting as text.

    >>> plain([0.5, 0.999]), plain("Adam")
    ('0.5 and 0.999', 'Adam')
    """
    if isinstance(value, list | tuple):
        return " and ".join(map(plain, value))
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> clock(61), clock(7322)
    ('1:01', '2:02:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
