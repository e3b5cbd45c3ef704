"""Normalisation layers: PyTorch's values, gradients and running statistics for each combination of their options."""

import itertools
import pickle

import numpy as np
import pytest

import minigan as mg
from minigan import nn, ops
from minigan.errors import DTypeError, OptionError, ShapeError
from minigan.gradcheck import gradcheck

RNG = np.random.default_rng(0)
BATCHES = [RNG.normal(1, 2, (3, 4, 5, 6)) for _ in range(3)]
FLAGS = [dict(zip(("affine", "bias", "track_running_stats"), flags, strict=True))
         for flags in itertools.product([True, False], repeat=3)]


def twins(name, *arguments, **options):
    """Our layer and PyTorch's in double precision, with the same weights other than ones and zeros."""
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    theirs = getattr(torch.nn, name)(*arguments, **options).double()
    with torch.no_grad():
        for p in theirs.parameters():
            p += torch.tensor(RNG.normal(size=tuple(p.shape)))
    ours = getattr(nn, name)(*arguments, **options).astype(np.float64)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    assert set(theirs.state_dict()) - {"num_batches_tracked"} == set(ours.state_dict())
    return ours, theirs


def compare(ours, theirs, x):
    torch = pytest.importorskip("torch")
    mine, other = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = ours(mine), theirs(other)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    g = RNG.normal(size=y.shape)
    inputs = [mine, *ours.parameters()]
    expected.backward(torch.tensor(g))
    for a, b in zip(mg.grad(y, inputs, g), [other, *theirs.parameters()], strict=True):
        np.testing.assert_allclose(a.data, b.grad.numpy(), rtol=1e-7, atol=1e-9)
    theirs.zero_grad()
    for name, buffer in ours.named_buffers():
        np.testing.assert_allclose(buffer, dict(theirs.named_buffers())[name].numpy(), rtol=1e-10)


@pytest.mark.parametrize("options", FLAGS, ids=str)
@pytest.mark.parametrize("name", ["BatchNorm2d", "InstanceNorm2d"])
def test_batch_and_instance_norm_are_pytorchs_in_training_and_evaluation(name, options):
    ours, theirs = twins(name, 4, 1e-3, 0.3, **options)
    for x in BATCHES[:2]:
        compare(ours, theirs, x)
    compare(ours.eval(), theirs.eval(), BATCHES[2])
    compare(ours.train(), theirs.train(), BATCHES[2])
    assert {name for name, _ in ours.named_buffers()} == (
        {"running_mean", "running_var"} if options["track_running_stats"] else set())


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}], ids=str)
@pytest.mark.parametrize("shape", [(4, 5, 6), 6, (6,), (5, 6), [5, 6]], ids=str)
def test_layer_norm_is_pytorchs_over_any_last_axes(shape, options):
    compare(*twins("LayerNorm", shape, 1e-3, **options), BATCHES[0])


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"affine": False}], ids=str)
def test_group_norm_is_pytorchs(options):
    compare(*twins("GroupNorm", 2, 4, 1e-3, **options), BATCHES[0])


def test_running_statistics_of_instance_norm_by_hand():
    """Two images of one channel: means 1 and 3, unbiased variances 2 and 8, so their means are 2 and 5."""
    x = np.array([[0.0, 2.0], [1.0, 5.0]]).reshape(2, 1, 1, 2)
    layer = nn.InstanceNorm2d(1, momentum=0.5, track_running_stats=True)
    layer(mg.tensor(x.astype(np.float32)))
    assert [layer.running_mean.item(), layer.running_var.item()] == [1.0, 3.0]  # half way from 0 and from 1
    y = layer.eval()(mg.tensor(np.full((1, 1, 1, 1), 4.0, np.float32)))  # a single pixel is no problem now
    assert y.item() == pytest.approx(3 / np.sqrt(3 + 1e-5), rel=1e-6)
    with pytest.raises(OptionError, match="instance_norm: evaluation needs running_mean"):
        ops.instance_norm(mg.tensor(x), training=False)
    with pytest.raises(DTypeError, match="instance_norm: running_mean"):
        ops.instance_norm(mg.tensor(x), running_mean=mg.tensor(np.zeros(1)), running_var=np.ones(1))


@pytest.mark.parametrize("make", [
    lambda: nn.LayerNorm((2, 3), bias=False), lambda: nn.LayerNorm(3), lambda: nn.GroupNorm(2, 4, bias=False),
    lambda: nn.BatchNorm2d(4, track_running_stats=False).eval(),
    lambda: nn.InstanceNorm2d(4, track_running_stats=True).eval()])
def test_first_and_second_derivatives(make):
    gradcheck(make().astype(np.float64), [RNG.normal(size=(2, 4, 2, 3))])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["BatchNorm2d", "InstanceNorm2d"])
def test_a_relu_after_a_norm_of_any_options(name, training):
    """Sequential runs both as one operation; the result must not differ."""
    for options in FLAGS:
        net = nn.Sequential(getattr(nn, name)(4, **options), nn.LeakyReLU(0.1)).astype(np.float64).train(training)
        together, apart = net(mg.tensor(BATCHES[0])), net[1](net[0](mg.tensor(BATCHES[0])))
        np.testing.assert_allclose(together.data, apart.data, rtol=1e-12)


def test_our_names_pytorchs_names_and_what_is_refused():
    for name in ("BatchNorm2d", "InstanceNorm2d"):
        make = getattr(nn, name)
        assert make(channels=4).channels == make(num_features=4).channels == make(4).channels == 4
        with pytest.raises(TypeError, match=f"{name}: channels and num_features are one argument"):
            make(num_features=4, channels=4)
        for momentum in (None, True, "0.1"):
            with pytest.raises(OptionError, match=f"{name}: momentum={momentum!r} must be a number"):
                make(4, 1e-5, momentum)
    assert nn.LayerNorm(shape=(2, 3)).normalized_shape == nn.LayerNorm(normalized_shape=[2, 3]).normalized_shape
    with pytest.raises(ShapeError, match=r"x \(2, 3\) does not end with the layer's shape \(2,\)"):
        nn.LayerNorm(2)(mg.tensor(np.ones((2, 3))))
    with pytest.raises(ShapeError, match="does not end"):
        nn.LayerNorm((1, 2, 3), elementwise_affine=False)(mg.tensor(np.ones((2, 3))))
    moved = nn.BatchNorm2d(2, device="cpu", dtype=np.float64)
    assert {array.dtype for array in moved.state_dict().values()} == {np.dtype(np.float64)}


def test_running_statistics_can_be_set_back():
    x = mg.tensor(RNG.normal(size=(2, 3, 4, 4)).astype(np.float32) + 5)
    for layer in (nn.BatchNorm2d(3), nn.InstanceNorm2d(3, track_running_stats=True), nn.InstanceNorm2d(3)):
        fresh = layer.state_dict()
        layer(x)
        layer.reset_running_stats()
        for name, array in layer.state_dict().items():
            np.testing.assert_array_equal(array, fresh[name])


def test_layers_that_an_earlier_version_pickled():
    """They have neither `normalized_shape` nor running statistics of instance norm."""
    for layer, later in ((nn.LayerNorm((2, 3)), ["normalized_shape"]),
                         (nn.InstanceNorm2d(2), ["momentum", "running_mean", "running_var"])):
        old = pickle.loads(pickle.dumps(layer))
        for name in later:
            del vars(old)[name]
        old._buffers.clear()
        same = pickle.loads(pickle.dumps(old))
        x = mg.tensor(RNG.normal(size=(2, 2, 3)).astype(np.float32))
        np.testing.assert_array_equal(same(x).data, layer(x).data)
    from minigan.nn import layers
    assert layers.BatchNorm2d is nn.BatchNorm2d  # where those pickles look for it
