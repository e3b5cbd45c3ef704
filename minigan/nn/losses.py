"""Losses as modules, with PyTorch's names: each calls its function in minigan.losses."""

from __future__ import annotations

from typing import Any

from minigan import losses
from minigan.engine import Tensor
from minigan.nn.module import Module
from minigan.nn.signatures import Absent, as_pytorch

_OLD = Absent(None, "use reduction='mean', 'sum' or 'none'")
_WEIGHT = Absent(None, "multiply the elements of reduction='none' by the weights and take their mean")


class _Loss(Module):
    """A function of minigan.losses and its reduction."""

    function: Any = None

    @as_pytorch(size_average=_OLD, reduce=_OLD)
    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        losses.check_reduction(type(self).__name__, reduction)
        self.reduction = reduction

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """A scalar, or with reduction="none" one number per compared pair."""
        loss: Tensor = type(self).function(x, target, reduction=self.reduction)
        return loss

    def describe(self) -> str:
        """The reduction."""
        return f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """Squared difference (x - target)^2 of tensors of one shape, or of a tensor and a number. See losses.mse.

    reduction: "mean" or "sum" over all elements, a scalar, or "none", x's shape.

    Raises:
        OptionError: another reduction.
        ShapeError: the shapes differ (PyTorch warns and broadcasts).
    """

    function = staticmethod(losses.mse)


class L1Loss(_Loss):
    """Absolute difference |x - target| of tensors of one shape, or of a tensor and a number. See losses.l1.

    reduction and errors: as MSELoss.
    """

    function = staticmethod(losses.l1)


class BCEWithLogitsLoss(_Loss):
    """Binary cross entropy of logits and targets in [0, 1] of one shape. See losses.bce_with_logits.

    reduction and errors: as MSELoss.
    """

    function = staticmethod(losses.bce_with_logits)

    @as_pytorch(size_average=_OLD, reduce=_OLD, weight=_WEIGHT, pos_weight=Absent(None, (
        "multiply the elements of reduction='none' by 1 + (pos_weight - 1) * targets, for targets 0 and 1")))
    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class CrossEntropyLoss(_Loss):
    """-ln softmax(logits)[label] of logits (N, K) and labels (N,), integers from 0 to K-1. See losses.cross_entropy.

    reduction: "mean" or "sum" over the batch, a scalar, or "none", (N,).

    Raises:
        OptionError: another reduction.
        ShapeError: sizes do not fit, or a label is out of range.
    """

    function = staticmethod(losses.cross_entropy)

    @as_pytorch(size_average=_OLD, reduce=_OLD, weight=Absent(None, (
        "multiply the elements of reduction='none' by weight[labels] and divide their sum by weight[labels].sum()")),
        ignore_index=Absent(-100, "with keep = labels != ignore_index, use loss(logits[keep], labels[keep])"),
        label_smoothing=Absent(0.0, "with a = label_smoothing, the loss is (1 - a) * cross_entropy(logits, labels) - "
                                    "a * ops.mean(ops.log_softmax(logits, 1))"))
    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
