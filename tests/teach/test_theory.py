"""Exact numbers of the theory against closed forms, and trained networks against the exact numbers."""

import math

import numpy as np
import pytest

import minigan as mg
from minigan.errors import OptionError
from minigan.teach import theory
from minigan.teach.theory import Claim, Gaussians, Lines

ONE, WIDE, SHIFTED = Gaussians((0.0,), (1.0,)), Gaussians((1.0,), (2.0,)), Gaussians((3.0,), (1.0,))


def test_kl_of_two_gaussians():
    """ln(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2."""
    assert theory.kl(ONE, WIDE) == pytest.approx(math.log(2) + (1 + 1) / 8 - 0.5, abs=1e-10)
    assert theory.kl(WIDE, ONE) == pytest.approx(-math.log(2) + (4 + 1) / 2 - 0.5, abs=1e-10)


def test_js_is_symmetric_and_between_nothing_and_ln_2():
    assert theory.js(ONE, ONE) == pytest.approx(0, abs=1e-12)
    assert theory.js(ONE, WIDE) == pytest.approx(theory.js(WIDE, ONE), abs=1e-12)
    assert theory.js(ONE, Gaussians((60.0,), (1.0,))) == pytest.approx(math.log(2), abs=1e-10)


def test_wasserstein_distance_is_the_shift_or_the_mean_of_what_is_stretched():
    assert theory.wasserstein(ONE, SHIFTED) == pytest.approx(3, abs=1e-8)
    assert theory.wasserstein(ONE, Gaussians((0.0,), (2.0,))) == pytest.approx(math.sqrt(2 / math.pi), abs=1e-5)


def test_the_best_discriminator():
    x = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(theory.optimal_discriminator(ONE, ONE, x), 0.5)
    ratio = np.exp(-(x**2) / 2) / (np.exp(-(x**2) / 2) + np.exp(-((x - 1) ** 2) / 8) / 2)
    np.testing.assert_allclose(theory.optimal_discriminator(ONE, WIDE, x), ratio, rtol=1e-12)
    assert theory.value(ONE, ONE) == pytest.approx(-math.log(4), abs=1e-12)


def test_parallel_lines():
    """Example 1 of Arjovsky et al., 2017."""
    for theta in (-2.0, 0.3):
        assert (Lines(theta).kl(), Lines(theta).js(), Lines(theta).wasserstein()) == (math.inf, math.log(2), abs(theta))
    assert (Lines().kl(), Lines().js(), Lines().wasserstein()) == (0, 0, 0)


@pytest.mark.parametrize("wrong", [((0.0,), (1.0, 2.0)), ((0.0,), (0.0,)), ((0.0, 1.0), (1.0, 1.0), (0.5, 0.6))])
def test_no_mixture(wrong):
    with pytest.raises(OptionError, match="Gaussians"):
        Gaussians(*wrong)


def test_slopes_by_the_logit():
    """d/dl ln(1 - sigmoid(l)) = -D; d/dl -ln sigmoid(l) = D - 1."""
    for logit in (-6.0, 0.0, 2.0):
        d = 1 / (1 + math.exp(-logit))
        result = theory.by_logit(logit)
        assert result["minimax"] == pytest.approx(-d) and result["non_saturating"] == pytest.approx(d - 1)


def test_a_discriminator_comes_near_the_best():
    result = theory.optimum(ONE, SHIFTED, steps=200, samples=512, hidden=16)
    best = theory.value(ONE, SHIFTED)
    assert best - 0.02 < result["value"] <= best  # nothing is above the optimum
    assert result["js"] <= theory.js(ONE, SHIFTED)


def test_a_claim_is_off_by_its_kind():
    assert Claim("a", 2.0, 2.1).off == pytest.approx(0.05)
    assert Claim("a", 2.0, 2.1, "absolute").off == pytest.approx(0.1)
    assert Claim("a", 2.0, 1.5, "bound").off == 0 and Claim("a", 2.0, 2.5, "bound").off == 0.5


@pytest.mark.long
@pytest.mark.parametrize("regulariser, arrives", [({}, False), ({"roth": 10.0}, True), ({"instance_noise": 0.5}, True)],
                         ids=["plain", "roth", "noise"])
def test_on_parallel_lines_the_plain_game_stays_and_a_smoothed_one_arrives(regulariser, arrives):
    mg.seed(0)
    places = theory.game_on_lines(1.0, **regulariser)
    assert len(places) == 61 and places[0] == 1.0
    assert abs(places[-1]) < 0.1 if arrives else places[-1] > 0.95
