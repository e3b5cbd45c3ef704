"""Equalised learning rate, pixel norm and statistics of the minibatch, by loops and by what they are for."""

import numpy as np
import pytest

import minigan as mg
from minigan import nn, ops, optim
from minigan.errors import OptionError, ShapeError

X = np.random.default_rng(0).normal(size=(6, 8, 5, 4))
PAIRS = {  # equalised, plain, arguments, the number of inputs that meet in an output
    "conv": (nn.EqualizedConv2d, nn.Conv2d, (8, 7, 3, 1, 1), 72),
    "upconv": (nn.EqualizedUpConv2d, nn.UpConv2d, (8, 7, 3), 72),
    "deconv": (nn.EqualizedConvTranspose2d, nn.ConvTranspose2d, (8, 7, 2, 2), 8),
    "linear": (nn.EqualizedLinear, nn.Linear, (4, 7), 4),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_an_equalised_layer_is_the_plain_one_with_weights_times_hes_constant(kind):
    make, plain, sizes, fan_in = PAIRS[kind]
    mg.seed(0)
    layer, other = make(*sizes).astype(np.float64), plain(*sizes).astype(np.float64)
    assert np.std(layer.weight.numpy()) == pytest.approx(1, abs=0.3) and not layer.bias.numpy().any()
    other.load_state_dict(layer.state_dict())  # the names are the plain layer's
    other.weight.data = other.weight.data * np.sqrt(2 / fan_in)
    np.testing.assert_allclose(layer(mg.tensor(X)).data, other(mg.tensor(X)).data, rtol=1e-12, atol=1e-13)
    assert layer(mg.tensor(X)).data.std() == pytest.approx(np.sqrt(2), rel=0.4)  # unit input, gain sqrt(2)


def test_adam_moves_every_layer_by_the_same_share_of_its_weights():
    """The first step of Adam has the length lr in each weight: 1 % of a standard deviation, whatever the fan in."""
    net = nn.Sequential(nn.EqualizedLinear(2, 300), nn.ReLU(), nn.EqualizedLinear(300, 1))
    before = [layer.weight.numpy().copy() for layer in (net[0], net[2])]
    optim.Adam(net.parameters(), lr=0.01).minimize(ops.mean(net(mg.tensor(np.ones((4, 2), np.float32))) ** 2.0))
    for layer, start in zip((net[0], net[2]), before, strict=True):
        moved = np.abs(layer.weight.numpy() - start)
        assert np.median(moved[moved > 0]) == pytest.approx(0.01, rel=1e-3)


def stddev_by_loops(x, group):
    """Image n is in group n mod M; the new channel is the mean over c, h, w of a group's standard deviations."""
    n, m = len(x), len(x) // group
    y = np.concatenate([x, np.empty((n, 1, *x.shape[2:]))], 1)
    for i in range(n):
        mates = x[[j for j in range(n) if j % m == i % m]]
        y[i, -1] = np.mean(np.sqrt(mates.var(0) + 1e-8))
    return y


@pytest.mark.parametrize(("count", "group", "size"), [(6, 4, 3), (4, 4, 4), (6, 2, 2), (5, 4, 5), (3, 4, 3), (1, 4, 1)])
def test_minibatch_stddev_by_loops(count, group, size):
    """4 does not divide 6, so groups are of 3; nothing but 1 divides 5, so all are one group."""
    y = nn.MinibatchStddev(group)(mg.tensor(X[:count])).data
    np.testing.assert_allclose(y, stddev_by_loops(X[:count], size), rtol=1e-12)


def test_equal_images_have_no_deviation_and_finite_gradients():
    x = mg.tensor(np.ones((4, 2, 3, 3)), requires_grad=True)
    y = ops.minibatch_stddev(x)
    np.testing.assert_allclose(y.data[:, 2], 1e-4)  # the root of eps
    assert np.isfinite(mg.grad(ops.sum(y), [x])[0].data).all()


def test_minibatch_discrimination_by_loops():
    rng = np.random.default_rng(1)
    layer = nn.MinibatchDiscrimination(3, kernels=2, dims=4).astype(np.float64)
    layer.weight.data, x = rng.normal(size=(8, 3)), rng.normal(size=(5, 3))
    m = (x @ layer.weight.numpy().T).reshape(5, 2, 4)
    o = [[sum(np.exp(-np.abs(m[i, b] - m[j, b]).sum()) for j in range(5)) for b in range(2)] for i in range(5)]
    np.testing.assert_allclose(layer(mg.tensor(x)).data, np.concatenate([x, o], 1), rtol=1e-12)


def test_pixel_norm_gives_unit_mean_square_per_pixel():
    y = nn.PixelNorm()(mg.tensor(X)).data
    np.testing.assert_allclose((y**2).mean(1), 1, rtol=1e-6)
    np.testing.assert_allclose(nn.PixelNorm()(mg.tensor(100 * X)).data, y, rtol=1e-6)


def test_what_does_not_fit_is_refused():
    for make, error, words in (
            (lambda: ops.minibatch_stddev(mg.tensor(X[:0])), ShapeError, "not empty"),
            (lambda: ops.minibatch_stddev(mg.tensor(X), group=0), OptionError, "group=0"),
            (lambda: ops.minibatch_discrimination(mg.tensor(X[:, :, 0, 0]), mg.tensor(np.ones((5, 8))), 2), ShapeError,
             r"w \(5, 8\) \(B dims, A\) with dims=2")):
        with pytest.raises(error, match=words):
            make()
