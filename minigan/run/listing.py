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
DEEPEST = 3  # folders between that of all runs and a run: some examples make several runs, one beside the other
HEADER = ROW.format("run", "steps", "checkpoint", "score", "now")


def runs_in(folder: Path) -> list[Path]:
    """The folders of the runs in a folder, in alphabetical order.

    Raises:
        DataError: there are none.
    """
    runs = sorted(path.parent for depth in range(1, DEEPEST + 1) for path in folder.glob("*/" * depth + "config.json")
                  ) if folder.is_dir() else []
    if not runs:
        raise DataError(f"{folder}: there are no runs in it; train one, or name another folder")
    return runs


def summary(run: Path, name: str | None = None) -> str:
    """One line under HEADER: the steps done, the step --resume would continue from, the best score, the last losses.

    The score is the best of those measured while training (scores.jsonl), or the one measured afterwards (scores.json).
    """
    name = name or run.name
    try:
        config = read_config(run)
        rows = report.read_rows(run / "metrics.jsonl") if (run / "metrics.jsonl").exists() else []
        scores = report.read_rows(run / "scores.jsonl") if (run / "scores.jsonl").exists() else []
    except MiniganError as error:
        return ROW.format(name, "", "", "", f"damaged: {error}")
    done, planned = rows[-1].get("step", len(rows)) if rows else 0, config.get("steps")
    steps = f"{done:,} of {planned:,}" if isinstance(planned, int) else f"{done:,}"
    saved = Series(run / "checkpoints").steps()
    best = min(scores, key=lambda row: row["frechet"], default=None)
    score = f"{best['frechet']:.2f} at step {best['step']:,}" if best else _measured_afterwards(run / "scores.json")
    now = "  ".join(f"{key} {value:.3f}" for key, value in (rows[-1] if rows else {}).items()
                    if isinstance(value, float))
    return ROW.format(name, steps, f"{saved[-1]:,}" if saved else "none", score, now).rstrip()


def _measured_afterwards(path: Path) -> str:
    """The Frechet distance that `minigan metrics` wrote, or nothing."""
    try:
        return f"{json.loads(path.read_text(encoding='utf-8'))['scores']['frechet']:.2f} at the end"
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def described(config: dict[str, Any]) -> dict[str, Any]:
    """What tells a run from others: its options, as on the command line, and what was in force where none was given.

    >>> described({"options": {"lr": None}, "in_force": {"latent": 100, "optimizers": {"g_optimizer": {"lr": 2e-4}}}})
    {'--lr': None, 'latent': 100, 'g_optimizer lr': 0.0002}
    """
    force = dict(config.get("in_force", {}))  # runs of 0.1.0 have none
    optimizers = force.pop("optimizers", {})
    options = {name: value for name, value in config["options"].items() if name not in (*ABOUT_NOW, "out")}
    return {**{f"--{name.replace('_', '-')}": value for name, value in options.items()},
            **{name: value for name, value in force.items() if name not in options},
            **{f"{part} {key}": value for part, rates in optimizers.items() for key, value in rates.items()}}


def differences(runs: dict[str, dict[str, Any]]) -> str:
    """A table of what differs between runs, given by name as `described`: one line per value, one column per run."""
    missing, rows = "not there", []
    for name in dict.fromkeys(name for run in runs.values() for name in run):
        values = [run.get(name, missing) for run in runs.values()]
        if any(value != values[0] for value in values):
            rows.append([name, *(value if value is missing else json.dumps(value) for value in values)])
    if not rows:
        return "their options are the same"
    table = [["", *runs], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)
