"""Where to look in a generator: directions of the noise that change pictures most, and units that do.

    J(z) = dG/dz        M = mean over z of J(z)^T J(z)        the directions are M's eigenvectors

|G(z + d) - G(z)|^2 = d^T J^T J d for small d, so the first eigenvector changes pictures most, on average over z; the
next one most among the directions orthogonal to it. J comes from differences, which need no backward pass.
Source   Wang & Ponce, The geometry of deep generative image models and its applications, 2021, sections 2 and 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from minigan.engine import device, no_grad, tensor
from minigan.nn import Module, ReLU
from minigan.run.saved import BATCH, SavedGenerator

STEP = 0.1  # of the differences; noise has deviation 1 in each coordinate
MOST_IMAGES = 500  # drawn for the directions


def directions(generator: SavedGenerator, count: int = 8, seed: int = 0) -> np.ndarray:
    """Orthonormal directions (count, latent), float32, by falling change of the pictures; at most `latent`.

    Of each, the sign is the one that makes its largest number positive.
    """
    latent = generator.latent
    points = generator.noise(max(2, min(6, MOST_IMAGES // (latent + 1))), seed)
    gram = np.zeros((latent, latent))
    labels = generator.labels(len(points))
    with threadpool_limits(1):  # sums in one order: equal runs give equal bytes
        for number, z in enumerate(points):
            around = np.concatenate([z[None], z + STEP * np.eye(latent, dtype=np.float32)])  # (1 + latent, latent)
            images = generator(around, labels[number : number + 1].repeat(len(around)))
            change = (images[1:] - images[0]).reshape(latent, -1).astype(np.float64)  # (latent, C*H*W)
            gram += change @ change.T
        _, vectors = np.linalg.eigh(gram)  # in columns, by rising eigenvalue
    rows = vectors.T[::-1][:count]
    signs = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])
    return (rows * signs[:, None]).astype(np.float32)


def effects(generator: SavedGenerator, seed: int = 0, images: int = 4) -> dict[str, list[int]]:
    """The units behind each rectifier, by falling mean |change of a pixel| when the unit is switched off.

    By the name of the rectifier, such as "layers.2". Only of generators that are one sequence of layers, such as
    DCGAN's; of others, {}.
    """
    conditional = bool(generator.classes)
    network: Any = generator.network.network if conditional else generator.network  # type: ignore[attr-defined]
    if not hasattr(network, "layers"):
        return {}
    layers, result = list(network.layers), {}
    with no_grad():
        x = _first_input(generator, images, seed)
        for number, layer in enumerate(layers):
            x = layer(x)
            if isinstance(layer, ReLU):
                changes = _changes(layers[number + 1 :], device.asnumpy(x.data), x.device)
                name = f"{'network.' if conditional else ''}layers.{number}"
                result[name] = [int(unit) for unit in np.argsort(-changes, kind="stable")]
    return result


def _first_input(generator: SavedGenerator, images: int, seed: int) -> Any:
    """What the generator's first layer sees, (images, latent, 1, 1); of a conditional one, with labels' vectors."""
    z: Any = generator.noise(images, seed)
    if generator.classes:
        table = device.asnumpy(generator.network.embedding.weight.data)  # type: ignore[attr-defined]
        z = np.concatenate([z, table[generator.labels(images)]], 1)  # (images, latent + embedding)
    return tensor(z[:, :, None, None], device=generator.network.parameters()[0].device)


def _changes(rest: list[Module], features: np.ndarray, where: str) -> np.ndarray:
    """For each channel of features (N, C, H, W), the mean |change of a pixel| without it, (C,)."""
    N, C = features.shape[:2]
    unchanged, changes = _through(rest, features, where), np.zeros(C)
    each = max(1, BATCH // N)  # channels at a time
    for start in range(0, C, each):
        units = np.arange(start, min(C, start + each))
        without = np.repeat(features[None], len(units), 0)  # (units, N, C, H, W)
        without[np.arange(len(units)), :, units] = 0
        images = _through(rest, without.reshape(-1, *features.shape[1:]), where)  # (units*N, C, H, W)
        differences = np.abs(images.reshape(len(units), *unchanged.shape) - unchanged)  # (units, N, C, H, W)
        changes[units] = differences.mean((1, 2, 3, 4))
    return changes


def _through(layers: list[Module], features: np.ndarray, where: str) -> np.ndarray:
    x: Any = tensor(features, device=where)
    for layer in layers:
        x = layer(x)
    return device.asnumpy(x.data)
