"""The curves of several runs in one picture: one panel per metric, one colour per run, dashed after six."""

from __future__ import annotations

__all__ = ["run_curves"]

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.data.paths import user_path
from minigan.errors import DataError, OptionError
from minigan.report.canvas import PALETTE, drawing, named_legend, plain
from minigan.report.curves import Row, limits, series_of, sliding_mean

NAMES = {"d_loss": "discriminator's loss", "g_loss": "generator's loss", "d_real": "D(x), real",
         "d_fake": "D(G(z)), generated", "wasserstein": "Wasserstein estimate", "penalty": "gradient penalty",
         "clipped": "share of clipped weights", "g_slope": "gradient at G's output",
         "side": "side of the images", "alpha": "weight of the new block"}


def run_curves(runs: Mapping[str, Sequence[Row]], out_path: str | os.PathLike[str]) -> None:
    """Draw every metric of several runs, given by name, into a PNG file: faint values, strong sliding means.

    Raises:
        OptionError: a name that does not end in .png. DataError: no run has a metric.
        ModuleNotFoundError: matplotlib is missing. OSError: the file cannot be written.
    """
    if Path(out_path).suffix != ".png":
        raise OptionError(f"run_curves: the picture is a PNG, so name it *.png, not {Path(out_path).name!r}.")
    write_atomically(user_path(out_path), drawn_curves(runs))


def drawn_curves(runs: Mapping[str, Sequence[Row]]) -> bytes:
    """The picture of `run_curves`. Raises DataError: no run has a metric."""
    keys = metrics_of(row for rows in runs.values() for row in rows[:1])
    if not keys:
        raise DataError(f"none of the runs has a metric yet: {', '.join(runs)}")
    return _render(runs, keys)


def metrics_of(rows: Any) -> list[str]:
    """The names of the metrics in rows, in the order of their first appearance."""
    return list(dict.fromkeys(key for row in rows for key, value in row.items() if isinstance(value, float)))


def _render(runs: Mapping[str, Sequence[Row]], keys: Sequence[str]) -> bytes:
    columns = min(2, len(keys))
    high = math.ceil(len(keys) / columns)
    with drawing(4.8 * columns, 2.2 * high + 0.4 + 0.2 * len(runs)) as sheet:
        figure = sheet.figure
        handles: dict[str, Any] = {}
        panels = np.ravel(figure.subplots(high, columns, sharex=True, squeeze=False))
        for panel, key in zip(panels, keys, strict=False):
            panel.set_title(NAMES.get(key) or plain(key))
            handles |= _lines(panel, runs, key)
        for panel in panels[len(keys) :]:
            panel.set_visible(False)
        for panel in panels[max(0, len(keys) - columns) : len(keys)]:
            panel.set_xlabel("step")
            panel.tick_params(labelbottom=True)
        in_order = {name: handles[name] for name in runs if name in handles}
        named_legend(figure, in_order, loc="outside upper left", frameon=False, ncols=1)
    return sheet.png


def _lines(panel: Any, runs: Mapping[str, Sequence[Row]], key: str) -> dict[str, Any]:
    """One metric, for all runs that have it; returns their strong lines by name."""
    shown, lines = [], {}
    looks = itertools.product(("-", "--", ":", "-."), PALETTE)
    for (name, rows), (style, colour) in zip(runs.items(), itertools.cycle(looks), strict=False):
        steps, values = series_of(list(rows), (key,))
        if not len(values):
            continue
        shown.append(values)
        window = len(values) // 40 | 1  # odd, so that the mean has a centre
        if window > 1:
            panel.plot(steps, values, color=colour, alpha=0.2, linewidth=0.5)
        (lines[name],) = panel.plot(steps, sliding_mean(values, window), style, color=colour, linewidth=1.4)
    panel.margins(x=0.01)
    if shown:
        panel.set_ylim(*limits(shown))
    return lines
