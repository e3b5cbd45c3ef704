"""The one door for the JSON files of a run, which may come from a stranger: what passes has the types given here.

    config.json                      options, steps, data, device, versions, in_force, caption, sessions
    scores.json                      numbers and texts by name, nested
    metrics.jsonl, scores.jsonl      a step per line, numbers by name
    events.jsonl                     an event per line
    judged.jsonl                     a step per line, with D's outputs for real pictures and for generated ones

The checks are written by hand: a run must be readable with NumPy alone, so a package for schemas would have to be
optional; and sizes, depths, long numbers and keys given twice would need checks of our own with one, too.
"""

from __future__ import annotations

__all__ = ["best_row", "read_config", "read_rows", "read_scores", "rows_of"]

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minigan.checkpoint import inside
from minigan.data.paths import user_path
from minigan.errors import DataError

MOST_STEPS = 10**12 - 1  # the names of checkpoints have twelve digits
MOST_CONFIG, MOST_ROWS = 4 << 20, 1 << 30  # bytes of config.json, and of a file of rows: about ten million steps
MOST_DIGITS = 20  # of a whole number: seeds go up to 2^64
LARGEST = 1e100  # magnitude of a metric: sums and differences of such numbers are finite
LARGEST_AMOUNT = 10**12  # seconds, or images per second
MOST_OUTPUTS = 1024  # of D, in a row of judged.jsonl
MOST_TEXT = 10_000  # characters in a text that is shown

Check = Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_step(value: Any) -> bool:
    return _is_whole(value) and 0 <= value <= MOST_STEPS


def _is_number(value: Any) -> bool:
    """Whether it is a number, NaN, or infinity: a run that diverges records these."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= LARGEST or value != value or value in (float("inf"), float("-inf"))


def _is_amount(value: Any) -> bool:
    """Whether it is a number that can be added up and rounded: a time, a speed."""
    return _is_number(value) and 0 <= value <= LARGEST_AMOUNT


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT


def _is_option(value: Any) -> bool:
    plain = (str, int, float, bool, type(None))
    return isinstance(value, plain) or (isinstance(value, list) and all(isinstance(part, plain) for part in value))


_STEP = f"a whole number from 0 to {MOST_STEPS:,}"
_TEXT = f"text of at most {MOST_TEXT:,} characters"
_PLAIN = "text, a number, true, false, null, or a list of these"
_NUMBER = f"a number of magnitude up to {LARGEST:g}"
_AMOUNT = f"a number from 0 to {LARGEST_AMOUNT:,}"
_CONFIG: dict[str, tuple[Check, str]] = {
    "options": (lambda value: isinstance(value, dict), "an object"),
    "steps": (_is_step, _STEP),
    "data": (lambda value: isinstance(value, list) and all(isinstance(part, dict) for part in value),
             "a list of objects"),
    "device": (_is_text, _TEXT),
    "versions": (lambda value: isinstance(value, dict), "an object"),
    "in_force": (lambda value: isinstance(value, dict), "an object"),
    "caption": (_is_text, _TEXT),
    "sessions": (lambda value: isinstance(value, list) and all(isinstance(part, dict) for part in value),
                 "a list of objects"),
}
_SESSION: dict[str, tuple[Check, str]] = {
    "steps": (_is_step, _STEP), "seconds": (_is_amount, _AMOUNT), "images_per_second": (_is_amount, _AMOUNT)}
_DATA: dict[str, tuple[Check, str]] = {
    "name": (_is_text, _TEXT), "source": (_is_text, _TEXT), "images": (_is_step, _STEP), "credit": (_is_text, _TEXT),
    "crc32": (lambda value: value is None or _is_step(value), "a whole number or null"),
}
_OUTPUTS = f"a list of at most {MOST_OUTPUTS} numbers"


def _is_outputs(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_OUTPUTS and all(map(_is_number, value))


_VIEW: dict[str, tuple[Check, str]] = {
    "step": (_is_step, _STEP), "real": (_is_outputs, _OUTPUTS), "fake": (_is_outputs, _OUTPUTS)}
_EVENT: dict[str, tuple[Check, str]] = {
    "step": (_is_step, _STEP), "event": (_is_text, _TEXT), "reason": (_is_text, _TEXT)}


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The contents of a run's config.json; `options` is there, the other parts may be missing.

    Raises:
        DataError: it is missing, no regular file, too large or damaged; the message names the key and what is expected.
    """
    folder = user_path(folder)
    path = folder / "config.json"
    config = _parsed(_text(folder, path.name, MOST_CONFIG), f"{path}: damaged")
    if "options" not in config:
        raise DataError(f"{path}: damaged: the key options is missing; restore it or train again")
    _check(config, _CONFIG, f"{path}: damaged: ")
    for name, value in config["options"].items():
        _require(_is_option(value), f"{path}: damaged: options.{name}", value, _PLAIN)
    for number, part in enumerate(config.get("data", [])):
        _check(part, _DATA, f"{path}: damaged: data[{number}].")
    for number, part in enumerate(config.get("sessions", [])):
        _check(part, _SESSION, f"{path}: damaged: sessions[{number}].")
    _check_force(config.get("in_force", {}), f"{path}: damaged: in_force")
    for name, value in config.get("versions", {}).items():
        _require(value is None or _is_text(value), f"{path}: damaged: versions.{name}", value, _TEXT)
    return config


def _check_force(settings: Mapping[str, Any], place: str) -> None:
    """What was trained with: values by name, and such objects for optimizers and parameters."""
    for name, value in settings.items():
        if name == "optimizers":
            _require(isinstance(value, dict) and all(isinstance(part, dict) for part in value.values()),
                     f"{place}.{name}", value, "an object of objects")
            for part, rates in value.items():
                _check_force(rates, f"{place}.{name}.{part}")
        elif name == "parameters":
            _require(isinstance(value, dict) and all(map(_is_step, value.values())), f"{place}.{name}", value,
                     "an object of whole numbers")
        else:
            _require(_is_option(value), f"{place}.{name}", value, _PLAIN)


def read_scores(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The contents of a run's scores.json: what `minigan metrics` or an example measured at the end; {} without it.

    Raises:
        DataError: it is no regular file, too large, or not an object in JSON.
    """
    path = user_path(folder) / "scores.json"
    if not inside.check(path.parent, path.name):
        return {}
    return _parsed(_text(path.parent, path.name, MOST_CONFIG), f"{path}: damaged")


def read_rows(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, scores.jsonl, events.jsonl or judged.jsonl, which have one JSON object per line.

    A last line without a line end is left out: the run is still writing it, or was stopped while it did. Rows of
    metrics and scores hold numbers only, among them NaN and infinity; what `events` files hold is free.

    Raises:
        DataError: the file cannot be read, or another line is not such an object; the message names file, line, key,
            and what was expected.
    """
    path = user_path(path)
    schema = next((part for name, part in (("events", _EVENT), ("judged", _VIEW)) if path.name.startswith(name)), None)
    rows = []
    for number, line in enumerate(_text(path.parent, path.name, MOST_ROWS).split("\n")[:-1], start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}: "
        row = _parsed(line, place.rstrip(": "))
        if schema is not None:
            _check(row, schema, place)
        else:
            for key, value in row.items():
                is_step = key in ("step", "epoch")
                _require(_is_step(value) if is_step else _is_number(value), place + key, value,
                         _STEP if is_step else _NUMBER)
        rows.append(row)
    return rows


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of one of a run's files, none if it is missing. Raises as `read_rows`."""
    return read_rows(folder / name) if inside.check(folder, name) else []


def best_row(scores: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row of scores.jsonl with the smallest finite Frechet distance; None if no row has one."""
    finite = [row for row in scores if math.isfinite(row.get("frechet", math.nan))]
    return min(finite, key=lambda row: row["frechet"], default=None)


def _text(folder: Path, name: str, most: int) -> str:
    try:
        return inside.read(folder, name, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{folder / name}: cannot be read as UTF-8 ({error.reason} at byte {error.start:,})") from None


def _parsed(text: str, place: str) -> dict[str, Any]:
    """The object that a JSON text describes."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_whole)
    except RecursionError:
        raise DataError(f"{place}: not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{place}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise DataError(f"{place}: {type(value).__name__} instead of an object with keys")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return result


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits; expected are at most {MOST_DIGITS}")
    return int(digits)


def _check(values: Mapping[str, Any], schema: Mapping[str, tuple[Check, str]], place: str) -> None:
    for key, (is_valid, expected) in schema.items():
        if key in values:
            _require(is_valid(values[key]), place + key, values[key], expected)


def _require(is_valid: bool, place: str, value: Any, expected: str) -> None:
    if not is_valid:
        shown = json.dumps(value)
        raise DataError(f"{place} is {shown if len(shown) <= 40 else shown[:37] + '...'}; expected {expected}")
