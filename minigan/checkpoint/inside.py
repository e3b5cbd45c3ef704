"""Files of a folder that may come from a stranger: nothing outside it is read, written or deleted through it.

Archives carry links. A name below the folder is therefore used only if each part of it is a real folder and the last
one a regular file: no link, and no pipe, socket or device, for which a reader would wait. A file with a second name (a
hard link) is read, but never changed in place: it is replaced by a copy first.

The folder itself may be a link: whoever runs the program has named it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from minigan.checkpoint.atomic import write_atomically
from minigan.errors import DataError

_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(
    os, "O_BINARY", 0)  # Windows lacks the first two; there, `kind` alone looks for links
_KINDS = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"), (stat.S_ISFIFO, "pipe"),
          (stat.S_ISSOCK, "socket"))


def kind(path: Path) -> str | None:
    """What is at a path: file, folder, link, pipe, socket, device; None if there is nothing. Links are not followed.

    Raises OSError if the folder above cannot be searched.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last one for a name with NUL
        return None
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "device")


def check(folder: Path, name: str, expected: str = "file") -> bool:
    """Whether `name`, parts joined by /, exists below the folder, without a link on the way.

    Raises:
        DataError: a part of it is a link, or the last one is not of the `expected` kind (file or folder).
    """
    path, parts = folder, _parts(folder, name)
    for number, part in enumerate(parts, 1):
        path, wanted = path / part, "folder" if number < len(parts) else expected
        try:
            actual = kind(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be looked at ({error.strerror or error})") from None
        if actual is None:
            return False
        if actual != wanted:
            target = f" to {os.readlink(path)}" if actual == "link" else ""
            raise DataError(f"{path}: is a {actual}{target}, not a {wanted}. minigan follows no links in a run's "
                            f"folder and opens only regular files; put a {wanted} in its place, or remove it")
    return True


def _parts(folder: Path, name: str) -> list[str]:
    parts = name.split("/")
    if not all(parts) or {".", ".."} & {*parts} or "\0" in name or os.path.isabs(name):
        raise DataError(f"{folder}: {name!r} is not a name inside the folder")
    return parts


def names(folder: Path, inner: str = "") -> list[str]:
    """The sorted names in a folder, or in a folder inside it; none if it is missing.

    Raises:
        DataError: the inner folder is a link or a file, or cannot be read.
    """
    if inner and not check(folder, inner, "folder"):
        return []
    try:
        return sorted(os.listdir(folder / inner))
    except OSError as error:
        raise DataError(f"{folder / inner}: cannot be read ({error.strerror or error})") from None


def _opened(folder: Path, name: str, flags: int) -> int:
    """A descriptor of the file `name`. Raises FileNotFoundError; DataError as `check`; OSError."""
    if not check(folder, name) and not flags & os.O_CREAT:
        raise FileNotFoundError(2, "No such file or directory", str(folder / name))
    descriptor = os.open(folder / name, flags | _SAFE, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # it was replaced since `check`
        os.close(descriptor)
        raise DataError(f"{folder / name}: is not a regular file")
    return descriptor


def read(folder: Path, name: str, most: int) -> bytes:
    """The contents of a file.

    Raises:
        DataError: it is missing, longer than `most` bytes, cannot be read, or not a regular file; see `check`.
    """
    try:
        with open(_opened(folder, name, os.O_RDONLY), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise DataError(f"{folder / name}: cannot be read: it has {size:,} bytes, and at most {most:,} are "
                                "expected")
            return file.read(most)
    except OSError as error:
        raise DataError(f"{folder / name}: cannot be read ({error.strerror or error})") from None


def digest(folder: Path, name: str) -> str | None:
    """The SHA-256 of a file's contents in hexadecimal; None if it is missing, no regular file, or cannot be read."""
    result = hashlib.sha256()
    try:
        with open(_opened(folder, name, os.O_RDONLY), "rb") as file:
            while block := file.read(1 << 20):
                result.update(block)
    except (OSError, DataError):
        return None
    return result.hexdigest()


def size(folder: Path, name: str) -> int | None:
    """The size of a file in bytes, None if it is missing. Raises DataError as `check`."""
    return (folder / name).lstat().st_size if check(folder, name) else None


def open_to_append(folder: Path, name: str, lock: Callable[[IO[str]], object] = lambda file: None) -> IO[str]:
    """Open a file at its end; make it if it is missing. If it has a second name, it becomes a copy of its own.

    Args:
        folder, name: the file.
        lock: called with the file before anything else; may raise.

    Raises:
        DataError: not a regular file; see `check`. OSError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    file = open(_opened(folder, name, flags), "a+", encoding="utf-8")  # noqa: SIM115  # returned
    try:
        lock(file)
        if os.fstat(file.fileno()).st_nlink < 2:
            return file
        separate(folder, name)
        with file:  # locked until the copy is
            file_now = open(_opened(folder, name, flags), "a+", encoding="utf-8")  # noqa: SIM115
            lock(file_now)
            return file_now
    except BaseException:
        file.close()
        raise


def separate(folder: Path, name: str) -> None:
    """Replace a file that has a second name by a copy, so that the other name keeps what it has.

    Raises DataError as `check`; OSError.
    """
    if not check(folder, name) or (folder / name).lstat().st_nlink < 2:
        return
    with open(_opened(folder, name, os.O_RDONLY), "rb") as file:
        write_atomically(folder / name, file.read())


def cut(folder: Path, name: str, length: int) -> None:
    """Remove everything after the first `length` bytes of a file. Raises DataError as `check`; OSError."""
    separate(folder, name)
    descriptor = _opened(folder, name, os.O_RDWR)
    try:
        os.ftruncate(descriptor, length)
    finally:
        os.close(descriptor)


def write(folder: Path, name: str, contents: bytes) -> None:
    """Write a file, completely or not at all; a link or a second name in its place is replaced, not followed.

    Raises:
        DataError: a folder on the way is a link; see `check`. OSError: it cannot be written.
    """
    *inner, _ = _parts(folder, name)
    if inner:
        make_folder(folder, "/".join(inner))
    write_atomically(folder / name, contents)


def make_folder(folder: Path, inner: str) -> Path:
    """Make a folder inside the folder, if it is missing; returns its path. Raises DataError as `check`; OSError."""
    if not check(folder, inner, "folder"):
        (folder / inner).mkdir(parents=True)
    return folder / inner


def remove(folder: Path, name: str) -> str | None:
    """Remove a file, or a link without what it points to; returns a sentence about a link, else None.

    What is missing, is below a link, or is a folder, stays as it is.

    Raises:
        OSError: it cannot be removed.
    """
    path = folder / name
    with contextlib.suppress(DataError):
        *inner, _ = _parts(folder, name)
        if inner and not check(folder, "/".join(inner), "folder"):
            return None
        actual = kind(path)
        if actual in (None, "folder"):
            return None
        target = os.readlink(path) if actual == "link" else ""
        path.unlink()
        return f"{path}: the link was removed, not {target}, to which it pointed" if target else None
    return None
