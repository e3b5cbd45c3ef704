"""The state that a run needs to continue as if it had not been interrupted, and when it is saved.

Everything on which the next step, or the next line of a file, depends is in one state: networks, optimisers and random
streams (the trainer's state), the loader's position, minigan's default stream, the name of the schedule, the best
score, and the length of each file of the run folder. On resume, files are cut back to that length, so what a killed
run wrote after its last checkpoint is written again, byte for byte.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from minigan import random
from minigan.checkpoint import Series, inside
from minigan.data import Batches
from minigan.engine.distributed import world
from minigan.errors import CheckpointError, DataError, NonFiniteError
from minigan.trainers import Progress, Trainer

GROWING = ("metrics.jsonl", "scores.jsonl", "judged.jsonl")  # files that are appended to
EVERY = 60.0  # seconds between checkpoints, by default
SHARE = 0.01  # largest share of the time that saving may take, by default
_SHEET = re.compile(r"(epoch|step)_\d+\.png")


class Keeper:
    """Collects, saves and restores the state of a run.

    trainer, batches, score  the parts that have a state; a score may be without `state_dict`
    config                   the contents of config.json, stored with the state
    keep                     number of newest checkpoints that are kept
    """

    def __init__(self, folder: Path, trainer: Trainer, batches: Batches, score: Any, config: dict[str, Any], keep: int
                 ) -> None:
        self.folder, self.trainer, self.batches, self.score, self.config = folder, trainer, batches, score, config
        self.series = Series(folder / "checkpoints", keep)
        self.rates = {name: optimizer.lr for name, optimizer in trainer.optimizers.items()}
        self.factor, self.rollbacks = 1.0, 0  # factor of the learning rates; how often it was lowered
        self.best = getattr(score, "best", None)

    def save(self) -> None:
        """Save a checkpoint of the present state.

        Raises:
            CheckpointError: the file cannot be written.
        """
        state = {
            "step": self.trainer.steps,
            "trainer": self.trainer.state_dict(),
            "batches": self.batches.state_dict(),
            "default": random.default.state_dict(),
            "score": self.score.state_dict() if hasattr(self.score, "state_dict") else None,
            "learning": {"schedule": self.config["options"].get("schedule"), "steps": self.config["steps"],
                         "factor": self.factor, "rollbacks": self.rollbacks},
            "files": {name: size for name in GROWING if (size := inside.size(self.folder, name)) is not None},
            "samples": inside.names(self.folder, "samples"),
            "config": self.config,
        }
        best = getattr(self.score, "best", None)
        self.series.save(self.trainer.steps, state, best=best is not None and best != self.best)
        self.best = best

    def restore(self) -> tuple[int, list[str]]:
        """Restore the newest undamaged checkpoint; returns its step, and the problems of newer ones.

        Raises:
            CheckpointError: there is none, or it belongs to another trainer.
            DataError: a file is shorter than when the checkpoint was saved.
        """
        state, path, problems = world().on_first(self.series.newest)
        try:
            self.trainer.load_state_dict(state["trainer"])
            self.batches.load_state_dict(state["batches"])
            random.default.load_state_dict(state["default"])
            if state["score"] is not None and hasattr(self.score, "load_state_dict"):
                self.score.load_state_dict(state["score"])
            self.factor, self.rollbacks = state["learning"]["factor"], int(state["learning"]["rollbacks"])
            lengths, samples = dict(state["files"]), {*state["samples"]}
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path}: not a state of this run ({type(error).__name__}: {error})") from None
        self.best = getattr(self.score, "best", None)
        self.set_factor(self.factor)
        self.put_back(lengths, samples)
        return self.trainer.steps, problems

    def put_back(self, lengths: dict[str, int], samples: set[str]) -> None:
        """Cut files that grow back to these lengths, and remove sheets that are not in `samples`."""
        for name in GROWING:
            inside.separate(self.folder, name)  # a hard link to another file
            _cut(self.folder, name, lengths.get(name, 0))
        for name in inside.names(self.folder, "samples"):
            if _SHEET.fullmatch(name) and name not in samples:
                inside.remove(self.folder, f"samples/{name}")

    def set_factor(self, factor: float) -> None:
        """Set every learning rate to `factor` times its initial value."""
        self.factor = factor
        for name, optimizer in self.trainer.optimizers.items():
            optimizer.lr = self.rates[name] * factor


def _cut(folder: Path, name: str, length: int) -> None:
    """Remove everything after the first `length` bytes of a file."""
    size = inside.size(folder, name) or 0
    if size < length:
        raise DataError(f"{folder / name}: has {size:,} bytes, but had {length:,} when the checkpoint was saved; "
                        "restore it from a copy")
    if size > length:
        inside.cut(folder, name, length)


def check_finite(progress: Progress, was_watched: bool) -> None:
    """Stop a run that has diverged, before its last good weights are overwritten.

    Raises:
        NonFiniteError: a metric is NaN or infinite.
    """
    broken = [f"{key} is {value}" for key, value in progress.metrics.items() if not np.isfinite(value)]
    if broken:
        where = f" on rank {' and '.join(map(str, progress.not_finite))}" if progress.not_finite else ""
        remedy = "" if was_watched else "; run it again with --check-finite to see in which operation and layer"
        raise NonFiniteError(f"step {progress.step}: {' and '.join(broken)}{where}: the networks have diverged"
                             f"{remedy}. A smaller --lr is the usual remedy")


def check_weights(trainer: Trainer) -> None:
    """Check all weights before they replace earlier ones: after a divergence, the losses are finite for one step more.

    Raises:
        NonFiniteError: a weight is NaN or infinite.
    """
    for part, network in trainer.networks.items():
        for name, array in [*((n, p.data) for n, p in network.named_parameters()), *network.named_buffers()]:
            if not np.isfinite(array).all():
                raise NonFiniteError(f"step {trainer.steps}: {part}.{name} holds NaN or infinity: the networks have "
                                     "diverged. A smaller --lr is the usual remedy")


class Cadence:
    """When a checkpoint is due: every N steps, or with "auto" every minute, and less often if saving is slow."""

    def __init__(self, every: int | str) -> None:
        self.every, self.wait, self.last = every, EVERY, time.monotonic()

    def due(self, step: int) -> bool:
        """Whether a checkpoint is due after this step."""
        if isinstance(self.every, int):
            return step % self.every == 0
        return time.monotonic() - self.last >= self.wait

    def saved(self, seconds: float) -> None:
        """Record that a checkpoint was saved, and how many seconds that took."""
        self.wait, self.last = max(EVERY, seconds / SHARE), time.monotonic()
