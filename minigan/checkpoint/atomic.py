"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], contents: bytes) -> None:
    """Replace the file `path` by `contents` so that at any moment it is the old file or the new one, never a part.

    Raises OSError when the folder is missing or cannot be written, or the disk is full; the old file is then intact and
    nothing is left behind.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # in the same folder: a rename cannot cross file systems
    try:
        with beside.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name itself must reach the disk; Windows does not open folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left beside the files of a folder."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)
