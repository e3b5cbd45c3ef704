"""Folders of your own images: one folder for a GAN, or trainA, trainB, testA and testB, the layout of CycleGAN's users.

A folder is read once and completely, into uint8 images of one size, in alphabetical order. Files that cannot be read
are left out and named in `source`; with strict=True they are an error. `source` also says how many other files there
are, those whose names do not end as image files do.
"""

from __future__ import annotations

__all__ = ["domain_folders", "image_folder"]

import os
from pathlib import Path

import numpy as np

from minigan.data.images import MAX_BYTES, NO_LABELS, ImageData, channels_last
from minigan.data.pictures import SUFFIXES, read_picture, square
from minigan.errors import DataError, OptionError

_NAMED = 3  # files named in a message; it gives the number of the others


def image_folder(directory: str | os.PathLike[str], size: int | None = 64, channels: int | None = None,
                 strict: bool = False) -> ImageData:
    """All images of a folder, uint8 (N, C, size, size), without labels. Its subfolders are not searched.

    size      the shorter side is scaled to this length, and the middle square kept; None: images must have one size
    channels  3: grey is repeated; 1: colour becomes luma; None: images must all be grey or all in colour
    strict    an unreadable image is an error; by default it is left out and named in `source`

    See `read_picture` for palettes, transparency, 16 bits and the orientation of photographs.

    Raises:
        DataError: the folder is missing or holds no readable image; with strict, an image is unreadable; with size or
            channels None, sizes or channels differ; the images take more than 2 GiB.
        OptionError: another number of channels, or a size below 1. ModuleNotFoundError: Pillow is not installed.
    """
    _check(size, channels)
    folder = Path(directory)
    paths, others = _files(folder)
    pictures, bad = _read(paths, channels, size, strict)
    return _data(folder, pictures, bad, others)


def domain_folders(directory: str | os.PathLike[str], split: str = "train", size: int | None = 64,
                   channels: tuple[int | None, int | None] = (None, None), paired: bool = False,
                   strict: bool = False) -> tuple[ImageData, ImageData]:
    """The images of two domains, from the folders trainA and trainB, or testA and testB, of `directory`.

    channels  of A and of B, each as in `image_folder`; they may differ
    paired    for pix2pix: row i of A and row i of B belong together, which files do if they have the same name, apart
              from the suffix; the partner of an unreadable file is left out, too

    Raises:
        DataError: as in `image_folder`; a domain's folder is missing or empty; a paired file has no partner, or one of
            another size.
        OptionError: another split, or as in `image_folder`.
    """
    if split not in ("train", "test"):
        raise OptionError(f"domain_folders: split is 'train' or 'test', not {split!r}")
    _check(size, *channels)
    folders = [Path(directory) / (split + domain) for domain in "AB"]
    for folder in folders:
        if not folder.is_dir():
            there = sorted(entry.name for entry in Path(directory).iterdir()) if Path(directory).is_dir() else []
            raise DataError(f"{directory}: the folder {folder.name} is missing; there is "
                            f"{', '.join(there[:8]) or 'nothing'}. Put the images of one domain into {split}A and "
                            f"those of the other into {split}B")
    files = [_files(folder) for folder in folders]
    if paired:
        read = _read_pairs(folders, [paths for paths, _ in files], channels, size, strict)
    else:
        read = [_read(paths, kind, size, strict) for (paths, _), kind in zip(files, channels, strict=True)]
    a, b = (_data(folder, pictures, bad, others)
            for folder, (pictures, bad), (_, others) in zip(folders, read, files, strict=True))
    return a, b


def photographs(directory: str | os.PathLike[str]) -> tuple[list[np.ndarray], str]:
    """The images of a folder in RGB at their own sizes, uint8 (H, W, 3), and a description of them.

    Raises:
        DataError: the folder is missing or holds no readable image, or its images take more than 2 GiB.
    """
    folder = Path(directory)
    paths, others = _files(folder)
    pictures, bad = _read(paths, 3, None, strict=False)
    _check_any(folder, pictures, bad)
    return list(pictures.values()), _sentence(folder, len(pictures), bad, others)


def _check(size: int | None, *channels: int | None) -> None:
    if not set(channels) <= {None, 1, 3} or (size is not None and size < 1):
        raise OptionError(f"folders of images: channels are 1, 3 or None and size is at least 1 or None, not "
                          f"{' and '.join(map(repr, channels))}, and {size!r}")


def _files(folder: Path) -> tuple[list[Path], int]:
    """The image files of a folder in alphabetical order, and the number of other files."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: no folder of images ({error.strerror})") from None
    paths = [entry for entry in entries if entry.suffix.lower() in SUFFIXES]
    others = len(entries) - len(paths)
    if not paths:
        raise DataError(f"{folder}: no image in it{f', only {others} other files' if others else ''}; images end in "
                        f"{' '.join(SUFFIXES)}")
    return paths, others


Pictures = dict[Path, np.ndarray]  # pixels (H, W, C) by file


def _read(paths: list[Path], channels: int | None, size: int | None, strict: bool) -> tuple[Pictures, list[str]]:
    """The pictures that can be read, and one sentence for each that cannot."""
    pictures: Pictures = {}
    bad: list[str] = []
    for path in paths:
        try:
            pictures[path] = square(read_picture(path, channels), size)
        except DataError as error:
            if strict:
                raise
            bad.append(str(error).replace(f"{path.parent}{os.sep}", "", 1))
        _check_bytes(pictures, path.parent)
    return pictures, bad


def _read_pairs(folders: list[Path], files: list[list[Path]], channels: tuple[int | None, int | None],
                size: int | None, strict: bool) -> list[tuple[Pictures, list[str]]]:
    """As `_read` for two folders; a pair is kept or left out as a whole."""
    a, b = ({path.stem: path for path in paths} for paths in files)
    for mine, other, folder in ((a, b, folders[0]), (b, a, folders[1])):
        if alone := [path.name for stem, path in mine.items() if stem not in other]:
            raise DataError(f"{folder}: no partner of the same name in the other folder for {_list(alone)}; paired "
                            "training needs both")
    read: list[tuple[Pictures, list[str]]] = [({}, []), ({}, [])]
    for stem in a:
        both = [_read([paths[stem]], kind, None, strict) for paths, kind in zip((a, b), channels, strict=True)]
        for (_, bad), (_, all_bad) in zip(both, read, strict=True):
            all_bad += bad
        if both[0][1] or both[1][1]:
            continue
        (first,), (second,) = (pictures.values() for pictures, _ in both)
        if first.shape[:2] != second.shape[:2]:
            sizes = " and ".join(f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in (first, second))
            raise DataError(f"{a[stem]} and {b[stem]}: {sizes} pixels; a pair must have one size, pixel for pixel")
        for paths, pixels, (pictures, _) in zip((a, b), (first, second), read, strict=True):
            pictures[paths[stem]] = square(pixels, size)
            _check_bytes(pictures, paths[stem].parent)
    return read


def _data(folder: Path, pictures: Pictures, bad: list[str], others: int) -> ImageData:
    """All pictures as one array. Raises DataError if their sizes or channels differ."""
    _check_any(folder, pictures, bad)
    first_path, first = next(iter(pictures.items()))
    for path, pixels in pictures.items():
        if pixels.shape[2] != first.shape[2]:
            raise DataError(f"{folder}: {first_path.name} has {first.shape[2]} channels, {path.name} has "
                            f"{pixels.shape[2]}: give channels=3 to repeat grey, or channels=1 for the luma of colour")
        if pixels.shape != first.shape:
            raise DataError(f"{folder}: {first_path.name} has {first.shape[1]} x {first.shape[0]} pixels, {path.name} "
                            f"has {pixels.shape[1]} x {pixels.shape[0]}: give a size to make them equal")
    return ImageData(channels_last(np.stack(list(pictures.values()))), NO_LABELS, folder.name,
                     _sentence(folder, len(pictures), bad, others))


def _check_any(folder: Path, pictures: Pictures, bad: list[str]) -> None:
    if not pictures:
        raise DataError(f"{folder}: none of its images can be read: {_list(bad)}")


def _check_bytes(pictures: Pictures, folder: Path) -> None:
    taken = sum(pixels.nbytes for pixels in pictures.values())
    if taken > MAX_BYTES:
        raise DataError(f"{folder}: its first {len(pictures):,} images take {taken / 2**30:.1f} GiB of memory, more "
                        f"than {MAX_BYTES >> 30} GiB: choose a smaller size, or put fewer into a folder")


def _sentence(folder: Path, count: int, bad: list[str], others: int) -> str:
    text = f"{count:,} images from {folder}"
    if bad:
        text += f"; {len(bad):,} left out: {_list(bad)}"
    if others:
        text += f"; {others:,} other file{'s' * (others > 1)} ignored"
    return text


def _list(items: list[str]) -> str:
    """The first few, and the number of the others."""
    more = len(items) - _NAMED
    return "; ".join(items[:_NAMED]) + (f"; and {more:,} more" if more > 0 else "")
