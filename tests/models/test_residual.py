"""Residual and Grey: their outputs, a start close to a copy, and how they are rebuilt from their weights."""

import numpy as np
import pytest

import minigan as mg
from minigan import models
from minigan.errors import OptionError


def images():
    return np.random.default_rng(1).uniform(-1, 1, (2, 3, 16, 16)).astype(np.float32)


def test_it_adds_a_change_and_clips():
    mg.seed(3)
    change = models.UnetGenerator(3, 3, 4, 2, "none")
    for parameter in change.parameters():
        parameter.data = 20 * parameter.data  # far from 0, so that some pixels are clipped
    x = mg.tensor(images())
    made = models.Residual(change)(x).data
    free = x.data + change(x).data
    assert (np.abs(free) > 1).any() and (np.abs(free) < 1).any()
    np.testing.assert_array_equal(made, np.clip(free, -1, 1))


def test_it_begins_close_to_a_copy():
    mg.seed(0)
    x = images()
    made = models.Residual(models.UnetGenerator(3, 3, 16, 3, "instance"))(mg.tensor(x)).data
    drawn = models.UnetGenerator(3, 3, 16, 3, "instance")(mg.tensor(x)).data
    assert np.abs(made - x).mean() < 0.2 < 0.4 < np.abs(drawn - x).mean()


@pytest.mark.parametrize("upsample", ["upconv", "deconv"])
def test_it_is_made_again_from_its_weights(upsample):
    network = models.Residual(models.UnetGenerator(3, 3, 4, 3, "instance", upsample)).eval()
    again = models.generator_of(dict(sorted(network.state_dict().items())))
    assert isinstance(again, models.Residual) and again.in_channels == again.out_channels == 3
    np.testing.assert_array_equal(again(mg.tensor(images())).data, network(mg.tensor(images())).data)


def test_grey_is_the_mean_of_the_channels_and_is_made_again_from_its_weights():
    inner = models.Residual(models.UnetGenerator(3, 3, 4, 3, "none"))
    network, x = models.Grey(inner).eval(), mg.tensor(images())
    made = network(x).data
    for channel in range(3):
        np.testing.assert_allclose(made[:, channel], inner(x).data.mean(1), atol=1e-6)
    again = models.generator_of(dict(sorted(network.state_dict().items())))
    assert isinstance(again, models.Grey) and again.in_channels == again.out_channels == 3
    np.testing.assert_array_equal(again(x).data, made)


def test_channels_that_cannot_be_added():
    with pytest.raises(OptionError, match="takes 1 channels to 3"):
        models.Residual(models.UnetGenerator(1, 3, 4, 2))
