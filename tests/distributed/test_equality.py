"""Ranks that train together are one process with the joint batch, to rounding, and one another's equal, byte for byte.

The program compares the ranks' weights after every step.
"""

import pytest
from programs import CASES

SPECTRAL = "wgan spectral"  # whose vector u is float32, in a network of float64, too


@pytest.mark.parametrize("names", [("gan",), pytest.param(("wgan gp", "cyclegan"), marks=pytest.mark.long)])
def test_two_ranks_are_the_joint_batch_in_float32(ranks, names):
    for name, (weights, metrics) in ranks(2, "equality", "float32", 20, *names).items():
        assert weights <= 1e-6 and metrics <= 1e-5, name


@pytest.mark.long
@pytest.mark.parametrize("count, names", [(2, CASES), (4, ("gan", "wgan gp", "pix2pix"))], ids=["2 ranks", "4 ranks"])
def test_ranks_are_the_joint_batch_in_float64(ranks, count, names):
    results = ranks(count, "equality", "float64", 3, *names)
    assert set(results) == set(names)
    for name, (weights, metrics) in results.items():
        assert weights <= (1e-11 if name == SPECTRAL else 1e-12) and metrics <= 1e-11, name


@pytest.mark.long
def test_local_norm_is_another_computation(ranks):
    assert ranks(2, "local_norm") > 1e-4


@pytest.mark.long
def test_the_joint_penalty_through_batch_norm_against_differences(ranks):
    """The first derivative of a second derivative, through the statistics of both ranks' rows."""
    assert ranks(2, "differences") < 1e-7
