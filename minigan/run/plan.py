"""How long a run is: so many steps or epochs, or as many as fit into a time, found out by rehearsal."""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import Any

from minigan import random
from minigan.errors import OptionError
from minigan.run.command import IMAGES_SEEN, SMOKE_STEPS
from minigan.trainers import Progress, Trainer

FEWEST, MOST = 6, 40  # steps of a rehearsal
SHARE = 0.02  # of the budget that it may take, if FEWEST steps are done sooner
RESERVE = 0.05  # of the budget for pictures and checkpoints


def planned_steps(chosen: argparse.Namespace, loader: Any, trainer: Trainer) -> int:
    """How long to train: --smoke, --steps, --epochs, --budget, or IMAGES_SEEN, in this order."""
    if chosen.smoke:
        return SMOKE_STEPS
    if chosen.steps:
        return chosen.steps
    if getattr(chosen, "budget", None) and not chosen.epochs:
        return steps_within(chosen.budget, trainer, loader, chosen.graph)
    epochs = chosen.epochs or max(1, round(IMAGES_SEEN / loader.samples))
    return max(1, epochs * loader.batches_per_epoch // trainer.batches_per_step)


def check_length(chosen: argparse.Namespace) -> None:
    """A time, or a number.

    Raises:
        OptionError: both are given.
    """
    if getattr(chosen, "budget", None) and (chosen.steps or chosen.epochs):
        raise OptionError("--budget plans the number of steps; leave out --steps and --epochs, or the budget")


class _Enough(Exception):  # noqa: N818  # ends a rehearsal
    pass


def steps_within(seconds: float, trainer: Trainer, batches: Any, graph: bool = True) -> int:
    """How many steps fit into a time, from the speed of a few that are then undone.

    The trainer, the loader and the random numbers are put back to where they were, so that the run which follows is the
    one that `--steps` with the number returned gives, to the bit.
    """
    parts: dict[str, Any] = {"trainer": trainer, "batches": batches, "default": random.default}
    before = {name: part.state_dict() for name, part in parts.items()}
    start, times = time.perf_counter(), []

    def on_step(progress: Progress) -> None:
        times.append(progress.seconds)
        if len(times) >= FEWEST and progress.seconds >= SHARE * seconds:
            raise _Enough

    with contextlib.suppress(_Enough):
        trainer.fit(batches, MOST, on_step, graph=graph, promptly=lambda step: True)
    for name, part in parts.items():
        part.load_state_dict(before[name])
    each = (times[-1] - times[FEWEST // 2]) / (len(times) - 1 - FEWEST // 2)  # the first compile, allocate, capture
    left = seconds * (1 - RESERVE) - (time.perf_counter() - start)
    steps = max(1, int(left / each))
    print(f"{steps:,} steps of {1e3 * each:.0f} ms fit into {seconds:.0f} s")
    return steps
