"""Networks for translation: sizes, names, reach, and the same outputs as PyTorch's from the same weights."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import models, nn
from minigan.errors import OptionError, ShapeError

sys.path.append(str(Path(__file__).parents[1] / "goldens"))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def twins():
    """PyTorch and its twin networks; skips the test without PyTorch."""
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    import translation_twin

    return torch, translation_twin


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("upsample", ["upconv", "deconv"])
def test_networks_have_pytorchs_names_and_outputs(norm, upsample):
    torch, twin = twins()
    mg.seed(3)
    pairs = [
        (models.ResnetGenerator(3, 2, 4, 2, norm, upsample), twin.Resnet(3, 2, 4, 2, norm, upsample), (2, 3, 12, 16)),
        (models.UnetGenerator(3, 2, 2, 4, norm, upsample), twin.Unet(3, 2, 2, 4, norm, upsample), (2, 3, 16, 32)),
        (models.PatchDiscriminator(3, 4, 3, norm), twin.Patch(3, 4, 3, norm), (2, 3, 40, 32)),
    ]
    for ours, theirs, shape in pairs:
        ours.astype(np.float64)
        for p in ours.parameters():  # weights large enough that every layer matters
            p.data = np.random.default_rng(p.size).normal(size=p.shape) * 0.3
        twin.load(theirs.to(torch.float64), ours.state_dict())
        x = noise(*shape)
        with torch.no_grad():
            expected = theirs(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(ours(mg.tensor(x)).data, expected, rtol=1e-9, atol=1e-12)


def test_initial_weights_are_the_papers():
    mg.seed(0)
    generator = models.ResnetGenerator(3, 3, 32, 2)
    big = [p.data for p in generator.parameters() if p.size > 20_000]
    assert big and all(abs(w.std() - 0.02) < 5e-4 and abs(w.mean()) < 5e-4 for w in big)
    assert all(not p.data.any() for name, p in generator.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("size", [(12, 8), (9, 10), (5, 31)])
@pytest.mark.parametrize("make", [lambda: models.ResnetGenerator(2, 3, 2, 1), lambda: models.UnetGenerator(2, 3, 2, 2)])
def test_any_size_goes_in_and_comes_out(make, size):
    network, x = make(), noise(2, 2, *size).astype(np.float32)
    if size[0] % 4 or size[1] % 4:
        with pytest.warns(UserWarning, match=rf"images of {size[0]}x{size[1]} are mirrored .* to \d+x\d+.* cropped"):
            network(mg.tensor(x))
    with warnings.catch_warnings(record=True) as caught:  # only once
        assert network(mg.tensor(x)).shape == (2, 3, *size)
    assert not caught


def test_other_sizes_are_mirrored_at_both_sides_and_cropped():
    network, x = models.ResnetGenerator(1, 1, 2, 1, "none"), noise(1, 1, 9, 12).astype(np.float32)
    border = ((0, 0), (0, 0), (1, 2), (0, 0))
    by_hand = network.model(mg.tensor(np.pad(x, border, mode="reflect"))).data[:, :, 1:10]
    with pytest.warns(UserWarning, match="9x12"):
        np.testing.assert_array_equal(network(mg.tensor(x)).data, by_hand)


@pytest.mark.parametrize(("layers", "reach"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_its_patch_and_nothing_else(layers, reach):
    """The gradient of a logit in the middle is nonzero exactly in a square of `reach` pixels."""
    discriminator = models.PatchDiscriminator(1, 2, layers, norm="none").astype(np.float64)
    for p in discriminator.parameters():
        p.data = np.abs(np.random.default_rng(p.size).normal(size=p.shape)) + 0.1  # nothing cancels
    x = mg.tensor(np.full((1, 1, 96, 96), 0.5), requires_grad=True)
    logits = discriminator(x)
    middle = logits.shape[2] // 2
    seen, = mg.grad(logits[0, 0, middle, middle], [x])
    rows, columns = np.nonzero(seen.data[0, 0])
    assert discriminator.reach == reach == np.ptp(rows) + 1 == np.ptp(columns) + 1
    assert len(rows) == reach**2


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_an_image_smaller_than_the_reach_is_named(layers):
    discriminator = models.PatchDiscriminator(1, 2, layers)
    least = discriminator.smallest
    assert discriminator(mg.tensor(np.zeros((1, 1, least, least)), dtype="float32")).shape == (1, 1, 1, 1)
    with pytest.raises(ShapeError, match=rf"images of {least - 1}x40 are smaller .* at least {least}x{least}"):
        discriminator(mg.tensor(np.zeros((1, 1, least - 1, 40)), dtype="float32"))
    with pytest.raises(ShapeError, match=r"images of 2x9 are smaller than the network's reach"):
        models.ResnetGenerator(1, 1, 2, 1)(mg.tensor(np.zeros((1, 1, 2, 9)), dtype="float32"))


def test_scales_are_patch_discriminators_of_means():
    mg.seed(4)
    both = models.MultiScaleDiscriminator(1, 2, 1, 2)
    x = noise(2, 1, 16, 24).astype(np.float32)
    half = x.reshape(2, 1, 8, 2, 12, 2).mean((3, 5))  # (2, 1, 8, 12), means of 2x2
    full, small = both(mg.tensor(x))
    np.testing.assert_allclose(full.data, both.scale0(mg.tensor(x)).data)
    np.testing.assert_allclose(small.data, both.scale1(mg.tensor(half)).data, rtol=1e-4, atol=1e-6)
    assert [len(layers) for layers in both.features(mg.tensor(x))] == [3, 3]


def test_a_level_of_the_unet_hands_its_input_on():
    """With the middle set to 0, the image reaches the output only through the skip connections."""
    network = models.UnetGenerator(1, 1, 2, 3, "none").astype(np.float64)
    inside = network.model.model[1].model[2]  # the innermost level
    assert isinstance(inside, models.unet.UnetLevel)
    for p in inside.parameters():
        p.data = np.zeros_like(p.data)
    x = noise(1, 4, 2, 2)
    np.testing.assert_array_equal(inside(mg.tensor(x)).data, np.concatenate([x, np.zeros_like(x)], 1))


def test_an_encoder_and_a_decoder_are_a_generator():
    mg.seed(5)
    whole = models.ResnetGenerator(1, 2, 2, 2)
    encoder, decoder = models.ResnetEncoder(1, 2, 1), models.ResnetDecoder(2, 2, 1)
    weights = list(whole.state_dict().values())
    half = len(list(encoder.parameters()))
    for part, given in ((encoder, weights[:half]), (decoder, weights[half:])):
        part.load_state_dict(dict(zip(part.state_dict(), given, strict=True)))
    x = mg.tensor(noise(1, 1, 8, 12).astype(np.float32))
    np.testing.assert_array_equal(models.EncoderDecoder(encoder, decoder)(x).data, whole(x).data)


def test_dropout_is_in_the_widest_levels_only():
    drops = lambda network: sum(isinstance(m, nn.Dropout) for m in network.modules())
    assert drops(models.UnetGenerator(1, 1, 2, 8, dropout=0.5)) == 3  # as in pix2pix at 256 pixels
    assert drops(models.UnetGenerator(1, 1, 2, 8)) == 0


@pytest.mark.parametrize(("make", "message"), [
    (lambda: models.ResnetGenerator(norm="group"), "ResnetGenerator: norm='group' is not one of instance, batch, none"),
    (lambda: models.ResnetGenerator(upsample="nearest"), "upsample='nearest' is not one of upconv, deconv"),
    (lambda: models.ResnetGenerator(blocks=-1), "blocks=-1"),
    (lambda: models.PatchDiscriminator(layers=0), "layers=0"),
    (lambda: models.MultiScaleDiscriminator(scales=0), "scales=0"),
    (lambda: models.UnetGenerator(depth=0), "depth=0"),
])
def test_options_out_of_range_are_named(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_images_of_other_channels_are_named():
    for network in (models.ResnetGenerator(3, 3, 2, 1), models.UnetGenerator(3, 3, 2, 2),
                    models.PatchDiscriminator(3, 2, 1)):
        with pytest.raises(ShapeError, match=r"has C=1, the network was made for C=3; convert the images"):
            network(mg.tensor(np.zeros((1, 1, 16, 16)), dtype="float32"))




@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@pytest.mark.parametrize("upsample", ["upconv", "deconv"])
def test_generators_are_made_again_from_their_weights(norm, upsample):
    x = mg.tensor(noise(1, 2, 16, 16).astype(np.float32))
    for network in (models.ResnetGenerator(2, 3, 2, 2, norm, upsample),
                    models.UnetGenerator(2, 3, 2, 4, norm, upsample)):
        again = models.generator_of(dict(sorted(network.state_dict().items())))  # in the order of files
        np.testing.assert_array_equal(again(x).data, network.eval()(x).data)
    parts = models.ResnetEncoder(2, 2, 1, norm), models.ResnetDecoder(3, 2, 2, norm, upsample)
    again = models.combined(*(dict(sorted(part.state_dict().items())) for part in parts))
    np.testing.assert_array_equal(again(x).data, models.EncoderDecoder(*parts).eval()(x).data)


def test_weights_of_something_else_are_refused():
    with pytest.raises(mg.errors.CheckpointError, match="these weights fit no generator"):
        models.generator_of(models.PatchDiscriminator(1, 2, 1).state_dict())
