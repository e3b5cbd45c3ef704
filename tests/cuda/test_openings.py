"""Products that rectify, or gate, what they write: the bytes of two launches, and only where nobody else looks."""

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

import minigan as mg
from minigan import kernels, nn, ops
from minigan.engine import Remarks, S, primitive
from minigan.engine.primitive import OPERATIONS, PRIMITIVES
from minigan.kernels.cuda import conv, hopper, loader, tiles

TILES = [*tiles.TILES, tiles.HALF, tiles.NARROW]
FORMS = [hopper.Form(tile, *cut) for tile in hopper.TILES for cut in ((1, 1), (2, 2), (2, 4))]


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels launched so far."""
    names, call = [], loader.Kernel.__call__
    monkeypatch.setattr(loader.Kernel, "__call__", lambda k, *a, **o: names.append(k.name) or call(k, *a, **o))
    return names


@pytest.fixture
def on(device):
    mg.set_device(device.name)
    return device


def convolution(device, dtype=np.float32, channels=12, out=40, images=(2, 9, 10)):
    """A function: conv2d with a bias, of images with NaN, infinities and zeros among their numbers."""
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=s).astype(dtype) for s in ((images[0], channels, *images[1:]), (out, channels, 3, 3)))
    b = rng.normal(size=out).astype(np.float64 if dtype == np.float64 else np.float32)
    x[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    x[1, :, :4, :4] = 0
    b[:2] = -0.0, -1
    x, w, b = (device.put(channels_last(a) if a.ndim == 4 else a) for a in (x, w, b))
    return lambda: conv.conv2d(x, w, b, (1, 1), (1, 1), (1, 1))


def adjoint(device, dtype=np.float32, channels=12, out=40, images=(2, 9, 10)):
    """A function: conv_transpose2d, stride 2, and the numbers of the gate behind it, some of them NaN and 0."""
    rng = np.random.default_rng(1)
    size = images[1] * 2 + 1, images[2] * 2
    g, w, a = (rng.normal(size=s).astype(dtype) for s in (
        (images[0], channels, *images[1:]), (channels, out, 4, 4), (images[0], out, *size)))
    g[0, 0, 0, :2], a[0, 0, 0, :5] = (np.nan, np.inf), (np.nan, np.inf, -np.inf, 0, -0.0)
    g, w, a = (device.put(channels_last(array)) for array in (g, w, a))
    return lambda: conv.conv_transpose2d(g, w, None, (2, 2), (1, 1), (1, 1), size), a


def same(one, other):
    """Equal numbers, NaN where there is NaN; ml_dtypes' own comparison knows no NaN."""
    np.testing.assert_array_equal(one.astype(np.float64), other.astype(np.float64))


def check(device, launched, slope, **sizes):
    """Of both products: one launch instead of two, which gives the same bytes in any order of threads."""
    product = convolution(device, **sizes)
    two = device.get(kernels.leaky_relu(product(), slope))

    def rectified():
        with kernels.opening_follows(slope) as opening:
            y = product()
        assert opening.done
        return kernels.leaky_relu(y, slope)

    launched.clear()
    same(in_every_order(device, rectified), two)
    product, a = adjoint(device, **sizes)
    two = device.get(kernels.gate(product(), a, slope))

    def gated():
        with kernels.opening_follows(slope, a) as opening:
            y = product()
        assert opening.done
        return y

    launched[:] = [name for name in launched if name != "gate"]
    same(in_every_order(device, gated), two)
    assert not {"leaky_relu", "gate"} & set(launched)


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("splits", [1, 2, 9])
def test_of_conv(device, monkeypatch, launched, slope, splits):
    """Whole products, and parts that another launch adds up."""
    monkeypatch.setattr(conv, "plan", lambda *_: (tiles.SQUARE, splits))
    check(device, launched, slope)
    assert ("gemm" in launched) and (splits > 1) == bool({"add_few_partials", "add_partials"} & set(launched))


@pytest.mark.long
@pytest.mark.parametrize("tile", TILES, ids=lambda tile: f"{tile.BM}x{tile.BN}")
def test_of_every_tile(device, monkeypatch, launched, tile):
    monkeypatch.setattr(conv, "plan", lambda *_: (tile, 1))
    check(device, launched, 0.2, out=8 if tile is tiles.NARROW else 40)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, (*form.tile[:2], *form[1:]))))
def test_of_hopper(device, monkeypatch, launched, form):
    monkeypatch.setattr(hopper, "WORTH", 0)
    monkeypatch.setattr(hopper, "plan", lambda *_: form)
    check(device, launched, 0.2, channels=32, out=68, images=(2, 11, 12))
    assert "hopper_gemm" in launched and "gemm" not in launched


def test_of_float64_and_odd_sizes(device, launched):
    """One row of y is no whole number of packs."""
    check(device, launched, 0.1, dtype=np.float64, out=7, images=(3, 5, 7))


def test_of_bfloat16(device, launched):
    """Rounded first, as if the product had been stored."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kernels.set_precision("bf16")
    try:
        check(device, launched, 0.2, dtype=ml_dtypes.bfloat16, channels=16)
    finally:
        kernels.set_precision("tf32")


def test_what_does_not_fit_is_left_alone(device, launched):
    """A gate of another shape, layout, type or place; a product of few channels, which is folded."""
    product, a = adjoint(device)
    plain = device.get(product())
    others = (a[:, :, :-1], a.copy(order="C"), a.astype(np.float64), device.get(a), a[:, :, 0])
    for other in others:
        with kernels.opening_follows(0.2, other) as opening:
            y = product()
        assert not opening.done
        np.testing.assert_array_equal(device.get(y), plain)
    few = convolution(device, channels=20, out=2)
    wanted = device.get(kernels.leaky_relu(few(), 0.2))
    with kernels.opening_follows(0.2) as opening:
        y = few()
    assert not opening.done
    np.testing.assert_array_equal(device.get(kernels.leaky_relu(y, 0.2)), wanted)


def test_leaky_relu_runs_again_after_another_launch_or_with_another_slope(device, launched):
    product = convolution(device)

    def rectified():
        with kernels.opening_follows(0.5):
            return product()

    y = rectified()
    assert kernels.leaky_relu(y, 0.5) is y
    assert kernels.leaky_relu(y, 0.5) is not y  # once
    y = rectified()
    assert kernels.leaky_relu(y, 0.25) is not y
    y = rectified()
    kernels.gate(y, y, 0.5)
    assert kernels.leaky_relu(y, 0.5) is not y


# ---- in a backward pass ----
def parts(device, seed=0):
    """An image and the filters of two layers, of float64 so that nothing is rounded to TF32."""
    rng = np.random.default_rng(seed)
    put = [mg.tensor(channels_last(rng.normal(size=s)), requires_grad=True) for s in (
        (2, 3, 6, 6), (5, 3, 3, 3), (4, 5, 4, 4))]
    return put[0], *put[1:]


def same_as_without(monkeypatch, compute):
    """Whether compute() gives what it gives without gates in products, bit for bit; how many gates are in products."""
    from minigan.engine import autodiff, gates

    count, before = [], gates.Gates.before

    def counted(self, node, need):
        context = before(self, node, need)
        applied = len(self.applied)
        count.append((self, applied))
        return context

    monkeypatch.setattr(gates.Gates, "before", counted)
    ours = [t.numpy().tobytes() for t in compute()]
    applied = sum(len(g.applied) for g in {id(g): g for g, _ in count}.values())
    monkeypatch.setattr(autodiff, "Gates", lambda *_: None)
    assert [t.numpy().tobytes() for t in compute()] == ours
    return applied


@pytest.mark.parametrize("activation", [ops.relu, ops.leaky_relu, lambda u: ops.leaky_relu(u, 0.0)])
@pytest.mark.parametrize("second", [lambda a, w: ops.conv2d(a, w, stride=2, padding=1),
                                    lambda a, w: ops.conv_transpose2d(a, w.transpose(1, 0, 2, 3), stride=2),
                                    lambda a, w: ops.upconv2d(a, w[:, :, :3, :3])], ids=["conv", "transposed", "up"])
def test_of_an_activation_between_two_layers(on, monkeypatch, activation, second):
    x, w, v = parts(on)
    assert same_as_without(monkeypatch, lambda: mg.grad(
        (second(activation(ops.conv2d(x, w, padding=1)), v) ** 2).sum(), [x, w, v])) == 1


def test_not_where_somebody_else_reads_or_adds_to_the_cotangent(on, monkeypatch):
    x, w, v = parts(on)

    def network():
        a = ops.leaky_relu(ops.conv2d(x, w, padding=1))
        return a, ops.conv2d(a, v, stride=2, padding=1)

    def read_twice():
        a, y = network()
        return mg.grad((y * y).sum() + (a * a).sum(), [x, w, v])

    def asked_for():
        a, y = network()
        return mg.grad((y * y).sum(), [a, w])

    def another_output():
        from minigan.engine.autodiff import walk

        a, y = network()
        found = walk([((y * y).sum(), None), (a, mg.tensor(np.ones(a.shape)))], [x])
        return [found[x.place]]

    def differentiated():
        _, y = network()
        first, = mg.grad((y * y).sum(), [x], create_graph=True)
        return [first.detach(), *mg.grad((first * first).sum(), [w, v])]

    def reflected():
        a = ops.leaky_relu(ops.conv2d(x, w, padding=1))
        y = ops.conv2d(a, v, padding=2, reflect=True)
        return mg.grad((y * y).sum(), [x, w, v])

    for compute, applied in ((read_twice, 0), (asked_for, 0), (another_output, 0), (reflected, 0), (differentiated, 2)):
        with monkeypatch.context() as inside:
            assert same_as_without(inside, compute) == applied, compute.__name__


def test_a_graph_may_be_walked_twice_and_watched(on):
    x, w, v = parts(on)
    y = (ops.conv2d(ops.leaky_relu(ops.conv2d(x, w, padding=1)), v, stride=2, padding=1) ** 2).sum()
    once = [g.numpy() for g in mg.grad(y, [x, w], retain_graph=True)]
    with mg.detect_anomaly():
        watched = [g.numpy() for g in mg.grad(y, [x, w], retain_graph=True)]
    for first, second, third in zip(once, watched, mg.grad(y, [x, w]), strict=True):
        assert first.tobytes() == second.tobytes() == third.numpy().tobytes()


def test_a_rule_of_several_products_gets_no_gate(on, monkeypatch):
    """A user's operation, whose rule first computes something else of its argument's shape."""
    same = np.zeros((5, 5, 1, 1))
    same[range(5), range(5)] = 2

    @primitive(samples=lambda rng: [S(rng.normal(size=(1, 5, 2, 2)))], remarks=Remarks())
    def twice_and_back(x: mg.engine.Array) -> mg.engine.Array:
        """Forward   y = 2 x

        VJP       gx = 2 gy
        Why       linear.
        """
        return 2 * x

    twice_and_back.defvjp(x=lambda gy, y, x: ops.conv2d(gy, mg.tensor(same)) * 1.0)
    try:
        x, w, _ = parts(on)
        assert same_as_without(monkeypatch, lambda: mg.grad(
            (twice_and_back(ops.leaky_relu(ops.conv2d(x, w))) ** 2).sum(), [x, w])) == 0
    finally:
        del OPERATIONS["twice_and_back"], PRIMITIVES["twice_and_back"]


def test_a_sequence_launches_no_rectifier_and_shows_its_parts_as_they_are(on, launched):
    mg.seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(8, 8, 3), nn.ReLU())
    x = mg.tensor(channels_last(np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32)))
    y = network(x)
    assert "leaky_relu" not in launched
    a = ops.leaky_relu(network[0](x), 0.1)
    assert ops.relu(network[2](a)).numpy().tobytes() == y.numpy().tobytes()
    with mg.detect_anomaly():
        network(x)
    assert launched.count("leaky_relu") == 4


@pytest.mark.parametrize("changed", [0, 1])
def test_a_layer_whose_forward_was_replaced_is_left_as_it_is(on, changed):
    mg.seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.2))
    x = mg.tensor(channels_last(np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32)))
    plain = ops.conv2d(x, network[0].weight, network[0].bias).numpy()
    forward = network[changed].forward
    network[changed].forward = lambda u: forward(u) * 2.0 if changed == 0 else u + 1.0
    wanted = np.where(plain > 0, 2 * plain, 0.4 * plain) if changed == 0 else plain + 1
    np.testing.assert_allclose(network(x).numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_on_the_cpu_nothing_changes():
    x = np.linspace(-1, 1, 2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    w = np.ones((1, 3, 1, 1), np.float32)
    plain = kernels.conv2d(x, w, None, (1, 1), (0, 0), (1, 1))
    with kernels.opening_follows(0.5) as opening:
        y = kernels.conv2d(x, w, None, (1, 1), (0, 0), (1, 1))
    assert not opening.done
    np.testing.assert_array_equal(y, plain)
