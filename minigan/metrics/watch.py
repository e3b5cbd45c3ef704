"""Scores while a network learns: each adds a row to scores.jsonl; best.safetensors has the best weights so far.

A GAN's losses do not say when it is best, and its last step seldom is; the Frechet distance says it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minigan.checkpoint import save_weights
from minigan.metrics.scorer import Scorer
from minigan.random import Stream

DRAWN = 2000  # images per score: a second of measuring; distances are larger than for 10,000, by as much in every row
BATCH = 250


class Sampler(Protocol):
    """What can be watched: a trainer of a generator that draws from noise, such as trainers.GAN."""

    @property
    def latent(self) -> int:
        """Length of the noise vector."""

    @property
    def networks(self) -> dict[str, Any]:
        """Its networks by name: "generator" and, if there is one, "averaged", which draws the samples."""

    def sample(self, z: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) in [-1, 1] for noise z (N, latent)."""


def samples(trainer: Sampler, z: np.ndarray) -> np.ndarray:
    """What a trainer draws for noise z (N, latent), BATCH images at a time."""
    return np.concatenate([trainer.sample(z[i : i + BATCH]) for i in range(0, len(z), BATCH)])


class Watch:
    """Scores a trainer's samples, always of the same noise, by the measures of Scorer.quick.

    Args:
        trainer: draws the samples, with averaged weights if it has them, as in its sample grids.
        seed: of the noise.
        directory: where MNIST is; as in data.mnist.

    Raises:
        What Scorer raises.
    """

    def __init__(self, trainer: Sampler, seed: int = 0, directory: str | os.PathLike[str] | None = None) -> None:
        self.trainer, self.scorer = trainer, Scorer(directory)
        self.noise = Stream(seed, "scores").normal((DRAWN, trainer.latent))
        self.best = float("inf")

    def __call__(self, folder: Path, step: int) -> dict[str, float]:
        """Score; append the row to folder/scores.jsonl, and save the weights if they are the best so far."""
        scores = self.scorer.quick(samples(self.trainer, self.noise))
        with (folder / "scores.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **scores}) + "\n")
        if scores["frechet"] < self.best:
            self.best = scores["frechet"]
            networks = self.trainer.networks
            network = networks.get("averaged", networks["generator"])
            save_weights(folder / "best.safetensors", network.state_dict(),
                         {"step": str(step), "frechet": repr(self.best)})
        return scores

    def state_dict(self) -> dict[str, float]:
        """All that the next score depends on: the best score so far."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue where `state_dict` was taken."""
        self.best = float(state["best"])
