"""Distances with known values: Gaussians with exact moments, shifted clouds, shuffled halves."""

import math

import numpy as np
import pytest

from minigan.errors import DataError, ShapeError
from minigan.metrics import checkerboard, frechet, kid, sliced_wasserstein
from minigan.metrics.distances import enlarged, pyramid, sliced
from minigan.random import Stream

scipy_linalg = pytest.importorskip("scipy.linalg", reason="SciPy comes with scikit-learn")


def with_moments(rng, mean, cov, n=300):
    """Samples (n, D) whose mean and covariance, divided by n - 1, are exactly these."""
    x = rng.normal(size=(n, len(mean)))
    x = x - x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T)).T)  # covariance 1
    return x @ np.linalg.cholesky(cov).T + mean


def test_frechet_of_gaussians_along_the_axes(rng):
    """|ma - mb|^2 + sum (sa - sb)^2 where the covariances commute."""
    a = with_moments(rng, [1.0, -2.0, 0.5], np.diag([4.0, 1.0, 0.25]))
    b = with_moments(rng, [0.0, 1.0, 0.5], np.diag([1.0, 9.0, 1.0]))
    assert frechet(a, b) == pytest.approx(1 + 9 + 0 + (2 - 1) ** 2 + (1 - 3) ** 2 + (0.5 - 1) ** 2, rel=1e-9)


def test_frechet_agrees_with_the_matrix_root(rng):
    mats = [m @ m.T + np.eye(4) for m in rng.normal(size=(2, 4, 4))]
    means = rng.normal(size=(2, 4))
    a, b = (with_moments(rng, m, c) for m, c in zip(means, mats, strict=True))
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(
        mats[0] + mats[1] - 2 * scipy_linalg.sqrtm(mats[0] @ mats[1]).real)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-8)


def test_frechet_of_equal_sets_and_of_constant_features(rng):
    a = rng.normal(size=(50, 3)) * [1.0, 1.0, 0.0]  # a feature that never fires: a singular covariance
    assert frechet(a, a) == pytest.approx(0, abs=1e-12)
    assert frechet(a, a + [0.0, 0.0, 2.0]) == pytest.approx(4, rel=1e-9)


def test_kid_is_the_mean_over_pairs(rng):
    a, b = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1

    def k(x, y):
        return (x @ y / 3 + 1) ** 3

    within = [np.mean([k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, b)]
    assert kid(a, b) == pytest.approx(sum(within) - 2 * np.mean([k(x, y) for x in a for y in b]), rel=1e-12)


def test_kid_is_unbiased(rng):
    """For two sets from one distribution, its mean is 0."""
    values = np.array([kid(rng.normal(size=(30, 4)), rng.normal(size=(30, 4))) for _ in range(300)])
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(len(values))
    assert (values < 0).mean() > 0.3


def test_sliced_distance_of_a_shifted_cloud(rng):
    """A shift s moves all projections onto u by u.s; the mean |u.s| over the sphere is known."""
    D, shift = 9, np.full(9, 2.0)
    a = rng.normal(size=(100, D))
    length = np.linalg.norm(shift)
    expected = length * math.gamma(D / 2) / (math.sqrt(math.pi) * math.gamma((D + 1) / 2))
    assert sliced(a, a[::-1] + shift, Stream(0, "t"), 4000) == pytest.approx(expected, rel=0.03)


def test_a_pyramid_adds_up_to_the_image(rng):
    images = rng.normal(size=(2, 3, 56, 56)).astype(np.float32)
    high, middle, low = pyramid(images)
    assert [level.shape[2] for level in (high, middle, low)] == [56, 28, 14]
    np.testing.assert_allclose(high + enlarged(middle + enlarged(low)), images, atol=1e-5)


def test_a_flat_image_has_nothing_but_its_last_level():
    *residuals, last = pyramid(np.full((1, 1, 56, 56), 0.25, np.float32))
    assert all(np.abs(level).max() < 1e-6 for level in residuals)
    np.testing.assert_allclose(last, 0.25, atol=1e-6)


def test_sliced_wasserstein_sees_what_blur_takes(digits):
    images = digits[0].images[::5]
    halves, same = sliced_wasserstein(images[::2], images[1::2]), sliced_wasserstein(images, images)
    blurred = (images.astype(float) + np.roll(images, 1, 3) + np.roll(images, 1, 2)) / 382.5 - 1
    assert same == {28: 0.0, 14: 0.0}
    assert sliced_wasserstein(images[::2], blurred[1::2].astype(np.float32))[28] > 1.3 * halves[28] > 0


def test_checkerboard_of_known_patterns(rng):
    i, j = np.mgrid[:28, :28]
    assert checkerboard(((-1.0) ** (i + j))[None, None]) == pytest.approx(1)
    assert checkerboard(((-1.0) ** i)[None, None]) == pytest.approx(1)
    assert checkerboard((0.5 + 0.5 * (-1.0) ** i)[None, None]) == pytest.approx(1)  # brightness is no pattern
    assert checkerboard(np.full((3, 1, 28, 28), 0.3)) == 0
    assert checkerboard(np.cos(2 * np.pi * j / 7)[None, None]) == pytest.approx(0, abs=1e-12)
    noise = rng.uniform(-1, 1, (2000, 1, 28, 28))
    assert checkerboard(noise) == pytest.approx((2 * 28 - 1) / (28**2 - 1), rel=0.02)


@pytest.mark.parametrize("measure, a, b, words", [
    (frechet, (5, 3), (5, 4), "(5, 3) and b (5, 4)"),
    (kid, (1, 3), (5, 3), "at least 2"),
    (sliced_wasserstein, (2, 1, 12, 12), (2, 1, 12, 12), "at least 14"),
    (sliced_wasserstein, (2, 1, 28, 28), (2, 3, 28, 28), "agree in C"),
])
def test_sizes_that_do_not_fit(measure, a, b, words):
    with pytest.raises(ShapeError, match=words.replace("(", r"\(").replace(")", r"\)")):
        measure(np.zeros(a), np.zeros(b))


def test_images_that_cannot_be_measured():
    with pytest.raises(DataError, match="1 of 2 images hold NaN"):
        checkerboard(np.stack([np.zeros((1, 4, 4)), np.full((1, 4, 4), np.nan)]))
    with pytest.raises(DataError, match=r"they must be uint8, or in \[-1, 1\]"):
        checkerboard(np.full((1, 1, 4, 4), 7.0))
    with pytest.raises(ShapeError, match="even"):
        checkerboard(np.zeros((1, 1, 5, 4)))
