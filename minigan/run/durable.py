"""What a run needs to continue as if nothing had happened, and when it is kept.

Everything that the next step, or the next line of a file, depends on is in one state: networks, optimisers and random
addresses (the trainer's own state), the loader's position, minigan's default generator, the schedule by its name, the
best score, and how long each file of the run folder was. Files are cut back to that length on resume, so what a killed
run wrote after its last checkpoint is written once more, byte for byte.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from minigan import random
from minigan.checkpoint import Series
from minigan.data import Batches
from minigan.errors import CheckpointError, DataError, NonFiniteError
from minigan.trainers import Trainer

GROWING = ("metrics.jsonl", "scores.jsonl")  # files that are appended to
EVERY = 60.0  # seconds between checkpoints, by default
SHARE = 0.01  # of the time that saving may take, by default
_SHEET = re.compile(r"(epoch|step)_\d+\.png")


class Keeper:
    """Takes, keeps and restores the state of a run.

    trainer, batches, score  what the state is of; a score without `state_dict` has none
    config                   of the run, for the record
    """

    def __init__(self, folder: Path, trainer: Trainer, batches: Batches, score: Any, config: dict[str, Any], keep: int
                 ) -> None:
        self.folder, self.trainer, self.batches, self.score, self.config = folder, trainer, batches, score, config
        self.series = Series(folder / "checkpoints", keep)
        self.rates = {name: optimizer.lr for name, optimizer in trainer.optimizers.items()}
        self.factor, self.rollbacks = 1.0, 0  # of the learning rates; how often it was lowered
        self.best = getattr(score, "best", None)

    def save(self) -> None:
        """Keep the run as it is.

        Raises:
            CheckpointError: it cannot be written.
        """
        state = {
            "step": self.trainer.steps,
            "trainer": self.trainer.state_dict(),
            "batches": self.batches.state_dict(),
            "default": random.default.state_dict(),
            "score": self.score.state_dict() if hasattr(self.score, "state_dict") else None,
            "learning": {"schedule": self.config["options"].get("schedule"), "steps": self.config["steps"],
                         "factor": self.factor, "rollbacks": self.rollbacks},
            "files": {name: (self.folder / name).stat().st_size for name in GROWING if (self.folder / name).exists()},
            "samples": sorted(os.listdir(self.folder / "samples")),
            "config": self.config,
        }
        best = getattr(self.score, "best", None)
        self.series.save(self.trainer.steps, state, best=best is not None and best != self.best)
        self.best = best

    def restore(self) -> tuple[int, list[str]]:
        """Put the run back to its newest whole checkpoint; its step, and what is wrong with newer ones.

        Raises:
            CheckpointError: there is none, or it is of another trainer.
            DataError: a file is shorter than it was.
        """
        state, path, problems = self.series.newest()
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
            raise CheckpointError(f"{path}: no state of this run ({type(error).__name__}: {error})") from None
        self.best = getattr(self.score, "best", None)
        self.set_factor(self.factor)
        for name in GROWING:
            _cut(self.folder / name, lengths.get(name, 0))
        for name in os.listdir(self.folder / "samples"):
            if _SHEET.fullmatch(name) and name not in samples:
                (self.folder / "samples" / name).unlink()
        return self.trainer.steps, problems

    def set_factor(self, factor: float) -> None:
        """Multiply every learning rate by a factor of what it was at first."""
        self.factor = factor
        for name, optimizer in self.trainer.optimizers.items():
            optimizer.lr = self.rates[name] * factor


def _cut(path: Path, length: int) -> None:
    """Forget what was appended after the first `length` bytes."""
    size = path.stat().st_size if path.exists() else 0
    if size < length:
        raise DataError(f"{path}: has {size:,} bytes, but had {length:,} when the checkpoint was saved; restore it")
    if size > length:
        os.truncate(path, length)


def check_weights(trainer: Trainer) -> None:
    """Look at all weights before they replace earlier ones: losses are finite for one more step than weights.

    Raises:
        NonFiniteError: one is NaN or infinite.
    """
    for part, network in trainer.networks.items():
        for name, array in [*((n, p.data) for n, p in network.named_parameters()), *network.named_buffers()]:
            if not np.isfinite(array).all():
                raise NonFiniteError(f"step {trainer.steps}: {part}.{name} holds NaN or infinity: the networks have "
                                     "diverged. A smaller --lr is the usual remedy")


class Cadence:
    """When a checkpoint is due: every so many steps, or, "auto", every minute, and less often if saving is slow."""

    def __init__(self, every: int | str) -> None:
        self.every, self.wait, self.last = every, EVERY, time.monotonic()

    def due(self, step: int) -> bool:
        """Whether to save after this step."""
        if isinstance(self.every, int):
            return step % self.every == 0
        return time.monotonic() - self.last >= self.wait

    def saved(self, seconds: float) -> None:
        """Note that it was done, in so many seconds."""
        self.wait, self.last = max(EVERY, seconds / SHARE), time.monotonic()
