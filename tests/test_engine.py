"""The backward pass: what is computed, what is kept, what is freed, and what is refused."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.errors import GraphError, ShapeError
from minigan.primitive import PRIMITIVES


@pytest.fixture
def x():
    return mg.tensor([1.0, 2.0, 3.0], requires_grad=True, dtype=np.float64)


@pytest.fixture
def calls(monkeypatch):
    """Names of the primitives whose rules were called, in order, with the positions asked for."""
    seen = []
    right = mg.primitive.Primitive.vjps

    def vjps(self, need, *args):
        seen.append((self.name, need))
        return right(self, need, *args)

    monkeypatch.setattr(mg.primitive.Primitive, "vjps", vjps)
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
    """Thirty diamonds in a row have 2^30 paths but 30 nodes."""
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
    assert calls[1] == ("mul", [0])  # the cotangent of `side` is not asked for
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


# ---- freeing ----
def test_twice_through_a_freed_graph(x):
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match="freed by an earlier backward pass; pass retain_graph=True"):
        y.backward()
    with pytest.raises(GraphError, match="freed"):
        (y * 2.0).backward()


def test_a_part_of_a_freed_graph_is_refused(x):
    shared = ops.exp(x)
    shared.sum().backward()
    with pytest.raises(GraphError, match="freed"):
        (shared * 2.0).sum().backward()


def test_retain_graph(x):
    y = (x * x).sum()
    for _ in range(3):
        y.backward(retain_graph=True)
    assert x.grad.data.tolist() == [6.0, 12.0, 18.0]
    y.backward()
    with pytest.raises(GraphError, match="freed"):
        mg.grad(y, x)


def test_depth_20000_without_recursion():
    x = mg.tensor(1.0, requires_grad=True, dtype=np.float64)
    start = time.perf_counter()
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.backward(retain_graph=True)
    assert (y.item(), x.grad.item()) == (20_001.0, 1.0)
    middle = weakref.ref(y.node.args[0])
    del y
    assert middle() is None
    assert time.perf_counter() - start < 10


def test_depth_20000_with_create_graph():
    x = mg.tensor(0.5, requires_grad=True, dtype=np.float64)
    y = x
    for _ in range(20_000):
        y = -y
    (g,) = mg.grad(y, x, create_graph=True)
    assert g.item() == 1.0


@pytest.fixture
def uncollected():
    """The garbage collector is off, so that only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_the_graph_is_freed_by_reference_counts(x, uncollected):
    hidden = ops.exp(x)
    y = (hidden * hidden).sum()
    dead = [weakref.ref(hidden), weakref.ref(y)]
    del hidden, y
    assert [ref() for ref in dead] == [None, None]


@pytest.mark.parametrize("how", ["backward", "grad"])
def test_memory_is_released_during_the_pass(x, uncollected, how, monkeypatch):
    """When a rule is called, the tensors whose turn has come are gone already, but for the one at work."""
    alive = []
    y = x
    for _ in range(10):
        y = ops.exp(0.1 * y)
        alive.append(weakref.ref(y))
    loss = y.sum()
    del y
    right, counts = PRIMITIVES["exp"].rules["x"], []

    def rule(gy, y, x):
        counts.append(sum(ref() is not None for ref in alive))
        return right(gy, y, x)

    monkeypatch.setitem(PRIMITIVES["exp"].rules, "x", rule)
    loss.backward() if how == "backward" else mg.grad(loss, x)
    assert counts == list(range(10, 0, -1))
    assert not any(ref() for ref in alive)


@pytest.mark.parametrize("second_order", [False, True])
def test_a_step_makes_no_reference_cycles(x, uncollected, second_order):
    def step():
        w = mg.tensor(np.ones((3, 3)), requires_grad=True)
        h = ops.batch_norm(ops.relu(ops.linear(x.reshape(1, 3), w)).reshape(3, 1))
        loss = (h * h).sum() + (x[1:] * x[1:]).sum()
        if second_order:
            (g,) = mg.grad(loss, x, create_graph=True)
            loss = (g * g).sum()
        loss.backward()

    step()
    gc.collect()
    for _ in range(3):
        step()
    assert gc.collect() == 0


def test_an_error_in_the_middle_leaves_recording_as_it_was(x, monkeypatch):
    y = ops.exp(x).sum()
    monkeypatch.setitem(PRIMITIVES["exp"].rules, "x", lambda gy, y, x: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.backward()
    assert (x * x).requires_grad


# ---- no_grad ----
def test_no_grad_as_context_and_decorator(x):
    with mg.no_grad():
        assert not (x * x).requires_grad
        with mg.no_grad():
            pass
        assert not (x * x).requires_grad
    assert (x * x).requires_grad

    @mg.no_grad()
    def square(x):
        return x * x

    assert [square(x).requires_grad for _ in range(2)] == [False, False]
    assert (x * x).requires_grad
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert (x * x).requires_grad


def test_no_grad_is_this_threads_own(x):
    seen = []
    with mg.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_two_threads_differentiate_at_once():
    def work(seed, results):
        x = mg.tensor(np.random.default_rng(seed).normal(size=(2, 3, 8, 8)), requires_grad=True)
        for _ in range(20):
            (g,) = mg.grad(ops.conv2d(ops.tanh(x), np.ones((2, 3, 3, 3)), padding=1).sum(), x)
        results[seed] = g.data

    parallel, alone = {}, {}
    threads = [threading.Thread(target=work, args=(seed, parallel)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        work(seed, alone)
        np.testing.assert_array_equal(parallel[seed], alone[seed])


# ---- gradients are their leaf's own ----
def test_two_leaves_never_share_one_gradient():
    a, b = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    seed = mg.tensor([1.0, 1.0])
    (a + b.reshape(1, 2).reshape(2)).backward(seed)
    a.grad.writable()[...] = 5.0
    assert b.grad.data.tolist() == [1.0, 1.0]
    b.grad[...] = 7.0
    assert a.grad.data.tolist() == [5.0, 5.0]
    assert seed.data.tolist() == [1.0, 1.0]


def test_a_gradient_that_is_a_view_can_be_scaled_in_place(x):
    x.sum().backward()  # broadcast from one number
    x.grad.writable()[...] *= [1.0, 2.0, 3.0]
    assert x.grad.data.tolist() == [1.0, 2.0, 3.0]


def test_numpy_shape_errors_become_shape_errors(x):
    with pytest.raises(ShapeError, match=r"add: arguments of shapes \(3,\), \(2,\) do not fit"):
        x + np.ones(2)
