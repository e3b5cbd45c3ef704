"""Step counts of single parameters: those that have always stepped together share one number."""

from __future__ import annotations

from collections.abc import Sequence

from minigan.engine import counter
from minigan.errors import GraphError


class Clock:
    """A number of steps, which a captured step reads and increases."""

    def __init__(self, steps: int = 0) -> None:
        self._steps, self.closed = steps, False

    @property
    def steps(self) -> int:
        """Steps taken.

        Raises:
            GraphError: its parameters no longer share one number.
        """
        if self.closed:
            raise GraphError("this step was captured when its parameters had taken equally many optimiser steps; some "
                             "have taken others since: capture it again")
        return self._steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._steps = steps


class Clocks:
    """The clock of every parameter, by its position.

    >>> clocks = Clocks()
    >>> clocks.add(3)
    >>> clocks.tick([0, 1, 2]); clocks.tick([0, 1])
    >>> clocks.read(), clocks.of[0] is clocks.of[1]
    ([2, 2, 1], True)
    """

    def __init__(self) -> None:
        self.of: list[Clock] = []

    def add(self, count: int) -> None:
        """Further parameters, which have taken no step."""
        fresh = next((clock for clock in self.of if clock.steps == 0), None) or Clock()
        self.of += [fresh] * count

    def tick(self, live: Sequence[int]) -> None:
        """Add one step to the parameters at these positions."""
        if len(live) < len(self.of):
            moving = set(live)
            self._regroup([(clock.steps, i in moving) for i, clock in enumerate(self.of)])
        for clock in {id(self.of[i]): self.of[i] for i in live}.values():
            counter(clock, "steps")  # a capture notes the number before the step
            clock.steps += 1

    def read(self) -> list[int]:
        """The number of steps of every parameter."""
        return [clock.steps for clock in self.of]

    def write(self, counts: Sequence[int]) -> None:
        """Set the number of steps of every parameter. A clock whose parameters have equal numbers stays the same."""
        self._regroup(list(counts))
        for clock, count in zip(self.of, counts, strict=True):
            clock.steps = count

    def _regroup(self, keys: Sequence[object]) -> None:
        """Give the parameters of each clock new clocks if their keys differ, and close the old one."""
        together: dict[int, set[object]] = {}
        for clock, key in zip(self.of, keys, strict=True):
            together.setdefault(id(clock), set()).add(key)
        parts: dict[object, Clock] = {}
        old = list(self.of)
        for i, (clock, key) in enumerate(zip(old, keys, strict=True)):
            if len(together[id(clock)]) > 1:
                self.of[i] = parts.setdefault((id(clock), key), Clock(clock.steps))
        for clock in old:
            clock.closed = len(together[id(clock)]) > 1
