"""Modules, layers, initial weights, models: names and layouts of PyTorch, modes, errors that name the layer."""

import numpy as np
import pytest

import minigan as mg
from minigan import models, nn, ops
from minigan.errors import CheckpointError, NonFiniteError, ShapeError
from minigan.models.resnet import ResnetBlock


def test_names_are_pytorchs():
    generator, discriminator = models.dcgan(size=32, upsample="deconv")
    assert list(generator.state_dict())[:6] == [
        "layers.0.weight", "layers.1.weight", "layers.1.bias", "layers.3.weight", "layers.4.weight", "layers.4.bias"]
    assert {k: v.shape for k, v in discriminator.state_dict().items() if k.startswith("layers.0")} == {
        "layers.0.weight": (64, 1, 4, 4)}
    assert "layers.1.running_var" in generator.state_dict()


def test_dcgan_32_has_the_networks_of_the_paper_at_this_size():
    generator, discriminator = models.dcgan(size=32)
    shapes = [p.shape for p in generator.parameters() if p.ndim == 4]
    assert shapes == [(100, 256, 4, 4), (128, 256, 3, 3), (64, 128, 3, 3), (1, 64, 3, 3)]
    assert [p.shape for p in discriminator.parameters() if p.ndim == 4] == [
        (64, 1, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (1, 256, 4, 4)]


@pytest.mark.parametrize("size", [8, 28, 32, 56, 64])
@pytest.mark.parametrize("upsample", ["upconv", "deconv"])
def test_dcgan_shapes(size, upsample):
    generator, discriminator = models.dcgan(channels=3, size=size, latent=5, width=4, upsample=upsample)
    images = generator(mg.tensor(np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)))
    assert images.shape == (2, 3, size, size)
    assert np.abs(images.data).max() <= 1
    assert discriminator(images).shape == (2, 1, 1, 1)


def test_dcgan_initial_weights_have_the_papers_distribution():
    mg.seed(0)
    generator, _ = models.dcgan(size=32)
    weights = generator.state_dict()
    for name in ("layers.0.weight", "layers.3.weight"):
        assert abs(weights[name].mean()) < 2e-4
        assert weights[name].std() == pytest.approx(0.02, rel=0.01)
    assert weights["layers.1.weight"].mean() == pytest.approx(1, abs=0.01)
    assert not weights["layers.1.bias"].any()


def test_state_dict_round_trip_and_copies():
    mg.seed(1)
    a, b = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    saved = a.state_dict()
    b.load_state_dict({**saved, "1.num_batches_tracked": np.array(4)})
    x = mg.tensor(np.random.default_rng(0).normal(size=(2, 2, 5, 4)))
    a.astype(np.float64), b.astype(np.float64)
    np.testing.assert_array_equal(a(x).data, b(x).data)
    saved["0.weight"][...] = 9  # a copy, so the module does not change
    assert not (a.state_dict()["0.weight"] == 9).any()
    strides = a[0].weight.data.transpose(2, 3, 1, 0)
    assert strides.flags.c_contiguous  # filters stay in the kernels' memory order


@pytest.mark.parametrize(("change", "words"), [
    (lambda w: w.pop("0.weight"), "0.weight is missing"),
    (lambda w: w.update(extra=np.zeros(1)), "extra is unknown"),
    (lambda w: w.update({"0.weight": np.zeros((3, 2, 4, 4))}), r"0.weight has shape \(3, 2, 4, 4\)"),
])
def test_weights_of_another_model_change_nothing(change, words):
    net = nn.Sequential(nn.Conv2d(2, 3, 3))
    before, weights = net.state_dict(), {k: v + 1 for k, v in net.state_dict().items()}
    change(weights)
    with pytest.raises(CheckpointError, match=words):
        net.load_state_dict(weights)
    assert all(np.array_equal(v, before[k]) for k, v in net.state_dict().items())


def test_an_error_names_the_layer_by_its_full_path():
    _, discriminator = models.dcgan(size=32)
    with pytest.raises(ShapeError) as caught:
        discriminator(mg.tensor(np.zeros((64, 3, 32, 32), np.float32)))
    assert str(caught.value) == ("conv2d in Discriminator.layers.0: x (N=64, C=3, H=32, W=32) has C=3, "
                                 "but w (O=64, C=1, KH=4, KW=4) needs C=1")


def test_anomaly_detection_names_the_layer():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1)))
    net[1][0].weight.data = np.array([[np.nan, 1.0]])
    words = r"in Sequential\.1\.0: .*a leaf among its arguments.*1 NaN"
    with mg.detect_anomaly(), pytest.raises(NonFiniteError, match=words):
        net(mg.tensor([[1.0, 2.0]]))


def test_train_and_eval_reach_every_layer():
    net = nn.Sequential(nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.5)))
    assert not any(m.training for m in net.eval().modules())
    assert all(m.training for m in net.train().modules())


def test_batch_norm_tracks_the_data():
    """Many batches of N(3, 2^2): running statistics approach 3 and 4 as 1 - 0.9^k."""
    layer, rng = nn.BatchNorm2d(1), np.random.default_rng(0)
    for _ in range(60):
        layer(mg.tensor(rng.normal(3, 2, (64, 1, 4, 4)).astype(np.float32)))
    assert layer.running_mean[0] == pytest.approx(3, abs=0.1)
    assert layer.running_var[0] == pytest.approx(4, abs=0.3)
    layer.eval()
    y = layer(mg.tensor(np.full((1, 1, 2, 2), 5, np.float32)))
    np.testing.assert_allclose(y.data, (5 - layer.running_mean[0]) / np.sqrt(layer.running_var[0] + 1e-5), rtol=1e-5)


def test_frozen_parameters_get_no_gradient():
    net = nn.Linear(3, 2).requires_grad_(False)
    x = mg.tensor(np.ones((1, 3)), requires_grad=True)
    net.astype(np.float64)(x).sum().backward()
    assert net.weight.grad is None
    assert x.grad is not None


def test_a_shared_parameter_comes_once():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert len(net.parameters()) == 3


@pytest.mark.parametrize("kind, sizes", [(nn.Linear, (6, 4)), (nn.Conv2d, (3, 4, 3)), (nn.ConvTranspose2d, (4, 3, 3))])
def test_spectral_norm_makes_the_largest_singular_value_one(kind, sizes):
    mg.seed(0)
    layer = kind(*sizes)
    wrapped = nn.SpectralNorm(layer, iterations=100)
    shape = {nn.Linear: (2, 6), nn.Conv2d: (2, 3, 5, 5), nn.ConvTranspose2d: (2, 4, 5, 5)}[type(layer)]
    seen = []
    layer.compute = lambda x, weight: seen.append(weight) or x
    wrapped(mg.tensor(np.zeros(shape, np.float32)))
    w = seen[0].data
    matrix = (w.transpose(1, 0, 2, 3) if isinstance(layer, nn.ConvTranspose2d) else w).reshape(
        w.shape[1] if isinstance(layer, nn.ConvTranspose2d) else w.shape[0], -1)
    assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1, rel=1e-3)


def test_spectral_norm_gradient_holds_u_and_v_constant():
    """sigma = u^T W v, so d(f(W/sigma)) is what finite differences give with u and v frozen (evaluation mode)."""
    layer = nn.SpectralNorm(nn.Linear(3, 2).astype(np.float64)).eval()
    w, b = layer.layer.weight.data, layer.layer.bias
    x = mg.tensor(np.random.default_rng(0).normal(size=(4, 3)))
    v = w.T @ layer.u
    v /= np.linalg.norm(v) + 1e-12

    def by_hand(weight):
        return ops.linear(x, weight / ops.sum(weight * np.outer(layer.u, v)), b)

    weight = mg.tensor(w, requires_grad=True)
    expected, = mg.grad(by_hand(weight).sum(), [weight])
    actual, = mg.grad(layer(x).sum(), [layer.layer.weight])
    np.testing.assert_allclose(actual.data, expected.data, rtol=1e-10)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 2, 3, 3)])
def test_orthogonal(shape):
    w = nn.init.orthogonal(shape).reshape(shape[0], -1).astype(np.float64)
    small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-6)


def test_variances_of_initialisers():
    shape = (200, 100, 3, 3)
    assert nn.init.xavier(shape).var() == pytest.approx(2 / (9 * 300), rel=0.02)
    assert nn.init.he(shape).var() == pytest.approx(2 / 900, rel=0.02)
    assert nn.init.default(shape, 900).var() == pytest.approx(1 / (3 * 900), rel=0.02)


def test_layers_as_functions():
    x = mg.tensor(np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32))
    assert nn.ReflectionPad2d(2)(x).shape == (2, 3, 8, 8)
    assert nn.Upsample(2, "bilinear")(x).shape == (2, 3, 8, 8)
    assert nn.Flatten()(x).shape == (2, 48)
    np.testing.assert_allclose(nn.LeakyReLU(0.1)(x).data, np.where(x.data > 0, x.data, np.float32(0.1) * x.data))
    np.testing.assert_allclose(nn.InstanceNorm2d(3, affine=True)(x).data.mean((2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(nn.LayerNorm((3, 4, 4))(x).data.std((1, 2, 3)), 1, rtol=1e-3)
    for layer in (nn.ReLU(), nn.ELU(), nn.Sigmoid(), nn.Tanh(), nn.Softplus()):
        assert layer(x).shape == x.shape
    with pytest.raises(ShapeError, match="C=3, the layer is for C=2"):
        nn.InstanceNorm2d(2)(x)


def test_mlp_pair_and_repr():
    generator, discriminator = models.mlp((1, 4, 4), latent=3, hidden=8)
    y = generator(np.zeros((2, 3), np.float32))
    assert y.shape == (2, 1, 4, 4)
    assert discriminator(y).shape == (2, 1)
    assert "(0): Linear(3, 8, bias=True)" in repr(generator)


def test_sizes_a_dcgan_cannot_have():
    with pytest.raises(ShapeError, match="size=30 is not 4 or 7 times a power of two"):
        models.dcgan(size=30)
    with pytest.raises(ValueError, match="'upconv' or 'deconv'"):
        models.dcgan(upsample="bilinear")


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(1.5), nn.LeakyReLU(-0.3), nn.Tanh()])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True)])
@pytest.mark.parametrize("training", [True, False])
def test_a_sequence_is_its_layers_one_by_one(norm, rectifier, training):
    """Sequential may run a normalisation and a ReLU as one operation; the results must not differ."""
    net = nn.Sequential(norm, rectifier, nn.Conv2d(4, 1, 3)).train(training)
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(3, 4, 6, 5)).astype(np.float32), requires_grad=True)
    inputs = [x, *net.parameters()]
    together = net(x)
    apart = net[2](rectifier(norm(x)))
    np.testing.assert_allclose(together.data, apart.data, rtol=1e-6, atol=1e-6)
    v = rng.normal(size=together.shape).astype(np.float32)
    for a, b in zip(mg.grad(together, inputs, v), mg.grad(apart, inputs, v), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-4, atol=1e-5)


LAST = {"instance norm": [nn.InstanceNorm2d(4, affine=True)], "batch norm": [nn.BatchNorm2d(4)], "nothing": [],
        "a convolution with a border": [nn.ReflectionPad2d(1), nn.Conv2d(4, 4, 3)],
        "a rectifier": [nn.InstanceNorm2d(4), nn.ReLU()], "another module": [nn.Sequential(nn.InstanceNorm2d(4))]}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("last", LAST.values(), ids=LAST)
def test_a_residual_block_is_a_sum(last, training, rng):
    """In float32 to the bit, x of any layout; gradients in float64, of x through both of its ways."""
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), *last).train(training)
    numbers = rng.normal(size=(3, 4, 6, 5))
    for stored in (numbers, np.ascontiguousarray(numbers.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        x = mg.tensor(stored.astype(np.float32))
        np.testing.assert_array_equal(net(x, addend=x).data, (x + net(x)).data)
    net = net.astype(np.float64)
    x = mg.tensor(numbers, requires_grad=True)
    inputs, v = [x, *net.parameters()], rng.normal(size=x.shape)
    for a, b in zip(mg.grad(net(x, addend=x), inputs, v), mg.grad(x + net(x), inputs, v), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-12)
    net.astype(np.float32)


BORDERS = [nn.ReflectionPad2d(2), nn.ReflectionPad2d((1, 1, 3, 3)), nn.ReflectionPad2d((1, 2, 3, 0)),
           nn.ReflectionPad2d(0), nn.ReplicationPad2d(1), nn.ZeroPad2d(1)]


@pytest.mark.parametrize("border", BORDERS, ids=str)
@pytest.mark.parametrize("channels", [(3, 2), (32, 40)])  # few, and as many as are computed with fewer products
@pytest.mark.parametrize("geometry", [{}, {"stride": 2}, {"dilation": 2}, {"padding": 1}])
def test_a_mirrored_border_and_its_convolution_are_the_two_layers_to_the_bit(border, channels, geometry, rng):
    layer = nn.Conv2d(*channels, 3, **geometry)
    net = nn.Sequential(border, layer, nn.Tanh())
    x = mg.tensor(rng.normal(size=(2, channels[0], 9, 12)).astype(np.float32), requires_grad=True)
    inputs = [x, *net.parameters()]
    together, apart = net(x), nn.Tanh()(layer(border(x)))
    assert together.data.tobytes() == apart.data.tobytes()
    v = rng.normal(size=together.shape).astype(np.float32)
    for a, b in zip(mg.grad(together, inputs, v), mg.grad(apart, inputs, v), strict=True):
        assert a.data.tobytes() == b.data.tobytes()


def test_a_border_that_is_too_wide_is_the_borders_error():
    net = nn.Sequential(nn.ReflectionPad2d(4), nn.Conv2d(1, 1, 3))
    with pytest.raises(mg.errors.ShapeError, match=r"in Sequential\.0: .*reflecting 4 elements needs more than 4"):
        net(mg.tensor(np.zeros((1, 1, 4, 9), np.float32)))
    with pytest.raises(mg.errors.ShapeError, match=r"conv2d: reflecting \(4, 4\) pixels"):
        mg.ops.conv2d(np.zeros((1, 1, 4, 9), np.float32), np.zeros((1, 1, 3, 3), np.float32), padding=4, reflect=True)


class Ramp(nn.Module):
    """A user's layer that also has a slope."""

    slope = 0.5

    def forward(self, x):
        return x * self.slope


class Doubled(nn.ReLU):
    """A user's subclass of ReLU."""

    def forward(self, x):
        return 2.0 * super().forward(x)


@pytest.mark.parametrize("following", [Ramp(), Doubled()])
def test_only_our_own_rectifiers_are_taken_along(following):
    norm = nn.BatchNorm2d(2)
    x = mg.tensor(np.random.default_rng(0).normal(size=(3, 2, 4, 4)).astype(np.float32))
    np.testing.assert_array_equal(nn.Sequential(norm, following)(x).data, following(norm(x)).data)


def test_a_residual_block_may_be_given_another_body():
    """Any module of one argument; and an addend of another shape is refused, whatever the last layer is."""
    class Twice(nn.Module):
        def forward(self, x):
            return x + x

    block = ResnetBlock(2)
    block.conv_block = Twice()
    x = mg.tensor(np.arange(32.0).reshape(1, 2, 4, 4))
    np.testing.assert_array_equal(block(x).numpy(), 3 * x.numpy())
    for last in (nn.InstanceNorm2d(2), nn.Tanh()):
        with pytest.raises(ShapeError, match=r"addend \(1, 2, 1, 1\) must"):
            nn.Sequential(last)(x, addend=x[:, :, :1, :1])
    with pytest.raises(ShapeError, match=r"addend \(\) must"):
        ops.instance_norm(x, addend=1.0)
