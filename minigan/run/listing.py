"""Runs side by side: one line for each, and the options in which they differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minigan import report
from minigan.checkpoint import Series
from minigan.errors import DataError, MiniganError
from minigan.run.folder import ABOUT_NOW, read_config

ROW = "{:<28} {:>15} {:>11}  {:<22} {}"
HEADER = ROW.format("run", "steps", "checkpoint", "score", "now")


def runs_in(folder: Path) -> list[Path]:
    """The folders of the runs in a folder, in alphabetical order.

    Raises:
        DataError: there are none.
    """
    runs = sorted(path.parent for path in folder.glob("*/config.json")) if folder.is_dir() else []
    if not runs:
        raise DataError(f"{folder}: there are no runs in it; train one, or name another folder")
    return runs


def summary(run: Path) -> str:
    """One line under HEADER: the steps done, the step --resume would continue from, the best score, the last losses."""
    try:
        config = read_config(run)
        rows = report.read_rows(run / "metrics.jsonl") if (run / "metrics.jsonl").exists() else []
        scores = report.read_rows(run / "scores.jsonl") if (run / "scores.jsonl").exists() else []
    except MiniganError as error:
        return ROW.format(run.name, "", "", "", f"damaged: {error}")
    done, planned = rows[-1].get("step", len(rows)) if rows else 0, config.get("steps")
    steps = f"{done:,} of {planned:,}" if isinstance(planned, int) else f"{done:,}"
    saved = Series(run / "checkpoints").steps()
    best = min(scores, key=lambda row: row["frechet"], default=None)
    score = f"{best['frechet']:.2f} at step {best['step']:,}" if best else ""
    now = "  ".join(f"{key} {value:.3f}" for key, value in (rows[-1] if rows else {}).items()
                    if isinstance(value, float))
    return ROW.format(run.name, steps, f"{saved[-1]:,}" if saved else "none", score, now).rstrip()


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
