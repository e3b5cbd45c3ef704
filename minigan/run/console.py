"""Printing never ends a program: the terminal may be closed or lack a letter; a reader may have read enough."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class _Sturdy:
    """A text stream that drops what cannot be written; everything but writing is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:  # a letter that the terminal lacks, or a name that is not UTF-8
                coding = self._stream.encoding
                self._stream.write(text.encode(coding, "backslashreplace").decode(coding))
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._gone()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._gone()

    def _gone(self) -> None:
        """From here on all goes to the null device, also what is still in the buffer, which Python flushes at exit."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


@contextlib.contextmanager
def sturdy() -> Iterator[None]:
    """Context in which standard output and error are sturdy; either may be None, as in a program without a console."""
    before = sys.stdout, sys.stderr
    null = open(os.devnull, "w")  # noqa: SIM115  # closed below
    sys.stdout, sys.stderr = (_Sturdy(stream or null) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
        null.close()
