"""Filters of an up-convolution: the sum in the docstring as loops, the up-convolution itself, the adjoint."""

import numpy as np
import pytest
import reference

from minigan import kernels

CASES = [((4, 3, 3, 3), (2, 2)), ((1, 2, 3, 5), (3, 2)), ((2, 1, 1, 4), (1, 2)), ((2, 3, 2, 2), (1, 1))]
rng = np.random.default_rng(4)


@pytest.mark.parametrize("shape, scale", CASES)
def test_blur_is_its_formula_in_any_layout(shape, scale):
    w = rng.standard_normal(shape)
    for stored in reference.layouts(w):
        y = kernels.blur_filters(stored, scale)
        np.testing.assert_allclose(y, reference.blur_filters(w, scale), rtol=1e-13)
        assert y.transpose(2, 3, 1, 0).flags.c_contiguous


@pytest.mark.parametrize("shape, scale", CASES)
def test_unblur_is_the_adjoint_in_any_layout(shape, scale):
    w = rng.standard_normal(shape)
    y = reference.blur_filters(w, scale)
    g = rng.standard_normal(y.shape)
    for stored in reference.layouts(g):
        back = kernels.unblur_filters(stored, scale)
        assert back.shape == shape and back.transpose(2, 3, 0, 1).flags.c_contiguous
        np.testing.assert_allclose(np.sum(back * w), np.sum(g * y), rtol=1e-12)


@pytest.mark.parametrize("shape, scale", CASES)
def test_they_make_an_up_convolution_a_transposed_one(shape, scale):
    """Up-sample, then convolve with w at full padding = conv_transpose2d with the blurred filters at stride `scale`."""
    w, x = rng.standard_normal(shape), rng.standard_normal((2, shape[1], 3, 4))
    full, one = (shape[2] - 1, shape[3] - 1), (1, 1)
    wanted = reference.conv2d(reference.upsample_nearest(x, scale), w, None, one, full, one)
    y = kernels.conv_transpose2d(x, kernels.blur_filters(w, scale), None, scale, (0, 0), one, wanted.shape[2:])
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)
