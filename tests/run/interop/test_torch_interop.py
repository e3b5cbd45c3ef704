"""Beside PyTorch: shared memory, and networks of one framework inside the other, with gradients of both orders."""

import numpy as np
import pytest

import minigan as mg
from minigan import losses, models, nn, ops, optim
from minigan.errors import DTypeError

torch = pytest.importorskip("torch", reason="PyTorch is what these tests are about")
bridge = mg.interop.torch


def test_tensors_share_their_memory(rng):
    filters = nn.Conv2d(3, 4, 5).weight  # not row-major
    there = torch.from_dlpack(filters.detach())
    assert there.shape == (4, 3, 5, 5) and there.data_ptr() == filters.data.__array_interface__["data"][0]
    assert tuple(8 * s for s in there.stride()) == tuple(2 * s for s in filters.data.strides)
    mine = torch.arange(6.0).reshape(2, 3).T
    back = bridge.from_torch(mine, requires_grad=True)
    mine[0, 1] = 9.0
    assert back.data.tolist() == mine.tolist() and back.requires_grad
    assert np.shares_memory(np.asarray(back), back.data) and np.shares_memory(np.from_dlpack(mine), back.data)
    assert mine.numpy().flags.writeable  # PyTorch's own view stays as it was
    assert torch.equal(bridge.to_torch(back), mine)
    with pytest.raises(DTypeError, match=r"from_torch: a tensor of torch\.int64; only float32 and float64"):
        bridge.from_torch(torch.arange(3))


class Smooth(nn.Module):
    """Two layers, a buffer, no kinks."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(),
                                    nn.Linear(48, 2))

    def forward(self, x):
        return self.layers(x)


def twins():
    """The same network in both frameworks, float64, and an input."""
    mg.seed(3)
    net = Smooth().double()
    theirs = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.BatchNorm2d(3), torch.nn.Tanh(),
                                 torch.nn.Flatten(), torch.nn.Linear(48, 2)).double()
    theirs.load_state_dict({name.removeprefix("layers."): torch.tensor(array)
                            for name, array in net.state_dict().items()}, strict=False)
    return net, theirs, np.random.default_rng(1).normal(size=(3, 2, 4, 4))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*gradcheck")
def test_pytorchs_gradcheck_passes_through_minigan():
    net, _, x = twins()
    wrapped = bridge.to_torch(net.eval()).double().eval()
    assert {name for name, _ in wrapped.named_parameters()} == {name for name, _ in net.named_parameters()}
    x = torch.tensor(x[:1, :, :2, :2], requires_grad=True)
    small = bridge.to_torch(nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(3, 2)).double())
    weights = dict(small.named_parameters())

    def function(x, *values):
        return torch.func.functional_call(small, dict(zip(weights, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(small, (x,)) and torch.autograd.gradgradcheck(small, (x,))
    assert torch.autograd.gradgradcheck(function, (x, *weights.values()))


def test_gradients_in_both_directions_are_those_of_each_framework(rng):
    """In minigan, in PyTorch, minigan's network in PyTorch, PyTorch's in minigan: loss, gradients, a penalty's, too."""
    net, theirs, x = twins()

    def in_torch(module):
        module.zero_grad()
        leaf = torch.tensor(x, requires_grad=True)
        slope, = torch.autograd.grad(module(leaf).square().sum(), leaf, create_graph=True)
        (slope.square().sum() + module(leaf).sum()).backward()
        return [leaf.grad.numpy(), *(p.grad.numpy() for p in module.parameters())]

    def in_minigan(module):
        module.zero_grad()
        leaf = mg.tensor(x, requires_grad=True)
        slope, = mg.grad(ops.sum(module(leaf) ** 2), [leaf], create_graph=True)
        (ops.sum(slope**2) + ops.sum(module(leaf))).backward()
        return [leaf.grad.data, *(p.grad.data for p in module.parameters())]

    right = in_torch(theirs)
    for gradients in (in_minigan(net), in_torch(bridge.to_torch(twins()[0])), in_minigan(bridge.from_torch(theirs))):
        for a, b in zip(gradients, right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_a_network_trains_with_the_other_frameworks_optimiser():
    """Five steps of SGD move both networks alike, running statistics included; eval() reaches the network inside."""
    net, theirs, x = twins()
    ours, wrapped = bridge.from_torch(theirs), bridge.to_torch(net)
    here, there = optim.SGD(ours.parameters(), lr=0.1), torch.optim.SGD(wrapped.parameters(), lr=0.1)
    for _ in range(5):
        here.minimize(losses.mse(ours(mg.tensor(x)), mg.tensor(np.ones((3, 2)))))
        there.zero_grad()
        ((wrapped(torch.tensor(x)) - 1) ** 2).mean().backward()
        there.step()
    mine, other = ours.state_dict(), {n.removeprefix("layers."): t.numpy() for n, t in wrapped.state_dict().items()}
    assert {*mine} == {*other}
    for name, array in mine.items():
        np.testing.assert_allclose(other[name], array, rtol=1e-9, atol=1e-11, err_msg=name)
        np.testing.assert_allclose(net.state_dict()[f"layers.{name}"], array, rtol=1e-9, atol=1e-11, err_msg=name)
    assert np.abs(net.layers[1].running_mean).max() > 0
    before = wrapped.eval()(torch.tensor(x)).detach()
    assert not net.training and torch.equal(before, wrapped(torch.tensor(x)))
    np.testing.assert_allclose(ours.eval()(mg.tensor(x)).data, before, rtol=1e-9, atol=1e-11)
    wrapped.load_state_dict({name: 0 * t for name, t in wrapped.state_dict().items()})
    assert not wrapped(torch.tensor(x)).any() and not net.layers[1].running_var.any()


def test_what_was_changed_in_place_is_noticed():
    net, _, x = twins()
    wrapped = bridge.to_torch(net)
    y = wrapped(torch.tensor(x, requires_grad=True)).sum()
    with torch.no_grad():
        next(wrapped.parameters()).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_no_graph_without_gradients_and_several_outputs():
    net, _, x = twins()
    wrapped = bridge.to_torch(net)
    with torch.no_grad():
        assert wrapped(torch.tensor(x)).grad_fn is None
    scales = bridge.to_torch(models.MultiScaleDiscriminator(1, 2, 1))
    maps = scales(torch.randn(2, 1, 24, 24))
    assert [tuple(m.shape) for m in maps] == [(2, 1, 10, 10), (2, 1, 4, 4)]
    sum(m.sum() for m in maps).backward()
    assert all(p.grad is not None for p in scales.parameters())
    with mg.no_grad():
        assert bridge.from_torch(torch.nn.Linear(2, 1))(mg.tensor([[1.0, 2.0]])).node is None
