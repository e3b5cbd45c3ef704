"""The DCGAN paper's measure of what a discriminator has learnt: a linear classifier on its features, from few labels.

    features of every layer -> largest value in each cell of a 4x4 grid -> one long vector -> linear L2-SVM -> accuracy

Compare it with the accuracy on pixels and on features of random weights: a discriminator that is not better than both
has learnt nothing.
Source: Radford, Metz & Chintala, Unsupervised representation learning with DCGANs, 2016, section 5.1.
"""

from __future__ import annotations

__all__ = ["discriminator_features", "svm_accuracy", "svm_evaluation"]

import copy
import os
from collections.abc import Callable

import numpy as np

from minigan import nn
from minigan.data.mnist import mnist
from minigan.engine import device, no_grad, tensor
from minigan.errors import OptionError, ShapeError, require
from minigan.metrics.images import prepared
from minigan.models.mlp import dcgan_weights
from minigan.random import Stream, default
from minigan.random import seed as seed_default

GRID = 4
STRENGTHS = (0.1, 1.0, 10.0)  # of regularisation, C of the SVM; the best on a fifth of the labelled digits is used
_BATCH = 250


def grid_max(maps: np.ndarray, cells: int = GRID) -> np.ndarray:
    """Largest value of maps (N, C, H, W) in each cell of a grid, (N, C, cells, cells).

    Cell i covers the rows floor(i H / cells) .. ceil((i + 1) H / cells) - 1. H may be any number of at least `cells`;
    if it is no multiple, neighbouring cells overlap by one row.

    Raises:
        ShapeError: the maps are smaller than the grid.
    """
    H, W = maps.shape[2:]
    if min(H, W) < cells:
        raise ShapeError(f"grid_max: maps {maps.shape} are smaller than {cells} x {cells}")
    rows, columns = ([slice(i * n // cells, -(-(i + 1) * n // cells)) for i in range(cells)] for n in (H, W))
    return np.stack([np.stack([maps[:, :, r, c].max((2, 3)) for c in columns], -1) for r in rows], -2)


def discriminator_features(discriminator: nn.Module, images: np.ndarray) -> np.ndarray:
    """A discriminator's features of images (N, C, H, W), float32 (N, 16 * channels of all its layers) on the host.

    They are the outputs of every rectifier in `discriminator.layers`, an nn.Sequential. Batch norm uses running
    statistics.

    Raises:
        OptionError: it has no such layers, or they are not convolutions.
    """
    layers = getattr(discriminator, "layers", None)
    if not isinstance(layers, nn.Sequential):
        raise OptionError("discriminator_features: needs a network with `layers`, an nn.Sequential, as models.dcgan's")
    was_training, images = discriminator.training, prepared(images)
    where = discriminator.parameters()[0].device
    discriminator.eval()
    try:
        with no_grad():
            return np.concatenate([_rectified(layers, images[i : i + _BATCH], where)
                                   for i in range(0, len(images), _BATCH)])
    finally:
        discriminator.train(was_training)


def _rectified(layers: nn.Sequential, images: np.ndarray, where: str) -> np.ndarray:
    x, features = tensor(images, device=where), []
    for layer in list(layers)[:-1]:  # the last one returns the logit
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU | nn.ReLU):
            if x.ndim != 4:
                raise OptionError(f"discriminator_features: a layer gives {x.shape}, not images (N, C, H, W)")
            features.append(grid_max(device.asnumpy(x.data)).reshape(len(images), -1))  # (N, C*4*4)
    if not features:
        raise OptionError("discriminator_features: no rectifier (nn.LeakyReLU, nn.ReLU) in the discriminator's layers")
    return np.concatenate(features, 1)


def svm_accuracy(features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, test_labels: np.ndarray) -> float:
    """Accuracy on test features (M, D) of a linear SVM with squared hinge loss fitted to features (N, D).

    All features are divided by one number, their root mean square on the training set, so that STRENGTHS mean the same
    for every kind of feature. Every fifth sample decides which strength is best; then all samples are fitted with it.

    Raises:
        ModuleNotFoundError: without scikit-learn.
    """
    svm = require("sklearn.svm", "this measure")
    scale = max(float(np.sqrt(np.mean(np.square(features, dtype=np.float64)) * features.shape[1])), 1e-12)
    x, test = features / scale, test_features / scale  # rows of mean square length 1
    fifth = np.arange(len(x)) % 5 == 0

    def fitted(strength: float, rows: np.ndarray) -> object:
        return svm.LinearSVC(C=strength, max_iter=5000, random_state=0).fit(x[rows], labels[rows])

    best = max(STRENGTHS, key=lambda strength: _accuracy(fitted(strength, ~fifth), x[fifth], labels[fifth]))
    return _accuracy(fitted(best, np.ones(len(x), bool)), test, test_labels)


def _accuracy(machine: object, features: np.ndarray, labels: np.ndarray) -> float:
    return float((machine.predict(features) == labels).mean())  # type: ignore[attr-defined]


def svm_evaluation(discriminator: nn.Module, size: int = 32, labels: int = 1000, test: int = 10_000,
                   directory: str | os.PathLike[str] | None = None, seed: int = 0) -> dict[str, float]:
    """Accuracy on MNIST's test digits of classifiers trained on few labels: {"discriminator", "random", "pixels"}.

    "discriminator" uses the discriminator's features, "random" those of the same network with DCGAN's initial weights
    and initial running statistics, "pixels" the pixels themselves.

    Args:
        discriminator: as in `discriminator_features`.
        size: side of the images it takes.
        labels: number of labelled training digits, drawn from the seed.
        test: number of test digits.
        directory: where MNIST is; as in data.mnist.
        seed: of the labelled digits, the test digits and the random weights.

    Raises:
        DataError: no MNIST. OptionError: more labels than digits, or fewer than 50; as `discriminator_features`.
        ModuleNotFoundError: without scikit-learn.
    """
    train = mnist(size, "train", directory, holdout=True)
    held_out = mnist(size, "test", directory)
    if not 50 <= labels <= len(train):
        raise OptionError(f"svm_evaluation: labels={labels} must lie in 50 .. {len(train)}, the number of training "
                          "digits")
    labelled = Stream(seed, "labels").permutation(len(train))[:labels]
    tested = Stream(seed, "test").permutation(len(held_out))[:test]
    kinds: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "discriminator": lambda images: discriminator_features(discriminator, images),
        "random": lambda images: discriminator_features(fresh, images),
        "pixels": lambda images: prepared(images).reshape(len(images), -1),  # (N, H*W)
    }
    fresh = _fresh(discriminator, seed)
    return {name: svm_accuracy(features(train.images[labelled]), train.labels[labelled],
                               features(held_out.images[tested]), held_out.labels[tested])
            for name, features in kinds.items()}


def _fresh(discriminator: nn.Module, seed: int) -> nn.Module:
    """A copy with initial weights and statistics; the random numbers that `mg.seed` seeds are not used."""
    network, numbers = copy.deepcopy(discriminator), default.state_dict()
    seed_default(seed)
    try:
        network.apply(dcgan_weights)
    finally:
        default.load_state_dict(numbers)
    for module in network.modules():
        if hasattr(module, "reset_running_stats"):
            module.reset_running_stats()
    return network
