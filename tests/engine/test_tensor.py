"""Tensors: types, exchange with NumPy and DLPack, indexing, changes in place, and the detection of NaN."""

import copy
import inspect

import numpy as np
import pytest

import minigan as mg
from minigan import Tensor, ops
from minigan.errors import DTypeError, GraphError, NonFiniteError, ShapeError


@pytest.fixture
def x():
    return mg.tensor([1.0, 2.0, 3.0], requires_grad=True)


# ---- types ----
@pytest.mark.parametrize("given, dtype", [
    ([1, 2], np.float32), (3, np.float32), (2.5, np.float32), (True, np.float32), ([[1.5]], np.float32),
    (np.arange(3), np.float32), (np.zeros(2, np.float16), np.float32), (np.zeros(2, bool), np.float32),
    (np.zeros(2, np.float32), np.float32), (np.zeros(2), np.float64), (np.zeros(2, np.uint8), np.float32),
], ids=str)
def test_float32_unless_a_float64_array(given, dtype):
    t = mg.tensor(given)
    assert t.dtype == dtype
    assert mg.tensor(t).dtype == dtype
    np.testing.assert_array_equal(t.data, given)


@pytest.mark.parametrize("scalar", [2.0, 2, True, np.float64(2), np.int64(2), np.array(2.0), mg.tensor(np.array(2.0)),
                                    np.full(3, 2.0), [2.0, 2.0, 2.0]], ids=lambda s: type(s).__name__)
def test_nothing_promotes_float32(x, scalar):
    """Neither Python numbers, nor NumPy's float64 scalars and arrays, nor 0-d float64 tensors."""
    for y in (x * scalar, scalar * x, x + scalar, scalar - x, x / scalar, scalar / x, ops.maximum(x, scalar),
              ops.where(x > 1.5, x, scalar), ops.where(x > 1.5, scalar, x)):
        assert y.dtype == np.float32
        assert mg.grad(y.sum(), x)[0].dtype == np.float32


@pytest.mark.parametrize("f", [
    lambda x, c: ops.clip(x, -c, c), lambda x, c: x**c, lambda x, c: c**x, lambda x, c: ops.elu(x, alpha=c),
    lambda x, c: ops.leaky_relu(x, slope=c), lambda x, c: ops.pad(x, 1, value=c), lambda x, c: ops.power(c, x),
    lambda x, c: ops.pixel_norm(x.reshape(1, 3), eps=c), lambda x, c: ops.layer_norm(x.reshape(1, 3), eps=c),
], ids="clip power rpow elu leaky_relu pad power_of_tensor pixel_norm layer_norm".split())
def test_no_float64_parameter_promotes_float32(x, f):
    y = f(x, np.float64(1.5))
    assert y.dtype == np.float32
    assert mg.grad(y.sum(), x)[0].dtype == np.float32
    np.testing.assert_array_equal(y.data, f(x, 1.5).data)


def test_float64_stays_float64_to_the_last_digit():
    x = mg.tensor(np.array([0.1, 0.2]))
    np.testing.assert_array_equal((x * 0.1).data, np.array([0.1, 0.2]) * 0.1)
    np.testing.assert_allclose((3.0**x).data, 3.0 ** np.array([0.1, 0.2]), rtol=1e-15)
    np.testing.assert_allclose((x**1.7).data, np.array([0.1, 0.2]) ** 1.7, rtol=1e-15)
    np.testing.assert_array_equal(ops.add(1, np.full(2, 0.1)).data, np.full(2, 1.1))
    assert ops.where(np.array([True, False]), 0.0, np.full(2, 0.1)).data.tolist() == [0.0, 0.1]


def test_two_types_do_not_mix(x):
    double = mg.tensor(np.ones(3))
    with pytest.raises(DTypeError, match=r"mul: a float32 tensor \(3,\) meets a float64 tensor \(3,\); convert one"):
        x * double
    with pytest.raises(DTypeError, match="meets a float64 tensor"):
        x * mg.tensor(np.array(1.0), requires_grad=True)
    with pytest.raises(DTypeError, match="cotangent is float64, the output float32"):
        (x * x).backward(double)


@pytest.mark.parametrize("given, words", [
    (None, "None is no number"), ("3", "'3' is no number"), ([1, None], "no array of numbers"), (1j, "complex"),
    (np.zeros(2, complex), "complex"), ([[1], [1, 2]], "no regular array"), ({}, "is no number"),
], ids=str)
def test_what_is_no_number_is_refused(given, words):
    with pytest.raises(DTypeError, match=words):
        mg.tensor(given)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, bool, complex])
def test_only_float32_and_float64(dtype):
    with pytest.raises(DTypeError, match="neither float32 nor float64"):
        mg.tensor([1.0], dtype=dtype)


# ---- NumPy and others ----
def test_an_array_on_the_left_gives_a_tensor(x):
    a = np.array([1.0, 2.0, 3.0])
    for y, expected in ((a * x, a * a), (a + x, a + a), (a - x, a - a), (a / x, a / a), (2.0**x, 2**a),
                        (np.eye(3) @ x, a), (np.float64(2) * x, 2 * a)):
        assert isinstance(y, Tensor)
        assert y.requires_grad
        np.testing.assert_array_equal(y.data, expected)


def test_comparisons_give_arrays(x):
    two = np.full(3, 2.0)
    for mask, expected in ((x > 2, [0, 0, 1]), (x >= 2, [0, 1, 1]), (x < x, [0, 0, 0]), (two < x, [0, 0, 1])):
        assert type(mask) is np.ndarray
        assert mask.tolist() == expected


def test_numpy_sees_the_array(x):
    assert np.asarray(x).tolist() == [1.0, 2.0, 3.0]
    assert np.shares_memory(np.asarray(x), x.data)
    assert np.array(x, dtype=np.float64).dtype == np.float64
    fresh = x.numpy()
    fresh[0] = 9.0
    assert x.data[0] == 1.0


def test_dlpack(x):
    there = np.from_dlpack(x)
    assert there.tolist() == [1.0, 2.0, 3.0]
    assert not there.flags.writeable
    assert x.__dlpack_device__() == (1, 0)
    x.__dlpack__()  # DLPack before 1.0 has no "read-only": its consumers get a copy


def test_arrays_are_read_only_and_copied(x):
    mine = np.ones(3)
    t = mg.tensor(mine)
    mine[0] = 5.0
    assert t.data[0] == 1.0
    for array in (t.data, x.data, (x * x).data, x.T.data, x[0].data, x.detach().data, copy.deepcopy(x).data):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


def test_item_len_bool_float_repr(x):
    assert mg.tensor([[4.0]]).item() == float(mg.tensor(4.0)) == 4.0
    assert len(x) == 3
    assert [float(t) for t in x] == [1.0, 2.0, 3.0]
    assert bool(mg.tensor(1.0)) and not bool(mg.tensor(0.0))
    assert repr(x) == "Tensor([1., 2., 3.], dtype=float32, requires_grad=True)"
    assert repr(mg.tensor(np.array(0.5))) == "Tensor(0.5, dtype=float64)"
    with pytest.raises(ShapeError, match=r"item: a tensor of shape \(3,\) has 3 elements, not one"):
        x.item()
    with pytest.raises(AttributeError, match="no attribute 'sigmoid'; operations are functions in minigan.ops"):
        x.sigmoid()
    assert not hasattr(x, "__cuda_array_interface__")


def test_methods_are_the_operations(x):
    y = x.reshape(1, 3)
    assert y.reshape((3, 1)).shape == y.T.shape == y.transpose(1, 0).shape == y.transpose((1, 0)).shape == (3, 1)
    assert (x.sum().item(), x.mean().item(), x.var().item(), x.max().item(), x.min().item()) == (6, 2, 1, 3, 1)
    assert x.var(correction=0).item() == pytest.approx(2 / 3)
    assert (-x).data.tolist() == [-1, -2, -3]
    assert abs(-x).data.tolist() == [1, 2, 3]
    assert y.sum(axis=1, keepdims=True).shape == (1, 1)
    assert (y.shape, y.ndim, y.size, y.dtype, y.device) == ((1, 3), 2, 3, np.float32, "cpu")


# ---- indexing ----
A = np.arange(24.0).reshape(2, 3, 4)
INDICES = [0, -1, (1, 2, 3), slice(None, None, -1), (slice(1), None, 2), Ellipsis, None, (..., 0),
           (0, ..., slice(1, 3)), [1, 0, 1], np.array([[0, 1], [1, 1]]), (np.array([0, 1]), [2, 2]), A > 7.0,
           (0, A[0] > 5.0), (slice(None), [0, 0, 2]), np.int64(1), slice(0, 0), True, np.bool_(False),
           (np.array([1, 0]), slice(1, 3))]


@pytest.mark.parametrize("index", INDICES, ids=lambda index: str(index).replace("\n", ""))
def test_indexing_is_numpys_and_its_gradient_counts(index):
    x = mg.tensor(A, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.data, A[index])
    v = np.random.default_rng(0).normal(size=y.shape)
    expected = np.zeros_like(A)
    np.add.at(expected, index, v)
    np.testing.assert_allclose(mg.grad(y, x, v)[0].data, expected, atol=1e-15)


def test_an_index_that_changes_afterwards_does_no_harm(x):
    rows = np.array([0, 0])
    mask = np.array([True, False, True])
    y, z = x[rows].sum(), ops.where(mask, x, 0.0).sum()
    rows[...], mask[...] = 2, False
    assert mg.grad(y, x)[0].data.tolist() == [2.0, 0.0, 0.0]
    assert mg.grad(z, x)[0].data.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("index", [3, (0, 0), 1.5, "a"])
def test_wrong_indices(x, index):
    with pytest.raises(IndexError):
        x[index]


# ---- changes in place ----
def scale(x):
    x.writable()[...] *= 2.0


def assign(x):
    x[...] = 7.0


def replace(x):
    x.data = np.zeros(3)


SUM = np.ones((1, 3), np.float32)


@pytest.mark.parametrize("change", [scale, assign, replace])
@pytest.mark.parametrize("f", [lambda x: x * x, ops.exp, lambda x: ops.linear(x.reshape(1, 3), SUM)],
                         ids=["mul", "exp", "view"])
def test_a_change_in_place_is_noticed(x, f, change):
    y = f(x).sum()
    change(x)
    with pytest.raises(GraphError, match="was changed in place after it was used"):
        y.backward()
    f(x).sum().backward()


def test_views_and_detached_twins_change_together():
    """A weight is used through its transpose, then updated: a pass must not use the new values for the old."""
    w = mg.tensor(np.ones((2, 3)), requires_grad=True)
    x = mg.tensor(np.ones((1, 3)), requires_grad=True)
    through_a_view, through_a_twin = ops.linear(x, w).sum(), (x * w.detach()).sum()
    w.writable()[...] = 5.0
    for y in (through_a_view, through_a_twin):
        with pytest.raises(GraphError, match="was changed in place"):
            mg.grad(y, x)  # not on the path to w, so only the shared version shows it


def test_a_kinks_side_is_remembered_with_its_version(x):
    """The second derivative of relu needs the earlier signs of x; after an update, x has other signs."""
    w = mg.tensor([1.0, 1.0, 1.0], requires_grad=True)
    (gx,) = mg.grad((w * ops.relu(x)).sum(), x, create_graph=True)
    assert mg.grad(gx.sum(), w, retain_graph=True)[0].data.tolist() == [1.0, 1.0, 1.0]
    x.writable()[...] *= -1.0
    with pytest.raises(GraphError, match="an argument of gate was changed in place"):
        mg.grad(gx.sum(), w)


def test_replacing_the_array_leaves_twins_alone(x):
    twin = x.detach()
    z = mg.tensor([1.0, 1.0, 1.0], requires_grad=True)
    y = (z * twin).sum()
    x[...] = 9.0
    assert twin.data.tolist() == [1.0, 2.0, 3.0]
    assert mg.grad(y, z)[0].data.tolist() == [1.0, 2.0, 3.0]


def test_only_leaves_change_in_place(x):
    y = x * x
    for change in (scale, assign, replace):
        with pytest.raises(GraphError, match="only leaves change in place"):
            change(y)
    with pytest.raises(ShapeError, match=r"cannot put an array of shape \(2,\) in a tensor of shape \(3,\)"):
        x.data = np.zeros(2)
    x[1:] = mg.tensor([5.0, 6.0])
    x[x > 5.5] = 0.0
    assert x.data.tolist() == [1.0, 5.0, 0.0]


def test_a_deep_copy_is_a_leaf_of_its_own(x):
    twin = copy.deepcopy([x])[0]
    twin.writable()[...] = 0.0
    assert x.data.tolist() == [1.0, 2.0, 3.0]
    assert twin.requires_grad
    with pytest.raises(GraphError, match="deepcopy"):
        copy.deepcopy(x * x)


# ---- detect_anomaly ----
def test_anomaly_names_operation_and_place_forward():
    x = mg.tensor([-1.0, 2.0])
    with mg.detect_anomaly(), pytest.raises(NonFiniteError) as caught:
        line = inspect.currentframe().f_lineno + 1
        ops.log(x)
    message = str(caught.value)
    assert message.startswith("log: ")
    assert "forward pass" in message
    assert f"{__file__}:{line} in test_anomaly_names_operation_and_place_forward" in message
    assert "1 NaN" in message
    assert "values from -1 to 2" in message


@pytest.mark.parametrize("create_graph", [False, True])
def test_anomaly_names_operation_and_place_backward(create_graph):
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    with mg.detect_anomaly():
        line = inspect.currentframe().f_lineno + 1
        y = ops.sqrt(x)
        with pytest.raises(NonFiniteError) as caught:
            y.sum().backward(create_graph=create_graph)
    message = str(caught.value)
    assert message.startswith("sqrt: ")
    assert "backward pass" in message
    assert message.endswith(f"created at {__file__}:{line} in test_anomaly_names_operation_and_place_backward")


def test_anomaly_at_module_level(tmp_path):
    """The line of the script or notebook cell is named, not the code that runs it."""
    script = tmp_path / "cell.py"
    script.write_text("import minigan as mg\nwith mg.detect_anomaly():\n    mg.ops.log(-1.0)\n")
    with pytest.raises(NonFiniteError, match=r"cell\.py:3 in <module>"):
        exec(compile(script.read_text(), str(script), "exec"), {})


def test_anomaly_is_over_after_the_block():
    x = mg.tensor([-1.0])
    with pytest.raises(NonFiniteError), mg.detect_anomaly():
        ops.log(x)
    assert np.isnan(ops.log(x).data).all()


# ---- arrays without elements ----
def test_empty_arrays_work_or_say_why():
    e = mg.tensor(np.zeros((0, 3)), requires_grad=True)
    for f in (lambda e: e * e, ops.exp, ops.relu, lambda e: e.T, lambda e: ops.concat([e, e]), lambda e: e @ e.T,
              lambda e: e.reshape(3, 0), lambda e: ops.sum(e, 0), ops.softplus, lambda e: ops.softmax(e, 1),
              ops.batch_norm, ops.layer_norm):
        y = f(e)
        assert mg.grad(y, e, np.ones(y.shape))[0].shape == (0, 3)
    assert e.sum().item() == 0.0
    for f in (ops.mean, ops.var, ops.max, ops.logsumexp):
        with pytest.raises(ShapeError):
            f(e)
