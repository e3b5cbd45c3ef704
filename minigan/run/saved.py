"""The networks of a run that is over, or goes on: `generator = load_generator("runs/dcgan_mnist")`.

Only runs that draw images from noise have such a generator: those of examples/dcgan_mnist.py and wgan_mnist.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from minigan import models, trainers
from minigan.checkpoint import load_weights
from minigan.engine import device
from minigan.engine.autodiff import no_grad
from minigan.engine.tensor import tensor
from minigan.errors import CheckpointError, DataError, ShapeError
from minigan.nn import Module
from minigan.random import Stream
from minigan.run.folder import read_config

WEIGHTS = {  # which file is read, the first that is there: a run with --ema samples from averaged weights
    "last": ("averaged.safetensors", "generator.safetensors"),
    "best": ("best.safetensors",),
}
NEEDED = ("size", "latent", "width", "upsample")  # options that say what the generator is
BATCH = 250


class SavedGenerator:
    """A trained generator: noise in, images out, both NumPy arrays.

    network  the module, in evaluation mode    latent   length of its noise vector
    options  of its run                        weights  name of the file they are from

        load_generator("runs/dcgan_mnist").draw(64, seed=3)      an array (64, 1, 32, 32)
    """

    def __init__(self, network: Module, options: dict[str, Any], weights: str) -> None:
        self.network, self.options, self.weights, self.latent = network, options, weights, int(options["latent"])

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) in [-1, 1] for noise z (N, latent). Raises ShapeError for noise of another shape."""
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ShapeError(f"load_generator: noise is (N, {self.latent}) for this run, not {z.shape}")
        return images(self.network, z)

    def noise(self, count: int, seed: int = 0) -> np.ndarray:
        """Standard normal noise (count, latent); the first rows are the same for any count."""
        return Stream(seed, "scores").normal((count, self.latent))

    def draw(self, count: int, seed: int = 0) -> np.ndarray:
        """Images of `noise(count, seed)`."""
        return self(self.noise(count, seed))


def load_generator(run: str | os.PathLike[str], which: str = "last") -> SavedGenerator:
    """The generator of a run by its folder; with which="best", the weights that scored best under --score-every.

    Raises:
        As load_run.
    """
    return SavedGenerator(*load_run(Path(run), which))


def load_run(folder: Path, which: str = "last") -> tuple[Module, dict[str, Any], str]:
    """The generator of a run, its options, its weights' file; see `load_generator`.

    Raises:
        DataError: the folder, config.json or the weights are missing, or config.json is damaged or of another program.
        CheckpointError: the weights are damaged or belong to another network.
    """
    options, config = dict(read_config(folder)["options"]), folder / "config.json"
    if missing := [name for name in NEEDED if name not in options]:
        raise DataError(f"{config}: the option{'s' * (len(missing) > 1)} {', '.join(missing)} "
                        f"{'are' if len(missing) > 1 else 'is'} missing; only runs that draw digits have a generator "
                        "of them")
    weights = next((folder / name for name in WEIGHTS[which] if (folder / name).is_file()), None)
    if weights is None:
        why = ("nothing was scored while it trained; train with --score-every" if which == "best" else
               "the run ended before its first epoch did; continue it with --resume")
        raise DataError(f"{folder}: the weights are missing, {' or '.join(WEIGHTS[which])}: {why}")
    state = load_weights(weights)
    try:
        generator, _ = models.dcgan(1, *(options[name] for name in NEEDED))
    except (TypeError, ValueError) as error:
        raise DataError(f"{config}: its options make no generator ({error}); restore it or train again") from None
    try:
        generator.load_state_dict(state)
    except CheckpointError as error:
        raise CheckpointError(f"{weights}: {error}; they do not fit the options in config.json") from None
    return generator.eval(), options, weights.name


def load_discriminator(folder: Path, options: dict[str, Any]) -> Module:
    """The discriminator of a run.

    Raises:
        CheckpointError: its weights are missing, damaged, or belong to another network.
    """
    loss = f"wasserstein_{options['lipschitz']}" if "lipschitz" in options else options.get("loss")
    norm = options.get("norm", "auto")
    norm = trainers.recipe(loss).norm if loss and norm == "auto" else norm
    _, discriminator = models.dcgan(1, options["size"], options["latent"], options["width"], norm=norm)
    discriminator.load_state_dict(load_weights(folder / "discriminator.safetensors"))
    return discriminator


def images(network: Module, z: np.ndarray) -> np.ndarray:
    """What a generator draws for noise z (N, latent), on the host, BATCH images at a time."""
    where = network.parameters()[0].device
    with no_grad():
        drawn = [network(tensor(z[i : i + BATCH], device=where)) for i in range(0, len(z), BATCH)]
    return np.concatenate([device.asnumpy(batch.data) for batch in drawn])


def draw(generator: Module, count: int, seed: int, latent: int) -> np.ndarray:
    """`count` images (count, C, H, W) in [-1, 1] on the host; the same for the same seed, whatever the batch."""
    return images(generator, Stream(seed, "scores").normal((count, latent)))
