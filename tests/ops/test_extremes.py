"""Activations at the ends of the number line: limits of the functions and of their slopes, and PyTorch's numbers."""

import inspect

import numpy as np
import pytest

import minigan as mg
from minigan import nn, ops
from minigan.ops import activation

INF = np.inf
LIMITS = {  # at -infinity and +infinity: (values, slopes)
    "relu": ((0, INF), (0, 1)), "leaky_relu": ((-INF, INF), (0.2, 1)), "elu": ((-1, INF), (0, 1)),
    "sigmoid": ((0, 1), (0, 0)), "tanh": ((-1, 1), (0, 0)), "softplus": ((0, INF), (0, 1)),
    "log_sigmoid": ((-INF, 0), (1, 0))}
OTHERS = {"gate", "dropout", "softmax", "log_softmax"}  # of two tensors, random, of a whole row: below


def at(function, values, dtype):
    """Values, slopes and curvatures of a function of single numbers."""
    x = mg.tensor(np.asarray(values, dtype), requires_grad=True)
    y = function(x)
    slope, = mg.grad(y, [x], np.ones_like(x.data), create_graph=True)
    curvature, = mg.grad(slope, [x], np.ones_like(x.data)) if slope.requires_grad else [slope * 0]
    return y.data, slope.data, curvature.data


def test_no_activation_is_left_out():
    assert set(LIMITS) | OTHERS == set(activation.__all__)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name, dtype):
    value, slope, curvature = at(getattr(ops, name), [-INF, INF], dtype)
    assert value.dtype == slope.dtype == dtype
    np.testing.assert_array_equal(value, np.asarray(LIMITS[name][0], dtype))
    np.testing.assert_array_equal(slope, np.asarray(LIMITS[name][1], dtype))
    np.testing.assert_array_equal(curvature, [0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", ["ReLU", "LeakyReLU", "ELU", "Sigmoid", "Tanh", "Softplus"])
def test_layers_have_pytorchs_numbers(layer, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    most = float(np.finfo(dtype).max)
    values = np.array([-INF, -most, -1e30, -800, -100, -20, -1, 0, 1, 20, 100, 800, 1e30, most, INF], dtype)
    options = [{}, *({"ELU": [{"alpha": 0.5}], "LeakyReLU": [{"negative_slope": 0.5}, {"negative_slope": -0.5}],
                      "Softplus": [{"beta": 0.5}]}.get(layer, []))]
    for given in options:
        x = torch.tensor(values, requires_grad=True)
        theirs = getattr(torch.nn, layer)(**({"negative_slope": 0.2} if layer == "LeakyReLU" and not given else given))
        y = theirs(x)
        y.backward(torch.ones_like(y))
        value, slope, _ = at(getattr(nn, layer)(**given), values, dtype)
        near = {"rtol": 1e-5, "atol": 1e-37} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-300}
        near["atol"] = {"Softplus": 1e-8,  # PyTorch leaves out ln(1 + e^-x) above its threshold, 20
                        "ELU": 2 * np.finfo(dtype).eps}.get(layer, near["atol"])  # our slope is the rounded y + alpha
        np.testing.assert_allclose(value, y.detach().numpy(), **near)
        np.testing.assert_allclose(slope, x.grad.numpy(), **near)


def test_a_cotangent_of_infinity_passes_an_open_side_only():
    for name in ("relu", "elu"):
        x = mg.tensor([1.0, 2.0], requires_grad=True)
        gx, = mg.grad(getattr(ops, name)(x), [x], np.float32([INF, 1]))
        assert gx.data.tolist() == [INF, 1], name
    gate = ops.gate(mg.tensor([INF, INF]), mg.tensor([-1.0, 1.0]), slope=0.0)
    assert gate.data.tolist() == [0, INF]


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_rows_with_minus_infinity(name):
    """A logit of -infinity is a class that cannot be: the others are as without it."""
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    for dtype in (np.float32, np.float64):
        row = np.array([[-INF, 1.0, 2.0, -INF], [0.0, 1e30, -1e30, 1e30]], dtype)
        x, theirs = mg.tensor(row, requires_grad=True), torch.tensor(row, requires_grad=True)
        weights = np.array([[0, 0.5, -2, 0], [1, 2, 3, -4]], dtype)
        y, expected = getattr(ops, name)(x, 1), getattr(torch, name)(theirs, 1)
        np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-6)
        expected.backward(torch.tensor(weights))
        np.testing.assert_allclose(mg.grad(y, [x], weights)[0].data, theirs.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_every_option_of_an_activation_is_tried_here():
    assert {p for name in LIMITS for p in inspect.signature(getattr(ops, name)).parameters} == {"x", "slope", "alpha"}
