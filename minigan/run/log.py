"""What a run says while it trains: metrics.jsonl, a progress bar or plain lines, events."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

from minigan.errors import DataError, require
from minigan.trainers import Progress

LABELS = {"d_loss": "D", "g_loss": "G", "d_real": "D(x)", "d_fake": "D(G(z))", "wasserstein": "W", "g_slope": "slope"}
MEASURED = 20  # steps until time and memory are estimated
PAUSE = 15.0  # seconds between plain lines


class Log:
    """metrics.jsonl, one line per step without clock times (equal runs give equal files), and the progress.

    On a terminal that is a bar, else a line now and then: a log file wants few, and no carriage returns.

    folder           where metrics.jsonl is appended to
    steps            of the whole run, `done` of which were made before
    images_per_step  for the speed
    """

    def __init__(self, folder: Path, steps: int, images_per_step: int, done: int = 0) -> None:
        self.path = folder / "metrics.jsonl"
        self.file = self.path.open("a")
        lock(self.file, folder)
        self.images_per_step, self.steps, self.before, self.done = images_per_step, steps, done, 0
        self.start, self.said, self.flushed = time.perf_counter(), -PAUSE, 0.0
        self.first: Progress | None = None
        self.bar: Any = None
        if sys.stderr.isatty():
            try:
                self.bar = require("tqdm", "a progress bar").tqdm(total=steps, initial=done, unit="step",
                                                                  dynamic_ncols=True, mininterval=0.5)
            except ModuleNotFoundError as error:
                self.say(f"{error}; until then, a line now and then")

    def __call__(self, progress: Progress) -> None:
        """Append a step's metrics and move the bar.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            self.file.write(json.dumps({"step": progress.step, "epoch": progress.epoch, **progress.metrics}) + "\n")
            if progress.seconds - self.flushed >= 1:  # for those who read along
                self.flushed = progress.seconds
                self.file.flush()
        except OSError as error:
            raise self._unwritable(error) from None
        self.done += 1
        self._estimate(progress)
        if self.bar is not None:
            self.bar.set_postfix_str(self._state(progress), refresh=False)
            self.bar.update()
        elif progress.seconds - self.said >= PAUSE or progress.step == self.steps:
            self.said = progress.seconds
            left = _clock(progress.seconds / self.done * (self.steps - progress.step))
            print(f"step {progress.step:,} of {self.steps:,}, {left} left, {self._state(progress)}", file=sys.stderr,
                  flush=True)

    def _estimate(self, progress: Progress) -> None:
        """Once, after the first steps: how long it will take, in time and memory. The very first step is no measure."""
        self.first = self.first or progress
        if self.done == MEASURED and self.steps - progress.step > 10 * MEASURED:
            each = max(0.0, progress.seconds - self.first.seconds) / (progress.step - self.first.step)
            left = self.steps - progress.step
            self.say(f"about {_clock(each * left)} for {left:,} more steps of {1e3 * each:.0f} ms, in "
                     f"{memory() >> 20} MiB of memory")

    def _state(self, progress: Progress) -> str:
        watch = "  ".join(f"{LABELS.get(key, key)} {value:.3f}" for key, value in progress.metrics.items())
        rate = self.done * self.images_per_step / max(progress.seconds, 1e-9)
        return f"{rate:.0f} images/s  {memory() >> 20} MiB  {watch}"

    def say(self, line: str) -> None:
        """Print a line without tearing the bar."""
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def rewind(self, step: int) -> None:
        """After a roll-back: the file was cut back to this step; the bar follows."""
        self.before, self.done, self.start = step, 0, time.perf_counter()
        self.first, self.said, self.flushed = None, -PAUSE, 0.0
        if self.bar is not None:
            self.bar.n = self.bar.initial = step
            self.bar.refresh()

    def sync(self) -> None:
        """Bring what was appended to the disk.

        Raises:
            DataError: it cannot be written.
        """
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Flush and close; a disk that is full has been complained about before."""
        self.seconds = time.perf_counter() - self.start
        if self.bar is not None:
            self.bar.close()
        with contextlib.suppress(OSError):
            self.file.close()

    def summary(self) -> str:
        """Steps, time and speed, in words."""
        speed = self.done * self.images_per_step / self.seconds
        step = 1e3 * self.seconds / max(1, self.done)
        return (f"{self.done} steps in {self.seconds:.0f} s, {speed:.0f} images/s, {step:.0f} ms/step, "
                f"{memory() >> 20} MiB")

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"{self.path}: cannot be written ({error.strerror or error}); the checkpoints so far are "
                         "intact: make room, then --resume")


def lock(file: IO[str], folder: Path) -> None:
    """One process a run, for as long as the file is open: two would mix their lines.

    Raises:
        DataError: another process has it; the file is then closed.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise DataError(f"{folder}: another process is training here; stop it first, or use another --out") from None
    except OSError:  # a file system without locks
        return


def note(folder: Path, **event: Any) -> None:
    """Append to events.jsonl what happened to a run: that it was resumed, rolled back."""
    with contextlib.suppress(OSError), (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")


def memory() -> int:
    """The most memory this process has had, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> _clock(61), _clock(7322)
    ('1:01', '2:02:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
