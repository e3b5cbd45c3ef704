"""Where data files are looked for, and how they are fetched: the same search for every data set.

Search order   `directory`  ->  the folder MINIGAN_DATA names  ->  the cache (MINIGAN_CACHE, or the user's cache folder)
               ->  download into the cache, SHA-256 checked  ->  what a pip package has, which is up to the caller.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from minigan.errors import DataError, not_installed, require

PATIENCE = 4.0  # seconds until a network that has not answered counts as none
Found = TypeVar("Found")


class Remote(NamedTuple):
    """Files that can be fetched: their SHA-256 by name, and the addresses, ending in /, of folders that have them."""

    files: Mapping[str, str]
    mirrors: tuple[str, ...]


def locate(name: str, search: Callable[[Path], Found | None], wanted: str, remote: Remote,
           directory: str | os.PathLike[str] | None, download: bool,
           complete: Callable[[Path], Found | None] | None = None) -> tuple[Found | None, str]:
    """What `search` finds in the first folder that has it; or None and, in words, why the network did not help.

    name      of the data set and of its folder in the cache, "mnist"
    search    looks in a folder, and may raise DataError for one that has half of what it should
    wanted    what the message about a `directory` without it says was looked for
    complete  `search` in the cache, where half is an interrupted download; by default the same

    Raises:
        DataError: `directory` does not have it, or MINIGAN_DATA is no folder.
    """
    if directory is not None:
        found = search(Path(directory))
        if found is None:
            raise DataError(f"{directory}: no {name.upper()} here: looked for {wanted}.")
        return found, ""
    named = os.environ.get("MINIGAN_DATA")
    if named and not Path(named).is_dir():
        raise DataError(f"MINIGAN_DATA is {named!r}, which is not a folder: correct it or unset it.")
    found = search(Path(named)) if named else None
    if found is not None:
        return found, ""
    folder = cache(name)
    if folder is None:
        return None, not_installed("pooch", "a download")
    complete = complete or search
    found = complete(folder)
    if found is not None:
        return found, ""
    why = fetch(folder, remote) if download else "download=False"
    return complete(folder), why


def cache(name: str) -> Path | None:
    """The folder downloads are kept in; None if none is chosen and pooch, which knows the usual place, is missing."""
    if chosen := os.environ.get("MINIGAN_CACHE"):
        return Path(chosen) / name
    try:
        pooch = require("pooch", "a download")
    except ModuleNotFoundError:
        return None
    return Path(pooch.os_cache("minigan")) / name


def fetch(folder: Path, remote: Remote) -> str:
    """Bring all files into a folder. Returns "" or, in a few words, why they are not there."""
    try:
        pooch = require("pooch", "a download")
    except ModuleNotFoundError as error:
        return str(error)
    mirrors = answering(remote.mirrors, next(iter(remote.files)))
    if not mirrors:
        return "no network"
    downloader = pooch.HTTPDownloader(timeout=(PATIENCE, 15))  # connect, then between two pieces
    for name, sha256 in remote.files.items():
        why = ""
        for mirror in mirrors:
            try:
                with _quiet(pooch.get_logger()):
                    pooch.retrieve(mirror + name, "sha256:" + sha256, name, folder, None, downloader)
            except (OSError, ValueError) as error:  # ValueError: wrong checksum; pooch keeps no such file
                what = "wrong checksum" if isinstance(error, ValueError) else type(error).__name__
                why = f"download of {name} from {urlsplit(mirror).hostname} failed: {what}"
            else:
                break
        else:
            return why
    return ""


def answering(mirrors: tuple[str, ...], name: str) -> list[str]:
    """The mirrors that answer for file `name` within PATIENCE seconds, in order of preference.

    Why   A look-up of a host name has no time-out of its own and may hang for a minute without a network; so each
          mirror is asked on a daemon thread, which can be left behind.
    """
    answered = dict.fromkeys(mirrors, False)

    def ask(mirror: str) -> None:
        import requests  # comes with pooch, knows about proxies

        with contextlib.suppress(OSError, ValueError):
            answered[mirror] = requests.head(mirror + name, timeout=PATIENCE, allow_redirects=True).ok

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE  # one for all of them
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror in mirrors if answered[mirror]]


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Pooch reports every download; ours is one sentence, in `source`."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
