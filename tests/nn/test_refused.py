"""What is no layer of ours is refused with a sentence; sizes of 0 and batches of no images are as in PyTorch."""

import functools
import pickle
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import minigan as mg
from minigan import nn, ops, optim
from minigan.errors import ModuleError, ShapeError

torch = pytest.importorskip("torch")


class Empty(nn.Module):
    """A module to assign to."""


class Average:
    """A helper that is no network: it cannot be called."""

    def parameters(self):
        return []

    def state_dict(self):
        return {}


class Own(nn.Module):
    """A user's layer that SpectralNorm can wrap."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.eye(2, dtype=np.float32))

    def compute(self, x, weight):
        return ops.matmul(x, weight)


def test_spectral_norm_names_what_it_wraps():
    layers = [nn.ReLU(), ops.relu, nn.Linear, nn.Sequential(nn.Linear(2, 2)), None, nn.BatchNorm2d(2),
              nn.Embedding(2, 2), torch.nn.Linear(2, 2), nn.SpectralNorm(nn.Linear(2, 2))]
    for layer in layers:
        with pytest.raises(ModuleError, match="SpectralNorm: it wraps one layer with a matrix of weights, Linear, "):
            nn.SpectralNorm(layer)
    assert nn.SpectralNorm(Own())(mg.tensor(np.ones((1, 2), np.float32))).shape == (1, 2)


@pytest.mark.parametrize("make", [
    lambda: torch.nn.Linear(1, 1), lambda: [torch.nn.ReLU()], lambda: {"a": (torch.nn.Linear(1, 1),)},
    lambda: torch.nn.Parameter(torch.zeros(1)), lambda: functools.partial(torch.nn.Linear(1, 1)),
    lambda: torch.nn.Linear(1, 1).forward,
    lambda: type("Layer", (), {"__module__": "keras.src.layers.layer"})()])
def test_networks_of_other_frameworks_are_no_attributes(make):
    net = Empty()
    with pytest.raises(ModuleError, match=r"'a' has a \w+ of (torch|keras), .* neither trained, saved nor moved"):
        net.a = make()
    net.a = []
    net.a.append(make())
    with pytest.raises(ModuleError, match="minigan.nn"):
        net.parameters()
    with pytest.raises(ModuleError, match="neither trained"):
        type("Net", (nn.Module,), {"a": make()})


def test_everything_else_may_be_an_attribute():
    leaf = torch.zeros(1, requires_grad=True)
    values = [torch.zeros(1), torch.nn.Linear, torch.optim.SGD([leaf], lr=0.1), torch.device("cpu"), mock.Mock(),
              mock.MagicMock(), Average(), optim.SGD([mg.tensor(1.0, requires_grad=True)]), np.zeros(2), nn.Linear]
    net = Empty()
    for value in values:
        net.a = value
        assert net.a is value and net.parameters() == []


def test_load_state_dict_says_what_it_takes():
    net = nn.Linear(1, 1)
    for weights, remedy in [(None, "not None"), ("a.pth", "not 'a.pth'.*load_weights"), (Path("a.pth"), "load_weights"),
                            (net, r"not a Linear; call its state_dict\(\)"), ([1], "not a list"),
                            ({1: 2}, "keys are no names")]:
        with pytest.raises(ModuleError, match=f"Linear: load_state_dict takes what state_dict.*{remedy}"):
            net.load_state_dict(weights)
    assert net.load_state_dict(torch.nn.Linear(1, 1).state_dict()).missing_keys == []


# ---- sizes of 0, and below ----
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")  # PyTorch's
@pytest.mark.parametrize("layer, sizes, shape", [("Linear", (0, 3), (2, 0)), ("Linear", (3, 0), (2, 3)),
                                                 ("Embedding", (3, 0), None), ("Embedding", (0, 3), None)])
def test_layers_without_inputs_or_outputs_are_as_in_pytorch(layer, sizes, shape):
    index = np.zeros(2 if sizes[0] else 0, np.int64)
    theirs, ours = getattr(torch.nn, layer)(*sizes), getattr(nn, layer)(*sizes)
    expected = theirs(torch.ones(shape) if shape else torch.tensor(index))
    y = ours(mg.tensor(np.ones(shape, np.float32)) if shape else index)
    y.sum().backward()
    np.testing.assert_array_equal(y.shape, tuple(expected.shape))
    assert [p.shape for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    if sizes[0] == 0 and shape:  # PyTorch sets such a bias to 0, too
        np.testing.assert_array_equal(y.data, expected.detach().numpy())


@pytest.mark.parametrize("make, size", [
    (lambda: nn.Linear(-1, 2), "in_features=-1"), (lambda: nn.Embedding(2, -3), "embedding_dim=-3"),
    (lambda: nn.BatchNorm2d(-1), "num_features=-1"), (lambda: nn.LayerNorm((2, -1)), "normalized_shape=-1"),
    (lambda: nn.InstanceNorm2d(-1), "num_features=-1"), (lambda: nn.Conv2d(-1, 2, 3), "in_channels=-1"),
    (lambda: nn.Conv2d(0, 2, 3), r"\(2, 0, 3, 3\) are empty"), (lambda: nn.UpConv2d(2, 0), "empty"),
    (lambda: nn.ConvTranspose2d(0, 2, 3), "empty"), (lambda: nn.GroupNorm(1, 0), "num_channels=0"),
    (lambda: nn.Linear(2.5, 1), "in_features=2.5 must be a whole"), (lambda: nn.BatchNorm2d("2"), "whole number")])
def test_other_sizes_are_errors_with_the_layer_and_the_size(make, size):
    with pytest.raises((ValueError, TypeError), match=f"[A-Z].*: .*{size}"):
        make()


# ---- batches of no images ----
PAIRS = {
    "group": (lambda n: n.GroupNorm(1, 2)), "instance": (lambda n: n.InstanceNorm2d(2)),
    "layer": (lambda n: n.LayerNorm((2, 4, 4))), "layer of rows": (lambda n: n.LayerNorm(4)),
    "batch": (lambda n: n.BatchNorm2d(2)), "batch in evaluation": (lambda n: n.BatchNorm2d(2).eval()),
    "reflect": (lambda n: n.ReflectionPad2d(1)), "edge": (lambda n: n.ReplicationPad2d(1)),
    "pool": (lambda n: n.MaxPool2d(2)), "nearest": (lambda n: n.Upsample(scale_factor=2)),
    "bilinear": (lambda n: n.Upsample(scale_factor=2, mode="bilinear")), "size": (lambda n: n.Upsample(size=3)),
    "conv": (lambda n: n.Conv2d(2, 3, 3)), "transposed": (lambda n: n.ConvTranspose2d(2, 3, 4, 2, 1)),
    "rows": (lambda n: n.Linear(4, 3)), "flatten": (lambda n: n.Flatten()),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_batch_of_no_images_is_as_in_pytorch(name):
    ours, theirs = PAIRS[name](nn), PAIRS[name](torch.nn)
    before = pickle.dumps(dict(ours.named_buffers()))
    there = torch.zeros(0, 2, 4, 4, requires_grad=True)
    expected = theirs(there)
    (expected * expected).sum().backward()
    x = mg.tensor(np.zeros((0, 2, 4, 4)), requires_grad=True)
    y = ours.astype(np.float64)(x)
    (y * y).sum().backward()
    assert y.shape == tuple(expected.shape) and x.grad.shape == tuple(there.grad.shape)
    assert [p.grad.numpy().tolist() for p in ours.parameters()] == [p.grad.tolist() for p in theirs.parameters()]
    ours.astype(np.float32)
    assert pickle.dumps(dict(ours.named_buffers())) == before  # running statistics stay, as PyTorch's


def test_other_operations_on_no_images():
    x = mg.tensor(np.zeros((0, 4, 4, 2)), requires_grad=True)
    w = mg.tensor(np.ones((3, 4, 3, 3)), requires_grad=True)
    for y, shape in [(ops.upconv2d(x, w), (0, 3, 8, 4)), (ops.avg_pool2d(x, 2), (0, 4, 2, 1)),
                     (ops.pixel_shuffle(x, 2), (0, 1, 8, 4)), (ops.global_avg_pool2d(x), (0, 4))]:
        assert y.shape == shape and mg.grad(y.sum(), x)[0].shape == x.shape
    gx, = mg.grad(ops.conv2d(x, w, padding=1).sum(), x, create_graph=True)
    assert not mg.grad((gx * gx).sum(), w)[0].numpy().any()
    for wrong in (np.zeros((2, 0, 4, 4)), np.zeros((2, 4, 0, 4))):
        for op in (lambda x: ops.conv2d(x, w), ops.instance_norm, lambda x: ops.max_pool2d(x, 2), ops.upsample2d):
            with pytest.raises(ShapeError, match="empty|only N may be 0"):
                op(mg.tensor(wrong))
