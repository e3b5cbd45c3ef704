"""A trainer's step as one CUDA graph; metrics are read many steps at a time, so the host need not wait for a GPU."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Protocol

import numpy as np

from minigan.data.batches import Batch, Batches
from minigan.engine import Array, Capture, Tensor, device
from minigan.engine.distributed import joint, world

READ_EVERY = 50  # steps between two reads of a GPU's metrics
Mark = tuple[int, int, bool]  # number of a step, its epoch, whether the epoch ends with it
Row = tuple[tuple[str, ...], Array]  # names of metrics, their values (metrics,)


class Step(Protocol):
    """The part of a trainer that a captured step uses."""

    batches_per_step: int

    def differs_now(self) -> bool: ...  # noqa: D102
    def structure(self) -> Hashable: ...  # noqa: D102
    def draw(self, batches: Batches) -> Batch: ...  # noqa: D102
    def plan(self, samples: int) -> Any: ...  # noqa: D102
    def update(self, batch: Batch, plan: Any = None) -> dict[str, Tensor]: ...  # noqa: D102


class CapturedStep:
    """Launches a graph that updates the trainer and, if batches are assembled on the GPU, also draws them.

    A graph cannot start the order of a new epoch, so a step in which an epoch begins runs kernel by kernel; so does one
    whose operations differ from those of most steps, such as a lazy penalty. Its metrics may have other names. When the
    trainer's structure changes, as networks grow, the graph is forgotten, and the step captured anew.
    """

    def __init__(self, trainer: Step, batches: Batches) -> None:
        self.trainer, self.batches = trainer, batches
        self.draws = batches.device != "cpu"  # drawing a batch belongs to the graph
        self.structure = trainer.structure()
        self.graph = self._new_graph()
        self.names: tuple[str, ...] = ()  # of the metrics that the graph returns

    def _new_graph(self) -> Capture:
        return Capture(self._draw_and_update if self.draws else self._update)

    def step(self) -> Row:
        """One step; its metrics, in memory that later steps do not overwrite."""
        if (structure := self.trainer.structure()) != self.structure:
            self.structure, self.graph = structure, self._new_graph()
        usual = self.trainer.batches_per_step
        if self.trainer.differs_now() or (self.draws and self.batches.ends_within(usual)):
            return stacked(self.trainer.update(self.trainer.draw(self.batches), None))
        if self.draws:
            row = self.graph(self.trainer.plan(joint().share(self.batches.batch_size)))
        else:
            batch = self.trainer.draw(self.batches)
            row = self.graph(batch, self.trainer.plan(_samples(batch)))
        return self.names, row.data.copy()  # the next launch overwrites the graph's array

    def _update(self, batch: Batch, plan: Any) -> Tensor:
        self.names, row = stacked(self.trainer.update(batch, plan))
        return Tensor(row)

    def _draw_and_update(self, plan: Any) -> Tensor:
        return self._update(self.trainer.draw(self.batches), plan)


class Readings:
    """Fetches metrics to the host: READ_EVERY steps at a time if `several`, else step by step.

    Of several ranks, the metrics are the means; `not_finite` are the ranks whose own were NaN or infinite last.
    """

    def __init__(self, several: bool) -> None:
        self.several, self.every = several, READ_EVERY if several else 1
        self.not_finite: tuple[int, ...] = ()
        self.unread: list[tuple[Mark, Row]] = []
        self.under_way: list[tuple[list[tuple[Mark, tuple[str, ...]]], Callable[[], np.ndarray]]] = []

    def add(self, mark: Mark, row: Row) -> None:
        """Add the metrics of a step; steps may have different ones."""
        self.unread.append((mark, row))

    def arrived(self, now: bool) -> Iterator[tuple[Mark, dict[str, float]]]:
        """The steps whose metrics have reached the host, with the metrics as numbers; with `now`, all steps.

        Rows from a GPU are returned when the next rows are fetched, so that the host need not wait for the copy.
        """
        if len(self.unread) < self.every and not now:
            return
        steps = [(mark, names) for mark, (names, _) in self.unread]
        numbers = np.concatenate([values for _, (_, values) in self.unread])  # of one step after the other
        fetched, self.unread = (steps, device.fetch(numbers)), []
        ready = [*self.under_way, fetched] if now or not self.several else self.under_way
        self.under_way = [] if now or not self.several else [fetched]
        for steps, wait in ready:
            values = iter(self._of_all_ranks(wait()).tolist())
            for mark, names in steps:
                yield mark, {name: next(values) for name in names}

    def _of_all_ranks(self, numbers: np.ndarray) -> np.ndarray:
        """The means over ranks of metrics (n,)."""
        ranks = world()
        means = ranks.mean([numbers])[0]
        self.not_finite = ()
        if ranks.size > 1 and not np.isfinite(means).all():
            every = ranks.gather(numbers[None])  # (ranks, n)
            self.not_finite = tuple(np.flatnonzero(~np.isfinite(every).all(axis=1)).tolist())
        return means


def stacked(metrics: dict[str, Tensor]) -> Row:
    """The names of metrics and their values as one array (metrics,), still on the device."""
    return tuple(metrics), np.stack([value.data for value in metrics.values()])


def _samples(batch: Batch) -> int:
    """Number of samples in a batch, or in its first part if it has several."""
    while isinstance(batch, tuple | list):
        batch = batch[0]
    return len(batch)
