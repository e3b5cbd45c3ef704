"""Generators rebuilt from their weights alone: the names and shapes of the arrays determine the options.

The only exception is a U-Net of depth 1 or 2, in which "instance" and "none" look alike: "instance" is assumed.
"""

from __future__ import annotations

__all__ = ["combined", "generator_of"]

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minigan.errors import CheckpointError
from minigan.models.anysize import AnySize
from minigan.models.residual import Grey, Residual
from minigan.models.resnet import EncoderDecoder, ResnetDecoder, ResnetEncoder, ResnetGenerator
from minigan.models.unet import UnetGenerator
from minigan.nn import Module

Weights = Mapping[str, np.ndarray]
NORMS = ("batch", "instance", "none")  # the first that fits is taken
UPSAMPLES = ("upconv", "deconv")
WRAPPERS: dict[str, Any] = {"change.": Residual, "coloured.": Grey}  # by the prefix of all their weights' names


def generator_of(weights: Weights) -> AnySize | Residual | Grey:
    """A ResnetGenerator or UnetGenerator with these weights, or a Residual or Grey of one, ready to translate.

    Raises:
        CheckpointError: the weights fit no such network.
    """
    for prefix, wrapper in WRAPPERS.items():
        if weights and all(name.startswith(prefix) for name in weights):
            inner = generator_of({name.removeprefix(prefix): array for name, array in weights.items()})
            wrapped: Residual | Grey = wrapper(inner).eval()
            return wrapped
    network = _fitting(weights, lambda: _resnets(weights) if "model.1.weight" in weights else _unets(weights))
    assert isinstance(network, AnySize)
    return network


def combined(encoder: Weights, decoder: Weights) -> EncoderDecoder:
    """A generator from the weights of a ResnetEncoder and of a ResnetDecoder.

    Raises:
        CheckpointError: the weights fit no such networks.
    """
    first, second = _fitting(encoder, lambda: _encoders(encoder)), _fitting(decoder, lambda: _decoders(decoder))
    assert isinstance(first, ResnetEncoder)
    assert isinstance(second, ResnetDecoder)
    return EncoderDecoder(first, second).eval()


def _fitting(weights: Weights, candidates: Callable[[], Iterator[Module]]) -> Module:
    shapes = {name: array.shape for name, array in weights.items() if not name.endswith("num_batches_tracked")}
    try:
        for network in candidates():
            if {name: array.shape for name, array in network.state_dict().items()} == shapes:
                network.load_state_dict(weights)
                return network.eval()
    except (LookupError, ValueError):  # a name is missing, or a shape has other axes
        pass
    raise CheckpointError("these weights fit no generator of minigan.models: their names or shapes differ; use the "
                          "file of a generator")


def _blocks(weights: Weights) -> int:
    return sum(name.endswith("conv_block.1.weight") for name in weights)


def _last(weights: Weights) -> np.ndarray:
    """The weight of the last layer; names are ordered by their numbers: "model.18.weight" after "model.9.weight"."""
    names = [name for name, array in weights.items() if name.endswith(".weight") and array.ndim == 4]
    return weights[max(names, key=lambda name: [int(part) for part in name.split(".") if part.isdigit()])]


def _resnets(weights: Weights) -> Iterator[Module]:
    width, inputs = weights["model.1.weight"].shape[:2]
    for norm in NORMS:
        for upsample in UPSAMPLES:
            yield ResnetGenerator(inputs, _last(weights).shape[0], width, _blocks(weights), norm, upsample)


def _encoders(weights: Weights) -> Iterator[Module]:
    width, inputs = weights["model.1.weight"].shape[:2]
    for norm in NORMS:
        yield ResnetEncoder(inputs, width, _blocks(weights), norm)


def _decoders(weights: Weights) -> Iterator[Module]:
    outputs, width = _last(weights).shape[:2]
    for norm in NORMS:
        for upsample in UPSAMPLES:
            yield ResnetDecoder(outputs, width, _blocks(weights), norm, upsample)


def _unets(weights: Weights) -> Iterator[Module]:
    width, inputs = weights["model.model.0.weight"].shape[:2]
    depth = sum(array.ndim == 4 for array in weights.values()) // 2
    for norm in NORMS:
        for upsample in UPSAMPLES:
            outputs = _last_up(weights).shape[0 if upsample == "upconv" else 1]
            yield UnetGenerator(inputs, outputs, width, depth, norm, upsample)


def _last_up(weights: Weights) -> np.ndarray:
    """The weight of the outermost up-sampling: of the names of least depth, the one with the largest number."""
    names = [name for name, array in weights.items() if name.count(".model.") == 1 and array.ndim == 4]
    return weights[max(names)]
