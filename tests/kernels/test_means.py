"""Means of functions, number by number with Python's math, and many numbers, whose sums must not lose digits."""

import math

import numpy as np
import pytest

from minigan import kernels

EXACT = {  # f, df/dx, df/dt
    "cross_entropy": (lambda x, t: math.log1p(math.exp(-abs(x))) + max(x, 0) - t * x,
                      lambda x, t: 1 / (1 + math.exp(-x)) - t, lambda x, t: -x),
    "square": (lambda x, t: (x - t) ** 2, lambda x, t: 2 * (x - t), lambda x, t: 2 * (t - x)),
    "absolute": (lambda x, t: abs(x - t), lambda x, t: (x > t) - (x < t), lambda x, t: (t > x) - (t < x)),
    "hinge": (lambda x, t: max(0, 1 - t * x), lambda x, t: -t * (t * x < 1), lambda x, t: -x * (t * x < 1)),
    "product": (lambda x, t: t * x, lambda x, t: t, lambda x, t: x),
    "sigmoid": (lambda x, t: 1 / (1 + math.exp(-x)), lambda x, t: 1 / (2 + math.exp(x) + math.exp(-x)), lambda x, t: 0),
}


@pytest.mark.parametrize("of", EXACT)
@pytest.mark.parametrize("dtype, bound", [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_number_by_number(of, dtype, bound):
    rng = np.random.default_rng(2)
    x, labels, g = rng.normal(size=(3, 4)).astype(dtype), rng.normal(size=(3, 4)).astype(dtype), np.asarray(dtype(1.5))
    x[0, :2], labels[0, 0] = 0, 0  # where |x - t| has its kink
    for t in (labels, 0.0, 1.0, -1.0, 0.9):
        pairs = [*zip(x.ravel().tolist(), np.broadcast_to(t, x.shape).ravel().tolist(), strict=True)]
        value, by_x, by_t = ([f(*pair) for pair in pairs] for f in EXACT[of])
        y = kernels.mean_of(x, t, of, 0.5)
        assert y.dtype == dtype and y == pytest.approx(0.5 * np.mean(value), rel=bound, abs=bound)
        for by_target, slopes in ((False, by_x), (True, by_t)):
            gx = kernels.mean_of_grad(g, x, t, of, 0.5, by_target)
            assert (gx.dtype, gx.shape) == (dtype, x.shape)
            np.testing.assert_allclose(gx.ravel(), 1.5 * 0.5 / 12 * np.array(slopes), rtol=bound, atol=bound)


def test_the_mean_of_a_million_tenths(with_workers):
    x = np.full((100, 10_000), 0.1, np.float32)
    one, two = (with_workers(n, kernels.mean_of, x, 0.0, "absolute") for n in (1, 2))
    assert one == two == pytest.approx(float(x[0, 0]), rel=2e-6)
    assert kernels.lengths(x) == pytest.approx(float(x[0, 0]) * 1000, rel=2e-6)


def test_a_length_of_0_has_gradient_0():
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    y = kernels.lengths(x, 1)
    assert y.tolist() == [5, 0] and kernels.lengths(x, (0, 1), True).tolist() == [[5]]
    np.testing.assert_allclose(kernels.lengths_grad(np.array([10.0, 7.0]), y, x, (1,)), [[6, 8], [0, 0]])


def test_weighted_sums():
    numbers = [np.array(v, np.float32) for v in (1, 2, 3)]
    y = kernels.weighted_sum(numbers, [1.0, -0.5, 2.0])
    assert y.dtype == np.float32 and y == 6
    assert [float(g) for g in kernels.weighted_sum_grad(numbers[1], [1.0, -0.5])] == [2, -1]
