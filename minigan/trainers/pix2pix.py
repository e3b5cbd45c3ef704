"""pix2pix: pairs of images, a generator from one to the other, a discriminator that sees both images of a pair.

    minimise over G:  game(D, (a, G(a)))  +  lambda_l1 E |G(a) - b|        game: the adversarial loss

The absolute difference determines the coarse shape, but blurs details that a does not determine; the adversarial loss,
on patches, makes them sharp. D also sees a, so that G must draw an image that fits a, not just any image of the domain.

Source: Isola, Zhu, Zhou & Efros, Image-to-image translation with conditional adversarial networks, 2017.
"""

from __future__ import annotations

__all__ = ["Pix2Pix"]

from functools import partial
from typing import Any, cast

import numpy as np

from minigan import ops
from minigan.data.batches import Batch
from minigan.engine import Array, Tensor, no_grad
from minigan.errors import OptionError, ShapeError
from minigan.losses import GANLoss, gan_loss, l1
from minigan.models.vgg import VGG
from minigan.nn import Module, in_one_pass
from minigan.optim import Adam, OptimizerFactory
from minigan.trainers.perceptual import perceptual_loss
from minigan.trainers.translation import (
    Logits,
    Translation,
    Weighted,
    channels,
    check_discriminator,
    check_weights,
    mean_of,
    over_scales,
    total,
    two_parts,
    values,
)

Features = list[Tensor] | list[list[Tensor]]  # a discriminator's layers, or those of each scale


class Pix2Pix(Translation):
    """One discriminator step, then one generator step on the same fakes.

    Args:
        generator: images of a to images of b; with attributes `in_channels` and `out_channels`.
        discriminator: both images of a pair, concatenated along the channels, to logits, or a list of them
            (MultiScaleDiscriminator).
        loss: the name of a pair in minigan.losses, or a pair; the paper's is the log loss.
        lr, betas: Adam's, for both networks.
        lambda_l1: weight of the mean absolute difference.
        lambda_gan: weight of the adversarial loss; 0 trains the generator alone, on the other terms.
        lambda_features: weight of feature matching: 4 times the mean absolute difference of the outputs of D's layers
            for the fake and the real pair; 10 in pix2pixHD, 0 for none. The discriminator needs `features`.
        lambda_perceptual: weight of `perceptual_loss`, the differences of the maps of `features`; 10 in pix2pixHD.
        features: the network of that loss, as models.VGG19 or metrics.style_features(); it does not learn.
        optimizer: makes the optimiser of a network from its parameters, in place of Adam.

    As in the paper, the only noise is the dropout of the generator, see models.UnetGenerator.

    Source of feature matching: Wang et al., High-resolution image synthesis with conditional GANs, 2018, equation 4.

    Raises:
        OptionError: a negative weight, networks whose channels do not fit together, feature matching with a
            discriminator that has no `features`, or a perceptual loss without a network, or of other images than grey
            or RGB ones.
    """

    def __init__(self, generator: Module, discriminator: Module, loss: str | GANLoss = "non_saturating",
                 lr: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999), lambda_l1: float = 100.0,
                 lambda_features: float = 0.0, optimizer: OptimizerFactory | None = None,
                 lambda_gan: float = 1.0, lambda_perceptual: float = 0.0, features: VGG | None = None) -> None:
        super().__init__()
        self.channels = channels(generator, "generator", "Pix2Pix")
        check_discriminator(discriminator, sum(self.channels), "discriminator", "Pix2Pix")
        check_weights("Pix2Pix", lambda_l1=lambda_l1, lambda_features=lambda_features, lambda_gan=lambda_gan,
                      lambda_perceptual=lambda_perceptual)
        if not lambda_gan and (lambda_features or not lambda_l1):
            raise OptionError(f"Pix2Pix: with lambda_gan=0 no discriminator is trained, so lambda_l1={lambda_l1} must "
                              f"be above 0 and lambda_features={lambda_features} must be 0")
        if lambda_features and not hasattr(discriminator, "features"):
            raise OptionError(f"Pix2Pix: lambda_features={lambda_features} needs a discriminator with `features`, as "
                              "models.PatchDiscriminator and models.MultiScaleDiscriminator have")
        self.loss, self.lambda_l1, self.lambda_features = gan_loss(loss), lambda_l1, lambda_features
        self.lambda_gan, self.lambda_perceptual = lambda_gan, lambda_perceptual
        self.features = _perceptive(features, lambda_perceptual, self.channels[1])
        self.generator, self.discriminator = generator, discriminator
        self.prepare({"generator": generator, "discriminator": discriminator})
        optimizer = optimizer or partial(Adam, lr=lr, betas=betas)
        self.g_optimizer, self.d_optimizer = optimizer(generator.parameters()), optimizer(discriminator.parameters())
        self.optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}

    def update(self, batch: Batch, plan: Any = None) -> dict[str, Tensor]:
        """One iteration on a batch of pairs: images a and their partners b.

        Args:
            batch: (a, b), images (N, C, H, W) in [-1, 1], as from data.paired.
            plan: not used.

        Returns:
            d_loss, half the discriminator's loss before its update; g_loss, the generator's adversarial loss; l1, the
            mean absolute difference; perceptual, if lambda_perceptual > 0; features, the feature matching loss, if
            lambda_features > 0; all without weights. With lambda_gan=0, only l1 and perceptual.

        Raises:
            OptionError: not two batches.
            ShapeError: the batches have other channels than the networks, or differ in N, H or W.
        """
        parts = two_parts(batch, "Pix2Pix", "images and their partners, as from data.paired")
        a, b = (self.images(part, c, name)
                for part, c, name in zip(parts, self.channels, ("sources", "targets"), strict=True))
        if (len(a), *a.shape[2:]) != (len(b), *b.shape[2:]):
            raise ShapeError(f"Pix2Pix: sources {a.shape} and targets {b.shape} are no pairs: they must agree in N, H "
                             "and W")
        fake = self.generator(a)
        metrics = self.discriminator_step(a, b, fake.detach()) if self.lambda_gan else {}
        losses = self.generator_losses(a, b, fake)
        self.g_optimizer.minimize(total(losses))
        return {**metrics, **values(losses)}

    def discriminator_step(self, a: Tensor, b: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """One step of the discriminator on real pairs (a, b) and on (a, fake); its loss."""
        logits = in_one_pass(self.discriminator, _pair(a, b), _pair(a, fake))
        d_loss = 0.5 * over_scales(self.loss.discriminator_loss, *logits.and_whole())
        self.d_optimizer.minimize(d_loss)
        return {"d_loss": d_loss.detach()}

    def generator_losses(self, a: Tensor, b: Tensor, fake: Tensor) -> Weighted:
        """The terms that the generator minimises."""
        losses = {"l1": (self.lambda_l1, l1(fake, b))}
        if self.features is not None:
            losses["perceptual"] = (self.lambda_perceptual, perceptual_loss(self.features, fake, b))
        if not self.lambda_gan:
            return losses
        if not self.lambda_features:
            game = over_scales(self.loss.generator_loss, self.discriminator(_pair(a, fake)))
            return {"g_loss": (self.lambda_gan, game), **losses}
        features: Features = self.discriminator.features(_pair(a, fake))  # type: ignore[attr-defined]
        with no_grad():
            real: Features = self.discriminator.features(_pair(a, b))  # type: ignore[attr-defined]
        losses["features"] = (self.lambda_features, feature_matching(features, real))
        return {"g_loss": (self.lambda_gan, over_scales(self.loss.generator_loss, _logits(features))), **losses}

    def translate(self, images: Array) -> np.ndarray:
        """Images (N, C, H, W) in [-1, 1] translated from a to b, on the host."""
        return self.translate_with(self.generator, images)


def _perceptive(features: VGG | None, weight: float, channels: int) -> VGG | None:
    """The network of the perceptual loss, frozen; None without a weight. Raises OptionError as Pix2Pix."""
    if not weight:
        return None
    if features is None:
        raise OptionError(f"Pix2Pix: lambda_perceptual={weight} needs features, such as metrics.style_features()")
    if channels not in (1, 3):
        raise OptionError(f"Pix2Pix: lambda_perceptual={weight} is for grey or RGB images, but the targets have "
                          f"{channels} channels; use lambda_perceptual=0")
    features.requires_grad_(False)
    return features


def feature_matching(fake: Features, real: Features) -> Tensor:
    """4 times the mean absolute difference of all layers except the logits.

    Source: Wang et al., pix2pixHD, 2018, equation 4 and their code.
    """
    scales = zip(_scales(fake), _scales(real), strict=True)
    return 4.0 * mean_of([mean_of([l1(f, r) for f, r in zip(fakes[:-1], reals[:-1], strict=True)])
                          for fakes, reals in scales])


def _scales(features: Features) -> list[list[Tensor]]:
    """The layers of each scale; a discriminator without scales has one."""
    return cast("list[list[Tensor]]", [features] if isinstance(features[0], Tensor) else features)


def _logits(features: Features) -> Logits:
    logits = [layers[-1] for layers in _scales(features)]
    return logits[0] if isinstance(features[0], Tensor) else logits


def _pair(a: Tensor, b: Tensor) -> Tensor:
    """Both images of each pair, (N, C + C', H, W)."""
    return ops.concat([a, b], 1)
