"""Pictures of games in the plane: the points a generator draws while it learns, over those it should draw.

    points_figure  one row per game, one column per step: does it spread over the modes, or jump from one to the next?
    points_film    the same as a GIF, all games side by side; its frames also as PNGs

Equal points give equal bytes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.data.toy2d import Coverage, Toy2D
from minigan.errors import OptionError, require
from minigan.random import Stream
from minigan.report.canvas import BLUE, GREEN, ORANGE, PINK, plain, require_matplotlib

REALS = 2000  # points of the distribution itself, drawn faintly behind the generated ones
COLUMNS = 5
FRAME_MS, LAST_MS = 120, 2500  # how long the film shows each frame, and the last one
SHADES = 4  # of each colour in the film
FILM_POINTS = 600  # in each frame of the film: scattered dots take most of its bytes

_LEFT, _TOP, _BELOW, _GAP = 0.3, 0.3, 0.32, 0.1  # inches around the panels, for text
_COLOURS = (ORANGE, BLUE, GREEN, PINK)  # one for each game
_REAL, _TEXT = "#b5b5b5", "#333333"
_STYLE: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 9.0}  # comes with matplotlib: same everywhere


class Snapshot(NamedTuple):
    """What a generator draws after a step: points (N, 2), what they cover, and what D says of them, see toy_page."""

    step: int
    points: np.ndarray
    coverage: Coverage
    field: Any = None


Games = Mapping[str, Sequence[Snapshot]]  # by the game's name; all games at the same steps


def film_steps(last: int, frames: int = 30) -> list[int]:
    """At most `frames` steps from 0 to `last`, for a film: close together at first, when most happens.

    They grow as squares do, so the time between two frames grows evenly.

    >>> film_steps(100, 6)
    [0, 4, 16, 36, 64, 100]
    """
    return sorted({round(last * (i / (frames - 1)) ** 2) for i in range(frames)})


def points_figure(toy: Toy2D, games: Games, out_path: str | os.PathLike[str]) -> None:
    """Write a PNG with one row per game: COLUMNS of its snapshots, among them the first and the last.

    Raises:
        OptionError: a name that does not end in .png, or games with different steps.
        ModuleNotFoundError: matplotlib is missing. OSError: the file cannot be written.
    """
    _named(out_path, ".png")
    shown = np.unique(np.linspace(0, _count(games) - 1, COLUMNS).round().astype(int))
    image = _draw(toy, [(name, [snapshots[i] for i in shown]) for name, snapshots in games.items()], 1.8, 130)
    write_atomically(out_path, _encoded(image, "PNG"))


def points_film(toy: Toy2D, games: Games, out_path: str | os.PathLike[str],
                keep: Callable[[str, bytes], object] | None = None) -> None:
    """Write a GIF with one frame per step, the games side by side; `keep` takes the name and the PNG of each frame.

    All frames share a few colours, which keeps the file small. Raises what `points_figure` raises.
    """
    _named(out_path, ".gif")
    pillow = require("PIL.Image", "a film")
    images = [_draw(toy, [(name, [snapshots[i]]) for name, snapshots in games.items()], 2.2, 100, across=True)
              for i in range(_count(games))]
    steps = [snapshot.step for snapshot in next(iter(games.values()))]
    for step, image in zip(steps, images, strict=True):
        if keep is not None:
            keep(f"step_{step:06d}.png", _encoded(image, "PNG"))
    no_dither = pillow.Dither.NONE  # its dots would compress badly
    film = [image.quantize(palette=_palette(), dither=no_dither) for image in images]
    shown = [FRAME_MS] * (len(film) - 1) + [LAST_MS]
    write_atomically(out_path, _encoded(film[0], "GIF", save_all=True, append_images=film[1:], duration=shown, loop=0))


def _palette() -> Any:
    """A Pillow image with the film's colours: SHADES of each, up to white, for smooth edges."""
    shades = []
    for colour in (_TEXT, _REAL, *_COLOURS):
        ink = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        shades += [np.rint(255 + (ink - 255) * share).astype(np.uint8) for share in np.linspace(0, 1, SHADES)]
    image = require("PIL.Image", "a film").new("P", (1, 1))
    image.putpalette(np.concatenate(shades).tobytes())
    return image


def _named(path: str | os.PathLike[str], suffix: str) -> None:
    if Path(path).suffix != suffix:
        raise OptionError(f"a picture of a game is a {suffix[1:].upper()} here, so name it *{suffix}, "
                          f"not {Path(path).name!r}")


def _count(games: Games) -> int:
    """The number of snapshots, which is the same for all games."""
    steps = {tuple(snapshot.step for snapshot in snapshots) for snapshots in games.values()}
    if len(steps) != 1 or steps == {()}:
        raise OptionError(f"a picture compares games at the same steps, at least one; {', '.join(games) or 'none'} "
                          f"have {len(steps)} different lists of steps")
    return len(next(iter(steps)))


def _encoded(image: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, **options)
    return buffer.getvalue()


def _draw(toy: Toy2D, rows: list[tuple[str, list[Snapshot]]], side: float, dpi: int, across: bool = False) -> Any:
    """A Pillow image of square panels, `side` inches wide: one row per game or, if `across`, one panel per game."""
    matplotlib, FigureCanvasAgg, Figure = require_matplotlib()
    high, wide = (1, len(rows)) if across else (len(rows), len(rows[0][1]))
    width, height = _LEFT + wide * (side + _GAP), _TOP * (1 + across) + high * (side + _BELOW)  # inches
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        sheet = Figure(figsize=(width, height), dpi=dpi)
        for i, (name, snapshots) in enumerate(rows):
            colour = _COLOURS[i % len(_COLOURS)]
            for j, snapshot in enumerate(snapshots):
                row, column = (0, i) if across else (i, j)
                bottom = (high - 1 - row) * (side + _BELOW) + _BELOW
                place = ((_LEFT + column * (side + _GAP)) / width, bottom / height, side / width, side / height)
                panel = sheet.add_axes(place)
                _panel(panel, toy, snapshot, colour, FILM_POINTS if across else None)
                if across:
                    panel.set_title(plain(name), color=colour, fontweight="bold", fontsize=10)
                elif row == 0:
                    panel.set_title(f"step {snapshot.step:,}", color=_TEXT, fontsize=9)
                if not across and column == 0:
                    panel.set_ylabel(plain(name), color=colour, fontweight="bold", fontsize=10)
        if across:
            step = f"step {rows[0][1][0].step:,}"
            sheet.text(0.5, 1 - 0.5 * _TOP / height, step, color=_TEXT, ha="center", va="center")
        canvas = FigureCanvasAgg(sheet)  # makes itself the figure's canvas
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].copy()  # (height, width, 3)
        return require("PIL.Image", "a figure").fromarray(pixels)


def _panel(panel: Any, toy: Toy2D, snapshot: Snapshot, colour: str, most: int | None) -> None:
    """One square: faint real points, at most `most` generated ones over them; below, how many modes these cover."""
    reals = toy.sample(REALS, Stream(0, "picture"))  # the same in every panel
    panel.scatter(*reals.T, s=1.5, color=_REAL, linewidths=0)
    panel.scatter(*snapshot.points[:most].T, s=2.0, color=colour, linewidths=0)
    side = 1.3 * float(np.abs(toy.modes).max())  # points farther out are cut off
    panel.set(xlim=(-side, side), ylim=(-side, side), aspect="equal", xticks=[], yticks=[])
    for spine in panel.spines.values():
        spine.set(color="#cccccc", linewidth=0.6)
    covered, modes, good = snapshot.coverage
    panel.set_xlabel(f"{covered} of {modes} modes, {good:.0%} good", color=_TEXT, fontsize=8)
