"""Games side by side: a table of their scores, mean and spread over seeds, and a figure of their way there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.errors import OptionError
from minigan.report.canvas import BLACK, GREY, PALETTE, drawing, named_legend, plain
from minigan.report.grids import grid

COLOURS = (*PALETTE, BLACK, GREY)  # one for each game


class Game(NamedTuple):
    """One training of one game.

    name     of the game; trainings of one game with several seeds share it
    seen     real images seen when the game was scored, ascending
    frechet  the Frechet distance each time
    scores   all measures at the end
    samples  (N, C, H, W) in [-1, 1]
    seconds  of training
    """

    name: str
    seen: Sequence[int]
    frechet: Sequence[float]
    scores: Mapping[str, float]
    samples: np.ndarray
    seconds: float


def by_name(games: Sequence[Game]) -> dict[str, list[Game]]:
    """The trainings of each game, one per seed; games in the order of their first appearance."""
    groups: dict[str, list[Game]] = {}
    for game in games:
        groups.setdefault(game.name, []).append(game)
    return groups


def comparison_table(games: Sequence[Game], measures: Mapping[str, str]) -> str:
    """A Markdown table: one row per game, one column per measure, mean and standard deviation over seeds.

    Below it stands what the measures mean.

    measures  names of scores, and their meanings

    >>> one = Game("hinge", [64], [2.0], {"kid": 1.5}, np.zeros((1, 1, 2, 2)), 3.0)
    >>> print(comparison_table([one, one._replace(scores={"kid": 2.5})], {"kid": "0 is best"}))
    | loss | kid | seconds |
    |---|---|---|
    | hinge | 2 ± 0.71 | 3 |
    <BLANKLINE>
    2 seeds, mean ± standard deviation. kid: 0 is best.
    """
    groups = by_name(games)
    rows = ["| loss | " + " | ".join(measures) + " | seconds |", "|---" * (len(measures) + 2) + "|"]
    for name, seeds in groups.items():
        cells = [_spread([game.scores[measure] for game in seeds]) for measure in measures]
        rows.append(f"| {name} | {' | '.join(cells)} | {np.mean([game.seconds for game in seeds]):.0f} |")
    count = max(len(seeds) for seeds in groups.values())
    seeds_text = f"{count} seeds, mean ± standard deviation." if count > 1 else "One seed."
    return "\n".join([*rows, "", f"{seeds_text} " + "; ".join(f"{k}: {v}" for k, v in measures.items()) + "."])


def _spread(values: Sequence[float]) -> str:
    mean = f"{np.mean(values):.3g}"
    return mean if len(values) < 2 or np.ptp(values) == 0 else f"{mean} ± {np.std(values, ddof=1):.2g}"


def comparison_figure(games: Sequence[Game], out_path: str | os.PathLike[str]) -> None:
    """Write a PNG with the Frechet distance by images seen, one line per game; below, samples of each, best game first.

    Raises:
        OptionError: a name that does not end in .png, or no games. ModuleNotFoundError: matplotlib is missing.
        OSError: the file cannot be written.
    """
    if Path(out_path).suffix != ".png" or not games:
        raise OptionError(f"comparison_figure: needs at least one game (got {len(games)}) and a name *.png for the "
                          f"picture, not {Path(out_path).name!r}.")
    write_atomically(out_path, _render(by_name(games)))


def _render(groups: dict[str, list[Game]]) -> bytes:
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(groups)}
    best_first = sorted(groups, key=lambda name: np.mean([game.scores["frechet"] for game in groups[name]]))
    strip = 0.66  # inches
    with drawing(10.4, 3.6 + strip * len(groups), legend_frameon=False) as sheet:
        figure = sheet.figure
        parts: Any = figure.subfigures(2, 1, height_ratios=[3.6, strip * len(groups)])
        _distances(parts[0].subplots(), groups, best_first, colours)
        panels = parts[1].subplots(len(groups), 2, squeeze=False, width_ratios=[1.5, 8.9])
        for (label, panel), name in zip(panels, best_first, strict=True):
            _strip(label, panel, name, groups[name], colours[name])
    return sheet.png


def _distances(panel: Any, groups: dict[str, list[Game]], order: Sequence[str], colours: Mapping[str, str]) -> None:
    """The mean over seeds, and the range as a band."""
    lines = {}
    for name in order:
        seeds = groups[name]
        frechet = np.array([game.frechet for game in seeds], float)  # (seeds, times)
        (lines[name],) = panel.plot(seeds[0].seen, frechet.mean(0), color=colours[name], marker="o", markersize=3)
        if len(seeds) > 1:
            panel.fill_between(seeds[0].seen, frechet.min(0), frechet.max(0), color=colours[name], alpha=0.18,
                               linewidth=0)
    panel.set_yscale("log")
    panel.set_xlim(left=0)
    panel.set_title("Frechet distance to real digits, best game first")
    panel.set_xlabel("real images seen")
    panel.set_ylabel("distance, lower is better")
    named_legend(panel, lines, loc="center left", bbox_to_anchor=(1, 0.5))


def _strip(label: Any, panel: Any, name: str, seeds: Sequence[Game], colour: str) -> None:
    """The first seed's samples in a row, and the game's scores."""
    game = seeds[0]
    panel.imshow(grid(game.samples, len(game.samples)), cmap="gray", vmin=0, vmax=255)
    modes = f"\n{np.mean([g.scores['modes'] for g in seeds]):.3g} digits" if "modes" in game.scores else ""
    distance = _spread([g.scores["frechet"] for g in seeds])
    label.text(1, 0.5, f"{plain(name)}\n{distance}{modes}", transform=label.transAxes, ha="right", va="center",
               color=colour, fontsize=8.0)
    for axes in (label, panel):
        axes.set_axis_off()
