"""Gradient checks know no smallest function: a gradient wrong by two is caught at any scale, a right one passes."""

import numpy as np
import pytest

import minigan as mg
from minigan import nn, ops, random
from minigan.errors import GradientError
from minigan.gradcheck import formula, gradcheck, gradgradcheck

SCALES = [10.0**k for k in (-30, -20, -10, -6, -3, 0, 3, 10, 20, 30)]
X = [np.array([1.0, 2.0, -0.5])]


def half(x):
    """x^2, with half of its gradient."""
    return formula(lambda x: x**2, lambda gy, y, x: gy * x)(x)


def no_curvature(x):
    """x^3, with a gradient whose own derivative is lost."""
    return formula(lambda x: x**3, lambda gy, y, x: gy * (3 * x.data**2))(x)


@pytest.mark.parametrize("scale", SCALES)
def test_a_wrong_gradient_is_wrong_at_any_scale(scale):
    for f in (lambda x: half(x) * scale, lambda x: half(x * scale) / scale, lambda x: (half(x) * scale).sum()):
        with pytest.raises(GradientError, match=r"relative difference (5|3|0)\.?\d*e"):
            gradcheck(f, X)
    with pytest.raises(GradientError, match="input 0"):  # beside values of another input
        gradcheck(lambda x, b: ops.stack([half(x) * scale, b]), [*X, np.ones(3)])
    gradcheck(lambda x: no_curvature(x) * scale, X)
    with pytest.raises(GradientError):
        gradgradcheck(lambda x: no_curvature(x) * scale, X)


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.8, -1.0])
@pytest.mark.parametrize("scale", [1e-3, 1e-7, 1e-12])
def test_one_small_element_is_not_hidden_by_large_ones(scale, factor):
    """x * (1, scale), with `factor` times the second derivative; the right factor passes."""
    weights, wrong = np.array([1.0, scale]), np.array([1.0, scale * factor])
    with pytest.raises(GradientError, match=r"input 0, element \(1,\).*the derivative is wrong"):
        gradcheck(formula(lambda x: x**2 * weights, lambda gy, y, x: gy * 2 * x * wrong), [np.array([3.0, 2.0])])
    assert gradcheck(lambda x: x**2 * weights, [np.array([3.0, 2.0])]) < 1e-6


def test_small_slopes_of_curved_functions_pass():
    """cos near 0 has slope -x, less than the error of differences of the steep function beside it."""
    x = np.array([1e-6, 0.7, -2e-9])
    assert gradcheck(lambda x: ops.exp(5 * x) + x**3, [x]) < 1e-6
    assert gradcheck(lambda x: x**3, [x]) < 1e-6
    assert gradcheck(lambda x: ops.softmax(30 * x, 0), [x]) < 1e-6


def test_a_function_that_is_not_finite_or_not_one_tensor_is_named():
    with pytest.raises(GradientError, match="the function is not finite there"), np.errstate(invalid="ignore"):
        gradcheck(ops.log, [np.array([-1.0])])
    with pytest.raises(GradientError, match="returns a tuple, not one Tensor"):
        gradcheck(lambda x: (x, x), X)


@pytest.mark.parametrize("scale", SCALES)
def test_a_right_gradient_is_right_at_any_scale(scale):
    for f in (ops.tanh, ops.softplus, lambda x: ops.log_softmax(x, 0), lambda x: ops.layer_norm(x.reshape(1, 3)),
              lambda x: (x * x * x).sum()):
        assert gradcheck(lambda x, f=f: f(x) * scale, X) < 1e-6
        assert gradgradcheck(lambda x, f=f: f(x) * scale, X) < 1e-6


@pytest.mark.parametrize("scale", SCALES)
def test_a_kink_is_named_at_any_scale(scale):
    with pytest.raises(GradientError, match="a kink lies within"):
        gradcheck(lambda x: ops.relu(x) * scale, [np.array([1e-7, 1.0])])
    with pytest.raises(GradientError, match="the derivative is wrong"):
        gradcheck(lambda x: half(x) * scale, X)


def test_functions_that_are_zero_and_gradients_that_cancel():
    """Zero where it is zero exactly, and where only rounding is left: a constant shift before a softmax."""
    assert gradcheck(lambda x: x * 0.0, X) == gradcheck(ops.sign, X) == 0.0
    assert gradcheck(lambda x, c: ops.softmax(x + c, 0), [*X, np.array(0.3)]) < 1e-6
    assert gradgradcheck(lambda x, c: ops.softmax(x + c, 0), [*X, np.array(0.3)]) < 1e-6
    with pytest.raises(GradientError):
        gradcheck(formula(lambda x: 0.0 * x, lambda gy, y, x: gy * 1e-20), X)


class Counting(nn.Module):
    """Changes its state at each call."""

    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return x * (1 + 1e-6 * self.calls)


@pytest.mark.parametrize("make", [
    lambda: nn.Dropout(0.5), lambda: nn.Dropout(0.01), Counting,
    lambda: nn.Sequential(nn.SpectralNorm(nn.Linear(4, 4)), nn.Tanh()).astype(np.float64),
    lambda: lambda x: x * mg.tensor(random.default.normal(x.shape, np.float64)),
    lambda: lambda x: x[: int(random.default.integers(1, 4, 1)[0])],
], ids="dropout rare_dropout counting spectral_norm noise shapes".split())
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck], ids=lambda check: check.__name__)
def test_a_function_that_is_not_the_same_twice(make, check, rng):
    random.seed(4)
    f = make()
    with pytest.raises(GradientError, match="the function is not the same twice"):
        check(lambda x: f(x), [rng.normal(size=(8, 4))])


@pytest.mark.parametrize("make", [
    lambda: nn.Dropout(0.5).eval(), lambda: nn.BatchNorm2d(3).astype(np.float64),
    lambda: nn.SpectralNorm(nn.Linear(3, 2)).astype(np.float64).eval(),
], ids="dropout batch_norm spectral_norm".split())
def test_what_is_the_same_twice_passes(make, rng):
    f = make()
    x = rng.normal(size=(3, 3, 2, 2)) if isinstance(f, nn.BatchNorm2d) else rng.normal(size=(4, 3))
    assert gradcheck(f, [x]) < 1e-6
