"""Copies: pickled, deep-copied, in another process. A network learns there as it does here; a graph stays at home."""

import copy
import multiprocessing
import pickle
import subprocess
import sys

import numpy as np
import pytest

import minigan as mg
from minigan import models, nn, ops, optim, random, trainers
from minigan.errors import DTypeError, GraphError, ShapeError

WAYS = {"deepcopy": copy.deepcopy, "copy": copy.copy,
        **{f"pickle{p}": lambda t, p=p: pickle.loads(pickle.dumps(t, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)}}
IN_A_NEW_PROCESS = """
import pickle, sys
import numpy as np
import minigan as mg
from minigan import optim
with open(sys.argv[1], "rb") as file:
    net, optimizer = pickle.load(file)
x = mg.tensor(np.float32([[1, 2], [-1, 0.5]]))
for _ in range(10):
    optimizer.zero_grad()
    (net(x) ** 2).sum().backward()
    optimizer.step()
np.savez(sys.argv[2], **net.state_dict())
"""


def ten_steps(net, optimizer):
    """The same ten steps here."""
    x = mg.tensor(np.float32([[1, 2], [-1, 0.5]]))
    for _ in range(10):
        optimizer.zero_grad()
        (net(x) ** 2).sum().backward()
        optimizer.step()
    return net.state_dict()


def aged_network():
    """A network whose leaves are younger than anything that a new process makes, and its optimiser."""
    for _ in range(1000):
        mg.tensor(0.0)
    random.seed(3)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    return net, optim.SGD(net.parameters(), lr=0.01, momentum=0.9)


def learn_elsewhere(pair, results):
    """In a spawned process."""
    results.put(ten_steps(*pair))


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickled_network_learns_in_a_new_process(tmp_path, protocol):
    net, optimizer = aged_network()
    (tmp_path / "net.pickle").write_bytes(pickle.dumps((net, optimizer), protocol))
    start, expected = net.state_dict(), ten_steps(net, optimizer)
    subprocess.run([sys.executable, "-c", IN_A_NEW_PROCESS, tmp_path / "net.pickle", tmp_path / "net.npz"], check=True)
    with np.load(tmp_path / "net.npz") as there:
        for name, array in expected.items():
            assert not np.array_equal(there[name], start[name])
            np.testing.assert_array_equal(there[name], array)


def test_a_spawned_process_learns():
    net, optimizer = aged_network()
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=learn_elsewhere, args=((net, optimizer), results))
    process.start()
    there = results.get(timeout=300)
    process.join()
    for name, array in ten_steps(net, optimizer).items():
        np.testing.assert_array_equal(there[name], array)


def test_a_new_order_where_the_old_one_would_be_trusted(monkeypatch):
    """As in a new process: the counter starts again, below the orders of everything pickled."""
    w = mg.tensor([2.0, 3.0], requires_grad=True)
    saved = pickle.dumps(w)
    monkeypatch.setattr(sys.modules[mg.Tensor.__module__], "_creation", iter(range(10**9)))
    twin = pickle.loads(saved)
    (twin * twin).sum().backward()
    assert twin.grad.data.tolist() == [4.0, 6.0]


def test_an_order_that_came_from_elsewhere_is_an_error_and_no_silence():
    w = mg.tensor([2.0, 3.0], requires_grad=True)
    loss = (w * w).sum()
    w.order = 10**12
    with pytest.raises(GraphError, match="not in order of creation"):
        loss.backward()


def test_a_pickle_of_the_first_version_has_an_order_that_is_not_used():
    """What 0.1 wrote: every slot, under its name."""
    w = mg.tensor([2.0, 3.0]).__new__(mg.Tensor)
    w.__setstate__((None, {"_data": np.float32([2, 3]), "_version": [4], "grad": None, "node": None, "order": 10**12,
                           "requires_grad": True}))
    (w * w).sum().backward()
    assert w.grad.data.tolist() == [4.0, 6.0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [mg.Tensor, nn.Parameter], ids=lambda kind: kind.__name__)
def test_a_copy_is_a_leaf_of_the_same_kind(way, kind):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = nn.Parameter(array) if kind is nn.Parameter else mg.tensor(array, requires_grad=True)
    x.grad = mg.tensor(2 * array)
    twin = WAYS[way](x)
    assert type(twin) is kind and twin is not x and twin.is_leaf() and twin.dtype == np.float32
    np.testing.assert_array_equal(twin.data, array)
    np.testing.assert_array_equal(twin.grad.data, 2 * array)
    with pytest.raises(ValueError, match="read-only"):
        twin.data[0] = 1.0
    assert mg.grad((twin * twin).sum(), twin)[0].data.tolist() == (2 * array).tolist()
    twin.grad = None
    assert x.grad is not None


@pytest.mark.parametrize("way", [way for way in WAYS if way != "copy"])
def test_a_copy_has_memory_of_its_own_that_may_be_written(way):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    twin = WAYS[way](x)
    twin.writable()[...] = 7.0
    assert (x.data.tolist(), twin.data.tolist()) == ([1, 2], [7, 7])
    loss = (twin * twin).sum()
    twin.writable()[...] = 8.0
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_a_shallow_copy_sees_the_same_memory_and_its_changes_are_noticed():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    loss, twin = (x * x).sum(), copy.copy(x)
    twin.writable()[...] = 7.0
    assert x.data.tolist() == [7, 7]
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_a_shallow_copy_of_a_result_is_at_the_same_place_of_the_graph():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    copy.copy(x * x).sum().backward()
    assert x.grad.data.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "copy"])
def test_history_is_neither_pickled_nor_deep_copied(way):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    for graph in (x * x, ops.relu(x).sum(), (x * x).node):
        with pytest.raises(GraphError, match="detach"):
            WAYS[way](graph)
    assert WAYS[way]((x * x).detach()).data.tolist() == [1.0, 4.0]


@pytest.mark.parametrize("way", WAYS)
def test_a_gradient_with_history_comes_without_it(way):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * x * x).sum().backward(create_graph=True)
    twin = WAYS[way](x)
    assert twin.grad.data.tolist() == [3.0, 12.0]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "copy"])
def test_what_was_one_tensor_stays_one_and_filters_keep_their_layout(way):
    conv = nn.Conv2d(2, 4, 3)
    first, second = WAYS[way]([conv.weight, conv.weight])
    assert first is second
    assert first.data.strides == conv.weight.data.strides


@pytest.mark.parametrize("way", [way for way in WAYS if way != "copy"])
def test_streams_and_optimisers_go_on_where_they_were(way):
    stream = random.Stream(5, "noise")
    stream.normal(3)
    twin = WAYS[way](stream)
    np.testing.assert_array_equal(twin.normal(4), stream.normal(4))
    p = mg.tensor([1.0, -2.0], requires_grad=True)
    adam = optim.Adam([p], lr=0.1)
    adam.minimize((p * p).sum())
    q, other = WAYS[way]((p, adam))
    assert other.parameters[0] is q
    adam.minimize((p * p).sum())
    other.minimize((q * q).sum())
    np.testing.assert_array_equal(q.data, p.data)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "copy"])
def test_a_copied_trainer_trains_as_the_original(rng, way):
    trainer = trainers.GAN(*models.dcgan(channels=1, size=16, width=4), loss="non_saturating", seed=1)
    batch = rng.normal(size=(4, 1, 16, 16)).astype(np.float32)
    twin = WAYS[way](trainer)
    assert [twin.step(batch) for _ in range(3)] == [trainer.step(batch) for _ in range(3)]
    first, second = trainer.state_dict()["generator"], twin.state_dict()["generator"]
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_subclass_keeps_its_attributes():
    class Named(mg.Tensor):
        def __init__(self, array, name):
            super().__init__(array, requires_grad=True)
            self.name = name

    x = Named(np.ones(2, np.float32), "gain")
    assert copy.deepcopy(x).name == copy.copy(x).name == "gain"


# ---- the gradient of a leaf ----
def test_a_gradient_has_the_shape_and_type_of_its_tensor():
    x = mg.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    for value in (np.ones(3, np.float32), np.ones((3, 2), np.float32), mg.tensor(1.0), 1.0):
        with pytest.raises(ShapeError, match=r"grad =: a tensor of shape \(2, 3\) cannot have a gradient of shape"):
            x.grad = value
    for value in (np.ones((2, 3)), mg.tensor(np.ones((2, 3)))):
        with pytest.raises(DTypeError, match="grad =: the gradient is float64, its tensor float32"):
            x.grad = value
    assert x.grad is None
    mine = np.ones((2, 3), np.float32)
    x.grad = mine
    mine[...] = 5.0
    assert isinstance(x.grad, mg.Tensor) and x.grad.data.tolist() == [[1.0] * 3] * 2
    x.grad = None
    assert x.grad is None
