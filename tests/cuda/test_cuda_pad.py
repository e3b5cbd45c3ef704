"""pad.cu against numpy.pad and numpy.add.at."""

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

from minigan.kernels.cuda.pad import MODES, fold, pad, scatter_add

CASES = [
    ((5,), ((2, 3),)),
    ((3, 4), ((1, 0), (2, 3))),
    ((4, 5), ((3, 1), (0, 2))),
    ((2, 3, 4), ((0, 0), (1, 2), (0, 0))),
    ((2, 3, 5, 7), ((0, 0), (0, 0), (1, 1), (1, 1))),
    ((1, 20, 4, 4), ((0, 0), (0, 0), (2, 1), (3, 3))),
    ((2, 4, 3, 5), ((1, 0), (2, 1), (0, 2), (1, 3))),
    ((2, 3, 2, 4, 3), ((1, 1), (2, 0), (0, 1), (3, 2), (1, 2))),
    ((2, 3, 4), ((0, 0), (0, 0), (0, 0))),
]


def folded(g, shape, widths, mode):
    """The adjoint of pad: every number of g, added where pad reads it."""
    options = {"constant_values": -1} if mode == "constant" else {}
    places = np.pad(np.arange(np.prod(shape)).reshape(shape), widths, mode, **options)
    y = np.zeros(shape)
    np.add.at(y.reshape(-1), places[places >= 0], g[places >= 0])
    return y


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape, widths", CASES)
@pytest.mark.parametrize("stored", ["rows", "channels last"])
def test_equals_the_twins(device, rng, mode, shape, widths, stored):
    layout = channels_last if stored == "channels last" and len(shape) > 2 else np.ascontiguousarray
    for dtype, tolerance in ((np.float64, 1e-14), (np.float32, 1e-6)):
        x = layout(rng.normal(size=shape).astype(dtype))
        y = in_every_order(device, lambda x=x: pad(device.put(x), widths, mode, 0.7))
        options = {"constant_values": dtype(0.7)} if mode == "constant" else {}
        np.testing.assert_array_equal(y, np.pad(x, widths, mode, **options))
        assert y.strides == layout(y).strides

        g = layout(rng.normal(size=y.shape).astype(dtype))
        z = in_every_order(device, lambda g=g: fold(device.put(g), widths, mode))
        wanted = folded(g, shape, widths, mode)
        np.testing.assert_allclose(z, wanted, atol=tolerance * max(1, np.abs(wanted).max()))
        assert z.shape == shape and z.strides == layout(z).strides
        for addend in (x, np.ascontiguousarray(x)):
            with_it = in_every_order(device, lambda g=g, a=addend: fold(device.put(g), widths, mode, device.put(a)))
            np.testing.assert_array_equal(with_it, addend + z)


def test_nothing_to_copy(device):
    y = device.get(pad(device.put(np.zeros((0, 3), np.float32)), ((1, 1), (0, 0)), "constant", 2.0))
    np.testing.assert_array_equal(y, np.full((2, 3), 2.0))
    assert pad(device.put(np.zeros((3, 0), np.float32)), ((1, 1), (0, 0)), "edge").shape == (5, 0)


def test_slices(device, rng):
    x = rng.normal(size=(3, 4, 6, 8)).astype(np.float32)
    for part in (np.s_[1:], np.s_[:, 1:3], np.s_[:, :, ::2]):
        y = device.get(pad(device.put(x)[part], ((0, 0), (0, 0), (1, 1), (1, 1)), "reflect"))
        np.testing.assert_array_equal(y, np.pad(x[part], ((0, 0), (0, 0), (1, 1), (1, 1)), "reflect"))


@pytest.mark.parametrize("shape, index", [
    ((3, 4), np.array([0, 2, 2])), ((3, 4), (np.array([0, 2, 2]), np.array([1, 0, 0]))), ((7,), -1),
    ((3, 4), np.arange(12).reshape(3, 4) % 3 == 0), ((5, 300), np.array([[4, 1], [4, 4]])),
    ((3, 4), (Ellipsis, None, slice(1, 3))), ((6,), slice(None, None, -2)),
])
def test_scatter_add(device, rng, shape, index):
    g = rng.normal(size=np.zeros(shape)[index].shape).astype(np.float32)
    wanted = np.zeros(shape, np.float32)
    np.add.at(wanted, index, g)
    y = in_every_order(device, lambda: scatter_add(device.put(g), index, shape))
    np.testing.assert_array_equal(y, wanted)
    y = in_every_order(device, lambda: scatter_add(device.put(np.asfortranarray(g)), index, shape))
    np.testing.assert_array_equal(y, wanted)
