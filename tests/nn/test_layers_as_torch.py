"""Layers that PyTorch has too: numbers worked out by formula, and PyTorch's own where it is installed."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim
from minigan.errors import MiniganError, OptionError, ShapeError
from minigan.gradcheck import gradcheck

X = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)


def test_group_norm_has_mean_0_and_variance_1_per_group():
    y = nn.GroupNorm(2, 4)(mg.tensor(X * 3 + 1)).data.reshape(2, 2, -1)  # (N, groups, C/groups*H*W)
    np.testing.assert_allclose(y.mean(2), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(2), 1, atol=1e-4)
    with pytest.raises(OptionError, match="3 groups do not divide 4"):
        nn.GroupNorm(3, 4)
    with pytest.raises(ShapeError, match="C=6"):
        nn.GroupNorm(2, 6)(mg.tensor(X))


def test_group_norm_has_the_right_gradient():
    layer = nn.GroupNorm(2, 4).astype(np.float64)
    gradcheck(layer, [X[:, :, :2, :2].astype(np.float64)])


def test_embedding_takes_rows_and_adds_gradients_of_repeated_ones():
    layer = nn.Embedding(4, 3, padding_idx=-1)
    y = layer(np.array([[0, 2], [2, 3]]))
    np.testing.assert_array_equal(y.data, layer.weight.data[[[0, 2], [2, 3]]])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data, [[1] * 3, [0] * 3, [2] * 3, [0] * 3])
    assert not layer.weight.data[3].any()
    for wrong in ([4], [-1], [1.5], mg.tensor([1.0])):
        with pytest.raises(MiniganError):
            layer(wrong)


def test_paddings_of_four_are_left_right_top_bottom():
    x = mg.tensor(np.arange(4.0).reshape(1, 1, 2, 2))
    np.testing.assert_array_equal(nn.ZeroPad2d((1, 0, 0, 1))(x).data[0, 0], [[0, 0, 1], [0, 2, 3], [0, 0, 0]])
    np.testing.assert_array_equal(nn.ReflectionPad2d((0, 1, 1, 0))(x).data[0, 0], [[2, 3, 2], [0, 1, 0], [2, 3, 2]])
    np.testing.assert_array_equal(nn.ReplicationPad2d((2, 0, 0, 0))(x).data[0, 0], [[0, 0, 0, 1], [2, 2, 2, 3]])
    for wrong in ((1, 2), 1.5, "1"):
        with pytest.raises(OptionError, match="left, right, top, bottom"):
            nn.ZeroPad2d(wrong)


def test_negative_slope_has_two_names():
    x = mg.tensor([-1.0])
    assert [nn.LeakyReLU()(x).item(), nn.LeakyReLU(0.5)(x).item()] == [np.float32(-0.2), -0.5]
    assert [nn.LeakyReLU(negative_slope=0.5)(x).item(), nn.LeakyReLU(slope=0.0)(x).item()] == [-0.5, 0]
    with pytest.raises(OptionError, match="one option"):
        nn.LeakyReLU(0.1, slope=0.2)


def test_small_layers():
    x = mg.tensor(X)
    assert nn.Identity(3, unused=4)(x) is x
    np.testing.assert_array_equal(nn.MaxPool2d(2)(x).data, X[:, :, :4].reshape(2, 4, 2, 2, 3, 2).max((3, 5)))
    assert list(nn.BatchNorm2d(4, affine=False).state_dict()) == ["running_mean", "running_var"]
    np.testing.assert_allclose(nn.BatchNorm2d(4, affine=False)(x).data.mean((0, 2, 3)), 0, atol=1e-6)


@pytest.mark.parametrize(("name", "arguments"), [
    ("GroupNorm", (2, 4)), ("MaxPool2d", (3, 2, 1)), ("MaxPool2d", (2,)), ("ReflectionPad2d", ((1, 2, 3, 0),)),
    ("ReplicationPad2d", ((1, 2, 3, 0),)), ("ZeroPad2d", ((1, 2, 3, 0),)), ("Identity", ())])
def test_numbers_are_pytorchs(name, arguments):
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    np.testing.assert_allclose(getattr(nn, name)(*arguments)(mg.tensor(X)).data,
                               getattr(torch.nn, name)(*arguments)(torch.tensor(X)).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_pytorchs_spectral_norm_can_be_loaded(new, kind):
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    torch.manual_seed(0)
    wrap = torch.nn.utils.parametrizations.spectral_norm if new else torch.nn.utils.spectral_norm
    layer = getattr(torch.nn, kind)(4, 3, 3)
    with torch.no_grad():
        (layer.weight if kind == "Conv2d" else layer.weight.transpose(0, 1))[0] *= 8  # one singular value is far above
    twin = torch.nn.Sequential(wrap(layer), torch.nn.ReLU())
    small = torch.zeros(1, 4, 3, 3)  # a power iteration happens in every forward pass, whatever the input
    for _ in range(20):  # until u and v have converged
        twin(small)
    net = nn.Sequential(nn.SpectralNorm(getattr(nn, kind)(4, 3, 3)), nn.ReLU())
    assert net.load_state_dict(twin.state_dict()) == ([], [])
    np.testing.assert_allclose(net.eval()(mg.tensor(X)).data, twin.eval()(torch.tensor(X)).detach().numpy(), atol=1e-5)


TABLE = Path(__file__).parents[2] / "docs" / "pytorch.md"
EXTRA = {"Parameter", "Module", "init"}
EVERYWHERE = {"device", "dtype", "inplace"}  # options that no layer of minigan has: a sentence of the page says so


def rows():
    """The table of layers: {name: (arguments only in PyTorch, only in minigan, minigan's other defaults)}."""
    lines = re.findall(r"^\| `nn\.(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", TABLE.read_text(encoding="utf-8"), re.M)
    return {name: tuple(set(re.findall(r"`([^`]+)`", cell)) for cell in cells) for name, *cells in lines}


def differences(ours, theirs):
    """(arguments that only PyTorch has, those that only minigan has, defaults that differ as `name=ours`)."""
    a, b = (inspect.signature(f.__init__).parameters for f in (ours, theirs))
    a, b = ({n: p for n, p in list(s.items())[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)} for s in (a, b))
    other = {f"{n}={a[n].default}" for n in a if n in b and a[n].default != b[n].default}
    return set(b) - set(a) - EVERYWHERE, set(a) - set(b), other


def test_the_table_lists_every_difference_of_the_layers():
    torch = pytest.importorskip("torch", reason="PyTorch's signatures are the outside truth here")
    table = rows()
    common = [name for name in nn.__all__ if name not in EXTRA and hasattr(torch.nn, name)]
    for name in common:
        truth = differences(getattr(nn, name), getattr(torch.nn, name))
        assert table.get(name, (set(), set(), set())) == truth, name
    assert set(table) <= set(common)
    for name in set(nn.__all__) - set(common) - EXTRA:
        assert f"`nn.{name}`" in TABLE.read_text(encoding="utf-8"), f"{name} is not PyTorch's"


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSProp"])
def test_the_page_lists_what_optimisers_lack_and_the_one_other_default(name):
    torch = pytest.importorskip("torch", reason="PyTorch's signatures are the outside truth here")
    theirs = inspect.signature(getattr(torch.optim, {"RMSProp": "RMSprop"}.get(name, name)).__init__).parameters
    made = getattr(optim, name)([nn.Parameter(np.zeros(1, np.float32))]).param_groups[0]
    missing = set(theirs) - set(made) - {"self", "params", "decoupled_weight_decay"}  # the last is AdamW
    page = TABLE.read_text(encoding="utf-8")
    assert all(f"`{option}`" in page for option in missing), missing
    other = {key for key in set(made) & set(theirs) if theirs[key].default not in (made[key], inspect.Parameter.empty)}
    assert other == ({"lr"} if name == "SGD" else set())
