"""Base of the trainers: networks, optimisers, random streams, one `update`; and the training loop they share."""

from __future__ import annotations

__all__ = ["Progress", "Trainer"]

import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minigan import optim
from minigan.data.batches import Batch, Batches, as_batches
from minigan.engine import Array, Tensor, device, scalar, tensor
from minigan.engine.distributed import together, world
from minigan.errors import CheckpointError
from minigan.losses import GANLoss
from minigan.nn import Module
from minigan.optim import Optimizer
from minigan.random import Stream
from minigan.trainers.captured import CapturedStep, Readings, stacked

Metrics = dict[str, float]
RATES = ("lr", "betas", "alpha", "momentum", "eps", "weight_decay", "max_norm")  # what optimisers are made with


class Progress(NamedTuple):
    """The state of training after a step: its number (from 1), its metrics, seconds since the start, its epoch.

    not_finite: the ranks whose own metrics are NaN or infinite, when several train together.
    """

    step: int
    metrics: Metrics
    seconds: float
    epoch: int = 0
    epoch_ends: bool = False
    not_finite: tuple[int, ...] = ()


class Trainer:
    """Base of all trainers. A subclass fills `networks`, `optimizers`, `streams` and defines `update`."""

    batches_per_step = 1  # batches of real data per step
    capturable = True  # whether steps run the same operations, unless `differs_now`, and so can become a CUDA graph

    def __init__(self) -> None:
        self.steps = 0
        self.networks: dict[str, Module] = {}
        self.optimizers: dict[str, Optimizer] = {}
        self.streams: dict[str, Stream] = {}

    def batches_now(self) -> int:
        """Batches for the next step."""
        return self.batches_per_step

    def differs_now(self) -> bool:
        """Whether the next step runs other operations than most do: on a GPU, it is then no launch of their graph."""
        return self.batches_now() != self.batches_per_step

    def structure(self) -> Hashable:
        """What decides which operations the next step runs; when it changes, a captured step is captured anew."""
        return None

    def draw(self, batches: Batches) -> Batch:
        """The real data of the next step, in the form that `update` takes."""
        return next(batches)

    def plan(self, samples: int) -> Any:
        """The random decisions of the next step that are made on the host, for batches of `samples` samples.

        They are inputs of a captured step. Without a plan, `update` makes one.
        """
        return None

    def update(self, batch: Batch, plan: Any = None) -> dict[str, Tensor]:
        """One iteration of the algorithm; returns its losses and other metrics as scalar tensors."""
        raise NotImplementedError

    def step(self, batch: Batch, plan: Any = None) -> Metrics:
        """`update`, with the metrics as numbers."""
        return {name: value.item() for name, value in self.update(batch, plan).items()}

    def sample(self, z: Array) -> np.ndarray:
        """Samples (N, ...) for noise z (N, latent), on the host."""
        raise NotImplementedError

    def sample_later(self, z: Array) -> Callable[[], np.ndarray]:
        """A function that returns `sample(z)` with the present weights; only that function may wait for a GPU."""
        images = self.sample(z)
        return lambda: images

    def settings(self) -> dict[str, Any]:
        """What the trainer was made with, defaults included, as numbers and words for config.json.

        Of each optimiser its kind and rates, of each network the number of its parameters, and the trainer's own.
        """
        own = {name: value for name, value in vars(self).items()
               if isinstance(value, bool | int | float | str) and name not in ("steps", "device")}
        if isinstance(loss := getattr(self, "loss", None), GANLoss):
            own["loss"] = loss.name
        return {
            "trainer": type(self).__name__, **own,
            "optimizers": {name: {"kind": type(optimizer).__name__,
                                  **{key: list(value) if isinstance(value, tuple) else value for key in RATES
                                     if (value := getattr(optimizer, key, None)) is not None}}
                           for name, optimizer in self.optimizers.items()},
            "parameters": {name: sum(p.size for p in network.parameters()) for name, network in self.networks.items()},
        }

    def set_schedule(self, name: str, steps: int) -> None:
        """Set the schedule of every learning rate to one of minigan.optim, for a run of `steps` steps.

        Raises:
            OptionError: no schedule has that name; the message lists them all.
        """
        for optimizer in self.optimizers.values():
            optimizer.schedule = optim.schedule(name, steps)

    def fit(self, batches: Batches | Iterator[Batch], steps: int, on_step: Callable[[Progress], Any] | None = None,
            graph: bool = True, promptly: Callable[[int], bool] = lambda step: False) -> None:
        """Train for `steps` iterations, calling `on_step` after each.

        On a GPU with `graph`, a step is captured as one CUDA graph, and `on_step` is called for several steps at a
        time: at the latest when an epoch ends, or after a step for which `promptly(number)` is true. At that moment the
        networks are in the state after that step. `promptly` is called once per step.

        All ranks of `distributed.world()` take each step together; metrics are their means.
        """
        batches = as_batches(batches)
        captured = None
        if graph and self.capturable and world().capturable and device.default() != "cpu":
            captured = CapturedStep(self, batches)
        readings, start = Readings(several=captured is not None), time.perf_counter()
        for number in range(1, steps + 1):
            with together():
                row = stacked(self.update(self.draw(batches))) if captured is None else captured.step()
            self.steps += 1
            epoch, ends = batches.epoch, batches.position == 0
            now = promptly(self.steps) or ends or number == steps  # called exactly once per step
            readings.add((self.steps, epoch, ends), row)
            for (step, in_epoch, at_end), values in readings.arrived(now):
                if on_step is not None:
                    on_step(Progress(step, values, time.perf_counter() - start, in_epoch, at_end, readings.not_finite))

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on except the data: weights, optimisers, random streams, the step count."""
        parts: dict[str, Any] = {**self.networks, **self.optimizers, **self.streams}
        return {"steps": self.steps, **{name: part.state_dict() for name, part in parts.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises:
            CheckpointError: a part is missing, unknown, or belongs to another model.
        """
        parts: dict[str, Any] = {**self.networks, **self.optimizers, **self.streams}
        if set(state) != {"steps", *parts}:
            raise CheckpointError(f"{type(self).__name__}: a state with the parts {sorted(state)}; "
                                  f"this trainer has {sorted(['steps', *parts])}; make it with the same options")
        for name, part in parts.items():
            try:
                part.load_state_dict(state[name])
            except (CheckpointError, ValueError) as error:
                raise CheckpointError(f"{name}: {error}") from None
        self.steps = int(state["steps"])


def parameters_of(*networks: Module) -> list[Tensor]:
    """The parameters of several networks for one optimiser; those that networks share come once."""
    return list({id(p): p for network in networks for p in network.parameters()}.values())


def averaging_decay(ema: float, optimizer: Optimizer) -> float:
    """The decay of averaged weights at this step: small at first, so that the initial weights are soon forgotten."""
    return scalar(lambda steps: min(ema, (1 + steps) / (10 + steps)), optimizer, "steps")


def as_tensor(real: Array, dtype: Any, target: str) -> Tensor:
    """Real data as a tensor of this dtype on the device `target`; without a copy if it is on that GPU already."""
    if device.of(real) == target != "cpu" and real.dtype == dtype:
        return Tensor(real)
    return tensor(real, dtype=dtype, device=target)
