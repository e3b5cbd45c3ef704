"""NumPy's functions of tensors: operators work from both sides, what NumPy cannot differentiate names the remedy."""

import operator

import numpy as np
import pytest

import minigan as mg

T = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
ARRAY = np.float32([[4, 3], [2, 1]])
SIGNS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
         operator.matmul]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("left", [ARRAY, np.float32(3), np.ma.masked_array(ARRAY)], ids=["array", "scalar", "masked"])
def test_operators_with_an_array_on_the_left(sign, left):
    if sign is operator.matmul and not np.ndim(left):
        return
    t = mg.tensor(T, requires_grad=True)
    y = sign(left, t)
    assert type(y) is mg.Tensor
    np.testing.assert_allclose(y.data, sign(np.asarray(left), T.data), rtol=1e-6)
    assert y.requires_grad  # the history is not lost
    ufunc = {"sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "floordiv": np.floor_divide,
             "mod": np.remainder, "pow": np.power}.get(sign.__name__) or getattr(np, sign.__name__)
    np.testing.assert_array_equal(ufunc(left, t).data, y.data)
    np.testing.assert_allclose(ufunc(t, T).data, sign(T.data, T.data), rtol=1e-6)


@pytest.mark.parametrize("sign", COMPARISONS)
def test_comparisons_with_an_array_on_the_left(sign):
    for left in (ARRAY, np.float64(2)):
        np.testing.assert_array_equal(sign(left, T), sign(left, T.data))


def test_other_operators_of_numpy():
    quotient, rest = divmod(ARRAY, T)
    np.testing.assert_array_equal([quotient.data, rest.data], np.divmod(ARRAY, T.data))
    for ufunc in (np.negative, np.positive, np.absolute):
        np.testing.assert_array_equal(ufunc(-T).data, ufunc(-T.data))


@pytest.mark.parametrize(("function", "remedy"), [
    (np.exp, r"ops.exp\(...\), or np.exp of t.data"), (np.sqrt, "ops.sqrt"), (np.isnan, "use np.isnan of t.data"),
    (lambda t: np.maximum(t, 0), "ops.maximum"), (np.add.reduce, "use np.add.reduce of t.data"),
    (lambda t: np.multiply.outer(t, t), "use np.multiply.outer of"), (lambda t: np.add.at(ARRAY.copy(), [0], t), "np"),
    (lambda t: np.add(t, t, dtype=float), "ops.add"), (np.sum, r"ops.sum\(t\), or np.sum of t.data"),
    (np.mean, r"ops.mean\(t\)"), (np.max, r"ops.max\(t\)"), (np.amax, r"ops.max\(t\)"), (np.min, r"ops.min\(t\)"),
    (np.amin, r"ops.min\(t\)"), (np.var, r"ops.var\(t, correction=0\)"), (np.prod, "use np.prod of t.data"),
    (np.any, "np.any"), (np.all, "np.all"), (lambda t: np.sum(t, axis=0), r"ops.sum\(t\)")])
def test_what_numpy_cannot_differentiate_names_the_remedy(function, remedy):
    with pytest.raises(TypeError, match=rf"^np\.[\w.]+: NumPy knows no derivatives.*{remedy}"):
        function(T)


def test_remedies_are_right():
    assert mg.ops.var(T, correction=0).item() == np.var(T.data)
    assert np.exp(T.data).tolist() == mg.ops.exp(T).data.tolist()


def test_an_array_is_not_changed_in_place_by_a_tensor():
    array = ARRAY.copy()
    with pytest.raises(TypeError, match=r"^np.add: an array cannot be changed in place.*write `a = a \+ t`"):
        array += T
    with pytest.raises(TypeError, match="in place"):
        np.exp(ARRAY, out=(T,))
    assert array.tolist() == ARRAY.tolist()


def test_other_functions_of_numpy_see_the_numbers():
    t = mg.tensor(T, requires_grad=True)
    assert np.shape(t) == (2, 2) and np.size(t) == 4 and np.ndim(t) == 2
    for value, wanted in ((np.concatenate([t, ARRAY]), np.concatenate([T.data, ARRAY])), (np.argmax(t), 3),
                          (np.where(ARRAY > 2, t, 0.0), np.where(ARRAY > 2, T.data, 0.0)), (np.median(t), 2.5),
                          (np.linalg.norm(t), np.linalg.norm(T.data)), (np.stack([t, t]), np.stack([T.data, T.data])),
                          (np.clip(t, 2, 3), np.clip(T.data, 2, 3)), (np.zeros_like(t), np.zeros((2, 2)))):
        assert not isinstance(value, mg.Tensor)
        np.testing.assert_array_equal(value, wanted)
    assert np.array_equal(t, T) and np.allclose(t, T.data) and not np.array_equal(t, ARRAY)


def test_arrays_of_a_device_leave_operators_to_the_tensor():
    """CuPy asks the instance for __array_ufunc__; NumPy asks the class."""
    assert T.__array_ufunc__ is None and callable(mg.Tensor.__array_ufunc__)
    if mg.device.why_no_emulation():
        pytest.skip("no compiler")
    x = mg.tensor([1.0, 2.0], requires_grad=True).to("emulated")
    y = x.data * x - x.data
    assert isinstance(y, mg.Tensor) and y.requires_grad and y.numpy().tolist() == [0, 2]
    assert (x.data == x).get().all()
