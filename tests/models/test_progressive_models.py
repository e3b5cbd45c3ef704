"""Networks that grow: what they are at both ends of a fade, which blocks take part, sizes that are refused."""

import numpy as np
import pytest

import minigan as mg
from minigan import models, nn, ops, trainers
from minigan.errors import OptionError, ShapeError

RNG = np.random.default_rng(0)


def pair(size=16, **options):
    mg.seed(1)
    return (network.astype(np.float64) for network in models.progressive(2, size, width=4, flat=8, **options))


@pytest.mark.parametrize("style", [trainers.GROWTH_ROWS[row].networks for row in "bg"], ids=["b", "g"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_fade_leads_from_the_smaller_network_to_the_larger_one(depth, style):
    """alpha = 0: the images of the depth before, each pixel four times; alpha = 1: those without a fade, exactly."""
    (generator, discriminator), side = pair(**style), 4 << depth
    z, x = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 2, side, side))

    def at(depth, alpha=None):
        for network in (generator, discriminator):
            network.grow(depth, alpha)
        size = 4 << depth
        block = x.reshape(3, 2, size, side // size, size, side // size).mean((3, 5))  # (3, 2, size, size)
        return generator(mg.tensor(z)).data, discriminator(mg.tensor(block)).data

    smaller, larger = at(depth - 1), at(depth)
    first, last, middle = at(depth, 0.0), at(depth, 1.0), at(depth, 0.5)
    np.testing.assert_array_equal(first[0], smaller[0].repeat(2, 2).repeat(2, 3))
    np.testing.assert_allclose(first[1], smaller[1], rtol=1e-12)
    np.testing.assert_array_equal(last[0], larger[0])
    np.testing.assert_array_equal(last[1], larger[1])
    if not style.get("tanh"):  # it follows the mixture
        np.testing.assert_allclose(middle[0], (first[0] + last[0]) / 2, rtol=1e-12, atol=1e-12)


def test_only_the_blocks_up_to_the_present_side_take_part():
    generator, discriminator = pair()
    generator.grow(1, 0.5)
    discriminator.grow(1, 0.5)
    logits = discriminator(generator(mg.tensor(RNG.normal(size=(3, 4)))))
    names = {f"{kind}.{name}": p for kind, network in (("g", generator), ("d", discriminator))
             for name, p in network.named_parameters()}
    used = {name for name, gradient in zip(names, mg.grad(ops.sum(logits), list(names.values())), strict=True)
            if gradient.data.any()}
    assert used == {name for name in names if name.split(".")[2] in "01"}


def test_channels_halve_above_the_flat_sides_as_in_the_paper():
    generator, _ = models.progressive(3, 64, latent=3, width=8, flat=16)
    assert generator.channels_at == [8, 8, 8, 4, 2]
    shapes = {name: p.shape for name, p in generator.named_parameters()}
    assert shapes["blocks.3.0.weight"] == (4, 8, 3, 3) and shapes["to_rgb.4.weight"] == (3, 2, 1, 1)
    full = models.progressive.__defaults__
    sides = [4, 8, 16, 32, 64, 128]
    assert [full[3] * min(side, full[4]) // side for side in sides] == [512, 512, 512, 512, 256, 128]  # table 2


def test_hes_constant_is_in_the_weights_or_in_their_factor():
    """Both initialisations have the same standard deviation, so images of both have the same."""
    stds = []
    for equalized in (True, False):
        mg.seed(2)
        generator, _ = models.progressive(3, 8, width=64, norm="none", equalized=equalized)
        stds.append(generator(mg.tensor(RNG.normal(size=(16, 64)).astype(np.float32))).data.std())
    assert stds[0] == pytest.approx(stds[1], rel=0.2)


@pytest.mark.parametrize(("size", "remedy"), [(48, "use 32 or 64"), (512, "use 256 "), (2, "use 4 "), (0, "use 4 "),
                                              (-8, "use 4 "), (100, "use 64 or 128"), (5, "use 4 or 8")])
def test_other_sizes_name_the_nearest_powers_of_two(size, remedy):
    with pytest.raises(ShapeError, match=rf"size={size} is not a power of two from 4 to 256; {remedy}"):
        models.progressive(1, size, width=2)


def test_what_does_not_fit_is_refused():
    generator, _ = pair()
    for make, words in ((lambda: generator.grow(3), "depth=3 must be from 0 to 2"),
                        (lambda: generator.grow(0, 0.5), "above 0 with alpha"),
                        (lambda: models.progressive(width=0), "width=0"),
                        (lambda: models.progressive(width=10**6), "GiB are allowed: give a smaller width"),
                        (lambda: models.progressive(size=8, width=2, norm="instance"), "norm='instance' is not one of"),
                        (lambda: models.progressive(size=8, width=2, variation="all"), "stddev, discrimination, none")):
        with pytest.raises(OptionError, match=words):
            make()
    with pytest.raises(ShapeError):
        generator(mg.tensor(np.zeros((2, 5))))


def test_rows_have_the_layers_that_they_name():
    kinds = {}
    for name, row in trainers.GROWTH_ROWS.items():
        kinds[name] = {type(module) for network in row.networks_of(1, 8, width=4) for module in network.modules()}
    assert {nn.BatchNorm2d, nn.GroupNorm, nn.ReLU} <= kinds["a"] == kinds["b"] == kinds["c"]
    assert kinds["d"].isdisjoint({nn.BatchNorm2d, nn.GroupNorm, nn.ReLU, nn.PixelNorm})
    assert kinds["e*"] - kinds["d"] == {nn.MinibatchDiscrimination}
    assert kinds["e"] - kinds["d"] == {nn.MinibatchStddev}
    assert kinds["f"] - kinds["e"] == {nn.EqualizedConv2d, nn.EqualizedUpConv2d, nn.EqualizedConvTranspose2d,
                                       nn.EqualizedLinear}
    assert kinds["g"] - kinds["f"] == {nn.PixelNorm}
