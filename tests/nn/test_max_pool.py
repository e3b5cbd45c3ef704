"""MaxPool2d: PyTorch's sizes, values and gradients over a grid of geometries, ceil_mode and dilation included."""

import itertools

import numpy as np
import pytest

import minigan as mg
from minigan import nn, ops
from minigan.errors import ShapeError

RNG = np.random.default_rng(0)
SIZES = [(1, 5), (4, 6), (7, 5), (9, 8)]
KERNELS, STRIDES, PADDINGS = [1, 2, (3, 2), (4, 5)], [None, 1, (2, 3), (5, 4)], [0, 1, (2, 1)]
GRID = list(itertools.product(SIZES, KERNELS, STRIDES, PADDINGS, [1, 2, (1, 3)], [False, True]))


def test_values_and_gradients_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    compared = 0
    for size, *geometry, ceil in GRID:
        x = RNG.normal(size=(2, 3, *size))
        ours, theirs = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        try:
            expected = torch.nn.MaxPool2d(*geometry, ceil_mode=ceil)(theirs)
        except RuntimeError:  # no window fits, or the padding is too wide
            with pytest.raises(ShapeError, match="max_pool2d"):
                nn.MaxPool2d(*geometry, ceil_mode=ceil)(ours)
            continue
        y = nn.MaxPool2d(*geometry, ceil_mode=ceil)(ours)
        np.testing.assert_array_equal(y.data, expected.detach().numpy(), str((size, *geometry, ceil)))
        if not np.isfinite(y.data).all():
            continue  # under a window of dilated taps lies no pixel at all; PyTorch's backward pass crashes there
        g = RNG.normal(size=y.shape)
        gx, = mg.grad(y, [ours], g)
        expected.backward(torch.tensor(g))
        np.testing.assert_allclose(gx.data, theirs.grad.numpy(), atol=1e-12, err_msg=str((size, *geometry, ceil)))
        compared += 1
    assert compared > 500


def test_the_last_window_starts_inside_the_input_or_in_the_padding_before_it():
    """By hand: pixels 0 to 4 with one of padding at each side."""
    x = mg.tensor(np.arange(5.0).reshape(1, 1, 1, 5))

    def row(kernel, stride, padding, **options):
        return nn.MaxPool2d((1, kernel), (1, stride), (0, padding), **options)(x).data[0, 0, 0].tolist()

    assert row(2, 2, 0) == [1, 3]
    assert row(2, 2, 0, ceil_mode=True) == [1, 3, 4]  # the third starts at pixel 4
    assert row(2, 3, 1, ceil_mode=True) == [0, 3]  # a third would start at pixel 5, in the padding behind
    assert row(2, 3, 0, ceil_mode=True) == [1, 4]
    assert row(7, 2, 1, ceil_mode=True) == [4]
    assert row(2, 1, 0, dilation=(1, 3)) == [3, 4]
    assert ops.max_pool2d(x, (1, 2), (1, 2), 0, 1, True).shape == (1, 1, 1, 3)


def test_arguments_as_in_pytorch():
    layer = nn.MaxPool2d(3, 2, 1, 2, ceil_mode=True)
    assert repr(layer) == "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True)"
    assert nn.MaxPool2d(2, return_indices=False)(mg.tensor(np.ones((1, 1, 2, 2)))).item() == 1
    with pytest.raises(TypeError, match="return_indices=True is an argument of PyTorch's .* largest values only"):
        nn.MaxPool2d(2, return_indices=True)
    for wrong in ({"dilation": 0}, {"padding": 2}, {"padding": 2, "dilation": 2}, {"stride": 0}, {"dilation": (1,)}):
        with pytest.raises(ShapeError, match="max_pool2d"):
            nn.MaxPool2d(3, **wrong)(mg.tensor(np.ones((1, 1, 8, 8))))
