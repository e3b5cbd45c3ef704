"""leaky_relu and its gate: the kinks, the infinities, every layout."""

import numpy as np
import pytest
import reference

from minigan import kernels

SPECIAL = [0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 5e-324, -5e-324]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", [0, 0.0, 0.2, 1.0, 2.0, -0.5])
@pytest.mark.parametrize("size", [0, 11, 40_000, 700_000])
def test_leaky_relu(dtype, slope, size):
    x = np.resize(np.array(SPECIAL, dtype), size)
    wanted = np.where(x > 0, x, x * dtype(slope) if slope else np.where(np.isnan(x), x, dtype(0)))
    y = kernels.leaky_relu(x, slope)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", [0, 0.2, 1.0, 2.0, -0.5])
@pytest.mark.parametrize("size", [0, 121, 700_000])
def test_gate(dtype, slope, size):
    special = np.array([v for v in SPECIAL if not np.isnan(v)], dtype)
    on, g = np.resize(np.repeat(special, 11), size), np.resize(np.array(SPECIAL, dtype), size)
    closed = g * dtype(slope) if slope else np.zeros_like(g)  # closed: 0, even for NaN
    z = kernels.gate(g, on, slope)
    assert z.dtype == dtype
    np.testing.assert_array_equal(z, np.where(on > 0, g, closed))


def test_any_layout_keeps_its_order():
    rng = np.random.default_rng(3)
    x, g = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5))
    for on in reference.layouts(x):
        y = kernels.leaky_relu(on, 0.2)
        np.testing.assert_array_equal(y, np.where(x > 0, x, x * 0.2))
        assert y.strides == np.empty_like(on).strides
        for gs in (*reference.layouts(g), np.broadcast_to(g[:1, :1], g.shape)):
            np.testing.assert_array_equal(kernels.gate(gs, on, 0.2), np.where(x > 0, gs, gs * 0.2))


def test_same_bytes_at_any_number_of_workers(with_workers):
    x = np.random.default_rng(1).standard_normal((8, 3, 300, 201), dtype=np.float32)
    for f, arguments in ((kernels.leaky_relu, (x, 0.2)), (kernels.gate, (x[::-1], x, 0.2))):
        one, two, three = (with_workers(n, f, *arguments).tobytes() for n in (1, 2, 3))
        assert one == two == three
