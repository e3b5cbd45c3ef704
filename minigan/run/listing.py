"""Runs side by side: one line for each, and the options in which they differ."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minigan import report
from minigan.checkpoint import Series, inside
from minigan.data.paths import one_line
from minigan.errors import DataError, MiniganError
from minigan.run.folder import ABOUT_NOW, read_config
from minigan.run.manifest import FOLDERS

ROW = "{:<28} {:>15} {:>11}  {:<22} {}"
DEEPEST = 3  # folders between that of all runs and a run: some examples make several runs, one beside the other
HEADER = ROW.format("run", "steps", "checkpoint", "score", "now")


def runs_in(folder: Path) -> list[Path]:
    """The folders of the runs in a folder, in alphabetical order; if it is a run itself, it is the first.

    Raises:
        DataError: there are none.
    """
    try:
        itself = [folder] * os.path.lexists(folder / "config.json")
        runs = sorted([*itself, *_runs_below(folder, DEEPEST)]) if folder.is_dir() else []
    except ValueError as error:  # a name with NUL
        raise DataError(f"{str(folder)!r}: cannot be read ({error})") from None
    if not runs:
        raise DataError(f"{folder}: there are no runs in it; train one, or name another folder")
    return runs


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    names = inside.names(folder)
    own = FOLDERS if "config.json" in names else ()  # a run's own: pictures and checkpoints by the thousand, no runs
    for name in names:
        path = folder / name
        if name not in own and os.path.lexists(path / "config.json"):
            yield path
        if name not in own and depth > 1 and inside.kind(path) == "folder":
            yield from _runs_below(path, depth - 1)


def summary(run: Path, name: str | None = None) -> str:
    """One line under HEADER: the steps done, the step --resume would continue from, the best score, the last losses.

    The score is the best of those measured while training (scores.jsonl), or the one measured afterwards (scores.json).
    """
    remarks: list[str] = []

    def read(part: Callable[[], Any], default: Any) -> Any:
        try:
            return part()
        except MiniganError as error:  # one damaged file does not hide the others
            text = str(error)
            remarks.append(text if "damaged" in text else f"damaged: {text}")
            return default

    config = read(lambda: read_config(run), {})
    rows = read(lambda: report.rows_of(run, "metrics.jsonl"), [])
    scores = read(lambda: report.rows_of(run, "scores.jsonl"), [])
    measured = read(lambda: report.read_scores(run), {})
    done, planned = rows[-1].get("step", len(rows)) if rows else 0, config.get("steps")
    steps = "none" if planned == 0 else f"{done:,} of {planned:,}" if isinstance(planned, int) else f"{done:,}"
    saved = read(lambda: Series(run / "checkpoints").steps() if inside.check(run, "checkpoints", "folder") else [], [])
    if len(scores) > sum("frechet" in row for row in scores):
        remarks.append("scores.jsonl has rows without frechet")
    now = "  ".join(f"{key} {value:.3f}" for key, value in (rows[-1] if rows else {}).items()
                    if isinstance(value, float))
    last = "  ".join([now] * bool(now) + [f"({remark})" for remark in remarks])
    return one_line(ROW.format(name or run.name, steps, f"{saved[-1]:,}" if saved else "none",
                               _score(scores, measured), last)).rstrip()


def _score(scores: list[dict[str, Any]], measured: dict[str, Any]) -> str:
    """The smallest Frechet distance of the rows, else the one that `minigan metrics` wrote."""
    if best := report.best_row(scores):
        return f"{best['frechet']:.2f}" + (f" at step {best['step']:,}" if "step" in best else "")
    numbers = measured.get("scores")
    frechet = numbers.get("frechet") if isinstance(numbers, dict) else None
    return f"{frechet:.2f} at the end" if isinstance(frechet, float) else ""


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


def differing(runs: dict[str, dict[str, Any]]) -> list[list[str]]:
    """What differs between runs, given by name as `described`: rows of a name and the value of each run, as JSON."""
    missing, rows = "not there", []
    for name in dict.fromkeys(name for run in runs.values() for name in run):
        values = [run.get(name, missing) for run in runs.values()]
        if any(value != values[0] for value in values):
            rows.append([name, *(value if value is missing else json.dumps(value) for value in values)])
    return rows


def aligned(rows: list[list[str]]) -> str:
    """Rows as text, each column as wide as its longest entry.

    >>> print(aligned([["", "a", "b"], ["--lr", "0.5", "1"]]))
          a    b
    --lr  0.5  1
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
