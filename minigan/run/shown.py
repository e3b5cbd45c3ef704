"""Text for people: names of files need not be UTF-8, but what is printed must be."""

from __future__ import annotations


def printable(text: object) -> str:
    """A text whose bytes that are not UTF-8, as in some names of files, are shown as escapes.

    >>> printable("a\\udcff.png")
    'a\\\\udcff.png'
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")
