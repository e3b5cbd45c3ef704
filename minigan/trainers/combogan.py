"""ComboGAN: translation between any two of n domains with n networks of each kind, not n (n - 1) generators.

A domain's encoder maps its images to features that all domains share; its decoder maps features to its images:

    from i to j:   decoder_j(encoder_i(x))        and back:   decoder_i(encoder_j(...))

Each step is CycleGAN's for two domains drawn at random; the networks of the other domains do not change.
Source: Anoosheh, Agustsson, Timofte & Van Gool, ComboGAN: unrestrained scalability for image domain translation, 2018.
"""

from __future__ import annotations

__all__ = ["ComboGAN"]

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from minigan import optim
from minigan.data.batches import Batch
from minigan.engine import Array, Tensor, grad, tensor
from minigan.errors import OptionError
from minigan.losses import GANLoss, gan_loss, l1
from minigan.models import EncoderDecoder, ResnetDecoder, ResnetEncoder
from minigan.nn import Module
from minigan.optim import Adam, Optimizer, OptimizerFactory
from minigan.random import Stream
from minigan.trainers.base import parameters_of
from minigan.trainers.pool import ImagePool
from minigan.trainers.translation import (
    Pair,
    Translation,
    check_discriminator,
    check_weights,
    discriminator_loss,
    generator_losses,
    total,
    values,
)


class ComboGAN(Translation):
    """n encoders, n decoders, n discriminators; two random domains per step.

    Args:
        encoders, decoders, discriminators: one of each per domain. Domains may share networks or parts of them: a
            shared parameter moves once per step, by the sum of its gradients, and belongs to the optimiser of the
            first domain that has it, whichever domains are drawn.
        loss, lr, betas, lambda_cycle, pool, optimizer: as in CycleGAN. Each domain has its own
            optimisers, which step only when the domain is drawn.
        lambda_identity: weight of E |decoder_i(encoder_i(x)) - x|, an autoencoder's loss, so domains may differ in
            channels; 0 in the paper.
        seed: seed of the domains drawn and of the pools.

    Raises:
        OptionError: fewer than two domains, unequal numbers of networks, a negative weight, or networks whose channels
            do not fit together.
    """

    capturable = False  # which networks a step trains is drawn on the host

    def __init__(self, encoders: Sequence[ResnetEncoder], decoders: Sequence[ResnetDecoder],
                 discriminators: Sequence[Module], loss: str | GANLoss = "least_squares", lr: float = 2e-4,
                 betas: tuple[float, float] = (0.5, 0.999), lambda_cycle: float = 10.0, lambda_identity: float = 0.0,
                 pool: int = 50, seed: int = 0, optimizer: OptimizerFactory | None = None) -> None:
        super().__init__()
        self.domains = len(encoders)
        if self.domains < 2 or not len(encoders) == len(decoders) == len(discriminators):
            raise OptionError(f"ComboGAN: {len(encoders)} encoders, {len(decoders)} decoders and {len(discriminators)} "
                              "discriminators; it needs one of each per domain, and two domains or more")
        check_weights("ComboGAN", lambda_cycle=lambda_cycle, lambda_identity=lambda_identity)
        for i, (encoder, decoder, discriminator) in enumerate(zip(encoders, decoders, discriminators, strict=True)):
            if encoder.in_channels != decoder.out_channels:
                raise OptionError(f"ComboGAN: domain {i} has {encoder.in_channels} channels for its encoder and "
                                  f"{decoder.out_channels} for its decoder; make both for the same number")
            check_discriminator(discriminator, encoder.in_channels, f"discriminator {i}", "ComboGAN")
        self.encoders, self.decoders, self.discriminators = list(encoders), list(decoders), list(discriminators)
        self.loss, self.lambda_cycle, self.lambda_identity = gan_loss(loss), lambda_cycle, lambda_identity
        kinds = {"encoder": encoders, "decoder": decoders, "discriminator": discriminators}
        self.prepare({f"{kind}{i}": network for kind, networks in kinds.items() for i, network in enumerate(networks)})
        optimizer = optimizer or partial(Adam, lr=lr, betas=betas)
        self.g_optimizers = [optimizer(parameters_of(encoder, decoder))
                             for encoder, decoder in zip(encoders, decoders, strict=True)]
        self.d_optimizers = [optimizer(network.parameters()) for network in discriminators]
        self.optimizers = {f"{kind}_optimizer{i}": optimizer for kind, row in (("g", self.g_optimizers),
                           ("d", self.d_optimizers)) for i, optimizer in enumerate(row)}
        self._generators: dict[tuple[int, int], EncoderDecoder] = {}
        self.choice = Stream(seed, "domains")
        self.streams = {**self.streams, "choice": self.choice}
        self.pools = {f"pool{i}": ImagePool(pool, Stream(seed, f"pool {i}")) for i in range(self.domains)}

    def set_schedule(self, name: str, steps: int) -> None:
        """As Trainer's, but by the steps of the trainer: each optimiser takes part in only some of them."""
        schedule = optim.schedule(name, steps)
        for optimizer in self.optimizers.values():
            optimizer.schedule = partial(self._factor, schedule)  # no lambda: the trainer can be pickled

    def _factor(self, schedule: optim.Schedule, _: int) -> float:
        """The factor of the learning rates at the trainer's number of steps."""
        return schedule(self.steps)

    def two_domains(self) -> tuple[int, int]:
        """Two different domains, every pair equally likely."""
        others = self.domains - 1
        number = int(self.choice.integers(0, self.domains * others, (1,))[0])
        i = number // others
        return i, (i + 1 + number % others) % self.domains

    def update(self, batch: Batch, plan: Any = None) -> dict[str, Tensor]:
        """One iteration on two of the domains, a and b, drawn at random; the images of the others are not used.

        Args:
            batch: images (N, C, H, W) in [-1, 1] of each domain, as from data.Unpaired.
            plan: not used.

        Returns:
            as CycleGAN, for these two; from and to are the numbers of a and b.

        Raises:
            OptionError: not one batch per domain.
            ShapeError: a batch has another number of channels than its networks.
        """
        if len(batch) != self.domains:
            raise OptionError(f"ComboGAN: got {len(batch)} batches for {self.domains} domains; it takes one of each, "
                              "as from data.Unpaired")
        i, j = self.two_domains()
        a, b = (self.images(batch[k], self.encoders[k].in_channels, f"domain {k}") for k in (i, j))
        metrics, fake_a, fake_b = self.generators_step(i, j, a, b)
        drawn = {name: tensor(k, dtype=self.dtype, device=self.device) for name, k in (("from", i), ("to", j))}
        return {**self.discriminators_step(i, j, (a, b), (fake_a, fake_b)), **metrics, **drawn}

    def generators_step(self, i: int, j: int, a: Tensor, b: Tensor) -> tuple[dict[str, Tensor], Array, Array]:
        """One step of the encoders and decoders of domains i and j; their losses and the fakes of both."""
        pair = Pair(self.generator(i, j), self.generator(j, i), self.discriminators[i], self.discriminators[j])
        losses, fake_a, fake_b = generator_losses(pair, a, b, self.loss, self.lambda_cycle, 0.0)
        if self.lambda_identity:
            for name, k, x in (("idt_a", i, a), ("idt_b", j, b)):
                losses[name] = (self.lambda_identity, l1(self.generator(k, k)(x), x))
        minimize(self.g_optimizers, (i, j), total(losses))
        return values(losses), fake_a.data, fake_b.data

    def discriminators_step(self, i: int, j: int, real: tuple[Tensor, Tensor],
                            fake: tuple[Array, Array]) -> dict[str, Tensor]:
        """One step of the discriminators of domains i and j; their losses."""
        losses: list[Tensor] = []
        shared = {*map(id, self.d_optimizers[i].parameters)} & {*map(id, self.d_optimizers[j].parameters)}
        for k, x, y in zip((i, j), real, fake, strict=True):
            shown = Tensor(self.pools[f"pool{k}"].exchange(y))
            losses.append(discriminator_loss(self.discriminators[k], x, shown, self.loss))
            if not shared:  # this way, only one graph is kept at a time
                minimize(self.d_optimizers, (k,), losses[-1])
                losses[-1] = losses[-1].detach()
        if shared:
            minimize(self.d_optimizers, (i, j), losses[0] + losses[1])
        return {f"d_{name}": loss.detach() for name, loss in zip("ab", losses, strict=True)}

    def generator(self, source: int, target: int) -> EncoderDecoder:
        """The generator from one domain to another; it shares the networks' parameters.

        Raises:
            OptionError: there is no such domain.
        """
        if not (0 <= source < self.domains and 0 <= target < self.domains):
            raise OptionError(f"ComboGAN: from domain {source} to {target}, but domains are numbered from "
                              f"0 to {self.domains - 1}")
        if (source, target) not in self._generators:
            self._generators[source, target] = EncoderDecoder(self.encoders[source], self.decoders[target])
        return self._generators[source, target]

    def translate(self, images: Array, source: int, target: int) -> np.ndarray:
        """Images (N, C, H, W) in [-1, 1] of one domain translated to another, on the host."""
        return self.translate_with(self.generator(source, target), images)


def minimize(optimizers: Sequence[Optimizer], drawn: Sequence[int], loss: Tensor) -> None:
    """One step down the gradient of a loss, of the parameters of the optimisers drawn, from one backward pass.

    A parameter that several optimisers have is updated by the first of them, drawn or not: it moves once, and one
    optimiser holds all that it has learnt of it, such as Adam's averages.
    """
    parameters = list({id(p): p for k in drawn for p in optimizers[k].parameters}.values())
    for p, gradient in zip(parameters, grad(loss, parameters), strict=True):
        p.grad = gradient
    waiting = {id(p) for p in parameters}
    for k, optimizer in enumerate(optimizers):
        own = waiting.intersection(map(id, optimizer.parameters))
        if own or k in drawn:
            optimizer.step()
            optimizer.zero_grad()  # so that those which follow leave its parameters alone
            waiting -= own
