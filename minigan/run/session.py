"""The loop of a run, from its start or a checkpoint to its end or interruption: what happens after each step."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigan import report
from minigan.checkpoint import remove_leftovers, save_weights
from minigan.data import Batches
from minigan.engine import device
from minigan.engine.anomaly import detect_anomaly
from minigan.errors import DataError, NonFiniteError, OptionError
from minigan.run import signals
from minigan.run.board import Board
from minigan.run.durable import Cadence, Keeper, check_weights
from minigan.run.log import Log, note
from minigan.run.options import RunOptions
from minigan.trainers import Progress, Trainer

Scores = Callable[[Path, int], Any]  # measures the networks as they are, keeps that in a run folder, for a step
Sheet = Callable[[], Callable[[], np.ndarray]]  # starts a picture, returns a function that waits for it
SHEETS = 12  # at least so many sample grids a run, if there are ten steps for each
PAGE_SHARE, PAGE_EVERY = 0.01, 30.0  # of the time that report.html may take; seconds between two, at least
MOST_ROLLBACKS = 5  # a run that has to go back more often needs another learning rate, or another loss


class Session:
    """A run from its start, or from a checkpoint, to its end or its interruption."""

    def __init__(self, folder: Path, trainer: Trainer, batches: Batches, options: RunOptions,
                 config: dict[str, Any], sheet: Sheet, score: Scores | None) -> None:
        self.folder, self.trainer, self.batches, self.options = folder, trainer, batches, options
        self.sheet, self.score, self.steps = sheet, score, int(config["steps"])
        self.sheets: list[tuple[str, int, Callable[[], np.ndarray]]] = []  # on their way from the GPU meanwhile
        self.keeper = Keeper(folder, trainer, batches, score, config, options.keep)
        self.cadence = Cadence(options.checkpoint_every)
        self.board: Board | None = None
        self.page_after = 0.0  # on the monotonic clock: when report.html is brought up to date again
        self.save_at: int | None = None  # the step after which a checkpoint is due
        self.log = Log(folder, self.steps, options.batch_size * trainer.batches_per_step)  # locks the folder

    def resume(self, changed: dict[str, Any]) -> None:
        """Continue from the newest checkpoint that is whole."""
        try:
            for written in (self.folder, self.folder / "samples"):
                remove_leftovers(written)
            step, problems = self.keeper.restore()
            if step > self.steps:
                raise OptionError(f"--resume {self.folder}: {step:,} steps are done already, so --steps cannot be "
                                  f"{self.steps:,}")
        except BaseException:
            self.log.close()
            raise
        for problem in problems:
            print(f"passed over: {problem}")
        self.log.rewind(step)
        note(self.folder, step=step, event="resumed", device=device.default(), changed=changed, damaged=problems)
        print(f"{self.folder}: continued from step {step:,}"
              + ("" if step < self.steps else f", which is its last; more --steps than {self.steps:,} would go on"))

    def run(self) -> None:
        """Train to the end; what was learnt is kept whatever happens."""
        try:
            if self.options.tensorboard:
                self.board = Board(self.folder, self.trainer.steps)
            with detect_anomaly() if self.options.check_finite else contextlib.nullcontext(), signals.noticed():
                if not self.trainer.steps:
                    with contextlib.suppress(NonFiniteError):  # of initial weights: the first step tells where it shows
                        self.begin()
                while self.trainer.steps < self.steps:
                    try:
                        self.trainer.fit(self.batches, self.steps - self.trainer.steps, self.on_step,
                                         graph=self.options.graph and not self.options.check_finite,
                                         promptly=self.promptly)
                    except NonFiniteError as error:
                        self.roll_back(error)
        except BaseException as error:
            self.rescue(error)
            raise
        finally:
            self.log.close()
        self.save_sheets()
        if self.board is not None:
            self.board.close()
        if self.trainer.steps:
            report.loss_curves(self.folder / "metrics.jsonl", self.folder / "curves.png")
            self.page(at_last=True)
        if self.log.done:
            print(f"{self.folder}: {self.log.summary()}")
        print("weights: " + ", ".join(f"{name} {_sha256(self.folder / f'{name}.safetensors')}"
                                      for name in self.trainer.networks))
        print("\n".join(report.diagnose(report.read_rows(self.folder / "metrics.jsonl"))))

    def begin(self) -> None:
        """What there is before the first step, so that a run which is killed at once can be continued, too."""
        check_weights(self.trainer)
        self.sheets.append(("step_000000.png", 0, self.sheet()))
        self.save()

    def promptly(self, step: int) -> bool:
        """Whether something is to be done with the networks as they are after this step; asked once a step."""
        if step == self.steps or self.cadence.due(step) or signals.pending():
            self.save_at = step
        return self.save_at == step or self.scored(step) or self.shown(step)

    def scored(self, step: int) -> bool:
        """Whether the networks are measured after this step."""
        every = self.options.score_every or self.steps
        return self.score is not None and (step == self.steps or step % every == 0)

    def shown(self, step: int) -> bool:
        """Whether a sample grid is drawn after this step, besides those at the ends of epochs."""
        return step == self.steps or (self.steps >= 10 * SHEETS and step % (self.steps // SHEETS) == 0)

    def on_step(self, progress: Progress) -> None:
        """All that is done after a step. A disk that is full ends the run, with what to do about it."""
        try:
            self.after_step(progress)
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be written ({error.strerror or error}); the checkpoints so far are "
                            "intact: make room, then --resume") from None

    def after_step(self, progress: Progress) -> None:
        """Log, check, score, draw, save, in this order, which a resumed run keeps to."""
        self.save_sheets()
        self.log(progress)
        if self.board is not None:
            self.board(progress)
        check_finite(progress, self.options.check_finite)
        shown = progress.epoch_ends or self.shown(progress.step)
        if shown or progress.step == self.save_at or self.scored(progress.step):
            check_weights(self.trainer)
        if self.score is not None and self.scored(progress.step):
            self.score(self.folder, progress.step)
        if shown:
            name = f"epoch_{progress.epoch:04d}.png" if progress.epoch_ends else f"step_{progress.step:06d}.png"
            self.sheets.append((name, progress.step, self.sheet()))
            self.keep_weights()
            self.page()
        if progress.step == self.save_at:
            self.save()
            if (signal := signals.pending()) is not None and progress.step < self.steps:
                raise signals.Stopped(signal)

    def save(self) -> None:
        """A checkpoint, with all files that go with it on the disk before it."""
        start = time.monotonic()
        self.save_sheets()
        self.log.sync()
        self.keeper.save()
        self.cadence.saved(time.monotonic() - start)

    def roll_back(self, error: NonFiniteError) -> None:
        """Return to the last checkpoint with half the learning rate; or raise the error, if that was not asked for.

        The checkpoint is saved anew with the lower rate, so that a run killed now does not diverge once more.
        """
        done = self.keeper.rollbacks + 1
        if not self.options.rollback or done > MOST_ROLLBACKS:
            raise error
        self.sheets.clear()
        self.log.sync()
        step, problems = self.keeper.restore()
        self.keeper.rollbacks = done
        self.keeper.set_factor(0.5**done)
        self.log.rewind(step)
        self.save()
        note(self.folder, step=step, event="rolled back", reason=str(error), learning_rate=f"x {0.5**done:g}",
             damaged=problems)
        self.log.say(f"{error}; back to step {step:,}, learning rate x {0.5**done:g} (roll-back {done} of "
                     f"{MOST_ROLLBACKS})")

    def rescue(self, error: BaseException) -> None:
        """A run that ends early keeps its weights and curves; from a GPU that is lost, the last epoch's weights."""
        with contextlib.suppress(Exception):
            self.log.sync()
            if self.board is not None:
                self.board.close()
                self.board = None
        if not isinstance(error, NonFiniteError):  # weights of a diverged run are NaN, the last epoch's were not
            with contextlib.suppress(Exception):
                self.save_sheets()
                self.keep_weights()
        if self.trainer.steps:
            with contextlib.suppress(Exception):
                report.loss_curves(self.folder / "metrics.jsonl", self.folder / "curves.png")
                self.page(at_last=True)
        if isinstance(error, signals.Stopped):
            self.log.say(f"{self.folder}: saved after step {self.trainer.steps:,} of {self.steps:,}; --resume goes on")

    def page(self, at_last: bool = False) -> None:
        """Bring report.html up to date, unless that was done a moment ago."""
        start = time.monotonic()
        if at_last or start >= self.page_after:
            report.report_page(self.folder)
            took = time.monotonic() - start
            self.page_after = start + took + max(PAGE_EVERY, took / PAGE_SHARE)

    def save_sheets(self) -> None:
        """Write the pictures that were begun."""
        while self.sheets:
            name, step, picture = self.sheets.pop()
            pixels = picture()
            report.save_png(pixels, self.folder / "samples" / name, scale=2)
            if self.board is not None:
                self.board.picture(pixels, step)

    def keep_weights(self) -> None:
        """Write every network's weights, for use elsewhere."""
        for part, network in self.trainer.networks.items():
            save_weights(self.folder / f"{part}.safetensors", network.state_dict())


def _sha256(path: Path) -> str:
    """The beginning of a file's SHA-256: equal runs print equal ones."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else "none"


def check_finite(progress: Progress, was_watched: bool) -> None:
    """Stop a run that has diverged, before its last good weights are written over.

    Raises:
        NonFiniteError: a metric is NaN or infinite.
    """
    broken = [f"{key} is {value}" for key, value in progress.metrics.items() if not np.isfinite(value)]
    if broken:
        remedy = "" if was_watched else "; run it again with --check-finite to see which operation and layer began it"
        raise NonFiniteError(f"step {progress.step}: {' and '.join(broken)}: the networks have diverged{remedy}. "
                             "A smaller --lr is the usual remedy")
