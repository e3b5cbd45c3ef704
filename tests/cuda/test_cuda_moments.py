"""Moments that products leave for the norm after them: those of their result in float64, and never those of another."""

import contextlib
import functools

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

import minigan as mg
from minigan import kernels, nn
from minigan.kernels.cuda import conv, hopper, loader, moments, norm, tiles

FORMS = [hopper.Form(tile, *cut) for tile, cut in zip(hopper.TILES, ((1, 1), (2, 2), (4, 4), (8, 8)), strict=True)]
TILES = [*tiles.TILES, tiles.HALF, tiles.NARROW]


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels launched so far."""
    names, call = [], loader.Kernel.__call__
    monkeypatch.setattr(loader.Kernel, "__call__", lambda k, *a, **o: names.append(k.name) or call(k, *a, **o))
    return names


def products(device, dtype=np.float32, channels=32, images=(3, 16, 16)):
    """Functions: conv2d, and conv_transpose2d of stride 2, whose four phases are of one size; to 40 channels."""
    N, H, W = images
    rng = np.random.default_rng(0)
    x, w, b = (device.put(channels_last(a) if a.ndim == 4 else a) for a in (
        rng.normal(size=s).astype(dtype) for s in ((N, channels, H, W), (40, channels, 3, 3), (40,))))
    v = device.put(rng.normal(size=(channels, 40, 4, 4)).astype(dtype))
    half = x[:, :, : H // 2, : W // 2]
    return (lambda: conv.conv2d(x, w, b, (1, 1), (1, 1), (1, 1)),
            lambda: conv.conv_transpose2d(half, v, b, (2, 2), (1, 1), (1, 1), (H // 2 * 2, W // 2 * 2)))


def stats(product, over, wanted=True):
    if wanted:
        with kernels.moments_wanted():
            y = product()
    else:
        y = product()
    return (y, *norm.norm_stats(y, over, 1e-5))


def change_in_place(y):
    """y *= 2, by one of our kernels."""
    flat = y.transpose(0, 2, 3, 1).reshape(-1)
    loader.kernel("norm.cu", "update_running", y)(
        -(-y.size // 256), 256, (flat, flat.copy(), flat.copy() * 3, flat.copy(), 0.5, 1.0, y.size))


def check(device, product, over, tolerance):
    y, mean, var, rstd = in_every_order(device, lambda: stats(product, over))
    axes = {"batch": (0, 2, 3), "instance": (2, 3)}[over]
    np.testing.assert_allclose(mean, y.mean(axes, np.float64, keepdims=True), rtol=tolerance, atol=10 * tolerance)
    np.testing.assert_allclose(var, y.var(axes, np.float64, keepdims=True), rtol=tolerance)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(var + 1e-5), rtol=tolerance)


@pytest.mark.parametrize("tile", [pytest.param(tile, marks=[] if tile is tiles.SQUARE else pytest.mark.long)
                                  for tile in TILES], ids=lambda tile: f"{tile.BM}x{tile.BN}")
@pytest.mark.parametrize("over, images", [("batch", (3, 14, 12)), ("instance", (2, 16, 32))])
def test_of_conv(device, monkeypatch, launched, tile, over, images):
    """Phases of 7 x 6 pixels: the last block of each has fewer rows."""
    monkeypatch.setattr(conv, "plan", lambda *_: (tile, 1))
    for product in products(device, np.float32, 12, images):
        check(device, product, over, 2e-6)
    assert set(launched) == {"gemm", "norm_merge"}


@pytest.mark.long
def test_of_float64(device, launched):
    for product in products(device, np.float64, 8):
        check(device, product, "batch", 1e-13)
    assert set(launched) == {"gemm", "norm_merge"}


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, (*form.tile[:2], *form[1:]))))
@pytest.mark.parametrize("over, images", [("batch", (2, 18, 20)), ("instance", (2, 32, 16))])
def test_of_hopper(device, monkeypatch, launched, form, over, images):
    monkeypatch.setattr(hopper, "WORTH", 0)
    monkeypatch.setattr(hopper, "plan", lambda *_: form)
    for product in products(device, images=images):
        check(device, product, over, 2e-6)
    assert set(launched) == {"arrange", "hopper_gemm", "norm_merge"}


@pytest.mark.long
def test_a_mean_of_1000_leaves_a_deviation_of_a_hundredth(device, launched):
    x = device.put(channels_last(np.random.default_rng(0).normal(size=(2, 4, 16, 16)).astype(np.float32)))
    w, b = device.put(np.full((8, 4, 1, 1), 5e-3, np.float32)), device.put(np.full(8, 1000, np.float32))
    y, mean, var, _ = in_every_order(
        device, lambda: stats(lambda: conv.conv2d(x, w, b, (1, 1), (0, 0), (1, 1)), "batch"))
    np.testing.assert_allclose(mean, y.mean((0, 2, 3), np.float64, keepdims=True), rtol=6e-8)
    np.testing.assert_allclose(var, y.var((0, 2, 3), np.float64, keepdims=True), rtol=3e-6)
    assert "norm_merge" in launched


@pytest.mark.parametrize("over, images", [("batch", (3, 14, 12)), ("instance", (2, 16, 32))])
@pytest.mark.parametrize("affine, slope", [(True, None), (False, 0.2)])
def test_one_launch_merges_and_normalises(device, monkeypatch, launched, over, images, affine, slope):
    """The numbers of two launches, which remain where a block would read more parts than rows.

    Running statistics move in the same launch, for each group in turn; an addend is added in it.
    """
    monkeypatch.setattr(conv, "plan", lambda *_: (tiles.SQUARE, 1))
    vectors = [device.put(np.linspace(-1, 2, 40).astype(np.float32)) if affine else None for _ in range(2)]

    def fused(product):
        running = [device.put(np.full(40, start, np.float32)) for start in (3, 5)] if affine else None
        with kernels.moments_wanted():
            y = product()
        addend = device.put(np.arange(y.size, dtype=np.float32).reshape(y.shape)) if affine else None
        result = norm.normalized(y, over, 1e-5, *vectors, slope, running and kernels.Running(*running, 0.25), addend)
        return *result, *(running or ())

    for product in products(device, np.float32, 12, images):
        launched.clear()
        result = in_every_order(device, lambda product=product: fused(product))
        assert set(launched) == {"gemm", "norm_merge_apply"}
        with monkeypatch.context() as many:
            many.setattr(moments.Left, "lines", lambda *_: 1000)
            two = fused(product)
        assert launched[-3:] == ["gemm", "norm_merge", "norm_apply"]
        for one, other in zip(result, two, strict=True):
            np.testing.assert_allclose(one, device.get(other), rtol=1e-6, atol=1e-6)
        if affine:
            mean, var, count = 3, 5, result[0].size // result[1].size
            for own_mean, own_var in zip(result[1][..., 0, 0], result[2][..., 0, 0], strict=True):  # (40,)
                mean, var = 0.75 * mean + 0.25 * own_mean, 0.75 * var + 0.25 * own_var * count / (count - 1)
            np.testing.assert_allclose(result[4], mean, rtol=1e-6)
            np.testing.assert_allclose(result[5], var, rtol=1e-6)


def test_a_product_that_leaves_moments_is_cut_within_clusters():
    """If that costs less than reading its result again; else partial sums stay."""
    sizes = 0, 2048, 256, 2304, 1
    parts, whole = hopper.plan(*sizes), hopper.plan(*sizes, moments=True)
    assert parts.splits > parts.cluster and whole.splits == whole.cluster
    assert hopper.microseconds(whole, *sizes) <= hopper.microseconds(parts, *sizes) + hopper.READ_AGAIN
    assert hopper.plan(0, 1922, 512, 4096, 1, moments=True) == hopper.plan(0, 1922, 512, 4096, 1)


@pytest.mark.parametrize("change", ["nothing asked", "in place", "another array", "part of it", "rows of two images",
                                    "phases of other sizes", "splits", "twice"])
def test_they_are_not_used_for_other_numbers(device, monkeypatch, launched, change):
    """The images are read where what was left is not theirs, or may not be any more."""
    over, images = ("instance", (2, 14, 12)) if change == "rows of two images" else ("batch", (2, 16, 16))
    product, transposed = products(device, np.float32, 12, images)
    monkeypatch.setattr(conv, "plan", lambda *_: (tiles.SQUARE, 3 if change == "splits" else 1))
    if change == "phases of other sizes":
        x, w = device.put(np.ones((1, 4, 16, 16), np.float32)), device.put(np.ones((4, 8, 3, 3), np.float32))

        def product():
            return conv.conv_transpose2d(x, w, None, (2, 2), (1, 1), (1, 1), (31, 31))

    if change == "nothing asked":
        y = product()
    else:
        with kernels.moments_wanted():
            y = product()
    if change == "in place":
        change_in_place(y)
    if change == "another array":
        y = y.copy()
    if change == "part of it":
        y = y[:1]
    if change == "twice":
        norm.norm_stats(y, over, 1e-5)
        launched.clear()
    mean, _, _ = norm.norm_stats(y, over, 1e-5)
    assert "norm_merge" not in launched
    axes = (2, 3) if over == "instance" else (0, 2, 3)
    np.testing.assert_allclose(device.get(mean), device.get(y).mean(axes, np.float64, keepdims=True), atol=1e-5)


def test_an_array_in_the_memory_of_one_that_was_freed(device, launched):
    """What is left keeps its array, so a new one has another address, until a norm or the next product."""
    product, _ = products(device, np.float32, 12)
    with kernels.moments_wanted():
        address = product().data.ptr
    others = [device.put(np.ones((3, 16, 16, 40), np.float32)) for _ in range(3)]
    assert address not in [other.data.ptr for other in others]
    norm.norm_stats(others[0].transpose(0, 3, 1, 2), "batch", 1e-5)
    assert launched[-1] == "norm_moments"


@pytest.mark.long
@pytest.mark.parametrize("layer", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_a_sequence_of_layers(device, launched, layer):
    """In training the norms of a sequence merge what its convolutions leave; in evaluation nothing is left."""
    mg.set_device(device.name)
    kernels.set_precision("fp32")  # else a last digit could become one of TF32
    try:
        x = mg.tensor(np.random.default_rng(0).normal(size=(2, 8, 16, 16)).astype(np.float32))
        net = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(8, 8, 3), layer(8), nn.LeakyReLU(0.2),
                            nn.UpConv2d(8, 8, 3), layer(8), nn.ConvTranspose2d(8, 8, 4, 2, 1), layer(8))
        result = net(x).numpy()
        assert launched.count("norm_merge_apply") == 3
        assert not {"update_running", "norm_merge", "norm_moments"} & set(launched)
        for part in net:
            x = part(x)
        assert launched.count("norm_moments") == 3
        np.testing.assert_allclose(result, x.numpy(), atol=2e-5)
        launched.clear()
        if layer is nn.BatchNorm2d:
            net.eval()(x)
            assert not {"norm_moments", "norm_merge"} & set(launched)
            assert kernels.values.handed.left is None
    finally:
        kernels.set_precision("fast")
        mg.set_device("cpu")


@pytest.mark.parametrize("over, images", [("batch", (3, 14, 12)), ("instance", (2, 16, 32))])
def test_running_statistics_move_as_by_moments_that_are_computed(device, monkeypatch, launched, over, images):
    """Once for each group in order, in the launch that merges what the product has left."""
    monkeypatch.setattr(conv, "plan", lambda *_: (tiles.SQUARE, 1))
    product, _ = products(device, images=images)
    start = np.random.default_rng(1).random((2, 40)).astype(np.float32)

    def moved(wanted):
        running = [device.put(values) for values in start]
        with kernels.moments_wanted() if wanted else contextlib.nullcontext():
            y = product()
        norm.norm_stats(y, over, 1e-5, kernels.Running(*running, 0.3))
        return tuple(running)

    left, computed = (in_every_order(device, functools.partial(moved, wanted)) for wanted in (True, False))
    assert launched.count("norm_merge") == launched.count("norm_moments") > 0 and "update_running" not in launched
    np.testing.assert_allclose(left, computed, rtol=1e-5, atol=1e-5)
    assert not np.allclose(left, start)


def test_moments_of_phases_are_not_those_of_half_an_image(device):
    """Of an image of 6 rows in two groups: a phase's first half is not the group's."""
    rng = np.random.default_rng(0)
    x, w = (device.put(channels_last(rng.normal(size=s).astype(np.float32))) for s in ((1, 8, 3, 256), (8, 16, 4, 4)))
    with kernels.moments_wanted():
        y = conv.conv_transpose2d(x, w, None, (2, 2), (1, 1), (1, 1), (6, 512))
    halves = y.transpose(0, 2, 3, 1).reshape(2, 3, 512, 16).transpose(0, 3, 1, 2)  # (2, 16, 3, 512)
    mean = norm.norm_stats(halves, "instance", 1e-5).mean
    np.testing.assert_allclose(device.get(mean).ravel(), device.get(halves).mean((2, 3)).ravel(), rtol=1e-4, atol=1e-5)
