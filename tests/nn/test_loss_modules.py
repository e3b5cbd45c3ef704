"""Losses as modules: PyTorch's values and gradients for every reduction; what they lack is refused with a remedy."""

import numpy as np
import pytest

import minigan as mg
from minigan import losses, nn, ops
from minigan.errors import OptionError, ShapeError
from minigan.gradcheck import gradcheck

RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(5, 4)), np.array([3, 0, 1, 1, 2])
PAIRS = {"MSELoss": RNG.normal(size=(5, 4)), "L1Loss": RNG.normal(size=(5, 4)),
         "BCEWithLogitsLoss": RNG.random((5, 4)), "CrossEntropyLoss": LABELS}


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients_are_pytorchs(name, reduction):
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    x, theirs = mg.tensor(LOGITS, requires_grad=True), torch.tensor(LOGITS, requires_grad=True)
    loss = getattr(nn, name)(reduction=reduction)(x, PAIRS[name])
    expected = getattr(torch.nn, name)(reduction=reduction)(theirs, torch.tensor(PAIRS[name]))
    np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=1e-12)
    assert loss.shape == tuple(expected.shape)
    (loss * loss).sum().backward()
    (expected * expected).sum().backward()
    np.testing.assert_allclose(x.grad.data, theirs.grad.numpy(), rtol=1e-10)


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("name", PAIRS)
def test_first_and_second_derivatives(name, reduction):
    x = LOGITS[:2] + np.where(abs(LOGITS[:2] - np.asarray(PAIRS["L1Loss"])[:2]) < 0.1, 0.3, 0)  # off the kink of |x|
    gradcheck(lambda x: getattr(nn, name)(reduction=reduction)(x, PAIRS[name][:2]), [x])


def test_the_default_is_the_mean_and_by_hand():
    x, target = mg.tensor([1.0, 4.0]), [0.0, 1.0]
    assert [nn.MSELoss()(x, target).item(), nn.L1Loss()(x, target).item()] == [5.0, 2.0]
    assert [nn.MSELoss(reduction="sum")(x, target).item(), losses.l1(x, 0.0, reduction="sum").item()] == [10.0, 5.0]
    assert nn.L1Loss(reduction="none")(x, 0.0).data.tolist() == [1.0, 4.0]
    assert repr(nn.Sequential(nn.MSELoss())) == "Sequential(\n  (0): MSELoss(reduction='mean')\n)"


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_refused(name):
    make = getattr(nn, name)
    for wrong in ("MEAN", "batchmean", None, 1):
        with pytest.raises(OptionError, match=f"{name}: reduction={wrong!r} is not one of mean, sum, none"):
            make(reduction=wrong)
    with pytest.raises(TypeError, match=f"{name}: reduce=False .* use reduction='mean', 'sum' or 'none'"):
        make(reduce=False)
    assert make(size_average=None, reduce=None).reduction == "mean"
    with pytest.raises(ShapeError):
        make()(mg.tensor(LOGITS), np.ones((4, 5)))
    with pytest.raises(OptionError, match="reduction='total' is not one of"):
        make.function(mg.tensor(LOGITS), PAIRS[name], reduction="total")


def test_the_remedies_compute_what_pytorchs_options_do():
    """Each is what the error says, in place of an argument that minigan lacks."""
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    x, there, labels = mg.tensor(LOGITS), torch.tensor(LOGITS), torch.tensor(LABELS)
    weight, pos_weight, targets = RNG.random(4), RNG.random(4), (RNG.random((5, 4)) > 0.5).astype(float)

    def refused(make, remedy, **option):
        with pytest.raises(TypeError, match=remedy):
            make(**option)

    terms = nn.BCEWithLogitsLoss(reduction="none")(x, targets)
    refused(nn.BCEWithLogitsLoss, r"1 \+ \(pos_weight - 1\) \* targets", pos_weight=pos_weight)
    twin = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(pos_weight))(there, torch.tensor(targets))
    assert (terms * (1 + (pos_weight - 1) * targets)).mean().item() == pytest.approx(twin.item(), rel=1e-12)
    refused(nn.BCEWithLogitsLoss, "multiply the elements of reduction='none' by the weights", weight=weight)
    twin = torch.nn.BCEWithLogitsLoss(torch.tensor(weight))(there, torch.tensor(targets))
    assert (terms * weight).mean().item() == pytest.approx(twin.item(), rel=1e-12)

    rows = nn.CrossEntropyLoss(reduction="none")(x, LABELS)
    refused(nn.CrossEntropyLoss, r"divide their sum by weight\[labels\].sum\(\)", weight=weight)
    twin = torch.nn.CrossEntropyLoss(torch.tensor(weight))(there, labels)
    ours = (rows * weight[LABELS]).sum() / weight[LABELS].sum()
    assert ours.item() == pytest.approx(twin.item(), rel=1e-12)
    refused(nn.CrossEntropyLoss, "keep = labels != ignore_index", ignore_index=1)
    keep = np.flatnonzero(LABELS != 1)
    twin = torch.nn.CrossEntropyLoss(ignore_index=1)(there, labels)
    assert nn.CrossEntropyLoss()(x[keep], LABELS[keep]).item() == pytest.approx(twin.item(), rel=1e-12)
    assert nn.CrossEntropyLoss()(x[LABELS != 1], LABELS[LABELS != 1]).item() == pytest.approx(twin.item(), rel=1e-12)
    refused(nn.CrossEntropyLoss, r"\(1 - a\) \* cross_entropy", label_smoothing=0.2)
    twin = torch.nn.CrossEntropyLoss(label_smoothing=0.2)(there, labels)
    ours = 0.8 * losses.cross_entropy(x, LABELS) - 0.2 * ops.mean(ops.log_softmax(x, 1))
    assert ours.item() == pytest.approx(twin.item(), rel=1e-12)
    assert nn.CrossEntropyLoss(weight=None, ignore_index=-100, label_smoothing=0.0)(x, LABELS).shape == ()
