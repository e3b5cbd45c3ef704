"""Folders of your own images, in the layouts that users of GANs, CycleGAN and pix2pix have.

    image_folder             one folder, for a GAN
    domain_folders           trainA and trainB, testA and testB, valA and valB: CycleGAN's layout; or A/train, B/train
    domain_folders, paired   the same by equal names; or train, test (val), with A and B side by side in each picture,
                             as pix2pix has them

A folder is read once and completely, into uint8 images of one size, in alphabetical order. Files that cannot be read
are left out and named in `source`; with strict=True they are an error. `source` also says how many other files there
are, those whose names do not end as image files do.
"""

from __future__ import annotations

__all__ = ["check_layout", "domain_folders", "holds_domains", "image_folder", "unseen_domains"]

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from minigan.data.images import MAX_BYTES, NO_LABELS, ImageData, channels_last
from minigan.data.listing import Listing, listing, partners, shortened
from minigan.data.paths import user_path
from minigan.data.pictures import MAX_PIXELS, MemoryDataError, decoded, padded, square
from minigan.errors import DataError, OptionError

SPLITS, FITS = ("train", "val", "test"), ("crop", "pad")
Channels = int | Literal["auto"] | None


def image_folder(directory: str | os.PathLike[str], size: int | None = 64, channels: Channels = None,
                 strict: bool = False, fit: str = "crop", recursive: bool = False) -> ImageData:
    """All images of a folder, uint8 (N, C, size, size), without labels; if there is none, those of its sub-folders.

    size      the side of the images; None: they must have one size
    channels  3: grey is repeated; 1: colour becomes luma; None: images must all be grey or all in colour; "auto": grey
              is repeated if any image is in colour
    strict    an unreadable image is an error; by default it is left out and named in `source`
    fit       "crop": the shorter side is scaled, and the middle square kept; "pad": the longer side; the rest is white
    recursive search sub-folders in any case

    See `read_picture` for palettes, transparency, 16 bits and the orientation of photographs.

    Raises:
        DataError: the folder is missing or holds no readable image; with strict, an image is unreadable; with size or
            channels None, sizes or channels differ; the images take more than 2 GiB.
        OptionError: other channels or fit, or a size below 1. ModuleNotFoundError: Pillow is not installed.
    """
    _check(size, channels)
    if fit not in FITS:
        raise OptionError(f"folders of images: fit is {' or '.join(map(repr, FITS))}, not {fit!r}")
    return _read(listing(user_path(directory), recursive), channels, size, strict, fit).data(channels)


def domain_folders(directory: str | os.PathLike[str], split: str = "train", size: int | None = 64,
                   channels: tuple[Channels, Channels] = (None, None), paired: bool = False,
                   strict: bool = False) -> tuple[ImageData, ImageData]:
    """The images of two domains, from the folders trainA and trainB, or testA and testB, of `directory`.

    split     "train", "val" or "test"
    channels  of A and of B, each as in `image_folder`; they may differ
    paired    for pix2pix: row i of A and row i of B belong together, which files do if they have the same name, apart
              from the suffix; the partner of an unreadable file is left out, too. If trainA and trainB are missing, the
              pictures in the folder train are read, whose left half is A and whose right half is B

    Raises:
        DataError: as in `image_folder`; a domain's folder is missing or empty; a paired file has no partner, or one of
            another size; with strict, two files of a folder differ only in their suffix.
        OptionError: another split, or as in `image_folder`.
    """
    if split not in SPLITS:
        raise OptionError(f"domain_folders: split is {', '.join(map(repr, SPLITS))}, not {split!r}")
    _check(size, *channels)
    root = user_path(directory)
    folders = _folders(root, split, paired)
    if len(folders) == 1:
        read = _read_halves(listing(folders[0]), channels, size, strict)
    elif paired:
        read = _read_pairs([listing(folder) for folder in folders], channels, size, strict)
    else:
        read = [_read(listing(folder), kind, size, strict) for folder, kind in zip(folders, channels, strict=True)]
    a, b = (reading.data(kind) for reading, kind in zip(read, channels, strict=True))
    return a, b


def holds_domains(directory: str | os.PathLike[str], split: str = "train", paired: bool = False) -> bool:
    """Whether a folder is meant for `domain_folders`: for this split, it has the folder of one domain, or of pairs."""
    return any(folder.is_dir() for folders in _layouts(user_path(directory), split, paired) for folder in folders)


def check_layout(directory: str | os.PathLike[str]) -> None:
    """Raise if a folder has parts of a layout for pairs, but none for training, and no images beside them.

    Raises:
        DataError: it holds only test or val folders, or A and B without train in them; the message names the layouts.
    """
    root = user_path(directory)
    if holds_domains(root, paired=True) or not root.is_dir():
        return
    there = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    parts = {split + side for split in SPLITS[1:] for side in ("", "A", "B")}
    if (there and {*there} <= parts) or there == ["A", "B"]:
        raise DataError(f"{root}: there is {', '.join(there)}, but nothing to train on; pairs are files of one name in "
                        "trainA/ and trainB/, or in A/train/ and B/train/, or A and B side by side in each picture of "
                        "train/ (and testA/, testB/, test/ alike); a folder of photographs has none of these")


def unseen_domains(directory: str | os.PathLike[str], train: tuple[ImageData, ImageData], size: int | None = 64,
                   paired: bool = False, strict: bool = False) -> tuple[ImageData, ImageData]:
    """Images of two domains that are not trained on: from the test folders, else the val folders, of `directory`.

    Without such folders, `train` is returned, and the first `source` says so. Their channels are those of `train`.

    Raises:
        DataError: as in `domain_folders`.
    """
    a, b = (data.images.shape[1] for data in train)
    for split in ("test", "val"):
        if _complete(_layouts(user_path(directory), split, paired)):
            return domain_folders(directory, split, size, (a, b), paired, strict)
    note = (f"pictures and scores are of training images, for {directory} has no test images (testA and "
            f"testB{', or test' if paired else ''})")
    return replace(train[0], source=f"{note}; {train[0].source}"), train[1]


def photographs(directory: str | os.PathLike[str]) -> tuple[list[np.ndarray], str]:
    """The images of a folder in RGB at their own sizes, uint8 (H, W, 3), and a description of them.

    Raises:
        DataError: the folder is missing or holds no readable image, or its images take more than 2 GiB.
    """
    reading = _read(listing(user_path(directory)), 3, None, strict=False)
    reading.check()
    return list(reading.pictures.values()), reading.sentence()


def _check(size: int | None, *channels: Channels) -> None:
    whole = size is None or (isinstance(size, int | np.integer) and size >= 1)
    if not set(channels) <= {None, 1, 3, "auto"} or not whole:
        raise OptionError("folders of images: channels are 1, 3, None or 'auto' and size is a whole number from 1 or "
                          f"None, not {' and '.join(map(repr, channels))}, and {size!r}")
    if size is not None and size**2 > MAX_PIXELS:
        raise OptionError(f"folders of images: size={size:,} asks for images of {size**2:,} pixels; the limit is "
                          f"{MAX_PIXELS:,}")


def _layouts(root: Path, split: str, paired: bool) -> list[list[Path]]:
    """The folders of a split, in each layout: two, of A and of B, or one with pairs side by side."""
    sides = [root / (split + "A"), root / (split + "B")], [root / "A" / split, root / "B" / split]
    return [*sides, [root / split]] if paired else [*sides]


def _complete(layouts: list[list[Path]]) -> list[list[Path]]:
    """Those layouts whose folders are all there."""
    return [folders for folders in layouts if all(folder.is_dir() for folder in folders)]


def _folders(root: Path, split: str, paired: bool) -> list[Path]:
    """The folders to read. Raises DataError if there is no layout whose folders are all there."""
    layouts = _layouts(root, split, paired)
    first = next(iter(_complete(layouts)), None)
    if first is not None and (len(first) == 2 or not any(folder.is_dir() for folder in layouts[0])):
        return first
    missing = next(folder for folder in layouts[0] if not folder.is_dir())
    there = sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []
    more = f". Pairs side by side in {split} are for pix2pix (paired=True)" if (root / split).is_dir() else ""
    raise DataError(f"{root}: the folder {missing.name} is missing; there is {', '.join(there[:8]) or 'nothing'}. Put "
                    f"the images of one domain into {split}A and those of the other into {split}B{more}")


class _Reading:
    """The pictures of a listing that could be read, and remarks on the others; it keeps count of their bytes."""

    def __init__(self, source: Listing, part: str = "", left_out: Sequence[str] = ()) -> None:
        self.source, self.part, self.taken = source, part, 0
        self.pictures: dict[Path, np.ndarray] = {}  # pixels (H, W, C) by file
        self.bad, self.odd = list(left_out), list[str]()

    def decode(self, path: Path, channels: Channels, strict: bool) -> np.ndarray | None:
        """The pixels of a file; None if it cannot be read, which is recorded."""
        try:
            pixels, note = decoded(path, None if channels == "auto" else channels)
        except DataError as error:
            if strict or isinstance(error, MemoryDataError):
                raise
            self.bad.append(str(error).replace(f"{self.source.folder}{os.sep}", "", 1))
            return None
        if note:
            self.odd.append(f"{self.source.name(path)}: {note}")
        return pixels

    def add(self, path: Path, pixels: np.ndarray) -> None:
        """Keep a picture. Raises DataError if all of them take more than MAX_BYTES."""
        self.pictures[path] = pixels
        self.taken += pixels.nbytes
        if self.taken > MAX_BYTES:
            raise DataError(f"{self.source.folder}: its first {len(self.pictures):,} images take "
                            f"{self.taken / 2**30:.1f} GiB of memory, more than {MAX_BYTES >> 30} GiB: choose a "
                            "smaller size, or put fewer into a folder")

    def check(self) -> None:
        """Raise DataError if there is no picture."""
        if not self.pictures:
            raise DataError(f"{self.source.folder}: none of its images can be read: {shortened(self.bad)}")

    def data(self, channels: Channels) -> ImageData:
        """All pictures as one array. Raises DataError if their sizes or channels differ."""
        self.check()
        repeated = self.repeat_grey() if channels == "auto" else ""
        folder, name = self.source.folder, self.source.name
        first_path, first = next(iter(self.pictures.items()))
        for path, pixels in self.pictures.items():
            if pixels.shape[2] != first.shape[2]:
                raise DataError(f"{folder}: {name(first_path)} has {first.shape[2]} channels, {name(path)} has "
                                f"{pixels.shape[2]}: give channels=3 (--channels 3) to repeat grey, or channels=1 for "
                                "the luma of colour")
            if pixels.shape != first.shape:
                raise DataError(f"{folder}: {name(first_path)} has {first.shape[1]} x {first.shape[0]} pixels, "
                                f"{name(path)} has {pixels.shape[1]} x {pixels.shape[0]}: give a size to make them "
                                "equal")
        return ImageData(channels_last(np.stack(list(self.pictures.values()))), NO_LABELS, folder.name,
                         self.sentence() + repeated)

    def repeat_grey(self) -> str:
        """Repeat the channel of grey pictures among colour ones; returns a remark that names them."""
        grey = [path for path, pixels in self.pictures.items() if pixels.shape[2] == 1]
        if len(grey) == len(self.pictures):
            return ""
        for path in grey:
            self.pictures[path] = self.pictures[path].repeat(3, 2)
        return f"; {len(grey):,} grey among colour: {shortened([*map(self.source.name, grey)])}" if grey else ""

    def sentence(self) -> str:
        """How many pictures from where, and every file that is not among them."""
        text = f"{len(self.pictures):,} images from {self.source.folder}{self.part}"
        if self.bad:
            text += f"; {len(self.bad):,} left out: {shortened(self.bad)}"
        if self.odd:
            text += f"; {len(self.odd):,} odd: {shortened(self.odd)}"
        if others := self.source.others:
            text += f"; {others:,} other file{'s' * (others > 1)} ignored"
        if folders := self.source.unsearched:
            text += f"; {folders:,} sub-folder{'s' * (folders > 1)} not searched"
        return text


def _read(source: Listing, channels: Channels, size: int | None, strict: bool, fit: str = "crop") -> _Reading:
    reading, fitted = _Reading(source), padded if fit == "pad" else square
    for path in source.paths:
        pixels = reading.decode(path, channels, strict)
        if pixels is not None:
            reading.add(path, fitted(pixels, size))
    return reading


def _read_pairs(sources: Sequence[Listing], channels: tuple[Channels, Channels], size: int | None,
                strict: bool) -> list[_Reading]:
    """As `_read` for two folders; a pair is kept or left out as a whole."""
    pairs, remarks = partners(sources[0], sources[1], strict)
    read = [_Reading(source, "", remark) for source, remark in zip(sources, remarks, strict=True)]
    for pair in pairs:
        first, second = (reading.decode(path, kind, strict)
                         for reading, path, kind in zip(read, pair, channels, strict=True))
        if first is None or second is None:
            continue
        if first.shape[:2] != second.shape[:2]:
            sizes = " and ".join(f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in (first, second))
            raise DataError(f"{pair[0]} and {pair[1]}: {sizes} pixels; a pair must have one size, pixel for pixel")
        for reading, path, pixels in zip(read, pair, (first, second), strict=True):
            reading.add(path, square(pixels, size))
    return read


def _read_halves(source: Listing, channels: tuple[Channels, Channels], size: int | None,
                 strict: bool) -> list[_Reading]:
    """The left halves of the pictures in a folder, and the right ones."""
    read = [_Reading(source, part) for part in (", left halves", ", right halves")]
    alike = channels[0] == channels[1]
    if alike:  # every picture is decoded once, for both
        read[1].bad, read[1].odd = read[0].bad, read[0].odd
    for path in source.paths:
        left = read[0].decode(path, channels[0], strict)
        right = left if alike else read[1].decode(path, channels[1], strict)
        if left is None or right is None:
            continue
        middle, rest = divmod(left.shape[1], 2)
        if rest or not middle:
            remark = f"{left.shape[1]} pixels wide, so it has no two halves for a pair side by side"
            if strict:
                raise DataError(f"{path}: {remark}")
            for bad in [read[0].bad] if alike else [read[0].bad, read[1].bad]:
                bad.append(f"{source.name(path)}: {remark}")
            continue
        for reading, half in zip(read, (left[:, :middle], right[:, middle:]), strict=True):
            reading.add(path, square(np.ascontiguousarray(half), size))
    return read
