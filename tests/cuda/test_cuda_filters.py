"""Filters of an up-convolution: against the sum in the docstring, written as loops, and against each other."""

import numpy as np
import pytest

from minigan.kernels.cuda.filters import blur_filters, unblur_filters

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
