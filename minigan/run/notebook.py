"""What a notebook shows of a run: its newest samples while it trains, and at the end the folder as a small table."""

from __future__ import annotations

import html
import sys
from pathlib import Path
from typing import Any

from minigan import report
from minigan.checkpoint import inside
from minigan.engine.html import in_notebook, picture, table
from minigan.errors import DataError
from minigan.report.embedded import inline
from minigan.report.records import rows_of

MOST = 20 << 20  # bytes of a picture


class Pictures:
    """The newest sheet of samples, in one place of the notebook's output; elsewhere, nothing."""

    def __init__(self) -> None:
        self.place: Any = None

    def show(self, pixels: Any, step: int) -> None:
        """Show a sheet, uint8 (H, W) or (H, W, 3), in place of the one before."""
        if not in_notebook():
            return
        display = sys.modules["IPython"].display
        shown = display.HTML(f"<figure>{picture(pixels)}<figcaption>samples after step {step:,}</figcaption></figure>")
        if self.place is None:
            self.place = display.display(shown, display_id=True)
        else:
            self.place.update(shown)


class RunFolder(type(Path())):  # type: ignore[misc]  # the class of paths on this system
    """The path of a run's folder. A notebook shows the run: what it was, its last losses, its newest samples."""

    def _repr_html_(self) -> str | None:
        try:
            config, rows = report.read_config(self), rows_of(self, "metrics.jsonl")
            scores = report.read_scores(self)
        except (DataError, OSError):
            return None  # no run, such as a file in it: shown as a path
        facts = [("data", "; ".join(part.get("name", "") for part in config.get("data", []))),
                 ("steps", f"{len(rows):,} of {config.get('steps', 0):,}"),
                 *((key, f"{value:.4g}") for key, value in (rows[-1] if rows else {}).items()
                   if key not in ("step", "epoch") and isinstance(value, int | float)),
                 *((key, f"{value:.4g}") for key, value in scores.items() if isinstance(value, int | float))]
        return f"<div><b>{html.escape(str(self))}</b>{table(facts)}{_samples(self)}</div>"


def _samples(folder: Path) -> str:
    """The newest sheet of samples, or nothing."""
    try:
        names = [name for name in inside.names(folder, "samples") if name.endswith(".png")]
        newest = max(names, key=lambda name: (folder / "samples" / name).stat().st_mtime, default=None)
        return f'<img alt="samples" src="{inline(folder, f"samples/{newest}", MOST)}">' if newest else ""
    except (DataError, OSError):
        return ""
