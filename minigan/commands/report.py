"""Rebuild a run's report.html: one page with its samples, curves, scores and options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minigan.data.paths import printable, user_path
from minigan.report import report_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, and print where it is and its size."""
    parser = argparse.ArgumentParser(prog="python -m minigan report", description=__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="folder of the run")
    path = report_page(parser.parse_args(arguments).run)
    print(printable(f"{path}: {path.stat().st_size:,} bytes"))
