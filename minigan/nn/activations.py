"""Activations as layers without parameters: each applies an operation of minigan.ops to every element."""

from __future__ import annotations

from typing import Any

from minigan import ops
from minigan.engine import Tensor
from minigan.nn.module import Module


class _Activation(Module):
    """An operation and its options."""

    operation: Any = None

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return type(self).operation(x, **self.options)

    def describe(self) -> str:
        """The options."""
        return ", ".join(f"{name}={value}" for name, value in self.options.items())


class ReLU(_Activation):
    """See ops.relu."""

    operation = staticmethod(ops.relu)


class LeakyReLU(_Activation):
    """See ops.leaky_relu."""

    operation = staticmethod(ops.leaky_relu)

    def __init__(self, slope: float = 0.2) -> None:
        super().__init__(slope=slope)


class ELU(_Activation):
    """See ops.elu."""

    operation = staticmethod(ops.elu)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class Sigmoid(_Activation):
    """See ops.sigmoid."""

    operation = staticmethod(ops.sigmoid)


class Tanh(_Activation):
    """See ops.tanh."""

    operation = staticmethod(ops.tanh)


class Softplus(_Activation):
    """See ops.softplus."""

    operation = staticmethod(ops.softplus)
