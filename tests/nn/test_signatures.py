"""PyTorch's arguments and methods: those that minigan has do the same, others name the remedy."""

import copy
import inspect

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim
from minigan.errors import MiniganError, OptionError, ShapeError
from minigan.nn.signatures import ABSENT_METHODS
from minigan.random import Stream

X = np.random.default_rng(0).normal(size=(2, 4, 3, 5)).astype(np.float32)
EXAMPLES = {"Linear": (3, 2), "Conv2d": (4, 2, 3), "ConvTranspose2d": (4, 2, 3), "BatchNorm2d": (4,), "LayerNorm": (5,),
            "InstanceNorm2d": (4,), "GroupNorm": (2, 4), "Embedding": (3, 2), "MaxPool2d": (2,)}
NOT_LAYERS = {"Module", "Parameter", "ModuleDict", "ModuleList", "ParameterList", "Sequential", "Identity", "init"}
STRANGE = {"reduction": "sum", "padding_mode": "reflect", "norm_type": 1.0}


def every_absent_argument():
    """(layer, argument, PyTorch's default): what PyTorch's constructor has and ours lacks."""
    torch = pytest.importorskip("torch", reason="PyTorch's signatures are the outside truth here")
    for name in set(nn.__all__) - NOT_LAYERS:
        if hasattr(torch.nn, name):
            ours = inspect.signature(getattr(nn, name).__init__).parameters
            for argument, parameter in list(inspect.signature(getattr(torch.nn, name).__init__).parameters.items())[1:]:
                if argument not in ours and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                    yield name, argument, parameter.default


def test_defaults_of_absent_arguments_are_accepted_and_others_name_the_remedy():
    rows = list(every_absent_argument())
    assert len(rows) > 20
    for name, argument, default in rows:
        make, base = getattr(nn, name), EXAMPLES.get(name, ())
        if default is not inspect.Parameter.empty:
            make(*base, **{argument: default})
        if argument in ("device", "dtype", "inplace", "num_features", "normalized_shape", "scale_factor"):
            continue
        with pytest.raises(TypeError, match=rf"{name}: {argument}=.* minigan lacks; \w+") as caught:
            make(*base, **{argument: "other"})
        assert len(str(caught.value).rpartition("lacks; ")[2]) > 10


def test_arguments_at_pytorchs_places():
    x = mg.tensor(X)
    for layer in (nn.ReLU(True), nn.ReLU(inplace=True), nn.LeakyReLU(0.0, True)):
        np.testing.assert_array_equal(layer(x).data, np.maximum(X, 0))
    np.testing.assert_array_equal(x.data, X)
    assert nn.Dropout(0.5, True).stream is None
    stream = Stream(3, "dropout")
    assert nn.Dropout(0.5, stream).stream is nn.Dropout(0.5, stream=stream).stream is stream
    for make in (lambda: nn.Conv2d(4, 4, 3, 1, 1, 1, 2), lambda: nn.ConvTranspose2d(4, 4, 3, 1, 1, 0, 2)):
        with pytest.raises(TypeError, match="bias=2 must be True or False; PyTorch has groups in this place"):
            make()
    layer = nn.Conv2d(1, 1, 1, device="cpu", dtype="float64")
    assert layer.weight.dtype == np.float64
    nn.Conv2d(1, 1, 1, groups=np.int64(1)), nn.Upsample(scale_factor=2, recompute_scale_factor=False)
    with pytest.raises(TypeError, match="unexpected keyword argument 'strides'"):
        nn.Conv2d(1, 1, 1, strides=2)


@pytest.mark.parametrize(("name", "arguments", "options"), [
    ("Flatten", (), {}), ("Flatten", (0,), {}), ("Flatten", (1, 2), {}), ("Flatten", (-2, -1), {}),
    ("Flatten", (2, 2), {}), ("Softplus", (), {}), ("Softplus", (3.0,), {}), ("Softplus", (0.5,), {"threshold": 20}),
    ("Upsample", (), {"scale_factor": 2}), ("Upsample", (), {"scale_factor": (2.0, 3.0)}),
    ("Upsample", (), {"size": (4, 7)}), ("Upsample", (), {"size": 6, "mode": "bilinear", "align_corners": False}),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear"}), ("ELU", (0.5, True), {})])
def test_numbers_are_pytorchs(name, arguments, options):
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    x, theirs = mg.tensor(X, requires_grad=True), torch.tensor(X.copy(), requires_grad=True)
    y, expected = getattr(nn, name)(*arguments, **options)(x), getattr(torch.nn, name)(
        *arguments, **options)(theirs * 1)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    g = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(mg.grad(y, [x], g)[0].data, theirs.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_what_new_arguments_refuse():
    for make, error in ((lambda: nn.Upsample(2, size=3), OptionError), (lambda: nn.Softplus(0), OptionError),
                        (lambda: nn.Flatten(2, 1)(mg.tensor(X)), ShapeError),
                        (lambda: nn.Flatten(0, 4)(mg.tensor(X)), ShapeError),
                        (lambda: nn.Upsample(scale_factor=1.5)(mg.tensor(X)), MiniganError),
                        (lambda: nn.Upsample(None, 2)(mg.tensor(X)), OptionError)):
        with pytest.raises(error):
            make()


# ---- modules ----
def net():
    return nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), nn.ReLU())


def test_parts_by_their_names_as_in_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    ours, theirs = net(), torch.nn.Sequential(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2)))
    for options in ({}, {"prefix": "g"}, {"recurse": False}, {"prefix": "g", "recurse": False}):
        for method in ("named_parameters", "named_buffers"):
            for a, b in ((ours, theirs), (ours[0][1], theirs[0][1])):
                wanted = [n for n, _ in getattr(b, method)(**options) if not n.endswith("num_batches_tracked")]
                assert [n for n, _ in getattr(a, method)(**options)] == wanted, (method, options)
    assert len(ours.parameters(recurse=False)) == 0 and len(ours[0][0].parameters(recurse=False)) == 2
    assert [b.shape for b in ours.buffers()] == [(2,), (2,)]
    assert ours.get_submodule("0.1") is ours[0][1] and ours.get_submodule("") is ours
    assert ours.get_parameter("0.0.weight") is ours[0][0].weight
    assert ours.get_buffer("0.1.running_var") is ours[0][1].running_var
    for method in ("get_submodule", "get_parameter", "get_buffer"):
        for wrong in ("0.7", "0.0.nothing", "0.0.geometry", "nothing"):
            with pytest.raises(AttributeError, match=f"there is no .*{wrong}"):
                getattr(ours, method)(wrong)


def test_types_devices_and_gradients_as_in_pytorch():
    module = net()
    assert module.double() is module
    assert {array.dtype.name for array in module.state_dict().values()} == {"float64"}
    for back in (module.float, lambda: module.to(np.float32), lambda: module.to("cpu", "float32"),
                 lambda: module.to(dtype="float32", device="cpu"), lambda: module.cpu().float()):
        module.to(np.float64)
        back()
        assert {array.dtype.name for array in module.state_dict().values()} == {"float32"}
    with pytest.raises(MiniganError):
        module.to("nowhere")
    module(mg.tensor(X[:, :1])).sum().backward()
    module.zero_grad(set_to_none=False)
    assert all(not p.grad.data.any() and p.grad.shape == p.shape for p in module.parameters())
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())


def test_either_name_of_the_text_in_repr():
    class Theirs(nn.Module):
        def extra_repr(self):
            return "size=3"

    class Ours(nn.Module):
        def describe(self):
            return "size=4"

    parent = Theirs()
    assert [repr(parent), repr(Ours()), Ours().extra_repr()] == ["Theirs(size=3)", "Ours(size=4)", "size=4"]
    parent.child = Ours()
    assert repr(parent) == "Theirs(\n  size=3\n  (child): Ours(size=4)\n)"


def test_methods_that_are_missing_name_the_remedy():
    torch = pytest.importorskip("torch", reason="PyTorch's methods are the outside truth here")
    public = {name for name in dir(torch.nn.Module) if not name.startswith("_")}
    missing = public - set(dir(nn.Module)) - {"T_destination", "call_super_init", "dump_patches"}
    assert missing == set(ABSENT_METHODS)
    for name in missing:
        with pytest.raises(AttributeError, match=rf"ReLU.{name}: minigan lacks this method of PyTorch's; \w+"):
            getattr(nn.ReLU(), name)
    with pytest.raises(AttributeError, match="'ReLU' object has no attribute 'nothing'"):
        _ = nn.ReLU().nothing


def test_what_a_property_raises_is_not_hidden():
    class Wrong(nn.Module):
        @property
        def size(self):
            return np.ones(1).no_such_thing

    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = Wrong().size


# ---- optimisers ----
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_options_of_pytorchs_optimisers(name):
    torch = pytest.importorskip("torch", reason="PyTorch's signatures are the outside truth here")
    theirs = list(inspect.signature(getattr(torch.optim, name)).parameters.values())[1:]
    p = nn.Parameter(np.ones(1, np.float32))
    rule = getattr(optim, name)
    for option in theirs:
        made = rule([p], **{option.name: option.default})
        if option.name in made.param_groups[0]:
            assert made.param_groups[0][option.name] == option.default
            continue
        rule([{"params": [p], option.name: option.default}])
        if option.name in ("foreach", "fused", "capturable"):
            rule([p], **{option.name: True})
            continue
        wrong, message = {option.name: 0.5}, rf"{option.name}=0.5 is an argument of PyTorch's that minigan lacks; \w+"
        for make in (lambda o=wrong: rule([p], **o), lambda o=wrong: rule([{"params": [p], **o}])):
            with pytest.raises(TypeError, match=message):
                make()
    with pytest.raises((TypeError, OptionError)):
        rule([p], 0.1, 0.9, 0.5, 0.1, 0.5, 0.5, 0.5)


def test_places_of_options_are_pytorchs():
    p = nn.Parameter(np.ones(1, np.float32))
    assert optim.RMSprop is optim.RMSProp
    for made in (optim.RMSprop([p], 0.1, 0.9, 1e-6, 0.2, 0.3, True), optim.Adam([p], 0.1, (0.5, 0.9), 1e-6, 0.2)):
        assert (made.param_groups[0]["weight_decay"], made.param_groups[0]["eps"]) == (0.2, 1e-6)
    assert (made.lr, optim.RMSprop([p], 0.1, 0.9, 1e-6, 0.2, 0.3, True).momentum) == (0.1, 0.3)
    with pytest.raises(TypeError, match="positional"):
        optim.SGD([p], 0.1, 0.9, 0.5)  # PyTorch's dampening
    with pytest.raises(OptionError, match="nesterov=0.5 must be True or False"):
        optim.SGD([p], 0.1, 0.9, nesterov=0.5)


def positions(function):
    """Names of the arguments that can be passed by position, self and tensors left out."""
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]


def test_arguments_have_pytorchs_positions():
    torch = pytest.importorskip("torch", reason="PyTorch's signatures are the outside truth here")
    for name in ("named_parameters", "named_buffers", "named_modules", "parameters", "buffers", "zero_grad"):
        assert positions(getattr(nn.Module, name)) == positions(getattr(torch.nn.Module, name)), name
    for name in ("SGD", "Adam", "AdamW", "RMSprop"):
        ours, theirs = positions(getattr(optim, name)), positions(getattr(torch.optim, name))
        assert ours == theirs[: len(ours)], name  # what only PyTorch has comes after all of ours, or ours are named
    assert [name for name, _ in net().named_modules(set(), "g")][:2] == ["g", "g.0"]


def test_closures_and_gradients_of_zero():
    p = nn.Parameter(np.ones(1, np.float32))
    optimizer = optim.SGD([p], 0.5, weight_decay=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert p.item() == 1 - 0.5 * (2 + 0.5)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.item() == 0
    before = p.item()
    optimizer.step()
    assert p.item() == before * (1 - 0.5 * 0.5)  # a gradient of zero is one: the decay acts
    optimizer.zero_grad()
    assert optimizer.step() is None and p.grad is None


# ---- rules of containers and of assignments that no other test held ----
def test_containers_as_lists_of_python():
    layers = [nn.Tanh(), nn.ReLU(), nn.Sigmoid()]
    container = nn.Sequential(*layers)
    assert layers[1] in container and nn.ReLU() not in container  # the same object, not one of its kind
    both = container[:1] + [nn.ELU()]
    assert [type(part).__name__ for part in both] == ["Tanh", "ELU"]
    assert len(container) == 3 and list(container + container[:1]) == [*layers, layers[0]]
    assert len(container) == 3  # a sum is a new container
    for wrong in ([nn.ReLU()], [nn.ReLU()] * 3):
        with pytest.raises(TypeError, match=f"{len(wrong)} parts for a slice of 2"):
            container[:2] = wrong
    assert list(container) == layers
    named = nn.Sequential({"2": layers[0], "x": layers[1]}).append(layers[2])  # "2" is taken
    assert list(named.items_by_name()) == ["2", "x", "3"]
    assert list(named) == layers


def test_assignments_that_registration_must_judge():
    norm = nn.BatchNorm2d(2)
    for wrong in (5, 0.5, "text", [1.0, 2.0]):
        with pytest.raises(TypeError, match="'running_mean' is a buffer"):
            norm.running_mean = wrong
    norm.running_mean = np.ones(2, np.float32)
    assert norm.state_dict()["running_mean"].tolist() == [1, 1]
    loop = [1]
    loop.append(loop)
    norm.loop = loop  # a list that contains itself
    loop.append(nn.ReLU())
    with pytest.raises(TypeError, match="'loop' is a plain list of modules"):
        norm.state_dict()


def test_a_parameter_added_late_begins_at_its_own_step_one():
    """Kingma & Ba, algorithm 1 at t = 1: the step is lr g / (|g| + eps)."""
    early, late = (nn.Parameter(np.ones(1)) for _ in range(2))
    optimizer = optim.Adam([early], 0.01)
    for _ in range(5):
        optimizer.minimize((early * 3).sum())
    optimizer.add_param_group({"params": [late]})
    optimizer.minimize((early * 3).sum() + (late * 7).sum())
    assert 1.0 - late.item() == pytest.approx(0.01, rel=1e-8)
    assert optimizer.clocks.read() == [6, 1]


def test_a_state_without_momenta_takes_them_away():
    """Loading makes the optimiser what the saved one was: its state has the saved one's arrays and no others."""
    p = nn.Parameter(np.ones(1))
    plain, other = optim.RMSProp([p]), optim.RMSProp([p], momentum=0.9)
    other.minimize((p * p).sum())
    state = plain.state_dict()
    other.load_state_dict(state)
    assert set(other.state_dict()) == set(state) and other.momentum == 0


def test_max_norm_never_lengthens_and_an_attribute_is_checked_when_it_is_set():
    p = nn.Parameter(np.ones(1))
    optim.SGD([p], 1.0, max_norm=100.0).minimize((p * 0.5).sum())
    assert p.item() == 0.5  # a gradient of length 0.5 stays as it is
    optimizer = optim.Adam([p])
    for name, wrong in (("betas", (1.0, 0.9)), ("eps", -1.0), ("weight_decay", float("nan"))):
        before = getattr(optimizer, name)
        with pytest.raises(OptionError, match=name):
            setattr(optimizer, name, wrong)
        assert getattr(optimizer, name) == before


def test_a_deep_copy_of_a_tensor_that_refers_to_itself():
    class Named(mg.Tensor):
        """A subclass whose instances have attributes."""

    x = Named(np.ones(2))
    x.me = [x]
    twin = copy.deepcopy(x)
    assert twin is not x and twin.me[0] is twin
