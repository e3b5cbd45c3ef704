"""`python -m minigan runs`: the runs there are; `python -m minigan compare A B`: their curves together."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minigan import report
from minigan.checkpoint import Series
from minigan.errors import DataError, MiniganError, OptionError
from minigan.run.folder import ABOUT_NOW, read_config

ROW = "{:<28} {:>15} {:>11}  {:<22} {}"


def runs(arguments: Sequence[str] | None = None) -> None:
    """List the runs in a folder: how far each is, from which step it would continue, its score or last losses."""
    parser = argparse.ArgumentParser(prog="python -m minigan runs", description=runs.__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs"), help="where to look "
                        "(default: %(default)s)")
    folder = parser.parse_args(arguments).folder
    found = sorted(path.parent for path in folder.glob("*/config.json")) if folder.is_dir() else []
    if not found:
        raise DataError(f"{folder}: there are no runs in it; train one, or name another folder")
    print(ROW.format("run", "steps", "checkpoint", "score", "now"))
    for run in found:
        print(described(run))


def described(run: Path) -> str:
    """A line about a run."""
    try:
        config = read_config(run)
        rows = report.read_rows(run / "metrics.jsonl") if (run / "metrics.jsonl").exists() else []
        scores = report.read_rows(run / "scores.jsonl") if (run / "scores.jsonl").exists() else []
    except MiniganError as error:
        return ROW.format(run.name, "", "", "", f"damaged: {error}")
    done, planned = rows[-1].get("step", len(rows)) if rows else 0, config.get("steps")
    steps = f"{done:,} of {planned:,}" if isinstance(planned, int) else f"{done:,}"
    kept = Series(run / "checkpoints").steps()
    best = min(scores, key=lambda row: row["frechet"], default=None)
    score = f"{best['frechet']:.2f} at step {best['step']:,}" if best else ""
    now = "  ".join(f"{key} {value:.3f}" for key, value in (rows[-1] if rows else {}).items()
                    if isinstance(value, float))
    return ROW.format(run.name, steps, f"{kept[-1]:,}" if kept else "none", score, now).rstrip()


def compare(arguments: Sequence[str] | None = None) -> None:
    """Draw the curves of two to six runs together, and say in which options they differ."""
    parser = argparse.ArgumentParser(prog="python -m minigan compare", description=compare.__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--out", type=Path, default=Path("compared.png"), help="the picture (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not 2 <= len(options.runs) <= 6:
        raise OptionError(f"compare: needs two to six runs, not {len(options.runs)}")
    configs = {str(run): read_config(run)["options"] for run in options.runs}
    if len(configs) < len(options.runs):
        raise OptionError("compare: the same run twice")
    report.run_curves({run: report.read_rows(Path(run) / "metrics.jsonl") for run in configs}, options.out)
    print(differences(configs))
    print(f"written to {options.out}")


def differences(configs: dict[str, dict[str, Any]]) -> str:
    """A line an option in which runs differ: its value in each."""
    keys = sorted({key for config in configs.values() for key in config} - {*ABOUT_NOW, "out"})
    missing = "not there"
    lines = []
    for key in keys:
        values = [config.get(key, missing) for config in configs.values()]
        if any(value != values[0] for value in values):
            lines.append(f"--{key.replace('_', '-'):<20} " + "  ".join(
                value if value is missing else json.dumps(value) for value in values))
    return "\n".join([f"{'':<22} " + "  ".join(configs), *lines] if lines else ["their options are the same"])
