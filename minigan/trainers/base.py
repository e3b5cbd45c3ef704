"""What every trainer is: networks, optimisers, a seed, one `step`; and the training loop they share.

A subclass defines `update`, one iteration that leaves its losses where they were computed. On a GPU the loop captures
it, batch and all, as one CUDA graph and reads the losses of many steps at once, so that nothing waits for the GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minigan import optim
from minigan.engine import device
from minigan.engine.capture import Capture, scalar
from minigan.engine.tensor import Array, Tensor, tensor
from minigan.errors import CheckpointError
from minigan.nn import Module
from minigan.optim import Optimizer
from minigan.random import Stream

Metrics = dict[str, float]
READ_EVERY = 50  # steps whose losses a GPU keeps before they are read


class Progress(NamedTuple):
    """What the loop tells after a step: its number from 1, its metrics, the seconds since the loop began, the epoch."""

    step: int
    metrics: Metrics
    seconds: float
    epoch: int = 0
    epoch_ends: bool = False


class Trainer:
    """Base of all trainers. A subclass fills `networks`, `optimizers`, `generators` and defines `update`."""

    batches_per_step = 1  # how many batches of real data a step takes
    capturable = True  # whether every step does the same, so that it can become a CUDA graph

    def __init__(self) -> None:
        self.steps = 0
        self.networks: dict[str, Module] = {}
        self.optimizers: dict[str, Optimizer] = {}
        self.streams: dict[str, Stream] = {}  # random numbers

    def batches_now(self) -> int:
        """How many batches the next step takes; a step that takes another number than most is not captured."""
        return self.batches_per_step

    def decide(self, samples: int) -> list[np.ndarray]:
        """What chance decides on the host for the next step, on batches of so many samples: inputs of a captured step.

        They follow the batches in the arguments of `update`, which decides for itself when it gets none.
        """
        return []

    def update(self, *batches: Array) -> dict[str, Tensor]:
        """One iteration of the algorithm; its losses and what else there is to watch, as tensors without axes."""
        raise NotImplementedError

    def step(self, *batches: Array) -> Metrics:
        """One iteration of the algorithm; returns its losses and what else there is to watch."""
        return {name: value.item() for name, value in self.update(*batches).items()}

    def sample(self, z: Array) -> np.ndarray:
        """Images for noise z (N, latent), on the host."""
        raise NotImplementedError

    def sample_later(self, z: Array) -> Callable[[], np.ndarray]:
        """A function that returns `sample(z)` of now; a trainer may wait for a GPU only there."""
        images = self.sample(z)
        return lambda: images

    def set_schedule(self, name: str, steps: int) -> None:
        """Let every learning rate follow a schedule of minigan.optim over a run of `steps` steps.

        Raises:
            OptionError: no schedule has that name; the message lists those there are.
        """
        for optimizer in self.optimizers.values():
            optimizer.schedule = optim.schedule(name, steps)

    def fit(self, batches: Iterator[Array], steps: int, on_step: Callable[[Progress], Any] | None = None,
            graph: bool = True, promptly: Callable[[int], bool] = lambda step: False) -> None:
        """Train for `steps` iterations on batches from an iterator, telling `on_step` after each.

        On a GPU `on_step` hears of several steps at a time, at the latest when an epoch ends or after a step whose
        number is to be told `promptly`, which is asked once a step: the networks are then as that step left them. With
        `graph`, a step is captured as a CUDA graph (batches from a data.Loader that is on the GPU are part of it).
        """
        captured = graph and self.capturable and device.default() != "cpu"
        loop, start = _Loop(self, batches, captured), time.perf_counter()

        def tell(rows: Iterable[tuple[int, Metrics, int, bool]]) -> None:
            for step, metrics, epoch, ends in rows:
                if on_step is not None:
                    on_step(Progress(step, metrics, time.perf_counter() - start, epoch, ends))

        for number in range(1, steps + 1):
            values = loop.step()
            self.steps += 1
            epoch, ends = getattr(batches, "epoch", 0), getattr(batches, "position", None) == 0
            now = promptly(self.steps) or ends or number == steps  # asked in any case, and once
            tell(loop.arrived((self.steps, values, epoch, ends), now))

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, but for the data: weights, optimisers, random numbers, the step count."""
        parts: dict[str, Any] = {**self.networks, **self.optimizers, **self.streams}
        return {"steps": self.steps, **{name: part.state_dict() for name, part in parts.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            CheckpointError: a part is missing, unknown, or belongs to another model.
        """
        parts: dict[str, Any] = {**self.networks, **self.optimizers, **self.streams}
        if set(state) != {"steps", *parts}:
            raise CheckpointError(f"{type(self).__name__}: a state with the parts {sorted(state)}; "
                                  f"this trainer has {sorted(['steps', *parts])}")
        for name, part in parts.items():
            try:
                part.load_state_dict(state[name])
            except (CheckpointError, ValueError) as error:
                raise CheckpointError(f"{name}: {error}") from None
        self.steps = int(state["steps"])


_Unread = tuple[int, Array, int, bool]  # a step's number, its metrics on the device, the epoch, whether it ends


class _Loop:
    """How the next step is done: plainly, or by launching a graph that draws the batches and updates."""

    def __init__(self, trainer: Trainer, batches: Any, captured: bool) -> None:
        self.trainer, self.batches = trainer, batches
        self.names: tuple[str, ...] = ()  # of the metrics
        self.draws = captured and getattr(batches, "device", "cpu") != "cpu"  # drawing a batch belongs to the graph
        self.graph = Capture(self._whole if self.draws else self._update) if captured else None
        self.read_every = READ_EVERY if captured else 1
        self.unread: list[_Unread] = []
        self.under_way: list[tuple[Callable[[], np.ndarray], list[_Unread]]] = []

    def _draw(self) -> list[Array]:
        """The step's batches; one that is a tuple, of two domains for example, counts as its parts."""
        drawn = [next(self.batches) for _ in range(self.trainer.batches_now())]
        return [part for batch in drawn for part in (batch if isinstance(batch, tuple) else (batch,))]

    def _update(self, *batches: Array) -> Tensor:
        metrics = self.trainer.update(*batches)
        self.names = tuple(metrics)
        return Tensor(np.stack([value.data for value in metrics.values()]))  # (metrics,)

    def _whole(self, *decisions: Array) -> Tensor:
        return self._update(*self._draw(), *decisions)

    def step(self) -> Array:
        """One step. A new epoch's order cannot begin inside a graph, so the step in which it does is a plain one."""
        if self.graph is None or self.trainer.batches_now() != self.trainer.batches_per_step:
            return self._whole().data
        if not self.draws:
            drawn = self._draw()
            values = self.graph(*drawn, *self.trainer.decide(len(drawn[0])))
        elif self.batches.ends_within(self.trainer.batches_per_step):
            return self._whole().data
        else:
            values = self.graph(*self.trainer.decide(getattr(self.batches, "batch_size", 0)))
        return values.data.copy()  # the next launch overwrites the graph's own

    def arrived(self, step: _Unread, now: bool) -> Iterator[tuple[int, Metrics, int, bool]]:
        """Note a step; give those whose metrics are on the host by now, with the metrics as numbers.

        A GPU's are fetched `read_every` steps at a time and given when the next are fetched: nobody waits for the copy.
        With `now`, all are given.
        """
        self.unread.append(step)
        if len(self.unread) < self.read_every and not now:
            return
        fetched, self.unread = (self._fetch(self.unread), self.unread), []
        ready = [*self.under_way, fetched] if now or self.graph is None else self.under_way
        self.under_way = [] if ready and ready[-1] is fetched else [fetched]
        for wait, steps in ready:
            for (number, _, epoch, ends), row in zip(steps, wait().tolist(), strict=True):  # (steps, metrics)
                yield number, dict(zip(self.names, row, strict=True)), epoch, ends

    def _fetch(self, steps: list[_Unread]) -> Callable[[], np.ndarray]:
        rows = np.stack([values for _, values, _, _ in steps])  # (steps, metrics)
        return device.fetch(rows)


def averaging_decay(ema: float, optimizer: Optimizer) -> float:
    """How much an average of weights keeps at this step: little at first, so the initial weights are forgotten."""
    return scalar(lambda steps: min(ema, (1 + steps) / (10 + steps)), optimizer, "steps")


def as_batch(real: Array, dtype: Any, where: str) -> Tensor:
    """Real data as a tensor for the networks: taken as it is if it is on their device already."""
    if device.of(real) == where != "cpu" and real.dtype == dtype:
        return Tensor(real)
    return tensor(real, dtype=dtype, device=where)
