"""The loop of a run, from its start or a checkpoint to its end or interruption, and all that follows each step."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan import report
from minigan.checkpoint import inside, save_weights
from minigan.data import Batches
from minigan.data.paths import printable
from minigan.engine import detect_anomaly, device
from minigan.engine.distributed import agreed, agreement, compare_weights, world
from minigan.errors import DataError, DistributedError, MiniganError, NonFiniteError, OptionError
from minigan.run import signals
from minigan.run.durable import Cadence, Keeper, check_finite, check_weights
from minigan.run.folder import write_config
from minigan.run.gallery import Gallery, Sheet
from minigan.run.log import Log, note, way_on
from minigan.run.manifest import Manifest
from minigan.run.options import RunOptions
from minigan.trainers import Progress, Trainer

Scores = Callable[[Path, int], Any]  # (run folder, step): measures the networks and saves the scores there
SHEETS = 12  # least number of sample grids per run, if there are ten steps for each
MOST_ROLLBACKS = 5  # a run that diverges more often needs another learning rate or another loss


class _TimeIsUp(Exception):  # noqa: N818  # ends the training loop, not the run
    pass


class Session:
    """A run from its start, or from a checkpoint, to its end or its interruption."""

    def __init__(self, folder: Path, trainer: Trainer, batches: Batches, options: RunOptions,
                 config: dict[str, Any], sheet: Sheet, score: Scores | None, deadline: float = math.inf,
                 earlier: Sequence[dict[str, Any]] = ()) -> None:
        self.folder, self.trainer, self.batches, self.options = folder, trainer, batches, options
        self.score, self.steps = score, int(config["steps"])
        self.config, self.earlier = config, earlier  # and what earlier processes did of this run
        self.ranks, self.signal = world(), 0  # the signal after which the run ends, on whichever rank it arrived
        self.open_files(sheet)
        self.cadence = Cadence(options.checkpoint_every)
        self.save_at: int | None = None  # the step after which a checkpoint is due
        self.deadline = deadline  # monotonic time
        self.late = False  # whether the run ends before its last step, because the time is up
        self.between = False  # whether a step is complete, its metrics are written, and the next one has not begun

    def open_files(self, sheet: Sheet) -> None:
        """Open the run's files, and lock its folder."""
        self.keeper = Keeper(self.folder, self.trainer, self.batches, self.score, self.config, self.options.keep)
        self.files = Manifest(self.folder)
        self.files.add("config.json", "metrics.jsonl", "reals.png", "curves.png", "report.html", "scores.json",
                       *(f"{name}.safetensors" for name in self.trainer.networks),
                       *(["scores.jsonl", "best.safetensors"] if self.score is not None else []))
        self.log = Log(self.folder, self.steps, self.options.batch_size * self.trainer.batches_per_step)  # locks it
        self.gallery = Gallery(self.folder, self.files, self.log, sheet)

    def resume(self, changed: dict[str, Any]) -> None:
        """Continue from the newest undamaged checkpoint. Raises as `Keeper.restore`; OptionError if --steps is less."""
        try:
            if not inside.check(self.folder, "samples", "folder"):
                print(printable(f"{self.folder}: samples/ is missing; it is made anew, without the earlier pictures"))
            inside.make_folder(self.folder, "samples")
            self.files.remove_unfinished()
            for name in self.trainer.networks:
                inside.check(self.folder, f"{name}.safetensors")
            step, problems = self.keeper.restore()
            if step > self.steps:
                raise OptionError(f"--resume {self.folder}: {step:,} steps are done already, so --steps cannot be "
                                  f"{self.steps:,}")
        except BaseException:
            self.log.close()
            raise
        for problem in problems:
            print(printable(f"skipped: {problem}"))
        self.log.rewind(step)
        self.note(step=step, event="resumed", device=device.default(), changed=changed, damaged=problems)
        print(printable(f"{self.folder}: continued from step {step:,}") + (
            "" if step < self.steps else f", its last; give more --steps than {self.steps:,} to train on"))

    def note(self, **event: Any) -> None:
        """Append an event to events.jsonl."""
        with contextlib.suppress(OSError):
            self.files.add("events.jsonl")
        note(self.folder, **event)

    def run(self) -> None:
        """Train to the end; weights are saved even if an error ends the run."""
        try:
            if self.options.tensorboard:
                self.gallery.open_board(self.trainer.steps)
            with detect_anomaly() if self.options.check_finite else contextlib.nullcontext(), signals.noticed():
                if not self.trainer.steps:
                    with contextlib.suppress(NonFiniteError):  # of initial weights: the first step reports it
                        self.begin()
                while self.trainer.steps < self.steps and not self.late:
                    try:
                        self.trainer.fit(self.batches, self.steps - self.trainer.steps, self.on_step,
                                         graph=self.options.graph and not self.options.check_finite,
                                         promptly=self.promptly)
                    except _TimeIsUp:
                        self.log.say(f"the time of --budget is up after {self.trainer.steps:,} of the {self.steps:,} "
                                     "steps planned; --resume trains the others")
                    except NonFiniteError as error:
                        self.roll_back(error)
        except signals.Stopped as stop:
            self.rescue(stop)
            raise stop.with_traceback(None) from None  # nobody looks for its cause in the code
        except BaseException as error:
            self.rescue(error)
            raise
        finally:
            self.log.close()
        self.finish()

    def finish(self) -> None:
        """Save the last pictures, and print what there is to see."""
        self.gallery.save()
        self.gallery.close_board()
        self.last_pictures()
        if self.log.done:
            print(printable(f"{self.folder}: {self.log.summary()}"))
        print("weights: " + ", ".join(f"{name} {_sha256(self.folder / f'{name}.safetensors')}"
                                      for name in self.trainer.networks))
        self.gallery.current("the diagnosis",
                             lambda: print("\n".join(report.diagnose(report.read_rows(self.log.path)))))
        print(printable(f"to see it all: {self.folder / 'report.html'}"))

    def begin(self) -> None:
        """Save a checkpoint before the first step, so that a run that is killed at once can be continued."""
        check_weights(self.trainer)
        self.gallery.draw("step_000000.png", 0)
        self.save()

    def promptly(self, step: int) -> bool:
        """Whether the networks are needed in their state after this step; called once per step."""
        self.late, due, self.signal = self.decided(
            self.late or time.monotonic() >= self.deadline, self.cadence.due(step), signals.pending() or 0)
        if self.last(step) or due or self.signal:
            self.save_at = step
        return self.save_at == step or self.scored(step) or self.shown(step) or self.compared(step)

    def decided(self, late: bool, due: bool, number: int) -> tuple[bool, bool, int]:
        """What all ranks do: whether time is up and a checkpoint due by the first one's clock, and any one's signal."""
        if self.ranks.size == 1:
            return late, due, number
        first = self.ranks.rank == 0
        every = self.ranks.gather(np.array([[late and first, due and first, number]]))  # (ranks, 3)
        late, due, number = every.max(axis=0).tolist()
        return bool(late), bool(due), number

    def compared(self, step: int) -> bool:
        """Whether the weights of all ranks are compared after this step."""
        return self.ranks.size > 1 and (self.last(step) or step % self.options.check_ranks == 0)

    def last(self, step: int) -> bool:
        """Whether the run ends with this step."""
        return step == self.steps or self.late

    def scored(self, step: int) -> bool:
        """Whether the networks are measured after this step."""
        every = self.options.score_every or self.steps
        return self.score is not None and (self.last(step) or step % every == 0)

    def shown(self, step: int) -> bool:
        """Whether a sample grid is drawn after this step, besides those at the ends of epochs."""
        return self.last(step) or (self.steps >= 10 * SHEETS and step % (self.steps // SHEETS) == 0)

    def on_step(self, progress: Progress) -> None:
        """Everything that follows a step. Raises DataError, with the remedy, if the disk is full."""
        try:
            self.after_step(progress)
            self.between = False
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise DataError(f"{self.folder}{where}: cannot be read or written ({error.strerror or error}); "
                            f"{way_on(error)}") from None

    def after_step(self, progress: Progress) -> None:
        """Log, check, score, draw, save, in this order; a resumed run depends on it."""
        self.gallery.save()
        self.log(progress)
        self.between = progress.step == self.trainer.steps
        self.gallery.record(progress)
        drawn = progress.epoch_ends or self.shown(progress.step)
        with agreement():
            check_finite(progress, self.options.check_finite)
            if drawn or progress.step == self.save_at or self.scored(progress.step):
                check_weights(self.trainer)
            if self.compared(progress.step):
                compare_weights(self.ranks, self.trainer.networks, progress.step)
        if self.scored(progress.step):
            self.measure(progress.step)
        if drawn:
            name = f"epoch_{progress.epoch:04d}.png" if progress.epoch_ends else f"step_{progress.step:06d}.png"
            self.show(name, progress.step)
        if progress.step == self.save_at:
            self.save()
            if self.signal and progress.step < self.steps:
                raise agreed(signals.Stopped(
                    self.signal, f"signal {self.signal}: {self.folder} is saved after step {progress.step:,}"))
            if self.late and progress.step < self.steps:
                raise _TimeIsUp

    def measure(self, step: int) -> None:
        """Score the networks."""
        if self.score is not None:
            self.score(self.folder, step)

    def show(self, name: str, step: int) -> None:
        """Draw, save the weights, and update the page."""
        self.gallery.draw(name, step)
        self.keep_weights()
        if self.gallery.page_is_due():
            self.record()
            self.gallery.page(live=True)

    def save(self) -> None:
        """Save a checkpoint, after all files that belong to it are on the disk."""
        start = time.monotonic()
        self.gallery.save()
        self.log.sync()
        self.save_state()
        self.cadence.saved(time.monotonic() - start)

    def save_state(self) -> None:
        """Write the checkpoint, and that it is the run's."""
        self.files.add(f"checkpoints/{self.keeper.series.path(self.trainer.steps).name}",
                       *(["checkpoints/best.safetensors"] if self.score is not None else []))
        self.keeper.save()

    def roll_back(self, error: NonFiniteError) -> None:
        """Return to the last checkpoint with half the learning rate; without --rollback, raise the error.

        The checkpoint is saved again with the lower rate, so that a run killed now does not diverge again.
        """
        count = self.keeper.rollbacks + 1
        if not self.options.rollback or count > MOST_ROLLBACKS:
            raise error
        self.gallery.sheets.clear()
        self.log.sync()
        step, problems = self.keeper.restore()
        self.keeper.rollbacks = count
        self.keeper.set_factor(0.5**count)
        self.log.rewind(step)
        self.save()
        self.note(step=step, event="rolled back", reason=str(error), learning_rate=f"x {0.5**count:g}",
                  damaged=problems)
        self.log.say(f"{error}; back to step {step:,}, learning rate x {0.5**count:g} (roll-back {count} of "
                     f"{MOST_ROLLBACKS})")

    def rescue(self, error: BaseException) -> None:
        """Save weights and curves of a run that ends early; if the GPU is lost, the last epoch's weights remain."""
        with contextlib.suppress(Exception):
            self.log.sync()
            self.gallery.close_board()
        if not isinstance(error, NonFiniteError):  # weights of a diverged run are NaN; keep the last epoch's
            with contextlib.suppress(Exception):
                self.gallery.save()
                self.keep_weights()
            unsafe = signals.Stopped | DataError | DistributedError
            if self.between and not isinstance(error, unsafe):  # such as an error in a score
                with contextlib.suppress(Exception):
                    check_weights(self.trainer)
                    self.save_state()
        with contextlib.suppress(Exception):
            self.last_pictures()
        saved = max(self.keeper.series.steps(), default=0)
        if not isinstance(error, MiniganError):  # those say what to do
            self.log.say(f"{self.folder}: saved after step {saved:,} of {self.steps:,}; --resume continues")

    def last_pictures(self) -> None:
        """Draw the curves, and the page that shows everything, if there was a step."""
        if self.trainer.steps:
            self.gallery.curves()
            self.record()
            self.gallery.page(live=False)

    def record(self) -> None:
        """Write config.json, with how many steps this process has done and the time they took."""
        session = {"steps": self.log.done, "seconds": round(self.log.elapsed(), 1),
                   "images_per_second": round(self.log.speed(), 1)}
        write_config(self.folder, {**self.config, "sessions": [*self.earlier, *[session] * bool(self.log.done)]})

    def keep_weights(self) -> None:
        """Save the weights of every network, for use elsewhere."""
        for part, network in self.trainer.networks.items():
            save_weights(self.folder / f"{part}.safetensors", network.state_dict())


def _sha256(path: Path) -> str:
    """The first 12 digits of a file's SHA-256; equal runs print equal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else "none"
