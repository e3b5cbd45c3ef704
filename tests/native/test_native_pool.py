"""Max pooling in C against the twins: windows that overlap, dilation, borders, ties, NaN, any layout and threads."""

import itertools
import sys

import numpy as np
import pytest

from minigan.kernels import cpu, native
from minigan.kernels.native.library import LIBRARY

WINDOWS = [  # kernel stride padding dilation ceil
    ((2, 2), (2, 2), (0, 0), (1, 1), False), ((3, 3), (2, 2), (1, 1), (1, 1), False),
    ((3, 2), (1, 2), (1, 1), (2, 3), True), ((1, 1), (3, 2), (0, 0), (1, 1), False),
    ((5, 4), (1, 1), (2, 2), (1, 1), True), ((2, 3), (4, 5), (0, 1), (1, 1), False),
]  # fmt: skip
SHAPES = [(1, 1, 7, 9), (2, 3, 8, 7), (1, 17, 9, 9), (3, 64, 7, 8), (2, 200, 7, 7)]


def results(room, x, g_of, window):
    kernel, stride, padding, dilation, _ = window
    y, index = room.max_pool2d(x, *window)
    g = g_of(y.shape)
    taken = room.pool_take(x, index, kernel, stride, padding, dilation)
    return y, index, taken, room.pool_put(g, index, kernel, stride, padding, x.shape[2:], dilation)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_equal_their_twins(shape, window, rng, with_threads):
    x = rng.integers(-3, 4, shape).astype(np.float32)  # many ties; sums are exact in any order
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(shape)
    g_of = lambda size: np.random.default_rng(1).integers(-9, 9, size).astype(np.float32)
    wanted = results(cpu, x, g_of, window)
    for images, threads in itertools.product((last, x, odd, x[:, ::-1].copy()[:, ::-1]), (1, 2, 3)):
        before = images.tobytes()
        for a, b in zip(with_threads(threads, results, native, images, g_of, window), wanted, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            assert a.strides == b.strides
            assert (a == b).all()
        assert images.tobytes() == before


def test_nan_and_infinity(rng):
    """A NaN is the largest, the first of several; a window of -infinity has its first tap, even in the border."""
    x = rng.standard_normal((2, 9, 8, 8), np.float32)
    x[0, 3, 2, 2] = x[0, 3, 2, 3] = x[1, 8, 7, 7] = np.nan
    x[:, 5] = -np.inf
    x[1, 1] = np.inf
    for window in WINDOWS:
        y, index = native.max_pool2d(x, *window)
        wanted, taps = cpu.max_pool2d(x, *window)
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(index, taps)
        assert (y[:, 5] == -np.inf).all()
        assert (index[:, 5] == 0).all()


def test_taps_of_no_window_and_of_the_border_give_zero(rng):
    x, g = rng.standard_normal((1, 3, 4, 4), np.float32), np.ones((1, 3, 3, 3), np.float32)
    for tap in (255, 100, 4):
        index = np.full((1, 3, 3, 3), tap, np.uint8)
        assert not native.pool_take(x, index, (2, 2), (2, 2), (1, 1)).any()
        assert not native.pool_put(g, index, (2, 2), (2, 2), (1, 1), (4, 4)).any()
    corner = native.pool_take(x, np.zeros((1, 3, 3, 3), np.uint8), (2, 2), (2, 2), (1, 1))
    assert not corner[:, :, 0].any()
    np.testing.assert_array_equal(corner[:, :, 1:, 1:], x[:, :, 1::2, 1::2])


def test_other_types_and_large_windows_are_the_twins(rng):
    x = rng.standard_normal((1, 2, 20, 20), np.float32)
    for a, kernel in ((x.astype(np.float64), (2, 2)), (x, (17, 16)), (x[:0], (2, 2))):
        (y, index), (wanted, taps) = (room.max_pool2d(a, kernel, (1, 1), (0, 0)) for room in (native, cpu))
        assert (y.dtype, y.tobytes()) == (wanted.dtype, wanted.tobytes())
        assert (index.dtype, index.tobytes()) == (taps.dtype, taps.tobytes())
        taken = native.pool_take(a, index, kernel, (1, 1), (0, 0))
        assert taken.tobytes() == y.tobytes()
        put = native.pool_put(y, index.astype(np.int32), kernel, (1, 1), (0, 0), (20, 20))
        np.testing.assert_allclose(put, cpu.pool_put(y, index, kernel, (1, 1), (0, 0), (20, 20)), rtol=1e-6)


def test_bytes_are_bytes():
    """An array of the wrong kind is an error, nothing is written, and it is given back."""
    x, y, index = np.zeros(16, np.float32), np.full(4, 7, np.float32), np.zeros(4, np.uint8)
    sizes = 1, 4, 4, 1, 2, 2, 2, 2, 2, 2, 0, 0, 1, 1
    counts = [sys.getrefcount(a) for a in (x, y, index)]
    for arrays in ((x, y, np.zeros(4, np.int32)), (x, y, y), (index, y, index), (x, index, index)):
        with pytest.raises(TypeError, match="native kernels take"):
            LIBRARY.max_pool2d(1, *arrays, *sizes)
    for arrays in ((x, y, None), (x, y, index[:3]), (x[:15], y, index), (x, y[:3], index)):
        with pytest.raises(ValueError, match="max_pool2d: an array is missing, or smaller than its sizes say"):
            LIBRARY.max_pool2d(1, *arrays, *sizes)
    read_only = index.copy()
    read_only.flags.writeable = False
    with pytest.raises(ValueError):
        LIBRARY.max_pool2d(1, x, y, read_only, *sizes)
    LIBRARY.pool_take(1, x, read_only, y.copy(), *sizes)
    assert (y == 7).all()
    del arrays
    assert [sys.getrefcount(a) for a in (x, y, index)] == counts


def test_wrong_sizes_are_refused():
    x, y, index = np.zeros(16, np.float32), np.zeros(4, np.float32), np.zeros(4, np.uint8)
    good = [1, 4, 4, 1, 2, 2, 2, 2, 2, 2, 0, 0, 1, 1]
    for place, size in [(0, 2), (0, 0), (1, 5), (3, -1), (4, 3), (5, 2**62), (6, 129), (8, 0), (10, -1), (12, 0),
                        (3, 2**62)]:  # fmt: skip
        sizes = [*good[:place], size, *good[place + 1 :]]
        for kernel, arrays in ((LIBRARY.max_pool2d, (x, y, index)), (LIBRARY.pool_take, (x, index, y)),
                               (LIBRARY.pool_put, (y, index, x))):
            with pytest.raises(ValueError, match="an array is missing, or smaller than its sizes say"):
                kernel(1, *arrays, *sizes)
