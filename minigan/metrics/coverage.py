"""Does a generator draw all kinds of real images, and nothing else? Counted in classes, and in neighbourhoods.

    classes         classifier_score, class_histogram, modes_covered, stacked_modes: from a classifier's probabilities
    neighbourhoods  precision_recall, density_coverage: from features of real and generated images
    memory          nearest: the training images closest to a generated one
"""

from __future__ import annotations

__all__ = ["class_histogram", "classifier_score", "density_coverage", "modes_covered", "nearest", "precision_recall",
           "stacked_modes"]

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minigan.errors import OptionError, ShapeError, require
from minigan.metrics.images import prepared


class Histogram(NamedTuple):
    """Shares of the classes, (K,), and their Kullback-Leibler divergence KL(shares, uniform) in nats, 0 to ln K."""

    shares: np.ndarray
    kl_to_uniform: float


class Modes(NamedTuple):
    """Modes covered, modes in total, and KL of the modes' shares to the uniform distribution, in nats."""

    covered: int
    modes: int
    kl_to_uniform: float


def _probabilities(probabilities: np.ndarray) -> np.ndarray:
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or 0 in p.shape or not np.allclose(p.sum(1), 1, atol=1e-3) or p.min() < 0:
        raise ShapeError(f"probabilities {p.shape} must be (N, K), N at least 1, each row adding up to 1")
    return p


def _kl_to_uniform(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float((shares * np.log(shares * len(counts))).sum())


def classifier_score(probabilities: np.ndarray) -> float:
    """exp(E_x KL(p(y|x), p(y))), from 1 to K, for a classifier's probabilities p(y|x), (N, K), of generated images.

    It is high if each image clearly belongs to one class and all classes are equally frequent; variety within a class
    does not matter.
    Source: Salimans et al., Improved techniques for training GANs, 2016, section 4, with a digit classifier.

    Raises:
        ShapeError: not (N, K), or rows that do not add up to 1.
    """
    p = _probabilities(probabilities)
    marginal = p.mean(0)
    # p ln p is 0 at p = 0; where the marginal is 0, every p is 0
    terms = p * (np.log(np.where(p > 0, p, 1)) - np.log(np.where(marginal > 0, marginal, 1)))
    return float(np.exp(terms.sum(1).mean()))


def class_histogram(probabilities: np.ndarray) -> Histogram:
    """How often each of K classes is the most probable, given (N, K). Raises as `classifier_score`."""
    p = _probabilities(probabilities)
    counts = np.bincount(p.argmax(1), minlength=p.shape[1])
    return Histogram(counts / len(p), _kl_to_uniform(counts))


def modes_covered(probabilities: np.ndarray) -> Modes:
    """The classes that a generator draws, given probabilities (N, K): those with at least N / 10 K images.

    That is a tenth of what each class should get; a single image may be an error of the classifier. Raises as
    `classifier_score`.
    """
    shares, kl = class_histogram(probabilities)
    least = max(1 / len(probabilities), 1 / (10 * len(shares)))
    return Modes(int((shares >= least * (1 - 1e-9)).sum()), len(shares), kl)


def stacked_modes(images: np.ndarray, probabilities: Callable[[np.ndarray], np.ndarray]) -> Modes:
    """Modes of stacked MNIST: images (N, 3, H, W) show three digits, one per channel, so 1,000 numbers.

    A mode is covered if one image shows it. The usual N is 25,600.

    probabilities  a classifier of digits (N, 1, H, W), from `digit_classifier`
    Source: Metz et al., Unrolled GANs, 2017, section 3.3.1; Lin et al., PacGAN, 2018, section 4.2.

    Raises:
        ShapeError: not three channels.
    """
    images = prepared(images)
    if images.shape[1] != 3:
        raise ShapeError(f"stacked_modes: images {images.shape} must be (N, 3, H, W), one digit per channel")
    hundreds, tens, ones = (_probabilities(probabilities(images[:, c : c + 1])).argmax(1) for c in range(3))
    counts = np.bincount(100 * hundreds + 10 * tens + ones, minlength=1000)
    return Modes(int((counts > 0).sum()), 1000, _kl_to_uniform(counts))


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Share of fakes that lie among the reals, and of reals among the fakes; features (N, D) and (M, D).

    A point lies among others if, for one of them, it is no farther away than that one's k-th neighbour.
    Source: Kynkaanniemi et al., Improved precision and recall metric, 2019, equations 1 and 2.

    Raises:
        ShapeError: the numbers of features differ. OptionError: k is below 1 or not below N and M. ModuleNotFoundError.
    """
    return float((_balls_around(real, fake, k)[0] > 0).mean()), float((_balls_around(fake, real, k)[0] > 0).mean())


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> tuple[float, float]:
    """Density and coverage of fakes (M, D) among reals (N, D).

    The neighbourhood of a real reaches to its k-th neighbour. Density is the mean number of neighbourhoods in which a
    fake lies, divided by k; it may be above 1. Coverage is the share of reals with a fake in their neighbourhood. If
    reals and fakes have one distribution and N = M, density is 1 and coverage about 1 - 2^-k, on average.
    Source: Naeem et al., Reliable fidelity and diversity metrics for generative models, 2020, equations 3, 4 and 9.

    Raises:
        As `precision_recall`.
    """
    neighbourhoods_with_fake, fakes_in_neighbourhood = _balls_around(real, fake, k)
    return float(neighbourhoods_with_fake.mean() / k), float((fakes_in_neighbourhood > 0).mean())


def _balls_around(centres: np.ndarray, points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Balls around centres (N, D) that reach to their k-th neighbours: how many balls contain each point, (M,), and how
    many points each ball contains, (N,).

    Distances are float64 and come in blocks that fit scikit-learn's working memory.
    """
    centres, points = np.asarray(centres, np.float64), np.asarray(points, np.float64)
    if centres.ndim != 2 or points.ndim != 2 or centres.shape[1] != points.shape[1]:
        raise ShapeError(f"features {centres.shape} and {points.shape} must be (N, D) and (M, D)")
    if not 1 <= k < len(centres) or not len(points):
        raise OptionError(f"k={k} must lie in 1 .. {len(centres) - 1}, below the number of samples")
    neighbours, metrics = (require(f"sklearn.{part}", "this measure") for part in ("neighbors", "metrics"))
    search = neighbours.NearestNeighbors(n_neighbors=k, algorithm="brute").fit(centres)
    radius = search.kneighbors()[0][:, -1]  # (N,); without arguments, no centre is its own neighbour
    balls_with_point, points_in_ball = [], np.zeros(len(centres), int)
    for block in metrics.pairwise_distances_chunked(points, centres):  # (rows, N)
        inside = block <= radius
        balls_with_point.append(inside.sum(1))
        points_in_ball += inside.sum(0)
    return np.concatenate(balls_with_point), points_in_ball


def nearest(images: np.ndarray, training: np.ndarray, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The `count` training images closest to each image: distances (N, count) and indices (N, count), closest first.

    Images are (N, C, H, W) and (M, C, H, W), uint8 or in [-1, 1]. The distance is the root mean square difference of
    pixels in [-1, 1], from 0, for a copy, to 2.

    Raises:
        ShapeError: the images differ in C, H or W. OptionError: count is not in 1 .. M. ModuleNotFoundError.
    """
    a, b = prepared(images), prepared(training, "training images")
    if a.shape[1:] != b.shape[1:]:
        raise ShapeError(f"nearest: images {a.shape} and training images {b.shape} must agree in C, H and W")
    if not 1 <= count <= len(b):
        raise OptionError(f"nearest: count={count} must lie in 1 .. {len(b)}, the number of training images")
    rows, known = a.reshape(len(a), -1), b.reshape(len(b), -1)  # (N, C*H*W), (M, C*H*W)
    neighbours = require("sklearn.neighbors", "this measure")
    search = neighbours.NearestNeighbors(n_neighbors=count, algorithm="brute").fit(known)
    distances, indices = search.kneighbors(rows)
    return distances / np.sqrt(rows.shape[1]), indices
