"""Groups of images that look alike, found without labels: k-means of features that an autoencoder learns.

    images -> at most 32 pixels a side -> stride-2 convolutions -> 32 features -> DCGAN's generator -> the images again

A conditional GAN that draws for such groups has an easier task in each, and someone who draws can choose one.

Source: Sage, Agustsson, Timofte & Van Gool, Logo synthesis and manipulation with clustered generative adversarial
networks, 2018, section 4.2: clusters of an autoencoder's features; Arthur & Vassilvitskii, k-means++, 2007.
"""

from __future__ import annotations

__all__ = ["clustered", "kmeans", "picture_features"]

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from minigan import nn, ops, optim
from minigan.data.images import ImageData, scaled
from minigan.data.loader import Loader
from minigan.engine import Tensor, no_grad, tensor
from minigan.errors import DataError, OptionError
from minigan.losses import mse
from minigan.metrics.classifier import _apart
from minigan.models.dcgan import Generator
from minigan.random import Stream

FEATURES, SIDE = 32, 32  # length of an image's code; largest side of an image that is encoded
MOST_ROUNDS = 100  # of k-means; it converges in a few dozen
_BATCH = 500  # images whose features are computed at a time


@dataclass(frozen=True)
class Settings:
    """How the autoencoder is trained: for a number of images, not of epochs; a small set is seen more often."""

    images_seen: int = 20_000
    batch_size: int = 64
    width: int = 8
    lr: float = 2e-3


class Autoencoder(nn.Module):
    """Images (N, C, size, size) in [-1, 1] to the same, through FEATURES numbers."""

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.decoder = Generator(channels, size, FEATURES, width)
        layers: list[nn.Module] = []
        base = 7 if size % 7 == 0 else 4
        for level in range((size // base).bit_length() - 1):
            out = width << level
            layers += [nn.Conv2d(channels, out, 4, 2, 1, bias=False), nn.BatchNorm2d(out), nn.LeakyReLU(0.2)]
            channels = out
        self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * base**2, FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        """The images, decoded from their codes."""
        return self.decoder(self.encoder(x))


def clustered(images: ImageData, clusters: int = 10, seed: int = 0, settings: Settings = Settings()) -> ImageData:
    """The images with numbers of clusters as labels, 0 for the largest: equal arguments give equal labels.

    The autoencoder is trained on the CPU, in seconds, without the random numbers that `mg.seed` seeds.

    Raises:
        DataError: fewer images than clusters or a batch.
        OptionError: fewer than two clusters.
        ShapeError: images of a size that models.dcgan does not have.
    """
    if clusters < 2:
        raise OptionError(f"clusters={clusters} must be at least 2")
    if len(images) < max(clusters, settings.batch_size):
        raise DataError(f"{clusters} clusters of {len(images)} images ({images.source}): at least "
                        f"{max(clusters, settings.batch_size)} are needed")
    features = picture_features(images.images, seed, settings)
    labels = kmeans(features(images.images), clusters, Stream(seed, "clusters"))
    counts = np.bincount(labels)
    return replace(images, labels=labels.astype(np.uint16), source=(
        f"{images.source}; {clusters} clusters of {counts.min():,} to {counts.max():,} images"))


def picture_features(pixels: np.ndarray, seed: int = 0,
                     settings: Settings = Settings()) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images like these to features (N, FEATURES), by an autoencoder trained on them, in seconds.

    Distances such as `frechet` need features; these see what an image looks like at 32 x 32 pixels, and can be had for
    any images without a download. Distances in features that were learnt from other images cannot be compared.

    Args:
        pixels: uint8 (N, C, H, W), at least a batch of them, of a size that models.dcgan has.

    Raises:
        DataError: fewer images than a batch. ShapeError: images of another size.
    """
    if len(pixels) < settings.batch_size:
        raise DataError(f"picture_features: {len(pixels)} images; at least {settings.batch_size} are needed")
    side = pixels.shape[2]
    shrink = max(1, side // SIDE)
    with _apart(seed):
        network = Autoencoder(pixels.shape[1], side // shrink, settings.width)
        loader = Loader(pixels, settings.batch_size, seed)
        steps = max(1, settings.images_seen // settings.batch_size)
        optimizer = optim.Adam(network.parameters(), settings.lr, schedule=optim.schedule("linear", steps))
        for _ in range(steps):
            x = _small(np.asarray(next(loader)), shrink)
            optimizer.minimize(mse(network(x), x))
        encoder = network.eval().encoder

    def features(images: np.ndarray) -> np.ndarray:
        images = scaled(images) if images.dtype == np.uint8 else images
        with no_grad():
            return np.concatenate([encoder(_small(images[i : i + _BATCH], shrink)).numpy()
                                   for i in range(0, len(images), _BATCH)])

    return features


def kmeans(points: np.ndarray, clusters: int, stream: Stream) -> np.ndarray:
    """The cluster of each of the points (N, d), integers (N,); cluster 0 has the most points.

    Centres start far from each other (k-means++); then each moves to the mean of the points nearest to it, until none
    changes. One that has lost all its points moves to the point farthest from its own. Sums are taken centre by centre,
    by NumPy alone, so that the result does not depend on the number of threads.

    Raises:
        OptionError: fewer points than clusters, or no cluster.
    """
    points = np.asarray(points, np.float64)
    if not 1 <= clusters <= len(points):
        raise OptionError(f"kmeans: {clusters} clusters of {len(points)} points; there must be 1 to {len(points)}")
    centres = _spread(points, clusters, stream)
    labels = np.full(len(points), -1)
    for _ in range(MOST_ROUNDS):
        squares = _squares(points, centres)  # (clusters, N)
        nearest = squares.argmin(0)
        for empty in np.flatnonzero(np.bincount(nearest, minlength=clusters) == 0):
            far = squares.min(0).argmax()
            nearest[far], squares[:, far] = empty, 0
        if (nearest == labels).all():
            break
        labels = nearest
        centres = np.stack([points[labels == k].mean(0) for k in range(clusters)])
    order = np.argsort(-np.bincount(labels, minlength=clusters), kind="stable")
    return np.argsort(order)[labels]


def _spread(points: np.ndarray, clusters: int, stream: Stream) -> np.ndarray:
    """Starting centres (clusters, d): points, each drawn with a chance that grows with its squared distance."""
    chances = stream.uniform((clusters,), np.float64)
    centres = [points[int(chances[0] * len(points))]]
    least = _squares(points, centres[0][None])[0]
    for chance in chances[1:]:
        ends = np.cumsum(least)
        centres.append(points[min(int(np.searchsorted(ends, chance * ends[-1], "right")), len(points) - 1)])
        least = np.minimum(least, _squares(points, centres[-1][None])[0])
    return np.stack(centres)


def _squares(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (clusters, N)."""
    return np.stack([np.square(points - centre).sum(1) for centre in centres])


def _small(batch: np.ndarray, shrink: int) -> Tensor:
    """Images (N, C, H, W), each `shrink` x `shrink` pixels averaged to one."""
    with no_grad():
        x = tensor(batch, device="cpu")
        return x if shrink == 1 else ops.avg_pool2d(x, shrink)
