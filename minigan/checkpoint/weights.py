"""Files of weights: safetensors under PyTorch's names and layouts, always complete, and verified when read.

    safetensors   header length (8 bytes) | header (JSON: names, types, shapes, offsets, metadata) | bytes of the arrays

Two ideas. A file is written under a temporary name, flushed to the disk, then renamed, so that a process killed at any
moment leaves the complete old or new file. And the metadata contain a SHA-256 of names, types, shapes, bytes and other
metadata, so that a flipped bit is an error and not a strange picture. Nothing is pickled. state.py saves whole runs in
the same way.
Source   safetensors, format description, 2022. Pillai et al., All file systems are not created equal, OSDI 2014.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint.atomic import write_atomically
from minigan.checkpoint.torchfile import check_kind, is_torch_file, read_torch_file
from minigan.data.paths import user_path
from minigan.errors import CheckpointError, require

FORMAT = "minigan weights 1"
REMEDY = "restore it from a copy, or train and save again"
_DTYPES = re.compile(r"float(16|32|64)|u?int(8|16|32|64)|bool")  # types that both NumPy and the format have


def save_weights(
    path: str | os.PathLike[str], state: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Save named NumPy arrays, as from `module.state_dict()`, and metadata, any text, in a safetensors file.

    A leading ~ in the path is the home folder.

    Arrays are stored in logical (PyTorch) order, whatever their layout in memory. PyTorch reads the file with
    `safetensors.torch.load_file`. Raises CheckpointError for arrays or metadata that the format cannot hold, and
    if the file cannot be written.
    """
    write(user_path(path), state, {**(metadata or {}), "format": FORMAT})


def write(path: Path, state: Mapping[str, np.ndarray], notes: dict[str, str]) -> None:
    """Write arrays and notes, which include the format, with the SHA-256 of both. Raises as `save_weights`."""
    arrays = {name: _storable(path, name, array) for name, array in state.items()}
    if not all(isinstance(text, str) for pair in notes.items() for text in pair) or "sha256" in notes:
        raise CheckpointError(f"{path}: not saved: metadata is text to text, without the key 'sha256': {notes!r}.")
    notes = {**notes, "sha256": _digest(arrays, notes)}
    try:
        write_atomically(path, _serialised(arrays, notes))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed.") from None


def load_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file by name, C-contiguous and writable; files by `save_weights` are verified.

    A leading ~ in the path is the home folder.

    Files of other programs have no SHA-256 and are read without verification. PyTorch's own files, .pth and .pt, are
    read too, if they hold a state_dict; no pickle is run, and float16 and bfloat16 in them become float32. Raises
    CheckpointError, with the file, the problem and the remedy, if the file is missing, truncated, changed since it was
    saved, of another kind, too large for memory, or holds a type that NumPy lacks.
    """
    return read(user_path(path))[0]


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The text given to `save_weights`, verified together with the arrays. Raises as `load_weights`."""
    notes = read(user_path(path))[1]
    return {key: text for key, text in notes.items() if key not in ("format", "sha256")}


def read(path: Path, check: Callable[[Mapping[str, str]], Any] = lambda notes: None
         ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and notes, verified if there is a SHA-256; `check` may raise an error before any array is read.

    Sizes come from the header, which is checked against the size of the file, so no more memory than that is allocated.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise CheckpointError(f"{path}: not a file: a pipe, a device or a socket; check the name.")
    check_kind(path)
    if is_torch_file(path):
        check({})
        return read_torch_file(path), {}
    safetensors = require("safetensors", "a file of weights")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:  # checks the header against the size of the file
            notes = file.metadata() or {}
            check(notes)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        for array in arrays.values():
            if not _DTYPES.fullmatch(array.dtype.name):  # bfloat16, if another package has added it to NumPy
                raise TypeError(array.dtype.name)
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: {_diagnosis(path, error)}") from None
    except (TypeError, KeyError, AttributeError) as error:  # a type such as bfloat16
        raise CheckpointError(
            f"{path}: holds a data type that NumPy lacks ({error}); convert it to float32 where it was saved."
        ) from None
    except MemoryError:
        raise CheckpointError(f"{path}: its {path.stat().st_size:,} bytes do not fit into memory.") from None
    except CheckpointError:
        raise
    except Exception as error:  # NumPy's, for an array that it cannot hold, such as one of 65 axes
        raise CheckpointError(f"{path}: {_diagnosis(path, error)}") from None
    if notes.get("format", "").startswith("minigan ") or "sha256" in notes:
        stored = notes.pop("sha256", "none")
        if stored != _digest(arrays, notes):
            reason = f"its SHA-256 is not the one in its metadata ({stored[:12]})"
            raise CheckpointError(f"{path}: changed since it was saved: {reason}; {REMEDY}.")
    return arrays, notes


def _digest(arrays: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> str:
    """SHA-256, in hexadecimal, of the metadata, then of the name, type, shape and bytes of each array."""
    sha = hashlib.sha256(json.dumps(sorted(notes.items())).encode())
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        sha.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return sha.hexdigest()


def _storable(path: Path, name: str, array: Any) -> np.ndarray:
    """The array in logical C order and native byte order."""
    array = np.asarray(array)
    if not _DTYPES.fullmatch(array.dtype.name):
        raise CheckpointError(f"{path}: not saved: {name!r} is of type {array.dtype}; the file can hold only "
                              "numbers.")
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")  # ascontiguousarray would turn () into (1,)


def _serialised(arrays: dict[str, np.ndarray], notes: dict[str, str]) -> bytes:
    """The contents of the file, the same for the same arrays and notes.

    Why   The safetensors package writes metadata in the random order of a hash map, so that files of equal runs would
          differ; so sorted metadata are inserted into the header afterwards.
    """
    contents: bytes = require("safetensors.numpy", "a file of weights").save(arrays)
    end = 8 + int.from_bytes(contents[:8], "little")
    header = {"__metadata__": dict(sorted(notes.items())), **json.loads(contents[8:end])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + contents[end:]


def _diagnosis(path: Path, error: Exception) -> str:
    """The problem, with numbers, of a file that safetensors cannot read, and the remedy."""
    try:
        with path.open("rb") as file:
            size, prefix = os.fstat(file.fileno()).st_size, file.read(8)
            length = int.from_bytes(prefix, "little")
            if size < 8 or length > size - 8:
                start = f"only {size} bytes" if size < 8 else f"{size:,} bytes, but its header would have {length:,}"
                return f"truncated, or not a safetensors file: {start}; {REMEDY}."
            header = json.loads(file.read(length))  # no more than the file holds
            end = 8 + length + max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
    except OSError as problem:
        return f"cannot be read ({problem.strerror or problem}); check the name."
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return f"not a safetensors file, or its header is damaged ({error}); {REMEDY}."
    if size < end:
        return f"truncated: its header describes {end:,} bytes, but the file has {size:,}; {REMEDY}."
    return f"damaged: {size:,} bytes, of which the header describes {end:,} ({error}); {REMEDY}."
