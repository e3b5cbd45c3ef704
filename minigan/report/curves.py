"""The curves of a run: values as faint lines, their sliding means as strong ones.

Losses are above, the discriminator's output is below. The losses of a GAN do not fall; a healthy run shows in D(x) and
D(G(z)), which stay apart from each other and away from 1 and 0. Equal rows give equal bytes, see canvas.
"""

from __future__ import annotations

__all__ = ["loss_curves"]

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.data.paths import user_path
from minigan.errors import OptionError
from minigan.report.canvas import AMBER, BLUE, GREY, ORANGE, SKY, drawing
from minigan.report.records import read_rows

Row = Mapping[str, Any]

_PANELS: tuple[tuple[str, str, tuple[tuple[tuple[str, ...], str, str], ...]], ...] = (
    (
        "Losses",
        "loss",
        (
            (("d_loss",), "discriminator", BLUE),
            (("g_loss",), "generator", ORANGE),
        ),
    ),
    (
        "Discriminator output",
        "probability of being real",
        (
            (("d_real", "d_x", "D(x)"), "D(x), real", BLUE),
            (("d_fake", "d_g_z", "D(G(z))"), "D(G(z)), generated", ORANGE),
        ),
    ),
)
_DISTANCE = (  # the second panel for a critic
    "Wasserstein distance",
    "estimate",
    (
        (("wasserstein",), "E f(x) - E f(G(z))", BLUE),
        (("penalty",), "gradient penalty", ORANGE),
        (("clipped",), "share of clipped weights", ORANGE),
    ),
)
_BETWEEN = (  # both panels for a translation between two domains
    ("Losses", "loss", tuple(((f"{side}_{domain}",), f"{name} {domain}", colour) for side, name, colours in (
        ("d", "discriminator", (BLUE, SKY)), ("g", "generator to", (ORANGE, AMBER)))
        for domain, colour in zip("ab", colours, strict=True))),
    ("There and back", "mean difference", tuple(((f"{key}_{domain}",), f"{name} {domain}", colour)
        for key, name, colours in (("cycle", "cycle", (BLUE, SKY)), ("idt", "identity", (ORANGE, AMBER)))
        for domain, colour in zip("ab", colours, strict=True))),
)
_TARGET = (  # the second panel for pairs
    "Distance to the target",
    "mean difference",
    (
        (("l1",), "of pixels", BLUE),
        (("features",), "of the discriminator's features", ORANGE),
    ),
)


def fades(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """The first and the last step of each fade of a run that grows: rows whose alpha is below 1.

    >>> fades([{"step": step, "alpha": alpha} for step, alpha in enumerate([1.0, 0.0, 0.5, 1.0, 0.0])])
    [(1, 2), (4, 4)]
    """
    spans: list[tuple[int, int]] = []
    before = False
    for place, row in enumerate(rows):
        alpha, step = row.get("alpha", 1.0), row.get("step", place)
        fading = isinstance(alpha, int | float) and alpha < 1 and isinstance(step, int)
        if fading:
            spans[len(spans) - before :] = [(spans[-1][0] if before else step, step)]
        before = fading
    return spans


def sliding_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean over `window` values, an odd number, centred on each value; near the ends, over those that exist.

    >>> sliding_mean(np.array([1.0, 2.0, 6.0, 7.0]), 3)
    array([1.5, 3. , 5. , 6.5])
    """
    n, half = len(values), window // 2
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    first, last = np.maximum(np.arange(n) - half, 0), np.minimum(np.arange(n) + half + 1, n)
    mean: np.ndarray = (total[last] - total[first]) / (last - first)
    return mean


def loss_curves(rows: Iterable[Row] | str | os.PathLike[str], out_path: str | os.PathLike[str]) -> None:
    """Draw d_loss and g_loss, and D(x) and D(G(z)), by step, into the PNG file `out_path`.

    For a critic, the second panel shows its estimate of the Wasserstein distance. For a translation, the panels show
    the losses of both domains and the differences after there and back, or from the target. Fades of progressive
    growing are shaded.

    rows  dicts with any of the keys step, d_loss, g_loss, d_real, d_fake, or the path of a metrics.jsonl with them.
          Missing keys, None, NaN and infinity are left out; a row without `step` has its index as step

    Raises:
        DataError: a damaged metrics file. OptionError: a name that does not end in .png.
        ModuleNotFoundError: matplotlib is missing. OSError: the file cannot be written.
    """
    if Path(out_path).suffix != ".png":
        raise OptionError(f"loss_curves: the picture is a PNG, so name it *.png, not {Path(out_path).name!r}.")
    table = read_rows(rows) if isinstance(rows, (str, os.PathLike)) else rows
    write_atomically(user_path(out_path), _render([*table]))


def _render(rows: list[Row]) -> bytes:
    """The bytes of the PNG."""
    window = 0
    with drawing(6.4, 4.8, dpi=150) as sheet:
        figure = sheet.figure
        losses, opinions = figure.subplots(2, 1, sharex=True)
        panels = _panels({key for row in rows for key in row})
        for panel, (title, label, series) in zip((losses, opinions), panels, strict=True):
            drawn = [(name, colour, *series_of(rows, keys)) for keys, name, colour in series]
            window = max(window, _draw(panel, title, label, drawn))
            for first, last in fades(rows):
                panel.axvspan(first, last, color=GREY, alpha=0.2, linewidth=0, zorder=0)
        if opinions.lines and panels is _PANELS:
            opinions.set_ylim(-0.02, 1.02)
            opinions.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)  # here it only guesses
        opinions.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        opinions.set_xlabel(f"step   (strong lines: mean of {window} values)" if window else "step")
    return sheet.png


def _panels(keys: set[str]) -> Any:
    """The panels for a run that records these metrics: by default, losses and the discriminator's output."""
    second = _DISTANCE if "wasserstein" in keys else _TARGET if "l1" in keys else None
    return _BETWEEN if "cycle_a" in keys else (_PANELS[0], second) if second else _PANELS


def series_of(rows: list[Row], keys: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The steps at which one of the keys has a finite number, and these numbers."""
    points = []
    for place, row in enumerate(rows):
        value = next((row[key] for key in keys if isinstance(row.get(key), (int, float, np.number))), np.nan)
        step = row.get("step", place)
        if np.isfinite(value) and isinstance(step, (int, float, np.number)):
            points.append((float(step), float(value)))
    table = np.array(points).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _draw(panel: Any, title: str, label: str, series: list[tuple[str, str, np.ndarray, np.ndarray]]) -> int:
    """One panel; its legend is beside the title, where it hides no data. Returns the window of its means."""
    panel.set_title(title)
    panel.set_ylabel(label)
    shown = [(name, colour, steps, values) for name, colour, steps, values in series if len(values)]
    if not shown:
        panel.text(0.5, 0.5, "not recorded", transform=panel.transAxes, ha="center", va="center", color="#777777")
        panel.set_yticks([])
        return 0
    longest = 0
    for name, colour, steps, values in shown:
        window = len(values) // 40 | 1  # odd, so that the mean has a centre
        mean = sliding_mean(values, window)
        if window > 1:
            panel.plot(steps, values, color=colour, alpha=0.25, linewidth=0.6, zorder=2)
            longest = max(longest, window)
        panel.plot(
            steps, mean, color=colour, linewidth=1.6, zorder=3, label=name, marker="o" if len(mean) == 1 else None
        )
    panel.margins(x=0.01)
    panel.set_ylim(*limits([values for *_, values in shown]))
    beside_title = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.0, "borderpad": 0.35}
    panel.legend(**beside_title, ncols=2, frameon=False, handlelength=1.2, columnspacing=1.5)
    return longest


def limits(series: list[np.ndarray]) -> tuple[float, float]:
    """A range for the axis in which a few spikes, such as those of a run's first steps, do not flatten the rest."""
    low = min(float(np.quantile(values, 0.005)) for values in series)
    high = max(float(np.quantile(values, 0.995)) for values in series)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin
