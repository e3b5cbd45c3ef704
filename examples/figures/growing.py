"""A film of a run's samples, step by step: with progressive growing, blocks that become pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from minigan import report
from minigan.data.pictures import read_picture

FRAMES, LAST = 60, 12  # at most so many different frames; how often the last is shown


def growing_film(folder: Path, path: Path) -> None:
    """Write the sample grids of a run's folder as a film, *.gif, the last one for longer.

    Raises:
        DataError: there are no samples, or one is damaged.
    """
    ends: dict[int, int] = {}  # the last step of each epoch, counted from 1
    for row in report.read_rows(folder / "metrics.jsonl"):
        ends.setdefault(int(row["epoch"]), int(row["step"]))
    sheets = {}
    for file in (folder / "samples").glob("*.png"):
        if match := re.fullmatch(r"(epoch|step)_(\d+)", file.stem):
            number = int(match[2])
            sheets[ends.get(number, 0) if match[1] == "epoch" else number] = file
    steps = sorted(sheets)
    places = np.linspace(0, len(steps) - 1, min(FRAMES, len(steps))).round().astype(int)
    pictures = [read_picture(sheets[steps[place]]) for place in dict.fromkeys(places.tolist())]
    frames = [picture[:, :, 0] if picture.shape[2] == 1 else picture for picture in pictures]
    report.film([*frames, *frames[-1:] * LAST], path, milliseconds=120, scale=1)
