"""Mirrored borders that conv.cu and hopper.cu read in their place, against NumPy's pad and the CPU twin, in float64."""

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

import minigan as mg
from minigan import kernels, nn
from minigan.kernels import cpu
from minigan.kernels.cuda import conv, hopper, loader, products
from minigan.kernels.geometry import out_size

#       N  C   O   H   W   kernel  stride  padding dilation
CASES = {
    "all different": (2, 3, 5, 11, 14, (3, 4), (2, 3), (1, 2), (1, 1)),
    "the widest border": (2, 8, 40, 4, 5, (3, 3), (1, 1), (3, 4), (1, 1)),
    "dilated": (1, 4, 20, 9, 8, (3, 3), (1, 1), (2, 2), (2, 2)),
    "few filters, folded": (2, 20, 2, 8, 9, (7, 7), (1, 1), (3, 3), (1, 1)),
    "few filters, dilated": (1, 20, 1, 8, 9, (3, 5), (1, 1), (2, 4), (2, 2)),
}
LARGE = {
    "residual": (2, 32, 160, 9, 15, (3, 3), (1, 1), (1, 1), (1, 1)),
    "all different": (1, 32, 64, 31, 38, (4, 3), (3, 2), (1, 2), (2, 1)),
    "the widest border": (3, 64, 64, 7, 6, (2, 4), (1, 1), (6, 5), (1, 1)),
}
FORMS = [hopper.Form(tile, *cut) for tile, cut in zip(hopper.TILES, ((1, 1), (2, 4), (1, 1), (8, 8)), strict=True)]


def mirrored_case(geometry):
    """(x, w, b, gy), how, and conv2d and conv2d_weight_grad of the padded image in float64."""
    N, C, O, H, W, kernel, stride, padding, dilation = geometry
    rng = np.random.default_rng(0)
    size = (out_size(*axis) for axis in zip((H, W), kernel, stride, padding, dilation, strict=True))
    x, w, b, gy = (rng.normal(size=s).astype(np.float32).astype(float)
                   for s in ((N, C, H, W), (O, C, *kernel), (O,), (N, O, *size)))
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)), "reflect")
    how = stride, (0, 0), dilation
    wanted = cpu.conv2d(padded, w, b, *how), cpu.conv2d_weight_grad(padded, gy, kernel, *how)
    return (x, w, b, gy), (stride, padding, dilation, True), wanted


def compute(x, w, b, gy, how):
    return conv.conv2d(x, w, b, *how), conv.conv2d_weight_grad(x, gy, w.shape[2:], *how)


def assert_close(result, wanted, tolerance):
    for y, value in zip(result, wanted, strict=True):
        assert np.linalg.norm(y - value) <= tolerance * np.linalg.norm(value)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-14), (np.float32, 4e-4)])
def test_conv_reads_the_border_in_its_place(device, name, dtype, tolerance):
    arrays, how, wanted = mirrored_case(CASES[name])
    there = [device.put(channels_last(a.astype(dtype)) if a.ndim == 4 else a.astype(dtype)) for a in arrays]
    assert_close(in_every_order(device, lambda: compute(*there, how)), wanted, tolerance)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, (*form.tile[:2], *form[1:]))))
@pytest.mark.parametrize("name", LARGE)
def test_hopper_reads_the_border_in_its_place(device, monkeypatch, name, form):
    products, launch = [], hopper.launch
    monkeypatch.setattr(hopper, "launch", lambda *a: products.append(a[-1].mirror) or launch(*a))
    monkeypatch.setattr(hopper, "WORTH", 0)
    monkeypatch.setattr(hopper, "plan", lambda *_: form)
    arrays, how, wanted = mirrored_case(LARGE[name])
    there = [device.put(channels_last(a.astype(np.float32)) if a.ndim == 4 else a.astype(np.float32)) for a in arrays]
    first = [device.get(y) for y in compute(*there, how)]
    assert_close(first, wanted, 4e-4)
    assert products == [True, True]
    for y, again in zip(first, compute(*there, how), strict=True):
        np.testing.assert_array_equal(y, device.get(again))


def test_the_kernel_keeps_corners_in_16_bits(device, monkeypatch):
    """Larger images are left to conv.cu."""
    monkeypatch.setattr(hopper, "WORTH", 0)
    x = device.put(np.zeros((1, 2, 2**14, 32), np.float32))
    w, y = device.put(np.zeros((288, 64), np.float32)), device.put(np.zeros((2**15, 64), np.float32))
    for size, mirror, wanted in ((2**14, True, False), (2**14, False, True), (2**13, True, True)):
        sizes = products.Sizes(2 * size, 64, 288, 1, True, False, mirror)
        geometry = (3, 3, 1, 1, 1, 1, 1, 1, 2, size)
        assert hopper.fits(x, w, y, (1, 2, size, 32), geometry, (32, 64), sizes) == (
            wanted and hopper.backend_of(y).capability()[0] == 9)


def test_a_border_and_a_convolution_are_one_product(device, monkeypatch):
    """nn.Sequential on a device: no kernel copies the image with its border; the same numbers as with the copy."""
    mg.set_device(device.name)
    launched, call = [], loader.Kernel.__call__
    monkeypatch.setattr(loader.Kernel, "__call__", lambda k, *a, **o: launched.append(k.name) or call(k, *a, **o))
    kernels.set_precision("fp32")
    try:
        border, layer = nn.ReflectionPad2d(2), nn.Conv2d(4, 5, 3)
        x = mg.tensor(np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32), requires_grad=True)
        results = []
        for net in (nn.Sequential(border, layer), lambda x: layer(border(x))):
            y = net(x)
            results.append([y.numpy(), *(g.numpy() for g in mg.grad((y * y).sum(), [x, layer.weight]))])
            launched.append("|")
    finally:
        kernels.set_precision("fast")
        mg.set_device("cpu")
    assert "pad" not in launched[: launched.index("|")] and "pad" in launched
    for fused, plain in zip(*results, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=0, atol=2e-6 * np.abs(plain).max())
