"""The length of a run: a number of steps or epochs, or the steps that fit into a time, measured by a rehearsal."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from minigan import random
from minigan.data import Batches
from minigan.engine.distributed import world
from minigan.errors import OptionError
from minigan.run.options import IMAGES_SEEN, SMOKE_STEPS, RunOptions
from minigan.trainers import Progress, Trainer

FEWEST, MOST = 6, 40  # steps of a rehearsal
SHARE = 0.02  # share of the budget for a rehearsal, if FEWEST steps need less
RESERVE = 0.05  # share of the budget for pictures and checkpoints


def planned_steps(options: RunOptions, batches: Batches, trainer: Trainer) -> int:
    """The number of steps: by --smoke, --steps, --budget or --epochs, the first that is given; else by IMAGES_SEEN."""
    if options.smoke:
        return SMOKE_STEPS
    if options.steps:
        return options.steps
    if options.budget:
        return steps_within(options.budget, trainer, batches, options.graph)
    epochs = options.epochs or max(1, round(IMAGES_SEEN / batches.samples))
    return max(1, epochs * batches.batches_per_epoch // trainer.batches_per_step)


def check_length(options: RunOptions) -> None:
    """Raise OptionError if both a time and a number of steps are given."""
    if options.budget and options.steps:
        raise OptionError("--budget plans the number of steps; give --steps or --budget, not both")


class _Enough(Exception):  # noqa: N818  # ends a rehearsal
    pass


def steps_within(seconds: float, trainer: Trainer, batches: Batches, graph: bool = True) -> int:
    """The number of steps that fit into a time, from the speed of a few steps, which are undone afterwards.

    The states of the trainer, the loader and the random numbers are restored, so that the run which follows is exactly
    the one that `--steps` with the returned number gives.
    """
    parts: dict[str, Any] = {"trainer": trainer, "batches": batches, "default": random.default}
    before = {name: part.state_dict() for name, part in parts.items()}
    start, times = time.perf_counter(), []

    def on_step(progress: Progress) -> None:
        times.append(world().broadcast(progress.seconds))  # all ranks decide by the first one's clock
        if len(times) >= FEWEST and times[-1] >= SHARE * seconds:
            raise _Enough

    with contextlib.suppress(_Enough):
        trainer.fit(batches, MOST, on_step, graph=graph, promptly=lambda step: True)
    for name, part in parts.items():
        part.load_state_dict(before[name])
    each = (times[-1] - times[FEWEST // 2]) / (len(times) - 1 - FEWEST // 2)  # without the slow first ones
    left = seconds * (1 - RESERVE) - (time.perf_counter() - start)
    steps = world().broadcast(max(1, int(left / each)))
    print(f"{steps:,} steps of {1e3 * each:.0f} ms fit into {seconds:.0f} s")
    return steps
