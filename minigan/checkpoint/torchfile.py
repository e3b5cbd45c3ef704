"""Weights in PyTorch's own files, .pth and .pt: the tensors of a state_dict, without PyTorch and without pickle.

    since PyTorch 1.6   a zip file: NAME/data.pkl, the description; NAME/data/0, NAME/data/1, ...: the numbers
    before              five pickles (magic number, version, machine, description, order of storages); then for each
                        storage its size (8 bytes) and its numbers

Sizes in the description are checked against the bytes that are there before an array is made. float16 and bfloat16
become float32. Source: torch/serialization.py of PyTorch 2.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minigan.checkpoint.pickled import PickleError, Storage, View, read_pickle
from minigan.errors import CheckpointError

MAGIC = 0x1950A86A20F9469CFC6C
LARGEST_DESCRIPTION = 64 << 20  # bytes; a tensor takes about a hundred
SHARING = 8  # arrays may take this many times the file's bytes: tensors that share memory, float16 as float32
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "generator", "params", "params_ema")
REMEDY = ("in PyTorch, save the weights alone: torch.save(network.state_dict(), 'weights.pth'), or "
          "safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')")


def check_kind(path: Path) -> None:
    """Raise CheckpointError if a file of weights is what a download left in its place: a page, or a pointer to it."""
    try:
        with path.open("rb") as file:
            start = file.read(512).removeprefix(b"\xef\xbb\xbf")  # the mark of UTF-8
    except OSError:
        return  # whoever reads it names the problem
    if start.startswith((b"version https://git-lfs", b"version https://hawser")):
        raise CheckpointError(f"{path}: a pointer of Git LFS, not the weights: run `git lfs pull` in its repository, "
                              "or download the file itself")
    if start.lstrip().startswith(b"<") and b"\0" not in start:  # safetensors' length of the header has zeros
        raise CheckpointError(f"{path}: a page in HTML or XML, not weights: a server's answer, such as a form to log "
                              "in; download the file again, by its direct link")


def is_torch_file(path: Path) -> bool:
    """Whether the first bytes are those of a zip file, or of PyTorch's older format."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError:
        return False
    return start.startswith(b"PK\x03\x04") or (
        start.startswith(b"\x80") and MAGIC.to_bytes(10, "little") in start)


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state_dict by name, C-contiguous and writable.

    Raises:
        CheckpointError: the file holds more than named tensors, is damaged, or asks for more memory than its size
            explains; with the file, the problem and the remedy.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            reader = _read_zip if file.read(2) == b"PK" else _read_old
            file.seek(0)
            return reader(file, size)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}); check the name.") from None
    except MemoryError:
        raise CheckpointError(f"{path}: its {size:,} bytes of arrays do not fit into memory.") from None
    except PickleError as error:
        raise CheckpointError(f"{path}: {error}; {REMEDY}.") from None
    except Exception as error:  # zipfile's and NumPy's errors are many, and more come with their versions
        problem = f"{type(error).__name__}: {str(error)[:80]}"
        raise CheckpointError(f"{path}: damaged, not a safetensors file, nor one of torch.save ({problem}); "
                              f"{REMEDY}.") from None


def _read_zip(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        roots = [name.removesuffix("data.pkl") for name in entries if name.rpartition("/")[2] == "data.pkl"]
        if len(roots) != 1:
            raise PickleError(f"a zip file, but not one of torch.save: it has {len(roots) or 'no'} data.pkl")

        def contents(name: str, most: int) -> bytes:
            info = entries.get(roots[0] + name)
            if info is None:
                raise PickleError(f"damaged: {name} is missing")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size > most:
                raise PickleError(f"damaged: {name} is compressed or encrypted, or claims {info.file_size:,} bytes in "
                                  f"a file of {size:,}")
            return archive.read(info)

        described = read_pickle(io.BytesIO(contents("data.pkl", LARGEST_DESCRIPTION)))
        order = contents("byteorder", 16) if roots[0] + "byteorder" in entries else b"little"
        if order not in (b"little", b"big"):
            raise PickleError(f"damaged: the order of its bytes is {order!r}, neither little nor big")
        return _arrays(described, lambda storage: contents(f"data/{storage.key}", size), size, order.decode())


def _read_old(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    file = io.BytesIO(file.read())  # its read(n) never takes more memory than there is to read
    magic, version = read_pickle(file), read_pickle(file)
    if (magic, version) != (MAGIC, 1001):
        raise PickleError("not a file of torch.save, or in a version that is not known")
    _, described, keys = (read_pickle(file) for _ in range(3))  # numbers are little-endian on every machine
    widths = {view.storage.key: _width(view.storage) for view in _tensors(described).values()}
    places: dict[str, tuple[int, int]] = {}
    for key in keys if isinstance(keys, list) else []:
        count = int.from_bytes(file.read(8), "little")
        left = size - file.tell()
        if not isinstance(key, str) or key not in widths or key in places or count * widths[key] > left:
            raise PickleError(f"truncated or damaged: a storage of {count:,} numbers where {left:,} bytes are left")
        places[key], length = (file.tell(), count * widths[key]), count * widths[key]
        file.seek(length, 1)

    def contents(storage: Storage) -> bytes:
        start, length = places[storage.key]
        file.seek(start)
        return file.read(length)

    return _arrays(described, contents, size, "little")


def _tensors(described: Any) -> dict[str, View]:
    """The tensors of a state_dict, or of a dict that holds one under a usual name."""
    if isinstance(described, Mapping):
        wrapped = next((described[name] for name in WRAPPERS if isinstance(described.get(name), Mapping)), None)
        described = described if wrapped is None else wrapped
    if not isinstance(described, Mapping) or not described:
        raise PickleError(f"it holds a {type(described).__name__}, not named tensors")
    if wrong := [name for name, view in described.items() if not (isinstance(name, str) and isinstance(view, View))]:
        raise PickleError(f"it holds more than named tensors: {str(wrong[0])[:60]!r} is a "
                          f"{type(described[wrong[0]]).__name__}")
    return dict(described)


def _arrays(described: Any, contents: Callable[[Storage], bytes], size: int, order: str) -> dict[str, np.ndarray]:
    views, budget, unread = _tensors(described), SHARING * size, size
    stored: dict[str, tuple[str, np.ndarray]] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, view in views.items():
        count, length = math.prod(view.shape), view.storage.length
        last = view.offset + sum((n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True))
        if (count and last >= length) or any(n >= 2**31 for n in view.shape):  # an expanded tensor repeats numbers
            raise PickleError(f"damaged: {name[:60]} of shape {view.shape} ends at number {last + 1:,} of a storage of "
                              f"{length:,}")
        budget -= 4 * count if _width(view.storage) < 4 else _width(view.storage) * count
        if budget < 0:
            raise PickleError(f"its tensors ask for more than {SHARING} times the file's {size:,} bytes")
        if view.storage.key not in stored:
            raw = contents(view.storage)
            unread -= len(raw)
            if unread < 0:
                raise PickleError(f"damaged: its storages overlap: together they have more than {size:,} bytes")
            stored[view.storage.key] = view.storage.dtype, _numbers(raw, view.storage, order)
        dtype, numbers = stored[view.storage.key]
        if dtype != view.storage.dtype or numbers.size < length:
            raise PickleError(f"truncated or damaged: {name[:60]} needs {length:,} numbers of {view.storage.dtype}, "
                              f"but its storage has {numbers.size:,} of {dtype}")
        arrays[name] = _copied(numbers, view)
    return arrays


def _width(storage: Storage) -> int:
    return 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize


def _numbers(raw: bytes, storage: Storage, order: str) -> np.ndarray:
    """All numbers of a storage, one axis, as they are in the file; bfloat16 as the upper halves of float32."""
    plain = {"bfloat16": "uint16", "bool": "uint8"}.get(storage.dtype, storage.dtype)
    dtype = np.dtype(plain).newbyteorder("<" if order == "little" else ">")
    return np.frombuffer(raw, dtype, len(raw) // dtype.itemsize)


def _copied(numbers: np.ndarray, view: View) -> np.ndarray:
    """The numbers that a tensor shows, as an array of their own."""
    if not math.prod(view.shape):
        part = np.zeros(view.shape, numbers.dtype)
    else:
        strides = [stride * numbers.itemsize for stride in view.strides]
        part = np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, strides, writeable=False)
    if view.storage.dtype == "bfloat16":
        return np.array((part.astype(np.uint32) << 16).view(np.float32), order="C")
    target = {"float16": "float32"}.get(view.storage.dtype, view.storage.dtype)
    return np.array(part, target, order="C")
