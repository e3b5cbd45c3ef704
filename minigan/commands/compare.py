"""Two to six runs on one page: samples, curves, scores, settings; print the settings in which they differ."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from minigan import report
from minigan.data.paths import first_free, one_line, printable, user_path
from minigan.errors import OptionError
from minigan.run.folder import read_config
from minigan.run.listing import aligned, described, differing


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page or the picture, and print a table of settings."""
    parser = argparse.ArgumentParser(prog="python -m minigan compare", description=__doc__)
    parser.add_argument("runs", nargs="+", type=user_path, metavar="RUN", help="folder of a run")
    parser.add_argument("--out", type=user_path, default=Path("compared.html"), help="the page, or NAME.png for the "
                        "curves alone (default: %(default)s); a file that is there is kept, and NAME-2 written")
    options = parser.parse_args(arguments)
    if not 2 <= len(options.runs) <= 6:
        raise OptionError(f"compare: needs two to six runs, not {len(options.runs)}")
    runs = dict(zip(map(one_line, options.runs), options.runs, strict=True))
    if len(runs) < len(options.runs):
        raise OptionError("compare: one run was named twice")
    if options.out.suffix not in (".html", ".png"):
        raise OptionError(f"compare: --out {options.out} is neither a page, *.html, nor a picture, *.png")
    settings = differing({name: described(read_config(run)) for name, run in runs.items()})
    out = first_free(options.out, lambda path: not os.path.lexists(path), options.out.suffix)
    if out.suffix == ".png":
        report.run_curves({name: report.read_rows(run / "metrics.jsonl") for name, run in runs.items()}, out)
    else:
        report.compare_page(runs, settings, out)
    print(aligned([["", *runs], *settings]) if settings else "their settings are the same")
    print(f"written to {printable(out)}")
