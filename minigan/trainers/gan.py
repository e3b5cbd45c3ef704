"""The GAN of 2014: a discriminator learns to tell real from generated samples, a generator learns to deceive it."""

from __future__ import annotations

__all__ = ["GAN"]

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minigan import ops, optim
from minigan.data.batches import Batch, Batches, Labelled
from minigan.engine import Array, Tensor, device, no_grad, tensor
from minigan.errors import OptionError
from minigan.losses import GANLoss, gan_loss
from minigan.models.conditional import one_hot
from minigan.nn import Module, in_one_pass
from minigan.optim import Adam, OptimizerFactory
from minigan.random import Stream
from minigan.trainers.base import Trainer, as_tensor, averaging_decay
from minigan.trainers.regularised import Judge, Options


class Real(NamedTuple):
    """Real data of a discriminator step (N, ...); for a conditional pair, also (labels,), one-hot rows (N, K)."""

    samples: Tensor
    condition: tuple[Tensor, ...] = ()


class GAN(Trainer):
    """Algorithm 1 of Goodfellow et al., 2014, with any pair of losses and Adam (2e-4, 0.5, 0.999) as in DCGAN.

    A conditional pair (models.ConditionalGenerator, models.ProjectionDiscriminator) takes labelled batches: samples are
    generated for the labels of the real ones.

    Args:
        generator: noise (N, latent) to samples; has an attribute `latent`.
        discriminator: samples to logits.
        loss: the name of a pair in minigan.losses, or a pair.
        lr, betas: Adam's, for both networks.
        n_discriminator: k, discriminator steps per generator step; each takes a fresh batch of real data.
        label_smoothing: the real target is 1 minus this.
        ema: decay of an exponential moving average of the generator's weights, from which samples are drawn (Yazici et
            al., 2019: it averages out oscillations); 0 for none.
        seed: seed of the noise.
        optimizer: makes the optimiser of a network from its parameters, in place of Adam.
        augment: augmentations through which D sees all samples, such as "translation,cutout"; see data.DiffAugment.
        r1, r1_every: weight of the penalty on D's gradient at real samples, and steps of D from one to the next.
        roth: weight at the start of Roth et al.'s regulariser, which is annealed over a run; 2 in their paper.
        instance_noise: deviation at the start of the noise on all that D sees, which falls to 0 over a run.

    Raises:
        OptionError: an unknown loss or augmentation, a number out of range, no `latent`, r1 or roth with batch norm in
            the discriminator, roth with another loss than minimax and non_saturating.
    """

    asked = True  # whether a run records what D makes of its sample grids, see `judged`

    def __init__(self, generator: Module, discriminator: Module, loss: str | GANLoss = "non_saturating",
                 lr: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999), n_discriminator: int = 1,
                 label_smoothing: float = 0.0, ema: float = 0.0, seed: int = 0,
                 optimizer: OptimizerFactory | None = None, augment: str = "", r1: float = 0.0, r1_every: int = 16,
                 roth: float = 0.0, instance_noise: float = 0.0) -> None:
        super().__init__()
        if n_discriminator < 1:
            raise OptionError(f"GAN: n_discriminator={n_discriminator} must be at least 1")
        self.loss = gan_loss(loss).smoothed(label_smoothing)
        if not 0 <= ema < 1:
            raise OptionError(f"GAN: ema={ema} must be at least 0 and below 1")
        if not hasattr(generator, "latent"):
            raise OptionError("GAN: the generator needs an attribute `latent`, the length of its noise vector")
        self.classes = self._common_classes(generator, discriminator)  # labels of a conditional pair, else 0
        self.batches_per_step, self.ema = n_discriminator, ema
        self.generator, self.discriminator = generator, discriminator
        self.networks = {"generator": generator, "discriminator": discriminator}
        if ema:
            self.networks["averaged"] = copy.deepcopy(generator).eval()
        optimizer = optimizer or partial(Adam, lr=lr, betas=betas)
        self.g_optimizer, self.d_optimizer = optimizer(generator.parameters()), optimizer(discriminator.parameters())
        self.optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        first = generator.parameters()[0]
        self.dtype, self.device, self.latent = first.dtype, first.device, int(generator.latent)
        self.noise = Stream(seed, "noise")
        self.streams = {"noise": self.noise}
        options = Options(augment, r1, r1_every, roth, instance_noise)
        self.regulariser = options.regulariser(discriminator, self.d_optimizer, seed, self.loss.name)
        if self.regulariser is not None:
            self.streams |= self.regulariser.streams

    def draw(self, batches: Batches) -> list[Batch] | tuple[Batch, ...]:
        """One batch of real data per discriminator step; labelled ones for a conditional pair, as one-hot rows.

        Raises:
            OptionError: the batches have no labels, but the pair is conditional.
        """
        drawn = [next(batches) for _ in range(self.batches_now())]
        return tuple(self._with_rows(batch) for batch in drawn) if self.classes else drawn

    def update(self, batch: Batch, plan: Any = None) -> dict[str, Tensor]:
        """One iteration: k discriminator steps, each on its own real data and noise, then one generator step.

        The generator learns from the samples of the last discriminator step. As it has not changed since it drew them,
        they are as good as new ones, and save a second forward pass.

        Args:
            batch: real data (N, ...), a list of one array per discriminator step; for one step, also the array. For a
                conditional pair, data.Labelled(samples, labels) in place of the array.
            plan: not used.

        Returns:
            d_loss and g_loss; d_real = mean D(x) and d_fake = mean D(G(z)), as probabilities, before D's update;
            g_slope, the mean length of the gradient of a sample's own generator loss with respect to the sample, the
            signal that G gets from D; r1 and roth, penalties without their weights, if the step had them.

        Raises:
            OptionError: not one batch per discriminator step.
        """
        *earlier, last = self.reals(batch)
        metrics: dict[str, Tensor] = {}
        for real in earlier:
            with no_grad():
                fake = self.generate(real)
            metrics |= self.discriminator_step(real.samples, fake, *real.condition)

        fake = self.generate(last)  # both networks learn from these samples
        metrics |= self.discriminator_step(last.samples, fake.detach(), *last.condition)
        g_loss, slope = self.generator_step(fake, *last.condition)
        return {"d_loss": metrics.pop("d_loss"), "g_loss": g_loss, **metrics, "g_slope": slope}

    def generate(self, real: Real) -> Tensor:
        """As many samples as there are real ones, for new noise and the labels of the real ones."""
        return self.generator(self.latents(len(real.samples)), *real.condition)

    def discriminator_step(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """One discriminator step on real and generated samples (N, ...); its metrics, see `update`."""
        judge = self.judge(real, labels)
        real_logits, fake_logits = logits = in_one_pass(judge, real, fake)
        d_loss = self.loss.discriminator_loss(*logits.and_whole())
        penalised, penalties = self.penalised(d_loss, judge, real, fake)
        self.d_optimizer.minimize(penalised)
        return {"d_loss": d_loss.detach(), "d_real": probability(real_logits), "d_fake": probability(fake_logits),
                **penalties}

    def generator_step(self, fake: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One generator step through samples (N, ...) that it has drawn; g_loss and g_slope, see `update`.

        Gradients of the discriminator's weights are not computed.
        """
        g_loss = self.loss.generator_loss(self.judge(fake, labels)(fake))
        gradient, = self.g_optimizer.minimize(g_loss, also=[fake])
        slope = ops.sum(ops.norm(gradient, axis=tuple(range(1, fake.ndim))))  # N times a mean: the loss is one over N
        if self.ema:
            self.networks["averaged"].average_in(self.generator, averaging_decay(self.ema, self.g_optimizer))
        return g_loss.detach(), slope

    def judge(self, x: Tensor, labels: Tensor | None = None) -> Judge:
        """The discriminator, for these labels; after augmentations drawn now for batches like x (N, ...), if any."""
        judge = self.discriminator if labels is None else partial(self.discriminator, labels=labels)
        return judge if self.regulariser is None else self.regulariser.judge(judge, x)

    def penalised(self, loss: Tensor, judge: Judge, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """A loss of D with the penalties that are due in this step, and these without weights, for the metrics."""
        return (loss, {}) if self.regulariser is None else self.regulariser.penalised(loss, judge, real, fake)

    def differs_now(self) -> bool:
        """As Trainer's; also if R1 is due in the next step, but not in all."""
        return super().differs_now() or (
            self.regulariser is not None and self.regulariser.differs_within(self.batches_now()))

    def settings(self) -> dict[str, Any]:
        """As Trainer's, and the regularisers in use."""
        settings = {**super().settings(), **({} if self.regulariser is None else self.regulariser.settings())}
        return {name: value for name, value in settings.items() if name != "classes" or value}

    def latents(self, count: int) -> Tensor:
        """Standard normal noise (count, latent) for the generator."""
        return Tensor(self.noise.normal((count, self.latent), self.dtype, self.device, samples=0))

    def reals(self, batch: Batch) -> list[Real]:
        """The real data of each discriminator step. OptionError unless each has its array, or its labelled one."""
        is_list = isinstance(batch, list | tuple) and not isinstance(batch, Labelled)
        parts = list(batch) if is_list else [batch]
        if len(parts) != self.batches_now():
            raise OptionError(f"{type(self).__name__}: got {len(parts)} batches of real data for {self.batches_now()} "
                              "discriminator steps; each step needs its own batch")
        if not self.classes:
            return [Real(as_tensor(part, self.dtype, self.device)) for part in parts]
        pairs = [[as_tensor(array, self.dtype, self.device) for array in self._with_rows(part)] for part in parts]
        return [Real(samples, (labels,)) for samples, labels in pairs]

    def _with_rows(self, batch: Batch) -> Labelled:
        """Samples and their labels, made one-hot rows (N, classes) if they are not. OptionError without labels."""
        if not isinstance(batch, tuple) or len(batch) != 2:
            raise OptionError(f"{type(self).__name__}: the networks are conditional, but a batch has no labels; it "
                              "takes images with labels, as from data.Loader((images, labels), ...)")
        samples, labels = batch
        return Labelled(samples, labels if np.ndim(labels) == 2 else one_hot(labels, self.classes, self.dtype))

    def _common_classes(self, generator: Module, discriminator: Module) -> int:
        """The number of labels of both networks, 0 without. OptionError if they differ in it."""
        of_g, of_d = (getattr(network, "classes", 0) for network in (generator, discriminator))
        if of_g != of_d:
            raise OptionError(f"{type(self).__name__}: the generator is conditional on {of_g} labels, the "
                              f"discriminator on {of_d}; make both for the same number (0: for none)")
        return int(of_g)

    def set_schedule(self, name: str, steps: int) -> None:
        """As Trainer's, but the discriminator's optimiser makes `n_discriminator` times as many steps.

        Raises:
            OptionError: no schedule has that name.
        """
        super().set_schedule(name, steps)
        self.d_optimizer.schedule = optim.schedule(name, steps * self.batches_per_step)
        if self.regulariser is not None:
            self.regulariser.plan(steps * self.batches_per_step)

    def sample(self, z: Array, labels: Any = None) -> np.ndarray:
        """Samples (N, ...), on the host, for noise z (N, latent); with averaged weights if there are any.

        labels: of a conditional generator, integers (N,); by default those of its `labels(N)`, in the data's shares.

        Batch norm uses its running statistics, so an image does not depend on the others.
        """
        return np.array(self.sample_later(z, labels)())

    def judged(self, real: Array, z: Array) -> tuple[np.ndarray, np.ndarray]:
        """D's logits, on the host, of real samples (N, ...) and of `sample(z)`, z (M, latent): (N,) and (M,).

        In evaluation mode and without augmentations, so nothing of the trainer changes. Of a critic, its values.
        """
        fake = tensor(self.sample(z), dtype=self.dtype, device=self.device)
        self.discriminator.eval()
        with no_grad():
            logits = [self.discriminator(x) for x in (as_tensor(real, self.dtype, self.device), fake)]
        self.discriminator.train()
        of_real, of_fake = (device.asnumpy(array.data).reshape(len(array)) for array in logits)  # (N,), (M,)
        return of_real, of_fake

    def sample_later(self, z: Array, labels: Any = None) -> Callable[[], np.ndarray]:
        """As `sample`, but without waiting for a GPU: only the returned function waits."""
        network = self.networks.get("averaged", self.generator).eval()
        noise = tensor(z, dtype=self.dtype, device=self.device)
        with no_grad():
            images = network(noise) if labels is None else network(noise, labels)
        self.generator.train()
        return device.fetch(images.data)


def probability(logits: Tensor) -> Tensor:
    """Mean of sigmoid(logits), a scalar without a graph."""
    return ops.mean_of(logits.detach(), of="sigmoid")
