"""The networks of a run, finished or not: `generator = load_generator("runs/dcgan_mnist")`.

Only runs that draw images from noise have such a generator: those of examples/dcgan_mnist.py, dcgan_pictures.py,
progressive.py and wgan_mnist.py.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigan import models, trainers
from minigan.checkpoint import inside, load_weights
from minigan.data.paths import user_path
from minigan.engine import device, no_grad, tensor
from minigan.errors import CheckpointError, DataError, OptionError, ShapeError
from minigan.models.dcgan import weights_of
from minigan.nn import Module
from minigan.random import Stream
from minigan.report.records import rows_of
from minigan.run.folder import read_config

WEIGHTS = {  # the files to look for, in this order: a run with --ema draws its samples from averaged weights
    "last": ("averaged.safetensors", "generator.safetensors"),
    "best": ("best.safetensors",),
}
NEEDED = ("size", "latent", "width", "upsample")  # options that determine the generator
GROWING = ("size", "latent", "width", "flat", "row")  # of one that grows
BATCH = 250
MOST_CLASSES = 100_000
MOST_TIMES = 10  # a generator and its discriminator have at most this many times the weights of the generator


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10**9


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


CHECKS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (  # options that the commands here use
    *((name, _is_size, "a whole number from 1 to 1,000,000,000") for name in ("size", "latent", "width", "flat")),
    *((name, _is_text_or_none, "text or null") for name in
      ("upsample", "norm", "loss", "lipschitz", "data", "conditional", "row")),
    ("r1", lambda value: value is None or _is_number(value), "a number"),
)


def grows(options: Mapping[str, Any]) -> bool:
    """Whether a run's options are those of progressive growing."""
    return "row" in options


def draws(options: Mapping[str, Any]) -> bool:
    """Whether a run with these options draws images from noise."""
    return grows(options) or options.keys() >= {*NEEDED}


class SavedGenerator:
    """A trained generator: noise in, images out, both NumPy arrays.

    network  the module, in evaluation mode    latent   length of its noise vector
    options  of its run                        weights  name of the file with its weights
    folder   of its run                      classes  the number of labels of a conditional run, else 0
    label    that all images of a conditional run are drawn for; None for labels in the data's shares

        load_generator("runs/dcgan_mnist").draw(64, seed=3)      an array (64, 1, 32, 32)
    """

    def __init__(self, network: Module, options: dict[str, Any], weights: str, folder: Path) -> None:
        self.network, self.options, self.weights, self.folder = network, options, weights, folder
        self.latent, self.classes = int(options["latent"]), int(getattr(network, "classes", 0))
        self.label: int | None = None

    def __call__(self, z: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Images (N, C, H, W) in [-1, 1] for noise z (N, latent) and, if conditional, labels (N,), else `labels(N)`.

        Raises:
            ShapeError: noise or labels of another shape.
        """
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ShapeError(f"load_generator: noise is (N, {self.latent}) for this run, not {z.shape}")
        where = self.network.parameters()[0].device
        labels = self.labels(len(z)) if labels is None else labels
        with no_grad():
            batches = [self.network(tensor(z[rows], device=where), *([labels[rows]] if self.classes else []))
                       for rows in (slice(i, i + BATCH) for i in range(0, len(z), BATCH))]
        return np.concatenate([device.asnumpy(batch.data) for batch in batches])

    def labels(self, count: int) -> np.ndarray:
        """The labels (count,) of images for which none are given; of a run that is not conditional, none, (0,)."""
        if not self.classes:
            return np.zeros(0, int)
        return np.full(count, self.label) if self.label is not None else self.network.labels(count)  # type: ignore

    def noise(self, count: int, seed: int = 0) -> np.ndarray:
        """Standard normal noise (count, latent); the first rows are the same for any count."""
        return Stream(seed, "scores").normal((count, self.latent))

    def draw(self, count: int, seed: int = 0) -> np.ndarray:
        """Images (count, C, H, W) in [-1, 1] of `noise(count, seed)`; the same for a seed, whatever `mg.seed` said."""
        return self(self.noise(count, seed))


def load_generator(run: str | os.PathLike[str], which: str = "last") -> SavedGenerator:
    """The generator of a run, by its folder.

    Args:
        run: the folder.
        which: "last", the weights the run ended with, or "best", those that scored best under --score-every.

    Raises:
        DataError: the folder, config.json or the weights are missing, or config.json is damaged or of another program.
        CheckpointError: the weights are damaged or belong to another network.
    """
    folder = user_path(run)
    options, config = dict(read_config(folder)["options"]), folder / "config.json"
    growing = grows(options)
    if growing and options.get("latent", 0) is None:
        options["latent"] = options.get("width")  # as models.progressive
    if missing := [name for name in (GROWING if growing else NEEDED) if name not in options]:
        raise DataError(f"{config}: the option{'s' * (len(missing) > 1)} {', '.join(missing)} "
                        f"{'are' if len(missing) > 1 else 'is'} missing; only runs of dcgan_mnist.py, "
                        "dcgan_pictures.py, progressive.py and wgan_mnist.py have a generator that draws from noise")
    for name, is_valid, expected in CHECKS:
        if name in options and not is_valid(options[name]):
            raise DataError(f"{config}: damaged: options.{name} is {json.dumps(options.get(name))[:40]}; expected "
                            f"{expected}")
    weights = next((folder / name for name in WEIGHTS[which] if inside.check(folder, name)), None)
    if weights is None:
        why = ("nothing was scored during the training; train with --score-every" if which == "best" else
               "the run ended before its first epoch did; continue it with --resume")
        raise DataError(f"{folder}: the weights are missing, {' or '.join(WEIGHTS[which])}: {why}")
    state = load_weights(weights)
    try:
        network = _grown(state, options, folder) if growing else _dcgan(state, options, weights.name)
    except (TypeError, ValueError) as error:
        raise DataError(f"{config}: its options make no generator ({error}); restore it or train again") from None
    try:
        network.load_state_dict(state)
    except CheckpointError as error:
        raise CheckpointError(f"{weights}: {error}; they do not fit the options in config.json") from None
    return SavedGenerator(network.eval(), options, weights.name, folder)


def _dcgan(state: dict[str, np.ndarray], options: dict[str, Any], file: str) -> Module:
    """The generator that these options make, with other weights. Raises DataError for many more weights than state."""
    channels = _channels(state)
    needs = weights_of(**{name: options[name] for name in NEEDED}, channels=channels)
    holds = sum(array.size for array in state.values())
    if needs > MOST_TIMES * holds:  # both networks, of which the discriminator is the larger one
        raise DataError(f"{needs:,} weights would take {needs * 4 / 2**30:,.1f} GiB, but {file} holds {holds:,}")
    return models.dcgan(channels, options["size"], options["latent"], options["width"], options["upsample"],
                        labels=_a_label_each(state, options))[0]


def _grown(state: dict[str, np.ndarray], options: dict[str, Any], folder: Path) -> Module:
    """The generator of progressive growing with other weights, grown as far as the run's last step."""
    channels = state["to_rgb.0.bias"].size if "to_rgb.0.bias" in state else 1
    shape = {name: options[name] for name in ("latent", "width", "flat")}
    network, _ = trainers.growth_row(options["row"]).networks_of(channels, options["size"], **shape)
    last = (rows_of(folder, "metrics.jsonl") or [{}])[-1]
    if last.get("side") in network.sides:
        network.grow(network.sides.index(last["side"]), last["alpha"] if last.get("alpha", 1) < 1 else None)
    return network


def _a_label_each(state: dict[str, np.ndarray], options: dict[str, Any]) -> np.ndarray | None:
    """One label of each class of a conditional generator with these weights; None for another."""
    if options.get("conditional", "none") in ("none", None):
        return None
    shares = state.get("shares", np.zeros(0))
    if shares.ndim != 1 or not 2 <= len(shares) <= MOST_CLASSES:
        raise DataError(f"the run is conditional, but its weights have shares {shares.shape} of labels")
    return np.arange(len(shares))


def load_discriminator(folder: Path, options: dict[str, Any]) -> Module:
    """The discriminator of a run, in training mode.

    Raises:
        CheckpointError: its weights are missing, damaged, or belong to another network.
        OptionError: the run is conditional, so that its discriminator judges images with labels only, or its networks
            grow.
    """
    if grows(options):
        raise OptionError(f"{folder}: the networks of progressive growing have other features; take a run of "
                          "dcgan_mnist.py, dcgan_pictures.py or wgan_mnist.py")
    if options.get("conditional", "none") not in ("none", None):
        raise OptionError(f"{folder}: its discriminator is conditional, it needs a label for each image; take a run "
                          "without --conditional")
    loss = f"wasserstein_{options['lipschitz']}" if "lipschitz" in options else options.get("loss")
    norm = options.get("norm", "auto")
    norm = trainers.recipe(loss).norm_with(norm, options.get("r1", 0.0)) if loss else norm
    inside.check(folder, "discriminator.safetensors")
    state = load_weights(folder / "discriminator.safetensors")
    layers = {int(match[1]): array.shape[1] for name, array in state.items()
              if array.ndim == 4 and (match := re.match(r"layers\.(\d{1,4})\.", name))}
    channels = layers[min(layers)] if layers else 1
    _, discriminator = models.dcgan(channels, options["size"], options["latent"], options["width"], norm=norm)
    discriminator.load_state_dict(state)
    return discriminator


def _channels(state: Mapping[str, np.ndarray]) -> int:
    """The channels of the images that a generator's weights draw: the outputs of its last layer, which has a bias."""
    biases = {int(match[1]): array.size for name, array in state.items()
              if (match := re.fullmatch(r"(?:network\.)?layers\.(\d{1,4})\.bias", name))}
    return biases[max(biases)] if biases else 1
