"""elementwise.cu against its CPU twin, to the bit, with every special number and length."""

import functools

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

from minigan import kernels
from minigan.kernels import cpu
from minigan.kernels.cuda import elementwise

SPECIAL = [0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, 1e-30, -1e-30]
SHAPES = [(1,), (3,), (4, 5), (1000,), (1029,), (2, 3, 5, 7), ()]
SLOPES = [0.0, 0.2, 1.0, 1.5, -0.5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", SLOPES)
def test_special_numbers(device, dtype, slope):
    x, g = (v.astype(dtype).ravel() for v in np.meshgrid(SPECIAL, SPECIAL))
    y = in_every_order(device, lambda: elementwise.leaky_relu(device.put(x), slope))
    closed = x * dtype(slope) if slope else np.where(np.isnan(x), x, dtype(0))
    np.testing.assert_array_equal(y, np.where(x > 0, x, closed))
    z = in_every_order(device, lambda: elementwise.gate(device.put(g), device.put(x), slope))
    np.testing.assert_array_equal(z, np.where(x > 0, g, g * dtype(slope) if slope else dtype(0)))  # not even NaN


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_twin(device, rng, dtype, shape):
    x, g = (np.asarray(rng.normal(size=shape)).astype(dtype) for _ in range(2))
    y = in_every_order(device, lambda: elementwise.leaky_relu(device.put(x), 0.2))
    np.testing.assert_array_equal(y, cpu.leaky_relu(x, 0.2))
    z = in_every_order(device, lambda: elementwise.gate(device.put(g), device.put(x), 0.2))
    np.testing.assert_array_equal(z, cpu.gate(g, x, 0.2))
    z = in_every_order(device, lambda: elementwise.tanh_grad(device.put(g), device.put(x)))
    np.testing.assert_allclose(z, g * (1 - x * x), rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


def test_any_layout(device, rng):
    x, g = (channels_last(rng.normal(size=(2, 3, 5, 7))) for _ in range(2))
    y = elementwise.leaky_relu(device.put(x), 0.2)
    assert y.strides == x.strides
    assert elementwise.add(device.put(x), device.put(g)).strides == x.strides
    z = elementwise.gate(device.put(np.ascontiguousarray(g)), device.put(x), 0.2)
    assert z.strides == x.strides
    np.testing.assert_array_equal(device.get(z), cpu.gate(g, x, 0.2))


@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (2, 1, 40, 31), (4, 5)])
def test_mixtures_of_samples(device, rng, shape):
    """One share for each sample, whatever the order in memory of the two and of their axes."""
    a, b, e = rng.normal(size=shape), rng.normal(size=shape), rng.random((shape[0], *(1,) * (len(shape) - 1)))
    for first in (a, channels_last(a), np.asfortranarray(a)):
        y = in_every_order(device, functools.partial(elementwise.mix, *map(device.put, (first, channels_last(b), e))))
        np.testing.assert_allclose(y, e * a + (1 - e) * b, rtol=1e-12, atol=1e-14)


def test_slices(device, rng):
    x = rng.normal(size=(6, 7)).astype(np.float32)
    there = device.put(x)
    for part in (np.s_[:3], np.s_[1:], np.s_[:, 1:4], np.s_[:, ::2]):
        y = device.get(elementwise.leaky_relu(there[part], 0.2))
        np.testing.assert_array_equal(y, cpu.leaky_relu(x[part], 0.2))
        z = device.get(elementwise.gate(there[part], there[part], 0.2))
        np.testing.assert_array_equal(z, cpu.gate(x[part], x[part], 0.2))


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "tanh"])
@pytest.mark.parametrize("dtype, bound", [(np.float32, 3e-7), (np.float64, 1e-15)], ids=["float32", "float64"])
def test_pieces_of_losses_are_the_cpus(device, name, dtype, bound):
    """Also for large arguments, where a naive formula overflows, and for NaN."""
    x = np.concatenate([np.linspace(-20, 20, 203), [-1e4, -104, 0, 104, 1e4, np.inf, -np.inf, np.nan]]).astype(dtype)
    wanted = getattr(kernels.cpu, name)(x)
    for _ in device.orders():
        np.testing.assert_allclose(device.get(getattr(kernels, name)(device.put(x))), wanted, rtol=bound, atol=1e-38)
