"""Filters of an up-convolution: against the sum in the docstring, written as loops, and against each other."""

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

from minigan.kernels import cpu, get_precision, set_precision
from minigan.kernels.cuda import filters, partials
from minigan.kernels.cuda.conv import conv2d_weight_grad
from minigan.kernels.cuda.filters import blur_filters, unblur_filters
from minigan.kernels.cuda.partials import parts_left

CASES = [((4, 3, 3, 3), (2, 2)), ((1, 2, 3, 5), (3, 2)), ((2, 1, 1, 4), (1, 2))]


def by_loops(w, scale):
    """y[c,o,r,q] = sum of w[o,c, KH-1+a-r, KW-1+b-q] over a < SH, b < SW, where inside."""
    (O, C, KH, KW), (SH, SW) = w.shape, scale
    y = np.zeros((C, O, KH + SH - 1, KW + SW - 1))
    for r, q, a, b in np.ndindex(*y.shape[2:], SH, SW):
        if 0 <= KH - 1 + a - r < KH and 0 <= KW - 1 + b - q < KW:
            y[:, :, r, q] += w[:, :, KH - 1 + a - r, KW - 1 + b - q].T
    return y


@pytest.mark.parametrize("shape, scale", CASES)
@pytest.mark.parametrize("stored", [(0, 1, 2, 3), (2, 3, 0, 1)], ids=["row-major", "as layers keep them"])
def test_blur_is_its_formula(device, rng, shape, scale, stored):
    w = np.ascontiguousarray(rng.normal(size=shape).transpose(stored)).transpose(np.argsort(stored))
    for _ in device.orders():
        np.testing.assert_allclose(device.get(blur_filters(device.put(w), scale)), by_loops(w, scale), rtol=1e-13)


@pytest.mark.parametrize("shape, scale", CASES)
def test_unblur_is_the_adjoint(device, rng, shape, scale):
    w, g = rng.normal(size=shape), rng.normal(size=by_loops(np.zeros(shape), scale).shape)
    back = device.get(unblur_filters(device.put(g), scale))
    assert back.shape == shape
    np.testing.assert_allclose(np.sum(back * w), np.sum(g * by_loops(w, scale)), rtol=1e-12)


@pytest.mark.parametrize("parts", [2, 8, 19])
@pytest.mark.parametrize("shape, scale", CASES)
def test_unblur_adds_up_parts(device, rng, shape, scale, parts):
    """Stored as products leave them: the numbers of each part as (KH+SH-1, KW+SW-1, O, C)."""
    C, O, *size = by_loops(np.zeros(shape), scale).shape
    partial = rng.normal(size=(parts, *size, O, C))
    g = device.backend.empty((*size, O, C), np.float64).transpose(3, 2, 0, 1)  # never written, as after a product
    back = in_every_order(device, lambda: filters._unblurred(g, scale, device.put(partial.reshape(parts, -1))))
    wanted = device.get(unblur_filters(device.put(partial.sum(0).transpose(3, 2, 0, 1)), scale))
    np.testing.assert_allclose(back, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_a_deep_sum_is_left_in_parts_and_adds_up(device, rng, precision):
    """An up-convolution's weight gradient over many pixels is that of the twin; other products sum as always."""
    x, g = (channels_last(rng.normal(size=shape)).astype(np.float32) for shape in ((8, 4, 12, 12), (8, 3, 24, 24)))
    there, before = (device.put(x), device.put(g)), get_precision()
    set_precision(precision)
    try:
        with parts_left() as left:
            conv2d_weight_grad(there[1], there[0], (4, 4), (2, 2), (2, 2), (1, 1))
        assert left.partial is not None and len(left.partial) > 1
        gw = in_every_order(device, lambda: filters.upconv2d_weight_grad(*there, (3, 3), (2, 2), (1, 1)))
        summed = device.get(conv2d_weight_grad(there[1], there[0], (4, 4), (2, 2), (2, 2), (1, 1)))
    finally:
        set_precision(before)
    wanted = cpu.upconv2d_weight_grad(x, g, (3, 3), (2, 2), (1, 1))
    bound = {"fp32": 1e-6, "fast": 1e-3}[precision] * np.abs(wanted).max()
    np.testing.assert_allclose(gw, wanted, rtol=0, atol=bound)
    wanted = cpu.conv2d_weight_grad(g, x, (4, 4), (2, 2), (2, 2), (1, 1))
    np.testing.assert_allclose(summed, wanted, rtol=0, atol=4 * bound)


def test_parts_of_another_result_are_not_taken(device, rng):
    """As where a product's result is cut or turned before it is returned: then everything is computed anew."""
    y = device.put(rng.normal(size=(4, 6)))
    with parts_left() as left:
        partials.add_partials(device.put(rng.normal(size=(3, 24))), None, y, 6, 3)
    assert left.are(y) and left.are(y.transpose(1, 0))
    assert not left.are(y[:2]) and not left.are(y.copy()) and not left.are(y[1:])
