"""matmul on a device against NumPy's: every layout, any leading axes."""

import importlib

import numpy as np
import pytest
from same_bytes import in_every_order

from minigan import kernels

matmul = importlib.import_module("minigan.kernels.cuda.matmul")  # the attribute `matmul` of the package is the function

SHAPES = {
    "one number": ((1, 1), (1, 1)),
    "row and column": ((1, 9), (9, 1)),
    "column and row": ((5, 1), (1, 6)),
    "odd": ((5, 7), (7, 3)),
    "several tiles": ((70, 20), (20, 90)),
    "splits": ((4, 600), (600, 12)),
    "batch": ((3, 6, 8), (3, 8, 10)),
    "batch of the first only": ((2, 5, 12), (12, 4)),
    "batch of the second only": ((5, 12), (2, 12, 4)),
    "broadcast": ((2, 1, 5, 40), (3, 40, 33)),
    "two axes": ((2, 3, 2, 5, 4), (3, 1, 4, 6)),
    "alternating": ((3, 1, 2, 1, 2, 4), (1, 2, 1, 2, 4, 3)),
}


@pytest.fixture(autouse=True)
def precision_as_before():
    before = kernels.get_precision()
    yield
    kernels.set_precision(before)


def swapped(x):
    return x.swapaxes(-1, -2)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype, precision, tolerance",
                         [(np.float64, "tf32", 1e-14), (np.float32, "fp32", 1e-6), (np.float32, "tf32", 2e-3)])
def test_equal_numpy(device, rng, name, dtype, precision, tolerance):
    kernels.set_precision(precision)
    a, b = (rng.normal(size=shape).astype(dtype) for shape in SHAPES[name])
    wanted = a.astype(np.float64) @ b.astype(np.float64)
    for left in (device.put(a), swapped(device.put(swapped(a).copy()))):
        for right in (device.put(b), swapped(device.put(swapped(b).copy()))):
            y = device.get(matmul.matmul(left, right))
            assert y.shape == wanted.shape and y.dtype == dtype
            np.testing.assert_allclose(y, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["several tiles", "splits", "broadcast"])
def test_every_order_of_threads_gives_the_same_bytes(device, rng, name):
    a, b = (device.put(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES[name])
    in_every_order(device, lambda: matmul.matmul(a, b))


def test_many_matrices_go_in_pieces(device, rng, monkeypatch):
    a, b = rng.normal(size=(5, 3, 2, 4)), rng.normal(size=(5, 1, 4, 3))
    for layers in (1, 4, 6):
        monkeypatch.setattr(matmul, "LAYERS", layers)
        result = device.get(matmul.matmul(device.put(a), device.put(b)))
        np.testing.assert_allclose(result, a @ b, rtol=1e-12, atol=1e-14)


def test_transposed_and_permuted_matrices_are_not_copied(device, rng):
    x = device.put(rng.normal(size=(2, 6, 3, 4)))
    for view in (x, swapped(x), x.transpose(0, 2, 1, 3), x.transpose(0, 2, 3, 1), x.transpose(1, 0, 3, 2)):
        assert matmul._lines(view)[0] is view
        y = matmul.matmul(view, swapped(view))
        np.testing.assert_allclose(device.get(y), device.get(view) @ swapped(device.get(view)), rtol=1e-12, atol=1e-13)


def test_gaps_and_broadcast_views(device, rng):
    a, b = rng.normal(size=(6, 8)), rng.normal(size=(8, 5))
    result = matmul.matmul(device.put(a)[::2, 1:], device.put(b)[1:, ::-1])
    np.testing.assert_allclose(device.get(result), a[::2, 1:] @ b[1:, ::-1], rtol=1e-12, atol=1e-14)


def test_nothing_to_add(device):
    y = matmul.matmul(device.put(np.ones((3, 0))), device.put(np.ones((0, 2))))
    assert device.get(y).tolist() == [[0, 0]] * 3
    assert matmul.matmul(device.put(np.ones((0, 3))), device.put(np.ones((3, 2)))).shape == (0, 2)


def test_shapes_that_do_not_fit(device):
    a = device.put(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="inner sizes are 4 and 3"):
        matmul.matmul(a, a)
    with pytest.raises(ValueError, match="broadcast"):
        matmul.matmul(a, device.put(np.ones((3, 4, 2))))
