"""The log of a run: metrics.jsonl, events.jsonl, and a progress bar or plain lines."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from minigan.checkpoint import inside
from minigan.engine.html import in_notebook
from minigan.errors import DataError, require
from minigan.report.words import clock
from minigan.trainers import Progress

LABELS = {"d_loss": "D", "g_loss": "G", "d_real": "D(x)", "d_fake": "D(G(z))", "wasserstein": "W", "g_slope": "slope"}
MEASURED = 20  # steps after which time and memory are estimated, if these took
LEAST = 0.1  # seconds: of steps in a CUDA graph, many are reported at once
PAUSE = 15.0  # seconds between plain lines


class Log:
    """Writes metrics.jsonl, one line per step, without times, so that equal runs give equal files; and the progress.

    On a terminal and in a notebook the progress is a bar, else a line every 15 seconds: log files need few lines and no
    carriage returns.

    folder           the folder of metrics.jsonl, which is appended to
    steps            number of steps of the whole run, `done` of them before this process
    images_per_step  used to compute the speed
    """

    def __init__(self, folder: Path, steps: int, images_per_step: int, done: int = 0) -> None:
        self.path = folder / "metrics.jsonl"
        self.file = inside.open_to_append(folder, self.path.name, lambda file: lock(file, folder))
        self.images_per_step, self.steps, self.before, self.done = images_per_step, steps, done, 0
        self.start, self.printed, self.flushed = time.perf_counter(), -PAUSE, 0.0
        self.first: Progress | None = None
        self.estimated = False
        self.seconds: float | None = None  # once closed
        self.bar: Any = None
        if sys.stderr.isatty() or in_notebook():
            try:
                module = "tqdm.notebook" if in_notebook() and find_spec("ipywidgets") else "tqdm"  # else: text
                self.bar = require(module, "a progress bar").tqdm(total=steps, initial=done, unit="step",
                                                                  dynamic_ncols=True, mininterval=0.5)
            except ModuleNotFoundError as error:
                self.say(f"{error}; without it, progress is a line every {PAUSE:.0f} seconds")

    def __call__(self, progress: Progress) -> None:
        """Append the metrics of a step and update the progress.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            self.file.write(json.dumps({"step": progress.step, "epoch": progress.epoch, **progress.metrics}) + "\n")
            if progress.seconds - self.flushed >= 1:  # so that the file can be followed
                self.flushed = progress.seconds
                self.file.flush()
        except OSError as error:
            raise self._unwritable(error) from None
        self.done += 1
        self._estimate(progress)
        if self.bar is not None:
            self.bar.set_postfix_str(self._state(progress), refresh=False)
            self.bar.update()
        elif progress.seconds - self.printed >= PAUSE or progress.step == self.steps:
            self.printed = progress.seconds
            left = clock(progress.seconds / self.done * (self.steps - progress.step))
            print(f"step {progress.step:,} of {self.steps:,}, {left} left, {self._state(progress)}", file=sys.stderr,
                  flush=True)

    def _estimate(self, progress: Progress) -> None:
        """After MEASURED steps, print an estimate of time and memory. The first step is slower, and is not counted."""
        self.first = self.first or progress
        seconds, left = progress.seconds - self.first.seconds, self.steps - progress.step
        if self.estimated or self.done < MEASURED or seconds < LEAST:
            return
        self.estimated = True
        if left > 10 * MEASURED:
            each = seconds / (progress.step - self.first.step)
            self.say(f"about {clock(each * left)} for {left:,} more steps of {1e3 * each:.3g} ms, in "
                     f"{memory() >> 20} MiB of memory")

    def _state(self, progress: Progress) -> str:
        watch = "  ".join(f"{LABELS.get(key, key)} {value:.3f}" for key, value in progress.metrics.items())
        rate = self.done * self.images_per_step / max(progress.seconds, 1e-9)
        return f"{rate:.0f} images/s  {memory() >> 20} MiB  {watch}"

    def say(self, line: str) -> None:
        """Print a line above the progress bar."""
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def rewind(self, step: int) -> None:
        """After a roll-back, when the file has been cut back to this step: reset the progress."""
        self.before, self.done, self.start = step, 0, time.perf_counter()
        self.first, self.printed, self.flushed = None, -PAUSE, 0.0
        if self.bar is not None:
            self.bar.n = self.bar.initial = step
            self.bar.refresh()

    def sync(self) -> None:
        """Write all appended lines to the disk.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Flush and close; errors such as a full disk have been reported before and are ignored."""
        self.seconds = self.elapsed()
        if self.bar is not None:
            self.bar.close()
        with contextlib.suppress(OSError):
            self.file.close()

    def elapsed(self) -> float:
        """Seconds of training in this process, so far or until the log was closed."""
        return time.perf_counter() - self.start if self.seconds is None else self.seconds

    def speed(self) -> float:
        """Images per second."""
        return self.done * self.images_per_step / max(self.elapsed(), 1e-9)

    def summary(self) -> str:
        """Steps, time, speed and memory, as one line."""
        step = 1e3 * self.elapsed() / max(1, self.done)
        return (f"{self.done} steps in {self.elapsed():.0f} s, {self.speed():.0f} images/s, {step:.0f} ms/step, "
                f"{memory() >> 20} MiB")

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"{self.path}: cannot be written ({error.strerror or error}); {way_on(error)}")


def way_on(error: OSError) -> str:
    """What to do after a file of a run could not be read or written, by the kind of error."""
    remedy = {errno.ENOSPC: "make room", errno.EDQUOT: "make room", errno.EFBIG: "allow larger files",
              errno.EROFS: "make the disk writable", errno.EACCES: "change the permissions",
              errno.EPERM: "change the permissions"}.get(error.errno or 0, "mend that")
    return f"the checkpoints so far are intact: {remedy}, then --resume"


def lock(file: IO[str], folder: Path) -> None:
    """Lock a run's file while it is open, so that only one process writes to it.

    Raises:
        DataError: another process has the lock; the file is then closed.
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
    """Append an event, such as a resumption or a roll-back, to events.jsonl."""
    with contextlib.suppress(OSError), inside.open_to_append(folder, "events.jsonl") as file:
        file.write(json.dumps(event) + "\n")


def memory() -> int:
    """The peak memory of this process in bytes; 0 where the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
