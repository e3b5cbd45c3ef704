"""CycleGAN: two domains without pairs, a generator each way; a translation there and back must restore the image.

    minimise over G_ab, G_ba, against D_a and D_b (game: the adversarial loss of a generator):

        game(D_b, G_ab(a)) + game(D_a, G_ba(b))                              fakes look like their domain
        + lambda_cycle    ( E |G_ba(G_ab(a)) - a| + E |G_ab(G_ba(b)) - b| )  nothing is lost on the way
        + lambda_identity ( E |G_ba(a) - a| + E |G_ab(b) - b| )              images of the target stay as they are

Source: Zhu, Park, Isola & Efros, Unpaired image-to-image translation, 2017, equations 1 to 3 and section 4.
"""

from __future__ import annotations

__all__ = ["CycleGAN"]

import copy
import warnings
from functools import partial
from typing import NamedTuple

import numpy as np

from minigan.data.augment import DiffAugment
from minigan.data.batches import Batch
from minigan.engine import Array, Tensor
from minigan.errors import OptionError
from minigan.losses import GANLoss, gan_loss
from minigan.nn import Module
from minigan.optim import Adam, OptimizerFactory
from minigan.random import Stream
from minigan.trainers.base import averaging_decay, parameters_of
from minigan.trainers.pool import ImagePool, PoolPlan
from minigan.trainers.translation import (
    Judge,
    Pair,
    Translation,
    Weighted,
    channels,
    check_discriminator,
    check_weights,
    discriminator_loss,
    generator_losses,
    total,
    two_parts,
    values,
)


class Plan(NamedTuple):
    """What the pools of both domains do in a step."""

    a: PoolPlan
    b: PoolPlan


class Domains(NamedTuple):
    """A batch of each domain (N, C, H, W), and the labels of a (N,) if the trainer uses them."""

    a: Tensor
    b: Tensor
    labels: Array | None = None


class CycleGAN(Translation):
    """Both generators step together, then both discriminators, on the same fakes or on older ones from their pools.

    Args:
        g_ab, g_ba: images of one domain to images of the other; with attributes `in_channels` and `out_channels`.
        d_a, d_b: images of a domain to logits, or a list of them (MultiScaleDiscriminator).
        loss: the name of a pair in minigan.losses ("non_saturating" is the log loss of the GAN of 2014), or a pair.
        lr, betas: Adam's, one optimiser for both generators and one for both discriminators.
        lambda_cycle: weight of the cycle losses; without them (0), translated digits do not keep their label.
        lambda_identity: weight of the identity losses; by default half of lambda_cycle, or 0 if the domains differ in
            channels, as an image cannot then be its own translation.
        pool: images in each discriminator's pool of fakes, see ImagePool; 0 for none.
        ema: decay of an exponential moving average of the generators' weights, which then translate; 0 for none.
        seed: seed of the pools.
        optimizer: makes an optimiser from parameters, in place of Adam.
        augment: augmentations through which both discriminators see all images, such as "translation,cutout"; see
            data.DiffAugment.

    The authors' learning rate is constant for half of a run and then falls to 0: `set_schedule("half_linear", steps)`.

    Raises:
        OptionError: a weight, pool or ema out of range, an unknown augmentation, networks whose channels do not fit
            together, or lambda_identity above 0 for domains that differ in channels.
    """

    def __init__(self, g_ab: Module, g_ba: Module, d_a: Module, d_b: Module, loss: str | GANLoss = "least_squares",
                 lr: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999), lambda_cycle: float = 10.0,
                 lambda_identity: float | None = None, pool: int = 50, ema: float = 0.0, seed: int = 0,
                 optimizer: OptimizerFactory | None = None, augment: str = "") -> None:
        super().__init__()
        name = type(self).__name__
        self.channels = _domain_channels(name, g_ab, g_ba, d_a, d_b)
        if not 0 <= ema < 1:
            raise OptionError(f"{name}: ema={ema} must be at least 0 and below 1")
        self.loss, self.lambda_cycle, self.ema = gan_loss(loss), lambda_cycle, ema
        self.lambda_identity = _identity_weight(name, lambda_identity, lambda_cycle, self.channels)
        check_weights(name, lambda_cycle=lambda_cycle, lambda_identity=self.lambda_identity)
        self.g_ab, self.g_ba, self.d_a, self.d_b = g_ab, g_ba, d_a, d_b
        networks = {"g_ab": g_ab, "g_ba": g_ba, "d_a": d_a, "d_b": d_b}
        if ema:
            networks |= {"averaged_ab": copy.deepcopy(g_ab).eval(), "averaged_ba": copy.deepcopy(g_ba).eval()}
        self.prepare(networks)
        optimizer = optimizer or partial(Adam, lr=lr, betas=betas)
        self.g_optimizer = optimizer(parameters_of(*self.generating()))
        self.d_optimizer = optimizer(parameters_of(d_a, d_b))
        self.optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        self.pool_a, self.pool_b = (ImagePool(pool, Stream(seed, f"pool {domain}")) for domain in "ab")
        self.pools = {"pool_a": self.pool_a, "pool_b": self.pool_b}
        self.augmentation: DiffAugment | None = None
        if augment:
            self.augment, self.streams["augment"] = augment, Stream(seed, "augment")
            self.augmentation = DiffAugment(augment, self.streams["augment"])

    def generating(self) -> list[Module]:
        """The networks whose parameters the generators' optimiser updates."""
        return [self.g_ab, self.g_ba]

    def plan(self, samples: int) -> Plan:
        """What both pools do in the next step, for batches of `samples` images."""
        return Plan(self.pool_a.plan(samples), self.pool_b.plan(samples))

    def update(self, batch: Batch, plan: Plan | None = None) -> dict[str, Tensor]:
        """One iteration on images a of one domain and b of the other, which need not correspond.

        Args:
            batch: (a, b), images (N, C, H, W) in [-1, 1], as from data.Unpaired.
            plan: what the pools do; by default made by `plan`.

        Returns:
            d_a, d_b: half the discriminators' losses, before their update; g_a, g_b: the adversarial losses of the
            generators of a and of b; cycle_a, cycle_b, idt_a, idt_b: mean absolute differences (idt only if
            lambda_identity > 0). The generators' losses are without weights.

        Raises:
            OptionError: not one batch of each domain.
            ShapeError: a batch has another number of channels than its networks.
        """
        a, b, labels = self.domains(batch)
        metrics, fake_a, fake_b = self.generators_step(a, b, labels)
        plan = plan or self.plan(len(a))
        shown_a = self.pool_a.exchange(fake_a, plan.a)  # fakes of this step or of earlier ones
        shown_b = self.pool_b.exchange(fake_b, plan.b)
        return {**self.discriminators_step(a, b, shown_a, shown_b), **metrics}

    def generators_step(self, a: Tensor, b: Tensor, labels: Array | None = None
                        ) -> tuple[dict[str, Tensor], Array, Array]:
        """One step of both generators; their losses, and the fakes of a and of b as arrays.

        Gradients of the discriminators' weights are not computed.
        """
        losses, fake_a, fake_b = self.generator_losses(a, b, labels)
        self.g_optimizer.minimize(total(losses))
        if self.ema:
            decay = averaging_decay(self.ema, self.g_optimizer)
            self.networks["averaged_ab"].average_in(self.g_ab, decay)
            self.networks["averaged_ba"].average_in(self.g_ba, decay)
        return values(losses), fake_a.data, fake_b.data

    def generator_losses(self, a: Tensor, b: Tensor, labels: Array | None = None) -> tuple[Weighted, Tensor, Tensor]:
        """The terms that the generators minimise, and the fakes of a and of b. A subclass may add terms.

        labels: the labels of a (N,), for trainers that use them.
        """
        pair = Pair(self.g_ab, self.g_ba, self.judge(self.d_a, a), self.judge(self.d_b, b))
        return generator_losses(pair, a, b, self.loss, self.lambda_cycle, self.lambda_identity)

    def discriminators_step(self, a: Tensor, b: Tensor, fake_a: Array, fake_b: Array) -> dict[str, Tensor]:
        """One step of both discriminators on real images and on fakes; their losses."""
        d_a = discriminator_loss(self.judge(self.d_a, a), a, Tensor(fake_a), self.loss)
        d_b = discriminator_loss(self.judge(self.d_b, b), b, Tensor(fake_b), self.loss)
        self.d_optimizer.minimize(d_a + d_b)
        return {"d_a": d_a.detach(), "d_b": d_b.detach()}

    def judge(self, discriminator: Module, x: Tensor) -> Judge:
        """A discriminator; with augmentations, after those drawn now for batches like x (N, C, H, W), real or not."""
        if self.augmentation is None:
            return discriminator
        draw, augmentation = self.augmentation.draw(x), self.augmentation
        return lambda images: discriminator(augmentation(images, draw))

    def domains(self, batch: Batch) -> Domains:
        """The images of both domains as tensors; raises as `update`."""
        a, b = two_parts(batch, type(self).__name__, "one of domain a and one of domain b, as from data.Unpaired")
        return Domains(self.images(a, self.channels[0], "domain a"), self.images(b, self.channels[1], "domain b"))

    def translate(self, images: Array, way: str = "ab") -> np.ndarray:
        """Images (N, C, H, W) in [-1, 1] translated from a to b, or with way="ba" from b to a, on the host.

        The averaged weights are used if there are any. Raises OptionError for another `way`.
        """
        if way not in ("ab", "ba"):
            raise OptionError(f"{type(self).__name__}: way={way!r} is not 'ab' or 'ba'")
        return self.translate_with(self.networks.get(f"averaged_{way}", self.networks[f"g_{way}"]), images)


def _domain_channels(owner: str, g_ab: Module, g_ba: Module, d_a: Module, d_b: Module) -> tuple[int, int]:
    """Channels of the two domains. Raises OptionError unless all networks agree on them."""
    forth, back = channels(g_ab, "g_ab", owner), channels(g_ba, "g_ba", owner)
    if forth != back[::-1]:
        raise OptionError(f"{owner}: g_ab takes {forth[0]} channels to {forth[1]}, so g_ba must take {forth[1]} to "
                          f"{forth[0]}, but it takes {back[0]} to {back[1]}")
    for network, number, name in ((d_a, forth[0], "d_a"), (d_b, forth[1], "d_b")):
        check_discriminator(network, number, name, owner)
    return forth


def _identity_weight(owner: str, weight: float | None, lambda_cycle: float, sizes: tuple[int, int]) -> float:
    """The given weight, by default half of lambda_cycle; for domains of different channels 0, with a warning."""
    if sizes[0] == sizes[1]:
        return 0.5 * lambda_cycle if weight is None else weight
    if weight:
        raise OptionError(f"{owner}: lambda_identity={weight}, but the domains have {sizes[0]} and {sizes[1]} "
                          "channels, so an image cannot be its own translation; use lambda_identity=0")
    if weight is None:
        warnings.warn(f"{owner}: the domains have {sizes[0]} and {sizes[1]} channels, so an image cannot be its own "
                      "translation: there is no identity loss", stacklevel=4)
    return 0.0
