"""Paths that a user names, as an argument, in an option, in a variable of the environment; and how to print them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

# Controls of ASCII and Latin-1; marks, embeddings and isolates of Unicode's annex 9; separators; lone surrogates.
ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def user_path(path: str | os.PathLike[str]) -> Path:
    """The path with a leading ~ or ~NAME replaced by that user's home folder, as the shell does.

    The shell leaves `--data=~/x` and variables in quotes as they are. The name of nobody stays as it is.

    >>> user_path("photos/~").as_posix()
    'photos/~'
    """
    return Path(os.path.expanduser(path))  # Path.expanduser raises an error for an unknown user


def first_free(path: Path, is_free: Callable[[Path], bool], suffix: str = "") -> Path:
    """The path, or the first of NAME-2, NAME-3, ... that is free; the number goes before the suffix.

    >>> first_free(Path("a.html"), lambda path: path.name not in ("a.html", "a-2.html"), ".html").name
    'a-3.html'
    """
    number, result, name = 1, path, path.name.removesuffix(suffix)
    while not is_free(result):
        number += 1
        result = path.with_name(f"{name}-{number}{suffix}")
    return result


def same_name(path: Path) -> str:
    """A key that is equal for paths that some file system takes for one: other case, other Unicode composition.

    >>> same_name(Path("/a/b/../CAFE.png")) == same_name(Path("/a/cafe.png"))
    True
    """
    import unicodedata

    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", os.path.realpath(path)).casefold())


def printable(text: object) -> str:
    """A text in which what a terminal would act upon, not show, is an escape: names may come from a stranger.

    Escaped are control characters except ends of lines and tabs, marks that turn the direction of writing, and bytes
    that are not UTF-8, as in some names of files.

    >>> printable("a\\udcff.png"), printable("\\x1b[31mred")
    ('a\\\\udcff.png', '\\\\x1b[31mred')
    """
    return ACTING.sub(lambda match: ascii(match[0])[1:-1], str(text))


def one_line(text: object) -> str:
    r"""`printable`, with ends of lines and tabs as escapes, too: for a name in a row of a table.

    >>> one_line("two\nlines")
    'two\\nlines'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
