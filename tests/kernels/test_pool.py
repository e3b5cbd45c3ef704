"""Max pooling: the index in scan order, ties, padding, dilation, NaN; gather and scatter as adjoints."""

import numpy as np
import pytest
import reference

from minigan import kernels

CASES = [  # shape, kernel, stride, padding
    ((2, 3, 6, 8), (2, 2), (2, 2), (0, 0)),
    ((2, 3, 7, 9), (3, 2), (2, 1), (1, 1)),  # overlapping windows, a dropped row
    ((1, 2, 5, 4), (5, 4), (1, 1), (0, 0)),  # one window
    ((2, 1, 9, 8), (2, 3), (3, 4), (0, 1)),  # gaps between windows
    ((1, 5, 4, 4), (1, 1), (1, 1), (0, 0)),
]


def draw(shape):
    """Few distinct numbers, so that ties are common."""
    return np.random.default_rng(2).integers(-3, 4, shape).astype(np.float64)


@pytest.mark.parametrize("shape, kernel, stride, padding", CASES)
def test_equal_loops(shape, kernel, stride, padding):
    x = draw(shape)
    y, index = kernels.max_pool2d(x, kernel, stride, padding)
    wanted, wanted_index = reference.max_pool2d(x, kernel, stride, padding)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(index, wanted_index)
    assert index.dtype.kind in "ui" and index.itemsize == 1
    np.testing.assert_array_equal(kernels.pool_take(x, index, kernel, stride, padding), wanted)
    g = np.random.default_rng(3).standard_normal(y.shape)
    put = kernels.pool_put(g, index, kernel, stride, padding, shape[2:])
    np.testing.assert_allclose(put, reference.pool_put(g, index, kernel, stride, padding, shape[2:]), atol=1e-13)
    other = np.random.default_rng(4).standard_normal(shape)
    taken = kernels.pool_take(other, index, kernel, stride, padding)
    np.testing.assert_array_equal(taken, reference.pool_take(other, index, kernel, stride, padding))
    np.testing.assert_allclose((taken * g).sum(), (other * put).sum(), rtol=1e-12)


WIDE = [  # shape, kernel, stride, padding, dilation, ceil
    ((2, 3, 9, 8), (3, 2), (2, 1), (1, 1), (2, 3), False),
    ((2, 3, 9, 8), (3, 2), (2, 3), (1, 0), (1, 1), True),  # a last window beyond the edge along both axes
    ((1, 2, 6, 7), (2, 3), (3, 2), (1, 1), (2, 2), True),
    ((2, 1, 5, 4), (2, 2), (5, 4), (1, 1), (1, 1), True),  # a last window that would start in the padding is left out
    ((1, 3, 3, 3), (4, 4), (2, 2), (0, 0), (1, 1), True),  # a window that is larger than the input
    ((1, 1, 1, 2), (2, 2), (1, 1), (2, 2), (3, 3), False),  # windows with nothing under them
]


@pytest.mark.parametrize("shape, kernel, stride, padding, dilation, ceil", WIDE)
def test_dilation_and_ceil_equal_loops(shape, kernel, stride, padding, dilation, ceil):
    x, geometry = draw(shape), (kernel, stride, padding)
    y, index = kernels.max_pool2d(x, *geometry, dilation, ceil)
    wanted, wanted_index = reference.max_pool2d(x, *geometry, dilation, ceil)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(index, wanted_index)
    other, g = (np.random.default_rng(4).standard_normal(size) for size in (shape, y.shape))
    taken = kernels.pool_take(other, index, *geometry, dilation)
    np.testing.assert_array_equal(taken, reference.pool_take(other, index, *geometry, dilation))
    put = kernels.pool_put(g, index, *geometry, shape[2:], dilation)
    np.testing.assert_allclose(put, reference.pool_put(g, index, *geometry, shape[2:], dilation), atol=1e-13)
    np.testing.assert_allclose((taken * g).sum(), (other * put).sum(), atol=1e-12)


def test_nan_and_infinities():
    x = draw((1, 1, 4, 8))
    x[0, 0, 1, 1] = x[0, 0, 2, 3] = x[0, 0, 3, 2] = np.nan
    x[0, 0, 0:2, 4:6] = -np.inf
    x[0, 0, 2, 6] = np.inf
    y, index = kernels.max_pool2d(x, (2, 2), (2, 2), (0, 0))
    wanted, wanted_index = reference.max_pool2d(x, (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(index, wanted_index)


@pytest.mark.parametrize("shape, kernel, stride, padding", CASES)
def test_any_layout_and_memory_order(shape, kernel, stride, padding):
    x = draw(shape)
    wanted, wanted_index = kernels.max_pool2d(x, kernel, stride, padding)
    for xs in reference.layouts(x):
        y, index = kernels.max_pool2d(xs, kernel, stride, padding)
        assert reference.is_channels_last(y) and reference.is_channels_last(index)
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(index, wanted_index)


def test_float32_and_the_same_bytes_at_any_number_of_workers(with_workers):
    x = np.random.default_rng(6).standard_normal((9, 16, 40, 44), dtype=np.float32)

    def every_map():
        y, index = kernels.max_pool2d(x, (3, 3), (2, 2), (1, 1))
        return (
            y,
            index,
            kernels.pool_take(x, index, (3, 3), (2, 2), (1, 1)),
            kernels.pool_put(y, index, (3, 3), (2, 2), (1, 1), (40, 44)),
        )

    results = [with_workers(n, every_map) for n in (1, 2, 3)]
    assert [v.dtype for v in results[0]] == [np.float32, np.uint8, np.float32, np.float32]
    for other in results[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(results[0], other, strict=True))
    np.testing.assert_array_equal(results[0][0], results[0][2])
