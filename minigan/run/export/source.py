"""The network to export: of a run, by the names of its weights, or a module; and the shapes of its inputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minigan import models
from minigan.checkpoint import inside, load_weights
from minigan.errors import CheckpointError, DataError, OptionError
from minigan.models.anysize import AnySize
from minigan.nn import Module
from minigan.report import read_config
from minigan.run.saved import draws, load_discriminator, load_generator

SIDE = 64  # of images, if neither the caller nor the run's options say
TRANSLATORS = ("averaged_ab", "g_ab", "generator")  # the first that is there is a run's default
EXPORTED = "exported_"  # how the names of exported files in a run's folder begin
NONE = "the run ended before its first epoch did; continue it with --resume"


class Source(NamedTuple):
    """A network, the shapes of its inputs without the batch, the file with its weights, its run's folder."""

    network: Module
    shapes: dict[str, tuple[int, ...]]
    weights: str
    folder: Path | None


def of_run(folder: Path, name: str | None = None, which: str = "last", shape: Sequence[int] | None = None) -> Source:
    """A network of a run: by default the generator that draws its samples.

    Args:
        folder: the run's.
        name: of a file of weights, such as "discriminator", "g_ba", "encoder0", or "0-1" for a ComboGAN's generator
            from domain 0 to 1.
        which: "last" or "best", as for load_generator.
        shape: of an image (C, H, W), for networks that take any size; by default the run's.

    Raises:
        DataError: there is no run, or it has no weights. OptionError: no network of this name, or `shape` is another
            than the network's. CheckpointError: the weights are damaged, or of no network that is known.
    """
    options = read_config(folder)["options"] if folder.is_dir() else {}
    drawn = draws(options)
    if not folder.is_dir() or (drawn and name in (None, "generator")):  # load_generator has the error for no folder
        saved = load_generator(folder, which)
        return Source(saved.network, shapes_of(saved.network, shape), saved.weights, folder)
    names = [file.removesuffix(".safetensors") for file in inside.names(folder)
             if file.endswith(".safetensors") and not file.startswith(EXPORTED)]
    if not names:
        raise DataError(f"{folder}: holds no weights: {NONE}")
    name = next((n for n in TRANSLATORS if n in names), None) if name is None else name
    if drawn and name == "discriminator":
        network = load_discriminator(folder, options)
        channels, side = _channels(network), int(options["size"])
        return Source(network, shapes_of(network, shape or (channels, side, side)), f"{name}.safetensors", folder)
    pair = re.fullmatch(r"(\d+)-(\d+)", name or "")
    needed = [f"encoder{pair[1]}", f"decoder{pair[2]}"] if pair else [name]
    if not {*needed} <= {*names} or name is None:
        many = " or, such as 0-1, two domains" if "encoder0" in names else ""
        raise OptionError(f"{folder}: network {name!r} is none of this run's: {', '.join(names)}{many}; choose by "
                          "--network")
    network = _rebuilt(folder, str(name), [str(n) for n in needed])
    return Source(network, shapes_of(network, shape or _image(network, options)),
                  " and ".join(f"{n}.safetensors" for n in needed), folder)


def _rebuilt(folder: Path, name: str, parts: Sequence[str]) -> Module:
    """A generator for translation, or one half of it, from its weights."""
    kind = re.fullmatch(r"(encoder|decoder)(\d+)", name)
    if kind:  # with any half of the other kind; the weights of both determine a network
        parts = [f"encoder{kind[2]}", f"decoder{kind[2]}"]
    for part in parts:
        if not inside.check(folder, f"{part}.safetensors"):
            raise DataError(f"{folder}: {part}.safetensors is missing: {NONE}")
    weights = [load_weights(folder / f"{part}.safetensors") for part in parts]
    try:
        network: Any = (models.generator_of(weights[0]) if len(weights) == 1
                        else models.combined(weights[0], weights[1]))
    except CheckpointError as error:
        raise CheckpointError(f"{folder / parts[0]}.safetensors: {error}; build the network yourself and pass it to "
                              "mg.export(network, path, shape=...)") from None
    return network if kind is None else network.model[0 if kind[1] == "encoder" else 1]


def _image(network: Any, options: dict[str, Any]) -> tuple[int, ...]:
    """The shape (C, H, W) that a run's translator takes; of a decoder, the features of such an image."""
    size = options.get("size")
    side = size if isinstance(size, int) and size > 0 else SIDE
    if isinstance(network, models.ResnetDecoder):
        return (network.model[0].conv_block[1].weight.shape[1] if hasattr(network.model[0], "conv_block")
                else _channels(network), side // 4, side // 4)
    return (network.in_channels, side, side)


def _channels(network: Module) -> int:
    """What the first layer of filters takes."""
    return next(p.shape[1] for p in network.parameters() if p.ndim == 4)


def shapes_of(network: Any, shape: Sequence[int] | None = None) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's inputs, by name, without the batch: z, and labels as one-hot rows; else x.

    Raises:
        OptionError: `shape` is needed, or is not the network's.
    """
    if not isinstance(getattr(network, "latent", None), int):
        if shape is None:
            size = " such as shape=(3, 64, 64)" if isinstance(network, AnySize) else ""
            raise OptionError(f"export: {type(network).__name__} does not say what its input is; give its shape "
                              f"without the batch,{size or ' shape=(...)'}")
        return {"x": tuple(shape)}
    if shape is not None and tuple(shape) != (network.latent,):
        raise OptionError(f"export: shape={tuple(shape)}, but the network's noise is ({network.latent},)")
    labels = {"labels": (network.classes,)} if isinstance(network, models.ConditionalGenerator) else {}
    return {"z": (network.latent,), **labels}
