"""reduce.cu against numpy.sum: all axes and layouts, exact sums of ones, errors that do not grow with the length."""

import itertools

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

from minigan.kernels.cuda.reduce import reduce_sum

LAYOUTS = [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2)]


@pytest.mark.parametrize("axes", [None, 1, -1, (), *itertools.chain(
    itertools.combinations(range(4), 2), itertools.combinations(range(4), 3))])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_equals_numpy(device, rng, axes, layout):
    x = np.ascontiguousarray(rng.normal(size=(3, 4, 5, 7)).transpose(layout)).transpose(np.argsort(layout))
    for keepdims in (False, True):
        y = device.get(reduce_sum(device.put(x), axes, keepdims))
        assert y.shape == x.sum(axes, keepdims=keepdims).shape
        np.testing.assert_allclose(y, x.sum(axes, keepdims=keepdims), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape, axes", [
    ((64, 3, 9, 9), (0, 2, 3)), ((4, 24, 19, 31), (0, 2, 3)), ((3, 1, 100, 84), (0, 2, 3)), ((700, 30), 0),
    ((1,), 0), ((9, 5001), 1), ((300, 10), 1), ((4, 130, 8, 8), (2, 3)), ((1, 3, 1, 1), (0, 2, 3)), ((2, 1, 3), 1),
    ((), None), ((5000,), 0), ((0, 3), 0), ((3, 0), 0), ((3, 0), 1),
])
def test_in_parts(device, rng, shape, axes):
    x = channels_last(rng.normal(size=shape)) if len(shape) == 4 else rng.normal(size=shape)
    y = in_every_order(device, lambda: reduce_sum(device.put(x), axes))
    np.testing.assert_allclose(y, x.sum(axes), rtol=1e-11, atol=1e-11)
    y = in_every_order(device, lambda: reduce_sum(device.put(x.astype(np.float32)), axes))
    assert y.dtype == np.float32
    assert (np.abs(y - x.sum(axes)) <= 3e-7 * np.abs(x).sum(axes)).all()


def test_ten_million_ones(device):
    ones = device.backend.full((10**7,), 1.0, np.float32)
    assert device.get(reduce_sum(ones)) == 10**7
    assert (device.get(reduce_sum(ones.reshape(10**5, 100), 0)) == 10**5).all()


def test_the_error_does_not_grow_with_the_length(device):
    for n in (10**4, 10**6):
        tenths = np.full(n, 0.1, np.float32)
        total = float(device.get(reduce_sum(device.put(tenths))))
        assert abs(total / (n * float(tenths[0])) - 1) < 1e-6


def test_the_result_is_new_memory(device, rng):
    x = rng.normal(size=(1, 3))
    there = device.put(x)
    for axes in (0, ()):
        y = reduce_sum(there, axes)
        y += 1
    np.testing.assert_array_equal(device.get(there), x)
