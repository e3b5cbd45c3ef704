"""Several runs on one page: their curves in one picture, their last samples, scores and settings side by side."""

from __future__ import annotations

__all__ = ["compare_page"]

import base64
import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minigan.checkpoint import write_atomically
from minigan.data.paths import user_path
from minigan.report.page import Pictures, sheets_of
from minigan.report.page_template import STYLE
from minigan.report.records import best_row, read_config, read_scores, rows_of
from minigan.report.runs import drawn_curves
from minigan.report.words import leaves, state

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
.runs {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 20px; }}
.curves {{ background: #fff; padding: 8px; }}
</style>
</head>
<body>
<main>
<header><h1>{title}</h1></header>
<section class="card whole"><h2>Last samples</h2><div class="runs">{samples}</div></section>
<section class="card whole"><h2>Curves</h2><img class="curves" src="{curves}" alt="curves of all runs"></section>
{scores}
<section class="card whole"><h2>What differs</h2>{settings}</section>
</main>
</body>
</html>
"""


def compare_page(runs: Mapping[str, Path], settings: Sequence[Sequence[str]], path: str | os.PathLike[str]) -> None:
    """Write a page, in one file, about several runs.

    Args:
        runs: their folders, by the names to show.
        settings: what differs between them: a row has a name, then a text for each run.
        path: the page, *.html.

    Raises:
        DataError: a run cannot be read, or none has a metric. ModuleNotFoundError: matplotlib is missing.
        OSError: the page cannot be written.
    """
    metrics = {name: rows_of(folder, "metrics.jsonl") for name, folder in runs.items()}
    curves = base64.b64encode(drawn_curves(metrics)).decode()
    samples = [_samples(name, folder, metrics[name]) for name, folder in runs.items()]
    scores = _scores({name: _measured(folder) for name, folder in runs.items()})
    differences = _table(list(runs), settings) if settings else "<p>Nothing: all settings are equal.</p>"
    page = _PAGE.format(title=html.escape(" and ".join(runs)), style=STYLE, samples="".join(samples),
                        curves=f"data:image/png;base64,{curves}", scores=scores,
                        settings=differences)
    write_atomically(user_path(path), page.encode("utf-8", "backslashreplace"))


def _samples(name: str, folder: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """The last sample grid of a run, and how far it came."""
    pictures = Pictures(folder)
    sheets = sheets_of(pictures, rows)
    image = f'<img class="pixels" src="{sheets[-1]["src"]}" alt="samples">' if sheets else ""
    words = [state(int(rows[-1].get("step", len(rows))) if rows else 0, read_config(folder).get("steps")),
             *pictures.left_out]
    return f"<figure>{image}<figcaption>{html.escape(name)}: {html.escape('; '.join(words))}</figcaption></figure>"


def _measured(folder: Path) -> dict[str, Any]:
    """The scores of a run: those with the smallest Frechet distance while training, else those measured afterwards."""
    return dict(best_row(rows_of(folder, "scores.jsonl")) or leaves(read_scores(folder)))


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    names = dict.fromkeys(key for row in scores.values() for key in row)
    rows = [[name.replace("_", " "), *(_shown(row.get(name)) for row in scores.values())] for name in names]
    return f'<section class="card whole"><h2>Scores</h2>{_table(list(scores), rows)}</section>' if rows else ""


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        first, *others = (html.escape(cell) for cell in cells)
        return f"<tr><th>{first}</th>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in others) + "</tr>"

    table = line(["", *heads], "th") + "".join(line(row, "td") for row in rows)
    return f'<div class="scroll"><table>{table}</table></div>'
