"""While weights stay as they are, a kernel may keep what it has made of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


class _Made(threading.local):
    """What was made of weights, by address and how it was made, with the weights; None while they may change."""

    of: dict[Any, Any] | None = None


made = _Made()


@contextlib.contextmanager
def constant_weights() -> Iterator[None]:
    """A context in which no array that a kernel reads as weights is changed, for this thread: a backward pass."""
    before, made.of = made.of, {}
    try:
        yield
    finally:
        made.of = before
