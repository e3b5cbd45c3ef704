"""Any nesting of dicts, lists, arrays, numbers and text in one safetensors file: what a run needs to continue.

    {"generator": {"0.weight": array}, "steps": 60}    the arrays under the names "generator/0.weight", and a note
    {"generator": {"0.weight": {"array": "generator/0.weight"}}, "steps": {"value": 60}}    that says where they belong

Nothing is pickled, so a file from elsewhere can lie but not act. The format has a number: a file of an older one is
brought up to date by the functions in MIGRATIONS, one of a newer one is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint import weights
from minigan.errors import CheckpointError

VERSION = 1
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # by version: its state to that of the next one
_FORMAT = "minigan checkpoint "


class RefusedError(CheckpointError):
    """A whole file that is not for us: of a newer format, or no checkpoint at all."""


def save_state(path: str | os.PathLike[str], state: Mapping[str, Any], metadata: Mapping[str, str] | None = None
               ) -> None:
    """Keep a state: dicts with text as keys, lists, arrays, numbers, text, booleans, None, in any nesting.

    Raises CheckpointError for anything else in it, named by its place, and when the file cannot be written; what was
    there before is then intact.
    """
    path, arrays = Path(path), {}

    def described(value: Any, place: str) -> Any:
        if isinstance(value, Mapping):
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise CheckpointError(f"{path}: not saved: {place or 'the state'} has the key {wrong[0]!r}; keys are "
                                      "text.")
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
        raise CheckpointError(f"{path}: not saved: {place} is a {type(value).__name__}; a checkpoint holds dicts, "
                              "lists, arrays, numbers and text.")

    tree = json.dumps(described(state, ""))
    weights.write(path, arrays, {**(metadata or {}), "format": f"{_FORMAT}{VERSION}", "tree": tree})


def load_state(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The state and the metadata given to `save_state`, verified; no more memory is taken than the file's size allows.

    Raises CheckpointError, naming the file, what is wrong and what to do, when it is missing, truncated, changed since
    it was saved, not a checkpoint, or of a newer format.
    """
    path = Path(path)
    arrays, notes = weights.read(path, lambda notes: _check_format(path, notes))
    if "tree" not in notes or "format" not in notes:
        raise RefusedError(f"{path}: no run can continue from it: it holds arrays only, no state of a run")
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
    """Whether this program can continue from a file with these notes, before its arrays are read."""
    version = _version(notes.get("format", ""))
    if version is None:
        raise RefusedError(f"{path}: no run can continue from it: it holds {notes.get('format', 'arrays')!r}, not a "
                           "checkpoint")
    if version > VERSION:
        raise RefusedError(f"{path}: a newer minigan wrote it, in format {version}; this one reads up to {VERSION}: "
                           "update minigan")
    if missing := [number for number in range(version, VERSION) if number not in MIGRATIONS]:
        raise RefusedError(f"{path}: of format {version}, which this minigan no longer reads (nothing leads on from "
                           f"{missing[0]}); continue with the version that wrote it")


def _version(format_: str) -> Any:
    """The number in a file's format, None if it is no checkpoint's."""
    number = format_.removeprefix(_FORMAT)
    return int(number) if format_.startswith(_FORMAT) and number.isdecimal() and len(number) < 9 else None


def _escaped(key: str) -> str:
    """A key without slashes, so that places are unambiguous (as in JSON pointers)."""
    return key.replace("~", "~0").replace("/", "~1")
