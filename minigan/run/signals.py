"""Ctrl-C and SIGTERM: the first lets the step end and the run be saved, the second stops at once.

Handlers are installed by `run.main` only, so by a command line; a program that imports minigan keeps its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):  # no error: like KeyboardInterrupt, it is what was asked for
    """The program ends because of a signal; `status` is its exit status, 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.status = 128 + number


class _Watch:
    waits = 0  # how many loops would notice a signal by themselves
    pending: int | None = None


def pending() -> int | None:
    """The number of the signal that asks the loop to end after this step, or None."""
    return _Watch.pending


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """While a loop runs that asks for `pending` after each step."""
    _Watch.waits += 1
    try:
        yield
    finally:
        _Watch.waits -= 1
        _Watch.pending = None


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """While a command runs: install the handlers, then put back the old ones. In a thread: nothing."""
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
    os.write(2, b"\nstopping: this step is finished and the run saved; a second signal stops at once\n")  # not print:
    # it may be what was interrupted
