"""The game on two parallel lines: the generator is one number, theta, and the data are at 0.

    G(y) = (theta, y), y uniform in [0, 1)         D: a network, trained well before each step of theta

The lines do not overlap, so the best D is certain, its minimax loss is constant, and theta stays where it is. Noise on
real and generated points, or Roth et al.'s regulariser, which is that noise to first order, makes them overlap: theta
then arrives at 0. theta takes plain gradient steps, as Adam would enlarge a vanishing gradient.
"""

from __future__ import annotations

__all__ = ["game_on_lines"]

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan import nn
from minigan.engine import Tensor, tensor
from minigan.models.mlp import MLPDiscriminator
from minigan.optim import SGD, Adam, Optimizer
from minigan.random import Stream
from minigan.teach.theory.exact import Lines
from minigan.trainers import GAN


class _Line(nn.Module):
    """G: y (N, 1) to the points (theta, y), (N, 2)."""

    latent = 1

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(np.full((1, 1), theta, np.float32))

    def forward(self, y: Tensor) -> Tensor:
        """The points."""
        return self.theta * tensor([[1.0, 0.0]]) + y * tensor([[0.0, 1.0]])  # (N, 2)


class _OnLines(GAN):
    """GAN whose noise is uniform in [0, 1)."""

    def latents(self, count: int) -> Tensor:
        """y, (count, 1)."""
        return Tensor(self.noise.uniform((count, 1), self.dtype, self.device))


def game_on_lines(theta: float = 1.0, steps: int = 60, samples: int = 64, hidden: int = 32, start: int = 100,
                  lr: float = 5e-3, rate: float = 0.1, seed: int = 0, **regularisers: Any) -> list[float]:
    """The values of theta at the start and after each of its steps, in the minimax game between G and D.

    Args:
        theta: where it starts.
        steps: steps of theta; each follows five steps of D.
        samples: points of each line per step.
        hidden: units per layer of D.
        start: steps of D alone before the first.
        lr, rate: learning rates of D (Adam) and of theta (gradient descent).
        seed: of the points; D's first weights come from the numbers that `mg.seed` seeds.
        regularisers: `roth` or `instance_noise`, as in trainers.GAN. Once roth is below a few times theta^2, D can
            become certain at little cost, and theta stays: it must arrive before.
    """
    def optimizer(parameters: Sequence[Tensor]) -> Optimizer:
        return SGD(parameters, rate) if len(parameters) == 1 else Adam(parameters, lr, (0.5, 0.999))

    generator = _Line(theta)
    trainer = _OnLines(generator, MLPDiscriminator((2,), hidden), "minimax", n_discriminator=5, seed=seed,
                       optimizer=optimizer, **regularisers)
    trainer.set_schedule("constant", steps + start // 5)
    real, places = Lines(0.0).batches(samples, Stream(seed, "theory lines")), [theta]
    for _ in range(start):
        trainer.discriminator_step(real(), generator(trainer.latents(samples)).detach())
    for _ in range(steps):
        trainer.update([real().data for _ in range(5)])
        places.append(float(generator.theta.numpy()[0, 0]))
    return places
