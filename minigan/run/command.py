"""How a program that trains reports warnings (one sentence), errors (one line) and its exit status."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from minigan.data.paths import printable
from minigan.engine.distributed import world
from minigan.errors import MiniganError
from minigan.run import console, signals
from minigan.run.joining import report_failure


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print warnings as sentences, without the line of code that caused them."""
    original = warnings.formatwarning
    warnings.formatwarning = lambda message, *args, **kwargs: f"note: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = original


def main(script: Callable[[], Any]) -> None:
    """Run an example. An error that minigan raises ends it with one sentence and exit status 2, a GPU error with 3.

    After the first Ctrl-C, SIGTERM or SIGHUP, a run finishes its step and is saved, with exit status 130, 143 or 129;
    see signals. Output that nobody reads any more (`| head`, a closed terminal) is dropped, and the program goes on.
    """
    with console.sturdy():
        _main(script)


def _main(script: Callable[[], Any]) -> None:
    try:
        with signals.handled(), _plain_warnings():
            script()
    except (MiniganError, ModuleNotFoundError, OSError) as error:
        _end(error, f"error: {error}", 2)
    except MemoryError as error:
        _end(error, f"error: not enough memory ({error or 'it is used up'}); give smaller networks or batches", 2)
    except RuntimeError as error:
        if not type(error).__module__.startswith("cupy"):
            raise
        _end(error, f"error: the GPU failed: {error}. --resume continues from the last checkpoint; `nvidia-smi` and "
             "`dmesg` may show the cause.", 3)
    except signals.Stopped as stop:
        _end(stop, f"stopped ({stop})", stop.status)
    except KeyboardInterrupt as stop:
        _end(stop, "stopped", 130)
    except SystemExit as ended:  # of one rank alone: the others would wait for it
        if ended.code and world().size > 1:
            _end(ended, str(ended), ended.code if isinstance(ended.code, int) else 1)
        raise


def _end(error: BaseException, sentence: str, status: int) -> NoReturn:
    """End the program with one sentence; of ranks that train together, with one for all, or with the rank's own."""
    if report_failure(error, sentence, status):
        print(printable(sentence), file=sys.stderr)
    sys.exit(status)
