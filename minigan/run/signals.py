"""Ways a session is told to end: Ctrl-C, SIGTERM, a closed terminal. The step is finished and the run saved.

`run.main` installs the handlers for a program on the command line. In any other program, such as a notebook, a run
installs them while it trains, in place of Python's and the system's own only: a handler that the user installed stays.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from minigan.engine.distributed import world

HANGUPS = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGBREAK") if hasattr(signal, name))  # POSIX, Windows
SIGNALS = (signal.SIGINT, signal.SIGTERM, *HANGUPS)
NOBODYS = (signal.SIG_DFL, signal.default_int_handler)  # handlers that no user installed


class Stopped(KeyboardInterrupt):  # a request, not an error: `except Exception` does not catch it
    """The program ends because of a signal; `status` is its exit status, 128 + the number of the signal."""

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message or f"signal {number}")
        self.status = 128 + number


class _Watch:
    waits = 0  # number of loops that check for a signal after each step
    pending: int | None = None
    program = False  # whether `run.main` has the process to itself


def pending() -> int | None:
    """The number of the signal after which the loop must end with this step, or None."""
    return _Watch.pending


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Context of a loop that checks `pending` after each step; there, a signal no longer ends the step."""
    with _installed(NOBODYS):
        _Watch.waits += 1
        try:
            yield
        finally:
            _Watch.waits -= 1
            _Watch.pending = None


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Context of a command: the handlers are installed, whatever was there before except signals that are ignored."""
    before, _Watch.program = _Watch.program, True
    try:
        with _installed(None):
            yield
    finally:
        _Watch.program = before


@contextlib.contextmanager
def _installed(instead: tuple[object, ...] | None) -> Iterator[None]:
    """Install `_handle` in place of these handlers (None: of all), and restore them. Does nothing in a thread.

    A signal that is ignored stays so: `nohup` ignores SIGHUP, because the program is meant to outlive its terminal.
    """
    old = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            handler = signal.getsignal(number)  # None: installed by C code, which Python cannot restore
            if handler not in (None, signal.SIG_IGN, _handle) and (instead is None or handler in instead):
                old[number] = signal.signal(number, _handle)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _handle(number: int, frame: FrameType | None) -> None:
    if _Watch.pending is not None and number in HANGUPS:
        return  # a terminal that closes may send several signals, and none of them means "at once"
    if _Watch.pending is not None and _Watch.pending not in HANGUPS:
        _stop_at_once(number)
    if not _Watch.waits:
        raise Stopped(number)
    _Watch.pending = number
    if world().rank:
        return  # the first speaks for all
    with contextlib.suppress(OSError):  # the terminal may be gone; not print, which may be what the signal interrupted
        os.write(2, b"\nstopping: this step is finished and the run saved; a second signal stops at once\n")


def _stop_at_once(number: int) -> None:
    if not _Watch.program and number == signal.SIGINT:
        raise KeyboardInterrupt  # a notebook goes on
    os._exit(128 + number)
