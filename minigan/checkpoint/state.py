"""The state of a run in one safetensors file: any nesting of dicts, lists, arrays, numbers and text.

    state   {"generator": {"0.weight": array}, "steps": 60}
    arrays  {"generator/0.weight": array}
    tree    {"dict": {"generator": {"dict": {"0.weight": {"array": "generator/0.weight"}}}, "steps": {"value": 60}}}

The tree is JSON in the file's metadata. Nothing is pickled, so a file from elsewhere cannot run code. The format has a
number: files in older formats are converted by the functions in MIGRATIONS, files in newer ones are refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint import weights
from minigan.data.paths import user_path
from minigan.errors import CheckpointError

VERSION = 1
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # version: its state to the next version's
_FORMAT = "minigan checkpoint "


class RefusedError(CheckpointError):
    """An undamaged file that cannot be read: in a newer format, or not a checkpoint."""


def save_state(path: str | os.PathLike[str], state: Mapping[str, Any], metadata: Mapping[str, str] | None = None
               ) -> None:
    """Save a state: dicts with text as keys, lists, arrays, numbers, text, booleans, None, in any nesting.

    Raises CheckpointError, with the place, for anything else in the state, and if the file cannot be written; an
    earlier file is then intact.
    """
    path, arrays = user_path(path), {}

    def described(value: Any, place: str) -> Any:
        if isinstance(value, Mapping):
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise CheckpointError(f"{path}: not saved: {place or 'the state'} has the key {wrong[0]!r}; keys must "
                                      "be text.")
            return {"dict": {key: described(item, f"{place}/{_escaped(key)}" if place else _escaped(key))
                             for key, item in value.items()}}
        if isinstance(value, list):
            return {"list": [described(item, f"{place}/{number}") for number, item in enumerate(value)]}
        if isinstance(value, np.ndarray):
            arrays[place] = value
            return {"array": place}
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or isinstance(value, (bool, int, float, str)):
            return {"value": value}
        raise CheckpointError(f"{path}: not saved: {place} is a {type(value).__name__}; a checkpoint can hold "
                              "dicts, lists, arrays, numbers and text.")

    tree = json.dumps(described(state, ""))
    weights.write(path, arrays, {**(metadata or {}), "format": f"{_FORMAT}{VERSION}", "tree": tree})


def load_state(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The state and the metadata given to `save_state`, verified; needs no more memory than the file's size.

    Raises CheckpointError, with the file, the problem and the remedy, if the file is missing, truncated, changed since
    it was saved, not a checkpoint, or in a newer format.
    """
    path = user_path(path)
    arrays, notes = weights.read(path, lambda notes: _check_format(path, notes))
    if "tree" not in notes or "format" not in notes:
        raise RefusedError(f"{path}: no run can continue from it: it holds arrays only, not the state of "
                           "a run")
    try:
        state = _rebuilt(json.loads(notes.pop("tree")), arrays)
        for version in range(_version(notes.pop("format")), VERSION):
            state = MIGRATIONS[version](state)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its description does not fit its arrays ({type(error).__name__}: {error}); "
                              f"{weights.REMEDY}.") from None
    return state, notes


def _rebuilt(described: Any, arrays: dict[str, np.ndarray]) -> Any:
    (kind, content), = described.items()
    if kind == "dict":
        return {key: _rebuilt(item, arrays) for key, item in content.items()}
    if kind == "list":
        return [_rebuilt(item, arrays) for item in content]
    return arrays[content] if kind == "array" else content


def _check_format(path: Path, notes: Mapping[str, str]) -> None:
    """Raise RefusedError unless a file with these notes can be read; called before its arrays are read."""
    version = _version(notes.get("format", ""))
    if version is None:
        raise RefusedError(f"{path}: no run can continue from it: it holds {notes.get('format', 'arrays')!r}, not a "
                           "checkpoint")
    if version > VERSION:
        raise RefusedError(f"{path}: a newer minigan wrote it, in format {version}; this one reads up to {VERSION}: "
                           "update minigan")
    if missing := [number for number in range(version, VERSION) if number not in MIGRATIONS]:
        raise RefusedError(f"{path}: in format {version}, which this minigan no longer reads (no migration from "
                           f"{missing[0]}); continue with the version that wrote it")


def _version(format_: str) -> Any:
    """The version in a file's format, or None if it is not that of a checkpoint."""
    number = format_.removeprefix(_FORMAT)
    return int(number) if format_.startswith(_FORMAT) and number.isdecimal() and len(number) < 9 else None


def _escaped(key: str) -> str:
    """A key with slashes escaped, as in JSON pointers, so that paths are unambiguous."""
    return key.replace("~", "~0").replace("/", "~1")
