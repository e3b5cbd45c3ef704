"""Where data files are looked for, and how they are downloaded: the same search for every data set.

Search order   `directory`  ->  the folder that MINIGAN_DATA names  ->  the cache (MINIGAN_CACHE, or the user's cache
               folder)  ->  a download into the cache, SHA-256 checked  ->  what a pip package contains, by the caller
               In all of them, a leading ~ is the home folder.
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

from minigan.data.paths import user_path
from minigan.errors import DataError, not_installed, require

PATIENCE = 4.0  # seconds after which a network that has not answered counts as missing
Files = TypeVar("Files")  # what a data set's search returns: a path, or several


class Remote(NamedTuple):
    """Files that can be downloaded: their SHA-256 by name, and addresses, ending in /, of folders that hold them."""

    files: Mapping[str, str]
    mirrors: tuple[str, ...]


def locate(name: str, search: Callable[[Path], Files | None], wanted: str, remote: Remote,
           directory: str | os.PathLike[str] | None, download: bool,
           complete: Callable[[Path], Files | None] | None = None) -> tuple[Files | None, str]:
    """What `search` returns for the first folder that holds the files; or None, and why they were not downloaded.

    name      of the data set and of its folder in the cache, such as "mnist"
    search    returns the files in a folder, or None; raises DataError if the folder holds only some of them
    wanted    the files, in words, for the message about a `directory` that does not hold them
    complete  as `search`, for the cache, where missing files mean an interrupted download; by default `search`

    Raises:
        DataError: `directory` does not hold the files, or MINIGAN_DATA is not a folder.
    """
    if directory is not None:
        files = search(user_path(directory))
        if files is None:
            raise DataError(f"{directory}: no {name.upper()} here: looked for {wanted}.")
        return files, ""
    named = os.environ.get("MINIGAN_DATA")
    if named and not user_path(named).is_dir():
        raise DataError(f"MINIGAN_DATA is {named!r}, which is not a folder: correct it or unset it.")
    files = search(user_path(named)) if named else None
    if files is not None:
        return files, ""
    folder = cache(name)
    if folder is None:
        return None, not_installed("pooch", "a download")
    complete = complete or search
    files = complete(folder)
    if files is not None:
        return files, ""
    why = fetch(folder, remote) if download else "download=False"
    return complete(folder), why


def cache(name: str) -> Path | None:
    """The folder for downloads; None if MINIGAN_CACHE is not set and pooch, which knows the usual one, is missing."""
    if folder := os.environ.get("MINIGAN_CACHE"):
        return user_path(folder) / name
    try:
        pooch = require("pooch", "a download")
    except ModuleNotFoundError:
        return None
    return Path(pooch.os_cache("minigan")) / name


def fetch(folder: Path, remote: Remote) -> str:
    """Download all files into a folder. Returns "", or why they are not there."""
    try:
        pooch = require("pooch", "a download")
    except ModuleNotFoundError as error:
        return str(error)
    mirrors = answering(remote.mirrors, next(iter(remote.files)))
    if not mirrors:
        return "no network"
    downloader = pooch.HTTPDownloader(timeout=(PATIENCE, 15))  # to connect, and between two pieces
    for name, sha256 in remote.files.items():
        why = ""
        for mirror in mirrors:
            try:
                with _quiet(pooch.get_logger()):
                    pooch.retrieve(mirror + name, "sha256:" + sha256, name, folder, None, downloader)
            except (OSError, ValueError) as error:  # ValueError: wrong checksum, and pooch removes the file
                what = "wrong checksum" if isinstance(error, ValueError) else type(error).__name__
                why = f"download of {name} from {urlsplit(mirror).hostname} failed: {what}"
            else:
                break
        else:
            return why
    return ""


def answering(mirrors: tuple[str, ...], name: str) -> list[str]:
    """The mirrors that answer for file `name` within PATIENCE seconds, in order of preference.

    Why   Looking up a host name has no time-out and may hang for a minute without a network. So each mirror is asked
          in a daemon thread, which can be abandoned.
    """
    answered = dict.fromkeys(mirrors, False)

    def ask(mirror: str) -> None:
        import requests  # comes with pooch; uses proxies

        with contextlib.suppress(OSError, ValueError):
            answered[mirror] = requests.head(mirror + name, timeout=PATIENCE, allow_redirects=True).ok

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE  # the same for all threads
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror in mirrors if answered[mirror]]


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Without pooch's message about every download: `source` says it in one sentence."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
