"""Losses: PyTorch's numbers where shapes are equal, an error where they are not; never a broadcast pair."""

import numpy as np
import pytest

import minigan as mg
from minigan import losses
from minigan.errors import ShapeError

PAIRS = {"mse": losses.mse, "l1": losses.l1, "bce_with_logits": losses.bce_with_logits}
SHAPES = [((4, 1), (4,)), ((4,), (4, 1)), ((2, 3, 4, 4), (2, 1, 4, 4)), ((2, 1, 4, 4), (2, 3, 4, 4)), ((4,), (1,)),
          ((1,), (4,)), ((), (4,)), ((4, 2), (2,)), ((4, 0), (1, 0)), ((2, 3), (3, 2))]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 3, 4, 5), ()], ids=str)
def test_as_pytorch(name, shape, rng):
    torch = pytest.importorskip("torch")
    twin = {"mse": torch.nn.functional.mse_loss, "l1": torch.nn.functional.l1_loss,
            "bce_with_logits": torch.nn.functional.binary_cross_entropy_with_logits}[name]
    x, target = np.asarray(rng.normal(size=shape)), np.asarray(rng.random(size=shape))
    ours, theirs = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    loss, expected = PAIRS[name](ours, target), twin(theirs, torch.tensor(target))
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-14)
    np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), rtol=1e-13)


def test_four_labels_of_a_column_of_logits():
    """The mean of softplus(l) - t l by hand; a pair that broadcasts to (4, 4) would give ln 2 or another mixture."""
    logits, labels = np.float32([[2.0], [-1.0], [0.5], [3.0]]), np.float32([0, 1, 0, 1])
    expected = np.mean(np.log1p(np.exp(logits[:, 0].astype(float))) - labels * logits[:, 0])
    assert losses.bce_with_logits(mg.tensor(logits), labels[:, None]).item() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ShapeError, match=r"bce_with_logits: logits \(4, 1\) and targets \(4,\) must have one shape.*"):
        losses.bce_with_logits(mg.tensor(logits), labels)


@pytest.mark.parametrize("kind", [np.float32, mg.tensor, np.ndarray.tolist], ids="array tensor list".split())
@pytest.mark.parametrize("name", [*PAIRS, "cycle_consistency", "gradient_penalty"])
@pytest.mark.parametrize("shape, other", SHAPES, ids=str)
def test_shapes_that_differ_are_refused(name, shape, other, kind):
    x, target = mg.tensor(np.ones(shape, np.float32)), kind(np.ones(other, np.float32))
    if name == "gradient_penalty":
        with pytest.raises(ShapeError, match="gradient_penalty"):
            losses.gradient_penalty(lambda u: u.sum(), x, target)
        return
    loss = losses.cycle_consistency if name == "cycle_consistency" else PAIRS[name]
    with pytest.raises(ShapeError) as error:
        loss(x, target)
    assert name in str(error.value) and str(shape) in str(error.value) and str(np.shape(target)) in str(error.value)


@pytest.mark.parametrize("target", [0.9, 1, np.float32(0.9), np.array(0.9), mg.tensor(0.9)], ids=repr)
@pytest.mark.parametrize("name", PAIRS)
def test_one_number_is_the_target_of_all(name, target):
    x = mg.tensor([[0.5, -2.0], [1.0, 3.0]])
    assert PAIRS[name](x, target).item() == PAIRS[name](x, np.full((2, 2), float(target), np.float32)).item()


def test_a_cycle_comes_back_to_all_of_x():
    with pytest.raises(ShapeError, match=r"cycle_consistency: x \(2, 2\) and there_and_back \(\) must have one shape"):
        losses.cycle_consistency(mg.tensor(np.ones((2, 2))), mg.tensor(0.0))
    with pytest.raises(ShapeError, match="cycle_consistency"):
        losses.cycle_consistency(mg.tensor(0.0), mg.tensor(np.ones((2, 2))))


@pytest.mark.parametrize("loss", losses.GAN_LOSSES.values(), ids=list(losses.GAN_LOSSES))
def test_pairs_of_losses_take_batches_of_different_sizes(loss, rng):
    """Each term is the mean of its own batch, so equal logits give equal losses whatever their number and shape."""
    def value(real, fake):
        return loss.discriminator_loss(mg.tensor(np.full(real, 0.5)), mg.tensor(np.full(fake, -0.25))).item()

    assert value((4, 1), (7,)) == pytest.approx(value((1,), (1,)), rel=1e-12)


@pytest.mark.parametrize("shape", [(6, 1), (4, 1, 3, 2)], ids=str)
@pytest.mark.parametrize("name", losses.GAN_LOSSES)
def test_the_logits_of_one_pass_give_the_loss_of_two(name, shape, rng):
    """Values and gradients of the halves, also smoothed and of the second order, are those of the two means."""
    loss = losses.GAN_LOSSES[name]
    for pair in (loss, loss.smoothed(0.1)) if loss.labels else (loss,):
        both = mg.tensor(3 * rng.normal(size=shape), requires_grad=True)
        real, fake = mg.ops.split(both, shape[0] // 2)
        together, apart = pair.discriminator_loss(real, fake, both), pair.discriminator_loss(real, fake)
        assert together.item() == pytest.approx(apart.item(), rel=1e-14)
        for create_graph in (False, True):
            a, b = (mg.grad(y, [both], retain_graph=True, create_graph=create_graph)[0] for y in (together, apart))
            np.testing.assert_allclose(a.data, b.data, rtol=1e-13)
            if a.requires_grad:
                second = [mg.grad((g * g).sum(), [both])[0].data for g in (a, b)]
                np.testing.assert_allclose(*second, rtol=1e-13, atol=1e-16)


def test_a_pair_of_functions_needs_no_mean(rng):
    pair = losses.GANLoss("of functions", lambda real, a: mg.ops.mean(real), lambda fake: mg.ops.mean(fake * fake), abs)
    both = mg.tensor([1.0, 2.0, 3.0, 4.0])
    assert pair.discriminator_loss(both[:2], both[2:], both).item() == 1.5 + 12.5


class Doubled(losses.GANLoss):
    """A pair of one's own, written when a discriminator's loss had two arguments."""

    def discriminator_loss(self, real_logits, fake_logits):
        return super().discriminator_loss(real_logits, fake_logits) * 2.0


def test_a_pair_of_ones_own_may_override_the_loss():
    pair = losses.hinge
    own = Doubled("doubled", pair.real, pair.fake, pair.generator, labels=False)
    logits = mg.tensor([[0.5], [2.0]]), mg.tensor([[0.5], [-2.0]])
    assert own.discriminator_loss(*logits, mg.ops.concat(logits)).item() == 2 * pair.discriminator_loss(*logits).item()


def test_a_smoothing_may_be_a_number_of_numpy():
    pair, logits = losses.non_saturating.smoothed(np.float64(0.1)), mg.tensor([[1.0], [2.0]], requires_grad=True)
    pair.discriminator_loss(logits[:1], logits[1:], logits).backward()
    assert logits.grad.dtype == np.float32


@pytest.mark.parametrize("loss", [losses.mse, losses.l1, losses.bce_with_logits])
def test_a_sum_over_nothing_is_0(loss):
    nothing = mg.tensor(np.zeros((0, 3), np.float32))
    assert loss(nothing, nothing, reduction="sum").item() == 0


@pytest.mark.parametrize("target", ["a", 1j])
def test_a_target_that_is_no_number_is_named(target):
    with pytest.raises(mg.errors.DTypeError):
        losses.mse(mg.tensor([1.0, 2.0]), target)


def test_the_mean_of_a_loss_is_no_vanishing_gradient():
    x = mg.tensor(np.linspace(-1, 1, 1000), requires_grad=True)
    for loss in (losses.mse(x, 0.5), losses.wasserstein.generator_loss(x), 1e-4 * losses.l1(x, 0.1)):
        assert "vanishes" not in str(mg.explain(loss))
