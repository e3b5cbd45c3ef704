"""What each part of an algorithm contributes, on one page: one row per study, with pictures, losses and scores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.errors import OptionError
from minigan.report.canvas import BLUE, ORANGE, drawing, plain
from minigan.report.curves import sliding_mean

ROW = 1.45  # inches


class Study(NamedTuple):
    """One training with one thing changed.

    name      of what was changed
    rows      the metrics of each step, with d_a, d_b, g_a and g_b
    picture   uint8 (H, W) or (H, W, 3), see report.rows
    scores    by name, as fractions
    seconds   of training
    diverged  the step at which a number was not finite; "" if there was none
    """

    name: str
    rows: Sequence[Mapping[str, float]]
    picture: np.ndarray
    scores: Mapping[str, float]
    seconds: float
    diverged: str = ""


def ablation_table(studies: Sequence[Study], measures: Mapping[str, str]) -> str:
    """A Markdown table: one row per study, one column per score; then what the scores mean.

    >>> one = Study("as published", [], np.zeros((4, 4), np.uint8), {"kept": 0.951}, 60.0)
    >>> print(ablation_table([one, one._replace(name="lr 0.01", diverged="step 9")], {"kept": "share, 1 is best"}))
    | study | kept | seconds |
    |---|---|---|
    | as published | 0.951 | 60 |
    | lr 0.01 (diverged: step 9) | 0.951 | 60 |
    <BLANKLINE>
    kept: share, 1 is best.
    """
    lines = ["| study | " + " | ".join(measures) + " | seconds |", "|---" * (len(measures) + 2) + "|"]
    for study in studies:
        name = f"{study.name} (diverged: {study.diverged})" if study.diverged else study.name
        cells = [f"{study.scores[key]:.3f}" if key in study.scores else "-" for key in measures]
        lines.append(f"| {name} | {' | '.join(cells)} | {study.seconds:.0f} |")
    return "\n".join([*lines, "", "; ".join(f"{key}: {meaning}" for key, meaning in measures.items()) + "."])


def ablation_figure(studies: Sequence[Study], out_path: str | os.PathLike[str], rows: Sequence[str] = ()) -> None:
    """Write a PNG with each study's name and scores, its picture, and its losses by step.

    rows  names of the rows of each picture, written above the first

    Raises:
        OptionError: a name that does not end in .png, or no studies. ModuleNotFoundError: matplotlib is missing.
        OSError: the file cannot be written.
    """
    if Path(out_path).suffix != ".png" or not studies:
        raise OptionError(f"ablation_figure: needs at least one study (got {len(studies)}) and a name *.png for the "
                          f"picture, not {Path(out_path).name!r}.")
    write_atomically(out_path, _render(studies, rows))


def _render(studies: Sequence[Study], rows: Sequence[str]) -> bytes:
    with drawing(10.4, 0.5 + ROW * len(studies), legend_frameon=False, font_size=8.0) as sheet:
        figure = sheet.figure
        panels = figure.subplots(len(studies), 3, squeeze=False, width_ratios=[1.6, 4.0, 3.6])
        for study, (label, picture, curves) in zip(studies, panels, strict=True):
            _label(label, study)
            picture.imshow(study.picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            picture.set_axis_off()
            _curves(curves, study)
        panels[0][1].set_title("rows: " + plain(", ".join(rows)) if rows else "", fontsize=8.0, fontweight="normal")
        panels[0][2].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, ncols=2)
        panels[-1][2].set_xlabel("step (sliding mean)")
    return sheet.png


def _label(panel: Any, study: Study) -> None:
    """The name, and below it the scores."""
    panel.text(0.0, 0.95, plain(study.name), transform=panel.transAxes, va="top", fontsize=9.0, fontweight="bold")
    lines = [f"{plain(key)} {value:.3f}" for key, value in study.scores.items()]
    if study.diverged:
        lines.insert(0, f"diverged: {plain(study.diverged)}")
    panel.text(0.0, 0.76, "\n".join(lines), transform=panel.transAxes, va="top", linespacing=1.35)
    panel.set_axis_off()


def _curves(panel: Any, study: Study) -> None:
    """Both discriminators' and both generators' losses, without the spikes of the first steps."""
    steps, shown = np.arange(1, len(study.rows) + 1), []
    for side, name, colour in (("d", "discriminators", BLUE), ("g", "generators", ORANGE)):
        values = np.array([(row[f"{side}_a"] + row[f"{side}_b"]) / 2 for row in study.rows])
        finite = np.isfinite(values)
        if finite.any():
            shown.append(sliding_mean(values[finite], finite.sum() // 40 | 1))
            panel.plot(steps[finite], shown[-1], color=colour, label=name, linewidth=1.2)
    if shown:
        high = max(float(np.quantile(values, 0.99)) for values in shown)
        panel.set_ylim(-0.03 * high, 1.08 * high or 1.0)
    panel.margins(x=0.01)
    panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
