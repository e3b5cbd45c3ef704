"""Activations as layers without parameters: each applies an operation of minigan.ops to every element."""

from __future__ import annotations

from typing import Any

from minigan import ops
from minigan.engine import Tensor
from minigan.errors import OptionError
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
    """See ops.leaky_relu. The default 0.2 is DCGAN's (Radford, Metz & Chintala, 2016); PyTorch's is 0.01.

    `slope` is another name of `negative_slope`. OptionError if both are given.
    """

    operation = staticmethod(ops.leaky_relu)

    def __init__(self, negative_slope: float = 0.2, *, slope: float | None = None) -> None:
        if slope is not None and negative_slope not in (0.2, slope):
            raise OptionError(f"LeakyReLU: negative_slope={negative_slope} and slope={slope} are one option; give one")
        super().__init__(slope=negative_slope if slope is None else slope)


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
