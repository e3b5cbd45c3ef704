"""conv.cu against its CPU twin in float64: every geometry, tile and number of splits, few channels, any layout."""

import functools

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order, is_channels_last

from minigan import kernels
from minigan.kernels import cpu
from minigan.kernels.cuda import conv, memory, tiles
from minigan.kernels.cuda.limits import A100, RTX
from minigan.kernels.cuda.partials import FEW, add_partials
from minigan.kernels.geometry import filter_matrices, out_size

#        name                       N  C  O  H   W   kernel  stride  padding dilation
GEOMETRY = {
    "all different":                (2, 3, 5, 11, 14, (3, 4), (2, 3), (1, 2), (1, 1)),
    "stride drops a row":           (2, 2, 3, 8, 9, (3, 3), (2, 2), (0, 0), (1, 1)),
    "dilation and stride coprime":  (1, 2, 3, 12, 13, (3, 2), (3, 2), (2, 1), (2, 3)),
    "dilation shares the stride":   (2, 3, 2, 13, 12, (3, 3), (4, 2), (1, 3), (2, 2)),
    "stride beyond the kernel":     (2, 3, 4, 9, 10, (2, 1), (3, 4), (0, 1), (1, 1)),
    "1x1 kernel, stride, padding":  (2, 3, 4, 4, 5, (1, 1), (2, 3), (1, 2), (1, 1)),
    "one window, one filter":       (3, 5, 1, 4, 4, (4, 4), (1, 1), (0, 0), (1, 1)),
    "one row of windows":           (1, 2, 3, 2, 9, (4, 3), (2, 1), (1, 0), (1, 1)),
    "one channel in":               (3, 1, 8, 8, 6, (4, 4), (2, 2), (1, 1), (1, 1)),
    "one channel, one filter":      (2, 1, 1, 7, 5, (3, 2), (1, 2), (1, 1), (1, 1)),
    "one channel in, many out":     (2, 1, 20, 9, 8, (3, 4), (2, 3), (2, 1), (2, 1)),
    "padding beyond the kernel":    (1, 2, 3, 3, 4, (2, 2), (2, 1), (3, 4), (1, 1)),
    "few filters, stride 1":        (2, 24, 2, 6, 7, (3, 4), (1, 1), (1, 2), (1, 1)),
    "one filter, dilated":          (2, 20, 1, 6, 7, (3, 3), (1, 1), (1, 2), (1, 2)),
    "few channels in, upsampled":   (2, 3, 20, 10, 14, (4, 4), (2, 2), (1, 1), (1, 1)),
    "DCGAN":                        (3, 20, 40, 10, 14, (4, 4), (2, 2), (1, 1), (1, 1)),
    "DCGAN's last, splits":         (2, 64, 1, 4, 4, (4, 4), (1, 1), (0, 0), (1, 1)),
    "one pixel, splits":            (5, 12, 40, 4, 4, (4, 4), (1, 1), (0, 0), (1, 1)),
    "linear layer":                 (9, 33, 70, 1, 1, (1, 1), (1, 1), (0, 0), (1, 1)),
    "dilated, 4 channels":          (1, 4, 20, 9, 8, (3, 3), (1, 1), (2, 2), (2, 2)),
}  # fmt: skip
BOUND = {"float64": (np.float64, "fp32", 1e-14), "fp32": (np.float32, "fp32", 2e-6), "tf32": (np.float32, "tf32", 2e-3)}


@pytest.fixture(autouse=True)
def precision_as_before():
    before = kernels.get_precision()
    yield
    kernels.set_precision(before)


@pytest.fixture(params=BOUND)
def bound(request):
    """Set the precision; returns the dtype, and a tolerance relative to the result's largest number."""
    dtype, precision, tolerance = BOUND[request.param]
    kernels.set_precision(precision)
    return dtype, tolerance


@functools.cache
def case(name):
    """(x, w, gy, bias of O, bias of C), keyword arguments, and the CPU's results in float64."""
    N, C, O, H, W, kernel, stride, padding, dilation = GEOMETRY[name]
    rng = np.random.default_rng(0)
    size = (out_size(*axis) for axis in zip((H, W), kernel, stride, padding, dilation, strict=True))
    shapes = (N, C, H, W), (O, C, *kernel), (N, O, *size), (O,), (C,)
    arrays = [rng.normal(size=shape).astype(np.float32).astype(np.float64) for shape in shapes]
    how = (stride, padding, dilation)
    return arrays, how, compute(cpu, arrays, how)


def compute(module, arrays, how):
    """All three products by a module, with biases."""
    x, w, gy, b, c = arrays
    return (module.conv2d(x, w, b, *how), module.conv_transpose2d(gy, w, c, *how, x.shape[2:]),
            module.conv2d_weight_grad(x, gy, w.shape[2:], *how))


def assert_close(result, wanted, tolerance):
    for y, value in zip(result, wanted, strict=True):
        assert y.shape == value.shape
        np.testing.assert_allclose(y, value, rtol=0, atol=tolerance * np.abs(value).max())


@pytest.mark.parametrize("name", GEOMETRY)
def test_equal_the_twin(device, bound, name):
    dtype, tolerance = bound
    arrays, how, wanted = case(name)
    there = [device.put(channels_last(a.astype(dtype)) if a.ndim == 4 else a.astype(dtype)) for a in arrays]
    result = compute(conv, there, how)
    assert is_channels_last(result[0]) and is_channels_last(result[1])
    assert result[2].transpose(2, 3, 1, 0).flags.c_contiguous and all(y.dtype == dtype for y in result)
    assert_close([device.get(y) for y in result], wanted, tolerance)


@pytest.mark.parametrize("name", ["all different", "few filters, stride 1", "DCGAN", "DCGAN's last, splits"])
def test_every_order_of_threads_gives_the_same_bytes(device, bound, name):
    arrays, how, wanted = case(name)
    there = [device.put(a.astype(bound[0])) for a in arrays]
    assert_close(in_every_order(device, lambda: compute(conv, there, how)), wanted, bound[1])


@pytest.mark.long
@pytest.mark.parametrize("tile", [*tiles.TILES, tiles.HALF, tiles.NARROW], ids=lambda t: f"{t.BM}x{t.BN}")
@pytest.mark.parametrize("splits", [1, 3, 50])
def test_every_tile_and_split(device, monkeypatch, tile, splits):
    """Also tiles that only larger problems use, and splits without anything to add."""
    monkeypatch.setattr(conv, "plan", lambda *_: (tile, splits))
    arrays, how, wanted = case("DCGAN")
    there = [device.put(a.astype(np.float32)) for a in arrays]
    assert_close(in_every_order(device, lambda: compute(conv, there, how)), wanted, 2e-3)


@pytest.mark.long
@pytest.mark.parametrize("limits", [A100._replace(multiprocessors=1), RTX._replace(multiprocessors=4)],
                         ids=["A100", "RTX"])
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_as_on_other_cards(device, monkeypatch, limits, precision):
    """Fewer multiprocessors get larger tiles, less shared memory shallower ones and fewer at once."""
    if precision == "bf16":
        pytest.importorskip("ml_dtypes")
    monkeypatch.setattr(device.backend, "limits", lambda: limits)
    kernels.set_precision(precision)
    bound = 2e-3 if precision == "tf32" else 3e-2
    for name in ("DCGAN", "few channels in, upsampled", "one pixel, splits", "linear layer", "all different"):
        arrays, how, wanted = case(name)
        there = [device.put(a.astype(np.float32)) for a in arrays]
        results = [device.get(y).astype(np.float64) for y in compute(conv, there, how)]
        assert_close(results, wanted, bound)


def test_without_bias_and_without_images(device):
    (x, w, gy, _, c), how, (y, gx, _) = case("all different")
    there = [device.put(a) for a in (x, w, gy)]
    result = conv.conv_transpose2d(there[2], there[1], None, *how, x.shape[2:])
    assert_close([device.get(result)], [gx - c[:, None, None]], 1e-14)
    assert conv.conv2d(there[0][:0], there[1], None, *how).shape == (0, *y.shape[1:])
    gw = conv.conv2d_weight_grad(there[0][:0], there[2][:0], w.shape[2:], *how)
    assert gw.shape == w.shape and not device.get(gw).any()


def test_rows_that_no_tap_reaches_get_the_bias(device):
    x, w = device.put(np.ones((1, 1, 2, 2))), device.put(np.ones((1, 1, 2, 2)))
    y = conv.conv_transpose2d(x, w, None, (3, 3), (0, 0), (1, 1), (6, 7))
    assert device.get(y)[0, 0].sum(0).tolist() == [4, 4, 0, 4, 4, 0, 0]
    y = conv.conv_transpose2d(x, w, device.put(np.full(1, 7.0)), (3, 3), (0, 0), (1, 1), (6, 7))
    assert (device.get(y)[0, 0, 2] == 7).all()


@pytest.mark.parametrize("output_size", [(14, 10), (15, 11)])
def test_upsampling(device, bound, rng, output_size):
    """The 4x4 filters of an up-convolution, with one row and column more than the default."""
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in ((2, 8, 7, 5), (8, 20, 4, 4), 20))
    how = (2, 2), (1, 1), (1, 1), output_size
    wanted = cpu.conv_transpose2d(*(a.astype(float) for a in (x, w, b)), *how)
    there = [device.put(a.astype(bound[0])) for a in (x, w, b)]
    assert_close([device.get(conv.conv_transpose2d(*there, *how))], [wanted], bound[1])


@pytest.mark.parametrize("seed", range(12))
def test_adjoints(device, seed):
    """<conv(x, w), g> = <x, conv_transpose(g, w)> = <w, weight_grad(x, g)>, up to rounding."""
    rng = np.random.default_rng(seed)
    C, O = [(1, 3), (3, 1), (4, 20), (20, 4)][seed % 4]
    kernel, stride, padding, dilation = (tuple(rng.integers(low, 4, 2).tolist()) for low in (1, 1, 0, 1))
    size = [int(rng.integers(max(1, d * (k - 1) + 1 - 2 * p), 12)) for k, p, d in
            zip(kernel, padding, dilation, strict=True)]
    x, w = device.put(rng.normal(size=(2, C, *size))), device.put(rng.normal(size=(O, C, *kernel)))
    how = stride, padding, dilation
    y = conv.conv2d(x, w, None, *how)
    g = device.put(rng.normal(size=y.shape))
    gx, gw = conv.conv_transpose2d(g, w, None, *how, tuple(size)), conv.conv2d_weight_grad(x, g, kernel, *how)
    forms = [np.vdot(device.get(a), device.get(b)) for a, b in ((y, g), (x, gx), (w, gw))]
    np.testing.assert_allclose(forms, forms[0], rtol=0, atol=1e-13 * np.abs(device.get(y)).sum() * 4)


def test_any_layout_and_alignment(device):
    arrays, how, wanted = case("dilated, 4 channels")
    arrays = [a.astype(np.float32) for a in arrays]
    wide = [np.stack([np.full_like(a, np.nan), a], -1) for a in arrays]  # every second number
    odd = [np.concatenate([np.zeros(1, a.dtype), channels_last(a).transpose(0, 2, 3, 1).ravel()]) for a in arrays[:1]]
    shifted = device.put(odd[0])[1:].reshape(*(arrays[0].shape[i] for i in (0, 2, 3, 1))).transpose(0, 3, 1, 2)
    for there in ([device.put(a)[..., 1] for a in wide], [shifted, *(device.put(a) for a in arrays[1:])]):
        assert_close([device.get(y) for y in compute(conv, there, how)], wanted, 2e-3)


def test_no_copies_of_what_lies_right(device):
    (x, w, gy, b, c), how, _ = case("DCGAN")
    filters = w.transpose(2, 3, 1, 0).copy().transpose(3, 2, 0, 1)  # stored as (KH, KW, C, O)
    there = [device.put(a) for a in (channels_last(x), filters, channels_last(gy), b, c)]
    before = memory.layout_copies()
    compute(conv, there, how)
    assert memory.layout_copies() == before
    matrices = memory.contiguous(filter_matrices(there[1]))
    assert matrices.data.ptr == there[1].data.ptr


def test_precision():
    with pytest.raises(ValueError, match="fp32"):
        kernels.set_precision("fp8")
    kernels.set_precision("fp32")
    assert kernels.get_precision() == "fp32"


def test_precision_is_what_it_says(device):
    arrays, how, wanted = case("DCGAN")
    there = [device.put(a.astype(np.float32)) for a in arrays]
    errors = {}
    for precision in ("fp32", "tf32"):
        kernels.set_precision(precision)
        y = device.get(conv.conv2d(there[0], there[1], there[3], *how))
        errors[precision] = np.abs(y - wanted[0]).max() / np.abs(wanted[0]).max()
    assert errors["fp32"] < 2e-6 and errors["tf32"] < 2e-3
    if device.name == "emulated":
        assert errors["tf32"] > 1e-5  # tensor cores are used


def test_plan_fills_a_gpu():
    """Small layers of DCGAN give at least a hundred blocks, unless their depth is too short to split."""
    for rows, columns, depth, count in ((64 * 64, 128, 1024, 1), (64 * 16, 256, 2048, 1), (64, 1, 4096, 1),
                                        (64 * 16, 128, 1024, 4), (1024, 128, 64 * 64, 1), (64, 4096, 100, 1)):
        tile, splits = tiles.plan(rows, columns, depth, count, True)
        blocks = count * splits * -(-rows // tile.BM) * -(-columns // tile.BN)
        assert blocks >= 60 or splits >= depth // tiles.LEAST, (rows, columns, depth, tile, splits)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [8, 5])
def test_partial_sums_are_added_in_order(device, real, columns):
    """The same bytes as one addition after the other, for few parts and for many, with 16 bytes at once or without."""
    rng = np.random.default_rng(0)
    for parts in (2, 3, FEW, FEW + 5):
        partial, b = (rng.normal(size=shape).astype(real) for shape in ((parts, 270 * columns), (columns,)))
        rows = [sum(partial[row::8], np.zeros_like(partial[0])) for row in range(8)]  # of FEW parts, each has one
        for bias in (b, None):
            wanted = sum(rows[1:], rows[0]) + (0 if bias is None else np.tile(bias, 270))
            y = device.put(np.full(270 * columns, np.nan, real))
            add_partials(device.put(partial), device.put(bias), y, columns, parts)
            np.testing.assert_array_equal(device.get(y), wanted)
