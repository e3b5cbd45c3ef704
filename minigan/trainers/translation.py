"""What trainers of image translation share: losses over one map of logits or several, pools, translating in chunks."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigan import nn, ops
from minigan import random as random_numbers
from minigan.data.batches import Batch
from minigan.engine import Array, Tensor, device, no_grad, tensor
from minigan.errors import CheckpointError, OptionError, ShapeError
from minigan.losses import GANLoss, cycle_consistency, l1
from minigan.nn import Module
from minigan.random import Stream
from minigan.trainers.base import Trainer, as_tensor
from minigan.trainers.pool import ImagePool

Logits = Tensor | list[Tensor]  # of a discriminator with one scale, or with several
Judge = Callable[[Tensor], Any]  # images (N, C, H, W) to Logits: a discriminator, or one after augmentations
CHUNK = 64  # images translated in one pass


def over_scales(loss: Callable[..., Tensor], *logits: Logits) -> Tensor:
    """The loss of logits; for a discriminator with several scales, the mean over its maps."""
    if isinstance(logits[0], Tensor):
        return loss(*logits)
    maps = list(zip(*logits, strict=True))
    total = loss(*maps[0])
    for other in maps[1:]:
        total = total + loss(*other)
    return total * (1.0 / len(maps))


class Pair(NamedTuple):
    """The networks of two domains: generators from each to the other, and the discriminator of each."""

    g_ab: Callable[[Tensor], Tensor]
    g_ba: Callable[[Tensor], Tensor]
    d_a: Judge
    d_b: Judge


Weighted = dict[str, tuple[float, Tensor]]  # name: (weight in the sum that is minimised, loss)


def generator_losses(pair: Pair, a: Tensor, b: Tensor, game: GANLoss, lambda_cycle: float,
                     lambda_identity: float) -> tuple[Weighted, Tensor, Tensor]:
    """Both generators' losses on a batch of each domain (N, C, H, W), and their fakes of a and of b.

    Each translation is computed once, for the adversarial loss, for its cycle, and for the discriminators afterwards.
    With lambda_cycle = 0, cycle losses are computed without gradients; with lambda_identity = 0, idt is absent.
    """
    if lambda_identity:
        (fake_b, same_b), (fake_a, same_a) = nn.in_one_pass(pair.g_ab, a, b), nn.in_one_pass(pair.g_ba, b, a)
    else:
        fake_b, fake_a = pair.g_ab(a), pair.g_ba(b)
    losses = {"g_a": (1.0, over_scales(game.generator_loss, pair.d_a(fake_a))),
              "g_b": (1.0, over_scales(game.generator_loss, pair.d_b(fake_b)))}
    if lambda_cycle:
        losses["cycle_a"] = (lambda_cycle, cycle_consistency(a, pair.g_ba(fake_b)))
        losses["cycle_b"] = (lambda_cycle, cycle_consistency(b, pair.g_ab(fake_a)))
    else:
        with no_grad():
            losses["cycle_a"] = (0.0, cycle_consistency(a, pair.g_ba(fake_b)))
            losses["cycle_b"] = (0.0, cycle_consistency(b, pair.g_ab(fake_a)))
    if lambda_identity:
        losses["idt_a"] = (lambda_identity, l1(same_a, a))
        losses["idt_b"] = (lambda_identity, l1(same_b, b))
    return losses, fake_a, fake_b


def total(losses: Weighted) -> Tensor:
    """The sum of the losses, each with its weight."""
    weights, terms = zip(*((weight, loss) for weight, loss in losses.values() if weight), strict=True)
    return ops.weighted_sum(terms, weights)


def summed(terms: Sequence[Tensor]) -> Tensor:
    """The sum of terms, at least one, from the first to the last."""
    return functools.reduce(operator.add, terms)


def values(losses: Weighted) -> dict[str, Tensor]:
    """The losses, without weights and without graphs."""
    return {name: loss.detach() for name, (_, loss) in losses.items()}


def discriminator_loss(discriminator: Judge, real: Tensor, fake: Tensor, game: GANLoss) -> Tensor:
    """Half of the discriminator's loss, as in the authors' code, so that it learns more slowly than the generators."""
    return 0.5 * over_scales(game.discriminator_loss, *nn.in_one_pass(discriminator, real, fake).and_whole())


class Translation(Trainer):
    """Base of trainers between domains of images; their state includes the pools and the random numbers of dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.pools: dict[str, ImagePool] = {}

    def prepare(self, networks: dict[str, Module]) -> None:
        """Set `networks`, their dtype and device, and the random streams of their dropout layers."""
        self.networks = networks
        first = next(iter(networks.values())).parameters()[0]
        self.dtype, self.device = first.dtype, first.device
        for name, stream in _dropouts(networks.values()):
            self.streams.setdefault(name, stream)

    def images(self, batch: Array, channels: int, what: str) -> Tensor:
        """A batch of a domain, `what`, as a tensor (N, C, H, W).

        Raises:
            ShapeError: the batch is not (N, C, H, W), or C is not `channels`.
        """
        if np.ndim(batch) != 4 or batch.shape[1] != channels:
            raise ShapeError(f"{type(self).__name__}: a batch of {what} has shape {tuple(np.shape(batch))}, but its "
                             f"networks take (N, {channels}, H, W); convert the images, or make the networks for them")
        return as_tensor(batch, self.dtype, self.device)

    def translate_with(self, network: Module, images: Array) -> np.ndarray:
        """Images (N, C, H, W) in [-1, 1] translated by a generator, on the host. Batch norm uses its
        running statistics."""
        chunks = [self.translate_later(network, images[i : i + CHUNK]) for i in range(0, len(images), CHUNK)]
        return np.concatenate([fetch() for fetch in chunks])

    def translate_later(self, network: Module, images: Array) -> Callable[[], np.ndarray]:
        """The same for up to CHUNK images, but without waiting for a GPU: only the returned function waits."""
        network.eval()
        with no_grad():
            translation = network(tensor(images, dtype=self.dtype, device=self.device))
        network.train()
        return device.fetch(translation.data)

    def state_dict(self) -> dict[str, Any]:
        """As Trainer's, and the pools."""
        return {**super().state_dict(), **{name: pool.state_dict() for name, pool in self.pools.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As Trainer's, and the pools.

        Raises:
            CheckpointError: a part is missing, unknown, or belongs to another model.
        """
        missing = [name for name in self.pools if name not in state]
        if missing:
            raise CheckpointError(f"{type(self).__name__}: the state lacks {', '.join(missing)}; load "
                                  "one that such a trainer saved")
        super().load_state_dict({name: part for name, part in state.items() if name not in self.pools})
        for name, pool in self.pools.items():
            pool.load_state_dict(state[name])


def _dropouts(networks: Any) -> Iterator[tuple[str, Stream]]:
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                yield "dropout", module.stream or random_numbers.default


def channels(network: Module, name: str, owner: str) -> tuple[int, int]:
    """in_channels and out_channels of a generator.

    Raises:
        OptionError: the network lacks these attributes.
    """
    try:
        return int(network.in_channels), int(network.out_channels)  # type: ignore[attr-defined]
    except AttributeError:
        raise OptionError(f"{owner}: {name} needs the attributes `in_channels` and `out_channels`, as "
                          "models.ResnetGenerator and models.UnetGenerator have") from None


def check_discriminator(network: Module, number: int, name: str, owner: str) -> None:
    """Raise OptionError if a discriminator has an attribute `channels` that is not `number`."""
    channels = getattr(network, "channels", number)
    if channels != number:
        raise OptionError(f"{owner}: {name} is for {channels} channels, but its images have {number}; make it with "
                          f"channels={number}")


def two_parts(batch: Batch, owner: str, takes: str) -> tuple[Array, Array]:
    """The two parts of a batch. Raises OptionError if it has another number of parts."""
    parts = tuple(batch) if isinstance(batch, list | tuple) else (batch,)
    if len(parts) != 2:
        raise OptionError(f"{owner}: got {len(parts)} batches; it takes {takes}")
    return parts


def check_weights(owner: str, **weights: float) -> None:
    """Raise OptionError if the weight of a loss is negative or NaN."""
    for name, weight in weights.items():
        if not weight >= 0:
            raise OptionError(f"{owner}: {name}={weight!r:.60} must be a number >= 0")


def mean_of(tensors: Sequence[Tensor]) -> Tensor:
    """The mean of scalar tensors."""
    return summed(tensors) * (1.0 / len(tensors))
