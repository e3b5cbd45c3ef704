"""What a run shows of itself: sample grids, curves, TensorBoard's files, the page, a notebook's newest samples."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from minigan import report
from minigan.checkpoint import inside
from minigan.data.paths import printable
from minigan.run.board import Board
from minigan.run.log import Log
from minigan.run.manifest import Manifest
from minigan.run.notebook import Pictures
from minigan.trainers import Progress

View = Callable[[], tuple[np.ndarray, np.ndarray]]  # D's outputs for real pictures (N,) and for generated ones (M,)
Sheet = Callable[[], Callable[[], np.ndarray]]  # starts a picture, returns a function that waits for it
PAGE_SHARE, PAGE_EVERY = 0.01, 30.0  # largest share of the time for report.html; least seconds between two


class Gallery:
    """The pictures and the page in a run's folder.

    Args:
        folder, files, log: the run's.
        sheet: starts a sample grid.

    Attributes:
        view: what the discriminator makes of pictures, for judged.jsonl; None for nothing.
    """

    def __init__(self, folder: Path, files: Manifest, log: Log, sheet: Sheet) -> None:
        self.folder, self.files, self.log, self.sheet = folder, files, log, sheet
        self.view: View | None = None
        self.sheets: list[tuple[str, int, Callable[[], np.ndarray]]] = []  # name, step, picture to wait for
        self.pictures = Pictures()
        self.board: Board | None = None
        self.page_after = 0.0  # monotonic time of the next update of report.html

    # ---- sample grids ----
    def draw(self, name: str, step: int) -> None:
        """Start the sample grid of a step; append what D makes of its pictures to judged.jsonl."""
        self.sheets.append((name, step, self.sheet()))
        if self.view is None:
            return
        real, fake = ([float(f"{value:.4g}") for value in outputs] for outputs in self.view())
        self.files.add("judged.jsonl")
        with inside.open_to_append(self.folder, "judged.jsonl") as file:
            file.write(json.dumps({"step": step, "real": real, "fake": fake}) + "\n")

    def save(self) -> None:
        """Wait for the sample grids that were started, and save them."""
        while self.sheets:
            name, step, picture = self.sheets.pop()
            pixels = picture()
            self.files.add(f"samples/{name}")
            report.save_png(pixels, self.folder / "samples" / name, scale=2)
            self.pictures.show(pixels, step)
            if self.board is not None:
                self.board.picture(pixels, step)

    # ---- TensorBoard ----
    def open_board(self, step: int) -> None:
        """Begin TensorBoard's files at a step; entries after it, of an earlier process, are replaced."""
        inside.check(self.folder, "tensorboard", "folder")
        self.board = Board(self.folder, step)
        self.files.add(*(f"tensorboard/{name}" for name in inside.names(self.folder, "tensorboard")
                         if name.startswith("events.out.tfevents.")))

    def record(self, progress: Progress) -> None:
        """Write a step's metrics for TensorBoard, if it is in use."""
        if self.board is not None:
            self.board(progress)

    def close_board(self) -> None:
        """End TensorBoard's files."""
        if self.board is not None:
            self.board.close()
            self.board = None

    # ---- what is made of the run's records ----
    def curves(self) -> None:
        """Draw curves.png."""
        self.current("curves.png", lambda: report.loss_curves(self.log.path, self.folder / "curves.png"))

    def page_is_due(self) -> bool:
        """Whether report.html may be updated: not if that was done a moment ago."""
        return time.monotonic() >= self.page_after

    def page(self, live: bool) -> None:
        """Update report.html; a live page, of a run that goes on, loads itself anew."""
        start = time.monotonic()
        self.current("report.html", lambda: report.report_page(self.folder, live=live))
        seconds = time.monotonic() - start
        self.page_after = start + seconds + max(PAGE_EVERY, seconds / PAGE_SHARE)

    def current(self, name: str, update: Callable[[], object]) -> None:
        """Update what is made of the run's records. The run can do without: an error is told, and does not end it."""
        try:
            update()
        except Exception as error:  # of damaged records, or of a drawing package, which may raise anything
            self.log.say(printable(f"{name} is not up to date: {type(error).__name__}: {error}"))
