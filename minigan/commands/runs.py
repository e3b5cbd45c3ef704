"""List the runs in a folder, or one run: steps done, last checkpoint, best score, last losses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from minigan.data.paths import user_path
from minigan.run import listing


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per run."""
    parser = argparse.ArgumentParser(prog="python -m minigan runs", description=__doc__)
    parser.add_argument("folder", nargs="?", type=user_path, default=Path("runs"), help="where to look "
                        "(default: %(default)s)")
    folder = parser.parse_args(arguments).folder
    runs = listing.runs_in(folder)
    print(listing.HEADER)
    for run in runs:
        print(listing.summary(run, str(run.relative_to(folder)) if run != folder else folder.resolve().name))
