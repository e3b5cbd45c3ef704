"""ops.quantize and soft_levels: the formulas of Mentzer et al., 2018, written out; the limits; what is refused."""

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.errors import OptionError


def soft(x, levels, sharpness):
    """The weights p (..., L), by exponentials in long double, and the centres."""
    c = np.arange(levels) - (levels - 1) / 2
    p = np.exp(-sharpness * (np.asarray(x, np.longdouble)[..., None] - c) ** 2)
    return p / p.sum(-1, keepdims=True), c


@pytest.mark.parametrize("levels, sharpness", [(2, 1.0), (5, 1.0), (6, 2.5)])
def test_soft_levels_are_means_and_their_slope_is_a_variance(levels, sharpness):
    x = mg.tensor(np.linspace(-4, 4, 33), requires_grad=True)
    p, c = soft(x.data, levels, sharpness)
    for moment in (1, 2, 3):
        np.testing.assert_allclose(ops.soft_levels(x, levels, moment, sharpness).data, p @ c**moment, rtol=1e-12,
                                   atol=1e-13)
    variance = p @ c**2 - (p @ c) ** 2
    y = ops.quantize(x, levels, sharpness)
    np.testing.assert_allclose(mg.grad(y.sum(), [x])[0].data, 2 * sharpness * variance, rtol=1e-10, atol=1e-12)


def test_the_nearest_level_and_no_gradient_far_outside():
    x = mg.tensor(np.array([-np.inf, -1e30, -1.6, -0.4, 0.6, 40.0], np.float32), requires_grad=True)
    y = ops.quantize(x, 5)
    np.testing.assert_allclose(y.data, [-2, -2, -2, 0, 1, 2], atol=1e-6)
    slope = mg.grad(y.sum(), [x])[0].data
    assert (slope[[0, 1, 5]] == 0).all() and (slope[2:5] > 0.4).all()
    exact = ops.quantize(x.detach(), 4).data
    assert exact.dtype == np.float32 and exact.tolist() == [-1.5, -1.5, -1.5, -0.5, 0.5, 1.5]
    assert np.isnan(ops.soft_levels(mg.tensor([np.nan]), 5).data).all()


def test_a_sharp_assignment_is_the_nearest_level():
    x = np.linspace(-3, 3, 41)[1::2] + 0.013
    np.testing.assert_allclose(ops.soft_levels(mg.tensor(x), 5, 1, 3000.0).data, ops.quantize(mg.tensor(x), 5).data)


@pytest.mark.parametrize("levels, sharpness", [(1, 1.0), (5, 0.0), (5, np.nan)])
def test_what_is_refused(levels, sharpness):
    with pytest.raises(OptionError, match="at least 2 and sharpness=.* above 0"):
        ops.quantize(mg.tensor([0.0]), levels, sharpness)
