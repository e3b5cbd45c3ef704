"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

_UNFINISHED = re.compile(r"(.*/)?\.([^/]+)\.\d+\.tmp")  # how unfinished files are called: by the file and the process


def write_atomically(path: str | os.PathLike[str], contents: bytes) -> None:
    """Replace the file `path` by `contents`, so that at any moment it is the complete old file or the complete new one.

    Raises OSError when the folder is missing or cannot be written, or the disk is full; the old file is then intact and
    no other file is left.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # same folder: a rename cannot cross file systems
    try:
        temporary.unlink(missing_ok=True)  # of a killed process; or a link, which must not be followed
        with temporary.open("xb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name must reach the disk too; Windows cannot open folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def finished_name(name: str) -> str | None:
    """The name of the file of which this is an unfinished copy by `write_atomically`; None if it is none.

    >>> finished_name("samples/.a.png.12.tmp"), finished_name(".notes.tmp")
    ('samples/a.png', None)
    """
    match = _UNFINISHED.fullmatch(name)
    return (match[1] or "") + match[2] if match else None


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what `write_atomically` left in a folder because it was killed while it wrote a file with such a name.

    Other files stay, whatever their names end in. Raises OSError.
    """
    for entry in os.scandir(folder) if folder.is_dir() else ():
        name = finished_name(entry.name)
        if name is not None and names.fullmatch(name) and not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
