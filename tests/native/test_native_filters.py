"""Sums of shifted filters in C: the twin's bits, odd channels, any layout."""

import numpy as np
import pytest

from minigan.kernels import cpu, native
from minigan.kernels.native.library import LIBRARY

CHANNELS = [(1, 1), (3, 5), (8, 8), (16, 7), (33, 17), (64, 3), (70, 130)]
KERNELS = [((3, 3), (2, 2)), ((1, 1), (2, 3)), ((2, 5), (3, 1)), ((4, 3), (1, 1)), ((1, 2), (4, 4))]


def same(a, b):
    """Equal to the bit, but zeros of either sign."""
    return a.shape == b.shape and a.dtype == b.dtype and bool((a == b).all())


@pytest.mark.parametrize("O, C", CHANNELS)
@pytest.mark.parametrize("kernel, scale", KERNELS)
def test_equal_their_twins(O, C, kernel, scale, rng, with_threads):
    filters = rng.standard_normal((*kernel, C, O), np.float32).transpose(3, 2, 0, 1)
    size = [k + s - 1 for k, s in zip(kernel, scale, strict=True)]
    g = rng.standard_normal((*size, O, C), np.float32).transpose(3, 2, 0, 1)
    for w, h in ((filters, g), (np.ascontiguousarray(filters), np.ascontiguousarray(g)), (filters[::-1], g[:, ::-1])):
        for threads in (1, 2, 3):
            y = with_threads(threads, native.blur_filters, w, scale)
            back = with_threads(threads, native.unblur_filters, h, scale)
            assert same(y, cpu.blur_filters(w, scale))
            assert same(back, cpu.unblur_filters(h, scale))
            assert back.strides == filters.strides or 1 in filters.shape


def test_by_definition(rng):
    """y[c,o,r,q] = sum of w[o,c, KH-1+a-r, KW-1+b-q] over a < SH, b < SW, where inside w."""
    w, (SH, SW) = rng.standard_normal((2, 3, 3, 2), np.float32), (2, 3)
    truth = np.zeros((3, 2, 4, 4))
    for c, o, r, q, a, b in np.ndindex(3, 2, 4, 4, SH, SW):
        k, l = 2 + a - r, 1 + b - q
        if 0 <= k < 3 and 0 <= l < 2:
            truth[c, o, r, q] += w[o, c, k, l]
    np.testing.assert_allclose(native.blur_filters(w, (SH, SW)), truth, rtol=1e-5, atol=1e-6)


def test_wrong_sizes_are_refused():
    w, y = np.zeros(36, np.float32), np.zeros(64, np.float32)
    good = [3, 3, 2, 2, 4, 4, 2, 2, 2, 2]
    LIBRARY.shifted_filters(1, w, y, *good)
    for place, size in [(0, 4), (1, 0), (2, 3), (3, -2), (4, 5), (5, 2**40), (6, 0), (8, -1), (9, 2**62), (0, 2**62)]:
        with pytest.raises(ValueError, match="shifted_filters: an array is missing, or smaller than its sizes say"):
            LIBRARY.shifted_filters(1, w, y, *good[:place], size, *good[place + 1 :])
