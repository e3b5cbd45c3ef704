"""pad against numpy.pad, its adjoint number by number, and scatter_add against a loop."""

import numpy as np
import pytest
import reference

from minigan import kernels

CASES = [
    ((5, 1), ((2, 3), (0, 0))),
    ((3, 4), ((1, 0), (2, 3))),
    ((2, 3, 5, 7), ((0, 0), (0, 0), (1, 1), (1, 2))),
    ((2, 4, 3, 5), ((1, 0), (2, 1), (0, 2), (1, 3))),
    ((2, 3, 4), ((0, 0), (0, 0), (0, 0))),
]
MODES = ("constant", "reflect", "edge")
rng = np.random.default_rng(6)


def padded(x, widths, mode, value):
    return np.pad(x, widths, mode, **({"constant_values": value} if mode == "constant" else {}))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape, widths", CASES)
def test_pad_is_numpys_and_keeps_the_order_of_axes(shape, widths, mode):
    x = rng.standard_normal(shape)
    for stored in reference.layouts(x):
        y = kernels.pad(stored, widths, mode, 0.7)
        np.testing.assert_array_equal(y, padded(x, widths, mode, 0.7))
    if len(shape) == 4:
        assert reference.is_channels_last(kernels.pad(reference.stored_channels_last(x), widths, mode, 0.7))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape, widths", CASES)
def test_fold_adds_every_number_where_pad_takes_it_from(shape, widths, mode):
    g = rng.standard_normal([b + n + a for n, (b, a) in zip(shape, widths, strict=True)])
    places = padded(np.arange(np.prod(shape)).reshape(shape), widths, mode, -1)
    wanted = np.zeros(shape)
    for place, number in zip(places.flat, g.flat, strict=True):
        if place >= 0:
            wanted.flat[place] += number
    for stored in reference.layouts(g):  # read-only: g itself is not written to
        y = kernels.fold(stored, widths, mode)
        np.testing.assert_allclose(y, wanted, rtol=1e-13, atol=1e-13)
        addend = rng.standard_normal(shape)
        addend.flags.writeable = False
        for other in reference.layouts(addend):
            with_it = kernels.fold(stored, widths, mode, other)
            np.testing.assert_array_equal(with_it, other + y)
            assert not any(np.shares_memory(with_it, a) for a in (stored, other))


@pytest.mark.parametrize("shape, index", [
    ((3, 4), np.array([0, 2, 2])), ((3, 4), (np.array([0, 2, 2]), np.array([1, 0, 0]))), ((7,), -1),
    ((3, 4), np.arange(12).reshape(3, 4) % 3 == 0), ((3, 4), (Ellipsis, None, slice(1, 3))),
])
def test_scatter_add_is_the_adjoint_of_indexing(shape, index):
    x = rng.standard_normal(shape)
    g = rng.standard_normal(x[index].shape)
    y = kernels.scatter_add(g, index, shape)
    assert y.shape == shape
    np.testing.assert_allclose(np.sum(y * x), np.sum(g * x[index]), rtol=1e-12)
    numbers = np.arange(x.size).reshape(shape)[index]
    assert not y.flat[np.setdiff1d(np.arange(x.size), numbers)].any()
