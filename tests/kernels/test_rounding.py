"""bf16 emulated on the CPU: the rounding against a formula, what is rounded, and that nothing else changes."""

import numpy as np
import pytest
import reference

import minigan as mg
from minigan import kernels, ops
from minigan.engine import PRIMITIVES
from minigan.kernels import rounding

ONE, NONE = (1, 1), (0, 0)
WAYS = {"to_bf16": rounding.to_bf16, "in NumPy": lambda x: _in_numpy(x)}  # the first by the C kernel, if there is one


def _in_numpy(x):
    y = np.empty_like(x)
    rounding._by_integers(x.reshape(-1), y.reshape(-1))
    return y


def nearest(x):
    """By the definition: whole multiples of the last digit, 2^(e-7) or for subnormal numbers 2^-133; ties to even.

    float64 holds all of it exactly. Beyond the largest bf16 number the next power of two stands for infinity.
    """
    x = x.astype(np.float64)
    exponent = np.frexp(np.where(np.isfinite(x), x, 1))[1] - 1
    digit = np.exp2(np.maximum(exponent, -126) - 7)
    y = np.rint(x / digit) * digit
    return np.where(np.abs(y) >= 2.0**128, np.copysign(np.inf, y), y).astype(np.float32)


def images(rng, *shape):
    """Random images (N, C, H, W), stored channels-last, in float32 with all of its digits."""
    return rng.standard_normal((shape[0], *shape[2:], shape[1]), dtype=np.float32).transpose(0, 3, 1, 2)


@pytest.fixture
def emulated():
    mg.device.set_precision("bf16-emulated")
    yield
    mg.device.set_precision("fast")


@pytest.mark.parametrize("way", WAYS)
def test_rounding_is_to_the_nearest_of_two_the_even_one(way, rng):
    """Random bits, all exponents; every tie between neighbours of one exponent, and what lies beside it; no numbers."""
    high = np.arange(0x3F80, 0x4001, dtype=np.uint32) << 16  # 1 to 2 in steps of bf16
    ties = np.concatenate([high | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    special = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0x18000,  # subnormal numbers
                        0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0x7F800000], np.uint32)  # the largest, and infinity
    bits = np.concatenate([rng.integers(0, 2**32, 200_000, np.uint32), ties, special, special | 0x80000000])
    x = bits.view(np.float32)
    x = x[~np.isnan(x)]
    y = WAYS[way](x)
    assert y.tobytes() == nearest(x).tobytes()  # also the sign of 0
    assert rounding.is_bf16(y) and not rounding.is_bf16(x)
    nans = np.array([0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF, 0x7FC00000], np.uint32).view(np.float32)
    mixed = np.concatenate([x[:5], nans])
    assert np.isnan(WAYS[way](mixed)).tolist() == [False] * 5 + [True] * 5


def test_rounding_agrees_with_ml_dtypes(rng):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = rng.integers(0, 0x7F800000, 100_000, np.uint32).view(np.float32)
    assert rounding.to_bf16(x).tobytes() == x.astype(bfloat16).astype(np.float32).tobytes()


def test_any_layout_keeps_its_order_and_the_argument(rng):
    x = rng.standard_normal((2, 3, 4, 5), dtype=np.float32)
    for given in (*reference.layouts(x), x[::-1, :, ::2], np.broadcast_to(x[:1], x.shape), x[:0], x[0, 0, 0, 0, None]):
        before = given.copy()
        y = rounding.to_bf16(given)
        np.testing.assert_array_equal(y, nearest(given))
        assert y.strides == np.empty_like(given).strides
        np.testing.assert_array_equal(given, before)
        assert rounding.is_bf16(y) and rounding.is_bf16(given) == (given.size == 0)


def test_same_bytes_at_any_number_of_workers(with_workers, rng):
    x = rng.standard_normal(1_300_001, dtype=np.float32)
    for way in WAYS.values():
        assert len({with_workers(n, way, x).tobytes() for n in (1, 2, 3)}) == 1


def _calls(rng):
    """Kernels that take images and filters as bf16: name, arguments."""
    x, gy, w = images(rng, 2, 3, 6, 6), images(rng, 2, 4, 6, 6), rng.standard_normal((4, 3, 3, 3), dtype=np.float32)
    b = np.float32([0.1, 0.2, 0.3, 0.4])
    return [("conv2d", (x, w, b, ONE, ONE, ONE)), ("conv2d", (x, w, None, ONE, ONE, ONE, True)),
            ("conv_transpose2d", (gy, w, b[:3], ONE, ONE, ONE, (6, 6))),
            ("conv2d_weight_grad", (x, gy, (3, 3), ONE, ONE, ONE)),
            ("upconv2d_weight_grad", (x[:, :, :3, :3], gy, (3, 3), (2, 2), ONE))]


def test_a_product_takes_bf16_and_adds_in_float32(rng, emulated):
    """Equal to the exact kernel of rounded arguments; an image is stored as bf16, a gradient of filters is not."""
    for name, arguments in _calls(rng):
        exact = kernels._doors[False][name]
        wanted = exact(*(nearest(v) if getattr(v, "ndim", 0) == 4 else v for v in arguments))
        result = getattr(kernels, name)(*arguments)
        np.testing.assert_array_equal(result, wanted if name.endswith("weight_grad") else nearest(wanted))
        assert rounding.is_bf16(result) != name.endswith("weight_grad")


def test_an_up_convolution_rounds_its_blurred_filters(rng, emulated):
    """Results are those of loops in float64 over rounded numbers, rounded; a sum near a tie may go either way."""
    x, g, w = images(rng, 2, 3, 4, 4), images(rng, 2, 4, 8, 8), rng.standard_normal((4, 3, 3, 3), dtype=np.float32)
    rounded_x, rounded_g, blurred = (nearest(v).astype(np.float64) for v in (x, g, kernels.blur_filters(w, (2, 2))))
    two = (2, 2)
    for result, wanted in (
            (kernels.upconv2d(x, w, None, two, ONE),
             reference.conv_transpose2d(rounded_x, blurred, None, two, ONE, ONE, (8, 8))),
            (kernels.upconv2d_adjoint(g, w, two, ONE), reference.conv2d(rounded_g, blurred, None, two, ONE, ONE))):
        assert rounding.is_bf16(result)
        assert (result == nearest(wanted)).mean() > 0.95
        np.testing.assert_allclose(result, wanted, rtol=2.0**-7, atol=1e-6)


def _stored(rng, x):
    """Results, each image of the type of x, of all other kernels that compute new numbers from images."""
    y = images(rng, *x.shape)
    g = nearest(y) if rounding.is_bf16(x) else y
    mean = x.mean((0, 2, 3), keepdims=True)
    rstd, halves = np.full_like(mean, 1.1), np.full((2, x.shape[2]), 0.3, np.float32)
    return {"leaky_relu": kernels.leaky_relu(x, 0.2), "gate": kernels.gate(g, x, 0.2), "tanh": kernels.tanh(x),
            "norm_apply": kernels.norm_apply(x, mean, rstd, None, None, 0.2),
            "norm_grad": kernels.norm_grad(y, x, mean, rstd, None, "batch")[0],
            "normalized": kernels.normalized(x, "batch", 1e-5, None, None, 0.2)[0],
            "fold": kernels.fold(x, ((0, 0), (0, 0), (1, 1), (1, 1)), "reflect"), "add": kernels.add(x, g),
            "block_sum": kernels.block_sum(x, (2, 2)), "resample": kernels.resample(x, halves, halves),
            "pool_put": kernels.pool_put(x, rng.integers(0, 4, x.shape, np.uint8), (2, 2), ONE, NONE, (7, 7)),
            "tanh_grad": kernels.tanh_grad(g, x)}


def test_what_is_stored_has_the_type_of_its_input(rng, emulated):
    """bf16 of bf16, float32 of float32: an image of which one number is no bf16 number is not stored as bf16."""
    x = images(rng, 2, 3, 6, 6)
    results = _stored(rng, nearest(x))
    assert results.keys() == rounding.STORED.keys()
    assert [name for name, y in results.items() if not rounding.is_bf16(y)] == []
    with_one = nearest(x)
    with_one[1, 2, 5, 5] = np.float32(1.001)
    assert [name for name, y in _stored(rng, with_one).items() if rounding.is_bf16(y)] == []
    mg.device.set_precision("fast")
    assert [name for name, y in _stored(rng, nearest(x)).items() if rounding.is_bf16(y)] == []


def test_a_sum_is_stored_as_bf16_if_both_terms_are(rng, emulated):
    """A gradient of weights is not, though the first of its terms may be 0, which is a bf16 number."""
    gw = images(rng, 2, 3, 6, 6)
    np.testing.assert_array_equal(kernels.add(np.zeros_like(gw), gw), gw)
    np.testing.assert_array_equal(kernels.add(gw, np.zeros_like(gw)), gw)
    with_border, widths = np.zeros((2, 3, 8, 8), np.float32), (NONE, NONE, ONE, ONE)
    np.testing.assert_array_equal(kernels.fold(with_border, widths, "reflect", addend=gw), gw)
    assert rounding.is_bf16(kernels.fold(nearest(images(rng, 2, 3, 8, 8)), widths, "reflect", addend=nearest(gw)))


def test_a_norm_rounds_what_it_adds_and_once_the_sum(rng, emulated):
    x, addend = nearest(images(rng, 2, 3, 6, 6)), images(rng, 2, 3, 6, 6)
    mean, _, rstd = kernels.norm_stats(x, "instance", 1e-5)
    exact = (x - mean.astype(np.float64)) * rstd + nearest(addend)
    for y in (kernels.normalized(x, "instance", 1e-5, None, None, addend=addend)[0],
              kernels.norm_apply(x, mean, rstd, None, None, addend=addend)):
        assert (y == nearest(exact)).mean() > 0.98  # else a tie, which float32 decides otherwise
        np.testing.assert_allclose(y, exact, rtol=2.0**-8, atol=1e-6)


def test_statistics_and_gradients_of_parameters_stay_float32(rng, emulated):
    x, gamma = nearest(images(rng, 2, 3, 6, 6)), np.float32([1.01, 1.02, 1.03])
    m = kernels.norm_stats(x, "batch", 1e-5)
    np.testing.assert_allclose(m.mean.ravel(), x.mean((0, 2, 3), dtype=np.float64), rtol=1e-6)
    gx, ggamma, gbeta = kernels.norm_grad(x[::-1], x, m.mean, m.rstd, gamma, "batch")
    np.testing.assert_allclose(gbeta, x.sum((0, 2, 3), dtype=np.float64), rtol=1e-5)
    assert rounding.is_bf16(gx) and not rounding.is_bf16(ggamma) and not rounding.is_bf16(gbeta)


def test_float64_and_other_precisions_are_untouched(rng):
    """To the byte; and afterwards the same functions stand at the door: without bf16 nothing asks for it."""
    before = {name: getattr(kernels, name) for name in kernels._doors[False]}
    doubles = [(name, [v.astype(np.float64) if isinstance(v, np.ndarray) else v for v in arguments])
               for name, arguments in _calls(rng)]
    exact = [getattr(kernels, name)(*arguments).tobytes() for name, arguments in doubles]
    mg.device.set_precision("bf16-emulated")
    assert [getattr(kernels, name)(*arguments).tobytes() for name, arguments in doubles] == exact
    assert kernels.conv2d is not before["conv2d"]
    mg.device.set_precision("fp32")
    assert all(getattr(kernels, name) is kernel for name, kernel in before.items())
    mg.device.set_precision("fast")


def test_every_image_of_a_network_is_bf16_and_every_gradient_of_weights_float32(rng, emulated, monkeypatch):
    """A generator, a discriminator and a loss, forwards and backwards, watched at every primitive."""
    generator, discriminator = mg.models.dcgan(1, 32, 8, 8)
    stored = {}

    def watched(name, function):
        def call(*arrays, **params):
            y = function(*arrays, **params)
            if getattr(y, "ndim", 0) == 4:
                stored.setdefault(name, []).append(rounding.is_bf16(y))
            return y

        return call

    for name in ("conv2d", "conv_transpose2d", "upconv2d", "upconv2d_adjoint", "normalize", "leaky_relu", "gate",
                 "tanh"):
        monkeypatch.setattr(PRIMITIVES[name], "function", watched(name, PRIMITIVES[name].function))
    z = mg.tensor(rng.standard_normal((4, 8), dtype=np.float32))
    logits = discriminator(generator(z))
    ops.mean(ops.square(1.1 - logits)).backward()
    assert all(map(all, stored.values())) and len(stored) == 8, stored
    for p in [*generator.parameters(), *discriminator.parameters()]:
        assert not rounding.is_bf16(p.grad.data), p.shape


def test_the_losses_of_logits_are_float32(rng, emulated):
    """1 - D of logits in bf16 has more digits than bf16; a rectifier in a loss keeps them."""
    logits = nearest(images(rng, 8, 1, 2, 2))
    loss = ops.relu(1.0 - mg.tensor(logits)).data
    np.testing.assert_array_equal(loss, np.maximum(1 - logits, 0))
    assert not rounding.is_bf16(loss)


@pytest.mark.long
def test_products_are_those_of_pytorch_in_bf16(rng, emulated):
    """PyTorch's bf16 convolutions add in float32, too; sums in another order may fall on the other side of a tie."""
    torch = pytest.importorskip("torch")
    x, gy, w = images(rng, 2, 16, 9, 9), images(rng, 2, 8, 9, 9), rng.standard_normal((8, 16, 3, 3), dtype=np.float32)
    tx, tgy, tw = (torch.from_numpy(np.array(v)).to(torch.bfloat16) for v in (x, gy, w))
    twins = {"conv2d": (kernels.conv2d(x, w, None, ONE, ONE, ONE), torch.nn.functional.conv2d(tx, tw, padding=1)),
             "conv_transpose2d": (kernels.conv_transpose2d(gy, w, None, ONE, ONE, ONE, (9, 9)),
                                  torch.nn.functional.conv_transpose2d(tgy, tw, padding=1)),
             "leaky_relu": (kernels.leaky_relu(nearest(x), 0.2), torch.nn.functional.leaky_relu(tx, 0.2))}
    for name, (ours, theirs) in twins.items():
        theirs = theirs.float().numpy()
        assert (ours == theirs).mean() > 0.98, name
        np.testing.assert_allclose(ours, theirs, rtol=2.0**-7, atol=1e-4, err_msg=name)
