"""Ranks that train together are one process with the joint batch, to rounding, and one another's equal, byte for byte.

The program compares the ranks' weights after every step.
"""

import pytest
from programs import CASES, INSTANCE

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
@pytest.mark.parametrize("statistics", ["batch norm", "minibatch"])
def test_the_joint_penalty_through_statistics_against_differences(ranks, statistics):
    """The first derivative of a second derivative, through the statistics of both ranks' rows."""
    assert ranks(2, "differences", statistics) < 1e-7


@pytest.mark.long
def test_instance_norm_is_the_joint_batch_too(ranks):
    """Biases before an instance norm have no influence: their gradients are rounding errors, of which Adam makes steps.

    So they differ, by 3e-9; what the networks compute does not.
    """
    for name, (weights, metrics) in ranks(2, "equality", "float64", 3, *INSTANCE).items():
        assert weights <= 1e-8 and metrics <= 1e-12, name


@pytest.mark.long
def test_instance_norm_of_constant_maps_amplifies_rounding_in_one_process_too(ranks):
    """In float32, ranks part from one process no faster than it parts from itself after another rounding at the start.

    Instance norm divides maps that are nearly constant by eps^(1/2), until a ReLU behind one changes sides.
    """
    for name, (ours, rounded) in ranks(2, "sensitivity", *INSTANCE).items():
        assert max(ours[:2]) < 1e-6 and max(rounded[:2]) < 1e-6, name
        assert max(rounded) > 1e-3 and max(ours) < 10 * max(rounded), name
