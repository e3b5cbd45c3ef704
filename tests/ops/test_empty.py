"""Reductions of one number without axes and of nothing: PyTorch's results, or an error that names the operation."""

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.errors import ShapeError

torch = pytest.importorskip("torch")
TWINS = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin, "logsumexp": torch.logsumexp,
         "softmax": torch.softmax, "log_softmax": torch.log_softmax,
         "norm": lambda x, axis: torch.linalg.vector_norm(x, dim=axis),
         "var": lambda x, axis: torch.var(x, dim=axis, correction=0)}
OURS = {name: getattr(ops, name) for name in TWINS} | {"var": lambda x, axis: ops.var(x, axis, correction=0)}


def value_and_gradient(f, x, axis):
    y = f(x, axis)
    return y, mg.grad(y, x, np.ones(y.shape))[0]


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", TWINS)
def test_one_number_has_an_axis_as_in_pytorch(name, axis):
    theirs = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    expected = TWINS[name](theirs, axis)
    expected.backward()
    y, gx = value_and_gradient(OURS[name], mg.tensor(np.array(2.5), requires_grad=True), axis)
    assert y.shape == gx.shape == () and y.item() == expected.item() and gx.item() == theirs.grad.item()


@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")  # PyTorch's
@pytest.mark.parametrize("shape", [(0,), (5, 0), (0, 5), (5, 0, 0), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("name", TWINS)
def test_nothing(name, shape):
    """Where PyTorch has a number other than NaN, the same; where NaN, ln 0 or an error, an error with the shape."""
    for axis in range(-len(shape), len(shape)):
        theirs = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        try:
            expected = TWINS[name](theirs, axis).detach().numpy()
        except (IndexError, RuntimeError):
            expected = None
        x = mg.tensor(np.zeros(shape), requires_grad=True)
        if expected is None or np.isnan(expected).any() or np.isneginf(expected).any():
            with pytest.raises(ShapeError) as error:
                OURS[name](x, axis)
            assert str(error.value).startswith(f"{name}: ") and str(shape) in str(error.value)
            assert "zero-size" not in str(error.value)
        else:
            y, gx = value_and_gradient(OURS[name], x, axis)
            np.testing.assert_array_equal(y.data, expected)
            assert gx.shape == shape


@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min", "logsumexp", "norm"])
def test_all_of_nothing(name):
    x = mg.tensor(np.zeros((3, 0)))
    if name in ("sum", "norm"):
        assert OURS[name](x, None).item() == 0.0
    else:
        with pytest.raises(ShapeError, match=rf"{name}: x \(3, 0\) has (no|0) elements along axis None"):
            OURS[name](x, None)


@pytest.mark.parametrize("axis", [1, -2, (0, 1)])
@pytest.mark.parametrize("name", TWINS)
def test_other_axes_of_one_number_do_not_exist(name, axis):
    with pytest.raises(ShapeError, match="axis"):
        OURS[name](mg.tensor(2.0), axis)


@pytest.mark.parametrize("mode, theirs", [("reflect", "reflect"), ("edge", "replicate"), ("constant", "constant")])
def test_a_border_around_no_images(mode, theirs):
    """An axis without a border needs no elements: a batch of none stays one, as in PyTorch."""
    expected = torch.nn.functional.pad(torch.zeros(0, 1, 4, 5), (1, 2, 3, 0), theirs).shape
    x = mg.tensor(np.zeros((0, 1, 4, 5)), requires_grad=True)
    y = ops.pad(x, ((0, 0), (0, 0), (3, 0), (1, 2)), mode)
    assert y.shape == tuple(expected) and mg.grad(y.sum(), x)[0].shape == x.shape
    with pytest.raises(ShapeError, match="axis 0"):
        ops.pad(x, ((1, 1), (0, 0), (3, 0), (1, 2)), "reflect")
