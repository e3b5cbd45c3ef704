"""Generators rebuilt from their weights alone: the names and shapes of the arrays determine the options.

The only exception is a U-Net of depth 1 or 2, in which "instance" and "none" look alike: "instance" is assumed. The
weights of the CycleGAN and pix2pix authors' PyTorch code are taken as they are, see `as_ours`.
"""

from __future__ import annotations

__all__ = ["combined", "generator_of"]

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from minigan.errors import CheckpointError
from minigan.models.anysize import AnySize
from minigan.models.residual import Chroma, Grey, Luma, Residual
from minigan.models.resnet import EncoderDecoder, ResnetDecoder, ResnetEncoder, ResnetGenerator
from minigan.models.unet import UnetGenerator
from minigan.nn import Module

Weights = Mapping[str, np.ndarray]
NORMS = ("batch", "instance", "none")  # the first that fits is taken
UPSAMPLES = ("upconv", "deconv")
WRAPPERS: dict[str, Any] = {  # by the prefix of all their weights' names
    "change.": Residual, "coloured.": Grey, "painted.": Chroma, "lit.": Luma}
NO_FIT = "these weights fit no generator of minigan.models: "  # how the errors begin
MOST_WRAPPERS, MOST_BLOCKS, MOST_HALVINGS = 4, 256, 32
OURS = "|".join(map(re.escape, ("model.", *WRAPPERS)))  # how our names begin
FOREIGN = re.compile(rf"(?:(?!{OURS})[^.]+\.)+(?={OURS})")  # before our names
STATISTIC = re.compile(r"(.*)\.(running_mean|running_var|num_batches_tracked)")


def generator_of(weights: Weights, strict: bool = True) -> AnySize | Residual | Grey | Chroma | Luma:
    """A ResnetGenerator or UnetGenerator with these weights, or a Residual, Grey, Chroma or Luma of one.

    Args:
        weights: arrays by name, as from `load_weights`; also those of the CycleGAN and pix2pix authors' code.
        strict: False takes the generator that is closest, if all shapes fit, with a warning that names what is missing,
            which keeps its initial value, and what is surplus.

    Raises:
        CheckpointError: the weights fit no such network; the message compares them with the closest one.
    """
    if set(weights) == {"shares"} and np.shape(weights["shares"]) == (3,):
        return Luma().eval()
    weights = as_ours(weights)
    wrappers: list[Any] = []
    while len(wrappers) < MOST_WRAPPERS and weights and (
            prefix := next((w for w in WRAPPERS if all(name.startswith(w) for name in weights)), "")):
        weights = {name.removeprefix(prefix): array for name, array in weights.items()}
        wrappers.append(WRAPPERS[prefix])
    candidates = _unets if any(name.startswith("model.model.") for name in weights) else _resnets
    network: Any = _fitting(weights, lambda: candidates(weights), strict)
    for wrapper in reversed(wrappers):
        network = wrapper(network).eval()
    assert isinstance(network, AnySize | Residual | Grey | Chroma | Luma)
    return network


def combined(encoder: Weights, decoder: Weights, strict: bool = True) -> EncoderDecoder:
    """A generator from the weights of a ResnetEncoder and of a ResnetDecoder; strict as for `generator_of`.

    Raises:
        CheckpointError: the weights fit no such networks.
    """
    encoder, decoder = as_ours(encoder), as_ours(decoder)
    first = _fitting(encoder, lambda: _encoders(encoder), strict)
    second = _fitting(decoder, lambda: _decoders(decoder), strict)
    assert isinstance(first, ResnetEncoder)
    assert isinstance(second, ResnetDecoder)
    return EncoderDecoder(first, second).eval()


def as_ours(weights: Weights) -> dict[str, np.ndarray]:
    """Weights of the CycleGAN and pix2pix authors' PyTorch code under our names; others as they are.

        module.model.1.weight    what PyTorch's wrappers put before all names is removed: nn.DataParallel this, and
                                 torch.compile _orig_mod, a class of the user's the name of its attribute
        model.2.running_mean     statistics that old versions of instance norm saved and never used are left out, with a
                                 warning; those of batch norm, which has a weight, stay
        conv_block.6, .7         the second half of a residual block behind a dropout layer: here 5 and 6
    """
    before = FOREIGN.match(next(iter(weights), ""))
    if before and all(name.startswith(before[0]) for name in weights):
        weights = {name.removeprefix(before[0]): array for name, array in weights.items()}
    unused = [name for name in weights if (match := STATISTIC.fullmatch(name)) and f"{match[1]}.weight" not in weights]
    if unused:
        warnings.warn(f"{len(unused)} statistics of instance normalisation are left out, as it does not use them: "
                      f"{_listed(unused)}", stacklevel=3)
    kept = {name: array for name, array in weights.items() if name not in {*unused}}
    dropped = {name.rpartition("conv_block.6.weight")[0] for name, array in kept.items()
               if name.endswith("conv_block.6.weight") and np.ndim(array) == 4}
    return {_without_dropout(name, dropped): array for name, array in kept.items()}


def _without_dropout(name: str, dropped: set[str]) -> str:
    prefix, block, rest = name.partition("conv_block.")
    number, dot, kind = rest.partition(".")
    return f"{prefix}{block}{int(number) - 1}{dot}{kind}" if prefix in dropped and number in ("6", "7") else name


def _fitting(weights: Weights, candidates: Callable[[], Iterator[Module]], strict: bool) -> Module:
    """The candidate whose names and shapes are those of the weights, with them; else an error about the closest."""
    shapes = {name: array.shape for name, array in weights.items() if not name.endswith("num_batches_tracked")}
    closest: tuple[int, Module, list[str], list[str], list[str]] | None = None
    lack = ""
    try:
        for network in candidates():
            state = network.state_dict()
            missing, surplus = [n for n in state if n not in shapes], [n for n in shapes if n not in state]
            other = [f"{n} {shapes[n]}, not {array.shape}" for n, array in state.items()
                     if n in shapes and array.shape != shapes[n]]
            difference = len(missing) + len(surplus) + len(other)
            if closest is None or difference < closest[0]:
                closest = difference, network, missing, surplus, other
            if not difference:
                break
    except (LookupError, ValueError, ArithmeticError) as error:  # a name is missing, or a shape has other axes
        lack = f"{error.args[0]} is missing; " if isinstance(error, KeyError) else ""
    if closest is None:
        raise CheckpointError(f"{NO_FIT}their names or shapes differ "
                              f"({lack}there are {_listed(list(weights)) or 'none'}); use the file of a generator")
    _, network, missing, surplus, other = closest
    report = "; ".join(f"{kind} {_listed(names)}" for kind, names in
                       (("missing:", missing), ("surplus:", surplus), ("of another shape:", other)) if names)
    if report and (strict or other):
        remedy = "" if other else ", or pass strict=False"
        raise CheckpointError(f"{NO_FIT}their names or shapes differ. The "
                              f"closest is a {type(network).__name__}: {report}; use the file of a generator{remedy}")
    if report:
        warnings.warn(f"these weights fit a {type(network).__name__} only in part: {report}", stacklevel=4)
    network.load_state_dict({**network.state_dict(), **{n: weights[n] for n in shapes if n not in surplus}})
    return network.eval()


def _listed(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(name[:80] for name in names[:4]) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")


def _check_size(weights: Weights, what: str, least: int) -> None:
    """Raise CheckpointError if a network would be much larger than its weights: before it is built."""
    count = sum(array.size for array in weights.values())
    if least > 2 * count:
        raise CheckpointError(f"{NO_FIT}they hold {count:,} numbers, but their shapes describe {what}, which has "
                              f"{least:,} ({4 * least:,} bytes) or more; use the file of a generator")


def _check_resnet(weights: Weights, width: int, *channels: int) -> None:
    """Check a resnet's size: its blocks, both changes of resolution up to 4*width channels, first and last layer."""
    blocks = _blocks(weights)
    if blocks > MOST_BLOCKS:
        raise CheckpointError(f"{NO_FIT}they describe {blocks:,} residual blocks; at most {MOST_BLOCKS} are built")
    _check_size(weights, f"a network of width {width:,} with {blocks} blocks between {channels} channels",
                (90 + 288 * blocks) * width**2 + 49 * width * sum(channels))


def _blocks(weights: Weights) -> int:
    return sum(name.endswith("conv_block.1.weight") for name in weights)


def _last(weights: Weights) -> np.ndarray:
    """The weight of the last layer; names are ordered by their numbers: "model.18.weight" after "model.9.weight"."""
    names = [name for name, array in weights.items() if name.endswith(".weight") and array.ndim == 4]
    return weights[max(names, key=lambda name: [int(part) for part in name.split(".") if part.isdigit()])]


def _resnets(weights: Weights) -> Iterator[Module]:
    width, inputs = weights["model.1.weight"].shape[:2]
    outputs = _last(weights).shape[0]
    _check_resnet(weights, width, inputs, outputs)
    for norm in NORMS:
        for upsample in UPSAMPLES:
            yield ResnetGenerator(inputs, outputs, width, _blocks(weights), norm, upsample)


def _encoders(weights: Weights) -> Iterator[Module]:
    width, inputs = weights["model.1.weight"].shape[:2]
    _check_resnet(weights, width, inputs)
    for norm in NORMS:
        yield ResnetEncoder(inputs, width, _blocks(weights), norm)


def _decoders(weights: Weights) -> Iterator[Module]:
    outputs, width = _last(weights).shape[:2]
    _check_resnet(weights, width, outputs)
    for norm in NORMS:
        for upsample in UPSAMPLES:
            yield ResnetDecoder(outputs, width, _blocks(weights), norm, upsample)


def _unets(weights: Weights) -> Iterator[Module]:
    width, inputs = weights["model.model.0.weight"].shape[:2]
    depth = sum(array.ndim == 4 for array in weights.values()) // 2
    if depth > MOST_HALVINGS:
        raise CheckpointError(f"{NO_FIT}they describe a U-Net of {depth:,} levels; at most {MOST_HALVINGS} are built")
    sizes = [width * min(2**i, 8) for i in range(depth)]
    _check_size(weights, f"a U-Net of width {width:,} with {depth} levels between {inputs:,} and other channels",
                16 * width * inputs + 9 * width * min(_last_up(weights).shape[:2])
                + 25 * sum(outer * inner for outer, inner in pairwise(sizes)))
    for norm in NORMS:
        for upsample in UPSAMPLES:
            outputs = _last_up(weights).shape[0 if upsample == "upconv" else 1]
            yield UnetGenerator(inputs, outputs, width, depth, norm, upsample)


def _last_up(weights: Weights) -> np.ndarray:
    """The weight of the outermost up-sampling: of the names of least depth, the one with the largest number."""
    names = [name for name, array in weights.items() if name.count(".model.") == 1 and array.ndim == 4]
    return weights[max(names)]
