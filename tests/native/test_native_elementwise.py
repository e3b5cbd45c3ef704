"""leaky_relu and gate in C against their twins, which they must equal to the bit, and IEEE's rules."""

import numpy as np
import pytest

from minigan.kernels import cpu, native

SIZES = [1, 7, 8, 15, 16, 17, 100, 16383, 16384, 16385, 100_003]
SLOPES = [0.0, 0.2, 1.0, 1.5]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("slope", SLOPES)
def test_equal_their_twins(size, slope, rng, with_threads):
    x, g = rng.standard_normal((2, size), np.float32)
    for threads in (1, 2, 3, 8):
        y = with_threads(threads, native.leaky_relu, x, slope)
        z = with_threads(threads, native.gate, g, x, slope)
        assert y.tobytes() == cpu.leaky_relu(x, slope).tobytes()
        assert z.tobytes() == cpu.gate(g, x, slope).tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_sums_are_numpys_to_the_bit(size, rng, with_threads):
    a, b = rng.standard_normal((2, size), np.float32)
    for threads in (1, 2, 3, 8):
        assert with_threads(threads, native.add, a, b).tobytes() == (a + b).tobytes()


def test_sums_of_any_layout(rng):
    a, b = rng.standard_normal((2, 3, 5, 4, 6), np.float32)
    last = a.transpose(0, 3, 1, 2), b.transpose(0, 3, 1, 2)
    assert native.add(*last).strides == last[0].strides
    backwards = a[::-1], b[::-1]
    mixed = a.transpose(0, 1, 3, 2), np.ascontiguousarray(b.transpose(0, 1, 3, 2))
    repeated = np.broadcast_to(a[:1], a.shape), np.broadcast_to(b[:1], a.shape)
    others = (a[:, ::2], b[:, ::2]), (a.astype(float), b.astype(float)), (a[:0], b[:0])
    for x, y in (last, backwards, mixed, repeated, *others):
        np.testing.assert_array_equal(native.add(x, y), x + y)


def test_layouts_are_kept(rng):
    x = rng.standard_normal((3, 5, 4, 6), np.float32).transpose(0, 3, 1, 2)
    y = native.leaky_relu(x, 0.2)
    assert y.strides == x.strides
    g = rng.standard_normal(x.shape, np.float32)
    np.testing.assert_array_equal(native.gate(g[::1], x, 0.2), cpu.gate(g, x, 0.2))
    np.testing.assert_array_equal(native.leaky_relu(x[::-1, ::2], 0.2), cpu.leaky_relu(x[::-1, ::2], 0.2))


def test_special_numbers():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0], np.float32)
    np.testing.assert_array_equal(native.leaky_relu(x, 0.0), [np.nan, np.inf, 0, 0, 0, 0])
    np.testing.assert_array_equal(native.leaky_relu(x, 0.2), np.float32([np.nan, np.inf, -np.inf, 0, 0, -0.2]))
    ones = np.full_like(x, np.nan)
    closed = np.array([-1, 0, -0.0, -1, -1, -1], np.float32)
    np.testing.assert_array_equal(native.gate(ones, closed, 0.0), np.zeros(6))  # not even NaN passes
