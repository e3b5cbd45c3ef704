"""The image files of a folder, and which files of two folders belong together: by name, every file accounted for."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from minigan.data.pictures import SUFFIXES
from minigan.errors import DataError

NAMED = 3  # files named in a message; it gives the number of the others


class Listing(NamedTuple):
    """The files of a folder, hidden ones aside.

    folder     the folder
    paths      its image files, in alphabetical order
    others     the number of other files
    unsearched the number of sub-folders that were not searched, because the folder itself holds images
    """

    folder: Path
    paths: list[Path]
    others: int
    unsearched: int

    def name(self, path: Path) -> str:
        """The name of a file in messages: relative to the folder."""
        return str(path.relative_to(self.folder))

    def key(self, path: Path) -> str:
        """What the files of a pair have in common: the name without its suffix."""
        return str(path.relative_to(self.folder).with_suffix(""))


def listing(folder: Path, recursive: bool = False) -> Listing:
    """The files of a folder; if it holds no image, or if `recursive`, also those of all its sub-folders.

    Raises:
        DataError: there is no such folder, or no image in it or below it.
    """
    try:
        files, subfolders = _entries(folder)
    except OSError as error:
        raise DataError(f"{folder}: no folder of images ({error.strerror})") from None
    unsearched = len(subfolders)
    if recursive or not any(_is_picture(file) for file in files):
        files, unsearched = [*files, *_below(folder, subfolders)], 0
    paths = [file for file in files if _is_picture(file)]
    others = len(files) - len(paths)
    if not paths:
        raise DataError(f"{folder}: no image in it{f', only {others} other files' if others else ''}; images end in "
                        f"{' '.join(SUFFIXES)}")
    return Listing(folder, sorted(paths, key=lambda path: path.parts), others, unsearched)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files and the sub-folders in a folder, hidden ones aside; links are followed."""
    files, subfolders = list[Path](), list[Path]()
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                try:
                    kind = files if entry.is_file() else subfolders if entry.is_dir() else []
                except OSError:  # a link to itself
                    continue
                kind.append(folder / entry.name)
    return files, subfolders


def _below(root: Path, folders: list[Path]) -> Iterator[Path]:
    """All files in and below some folders of `root`; of one that links make appear twice, once."""
    todo, seen = deque(folders), set[object]([_identity(root)])
    links: list[Path] = []
    while todo or links:
        folder = todo.popleft() if todo else links.pop(0)
        try:
            if folder.is_symlink() and folder not in seen:
                seen.add(folder)
                links.append(folder)  # after all folders that are no links
            elif (identity := _identity(folder)) not in seen:
                seen.add(identity)
                files, subfolders = _entries(folder)
                todo += subfolders
                yield from files
        except OSError as error:
            raise DataError(f"{folder}: no folder of images ({error.strerror})") from None


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


Partners = tuple[list[tuple[Path, Path]], tuple[list[str], list[str]]]


def partners(a: Listing, b: Listing, strict: bool) -> Partners:
    """Pairs of files of equal names apart from the suffix; and, for each side, a remark on every file left out.

    Where several files of a folder differ only in their suffix, those with a partner of exactly the same name form
    pairs; if there is none, the first of each side do. The others are left out.

    Raises:
        DataError: a name is in one folder only; with strict, files of a folder differ only in their suffix.
    """
    groups = [_by_key(side) for side in (a, b)]
    for mine, other, side in ((groups[0], groups[1], a), (groups[1], groups[0], b)):
        if alone := [side.name(path) for key, paths in mine.items() if key not in other for path in paths]:
            raise DataError(f"{side.folder}: no partner of the same name in the other folder for {shortened(alone)}; "
                            "paired training needs both")
    pairs: list[tuple[Path, Path]] = []
    remarks: tuple[list[str], list[str]] = ([], [])
    for key, first in groups[0].items():
        second = groups[1][key]
        twins = {path.suffix: path for path in second}
        same = [(path, twins[path.suffix]) for path in first if path.suffix in twins] or [(first[0], second[0])]
        pairs += same
        used = {path for pair in same for path in pair}
        for side, paths, remark in zip((a, b), (first, second), remarks, strict=True):
            remark += [f"{side.name(path)}: another file has this name, apart from the suffix"
                       for path in paths if path not in used]
    for side, remark in zip((a, b), remarks, strict=True):
        if strict and remark:
            raise DataError(f"{side.folder}: which file belongs to a pair is not clear: {shortened(remark)}; remove or "
                            "rename it")
    return pairs, remarks


def _by_key(side: Listing) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path in side.paths:
        groups.setdefault(side.key(path), []).append(path)
    return groups


def shortened(items: list[str]) -> str:
    """The first few, and the number of the others."""
    more = len(items) - NAMED
    return "; ".join(items[:NAMED]) + (f"; and {more:,} more" if more > 0 else "")
