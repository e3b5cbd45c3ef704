"""Ctrl-C and SIGTERM: after the first, the step is finished and the run saved; the second stops at once.

Only `run.main` installs the handlers, for programs on the command line; a program that imports minigan keeps its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):  # not an error but a request, like KeyboardInterrupt
    """The program ends because of a signal; `status` is its exit status, 128 + the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.status = 128 + number


class _Watch:
    waits = 0  # number of loops that check for a signal after each step
    pending: int | None = None


def pending() -> int | None:
    """The number of the signal after which the loop must end with this step, or None."""
    return _Watch.pending


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Context of a loop that checks `pending` after each step."""
    _Watch.waits += 1
    try:
        yield
    finally:
        _Watch.waits -= 1
        _Watch.pending = None


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Context of a command: installs the handlers, and restores the old ones at its end. Does nothing in a thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = [(number, signal.signal(number, _handle)) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in old:
            signal.signal(number, handler)


def _handle(number: int, frame: FrameType | None) -> None:
    if _Watch.pending is not None:
        os._exit(128 + number)
    if not _Watch.waits:
        raise Stopped(number)
    _Watch.pending = number
    os.write(2, b"\nstopping: this step is finished and the run saved; a second signal stops at once\n")  # not print,
    # which may be what the signal interrupted
