"""Residual, Grey, Chroma and Luma: their outputs, where they begin, and how they are rebuilt from their weights."""

import numpy as np
import pytest

import minigan as mg
from minigan import models, nn
from minigan.data.patches import LUMA as LUMA_OF_DATA
from minigan.errors import OptionError
from minigan.models.residual import LUMA


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


def luma_of(images):
    return np.tensordot((0.299, 0.587, 0.114), images, (0, 1))  # of BT.601; (N, H, W)


def test_chroma_keeps_the_light_and_can_draw_any_colour_of_it():
    class Drawn(nn.Module):
        in_channels = out_channels = 3

        def forward(self, x):
            return mg.tensor(colours)

    colours = images()
    grey = np.repeat(luma_of(colours)[:, None], 3, 1).astype(np.float32)
    network = models.Chroma(models.UnetGenerator(3, 3, 4, 2, "none"))
    for parameter in network.parameters():
        parameter.data = 5 * parameter.data
    made = network(mg.tensor(0.3 * grey)).data  # far from black and white, so that nothing is clipped
    np.testing.assert_allclose(luma_of(made), luma_of(0.3 * grey), atol=1e-6)
    assert np.ptp(made, 1).max() > 0.01  # and it is no longer grey
    network.painted = Drawn()
    np.testing.assert_allclose(network(mg.tensor(grey)).data, colours, atol=1e-6)
    assert LUMA == LUMA_OF_DATA  # models may not import data


@pytest.mark.parametrize("kind", [models.Chroma, models.Luma])
def test_they_are_made_again_from_their_weights(kind):
    network, x = kind(models.UnetGenerator(3, 3, 4, 3, "batch")).eval(), mg.tensor(images())
    again = models.generator_of(dict(sorted(network.state_dict().items())))
    assert isinstance(again, kind)
    np.testing.assert_array_equal(again(x).data, network(x).data)
    with pytest.raises(OptionError, match="takes 1 channels to 3, but luma is of red, green and blue"):
        kind(models.UnetGenerator(1, 3, 4, 2))


def test_luma_is_that_of_a_generator_or_of_the_image_itself_without_weights():
    unet, x = models.UnetGenerator(3, 3, 4, 3, "instance"), images()
    for network, expected in ((models.Luma(unet), unet(mg.tensor(x)).data), (models.Luma(), x)):
        made = network(mg.tensor(x)).data
        assert np.ptp(made, 1).max() == 0
        np.testing.assert_allclose(made[:, 0], luma_of(expected), atol=1e-6)
    plain = models.Luma()
    assert not plain.parameters() and isinstance(models.generator_of(plain.state_dict()), models.Luma)
    grey = np.repeat(0.3 * x[:, :1], 3, 1)
    np.testing.assert_allclose(plain(models.Chroma(unet)(mg.tensor(grey))).data, grey, atol=1e-6)  # undoes Chroma


def test_channels_that_cannot_be_added():
    with pytest.raises(OptionError, match="takes 1 channels to 3"):
        models.Residual(models.UnetGenerator(1, 3, 4, 2))
