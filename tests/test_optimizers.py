"""Optimisers against PyTorch's trajectories, schedules, losses from logits against their formulas."""

from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import losses, optim
from minigan.errors import CheckpointError, GraphError, ShapeError

TRAJECTORIES = np.load(Path(__file__).parent / "goldens" / "optim.npz")
CASES = {
    "sgd": lambda p: optim.SGD(p, 0.1),
    "sgd_momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
    "sgd_nesterov": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: optim.RMSProp(p, 0.01),
    "rmsprop_decay": lambda p: optim.RMSProp(p, 0.01, alpha=0.9, eps=1e-3, weight_decay=0.1),
    "adam": lambda p: optim.Adam(p, 0.01),
    "adam_gan": lambda p: optim.Adam(p, 0.02, betas=(0.5, 0.9), eps=1e-2, weight_decay=0.1),
}


def start():
    return mg.tensor(np.linspace(-1, 2, 7), requires_grad=True)


@pytest.mark.parametrize("name", CASES)
def test_trajectory_is_pytorchs(name):
    p = start()
    optimizer = CASES[name]([p])
    for step, expected in enumerate(TRAJECTORIES[name]):
        p.grad = mg.tensor(2 * p.data + np.sin(step))
        optimizer.step()
        np.testing.assert_allclose(p.data, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_optimiser_goes_on_as_before(name):
    a, b = start(), start()
    first, second = CASES[name]([a]), CASES[name]([b])
    for _ in range(3):
        first.minimize((a * a).sum())
    b.data = a.data
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        first.minimize((a * a).sum())
        second.minimize((b * b).sum())
    assert np.array_equal(a.data, b.data)


def test_minimize_is_backward_and_step():
    a, b = start(), start()
    first, second = optim.Adam([a]), optim.Adam([b])
    first.minimize((a * a).sum())
    (b * b).sum().backward()
    second.step()
    assert np.array_equal(a.data, b.data)
    assert a.grad is None
    second.zero_grad()
    assert b.grad is None


def test_parameters_without_a_gradient_are_left_alone():
    a, b = start(), start()
    optimizer = optim.SGD([a, b], 0.1)
    (a * a).sum().backward()
    optimizer.step()
    assert np.array_equal(b.data, start().data)
    assert not np.array_equal(a.data, start().data)


def test_gradient_clipping_bounds_the_joint_length():
    a, b = start(), start()
    optim.SGD([a, b], 1.0, max_norm=0.5).minimize(3 * a.sum() + 4 * b.sum())
    moved = np.concatenate([a.data - start().data, b.data - start().data])
    assert np.linalg.norm(moved) == pytest.approx(0.5)
    assert moved[0] / moved[7] == pytest.approx(3 / 4)


def test_schedule_multiplies_the_learning_rate():
    p = mg.tensor(np.zeros(1), requires_grad=True)
    optimizer, moves = optim.SGD([p], 1.0, schedule=optim.linear_decay(2, 4)), []
    for _ in range(5):
        before = p.item()
        optimizer.minimize(p.sum())
        moves.append(before - p.item())
    assert moves == [1.0, 1.0, 1.0, 0.5, 0.0]
    assert [optim.warmup(4)(s) for s in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [optim.step_decay(2)(s) for s in range(4)] == pytest.approx([1, 1, 0.1, 0.1])


def test_wrong_arguments():
    with pytest.raises(ValueError, match="no parameters"):
        optim.Adam([])
    with pytest.raises(ValueError, match="lr=-1"):
        optim.Adam([start()], -1)
    with pytest.raises(ValueError, match="betas"):
        optim.Adam([start()], betas=(0.5, 1.0))
    with pytest.raises(GraphError, match="only leaves"):
        optim.SGD([start() * 2])
    with pytest.raises(CheckpointError, match="another optimiser or model"):
        optim.Adam([start()]).load_state_dict(optim.SGD([start()]).state_dict())


REAL, FAKE = np.array([[-3.0], [0.5], [2.0]]), np.array([[1.0], [-0.3], [0.2]])
D, F = 1 / (1 + np.exp(-REAL)), 1 / (1 + np.exp(-FAKE))


@pytest.mark.parametrize(("name", "d", "g"), [
    ("minimax", -np.mean(np.log(D)) - np.mean(np.log(1 - F)), np.mean(np.log(1 - F))),
    ("non_saturating", -np.mean(np.log(D)) - np.mean(np.log(1 - F)), -np.mean(np.log(F))),
    ("least_squares", np.mean((REAL - 1) ** 2) + np.mean(FAKE**2), np.mean((FAKE - 1) ** 2)),
    ("wasserstein", np.mean(FAKE) - np.mean(REAL), -np.mean(FAKE)),
    ("hinge", np.mean(np.maximum(0, 1 - REAL)) + np.mean(np.maximum(0, 1 + FAKE)), -np.mean(FAKE)),
])
def test_gan_losses_are_their_formulas(name, d, g):
    pair = losses.gan_loss(name)
    assert pair.discriminator_loss(mg.tensor(REAL), mg.tensor(FAKE)).item() == pytest.approx(d, rel=1e-12)
    assert pair.generator_loss(mg.tensor(FAKE)).item() == pytest.approx(g, rel=1e-12)


def test_one_sided_label_smoothing():
    smooth = losses.non_saturating.smoothed(0.1)
    expected = -np.mean(0.9 * np.log(D) + 0.1 * np.log(1 - D)) - np.mean(np.log(1 - F))
    assert smooth.discriminator_loss(mg.tensor(REAL), mg.tensor(FAKE)).item() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="label_smoothing=0.7"):
        losses.minimax.smoothed(0.7)
    with pytest.raises(ValueError, match="no labels to smooth"):
        losses.wasserstein.smoothed(0.1)


def test_losses_survive_extreme_logits():
    extreme = mg.tensor(np.array([[-1e4], [1e4]], np.float32), requires_grad=True)
    for name in ("minimax", "non_saturating"):
        pair = losses.gan_loss(name)
        loss = pair.discriminator_loss(extreme, extreme) + pair.generator_loss(extreme)
        (g,) = mg.grad(loss, [extreme])
        assert np.isfinite(loss.item())
        assert np.isfinite(g.data).all()


def test_other_losses_are_their_formulas():
    rng = np.random.default_rng(0)
    x, y, labels = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), np.array([2, 0, 1, 2])
    t = rng.random((4, 3))
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    s = 1 / (1 + np.exp(-x))
    assert losses.cross_entropy(mg.tensor(x), labels).item() == pytest.approx(-np.log(p[range(4), labels]).mean())
    bce = losses.bce_with_logits(mg.tensor(x), t).item()
    assert bce == pytest.approx(-(t * np.log(s) + (1 - t) * np.log(1 - s)).mean())
    assert losses.mse(mg.tensor(x), y).item() == pytest.approx(((x - y) ** 2).mean())
    assert losses.l1(mg.tensor(x), y).item() == pytest.approx(np.abs(x - y).mean())
    assert losses.cycle_consistency(mg.tensor(x), mg.tensor(y)).item() == pytest.approx(np.abs(x - y).mean())


def test_wrong_loss_arguments():
    with pytest.raises(ValueError, match="is not one of minimax, non_saturating"):
        losses.gan_loss("vanilla")
    with pytest.raises(ShapeError, match=r"labels run from 0 to 3, but there are K=3"):
        losses.cross_entropy(mg.tensor(np.zeros((2, 3))), np.array([0, 3]))
    with pytest.raises(ShapeError, match=r"must be \(N, K\)"):
        losses.cross_entropy(mg.tensor(np.zeros((2, 3))), np.array([0.0, 1.0]))
    with pytest.raises(ShapeError, match="must have one shape"):
        losses.gradient_penalty(lambda u: u, np.zeros((2, 3)), np.zeros((3, 3)))
