"""Parameter groups, AdamW, RMSProp's variants against PyTorch and the papers; what is refused."""

import copy
import inspect
import math
import pickle

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim
from minigan.errors import GraphError, OptionError

NAN, INF = float("nan"), float("inf")
RULES = {"SGD": optim.SGD, "RMSprop": optim.RMSProp, "Adam": optim.Adam, "AdamW": optim.AdamW}
CASES = [  # PyTorch's name, options
    ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9}), ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.9, "weight_decay": 0.1, "alpha": 0.9, "eps": 1e-3}),
    ("AdamW", {}), ("AdamW", {"weight_decay": 0.3, "betas": (0.5, 0.9)}), ("Adam", {"weight_decay": 0.3}),
]


def leaf(*values, dtype=np.float64):
    return mg.tensor(np.array(values, dtype), requires_grad=True)


@pytest.mark.parametrize("name, options", CASES, ids=str)
def test_trajectories_are_pytorchs(name, options):
    torch = pytest.importorskip("torch")
    ours, theirs = leaf(1.0, -2.0, 0.5), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    mine, other = RULES[name]([ours], lr=0.05, **options), getattr(torch.optim, name)([theirs], lr=0.05, **options)
    for step in range(10):
        g = np.sin(ours.data + step) + ours.data
        ours.grad, theirs.grad = mg.tensor(g), torch.tensor(g)
        mine.step()
        other.step()
        np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-11, atol=1e-14)


def test_adamw_decays_the_parameter_and_not_the_gradient():
    """Loshchilov & Hutter, algorithm 2: with no gradient at all, p shrinks by 1 - lr*decay and the moments stay 0."""
    p = leaf(2.0)
    optimizer = optim.AdamW([p], lr=0.1, weight_decay=0.5)
    p.grad = mg.tensor(np.zeros(1))
    optimizer.step()
    assert p.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5), rel=1e-15)
    assert optimizer.state["means"][0].item() == 0.0


def test_rmsprop_centered_with_momentum_is_graves():
    """Graves, 2013, equations 38 to 41, with eps outside the root as in PyTorch."""
    p, value, n, mean, delta = leaf(1.5), 1.5, 0.0, 0.0, 0.0
    optimizer = optim.RMSProp([p], lr=0.01, alpha=0.95, eps=1e-4, momentum=0.9, centered=True)
    for _ in range(6):
        gradient = 2 * value
        n, mean = 0.95 * n + 0.05 * gradient**2, 0.95 * mean + 0.05 * gradient
        delta = 0.9 * delta + gradient / (math.sqrt(n - mean**2) + 1e-4)
        value -= 0.01 * delta
        optimizer.minimize((p * p).sum())
        assert p.item() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_groups_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    own = {"SGD": {"momentum": 0.5}, "RMSprop": {"alpha": 0.9}}.get(name, {"betas": (0.5, 0.9)})
    ours, theirs = [leaf(1.0, 2.0), leaf(3.0), leaf(-1.0)], [
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([1.0, 2.0], [3.0], [-1.0])]

    def build(rule, p):
        return rule([{"params": [p[0]], "lr": 0.2}, {"params": p[1], "weight_decay": 0.1, **own}], lr=0.05)

    mine, other = build(RULES[name], ours), build(getattr(torch.optim, name), theirs)
    mine.add_param_group({"params": [ours[2]]})
    other.add_param_group({"params": [theirs[2]]})
    for step in range(8):
        if step == 4:
            mine.param_groups[1]["lr"] = other.param_groups[1]["lr"] = 0.01
        mine.minimize(sum((p * p * p).sum() for p in ours))
        other.zero_grad()
        sum((p**3).sum() for p in theirs).backward()
        other.step()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-11)


def test_a_schedule_and_lr_scale_every_group():
    a, b = leaf(0.0), leaf(0.0)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.25}], lr=1.0, schedule=optim.linear_decay(1, 3))
    moves = []
    for _ in range(3):
        before = a.item(), b.item()
        optimizer.minimize((a + b).sum())
        moves.append((before[0] - a.item(), before[1] - b.item()))
    assert moves == [(1.0, 0.25), (1.0, 0.25), (0.5, 0.125)]
    optimizer.lr = 0.5
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.125]
    optimizer.lr, single = 0.0, optim.SGD([leaf(1.0)], lr=0.0)
    with pytest.raises(OptionError, match="lr=0.1 for 2 groups"):
        optimizer.lr = 0.1
    single.lr = 0.1
    assert single.param_groups[0]["lr"] == 0.1
    with pytest.raises(OptionError, match="lr=-1"):
        single.lr = -1


@pytest.mark.parametrize("rule, options", [
    (optim.SGD, {"momentum": 0.9}), (optim.RMSProp, {"centered": True}), (optim.RMSProp, {"momentum": 0.9}),
    (optim.Adam, {"betas": (0.5, 0.9)}), (optim.AdamW, {})], ids=str)
def test_a_state_holds_the_groups_and_goes_on_alike(rule, options, tmp_path):
    from minigan.checkpoint import load_state, save_state

    def fresh(lr):
        p = [leaf(1.0, 2.0), leaf(3.0)]
        return p, rule([{"params": p[0], "lr": lr}, {"params": p[1], **options}], lr=0.05)

    (a, b), first = fresh(0.2)
    for _ in range(3):
        first.minimize((a * a).sum() + (b * b).sum())
    save_state(tmp_path / "state.safetensors", first.state_dict())
    (c, d), second = fresh(0.7)
    c.data, d.data = a.data, b.data
    second.load_state_dict(load_state(tmp_path / "state.safetensors")[0])
    assert second.param_groups[0]["lr"] == 0.2
    assert {k: v for k, v in second.param_groups[1].items() if k != "params"} == {
        k: v for k, v in first.param_groups[1].items() if k != "params"}
    for _ in range(3):
        first.minimize((a * a).sum() + (b * b).sum())
        second.minimize((c * c).sum() + (d * d).sum())
    assert a.data.tobytes() + b.data.tobytes() == c.data.tobytes() + d.data.tobytes()


@pytest.mark.parametrize("rule, options, message", [
    *((rule, {name: value}, f"{name}={value!r} must") for rule, names in (
        (optim.SGD, ("lr", "momentum", "weight_decay")), (optim.Adam, ("lr", "eps", "weight_decay")),
        (optim.RMSProp, ("lr", "alpha", "eps", "momentum", "weight_decay")),
        (optim.AdamW, ("lr", "eps", "weight_decay")))
      for name in names for value in (-0.1, NAN, INF, "a", "0.1", None)),
    *((optim.Adam, {"betas": betas}, "betas=") for betas in ((1.0, 0.9), (0.5, -0.1), (0.5, NAN), 0.9, (0.9,), "ab")),
    *((optim.SGD, {"max_norm": value}, f"max_norm={value}") for value in (-1.0, NAN, 0.0)),
    *((optim.SGD, {"max_norm": value}, f"max_norm={value!r} must") for value in ("1", b"2")),
    *((rule, {flag: value}, f"{flag}={value!r} must be True or False") for rule, flag in (
        (optim.SGD, "nesterov"), (optim.RMSProp, "centered")) for value in ("x", "True", 2, None)),
    (optim.RMSProp, {"alpha": 1.5}, "alpha=1.5"),
    (optim.SGD, {"nesterov": True}, "nesterov=True with momentum=0.0"),
], ids=str)
def test_options_out_of_range_are_refused(rule, options, message):
    with pytest.raises(OptionError, match=message):
        rule([leaf(1.0)], **options)
    with pytest.raises(OptionError, match=message) if "max_norm" not in options else pytest.raises(OptionError):
        rule([{"params": [leaf(1.0)], **options}])


def test_an_infinite_max_norm_clips_nothing_and_unknown_options_are_refused():
    p = leaf(1.0)
    optim.SGD([p], 1.0, max_norm=INF).minimize((p * 5).sum())
    assert p.item() == -4.0
    with pytest.raises(TypeError, match="'beta1'"):
        optim.Adam([p], beta1=0.5)
    with pytest.raises(OptionError, match=r"unknown option 'beta1'; it takes params, lr, weight_decay, betas, eps"):
        optim.Adam([{"params": [p], "beta1": 0.5}])
    with pytest.raises(OptionError, match="has no 'params'"):
        optim.Adam([{"lr": 0.5}])


def test_parameters_that_are_refused():
    w = leaf(1.0, 2.0)
    with pytest.raises(OptionError, match=r"Adam: parameter 1 of group 0, of shape \(2,\), comes twice"):
        optim.Adam([w, w])
    with pytest.raises(OptionError, match=r"parameter 0 of group 1, of shape \(2,\), comes twice"):
        optim.SGD([{"params": [w]}, {"params": [w]}])
    optimizer = optim.SGD([w])
    with pytest.raises(OptionError, match="comes twice"):
        optimizer.add_param_group({"params": [leaf(1.0), w]})
    assert len(optimizer.parameters) == len(optimizer.param_groups) == 1
    for empty in ([], iter(()), [{"params": []}], [{"params": [w]}, {"params": []}]):
        with pytest.raises(OptionError, match="no parameters to update"):
            optim.Adam(empty)
    for wrong in (w, {"params": [w]}):
        with pytest.raises(OptionError, match="pass a list of tensors or a list of groups"):
            optim.Adam(wrong)
    with pytest.raises(OptionError, match="parameter 1 is a ndarray, not a tensor"):
        optim.Adam([w, np.zeros(2)])
    with pytest.raises(GraphError, match="only leaves"):
        optim.Adam([{"params": [w * 2]}])
    with pytest.raises(GraphError, match="does not require a gradient"):
        optim.SGD([w, mg.tensor([1.0], dtype=np.float64)]).minimize(w.sum())


def test_generators_are_consumed_once():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert len(optim.Adam(p for p in net.parameters()).parameters) == 4
    grouped = optim.Adam({"params": (p for p in layer.parameters())} for layer in (net[0], net[1]))
    assert [len(group["params"]) for group in grouped.param_groups] == [2, 2]


@pytest.mark.parametrize("make, message", [
    (lambda: optim.warmup(-1), "steps=-1"), (lambda: optim.warmup(NAN), "steps=nan"),
    (lambda: optim.step_decay(0), "every=0"), (lambda: optim.step_decay(-3), "every=-3"),
    (lambda: optim.step_decay(2, -0.5), "gamma=-0.5"), (lambda: optim.step_decay(2, NAN), "gamma=nan"),
    (lambda: optim.linear_decay(3, 3), "start=3, end=3"), (lambda: optim.linear_decay(-1, 3), "start=-1"),
    (lambda: optim.linear_decay(0, NAN), "end=nan"), (lambda: optim.schedule("linear", 0), "end=0"),
])
def test_schedules_without_steps_are_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_a_warmup_of_no_steps_is_over():
    assert [optim.warmup(0)(step) for step in (0, 1, 5)] == [1.0, 1.0, 1.0]


def test_defaults_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name, rule in RULES.items():
        theirs = inspect.signature(getattr(torch.optim, name)).parameters
        for parameter in inspect.signature(rule).parameters.values():
            if parameter.name in theirs and parameter.name != "params" and parameter.default is not parameter.empty:
                default = 1e-2 if (name, parameter.name) == ("SGD", "lr") else theirs[parameter.name].default
                assert parameter.default == default, (name, parameter.name)


@pytest.mark.parametrize("rule", [optim.SGD, optim.RMSProp, optim.Adam, optim.AdamW])
def test_text_is_no_number_and_options_set_later_are_checked(rule):
    with pytest.raises(OptionError, match="lr='0.1' must be"):
        rule([leaf(1.0)], lr="0.1")
    for wrong in ({"max_norm": "x"}, {"schedule": "linear"}, {"schedule": None}):
        with pytest.raises(OptionError):
            rule([leaf(1.0)], **wrong)
    for name, value in (("max_norm", -1.0), ("max_norm", NAN), ("schedule", "linear")):
        p = leaf(1.0)
        optimizer = rule([p])
        setattr(optimizer, name, value)
        with pytest.raises(OptionError, match=name):
            optimizer.minimize((p * p).sum())
        assert p.item() == 1.0
    p = leaf(1.0)
    optimizer = optim.SGD([p], 1.0)
    optimizer.max_norm = INF
    optimizer.minimize((p * 5).sum())
    assert p.item() == -4.0


def test_parameters_put_into_a_group_by_hand_are_not_left_out_silently():
    """PyTorch trains them; here, where step counts and states are by position, the error names add_param_group."""
    for change in (lambda o, p: o.param_groups[0]["params"].append(p), lambda o, p: o.parameters.append(p),
                   lambda o, p: o.param_groups[0].update(params=[p])):
        p, late = leaf(1.0), leaf(2.0)
        optimizer = optim.Adam([p])
        change(optimizer, late)
        for step in (optimizer.step, lambda: optimizer.minimize((p * late).sum())):  # noqa: B023  # called at once
            with pytest.raises(OptionError, match="add_param_group"):
                step()
        assert p.item() == 1.0 and late.item() == 2.0


@pytest.mark.parametrize("schedule", [
    optim.linear_decay(2, 4), optim.warmup(3), optim.warmup(0), optim.step_decay(2),
    *(optim.schedule(name, 8) for name in optim.SCHEDULES)], ids=lambda f: getattr(f, "__name__", str(f)))
def test_a_schedule_goes_to_another_process(schedule):
    for twin in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
        assert [twin(step) for step in range(10)] == [schedule(step) for step in range(10)]
    optimizer = pickle.loads(pickle.dumps(optim.Adam([leaf(1.0)], schedule=schedule)))
    assert optimizer.schedule(5) == schedule(5)


def test_schedules_take_numbers_only_and_show_what_is_text():
    for make, shown in [(lambda: optim.warmup("5"), "steps='5'"), (lambda: optim.step_decay("5"), "every='5'"),
                        (lambda: optim.step_decay(5, "0.1"), "gamma='0.1'"),
                        (lambda: optim.linear_decay("0", 4), "start='0'")]:
        with pytest.raises(OptionError, match=shown):
            make()
