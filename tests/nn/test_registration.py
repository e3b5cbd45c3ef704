"""Nothing that holds weights is left out silently: what is refused, what is registered, and under which names."""

import collections
import copy
import dataclasses
import functools
import pickle
from collections import OrderedDict
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest

import minigan as mg
from minigan import nn, ops
from minigan.errors import CheckpointError, MiniganError, OptionError


class Empty(nn.Module):
    """A module to assign to."""

    def forward(self, x, scale=1.0, *, shift=0.0):
        return x * scale + shift


@pytest.mark.parametrize(("part", "remedy"), [
    ([nn.ReLU()], r"Sequential\(\*layers\)"), ((nn.ReLU(),), r"Sequential\(\*layers\)"), (nn.Tanh, r"Tanh\(\)"),
    (ops.relu, r"nn.ReLU\(\)"), (mg.tensor(1.0), "not a Module"), (None, "not a Module"), ("relu", "not a Module")])
def test_a_sequential_of_anything_but_modules_is_a_type_error(part, remedy):
    for make in (lambda: nn.Sequential(part), lambda: nn.Sequential(nn.Linear(2, 2), part, nn.Linear(2, 2)),
                 lambda: nn.Sequential(OrderedDict(a=part)), lambda: nn.Sequential().append(part),
                 lambda: nn.Sequential(nn.ReLU()).insert(0, part), lambda: nn.ModuleList([part])):
        with pytest.raises(TypeError, match="Sequential|ModuleList") as caught:
            make()
        assert isinstance(caught.value, MiniganError)
    with pytest.raises(TypeError, match=remedy):
        nn.Sequential(part)


def test_slices_of_a_sequential_share_modules_and_names():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert [type(part) for part in (net[:-1], net[1:3], net[::2])] == [nn.Sequential] * 3
    assert list(net[::2].state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert net[:-1][0] is net[0]
    assert net[-1] is net[2]
    assert net[1] in net
    assert len(net[:0]) == 0
    named = nn.Sequential(OrderedDict(first=nn.Linear(2, 2), second=nn.ReLU()))
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    x = mg.tensor(np.float32([[1, -2]]))
    np.testing.assert_array_equal(net(x).data, net[1:](net[:1](x)).data)


def test_a_sequential_is_a_list():
    a, b, c = nn.Linear(1, 1), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a).append(c).insert(1, b).extend([a])
    assert list(net) == [a, b, c, a]
    del net[0]
    assert list(net) == [b, c, a]
    assert list(net.state_dict()) == ["2.weight", "2.bias"]
    net[0] = c
    assert net.pop(0) is c
    assert list(net) == [c, a]
    with pytest.raises(IndexError):
        net[5]


def test_module_lists_dicts_and_parameter_lists_are_trained_and_named():
    net = Empty()
    net.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 1)])
    net.heads = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False)})
    net.scales = nn.ParameterList([nn.Parameter(np.ones(2)), mg.tensor([1.0])])
    assert list(net.state_dict()) == ["blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias",
                                      "heads.a.weight", "scales.0", "scales.1"]
    net.blocks.append(nn.ReLU())
    assert type(net.blocks[1:]) is nn.ModuleList
    assert [len(net.blocks), len(net.blocks[1:]), len(net.parameters())] == [3, 2, 7]
    net.heads.update({"b": nn.Tanh()})
    assert [*net.heads] == [*net.heads.keys()] == ["a", "b"]
    assert type(net.heads.pop("b")) is nn.Tanh
    with pytest.raises(KeyError):
        net.heads["b"]
    with pytest.raises(TypeError):
        net.heads["c"] = nn.Tanh


@pytest.mark.parametrize("wrap", [
    lambda m: [m], lambda m: (m,), lambda m: {m}, lambda m: {"a": m}, lambda m: [[1, (m,)]], lambda m: {"a": [m]}])
@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), lambda: nn.Parameter(np.ones(1))])
def test_plain_containers_of_parts_are_refused(wrap, make):
    with pytest.raises(TypeError, match=r"nn\.(Module|Parameter)(List|Dict)"):
        Empty().blocks = wrap(make())


def test_a_list_filled_later_is_refused_where_it_would_be_left_out():
    net = Empty()
    net.blocks, net.sizes = [], [1, 2]
    net.blocks.append(nn.Linear(2, 2))
    for use in (net.parameters, net.state_dict, net.train, lambda: net.to("cpu"), lambda: list(net.modules())):
        with pytest.raises(TypeError, match="ModuleList"):
            use()
    net.block = net.blocks[0]  # registered besides: nothing is left out
    assert len(net.parameters()) == 2


def test_a_tensor_in_place_of_a_parameter_is_refused():
    layer = nn.Linear(2, 2)
    for value in (mg.tensor(np.ones((2, 2))), np.ones((2, 2)), 1.0):
        with pytest.raises(TypeError, match=r"nn\.Parameter"):
            layer.weight = value
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]
    with pytest.raises(TypeError, match=r"nn\.Parameter"):
        layer.bias = mg.tensor([1.0, 2.0])
    with pytest.raises(TypeError):
        nn.Linear(2, 2, bias=False).bias = np.ones(2)
    layer.bias = nn.Parameter(np.ones(2, np.float32))
    assert len(layer.parameters()) == 2
    net = nn.Sequential(layer)
    with pytest.raises(TypeError, match="is a module"):
        setattr(net, "0", ops.relu)
    del layer.bias
    assert not hasattr(layer, "bias")


def test_names_that_cannot_be():
    net = Empty()
    for name in ("", "a.b", "forward", "parameters", "training"):
        for add in (net.add_module, lambda n, m: setattr(net, n, m)):
            with pytest.raises(OptionError):
                add(name, nn.ReLU())
        with pytest.raises(OptionError):
            net.register_buffer(name, np.ones(1))
    with pytest.raises(OptionError):
        nn.ModuleDict({"a.b": nn.ReLU()})
    with pytest.raises(TypeError):
        net.register_parameter("w", np.ones(1))
    with pytest.raises(TypeError):
        net.add_module("w", nn.ReLU)


def test_assigning_before_init_is_one_sentence():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(TypeError, match=r"Early: call super\(\).__init__\(\) before assigning 'layer'"):
        Early()


def test_a_buffer_replaced_by_a_parameter_is_no_buffer():
    norm = nn.BatchNorm2d(2)
    norm.running_mean = nn.Parameter(np.zeros(2, np.float32))
    assert [name for name, _ in norm.named_buffers()] == ["running_var"]
    with pytest.raises(TypeError, match="buffer"):
        norm.running_var = mg.tensor([1.0, 2.0])


def test_forward_gets_keyword_arguments():
    assert Empty()(mg.tensor(3.0), scale=2.0, shift=1.0).item() == 7.0
    assert Empty()(x=mg.tensor(3.0)).item() == 3.0


def tied():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    return net


def test_a_tied_weight_has_all_its_names_and_is_one_parameter():
    net = tied()
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    state = net.state_dict()
    old = {name: value + 1 for name, value in state.items() if name != "1.weight"}  # what 0.1.0 wrote
    assert net.load_state_dict(old) == ([], [])
    np.testing.assert_array_equal(net[1].weight.data, state["0.weight"] + 1)
    with pytest.raises(CheckpointError, match=r"0.weight and 1.weight are one array"):
        net.load_state_dict({**state, "1.weight": state["1.weight"] + 1})
    for same in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert len(same.parameters()) == 3


def test_a_shared_module_has_weights_and_buffers_under_the_same_names():
    norm = nn.BatchNorm2d(1)
    net = nn.Sequential(norm, nn.ReLU(), norm)
    names = [f"{i}.{name}" for name in ("weight", "bias", "running_mean", "running_var") for i in (0, 2)]
    assert sorted(net.state_dict()) == sorted(names)
    assert [len(net.parameters()), len(list(net.named_buffers())), len(list(net.modules()))] == [2, 2, 3]
    assert net.load_state_dict(net.state_dict()) == ([], [])


def test_tied_weights_to_pytorch_and_back():
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    net, twin = tied(), torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    twin[1].weight = twin[0].weight
    net.load_state_dict(twin.state_dict())
    assert set(net.state_dict()) == set(twin.state_dict())
    twin.load_state_dict({name: torch.from_numpy(value) for name, value in net.state_dict().items()})


def test_strict_lists_everything_and_lenient_returns_it():
    net = nn.Sequential(*(nn.Linear(1, 1) for _ in range(6)))
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict({"0.weight": np.zeros((2, 2)), "a": np.zeros(1), "b": np.zeros(1)})
    for name in (*list(net.state_dict()), "a", "b"):
        assert name in str(caught.value)
    keys = net.load_state_dict({"0.weight": np.full((1, 1), 5.0), "a": np.zeros(1)}, strict=False)
    assert keys.missing_keys == list(net.state_dict())[1:]
    assert keys.unexpected_keys == ["a"]
    assert net[0].weight.item() == 5.0
    with pytest.raises(CheckpointError, match="shape"):
        net.load_state_dict({"0.weight": np.zeros((2, 2))}, strict=False)


@dataclasses.dataclass
class Config:
    head: object
    sizes: tuple = (1, 2)


HIDING = {
    "key of a dict": lambda m: {m: 1}, "dataclass": Config, "namespace": lambda m: SimpleNamespace(a=[m]),
    "partial": lambda m: functools.partial(ops.mul, m), "partial of a call": functools.partial,
    "array of objects": lambda m: np.array([None, m], object), "UserList": lambda m: collections.UserList([m]),
    "UserDict": lambda m: collections.UserDict(a=m), "ChainMap": lambda m: collections.ChainMap({"a": m}),
    "mapping proxy": lambda m: MappingProxyType({"a": m}), "values": lambda m: {"a": m}.values(),
    "items": lambda m: {"a": m, "b": 1}.items(), "deque": lambda m: collections.deque([m]),
    "dataclass in a list": lambda m: [Config(1), Config(m)], "method": lambda m: m.forward,
}


@pytest.mark.parametrize("wrap", HIDING.values(), ids=HIDING)
def test_no_container_hides_a_module(wrap):
    net = Empty()
    with pytest.raises(TypeError, match="neither trained, saved nor moved"):
        net.part = wrap(nn.Linear(2, 2))
    net.part = wrap(nn.Linear) if wrap is not functools.partial else functools.partial(nn.Linear, 2)
    net.block = nn.Linear(2, 2)
    net.part = wrap(net.block)  # registered besides: nothing is left out
    assert len(net.parameters()) == 2
    late = Empty()
    late.part = holder = []
    holder.append(wrap(nn.Linear(2, 2)))
    with pytest.raises(TypeError, match="neither trained, saved nor moved"):
        late.parameters()


@pytest.mark.parametrize("part", [nn.Linear(2, 2), [nn.Tanh()], {"a": nn.Parameter(np.ones(1))}], ids=type)
def test_a_module_in_the_body_of_a_class_is_refused(part):
    with pytest.raises(TypeError, match="'block' is assigned in the body of the class.*in __init__"):
        type("Shared", (nn.Module,), {"block": part})
    assert type("Fine", (nn.Module,), {"kind": nn.Linear, "sizes": [1, 2]})().parameters() == []
