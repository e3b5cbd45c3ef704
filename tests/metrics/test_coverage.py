"""Counting: classes and neighbourhoods of sets whose counts are known, or counted by loops."""

import math
from importlib.util import find_spec

import numpy as np
import pytest

from minigan import data
from minigan.errors import OptionError, ShapeError
from minigan.metrics import (
    class_histogram,
    classifier_score,
    density_coverage,
    modes_covered,
    nearest,
    precision_recall,
    stacked_modes,
)

# not importorskip: the import takes 3 s
pytestmark = pytest.mark.skipif(find_spec("sklearn") is None, reason="neighbourhoods need scikit-learn")


def one_hot(labels, k=10):
    return np.eye(k)[np.asarray(labels)]


def test_classifier_score_of_extremes():
    assert classifier_score(one_hot(np.arange(50) % 10)) == pytest.approx(10)
    assert classifier_score(one_hot(np.zeros(50, int))) == pytest.approx(1)
    assert classifier_score(np.full((50, 10), 0.1)) == pytest.approx(1)


def test_classifier_score_of_two_undecided_classes():
    """p = (q, 1-q) and (1-q, q), alternating: the marginal is 1/2, so the score is exp(ln 2 - H(q))."""
    q = 0.9
    entropy = -(q * math.log(q) + (1 - q) * math.log(1 - q))
    assert classifier_score(np.array([[q, 1 - q], [1 - q, q]] * 5)) == pytest.approx(2 * math.exp(-entropy))


def test_class_histogram_and_its_distance_to_uniform():
    shares, kl = class_histogram(one_hot([0, 0, 0, 1], 2))
    np.testing.assert_allclose(shares, [0.75, 0.25])
    assert kl == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert class_histogram(one_hot([3] * 7)).kl_to_uniform == pytest.approx(math.log(10))


def test_a_class_needs_a_tenth_of_its_due():
    """1,000 images: the share of a class is 100, 10 are enough."""
    for few, covered in ((9, 1), (10, 2)):
        assert modes_covered(one_hot([0] * (1000 - few) + [1] * few)).covered == covered


def test_a_collapsed_generator_draws_one_mode():
    assert modes_covered(one_hot([4] * 500))[:2] == (1, 10)


def test_stacked_digits_are_numbers_of_three_digits():
    def probabilities(images):  # the brightness of these images is their class
        return one_hot(np.rint((images.mean((1, 2, 3)) + 1) * 4.5).astype(int))

    numbers = np.array([0, 7, 42, 999, 999, 123])
    digits = np.stack([numbers // 100, numbers // 10 % 10, numbers % 10], 1)  # (N, 3)
    images = np.broadcast_to(digits[:, :, None, None] / 4.5 - 1, (6, 3, 28, 28)).astype(np.float32)
    modes = stacked_modes(images, probabilities)
    assert (modes.covered, modes.modes) == (5, 1000)
    expected = 4 / 6 * math.log(1000 / 6) + 2 / 6 * math.log(2000 / 6)
    assert modes.kl_to_uniform == pytest.approx(expected)


def test_stacked_mnist_has_all_modes_and_its_own_labels(digits):
    stacked = data.stacked(digits[0], 3000, seed=1)
    assert stacked.images.shape == (3000, 3, 28, 28)
    assert len(np.unique(stacked.labels)) > 900  # 1000 (1 - e^-3) = 950 expected
    channel = np.array([digits[0].images[digits[0].labels == n].mean() for n in range(10)])
    for place, c in ((100, 0), (10, 1), (1, 2)):  # ones are thin, zeros fat: brightness follows the digit
        mine = [stacked.images[stacked.labels // place % 10 == n, c].mean() for n in range(10)]
        np.testing.assert_allclose(mine, channel, rtol=0.06)
    np.testing.assert_array_equal(stacked.images, data.stacked(digits[0], 3000, seed=1).images)
    assert (data.stacked(digits[0], 50, seed=2).labels != stacked.labels[:50]).any()
    with pytest.raises(OptionError, match="at least 1"):
        data.stacked(digits[0], 0)


def in_a_ball(point, centres, k):
    """By loops: the number of centres with the point no farther away than their k-th neighbour."""
    count = 0
    for i, c in enumerate(centres):
        others = sorted(np.linalg.norm(c - o) for j, o in enumerate(centres) if j != i)
        count += np.linalg.norm(point - c) <= others[k - 1]
    return count


def test_neighbourhoods_by_loops(rng):
    real, fake = rng.normal(size=(30, 2)), rng.normal(size=(20, 2)) + 0.7
    inside = [in_a_ball(f, real, 5) for f in fake]
    density, coverage = density_coverage(real, fake, 5)
    assert density == pytest.approx(np.mean(inside) / 5)
    radius = [sorted(np.linalg.norm(r - o) for j, o in enumerate(real) if j != i)[4] for i, r in enumerate(real)]
    assert coverage == pytest.approx(np.mean([min(np.linalg.norm(r - f) for f in fake) <= d
                                              for r, d in zip(real, radius, strict=True)]))
    precision, recall = precision_recall(real, fake, 3)
    assert precision == pytest.approx(np.mean([in_a_ball(f, real, 3) > 0 for f in fake]))
    assert recall == pytest.approx(np.mean([in_a_ball(r, fake, 3) > 0 for r in real]))


def test_one_distribution_has_density_1_and_coverage_1_minus_2_to_the_minus_k(rng):
    result = np.array([density_coverage(rng.normal(size=(300, 3)), rng.normal(size=(300, 3)), 3) for _ in range(10)])
    density, coverage = result.mean(0)
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-3, abs=0.03)


def test_a_collapsed_generator_is_precise_and_recalls_nothing(rng):
    real = rng.normal(size=(200, 3))
    fake = real[:1] + 1e-3 * rng.normal(size=(200, 3))
    precision, recall = precision_recall(real, fake)
    assert precision == 1
    assert recall < 0.02
    assert density_coverage(real, fake)[1] < 0.2
    assert precision_recall(real, real + 100) == (0, 0)


def test_copies_of_training_images_are_found(digits):
    training = digits[0].images[:200]
    distance, index = nearest(training[[5, 77]], training)
    np.testing.assert_array_equal(index[:, 0], [5, 77])
    np.testing.assert_allclose(distance, 0, atol=1e-6)
    grey, white = np.zeros((1, 1, 28, 28)), np.ones((3, 1, 28, 28))
    assert nearest(grey, white)[0] == pytest.approx(1)  # a root mean square of differences


def test_what_cannot_be_counted():
    with pytest.raises(ShapeError, match="adding up to 1"):
        classifier_score(np.ones((3, 10)))
    with pytest.raises(OptionError, match="below the number"):
        precision_recall(np.zeros((3, 2)), np.zeros((3, 2)), k=3)
    with pytest.raises(ShapeError, match="three|3, H, W"):
        stacked_modes(np.zeros((2, 1, 28, 28)), lambda x: x)
    with pytest.raises(OptionError, match="count=9"):
        nearest(np.zeros((1, 1, 4, 4)), np.zeros((3, 1, 4, 4)), count=9)
