"""Memory of the engine: what a backward pass frees, which arrays gradients own, and what no_grad prevents."""

import gc
import importlib
import threading
import time
import weakref

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.engine import PRIMITIVES, Node
from minigan.errors import GraphError


@pytest.fixture
def x():
    return mg.tensor([1.0, 2.0, 3.0], requires_grad=True, dtype=np.float64)


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
    """Switch the garbage collector off, so that only reference counts free memory."""
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
    """When a rule is called, the arrays of finished nodes are freed already; those of the present node are not."""
    alive = []
    y = x
    for _ in range(10):
        y = ops.exp(0.1 * y)
        alive.append(weakref.ref(y.data))
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


def test_a_training_step_leaves_no_graph_behind(uncollected):
    """After a step, its graphs and their arrays are freed, although the trainer returns metrics."""
    trainer = mg.trainers.GAN(*mg.models.dcgan(size=28, width=4))
    real = np.zeros((2, 1, 28, 28), np.float32)

    def alive():
        objects = gc.get_objects()
        return [sum(issubclass(type(o), kind) for o in objects) for kind in (Node, mg.Tensor)]

    before = alive()
    trainer.step(real)
    assert alive() == before


def test_an_error_in_the_middle_leaves_recording_as_it_was(x, monkeypatch):
    y = ops.exp(x).sum()
    monkeypatch.setitem(PRIMITIVES["exp"].rules, "x", lambda gy, y, x: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.backward()
    assert (x * x).requires_grad


# ---- what a graph keeps ----
def bytes_kept(y):
    """Bytes of all arrays that the graph behind y holds, each counted once, without leaves."""
    seen, held, todo = set(), {}, [y.node]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        arrays = [node.y, *(a.data for a in node.args if a is not None and not a.is_leaf())]
        todo += [a.node for a in node.args if a is not None]
        for array in arrays:
            if array is not None and 0 not in array.strides:  # all strides 0: the shell of an argument
                owner = array if array.base is None else array.base
                held[id(owner)] = array.nbytes
    return sum(held.values())


@pytest.fixture
def all_arrays_count(monkeypatch):
    """Also count small arrays, which a graph keeps because recomputing them would cost more."""
    monkeypatch.setattr(importlib.import_module("minigan.engine.tensor"), "WORTH", 0)


@pytest.mark.usefixtures("all_arrays_count")
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_a_graph_keeps_what_vjps_read_and_no_more(slope):
    """h + leaky_relu(fold(w pad(h))), twice: kept are both outputs of leaky_relu, and the inner h, to pad it again."""
    h = x = mg.tensor(np.ones((1, 4, 8, 8)), requires_grad=True)
    w = mg.tensor(np.ones((1, 4, 10, 10)), requires_grad=True)
    border = ((0, 0), (0, 0), (1, 1), (1, 1))
    for _ in range(2):
        product = ops.pad(h, border, "reflect") * w
        h = h + ops.leaky_relu(ops.fold(product, widths=border), slope=slope)
    assert bytes_kept(h) == 3 * x.data.nbytes


@pytest.mark.usefixtures("all_arrays_count")
def test_a_residual_block_is_kept_as_what_its_norm_and_the_next_block_read():
    """h + norm(w h), twice: kept are both w h and the inner h, neither a norm without its sum nor the outer h."""
    h = x = mg.tensor(np.arange(256.0).reshape(1, 4, 8, 8), requires_grad=True)
    w = mg.tensor(np.ones((1, 4, 8, 8)), requires_grad=True)
    for _ in range(2):
        h = ops.instance_norm(w * h, addend=h)
    assert bytes_kept(h) == 3 * x.data.nbytes


@pytest.mark.usefixtures("all_arrays_count")
def test_an_array_nobody_kept_is_the_same_when_computed_again():
    """Through a pad, whose result is recomputed: first and second derivatives are as without recomputation."""
    x = mg.tensor(np.random.default_rng(0).normal(size=(1, 2, 4, 4)), requires_grad=True)
    widths = ((0, 0), (0, 0), (1, 2), (2, 1))

    def slopes(pad):
        h = ops.tanh(x)
        (g,) = mg.grad((pad(h) ** 3).sum(), x, create_graph=True)
        return g.data, mg.grad((g * g).sum(), x)[0].data

    def by_index(h):
        rows, columns = (np.pad(np.arange(4), w, mode="reflect") for w in widths[2:])
        return h[:, :, rows[:, None], columns]

    for ours, expected in zip(slopes(lambda h: ops.pad(h, widths, "reflect")), slopes(by_index), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.usefixtures("all_arrays_count")
def test_a_leaf_changed_before_its_result_is_computed_again(x):
    w = mg.tensor([2.0] * 5, requires_grad=True, dtype=np.float64)
    y = (ops.pad(x, ((1, 1),)) * w).sum()
    x[0] = 7.0
    with pytest.raises(GraphError, match="pad was changed in place"):
        mg.grad(y, w)


def test_a_rule_that_reads_what_is_not_kept_gets_nan(x, monkeypatch):
    monkeypatch.setitem(PRIMITIVES["neg"].rules, "x", lambda gy, y, x: gy * x)
    (g,) = mg.grad((-x).sum(), x)
    assert np.isnan(g.data).all()


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


# ---- a gradient belongs to its leaf ----
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
