"""Wasserstein GANs: a critic estimates the distance between two distributions, a generator reduces it.

    W(p, q) = sup over 1-Lipschitz f of  E_p f(x) - E_q f(x)         Kantorovich and Rubinstein's duality

The critic approximates f, the generator moves q. The variants differ in how they bound the slope of f:

    "clip"      every weight is clipped to [-clip, clip]       Arjovsky, Chintala & Bottou, 2017, algorithm 1
    "gp"        a penalty on gradients of norm other than 1    Gulrajani et al., 2017, algorithm 1
    "spectral"  the critic's layers are nn.SpectralNorm        Miyato et al., 2018
"""

from __future__ import annotations

__all__ = ["WGAN"]

from functools import partial
from typing import Any

import numpy as np

from minigan import nn, ops
from minigan.engine import Tensor
from minigan.errors import OptionError
from minigan.losses import gradient_penalty
from minigan.nn import Module, in_one_pass
from minigan.optim import Adam, OptimizerFactory, RMSProp
from minigan.random import Stream
from minigan.trainers.gan import GAN

LIPSCHITZ = ("gp", "clip", "spectral")


class WGAN(GAN):
    """Algorithm 1 of Arjovsky, Chintala & Bottou, 2017, or of Gulrajani et al., 2017.

    `update` is GAN's: n_critic critic steps, each on its own real data and noise (`discriminator_step` below: gradient,
    then clipping), then one generator step. Its metrics are those of the critic, g_loss and g_slope.

    Args:
        generator: noise (N, latent) to samples; has an attribute `latent`.
        critic: samples to numbers; no sigmoid.
        lipschitz: "gp", "clip" or "spectral", see above.
        lr: learning rate of both networks; by default the papers' 1e-4 (gp), 5e-5 (clip) and 2e-4 (spectral).
        betas: Adam's; by default (0.5, 0.9). With "clip", RMSProp is used, as momentum makes the critic unstable.
        n_critic: critic steps per generator step; each takes a fresh batch of real data.
        n_start: critic steps in each of the first 25 generator steps and in every 500th, so that the generator learns
            from a critic that has converged (100 in the code of Arjovsky et al.); by default n_critic.
        clip: largest absolute value of a weight, for "clip".
        lambda_gp: weight of the penalty, for "gp".
        ema, seed, augment, r1, r1_every, instance_noise: as in GAN. The gradient penalty is that of the critic after
            augmentation.

    Raises:
        OptionError: an unknown `lipschitz`, a number out of range, "gp" or r1 with batch norm in the critic, or
            "spectral" with a critic without spectral norm.
    """

    def __init__(self, generator: Module, critic: Module, lipschitz: str = "gp", lr: float | None = None,
                 betas: tuple[float, float] = (0.5, 0.9), n_critic: int = 5, clip: float = 0.01,
                 lambda_gp: float = 10.0, ema: float = 0.0, seed: int = 0, n_start: int | None = None,
                 augment: str = "", r1: float = 0.0, r1_every: int = 16, instance_noise: float = 0.0) -> None:
        if lipschitz not in LIPSCHITZ:
            raise OptionError(f"WGAN: lipschitz={lipschitz!r} is not one of {', '.join(LIPSCHITZ)}")
        if not (clip > 0 and lambda_gp > 0):
            raise OptionError(f"WGAN: clip={clip} and lambda_gp={lambda_gp} must be above 0")
        if n_start is not None and n_start < 1:
            raise OptionError(f"WGAN: n_start={n_start} must be at least 1")
        _check_critic(critic, lipschitz)
        super().__init__(generator, critic, "wasserstein", n_discriminator=n_critic, ema=ema, seed=seed,
                         optimizer=_optimizer(lipschitz, lr, betas), augment=augment, r1=r1, r1_every=r1_every,
                         instance_noise=instance_noise)
        self.n_start = n_critic if n_start is None else n_start
        self.lipschitz, self.clip, self.lambda_gp = lipschitz, clip, lambda_gp
        self.coefficients = Stream(seed, "penalty")  # e of u = e x + (1 - e) G(z), one per sample
        self.streams = {**self.streams, "coefficients": self.coefficients}

    def batches_now(self) -> int:
        """n_start in the generator steps 0 to 24, 500, 1000, ..., else n_critic."""
        done = self.g_optimizer.steps
        return self.n_start if done < 25 or done % 500 == 0 else self.batches_per_step

    def discriminator_step(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """One critic step on real and generated samples (N, ...): gradient, then clipping.

        Returns:
            d_loss, the critic's loss; wasserstein = E f(x) - E f(G(z)) before the step, the estimate of the distance
            (positive if the critic tells real from generated); penalty ("gp"); clipped, the share of weights at the
            bound ("clip").
        """
        judge = self.judge(real, labels)
        distance = self.loss.discriminator_loss(*in_one_pass(judge, real, fake).and_whole())
        metrics = {"wasserstein": -distance.detach()}
        loss = distance
        if self.lipschitz == "gp":
            penalty = gradient_penalty(judge, real, fake, self.coefficients)
            loss = ops.weighted_sum((distance, penalty), (1.0, self.lambda_gp))
            metrics["penalty"] = penalty.detach()
        penalised, penalties = self.penalised(loss, judge, real, fake)
        self.d_optimizer.minimize(penalised)
        if self.lipschitz == "clip":
            metrics["clipped"] = self.clip_weights()
        return {"d_loss": loss.detach(), **metrics, **penalties}

    def clip_weights(self) -> Tensor:
        """Clip every weight of the critic in place; returns the share of weights that are at the bound afterwards."""
        at_bound: Any = 0
        for p in self.discriminator.parameters():
            array = p.writable()
            np.maximum(array, -self.clip, out=array)
            np.minimum(array, self.clip, out=array)
            at_bound = at_bound + (np.abs(array) >= array.dtype.type(self.clip)).sum()
        size = sum(p.size for p in self.discriminator.parameters())
        return Tensor((at_bound / size).astype(self.dtype))


def _optimizer(lipschitz: str, lr: float | None, betas: tuple[float, float]) -> OptimizerFactory:
    """RMSProp with clipping, else Adam; the learning rate is lr, by default the paper's."""
    rate = lr if lr is not None else {"gp": 1e-4, "clip": 5e-5, "spectral": 2e-4}[lipschitz]
    return partial(RMSProp, lr=rate) if lipschitz == "clip" else partial(Adam, lr=rate, betas=betas)


def _check_critic(critic: Module, lipschitz: str) -> None:
    kinds = {type(module) for module in critic.modules()}
    if lipschitz == "gp" and nn.BatchNorm2d in kinds:
        raise OptionError("WGAN: the critic has batch norm, which mixes the samples of a batch, but the gradient "
                          "penalty needs each sample's own gradient; use a critic without it, or with nn.LayerNorm")
    if lipschitz == "spectral" and nn.SpectralNorm not in kinds:
        raise OptionError("WGAN: lipschitz='spectral' needs a critic whose layers are wrapped in nn.SpectralNorm")
