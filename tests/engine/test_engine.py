"""The backward pass: values at any order, graphs of any shape, and nothing computed that is not needed."""

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.engine import PRIMITIVES, Primitive
from minigan.engine.autodiff import walk
from minigan.engine.state import Watcher, state, watching
from minigan.errors import GraphError, NonFiniteError


@pytest.fixture
def x():
    return mg.tensor([1.0, 2.0, 3.0], requires_grad=True, dtype=np.float64)


@pytest.fixture
def calls(monkeypatch):
    """Names of the primitives whose rules were called, in order, with the positions of the arguments."""
    seen = []
    right = Primitive.vjps

    def vjps(self, need, *args):
        seen.append((self.name, need))
        return right(self, need, *args)

    monkeypatch.setattr(Primitive, "vjps", vjps)
    return seen


# ---- values ----
def test_gradients_add_up_in_grad(x):
    (x * x).sum().backward()
    (3.0 * x).sum().backward()
    assert x.grad.data.tolist() == [5.0, 7.0, 9.0]
    x.grad = None
    x.sum().backward()
    assert x.grad.data.tolist() == [1.0, 1.0, 1.0]


def test_only_leaves_get_a_grad(x):
    y = x * x
    y.sum().backward()
    assert y.grad is None
    assert x.grad.data.tolist() == [2.0, 4.0, 6.0]


def test_mg_grad_leaves_grad_alone(x):
    (gx,) = mg.grad((x * x).sum(), x)
    assert gx.data.tolist() == [2.0, 4.0, 6.0]
    assert x.grad is None


def test_gradient_with_respect_to_an_intermediate(x):
    y = x * x
    gy, gx = mg.grad((y * y).sum(), [y, x])
    assert gy.data.tolist() == [2.0, 8.0, 18.0]
    assert gx.data.tolist() == [4.0, 32.0, 108.0]


def test_gradient_of_an_output_with_respect_to_itself(x):
    y = x.sum()
    gy, gx = mg.grad(y, [y, x])
    assert gy.item() == 1.0
    assert gx.data.tolist() == [1.0, 1.0, 1.0]
    leaf = mg.tensor(3.0, requires_grad=True)
    leaf.backward()
    assert leaf.grad.item() == 1.0


def test_an_unrelated_input_gets_zeros(x):
    other = mg.tensor(np.ones((2, 2)), requires_grad=True)
    gx, go = mg.grad(x.sum(), [x, other])
    assert gx.data.tolist() == [1.0, 1.0, 1.0]
    assert (go.shape, go.dtype, go.data.any()) == ((2, 2), np.float64, np.False_)


def test_the_cotangent_weighs_the_output(x):
    (gx,) = mg.grad(x * x, x, [1.0, 0.0, -1.0])
    assert gx.data.tolist() == [2.0, 0.0, -6.0]
    (x * x).backward(mg.tensor([1.0, 1.0, 2.0], dtype=np.float64))
    assert x.grad.data.tolist() == [2.0, 4.0, 12.0]


def test_third_derivative():
    x = mg.tensor(2.0, requires_grad=True, dtype=np.float64)
    y = x**5
    for expected in (80.0, 160.0, 240.0, 240.0, 120.0):  # 5 x^4, 20 x^3, 60 x^2, 120 x, 120
        (y,) = mg.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected, rel=1e-14)
    assert not y.requires_grad or mg.grad(y, x)[0].item() == 0.0


def test_second_derivative_through_backward(x):
    (x**3).sum().backward(create_graph=True)
    g, x.grad = x.grad, None
    (g * g).sum().backward()  # sum (3 x^2)^2, derivative 36 x^3
    np.testing.assert_allclose(x.grad.data, 36 * x.data**3, rtol=1e-14)


def test_without_create_graph_gradients_are_constants(x):
    assert not mg.grad((x * x).sum(), x)[0].requires_grad
    assert mg.grad((x * x).sum(), x, create_graph=True)[0].requires_grad


# ---- shapes of graphs ----
def test_diamond(x):
    a = x * 2.0
    ((a + 1.0) * (a - 1.0)).sum().backward()  # 4 x^2 - 1
    np.testing.assert_allclose(x.grad.data, 8 * x.data)


def test_deep_diamond_is_walked_once_per_node(x, calls):
    """Thirty diamonds in a row have 2^30 paths but only 30 nodes."""
    y = x
    for _ in range(30):
        y = y + y
    y.sum().backward()
    assert x.grad.data.tolist() == [2.0**30] * 3
    assert len(calls) == 31


def test_one_tensor_as_both_arguments():
    x = mg.tensor(np.arange(9.0).reshape(1, 1, 3, 3), requires_grad=True)
    y = ops.conv2d(x, x)
    assert y.item() == (x.data**2).sum()
    y.backward()
    np.testing.assert_array_equal(x.grad.data, 2 * x.data)
    (gx,) = mg.grad((x - x).sum(), x)
    assert not gx.data.any()


def test_one_tensor_behind_two_outputs(x):
    y = ops.exp(x)
    first, second = y.sum(), (y * y).sum()
    first.backward(retain_graph=True)
    second.backward()
    np.testing.assert_allclose(x.grad.data, np.exp(x.data) + 2 * np.exp(2 * x.data))


def test_broadcasting_is_undone():
    a = mg.tensor(np.ones((4, 1, 3)), requires_grad=True)
    b = mg.tensor(np.ones((5, 1)), requires_grad=True)
    c = mg.tensor(2.0, requires_grad=True, dtype=np.float64)
    (a * b * c).sum().backward()
    assert (a.grad.data == np.full((4, 1, 3), 10.0)).all()
    assert (b.grad.data == np.full((5, 1), 24.0)).all()
    assert c.grad.item() == 60.0
    assert c.grad.shape == ()


def test_only_what_is_on_the_way_is_computed(x, calls):
    w = mg.tensor([1.0, 1.0, 1.0], requires_grad=True, dtype=np.float64)
    side = ops.exp(ops.tanh(w))
    y = (x * x * side).sum()
    mg.grad(y, x)
    assert [name for name, _ in calls] == ["sum", "mul", "mul"]
    assert calls[1] == ("mul", [0])  # the cotangent of `side` is not needed
    calls.clear()
    mg.grad((side * 1.0).sum(), [x, w])
    assert [name for name, _ in calls] == ["sum", "mul", "exp", "tanh"]


def test_constants_cost_nothing(x, calls):
    (ops.exp(mg.tensor([1.0, 1.0, 1.0], dtype=np.float64)) * x).sum().backward()
    assert calls == [("sum", [0]), ("mul", [1])]


def test_a_fused_rule_is_not_called_in_vain(monkeypatch):
    x = mg.tensor(np.ones((2, 2, 2, 2)), requires_grad=True)
    other = mg.tensor(1.0, requires_grad=True)
    y = ops.normalize(x, over="batch", eps=1e-5)
    monkeypatch.setattr(PRIMITIVES["normalize"], "fused", lambda *a, **k: pytest.fail("called"))
    assert mg.grad(y, [other], np.ones(y.shape))[0].item() == 0.0


# ---- the backward walk and its watchers ----
class Log(Watcher):
    """A watcher that records every call, in order."""

    def __init__(self):
        self.results, self.cotangents = [], []

    def result(self, primitive, y, arguments):
        self.results.append((primitive.name, y.data.tolist(), [a.data.tolist() for a in arguments]))

    def cotangent(self, node, position, g):
        self.cotangents.append((node.primitive.name, position, g.data.tolist()))


def test_a_watcher_hears_of_every_result_and_every_cotangent(x):
    with watching(log := Log()):
        y = (x * x).sum()
        assert log.results == [("mul", [1.0, 4.0, 9.0], [[1.0, 2.0, 3.0]] * 2), ("sum", 14.0, [[1.0, 4.0, 9.0]])]
        y.backward()
    ones = [1.0, 1.0, 1.0]
    assert log.cotangents == [("sum", -1, 1.0), ("sum", 0, ones),
                              ("mul", -1, ones), ("mul", 0, x.data.tolist()), ("mul", 1, x.data.tolist())]
    assert x.grad.data.tolist() == [2.0, 4.0, 6.0]
    (x * x).sum().backward()
    assert len(log.cotangents) == 5  # and none afterwards


def test_a_watcher_sees_cotangents_of_the_arguments_shapes():
    """Cotangents are summed back where an argument was broadcast, and only the needed ones are computed."""
    row, column = (mg.tensor(np.ones(s), requires_grad=True) for s in ((1, 3), (2, 1)))
    with watching(log := Log()):
        mg.grad((row + column).sum(), [row])
    assert log.cotangents[-1] == ("add", 0, [[2.0, 2.0, 2.0]])
    assert len(log.cotangents) == 4


def test_a_step_whose_derivative_is_zero_is_reached_and_sends_nothing_on(x):
    with watching(log := Log()):
        mg.grad(ops.sign(x).sum(), [x])
    assert [(name, position) for name, position, _ in log.cotangents] == [("sum", -1), ("sum", 0), ("sign", -1)]


def test_watchers_are_left_as_they_were_after_an_error(x):
    with pytest.raises(ZeroDivisionError), watching(Log()), watching(Log()):
        assert len(state.watchers) == 2
        raise ZeroDivisionError
    assert state.watchers == ()


def test_two_watchers_hear_the_same(x):
    """detect_anomaly inside a watched block, and the reverse: both watchers get every call."""
    for outer, inner in ((log := Log(), None), (None, log)):
        with watching(outer) if outer else mg.detect_anomaly(), watching(inner) if inner else mg.detect_anomaly():
            before = len(log.results)
            ops.exp(x)
            assert len(log.results) == before + 1
            with pytest.raises(NonFiniteError, match="log: in the forward pass"):
                ops.log(x - 5.0)


def test_a_walk_from_several_outputs_is_that_of_their_sum(x):
    y, z = (x * x).sum(), ops.exp(x)
    gradients = walk([(y, None), (z, [1.0, 0.0, 2.0]), (y, 3.0)])
    np.testing.assert_allclose(gradients[x].data, 4.0 * 2.0 * x.data + [1.0, 0.0, 2.0] * np.exp(x.data))
    with pytest.raises(GraphError, match="freed"):
        walk([(y, None)])
    assert state.node is None
    assert state.recording
