"""Trainers: one `step` per iteration of an algorithm, one loop for all."""

from minigan.trainers.base import Progress, Trainer
from minigan.trainers.gan import GAN

__all__ = ["GAN", "Progress", "Trainer"]
