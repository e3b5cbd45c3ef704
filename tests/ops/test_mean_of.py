"""Means of functions of numbers and targets: PyTorch's losses, their derivatives, and sure logits."""

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.errors import OptionError, ShapeError

TWINS = {
    "cross_entropy": lambda f, x, t: f.binary_cross_entropy_with_logits(x, t),
    "square": lambda f, x, t: f.mse_loss(x, t), "absolute": lambda f, x, t: f.l1_loss(x, t),
    "hinge": lambda f, x, t: f.relu(1 - t * x).mean(),
    "product": lambda f, x, t: (t * x).mean(),
    "sigmoid": lambda f, x, t: f.sigmoid(x).mean(),
}


@pytest.mark.parametrize("of", TWINS)
def test_first_and_second_derivatives_are_pytorchs(of, rng):
    """Of a function of the gradients, as penalties are; by x and by the target."""
    torch = pytest.importorskip("torch")
    values, targets, v = (rng.normal(size=(3, 4)) for _ in range(3))
    ours, theirs = ([make(values), make(targets)] for make in (
        lambda a: mg.tensor(a, requires_grad=True), lambda a: torch.tensor(a, requires_grad=True)))
    y, y_twin = ops.mean_of(*ours, of=of, weight=3.0), 3 * TWINS[of](torch.nn.functional, *theirs)
    assert y.item() == pytest.approx(y_twin.item(), rel=1e-14)
    first = mg.grad(y, ours, create_graph=True)
    first_twin = torch.autograd.grad(y_twin, theirs, create_graph=True, materialize_grads=True)
    penalty, penalty_twin = (sum((g**2 * w).sum() for g in gs) for gs, w in (
        (first, v), (first_twin, torch.tensor(v))))
    second = mg.grad(penalty, ours) if penalty.requires_grad else [mg.tensor(0.0)] * 2  # slopes of |x - t| are constant
    second_twin = torch.autograd.grad(penalty_twin, theirs, allow_unused=True)
    for a, b in zip([*first, *second], [*first_twin, *second_twin], strict=True):
        np.testing.assert_allclose(a.data, 0 if b is None else b.numpy(force=True), rtol=1e-11, atol=1e-14)


def test_the_cross_entropy_keeps_its_digits_where_d_is_sure():
    """-ln D of a logit of 60 is e^-60, where ln(1 + e^x) - x would give 0."""
    for of_label, x in ((1.0, 60.0), (0.0, -60.0)):
        logit = mg.tensor(np.float32([x]), requires_grad=True)
        loss = ops.mean_of(logit, of="cross_entropy", number=of_label)
        assert loss.item() == pytest.approx(np.exp(-60.0), rel=1e-6)
        for create_graph in (False, True):
            slope, = mg.grad(loss, [logit], retain_graph=True, create_graph=create_graph)
            assert slope.item() == pytest.approx(-np.sign(x) * np.exp(-60.0), rel=1e-6)


def test_what_is_refused():
    x = mg.tensor(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"mean_of: x \(2, 3\) and target \(3,\) must have one shape"):
        ops.mean_of(x, mg.tensor(np.ones(3)), of="square")
    with pytest.raises(OptionError, match="'cubes' is not one of cross_entropy, square"):
        ops.mean_of(x, of="cubes")
    with pytest.raises(ShapeError, match=r"mean_of: x \(0, 3\) has 0 elements"):
        ops.mean_of(x[:0], of="square")
    with pytest.raises(ShapeError, match=r"weighted_sum: 1 weights for tensors of shapes \[\(\), \(\)\]"):
        ops.weighted_sum([x.sum(), x.mean()], [1.0])
    with pytest.raises(ShapeError, match="each must have one number"):
        ops.weighted_sum([x], [1.0])
