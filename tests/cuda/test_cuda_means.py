"""means.cu against formulas in float64: every function, in one piece and in many, in three orders of threads."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

from minigan import kernels
from minigan.kernels.cuda import means

FORMULAS = {  # f, df/dx, df/dt, in float64
    "cross_entropy": (lambda x, t: np.logaddexp(0, x) - t * x, lambda x, t: 1 / (1 + np.exp(-x)) - t, lambda x, t: -x),
    "square": (lambda x, t: (x - t) ** 2, lambda x, t: 2 * (x - t), lambda x, t: 2 * (t - x)),
    "absolute": (lambda x, t: np.abs(x - t), lambda x, t: np.sign(x - t), lambda x, t: np.sign(t - x)),
    "hinge": (lambda x, t: np.maximum(0, 1 - t * x), lambda x, t: np.where(t * x < 1, -t, 0),
              lambda x, t: np.where(t * x < 1, -x, 0)),
    "product": (lambda x, t: t * x, lambda x, t: t + 0 * x, lambda x, t: x),
    "sigmoid": (lambda x, t: 1 / (1 + np.exp(-x)), lambda x, t: 1 / (2 + np.exp(x) + np.exp(-x)), lambda x, t: 0 * x),
}


@pytest.mark.parametrize("size", [1, 3, 64, 1029, 9000, 70_001])  # one piece, then several; rests less than a pack
@pytest.mark.parametrize("of", FORMULAS)
def test_means_and_gradients_are_the_formulas(device, rng, of, size):
    value, by_x, by_t = FORMULAS[of]
    for dtype, bound in ((np.float32, 3e-6), (np.float64, 1e-14)):
        x, t, g = (np.asarray(rng.normal(size=n)).astype(dtype) for n in (size, size, ()))
        for target in (t, -1.0) if size in (64, 9000) else (t,):
            there = [device.put(a) if isinstance(a, np.ndarray) else a for a in (g, x, target)]
            y = in_every_order(device, partial(means.mean_of, *there[1:], of, 0.5))
            wide, wide_target = x.astype(float), np.asarray(target, float)
            scale = np.abs(value(wide, wide_target)).mean() + 1
            assert y.dtype == dtype and abs(y - 0.5 * value(wide, wide_target).mean()) <= bound * scale
            for by_target, slope in ((False, by_x), (True, by_t)):
                gx = in_every_order(device, partial(means.mean_of_grad, *there, of, 0.5, by_target))
                wanted = float(g) * 0.5 / size * slope(wide, wide_target)
                np.testing.assert_allclose(gx, wanted, rtol=0, atol=bound / size * (1 + abs(float(g)) * 5))


@pytest.mark.parametrize("shape", [(2, 3), (128, 1, 1, 1), (2, 1, 120, 121)])
def test_halves(device, rng, shape):
    """The second half by another function, in one piece and in many, where a pack may or may not end at the half."""
    x, g = channels_last(3 * rng.normal(size=shape)), np.array(1.5)
    for first, second in itertools.pairwise([*FORMULAS, "cross_entropy"]):
        terms = (1.0, first, 1.0), (-1.0, second, -2.5)
        y = in_every_order(device, partial(means.means_of_halves, device.put(x), terms))
        gx = in_every_order(device, partial(means.means_of_halves_grad, device.put(g), device.put(x), terms))
        parts = [(weight, FORMULAS[of], part, t) for part, (t, of, weight) in zip(np.split(x, 2), terms, strict=True)]
        wanted = [weight * value(part, t).mean() for weight, (value, _, _), part, t in parts]
        slopes = [1.5 * weight / part.size * slope(part, t) for weight, (_, slope, _), part, t in parts]
        np.testing.assert_allclose(y, sum(wanted), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(gx, np.concatenate(slopes), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_cross_entropy_of_sure_logits_keeps_its_digits(device, label):
    """-ln D of a logit of 60 is e^-60, and so is its slope, where softplus(x) - x would give 0."""
    x = np.float32([60, 30, 5]) * (2 * label - 1)
    for target in (label, np.full(3, label, np.float32)):
        there = target if isinstance(target, float) else device.put(target)
        for i, e in enumerate(np.exp(-np.abs(x).astype(float))):
            one = device.put(x[i : i + 1]), there if isinstance(there, float) else there[i : i + 1], "cross_entropy"
            np.testing.assert_allclose(device.get(kernels.mean_of(*one)), math.log1p(e), rtol=1e-6)
            slope = device.get(kernels.mean_of_grad(device.put(np.float32(1)), *one))
            np.testing.assert_allclose(slope, (1 - 2 * label) * e / (1 + e), rtol=1e-6)


def test_infinite_logits_and_nan(device):
    for x, label, wanted in ((np.inf, 1.0, 0), (-np.inf, 0.0, 0), (-np.inf, 1.0, np.inf), (np.nan, 1.0, np.nan)):
        for at in (device.put(np.float32([x])), np.float32([x])):
            y = kernels.mean_of(at, label, "cross_entropy")
            np.testing.assert_array_equal(y if isinstance(at, np.ndarray) else device.get(y), wanted)


def test_images_in_any_order(device, rng):
    x, t, g = channels_last(rng.normal(size=(2, 3, 5, 7))), rng.normal(size=(2, 3, 5, 7)), np.array(2.0)
    gx = means.mean_of_grad(device.put(g), device.put(x), device.put(t), "square")
    assert gx.strides == x.strides
    np.testing.assert_allclose(device.get(gx), 4 * (x - t) / x.size, rtol=1e-13)
    y = device.get(means.mean_of(device.put(x), device.put(t), "absolute"))
    assert y == pytest.approx(np.abs(x - t).mean(), 1e-13)
    part = device.put(x)[:, 1:, ::2]  # with gaps
    assert device.get(means.mean_of(part, 0.0, "square")) == pytest.approx((x[:, 1:, ::2] ** 2).mean(), 1e-13)


@pytest.mark.parametrize("shape, axes", [((5, 3, 4, 4), (1, 2, 3)), ((3, 2, 16, 20), (1, 2, 3)), ((2, 5), (1,)),
                                         ((3, 7), (0,)), ((4, 2500), (1,)), ((2, 3, 4), None), ((6,), ()), ((), None)])
def test_lengths_and_their_gradients(device, rng, shape, axes):
    for dtype, bound in ((np.float32, 1e-6), (np.float64, 1e-14)):
        x = np.asarray(rng.normal(size=shape)).astype(dtype)
        if axes and 0 not in axes:
            x[0] = 0  # a length of 0: gradient 0, not NaN
        x = channels_last(x) if x.ndim == 4 else x
        y = in_every_order(device, partial(means.lengths, device.put(x), axes))
        wanted = np.sqrt((x.astype(float) ** 2).sum(axes))
        np.testing.assert_allclose(y, wanted, rtol=bound)
        g, every = rng.normal(size=y.shape).astype(dtype), tuple(range(x.ndim)) if axes is None else axes
        gx = in_every_order(device, partial(means.lengths_grad, *map(device.put, (g, y, x)), every))
        kept = np.expand_dims(g / np.where(wanted == 0, np.inf, wanted), every)
        np.testing.assert_allclose(gx, kept * x, rtol=4 * bound, atol=bound)


def test_weighted_sums(device, rng):
    numbers, weights = rng.normal(size=7), rng.normal(size=7).tolist()
    there = [device.put(np.array(number)) for number in numbers]
    y = in_every_order(device, lambda: means.weighted_sum(there, weights))
    assert y == pytest.approx(numbers @ weights, rel=1e-13)
    gs = [device.get(g) for g in means.weighted_sum_grad(there[0], weights)]
    np.testing.assert_allclose(gs, numbers[0] * np.array(weights), rtol=1e-15)
