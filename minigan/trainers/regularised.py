"""What keeps a discriminator from learning a small data set by heart, or from winning: options of GAN and WGAN.

    augment         D sees every sample through the same kind of augmentation            data.DiffAugment
    r1              + r1 / 2 E |grad D(x)|^2 on real samples, in every r1_every-th step   losses.r1
    roth            + roth / 2 of Roth et al.'s regulariser, annealed to ROTH_END of it   losses.roth
    instance_noise  Gaussian noise on all that D sees, of a deviation that falls to 0     losses.instance_noise

All act on one function, the discriminator after augmentation and noise, so that penalties are those of what is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minigan import kernels, losses, nn
from minigan.data.augment import DiffAugment
from minigan.engine import Tensor, scalar
from minigan.errors import OptionError
from minigan.nn import Module
from minigan.optim import Optimizer, constant, linear_decay
from minigan.random import Stream

Judge = Callable[[Tensor], Tensor]  # samples (N, ...) to logits
ROTH_END = 0.01  # share of its weight that Roth et al.'s regulariser has at the end of a run


@dataclass(frozen=True)
class Options:
    """The options in the table above, checked.

    Raises:
        OptionError: a weight below 0, or r1_every below 1.
    """

    augment: str = ""
    r1: float = 0.0
    r1_every: int = 16
    roth: float = 0.0
    instance_noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("r1", "roth", "instance_noise"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name}={getattr(self, name)!r:.60} must be a number >= 0")
        if self.r1_every < 1:
            raise OptionError(f"r1_every={self.r1_every} must be at least 1")

    def regulariser(self, discriminator: Module, optimizer: Optimizer, seed: int, loss: str) -> Regulariser | None:
        """What they ask for; None if that is nothing.

        Args:
            discriminator: without batch norm if there is a penalty, as that needs each sample's own gradient.
            optimizer: the discriminator's, whose steps are counted.
            seed: of augmentations and noise.
            loss: name of the loss; roth is for those of the GAN of 2014.

        Raises:
            OptionError: they do not fit the discriminator or the loss.
        """
        if not (self.augment or self.r1 or self.roth or self.instance_noise):
            return None
        if (self.r1 or self.roth) and any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules()):
            raise OptionError(f"r1={self.r1}, roth={self.roth}: the discriminator has batch norm, which mixes the "
                              "samples of a batch, but the penalty needs each sample's own gradient; use a "
                              "discriminator without it (norm='none' or 'spectral')")
        if self.roth and loss not in ("minimax", "non_saturating"):
            raise OptionError(f"roth={self.roth}: the regulariser is that of the losses minimax and non_saturating, "
                              f"not of {loss}; use r1")
        return Regulariser(self, optimizer, seed)


@dataclass(frozen=True)
class _Geometric:
    end: float
    steps: int

    def __call__(self, step: int) -> float:
        return self.end ** min(1.0, step / self.steps)


class Regulariser:
    """Augmentations, noise and penalties of one trainer. Its `streams` are part of the trainer's state.

    Without `plan`, noise and Roth et al.'s weight are constant.
    """

    def __init__(self, options: Options, optimizer: Optimizer, seed: int) -> None:
        self.options, self.optimizer = options, optimizer
        self.streams: dict[str, Stream] = {}
        self.augmentation: DiffAugment | None = None
        if options.augment:
            self.streams["augment"] = Stream(seed, "augment")
            self.augmentation = DiffAugment(options.augment, self.streams["augment"])
        if options.instance_noise:
            self.streams["instance_noise"] = Stream(seed, "instance noise")
        self.fading: Callable[[int], float] = constant
        self.annealing: Callable[[int], float] = constant

    def plan(self, steps: int) -> None:
        """Noise falls linearly to 0, and Roth et al.'s weight geometrically to ROTH_END, in this many steps of D."""
        self.fading, self.annealing = linear_decay(0, steps), _Geometric(ROTH_END, steps)

    def judge(self, discriminator: Judge, x: Tensor) -> Judge:
        """The discriminator after augmentations drawn now, for batches like x (N, ...), and noise drawn when called."""
        draw = None if self.augmentation is None else self.augmentation.draw(x)

        def judged(samples: Tensor) -> Tensor:
            if self.augmentation is not None:
                samples = self.augmentation(samples, draw)
            if self.options.instance_noise:
                std = self._now(self.options.instance_noise, self.fading, samples)
                samples = losses.instance_noise(samples, std, self.streams["instance_noise"])
            return discriminator(samples)

        return judged

    def penalised(self, loss: Tensor, judge: Judge, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss with the penalties that are due, on samples (N, ...), and these without weights, for the metrics.

        R1 comes every r1_every steps with r1_every times its weight (Karras et al., StyleGAN2, 2020, section 3.1).
        """
        options, metrics = self.options, {}
        if options.r1 and self.optimizer.steps % options.r1_every == 0:
            metrics["r1"] = penalty = losses.r1(judge, real)
            loss = loss + penalty * (0.5 * options.r1 * options.r1_every)
        if options.roth:
            metrics["roth"] = penalty = losses.roth(judge, real, fake)
            loss = loss + penalty * self._now(0.5 * options.roth, self.annealing, penalty)
        return loss, {name: penalty.detach() for name, penalty in metrics.items()}

    def differs_within(self, steps: int) -> bool:
        """Whether R1 is due in the next steps of D, but not in all of them: most steps have other operations."""
        if not self.options.r1 or self.options.r1_every == 1:
            return False
        return any((self.optimizer.steps + k) % self.options.r1_every == 0 for k in range(steps))

    def settings(self) -> dict[str, Any]:
        """The options that are in use."""
        return {name: value for name, value in vars(self.options).items()
                if value and (name != "r1_every" or self.options.r1)}

    def _now(self, value: float, factor: Callable[[int], float], like: Tensor) -> float | Tensor:
        """The value times the factor of this step; in a captured step, as a number in the device's memory."""
        now = scalar(lambda step: value * factor(step), self.optimizer, "steps")
        return Tensor(now.array.astype(like.dtype).reshape(())) if isinstance(now, kernels.Rate) else now
