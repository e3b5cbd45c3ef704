"""What every trainer is: networks, optimisers, a seed, one `step`; and the training loop they share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minigan.errors import CheckpointError
from minigan.nn import Module
from minigan.optim import Optimizer
from minigan.random import Generator
from minigan.tensor import Array

Metrics = dict[str, float]


class Progress(NamedTuple):
    """What the loop tells after a step: its number from 1, its metrics, the seconds since the loop began."""

    step: int
    metrics: Metrics
    seconds: float


class Trainer:
    """Base of all trainers. A subclass fills `networks`, `optimizers`, `generators` and defines `step`."""

    batches_per_step = 1  # how many batches of real data one step takes

    def __init__(self) -> None:
        self.steps = 0
        self.networks: dict[str, Module] = {}
        self.optimizers: dict[str, Optimizer] = {}
        self.generators: dict[str, Generator] = {}  # random numbers

    def step(self, *batches: Array) -> Metrics:
        """One iteration of the algorithm; returns its losses and what else there is to watch."""
        raise NotImplementedError

    def sample(self, z: Array) -> np.ndarray:
        """Images for noise z (N, latent), on the host."""
        raise NotImplementedError

    def fit(self, batches: Iterator[Array], steps: int, on_step: Callable[[Progress], Any] | None = None) -> None:
        """Train for `steps` iterations on batches from an iterator, telling `on_step` after each."""
        start = time.perf_counter()
        for _ in range(steps):
            metrics = self.step(*(next(batches) for _ in range(self.batches_per_step)))
            self.steps += 1
            if on_step is not None:
                on_step(Progress(self.steps, metrics, time.perf_counter() - start))

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, but for the data: weights, optimisers, random numbers, the step count."""
        parts: dict[str, Any] = {**self.networks, **self.optimizers, **self.generators}
        return {"steps": self.steps, **{name: part.state_dict() for name, part in parts.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            CheckpointError: a part is missing, unknown, or belongs to another model.
        """
        parts: dict[str, Any] = {**self.networks, **self.optimizers, **self.generators}
        if set(state) != {"steps", *parts}:
            raise CheckpointError(f"{type(self).__name__}: a state with the parts {sorted(state)}; "
                                  f"this trainer has {sorted(['steps', *parts])}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        self.steps = int(state["steps"])
