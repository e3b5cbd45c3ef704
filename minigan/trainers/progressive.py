"""Progressive growing of GANs: training begins with images of 4 x 4 pixels, and the side doubles as it goes on.

    4x4 | fade to 8x8 | 8x8 | fade to 16x16 | 16x16 | ...

During a fade, the new block counts with a weight alpha that grows from 0 to 1, and the real images are mixed likewise:

    G(z) = (1 - alpha) up(to_rgb(h)) + alpha to_rgb'(block(h))          x = (1 - alpha) up(down(x)) + alpha x

The critic minimises the loss of WGAN-GP with a drift term, which keeps its outputs near 0:

    E D(G(z)) - E D(x) + lambda_gp E (|grad_u D(u)| - 1)^2 + drift E D(x)^2

Source: Karras, Aila, Laine & Lehtinen, Progressive growing of GANs, 2018, sections 2 and 3, appendix A.1.
"""

from __future__ import annotations

__all__ = ["Progressive"]

from collections.abc import Callable, Hashable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from minigan import ops, optim
from minigan.data.batches import Batch, Batches, Endless
from minigan.engine import Array, Tensor, counter, tensor
from minigan.engine.distributed import ALONE, alone, joint
from minigan.errors import CheckpointError, OptionError, ShapeError
from minigan.losses import GANLoss, gan_loss, gradient_penalty
from minigan.models.progressive import Growing, halved
from minigan.optim import Adam
from minigan.optim.clocks import Clock
from minigan.random import Stream
from minigan.trainers.base import Trainer, as_tensor
from minigan.trainers.gan import GAN, Real
from minigan.trainers.growth import Lengths, Phase, phase_at, phases


class Progressive(GAN):
    """Karras et al., 2018: GAN's game on images whose side grows, with the settings of appendix A.1.

    `update` is GAN's on the real images that belong to the present phase; its metrics are those of GAN or, with the
    loss "wasserstein", of WGAN, and side and alpha.

    Args:
        generator, discriminator: as from models.progressive.
        loss: "wasserstein", with a gradient penalty, or another pair of minigan.losses, such as "least_squares".
        lr, betas: Adam's, for both networks.
        n_critic: discriminator steps per generator step; each takes fresh real images.
        lambda_gp: weight of the gradient penalty; by default 10 for "wasserstein", else 0.
        drift: weight of E D(x)^2, for "wasserstein".
        ema: decay of the average of the generator's weights, from which samples are drawn; 0 for none.
        fade_images, stable_images: real images shown in each fade, and in each phase at one side.
        batch_size: images of the batches that the trainer is given.
        minibatch: images per discriminator step by side, multiples of batch_size, where they are not batch_size.
        growing: False trains at the last side from the start, on as many images in all.
        reset: whether both optimisers forget their moments when a fade begins and when it ends, as in the paper's code.
        seed: seed of the noise and of the penalty.
        augment: as in GAN; the gradient penalty is that of the discriminator after augmentation.

    Attributes:
        planned: steps of all phases; further steps train at the last side.
        growth: the phases in words.

    Raises:
        OptionError: a number out of range, other networks than those of models.progressive, and as GAN.
    """

    generator: Growing
    discriminator: Growing
    asked = False  # samples are enlarged to the last side, while D takes the present one

    def __init__(self, generator: Growing, discriminator: Growing, loss: str | GANLoss = "wasserstein",
                 lr: float = 1e-3, betas: tuple[float, float] = (0.0, 0.99), n_critic: int = 1,
                 lambda_gp: float | None = None, drift: float = 1e-3, ema: float = 0.999, fade_images: int = 600_000,
                 stable_images: int = 600_000, batch_size: int = 16, minibatch: Mapping[int, int] | None = None,
                 growing: bool = True, reset: bool = True, seed: int = 0, augment: str = "") -> None:
        self.clock, wasserstein = Clock(), gan_loss(loss).name == "wasserstein"  # the steps done
        _check_networks(generator, discriminator)
        lambda_gp = (10.0 if wasserstein else 0.0) if lambda_gp is None else lambda_gp
        if n_critic < 1 or drift < 0 or lambda_gp < 0 or (wasserstein and not lambda_gp):
            raise OptionError(f"Progressive: n_critic={n_critic} must be at least 1, drift={drift} and "
                              f"lambda_gp={lambda_gp} not below 0, and lambda_gp above 0 with the loss wasserstein")
        lengths = Lengths(fade_images, stable_images, batch_size, minibatch or {}, n_critic)
        self.phases = phases(generator.sides, lengths, growing)
        self.planned = self.phases[-1].first + self.phases[-1].steps
        self.growth = ", ".join(f"{phase.name} {phase.steps}" for phase in self.phases)
        super().__init__(generator, discriminator, loss, n_discriminator=n_critic, ema=ema, seed=seed,
                         optimizer=partial(Adam, lr=lr, betas=betas), augment=augment)
        self.lambda_gp, self.drift, self.reset = lambda_gp, drift * wasserstein, reset
        self.coefficients = Stream(seed, "penalty")  # e of u = e x + (1 - e) G(z), one per sample
        self.streams = {**self.streams, "coefficients": self.coefficients}

    # ---- the present phase ----
    @property
    def batches_per_step(self) -> int:  # it changes as the networks grow
        """Batches of real data for the next step."""
        return self.n_critic * self.phase().batches

    @batches_per_step.setter
    def batches_per_step(self, batches: int) -> None:
        self.n_critic = batches  # as GAN sets it, which knows one batch per discriminator step

    def phase(self) -> Phase:
        """The phase of the next step."""
        return phase_at(self.phases, self.clock.steps)

    def structure(self) -> Hashable:
        """Side and kind of the phase; a captured step holds for one phase."""
        return self.phase()[:3]

    def plan(self, samples: int) -> np.ndarray:
        """Weight alpha of the new block in the next step, (1, 1, 1, 1): from 0 towards 1 in a fade, else 1."""
        phase = self.phase()
        share = (self.clock.steps - phase.first) / phase.steps if phase.fading else 1.0
        return np.full((1, 1, 1, 1), share, self.dtype)

    def _grow(self, alpha: Array) -> Phase:
        """Bring all networks to the present phase; alpha is an array (1, 1, 1, 1)."""
        phase = self.phase()
        weight = as_tensor(alpha, self.dtype, self.device) if phase.fading else None
        for network in self.networks.values():
            network.grow(phase.depth, weight)  # type: ignore[attr-defined]
        return phase

    # ---- a step ----
    def draw(self, batches: Batches) -> list[Batch]:
        """The real images of each discriminator step: one batch, or several as one array."""
        return [self._joined(batches, self.phase().batches) for _ in range(self.n_critic)]

    @staticmethod
    def _joined(batches: Batches, count: int) -> Array:
        """The next `count` batches as one array; of several ranks, this one's rows of that array, not of each batch."""
        if count == 1:
            return next(batches)
        ranks = ALONE if isinstance(batches, Endless) else joint()  # a plain iterator gives each rank what it gives
        with alone() if ranks.size > 1 else nullcontext():
            whole = np.concatenate([next(batches) for _ in range(count)])
        return whole[ranks.part(ranks.share(len(whole)))]

    def update(self, batch: Batch, plan: Any = None) -> dict[str, Tensor]:
        """One iteration of GAN's algorithm at the present side.

        Args:
            batch: real images (N, C, size, size), a list of one array per discriminator step; for one step, also the
                array.
            plan: alpha, (1, 1, 1, 1); by default that of `plan`.

        Returns:
            the metrics of `discriminator_step` and GAN's g_loss and g_slope; side of the images and alpha.

        Raises:
            OptionError: not one batch per discriminator step. ShapeError: images of another side than the networks'.
        """
        alpha = self.plan(0) if plan is None else plan
        phase = self._grow(alpha)
        if self.reset and 0 < self.clock.steps == phase.first:
            for optimizer in self.optimizers.values():
                optimizer.reset()
        metrics = super().update(batch)
        counter(self.clock, "steps")  # a capture notes the number before the step
        self.clock.steps += 1
        return {**metrics, "side": tensor(float(phase.side), dtype=self.dtype, device=self.device),
                "alpha": as_tensor(alpha, self.dtype, self.device).reshape(())}  # ()

    def reals(self, batch: Batch) -> list[Real]:
        """The real images of each discriminator step at the present side, mixed in a fade; errors as in `update`."""
        arrays = list(batch) if isinstance(batch, list | tuple) else [batch]
        if len(arrays) != self.n_critic:
            raise OptionError(f"Progressive: got {len(arrays)} batches of real images for {self.n_critic} "
                              "discriminator steps; each step needs its own")
        return [Real(self.shrunk(as_tensor(real, self.dtype, self.device))) for real in arrays]

    def shrunk(self, x: Tensor) -> Tensor:
        """Real images (N, C, size, size), averaged down to the present side, and in a fade mixed with the one before.

        Raises:
            ShapeError: another size.
        """
        phase, size = self.phase(), self.generator.size
        if x.ndim != 4 or x.shape[2:] != (size, size):
            raise ShapeError(f"Progressive: real images {x.shape} must be (N, C, {size}, {size}), as the networks were "
                             "made for; resize them, or make the networks for their size")
        blocks = size // phase.side
        x = x if blocks == 1 else ops.block_sum(x, scale=(blocks, blocks)) * (1.0 / blocks**2)
        return self.generator.mixed(ops.upsample2d(halved(x), 2), x) if phase.fading else x

    def discriminator_step(self, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """One discriminator step on real and generated images (N, C, side, side).

        Returns:
            GAN's metrics or, with the loss "wasserstein", d_loss, the critic's loss; wasserstein = E D(x) - E D(G(z)),
            the estimate of the distance; penalty and drift, both without weights.
        """
        if not self.lambda_gp:
            return super().discriminator_step(real, fake, labels)
        judge = self.judge(real, labels)
        real_logits, fake_logits = judge(real), judge(fake)
        distance = self.loss.discriminator_loss(real_logits, fake_logits)
        penalty = gradient_penalty(judge, real, fake, self.coefficients)
        loss, drift = distance + self.lambda_gp * penalty, ops.mean(ops.square(real_logits))
        loss = loss + self.drift * drift if self.drift else loss
        self.d_optimizer.minimize(loss)
        return {"d_loss": loss.detach(), "wasserstein": -distance.detach(), "penalty": penalty.detach(),
                "drift": drift.detach()}

    # ---- around a step ----
    def set_schedule(self, name: str, steps: int) -> None:
        """As Trainer's, but the discriminator's optimiser makes n_critic times as many steps."""
        Trainer.set_schedule(self, name, steps)
        self.d_optimizer.schedule = optim.schedule(name, steps * self.n_critic)
        if self.regulariser is not None:
            self.regulariser.plan(steps * self.n_critic)

    def sample_later(self, z: Array, labels: Any = None) -> Callable[[], np.ndarray]:
        """As GAN's; images of all phases have the last side, each pixel repeated."""
        blocks = self.generator.size // self._grow(self.plan(0)).side
        wait = super().sample_later(z, labels)
        return lambda: wait().repeat(blocks, 2).repeat(blocks, 3)

    def state_dict(self) -> dict[str, Any]:
        """As Trainer's, with the number of steps done, which decides the phase."""
        return {**super().state_dict(), "growth": {"steps": self.clock.steps}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state_dict` returned, also in the middle of a fade.

        Raises:
            CheckpointError: a part is missing, unknown, or belongs to another model.
        """
        steps = state.get("growth", {}).get("steps")
        if not isinstance(steps, int) or steps < 0:
            raise CheckpointError(f"Progressive: a state whose growth.steps is {steps}; it is of another trainer")
        super().load_state_dict({name: part for name, part in state.items() if name != "growth"})
        self.clock.steps = steps


def _check_networks(generator: Growing, discriminator: Growing) -> None:
    if not (isinstance(generator, Growing) and isinstance(discriminator, Growing)):
        raise OptionError("Progressive: the networks must grow, as those of models.progressive do")
    if generator.size != discriminator.size:
        raise OptionError(f"Progressive: the generator is for size={generator.size}, the discriminator for "
                          f"size={discriminator.size}; make both by models.progressive")
