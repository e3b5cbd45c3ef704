"""Comparisons, numbers and text of tensors: element by element as NumPy's, and still keys of dicts and sets."""

import math
import operator

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.errors import ShapeError

VALUES = [[1.0, 2.0, np.nan], [3.0, -0.0, np.inf]]
OTHERS = [0, 2.0, True, np.float64(3), np.int64(1), [1.0, 2.0, 3.0], (1, 2, 3), np.arange(3), np.eye(2, 3), [[1], [3]],
          np.array(0.0), np.array([True, False, True])]
SIGNS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.__name__)
def test_comparisons_are_numpys(sign, other):
    x = mg.tensor(VALUES)
    array = np.float32(VALUES)
    for result, expected in ((sign(x, other), sign(array, other)),
                             (sign(np.asarray(other), x), sign(np.asarray(other), array)),
                             (sign(x, mg.tensor(other)), sign(array, np.asarray(other)))):
        assert result.dtype == bool
        np.testing.assert_array_equal(result, expected)
    if isinstance(other, int | float | list | tuple):
        np.testing.assert_array_equal(sign(other, x), sign(np.asarray(other), array))


def test_where_a_tensor_is_zero():
    x = mg.tensor([0.0, 1.0, -0.0])
    assert ops.where(x == 0, 9.0, x).data.tolist() == [9.0, 1.0, 9.0]


@pytest.mark.parametrize("other", [None, "text", {}, object(), "0"], ids=["None", "text", "dict", "object", "digit"])
def test_what_is_no_number_is_not_equal_and_has_no_order(other):
    """As PyTorch: `t == None` is False, not an array of False."""
    x = mg.tensor([1.0, 2.0])
    assert (x == other) is False and (x != other) is True and (other == x) is False
    assert other not in [x]
    with pytest.raises(TypeError, match="not supported"):
        bool(x < other)


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.__name__)
def test_shapes_that_do_not_broadcast(sign):
    with pytest.raises(ShapeError, match=r"tensors of shapes \(2, 3\) and \(2,\) do not broadcast.*use `is`"):
        sign(mg.tensor(VALUES), mg.tensor([1.0, 2.0]))


def test_tensors_are_keys():
    x, twin = mg.tensor([1.0, 2.0]), mg.tensor([1.0, 2.0])
    names = {x: "x", twin: "twin"}
    assert (names[x], names[twin], len({x, twin, x})) == ("x", "twin", 2)
    assert x in names and mg.tensor([1.0, 2.0]) not in names
    del names[x]
    assert list(names) == [twin] and hash(x) == object.__hash__(x)


def test_the_truth_of_several_is_no_number():
    x, twin = mg.tensor([1.0, 2.0]), mg.tensor([1.0, 2.0])
    for wrong in (lambda: bool(x), lambda: x and 1, lambda: not x, lambda: twin in [x], lambda: [x].index(twin),
                  lambda: [x].remove(twin), lambda: (x,) == (twin,), lambda: bool(mg.tensor(np.zeros((2, 0))))):
        with pytest.raises(ValueError, match="ambiguous"):
            wrong()
    assert x in [x] and [twin, x].index(twin) == 0  # identity comes first in Python's own search


def test_containment_is_of_elements():
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert 2 in x and 5 not in x and [1.0, 2.0] in x and None not in x


def test_one_element_is_a_number():
    for t in (mg.tensor(2.75), mg.tensor([2.75]), mg.tensor([[2.75]])):
        assert (int(t), float(t), bool(t), round(t), round(t, 1)) == (2, 2.75, True, 3, 2.8)
        assert (f"{t:.1f}", f"{t:8.2e}", f"{t:+}") == ("2.8", "2.75e+00", "+2.75")
    assert f"{mg.tensor(2.0)}" == str(mg.tensor(2.0)) and f"{mg.tensor([1.0, 2.0])}" == str(mg.tensor([1.0, 2.0]))
    assert not mg.tensor(0.0) and mg.tensor(np.nan)
    assert type(int(mg.tensor(-2.75))) is int and int(mg.tensor(-2.75)) == -2


@pytest.mark.parametrize("what, f", [("int", int), ("float", float), ("round", round), ("bool", bool),
                                     ("format '.3f'", lambda t: f"{t:.3f}")])
def test_several_elements_are_no_number(what, f):
    with pytest.raises(ShapeError, match=rf"{what}: a tensor of shape \(3,\) has 3 elements, not one; "):
        f(mg.tensor([1.0, 2.0, 3.0]))


def test_a_real_number_is_no_index():
    """Tensors hold real numbers: as in PyTorch and NumPy, only an integer may be an index."""
    with pytest.raises(TypeError):
        range(mg.tensor(2.0))
    with pytest.raises(TypeError):
        [1, 2, 3][mg.tensor(2.0)]


def test_comparisons_on_the_emulated_device():
    if mg.device.why_no_emulation():
        pytest.skip("no compiler")
    x = mg.tensor([1.0, 2.0, 3.0]).to("emulated")
    for sign in SIGNS:
        assert sign(x, 2).get().tolist() == sign(np.arange(1, 4), 2).tolist()
        assert sign(x, x).get().tolist() == sign(np.arange(1, 4), np.arange(1, 4)).tolist()
        assert sign(x, [1, 2, 4]).get().tolist() == sign(np.arange(1, 4), np.array([1, 2, 4])).tolist()
    assert 2 in x and 5 not in x and x != None and f"{x[0]:.2f}" == "1.00"  # noqa: E711


def test_one_number_cannot_be_iterated_over():
    """x[0] of a number fails with IndexError, which Python takes for the end: sum(x) was 0. As PyTorch: TypeError."""
    x = mg.tensor(2.0)
    for use in (list, iter, sum, sorted, lambda x: [*x], lambda x: dict(zip(x, x, strict=True))):
        with pytest.raises(TypeError, match="iteration over a tensor without axes"):
            use(x)
    rows = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = rows
    (first * second).sum().backward()
    assert rows.grad.data.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert list(mg.tensor(np.zeros((0, 2)))) == []


def test_what_replaces_numbers_must_be_numbers():
    """NumPy makes NaN of None and 5 of "5"; PyTorch raises TypeError."""
    x = mg.tensor([1.0, 2.0])
    for value in (None, "5", [None], 1j, np.array(["5"]), {}, [[1], [2, 3]]):
        with pytest.raises(TypeError, match=r"t\[\.\.\.\] =:"):
            x[0] = value
        with pytest.raises(TypeError, match="data =:"):
            x.data = value
    x[0], x[1] = True, np.int8(4)
    assert x.data.tolist() == [1.0, 4.0]


def test_plus_and_trunc():
    x = mg.tensor([1.5], requires_grad=True)
    (+x).backward(np.ones(1, np.float32))
    assert (+x).data.tolist() == [1.5] and x.grad.data.tolist() == [1.0]
    assert [math.trunc(mg.tensor(v)) for v in (-2.5, 2.5)] == [-2, 2]
    with pytest.raises(ShapeError):
        math.trunc(mg.tensor([1.0, 2.0]))
