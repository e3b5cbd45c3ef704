"""Schedules of the learning rate: functions from the step count to a factor, so resuming needs only the count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

from minigan.errors import OptionError

Schedule = Callable[[int], float]


@dataclass(frozen=True)  # objects, not lambdas: pickle takes them to another process
class _LinearDecay:
    start: int
    end: int

    def __call__(self, step: int) -> float:
        return min(1.0, max(0.0, (self.end - step) / (self.end - self.start)))


@dataclass(frozen=True)
class _Warmup:
    steps: int

    def __call__(self, step: int) -> float:
        return min(1.0, (step + 1) / self.steps) if self.steps else 1.0


@dataclass(frozen=True)
class _StepDecay:
    every: int
    gamma: float

    def __call__(self, step: int) -> float:
        return self.gamma ** (step // self.every)


def constant(step: int) -> float:
    """Always 1: the learning rate does not change."""
    return 1.0


def linear_decay(start: int, end: int) -> Schedule:
    """1 up to step `start`, then linearly down to 0 at step `end` (CycleGAN's second half).

    Raises OptionError unless 0 <= start < end.

    >>> [linear_decay(2, 4)(step) for step in range(6)]
    [1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    """
    if not (isinstance(start, Real) and isinstance(end, Real) and 0 <= start < end):
        raise OptionError(f"linear_decay: needs numbers 0 <= start < end, got start={start!r:.60}, end={end!r:.60}")
    return _LinearDecay(start, end)


def warmup(steps: int) -> Schedule:
    """Linearly up to 1 over the first `steps` steps; with 0 steps, always 1.

    Raises OptionError unless steps >= 0.
    """
    if not (isinstance(steps, Real) and steps >= 0):
        raise OptionError(f"warmup: steps={steps!r:.60} must be a number >= 0")
    return _Warmup(steps)


def step_decay(every: int, gamma: float = 0.1) -> Schedule:
    """Multiply by gamma after every `every` steps.

    Raises OptionError unless every >= 1 and 0 <= gamma < infinity.
    """
    if not (isinstance(every, Real) and every >= 1):
        raise OptionError(f"step_decay: every={every!r:.60} must be a number of steps >= 1")
    if not (isinstance(gamma, Real) and 0 <= gamma < math.inf):
        raise OptionError(f"step_decay: gamma={gamma!r:.60} must be a number >= 0")
    return _StepDecay(every, gamma)


SCHEDULES: dict[str, Callable[[int], Schedule]] = {  # name: schedule of a run of `steps` steps
    "constant": lambda steps: constant,
    "half_linear": lambda steps: linear_decay(steps // 2, steps),  # CycleGAN's: constant, then linearly down to 0
    "linear": lambda steps: linear_decay(0, steps),
    "warmup": lambda steps: warmup(max(1, steps // 20)),
    "step": lambda steps: step_decay(max(1, steps // 3)),
}


def schedule(name: str, steps: int) -> Schedule:
    """The schedule with this name, for a run of `steps` steps.

    Raises:
        OptionError: no schedule has that name; the message lists them all.

    >>> [schedule("half_linear", 4)(step) for step in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.0]
    """
    if name not in SCHEDULES:
        raise OptionError(f"schedule={name!r} is not one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name](steps)
