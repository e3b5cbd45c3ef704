"""pool.cu against its CPU twin, to the bit."""

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order, is_channels_last

from minigan.kernels import cpu
from minigan.kernels.cuda import pool

SHAPES = [(1, 1, 5, 7), (2, 3, 6, 8), (2, 4, 5, 7), (3, 20, 4, 5), (1, 70, 3, 9)]
GEOMETRIES = [((2, 2), (2, 2), (0, 0)), ((3, 2), (2, 1), (1, 0)), ((3, 3), (1, 1), (1, 1)), ((1, 2), (2, 3), (0, 1)),
              ((3, 3), (2, 2), (1, 1))]
WIDE = [((3, 2), (2, 1), (1, 0), (2, 3), False), ((3, 2), (2, 3), (1, 0), (1, 1), True),
        ((2, 2), (3, 2), (0, 1), (2, 1), True), ((2, 3), (1, 2), (1, 1), (2, 2), True)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_equals_the_twin(device, rng, dtype, shape, geometry):
    x = channels_last(rng.integers(-3, 3, shape).astype(dtype))  # many ties
    y, index = in_every_order(device, lambda: pool.max_pool2d(device.put(x), *geometry))
    wanted, wanted_index = cpu.max_pool2d(x, *geometry)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(index, wanted_index)
    assert index.dtype == wanted_index.dtype

    other, g = rng.normal(size=shape).astype(dtype), channels_last(rng.normal(size=y.shape).astype(dtype))
    anywhere = rng.integers(0, geometry[0][0] * geometry[0][1], y.shape, np.uint8)  # also in the padding
    for taps in (index, anywhere):
        taken = in_every_order(device, lambda t=taps: pool.pool_take(device.put(other), device.put(t), *geometry))
        np.testing.assert_array_equal(taken, cpu.pool_take(other, taps, *geometry))
        back = in_every_order(device, lambda t=taps: pool.pool_put(device.put(g), device.put(t), *geometry, shape[2:]))
        np.testing.assert_array_equal(back, cpu.pool_put(g, taps, *geometry, shape[2:]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 6, 8), (2, 4, 5, 7), (3, 20, 5, 7)])
@pytest.mark.parametrize("kernel, stride, padding, dilation, ceil", WIDE)
def test_dilation_and_ceil_equal_the_twin(device, rng, dtype, shape, kernel, stride, padding, dilation, ceil):
    x, geometry = channels_last(rng.integers(-3, 3, shape).astype(dtype)), (kernel, stride, padding)
    y, index = in_every_order(device, lambda: pool.max_pool2d(device.put(x), *geometry, dilation, ceil))
    wanted, wanted_index = cpu.max_pool2d(x, *geometry, dilation, ceil)
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(index, wanted_index)
    other, g = rng.normal(size=shape).astype(dtype), channels_last(rng.normal(size=y.shape).astype(dtype))
    anywhere = rng.integers(0, kernel[0] * kernel[1], y.shape, np.uint8)  # also in the padding and beyond it
    for taps in (index, anywhere):
        there = device.put(taps)
        taken = in_every_order(device, lambda t=there: pool.pool_take(device.put(other), t, *geometry, dilation))
        np.testing.assert_array_equal(taken, cpu.pool_take(other, taps, *geometry, dilation))
        back = in_every_order(device, lambda t=there: pool.pool_put(device.put(g), t, *geometry, shape[2:], dilation))
        np.testing.assert_array_equal(back, cpu.pool_put(g, taps, *geometry, shape[2:], dilation))


def test_special_numbers(device, rng):
    x = channels_last(rng.choice([np.nan, np.inf, -np.inf, 0.0, 1.0], size=(3, 4, 6, 6), p=[0.1, 0.1, 0.6, 0.1, 0.1]))
    for geometry in GEOMETRIES:
        result, wanted = pool.max_pool2d(device.put(x), *geometry), cpu.max_pool2d(x, *geometry)
        for a, b in zip(result, wanted, strict=True):
            np.testing.assert_array_equal(device.get(a), b)


def test_windows_of_more_taps_than_a_byte_counts(device, rng):
    x = rng.normal(size=(1, 4, 20, 19))
    geometry = (17, 18), (2, 1), (3, 1)
    y, index = in_every_order(device, lambda: pool.max_pool2d(device.put(x), *geometry))
    wanted, wanted_index = cpu.max_pool2d(x, *geometry)
    np.testing.assert_array_equal(index, wanted_index)
    assert index.dtype == np.int32
    np.testing.assert_array_equal(device.get(pool.pool_take(device.put(x), device.put(index), *geometry)), wanted)
    back = device.get(pool.pool_put(device.put(y), device.put(index), *geometry, (20, 19)))
    np.testing.assert_array_equal(back, cpu.pool_put(wanted, wanted_index, *geometry, (20, 19)))


def test_stored_channels_last(device, rng):
    x = device.put(rng.normal(size=(2, 3, 6, 4)))
    y, index = pool.max_pool2d(x, *GEOMETRIES[0])
    assert all(map(is_channels_last, (y, index, pool.pool_take(x, index, *GEOMETRIES[0]),
                                      pool.pool_put(y, index, *GEOMETRIES[0], (6, 4)))))
