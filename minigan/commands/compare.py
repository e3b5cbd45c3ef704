"""Draw the curves of two to six runs in one picture; print the options in which the runs differ."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from minigan import report
from minigan.errors import OptionError
from minigan.run.folder import read_config
from minigan.run.listing import described, differences
from minigan.run.shown import printable


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, and print a table of options."""
    parser = argparse.ArgumentParser(prog="python -m minigan compare", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--out", type=Path, default=Path("compared.png"), help="the picture (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not 2 <= len(options.runs) <= 6:
        raise OptionError(f"compare: needs two to six runs, not {len(options.runs)}")
    runs = {printable(run): described(read_config(run)) for run in options.runs}
    if len(runs) < len(options.runs):
        raise OptionError("compare: one run was named twice")
    rows = (report.read_rows(run / "metrics.jsonl") for run in options.runs)
    report.run_curves(dict(zip(runs, rows, strict=True)), options.out)
    print(differences(runs))
    print(f"written to {options.out}")
