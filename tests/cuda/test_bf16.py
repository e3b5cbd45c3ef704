"""Precision bf16: kernels on images stored as bfloat16, against float32 kernels and the CPU; what is stored as what."""

import math

import numpy as np
import pytest
from same_bytes import channels_last

import minigan as mg
from minigan import data, kernels, losses, models, nn, ops, trainers
from minigan.errors import DTypeError, OptionError
from minigan.gradcheck import gradcheck
from minigan.kernels import cpu
from minigan.kernels.cuda import conv, hopper
from minigan.kernels.geometry import out_size
from minigan.metrics import classifier

BF16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
ONE, TWO, NONE = (1, 1), (2, 2), (0, 0)
HALF_A_UNIT = 2.0**-8  # at most, of a number with 8 bits of mantissa, the hidden one counted


@pytest.fixture
def bf16(device):
    before, where = kernels.get_precision(), mg.device.default()
    mg.set_device(device.name)
    mg.device.set_precision("bf16")
    yield device
    kernels.set_precision(before)
    mg.set_device(where)


def draw(*shape, seed=0):
    """Numbers that bfloat16 has, float32; images stored channels-last."""
    x = np.random.default_rng(seed).normal(size=shape).astype(BF16).astype(np.float32)
    return channels_last(x) if x.ndim == 4 else x


def test_casts_are_those_of_ml_dtypes(device):
    """Ties to even, both zeros, subnormals, overflow to infinity, NaN; in any layout, any number of them; and back."""
    special = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0.0, -0.0, 1e-40, -9.2e-41, np.inf, -np.inf, np.nan,
                        3.4e38, 3.3961776e38, 65280.0, 1 / 3], np.float32)
    payload = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)  # NaN that cutting, or a carry, would lose
    for x in (np.concatenate([special, payload]), special[:5], draw(2, 3, 4, 5), np.random.default_rng(1).normal(
            size=(6, 7)).astype(np.float32).T):
        y = kernels.cast(device.put(x), BF16)
        assert y.dtype == BF16
        back = device.get(kernels.cast(y, np.float32))
        with np.errstate(invalid="ignore"):  # a signalling NaN
            wanted = x.astype(BF16).astype(np.float32)
        number = np.isfinite(wanted) & (np.abs(wanted) > 1.2e-38) | np.isinf(wanted)  # -ftz=true may flush the smallest
        np.testing.assert_array_equal(back[number], wanted[number])
        np.testing.assert_array_equal(np.isnan(back), np.isnan(wanted))
        assert back.strides == x.strides


def image_kernels(channels):
    x, other, large = draw(2, channels, 6, 4), draw(2, channels, 6, 4, seed=1), draw(2, channels, 9, 8, seed=2)
    widths = (NONE, NONE, (1, 2), (2, 2))
    mean, rstd, gamma, beta = (draw(1, channels, 1, 1, seed=s) for s in range(4))
    taps = np.random.default_rng(3).integers(0, 4, (2, channels, 3, 2), np.uint8)
    rows = np.random.default_rng(4).normal(size=(5, 6))
    yield from (("leaky_relu", x, 0.2), ("gate", x, other, 0.2), ("add", x, other), ("upsample_nearest", x, (2, 3)),
                ("block_sum", x, TWO), ("resample", x, rows, None), ("max_pool2d", x, TWO, TWO, NONE),
                ("pool_take", x, taps, TWO, TWO, NONE),
                ("pool_put", x[:, :, :3, :2].copy(), taps, TWO, TWO, NONE, (6, 4)))
    yield "tanh", x
    for mode in ("constant", "reflect", "edge"):
        yield from (("pad", x, widths, mode, 0.7), ("fold", large, widths, mode),
                    ("fold", large, widths, mode, x))
    for over in ("batch", "instance", "layer"):
        yield "norm_stats", x, over, 1e-5
        yield "reduce_sum", x, {"batch": (0, 2, 3), "instance": (2, 3), "layer": None}[over]
    vectors = [v.reshape(channels) for v in (gamma, beta)]
    yield "norm_apply", x, mean, rstd, *vectors, 0.2
    yield "norm_grad", other, x, mean, rstd, vectors[0], "batch", x, 0.2
    yield "normalized", x, "instance", 1e-5, *vectors, 0.2
    yield "norm_apply", x, mean, rstd, *vectors, None, other
    yield from (("tanh_grad", other, x), ("mean_of", x, other, "cross_entropy", 0.5), ("mean_of", x, 1.0, "hinge"),
                ("mean_of_grad", np.full((), 0.5, np.float32), x, other, "square"))


FLOAT32 = {"norm_stats": range(3), "reduce_sum": range(1), "norm_grad": (1, 2), "normalized": (1, 2, 3),
           "mean_of": range(1)}  # results that stay float32
VECTORS = {"norm_apply": (1, 2, 3, 4), "norm_grad": (2, 3, 4), "normalized": (3, 4), "mean_of_grad": (0,)}  # arguments
HOST = {"resample": (1,)}


@pytest.mark.parametrize("channels", [8, 3])
def test_kernels_store_what_float32_kernels_give(device, channels):
    """Arithmetic is float32: the same numbers, each rounded once, and statistics, sums bit for bit."""
    for name, *arguments in image_kernels(channels):
        def on(stored, name=name, arguments=arguments):
            there = [a if i in HOST.get(name, ()) or not isinstance(a, np.ndarray) else device.put(
                a.astype(stored) if a.dtype == np.float32 and i not in VECTORS.get(name, ()) else a)
                for i, a in enumerate(arguments)]
            result = getattr(kernels, name)(*there)
            return result if isinstance(result, tuple) else (result,)

        for _ in device.orders():
            for i, (half, single) in enumerate(zip(on(BF16), on(np.float32), strict=True)):
                wanted = device.get(single)
                if half.dtype == BF16:
                    wanted = wanted.astype(BF16).astype(np.float32)
                assert half.dtype == (np.uint8 if wanted.dtype == np.uint8 else
                                      np.float32 if i in FLOAT32.get(name, ()) else BF16), name
                rounding = 0 if device.name == "emulated" else 2**-7  # a GPU's compiler fuses as it likes
                np.testing.assert_allclose(device.get(half).astype(np.float32), wanted, rtol=rounding,
                                           atol=rounding / 100, err_msg=name)


#    N   C   O   H   W   kernel  stride  padding dilation
GEOMETRY = {
    "images": (4, 3, 24, 8, 8, (4, 4), TWO, ONE, ONE),  # two bytes at once
    "to few": (2, 24, 2, 6, 7, (3, 4), ONE, (1, 2), (1, 2)),  # spread and folded
    "odd": (2, 6, 10, 9, 8, (3, 3), ONE, ONE, (2, 1)),
    "three to one": (2, 3, 1, 7, 8, (3, 3), ONE, ONE, ONE),
    "from few": (2, 16, 3, 10, 9, (5, 5), ONE, TWO, ONE),  # spread, with the sum of its weights as x sees it
    "deep": (1, 64, 48, 9, 9, (3, 3), ONE, ONE, ONE),  # the depth is split
}


def three_products(device, geometry):
    """conv2d, its adjoint and its weight gradient on float32 arrays; and of numbers rounded to bfloat16, by the CPU."""
    N, C, O, H, W, kernel, *how = geometry
    size = tuple(out_size(*axis) for axis in zip((H, W), kernel, *how, strict=True))
    rng = np.random.default_rng(0)
    x, w, gy, b, c = (rng.normal(size=s).astype(np.float32) for s in (
        (N, C, H, W), (O, C, *kernel), (N, O, *size), (O,), (C,)))
    x, gy = channels_last(x), channels_last(gy)
    X, Wt, G = (a.astype(BF16).astype(np.float64) for a in (x, w, gy))
    b, c = b.astype(np.float64), c.astype(np.float64)
    wanted = (cpu.conv2d(X, Wt, b, *how), cpu.conv_transpose2d(G, Wt, c, *how, (H, W)),
              cpu.conv2d_weight_grad(X, G, kernel, *how))
    b, c = b.astype(np.float32), c.astype(np.float32)
    x, w, gy, b, c = map(device.put, (x, w, gy, b, c))
    return (conv.conv2d(x, w, b, *how), conv.conv_transpose2d(gy, w, c, *how, (H, W)),
            conv.conv2d_weight_grad(x, gy, kernel, *how)), wanted


def check_products(device, results, wanted):
    """Sums in float32 of products that float32 holds exactly; images then rounded once, gradients of weights not."""
    for y, value, stored in zip(results, wanted, (BF16, BF16, np.float32), strict=True):
        assert y.dtype == stored
        error = np.abs(device.get(y).astype(np.float64) - value)
        assert (error <= (HALF_A_UNIT * np.abs(value) if stored == BF16 else 0) + 1e-5 * np.abs(value).max()).all()
        if stored == BF16:
            assert (device.get(y) == value.astype(BF16)).mean() > 0.97  # others are within float32's error of a tie


@pytest.mark.parametrize("name", GEOMETRY)
def test_products_are_those_of_rounded_numbers(bf16, name):
    for _ in bf16.orders():
        check_products(bf16, *three_products(bf16, GEOMETRY[name]))


@pytest.fixture
def on_hopper(monkeypatch):
    """How often hopper.cu was launched; it is, however small a product is."""
    launch, count = hopper.launch, []
    monkeypatch.setattr(hopper, "launch", lambda *arguments: count.append(1) or launch(*arguments))
    monkeypatch.setattr(hopper, "WORTH", 0)
    return count


HOPPER = {"strided": (2, 64, 192, 16, 16, (4, 4), TWO, ONE, ONE), "borders": (3, 64, 128, 9, 12, (3, 3), ONE, ONE, ONE),
          "all different": (1, 64, 64, 31, 38, (4, 3), (3, 2), (1, 2), (1, 2)),
          "1x1": (4, 128, 64, 6, 9, ONE, ONE, NONE, ONE)}


@pytest.mark.long
@pytest.mark.parametrize("form", [hopper.Form(tile, *cut) for tile in hopper.TILES for cut in ((1, 1), (2, 4), (8, 8))],
                         ids=lambda form: "-".join(map(str, (*form.tile[:2], *form[1:]))))
def test_products_on_hopper(bf16, monkeypatch, on_hopper, form):
    """Every tile and cluster, in all three modes, on sizes that fill no tile."""
    monkeypatch.setattr(hopper, "plan", lambda *_: form)
    for name in HOPPER if form.cluster == 2 else ("borders",):
        check_products(bf16, *three_products(bf16, HOPPER[name]))
    assert len(on_hopper) >= 3


def test_a_product_on_hopper(bf16, on_hopper):
    """One form of each mode, as the plan chooses it; 32 channels do not fill a line of 128 bytes."""
    check_products(bf16, *three_products(bf16, HOPPER["borders"]))
    assert len(on_hopper) == 3
    check_products(bf16, *three_products(bf16, (3, 32, 96, 9, 12, (3, 3), ONE, ONE, ONE)))
    assert len(on_hopper) == 4  # of those, the weight gradient only


@pytest.mark.parametrize("channels", [8, 64])  # conv.cu, hopper.cu
def test_moments_of_a_product_are_those_of_what_it_stores(bf16, on_hopper, channels):
    """Also of a mirrored border; whose pixels are those of the padded image."""
    x, w, widths = draw(2, channels, 12, 12), draw(64, channels, 3, 3, seed=1), (NONE, NONE, ONE, ONE)
    with kernels.moments_wanted():
        y = kernels.conv2d(bf16.put(x), bf16.put(w), None, ONE, ONE, ONE, True)
    stats = kernels.norm_stats(y, "batch", 1e-5)
    stored = bf16.get(y).astype(np.float64)
    wanted = cpu.conv2d(np.pad(x, widths, "reflect").astype(np.float64), w.astype(np.float64), None, ONE, NONE, ONE)
    assert len(on_hopper) == (channels == 64) and y.dtype == BF16
    assert (np.abs(stored - wanted) <= HALF_A_UNIT * np.abs(wanted) + 1e-4).all()
    np.testing.assert_allclose(bf16.get(stats.mean), stored.mean((0, 2, 3), keepdims=True), rtol=0, atol=1e-4)
    np.testing.assert_allclose(bf16.get(stats.var), stored.var((0, 2, 3), keepdims=True), rtol=1e-5)
    with kernels.moments_wanted():
        y = kernels.conv2d(bf16.put(x), bf16.put(w), None, ONE, ONE, ONE, True)
    normal, *own = kernels.normalized(y, "batch", 1e-5, None, None)
    np.testing.assert_allclose(bf16.get(own[0]), bf16.get(stats.mean), rtol=0, atol=1e-5)
    np.testing.assert_allclose(bf16.get(normal).astype(np.float64),
                               (stored - stored.mean((0, 2, 3), keepdims=True)) / stored.std((0, 2, 3), keepdims=True),
                               rtol=HALF_A_UNIT, atol=1e-3)


def test_a_weight_gradient_leaves_the_sums_of_its_cotangents(bf16, on_hopper):
    """In float32, of the numbers that are stored."""
    x, gy = draw(2, 64, 12, 12), draw(2, 64, 12, 12, seed=1)
    there = bf16.put(gy.astype(BF16))
    with kernels.sums_wanted(True):
        kernels.conv2d_weight_grad(bf16.put(x), there, (3, 3), ONE, ONE, ONE)
    left = kernels.cuda.moments.handed.sums
    sums = kernels.reduce_sum(there, (0, 2, 3))
    assert len(on_hopper) == 1 and left is not None and sums.dtype == np.float32
    np.testing.assert_allclose(bf16.get(sums), gy.astype(np.float64).sum((0, 2, 3)), rtol=0, atol=1e-4)


def test_products_share_weights_however_they_are_stored(bf16):
    """One and three channels, on both sides of the same filters: each product has its own copy of them."""
    filters = np.ascontiguousarray(draw(3, 1, 3, 3).transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)  # as parameters lie
    x, gy, w = map(bf16.put, (draw(2, 1, 6, 6), draw(2, 3, 6, 6), filters))

    def products():
        return [bf16.get(y) for y in (kernels.conv2d(x, w, None, ONE, ONE, ONE),
                                      kernels.conv_transpose2d(gy, w, None, ONE, ONE, ONE, (6, 6)))]

    apart = products()
    with kernels.constant_weights():
        for together in (products(), products()):
            for a, b in zip(apart, together, strict=True):
                np.testing.assert_array_equal(a, b)


def critic():
    mg.seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 3, 1, 1, bias=False),
                         nn.InstanceNorm2d(8, affine=True), nn.ReLU(), nn.Conv2d(8, 1, 4))


def test_images_are_bfloat16_and_all_else_float32(bf16):
    network, seen = critic(), []
    x = mg.tensor(draw(3, 1, 8, 8), requires_grad=True)
    y = x
    for layer in network:
        y = layer(y)
        seen.append(y.dtype)
    assert set(seen) == {BF16}
    loss = losses.bce_with_logits(y, 1.0)
    assert (loss.dtype, ops.mean(y).dtype, (y + x[:, :, :1, :1]).dtype, (y + y).dtype) == (
        np.float32, np.float32, np.float32, BF16)
    loss.backward()
    assert {p.grad.dtype for p in (x, *network.parameters())} == {np.dtype(np.float32)}
    assert y.numpy().dtype == np.float32 and network.state_dict()["0.weight"].dtype == np.float32


def test_cotangents_of_images_are_bfloat16(bf16):
    """Also where one image is used twice, and in a graph of the second order."""
    x = mg.tensor(draw(2, 1, 8, 8))
    y = critic()[0](x)
    z, t = ops.sum(ops.tanh(y) * y), np.tanh(y.numpy().astype(np.float64))
    for create_graph in (True, False):
        g, = mg.grad(z, [y], create_graph=create_graph, retain_graph=True)
        assert g.dtype == BF16
        assert np.abs(g.numpy() - t - y.numpy() * (1 - t * t)).max() <= 3e-2
    t = ops.tanh(y * 8.0)  # near 1, where 1 - t^2 has no digits to lose
    stored = t.numpy().astype(np.float64)
    for create_graph in (True, False):
        g, = mg.grad(ops.sum(t), [t.node.args[0]], create_graph=create_graph, retain_graph=True)
        np.testing.assert_allclose(g.numpy(), 1 - stored**2, rtol=HALF_A_UNIT)


def test_a_norm_adds_what_has_another_type(bf16):
    """The sum has the type of the images that are normalised, and each cotangent that of its argument."""
    halves, floats = mg.tensor(draw(2, 3, 6, 5)).cast(BF16), mg.tensor(draw(2, 3, 6, 5, seed=1))
    for create_graph in (True, False):
        for x, addend in ((halves, floats), (floats, halves), (halves, floats.cast(BF16))):
            x, addend = (mg.Tensor(v.data, requires_grad=True) for v in (x, addend))
            y = ops.instance_norm(x, addend=addend)
            xhat = ops.instance_norm(mg.Tensor(x.cast(np.float32).data)).numpy()
            assert y.dtype == x.dtype
            np.testing.assert_allclose(y.numpy(), xhat + addend.numpy(), rtol=2**-7, atol=2**-7)
            gx, gaddend = mg.grad(y, [x, addend], mg.tensor(draw(2, 3, 6, 5, seed=2)).cast(y.dtype), create_graph)
            assert (gx.dtype, gaddend.dtype) == (x.dtype, addend.dtype)
            np.testing.assert_allclose(gaddend.numpy(), draw(2, 3, 6, 5, seed=2), rtol=2**-7)


def penalty_gradients(device_name, precision):
    where = mg.device.default()
    mg.set_device(device_name)
    mg.device.set_precision(precision)
    network = critic()
    x = mg.tensor(draw(4, 1, 8, 8))
    loss = losses.r1(network, x) + losses.gradient_penalty(network, x, mg.tensor(draw(4, 1, 8, 8, seed=1)),
                                                           mg.random.Stream(3))
    loss.backward()
    mg.set_device(where)
    return [loss.numpy(), *(p.grad.numpy() for p in network.parameters() if p.grad is not None)]


def test_second_order_is_near_float32(bf16):
    """Gradients of gradient penalties by bfloat16, and on the CPU in float32."""
    here, there = penalty_gradients("cpu", "fp32"), penalty_gradients(bf16.name, "bf16")
    for a, b in zip(there, here, strict=True):
        assert a.dtype == np.float32
        assert np.linalg.norm(a - b) <= 0.1 * np.linalg.norm(b)


def test_float64_stays_exact(bf16):
    gradcheck(lambda x, w: ops.tanh(ops.conv2d(x, w, padding=1)), [
        mg.tensor(draw(1, 2, 4, 4).astype(np.float64)), mg.tensor(draw(3, 2, 3, 3).astype(np.float64))])


def test_evaluation_and_the_host(bf16):
    """Batch norm by running statistics; results on the host are float32."""
    mg.seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
    x = mg.tensor(draw(3, 1, 6, 6))
    trained = network(x)
    network.eval()
    y = network(x)
    assert y.shape == trained.shape and mg.device.asnumpy(y.data).dtype == mg.device.fetch(y.data)().dtype == np.float32


@pytest.mark.parametrize("capability, message", [((7, 5), "8.0 .*, and this one has 7.5"), (None, "on a CPU use")])
def test_where_it_cannot_be_had(device, monkeypatch, capability, message):
    if capability:
        mg.set_device(device.name)
        monkeypatch.setattr(device.backend, "capability", lambda: capability)
    try:
        with pytest.raises(OptionError, match=message):
            mg.device.set_precision("bf16")
    finally:
        mg.set_device("cpu")
    with pytest.raises(DTypeError, match="neither float32 nor float64"):
        mg.tensor([1.0], dtype=BF16)
    assert kernels.get_precision() != "bf16" and math.isfinite(HALF_A_UNIT)


def state_of(trainer):
    state = {}

    def walk(part, name):
        for key, value in part.items():
            walk(value, f"{name}{key}.") if isinstance(value, dict) else state.update({name + key: np.asarray(value)})

    walk(trainer.state_dict(), "")
    return state


def gan():
    mg.seed(0)
    return trainers.GAN(*models.dcgan(size=8, channels=3, latent=3, width=4), lr=2e-3, seed=5)


def wgan():
    mg.seed(0)
    return trainers.WGAN(*models.dcgan(size=8, channels=3, latent=3, width=4, norm="none"), "gp", n_critic=1, seed=5)


def cyclegan():
    mg.seed(0)
    return trainers.CycleGAN(*(models.ResnetGenerator(3, 3, 1, 1) for _ in "ab"), *(
        models.PatchDiscriminator(3, 1, 1) for _ in "ab"), pool=3, lambda_identity=0, seed=5)


def trained(make, steps, graph, state=None):
    """The state of a trainer after so many steps on images that stay on the device."""
    rng, trainer = np.random.default_rng(0), make()
    if make is cyclegan:
        batches = data.Unpaired(*(rng.integers(0, 256, (n, 3, 8, 8), np.uint8) for n in (9, 6)), batch_size=2, seed=3)
    else:
        batches = data.Loader(rng.integers(0, 256, (26, 3, 8, 8), np.uint8), 4, seed=3)
    batches.to(mg.device.default())
    if state is not None:
        trainer.load_state_dict(state[0]), batches.load_state_dict(state[1])
    trainer.fit(batches, steps, graph=graph)
    return trainer, batches


LONG = [pytest.param(*case, marks=pytest.mark.long) for case in ((gan, 20), (wgan, 20), (cyclegan, 6))]


@pytest.mark.parametrize("make, steps", [(gan, 4), *LONG])
def test_captured_and_continued_steps_are_plain_steps(bf16, make, steps):
    """Captured steps, and plain ones continued from the checkpoint of a half, which is float32."""
    plain, captured = state_of(trained(make, steps, False)[0]), state_of(trained(make, steps, True)[0])
    first = trained(make, steps // 2, False)
    checkpoint = [part.state_dict() for part in first]
    assert not [key for key, value in state_of(first[0]).items() if value.dtype == BF16]
    continued = state_of(trained(make, steps - steps // 2, False, checkpoint)[0])
    assert plain.keys() == captured.keys() == continued.keys()
    for key, value in plain.items():
        assert value.tobytes() == captured[key].tobytes() == continued[key].tobytes(), key
    assert all(np.isfinite(value).all() for value in plain.values() if value.dtype.kind == "f")


def test_a_graph_of_bf16_is_walked_in_another_precision(bf16):
    """As where something is measured in between: images in float32, cotangents as they are stored."""
    w, x = mg.tensor(draw(8, 8, 3, 3), requires_grad=True), mg.tensor(draw(2, 8, 6, 6))
    y = ops.sum(ops.conv2d(x, w, padding=1))
    expected, = mg.grad(y, [w], retain_graph=True)
    with mg.device.float32_stored():
        g, = mg.grad(y, [w])
    np.testing.assert_allclose(g.numpy(), expected.numpy(), rtol=1e-2, atol=1e-2)


def test_another_device_must_have_bf16_too(bf16, monkeypatch):
    monkeypatch.setattr(bf16.backend, "capability", lambda: (7, 5))
    with pytest.raises(OptionError, match="this one has 7.5"):
        mg.set_device(bf16.name)


def test_a_run_in_bf16_is_scored_by_a_classifier_on_the_cpu(bf16):
    with classifier._apart(0):
        assert (mg.device.default(), kernels.get_precision()) == ("cpu", "fast")
    assert (mg.device.default(), kernels.get_precision()) == (bf16.name, "bf16")
