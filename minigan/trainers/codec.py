"""A generative codec: an encoder and a decoder minimise the squared error and fool a discriminator of patches.

    minimise over E, G:  lambda_mse E |G(q(E(x))) - x|^2  +  lambda_gan game(D, x, G(q(E(x))))

The code q is a grid of whole numbers with a bounded number of values, so its rate needs no term of the loss. What it
cannot hold, the squared error makes a blur and the game a plausible detail. q is differentiated as ops.quantize says.

Source: Agustsson, Tschannen, Mentzer, Timofte & Van Gool, Generative adversarial networks for extreme learned image
compression, 2018, the objective of generative compression with beta = 0 and d the mean squared error.
"""

from __future__ import annotations

__all__ = ["Codec"]

from functools import partial
from typing import Any

import numpy as np

from minigan import models
from minigan.data.batches import Batch
from minigan.engine import Array, Tensor
from minigan.errors import OptionError
from minigan.losses import GANLoss, gan_loss, mse
from minigan.nn import Module, Sequential
from minigan.optim import Adam, OptimizerFactory
from minigan.trainers.base import parameters_of
from minigan.trainers.translation import (
    Translation,
    check_discriminator,
    check_weights,
    discriminator_loss,
    over_scales,
    total,
    values,
)


class Codec(Translation):
    """One discriminator step, then one step of encoder and decoder on the same pictures.

    Args:
        encoder, decoder: as from models.codec.
        discriminator: pictures to logits, or a list of them (MultiScaleDiscriminator).
        loss: the name of a pair in minigan.losses, or a pair; the paper's is least squares.
        lr, betas: Adam's, for all networks.
        lambda_mse: weight of the mean squared error of pixels in [-1, 1].
        lambda_gan: weight of the adversarial loss; 0 trains without a discriminator.
        optimizer: makes an optimiser from parameters, in place of Adam.

    Raises:
        OptionError: a negative weight, or none above 0; networks whose channels do not fit together.
    """

    def __init__(self, encoder: models.CodecEncoder, decoder: models.CodecDecoder, discriminator: Module,
                 loss: str | GANLoss = "least_squares", lr: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999),
                 lambda_mse: float = 10.0, lambda_gan: float = 1.0, optimizer: OptimizerFactory | None = None) -> None:
        super().__init__()
        if (encoder.code, encoder.in_channels) != (decoder.code, decoder.out_channels):
            raise OptionError(f"Codec: the encoder takes {encoder.in_channels} channels to {encoder.code}, the decoder "
                              f"{decoder.code} to {decoder.out_channels}; make both with models.codec")
        check_discriminator(discriminator, encoder.in_channels, "discriminator", "Codec")
        check_weights("Codec", lambda_mse=lambda_mse, lambda_gan=lambda_gan)
        if not lambda_mse:
            raise OptionError("Codec: lambda_mse=0 leaves nothing that ties a picture to its code; give one above 0")
        self.loss, self.lambda_mse, self.lambda_gan = gan_loss(loss), lambda_mse, lambda_gan
        self.encoder, self.decoder, self.discriminator = encoder, decoder, discriminator
        self.prepare({"encoder": encoder, "decoder": decoder, "discriminator": discriminator})
        optimizer = optimizer or partial(Adam, lr=lr, betas=betas)
        self.optimizer, self.d_optimizer = (optimizer(parameters_of(encoder, decoder)),
                                            optimizer(discriminator.parameters()))
        self.optimizers = {"optimizer": self.optimizer, "d_optimizer": self.d_optimizer}

    def update(self, batch: Batch, plan: Any = None) -> dict[str, Tensor]:
        """One iteration on pictures (N, C, H, W) in [-1, 1].

        Returns:
            d_loss, half the discriminator's loss before its update; g_loss, the decoder's adversarial loss; mse; all
            without weights. With lambda_gan=0, only mse.

        Raises:
            ShapeError: pictures with other channels than the networks.
        """
        if isinstance(batch, list | tuple):
            raise OptionError(f"Codec: got {len(batch)} batches; it takes one, of pictures")
        x = self.images(batch, self.encoder.in_channels, "pictures")
        fake = self.decoder(self.encoder(x))
        losses, metrics = {"mse": (self.lambda_mse, mse(fake, x))}, {}
        if self.lambda_gan:
            d_loss = discriminator_loss(self.discriminator, x, fake.detach(), self.loss)
            self.d_optimizer.minimize(d_loss)
            metrics["d_loss"] = d_loss.detach()
            game = over_scales(self.loss.generator_loss, self.discriminator(fake))
            losses = {"g_loss": (self.lambda_gan, game), **losses}
        self.optimizer.minimize(total(losses))
        return {**metrics, **values(losses)}

    def translate(self, images: Array) -> np.ndarray:
        """Pictures (N, C, H, W) in [-1, 1] as they come back from the code, on the host."""
        return self.translate_with(Sequential(self.encoder, self.decoder), images)

    def levels(self, images: Array) -> np.ndarray:
        """The codes of pictures, on the host: levels (N, K, h, w), see ops.quantize."""
        return self.translate_with(self.encoder, images)
