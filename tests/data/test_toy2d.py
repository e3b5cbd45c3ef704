"""Points in the plane: moments and coverage against known values."""

import numpy as np
import pytest

from minigan import data
from minigan.errors import DataError, OptionError, ShapeError
from minigan.random import Stream

NAMES = {"gaussians25": 25, "gaussians8": 8, "ring": 36}


@pytest.mark.parametrize("name, modes", NAMES.items())
def test_the_distribution_covers_itself(name, modes):
    toy = data.toy2d(name)
    covered, there, good = toy.coverage(toy.sample(20_000, Stream(0, "test")))
    assert (covered, there) == (modes, modes)
    # in the plane, P(|noise| <= 3 std) = 1 - exp(-9/2); across the ring only one direction counts: erf(3 / 2^0.5)
    assert good == pytest.approx(0.9973 if name == "ring" else 1 - np.exp(-4.5), abs=0.003)


@pytest.mark.parametrize("name, second_moment", [
    ("gaussians25", 16 + 2 * 0.05**2),  # mean of (-4, -2, 0, 2, 4)^2 is 8, twice
    ("gaussians8", 4 + 2 * 0.02**2),
    ("ring", 4 + 2 * 0.05**2),
])
def test_moments(name, second_moment):
    points = data.toy2d(name).sample(200_000, Stream(1, "test")).astype(np.float64)
    assert points.shape == (200_000, 2)
    np.testing.assert_allclose(points.mean(0), 0, atol=5 * second_moment**0.5 / 200_000**0.5)
    assert (points**2).sum(1).mean() == pytest.approx(second_moment, rel=0.01)


def test_a_collapsed_generator_covers_one_mode():
    toy = data.toy2d("gaussians25")
    assert toy.coverage(np.repeat(toy.modes[7:8], 100, axis=0)) == (1, 25, 1.0)


def test_between_the_modes_is_no_good():
    toy = data.toy2d("gaussians25")
    assert toy.coverage(toy.modes + 1.0) == (0, 25, 0.0)


def test_a_mode_needs_a_tenth_of_its_due():
    toy = data.toy2d("gaussians8")  # 800 points: the share of a mode is 100, 10 are enough
    for few, covered in ((9, 1), (10, 2)):
        points = np.concatenate([np.repeat(toy.modes[:1], 800 - few, axis=0), np.repeat(toy.modes[1:2], few, axis=0)])
        assert toy.coverage(points).covered == covered


def test_same_seed_same_bytes():
    toy = data.toy2d("ring")
    a, b, other = toy.batches(8, seed=3), toy.batches(8, seed=3), toy.batches(8, seed=4)
    first = next(a)
    assert first.dtype == np.float32
    assert first.tobytes() == next(b).tobytes() != next(other).tobytes()
    assert next(a).tobytes() == next(b).tobytes() != first.tobytes()


def test_wrong_arguments():
    with pytest.raises(OptionError, match="gaussians25, gaussians8, ring"):
        data.toy2d("spiral")
    toy = data.toy2d("gaussians8")
    for shape in ((0, 2), (3,), (3, 3)):
        with pytest.raises(ShapeError, match="must be"):
            toy.coverage(np.zeros(shape))
    with pytest.raises(DataError, match="1 of 2 points"):
        toy.coverage(np.array([[np.nan, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize("name", NAMES)
def test_scaled_points_have_unit_variance(name):
    toy = data.toy2d(name)
    points = toy.sample(100_000, Stream(2, "test")).astype(np.float64) / toy.scale
    assert (points**2).mean() == pytest.approx(1, rel=0.01)
