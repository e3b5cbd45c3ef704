"""Runs side by side: one line for each, and the options in which they differ."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigan import report
from minigan.checkpoint import Series, inside
from minigan.errors import DataError, MiniganError
from minigan.run.folder import ABOUT_NOW, read_config
from minigan.run.shown import printable

ROW = "{:<28} {:>15} {:>11}  {:<22} {}"
HEADER = ROW.format("run", "steps", "checkpoint", "score", "now")


def runs_in(folder: Path) -> list[Path]:
    """The folders of the runs in a folder, in alphabetical order.

    Raises:
        DataError: there are none.
    """
    try:
        names = inside.names(folder) if folder.is_dir() else []
        runs = [folder / name for name in names if os.path.lexists(folder / name / "config.json")]
    except ValueError as error:  # a name with NUL
        raise DataError(f"{str(folder)!r}: cannot be read ({error})") from None
    if not runs:
        raise DataError(f"{folder}: there are no runs in it; train one, or name another folder")
    return runs


def summary(run: Path) -> str:
    """One line under HEADER: the steps done, the step --resume would continue from, the best score, the last losses."""
    remarks: list[str] = []

    def read(part: Callable[[], Any], default: Any) -> Any:
        try:
            return part()
        except MiniganError as error:  # one damaged file does not hide the others
            text = str(error)
            remarks.append(text if "damaged" in text else f"damaged: {text}")
            return default

    config = read(lambda: read_config(run), {})
    rows = read(lambda: _rows(run, "metrics.jsonl"), [])
    scores = read(lambda: _rows(run, "scores.jsonl"), [])
    done, planned = rows[-1].get("step", len(rows)) if rows else 0, config.get("steps")
    steps = f"{done:,} of {planned:,}" if isinstance(planned, int) else f"{done:,}"
    saved = read(lambda: Series(run / "checkpoints").steps() if inside.check(run, "checkpoints", "folder") else [], [])
    best = min((row for row in scores if np.isfinite(row.get("frechet", np.nan))), key=lambda row: row["frechet"],
               default=None)
    score = f"{best['frechet']:.2f}" + (f" at step {best['step']:,}" if "step" in best else "") if best else ""
    if len(scores) > sum("frechet" in row for row in scores):
        remarks.append("scores.jsonl has rows without frechet")
    now = "  ".join(f"{key} {value:.3f}" for key, value in (rows[-1] if rows else {}).items()
                    if isinstance(value, float))
    last = "  ".join([now] * bool(now) + [f"({remark})" for remark in remarks])
    return printable(ROW.format(run.name, steps, f"{saved[-1]:,}" if saved else "none", score, last)).rstrip()


def _rows(run: Path, name: str) -> list[dict[str, Any]]:
    return report.read_rows(run / name) if inside.check(run, name) else []


def differences(options: dict[str, dict[str, Any]]) -> str:
    """A table of the options in which runs differ: one line per option, one column per run.

    Args:
        options: those of each run, by the run's name.
    """
    names = sorted({name for of_run in options.values() for name in of_run} - {*ABOUT_NOW, "out"})
    missing = "not there"
    lines = []
    for name in names:
        values = [of_run.get(name, missing) for of_run in options.values()]
        if any(value != values[0] for value in values):
            lines.append(f"--{name.replace('_', '-'):<20} " + "  ".join(
                value if value is missing else json.dumps(value) for value in values))
    return "\n".join([f"{'':<22} " + "  ".join(options), *lines] if lines else ["their options are the same"])
