"""Step counts per parameter: Adam's bias correction against Kingma & Ba's algorithm 1 and PyTorch; old states."""

import numpy as np
import pytest

import minigan as mg
from minigan import optim
from minigan.errors import CheckpointError, GraphError


def leaf(*values, dtype=np.float64):
    return mg.tensor(np.array(values, dtype), requires_grad=True)


@pytest.mark.parametrize("rule", [optim.Adam, optim.AdamW])
@pytest.mark.parametrize("by", ["step", "minimize"])
def test_the_first_gradient_moves_a_parameter_by_lr_however_late_it_comes(rule, by):
    """Algorithm 1 at t = 1: mhat = g, vhat = g^2, so the step is lr g/(|g| + eps)."""
    early, late = leaf(1.0), leaf(1.0)
    optimizer = rule([early, late], lr=0.01, weight_decay=0.0)
    for step in range(1001):
        loss = (early * 3).sum() + (late * 7).sum() if step == 1000 else (early * 3).sum()
        if by == "minimize":
            optimizer.minimize(loss)
        else:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if step == 999:
            assert late.item() == 1.0
    assert 1.0 - late.item() == pytest.approx(0.01, rel=1e-8)
    assert optimizer.clocks.read() == [1001, 1]


def test_gaps_between_gradients_are_algorithm_1_of_each_parameter():
    present = np.random.default_rng(0).random((40, 3)) < [1.0, 0.5, 0.2]
    parameters = [leaf(1.0, -2.0), leaf(0.5), leaf(3.0, 1.0, 2.0)]
    values = [p.data.copy() for p in parameters]
    moments, counts = [[np.zeros_like(v), np.zeros_like(v)] for v in values], [0, 0, 0]
    optimizer = optim.Adam(parameters, 0.05, (0.8, 0.95), 1e-6)
    for row in present:
        optimizer.zero_grad()
        for i in np.flatnonzero(row):
            parameters[i].grad = mg.tensor(np.cos(values[i]) + values[i])
            g = np.cos(values[i]) + values[i]
            counts[i] += 1
            m, v = moments[i]
            m[...] = 0.8 * m + 0.2 * g
            v[...] = 0.95 * v + 0.05 * g * g
            mhat, vhat = m / (1 - 0.8 ** counts[i]), v / (1 - 0.95 ** counts[i])
            values[i] = values[i] - 0.05 * mhat / (np.sqrt(vhat) + 1e-6)
        optimizer.step()
    assert optimizer.clocks.read() == counts
    for p, value in zip(parameters, values, strict=True):
        np.testing.assert_allclose(p.data, value, rtol=1e-12)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_parameters_without_gradients_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    options = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.5, "centered": True}}.get(name, {})
    ours, theirs = [leaf(1.0, 2.0), leaf(3.0), leaf(-1.0)], [torch.tensor([1.0, 2.0], dtype=torch.float64),
                                                            torch.tensor([3.0], dtype=torch.float64),
                                                            torch.tensor([-1.0], dtype=torch.float64)]
    for t in theirs:
        t.requires_grad_()
    mine = getattr(optim, name.replace("RMSprop", "RMSProp"))(ours, lr=0.1, weight_decay=0.01, **options)
    other = getattr(torch.optim, name)(theirs, lr=0.1, weight_decay=0.01, **options)
    for step in range(12):
        live = [i for i in range(3) if step % (i + 1) == 0]
        mine.minimize(sum((ours[i] * ours[i] * ours[i]).sum() for i in live))
        other.zero_grad()
        sum((theirs[i] ** 3).sum() for i in live).backward()
        other.step()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-12)


def test_a_state_keeps_the_counts_and_one_of_earlier_versions_has_one_for_all():
    def fresh():
        parameters = [leaf(1.0), leaf(2.0)]
        return parameters, optim.Adam(parameters, 0.1)

    (a, b), first = fresh()
    first.minimize((a * a).sum())
    first.minimize((a * a + b * b).sum())
    state = first.state_dict()
    (c, d), second = fresh()
    c.data, d.data = a.data, b.data
    second.load_state_dict(state)
    assert second.clocks.read() == [2, 1]
    first.minimize((a * b).sum())
    second.minimize((c * d).sum())
    assert (a.item(), b.item()) == (c.item(), d.item())

    old = {"steps": 7, **{key: value for key, value in state.items() if "." in key}}  # what version 0.1.0 saved
    second.load_state_dict(old)
    assert (second.steps, second.clocks.read()) == (7, [7, 7])
    assert second.clocks.of[0].steps == 7


@pytest.mark.parametrize("change", [
    {"counts": [1]}, {"counts": None}, {"counts": [1, -1]}, {"counts": [1, "2"]}, {"steps": None}, {"steps": -1},
    {"groups": None, "steps": 1.5}, {"groups": {}}, {"groups": 3}, {"groups": {"0": 3}},
    {"groups": {"0": {"count": 2, "lr": 0.1}}},
    {"means.0": np.zeros(3)}, {"other": np.zeros(1)}], ids=str)
def test_damaged_states_are_refused_and_change_nothing(change):
    optimizer = optim.Adam([leaf(1.0), leaf(2.0)])
    with pytest.raises(CheckpointError, match="Adam: this state"):
        optimizer.load_state_dict({**optimizer.state_dict(), **change})
    assert (optimizer.steps, optimizer.clocks.read(), optimizer.lr) == (0, [0, 0], 1e-3)


def test_a_state_with_an_option_out_of_range_is_refused():
    optimizer = optim.Adam([leaf(1.0)])
    state = optimizer.state_dict()
    state["groups"]["0"]["lr"] = float("nan")
    with pytest.raises(CheckpointError, match="lr=nan"):
        optimizer.load_state_dict(state)


def test_parameters_that_always_step_together_share_one_count():
    """A captured step then has one counter, and a kernel is called once; a count that no longer holds for all of its
    parameters cannot be read, so that a graph captured with it stops instead of going on wrongly."""
    parameters = [leaf(1.0), leaf(2.0), leaf(3.0)]
    optimizer = optim.Adam(parameters)
    for _ in range(3):
        optimizer.minimize(sum((p * p).sum() for p in parameters))
    clock = optimizer.clocks.of[0]
    assert all(other is clock for other in optimizer.clocks.of)
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.clocks.of[0] is clock
    optimizer.minimize((parameters[1] * 2).sum())
    assert optimizer.clocks.read() == [3, 4, 3]
    assert optimizer.clocks.of[0] is optimizer.clocks.of[2]
    with pytest.raises(GraphError, match="capture it again"):
        _ = clock.steps
