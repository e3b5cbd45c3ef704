"""The page of examples/gan_theory.py: four claims, each with its exact curve and what trained networks show.

Lines are exact unless the legend says trained; dots are measured.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.errors import OptionError
from minigan.report.canvas import BLACK, BLUE, GREEN, ORANGE, drawing

Result = Mapping[str, Any]  # of an experiment of minigan.teach.theory


def theory_page(apart: Result, equal: Result, lines: Sequence[Result], out_path: str | os.PathLike[str]) -> None:
    """Draw the four claims into the PNG file `out_path`.

    apart, equal  what theory.optimum returns for p_data and another p_g, and for p_data and itself
    lines         what theory.parallel_lines returns, by theta; the last one's trace is the fourth panel

    Raises:
        OptionError: a name that does not end in .png, or no lines. ModuleNotFoundError: matplotlib is missing.
        OSError: the file cannot be written.
    """
    if Path(out_path).suffix != ".png" or not lines:
        raise OptionError(f"theory_page: needs at least one theta (got {len(lines)}) and a name *.png for the picture, "
                          f"not {Path(out_path).name!r}.")
    write_atomically(out_path, _render(apart, equal, lines))


def _render(apart: Result, equal: Result, lines: Sequence[Result]) -> bytes:
    """The bytes of the PNG."""
    with drawing(10.4, 7.4, dpi=150, legend_frameon=False, legend_fontsize=8.0) as sheet:
        figure = sheet.figure
        (a, b), (c, d) = figure.subplots(2, 2)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        _discriminators(a, apart, equal)
        _values(b, apart, equal)
        _distances(c, lines)
        _slopes(d, lines[-1])
    return sheet.png


def _discriminators(panel: Any, apart: Result, equal: Result) -> None:
    """Densities, D* and the trained D, where there are samples to learn from."""
    x, m = np.asarray(apart["x"]), (np.asarray(apart["p"]) + np.asarray(apart["q"])) / 2
    seen = m > m.max() / 1000
    panel.set_title("1  The best discriminator is p_data / (p_data + p_g)")
    for key, name, colour in (("p", "p_data", BLUE), ("q", "p_g", ORANGE)):
        panel.fill_between(x[seen], np.asarray(apart[key])[seen], color=colour, alpha=0.25, linewidth=0, label=name)
    panel.plot(x[seen], np.asarray(apart["d_star"])[seen], color=BLACK, linewidth=1.4, label="D*, exact")
    _dots(panel, x[seen], np.asarray(apart["d"])[seen], BLUE, "D, trained")
    _dots(panel, x[seen], np.asarray(equal["d"])[seen], GREEN, "D, trained with p_g = p_data")
    panel.set_ylim(0, 1.28)
    panel.set_yticks([0, 0.25, 0.5, 0.75, 1])
    panel.set_xlabel("x")
    panel.set_ylabel("density, probability of being real")
    panel.legend(loc="upper center", ncols=3)


def _values(panel: Any, apart: Result, equal: Result) -> None:
    """V of the discriminator on its way to the optimum, with a logarithmic scale of steps."""
    panel.set_title("2  Its value is -ln 4 + 2 JS")
    for result, name, colour in ((apart, "p_g as in panel 1", BLUE), (equal, "p_g = p_data", GREEN)):
        steps, values = _columns(result["trace"], "step", "value")
        best = float(result["best"])
        panel.plot(steps, values, color=colour, marker="o", markersize=3, linewidth=1, label=f"V, trained, {name}")
        panel.axhline(best, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), label=f"best: {best:.4f}")
    low, high = float(equal["best"]), float(apart["best"])
    panel.set_ylim(low - 0.8 * (high - low), high + 0.25 * (high - low))
    _steps(panel)
    panel.set_xlabel("discriminator steps")
    panel.set_ylabel("V(D, G)")
    panel.legend(loc="lower right")


def _distances(panel: Any, lines: Sequence[Result]) -> None:
    """JS and W of the parallel lines by theta."""
    theta, js, w = _columns(lines, "theta", "js", "wasserstein")
    end = max(float(np.abs(theta).max()), 0.1)
    panel.set_title("3  Parallel lines: JS is flat, W is not")
    for side in (-end, end):
        panel.plot([0, side], [math.log(2)] * 2, color=ORANGE, linewidth=1.4, label="JS = ln 2" if side > 0 else None)
        panel.plot([0, side], [0, end], color=BLUE, linewidth=1.4, label="W = |theta|" if side > 0 else None)
    panel.plot([0], [math.log(2)], "o", color="white", markeredgecolor=ORANGE, markersize=6, zorder=4)
    _dots(panel, theta, js, ORANGE, "by a trained discriminator", every=1)
    _dots(panel, theta, w, BLUE, "by a trained critic", every=1)
    panel.text(0, 0.97 * math.log(2) + 0.12, "KL = infinity, except at 0", ha="center", color="#555555", fontsize=8)
    panel.set_ylim(-0.05 * end, 1.3 * end)
    panel.set_xlabel("theta, where the generated line stands")
    panel.set_ylabel("distance from the real line")
    panel.legend(loc="upper center", ncols=2)


def _slopes(panel: Any, line: Result) -> None:
    """The slope of a generator's loss, while its opponents learn."""
    panel.set_title(f"4  A better discriminator teaches less (theta = {line['theta']:g})")
    for key, name, colour in (
        ("non_saturating", "log D trick", GREEN),
        ("critic", "critic", BLUE),
        ("minimax", "minimax", ORANGE),
    ):
        steps, values = _columns(line["trace"], "step", key)
        panel.plot(steps, values, color=colour, marker="o", markersize=3, linewidth=1.2, label=name)
    steps, bound = _columns(line["trace"], "step", "bound")
    panel.plot(steps, np.where(bound < 10, bound, np.nan), color=BLACK, linewidth=0.9, linestyle=(0, (4, 3)),
               label="bound on minimax")
    panel.set_yscale("log")
    _steps(panel)
    panel.set_xlabel("discriminator or critic steps")
    panel.set_ylabel("|d generator loss / d theta|")
    panel.legend(loc="best")


def _columns(rows: Sequence[Result], *keys: str) -> list[np.ndarray]:
    return [np.array([float(row[key]) for row in rows]) for key in keys]


def _dots(panel: Any, x: np.ndarray, y: np.ndarray, colour: str, name: str, every: int | None = None) -> None:
    """Measured points, few enough that the line behind them can be seen."""
    every = every or max(1, len(x) // 40)
    panel.plot(x[::every], y[::every], "o", color=colour, markersize=4, zorder=5, label=name)


def _steps(panel: Any) -> None:
    """An axis of steps that begins at 0 and is logarithmic from 1 on."""
    panel.set_xscale("symlog", linthresh=1, linscale=0.3)
    panel.set_xlim(left=-0.1)
