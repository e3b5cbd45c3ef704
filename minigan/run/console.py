"""Printing never ends a program: the terminal may be closed or lack a letter; a reader may have read enough."""

from __future__ import annotations

import contextlib
import io
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
            except UnicodeEncodeError:  # in the name of a file, which need not be UTF-8
                coding = self._stream.encoding
                self._stream.write(text.encode(coding, "backslashreplace").decode(coding))
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            self._gone(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._gone(error)

    def _gone(self, error: Exception) -> None:
        """From here on all goes to the null device, also what is still in the buffer, which Python flushes at exit."""
        if isinstance(error, UnicodeError):  # a ValueError, but the stream is there
            raise error
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


@contextlib.contextmanager
def sturdy() -> Iterator[None]:
    """Context in which standard output and error are sturdy; either may be None, as in a program without a console."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):  # for letters that the terminal lacks, and names that are not UTF-8
            with contextlib.suppress(OSError, ValueError):  # a closed one
                stream.reconfigure(errors="backslashreplace")
    null = open(os.devnull, "w")  # noqa: SIM115  # closed below
    sys.stdout, sys.stderr = (_Sturdy(stream or null) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
        null.close()
