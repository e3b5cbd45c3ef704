"""Activations as layers without parameters: each applies an operation of minigan.ops to every element."""

from __future__ import annotations

import math
from typing import Any

from minigan import ops
from minigan.engine import Tensor
from minigan.errors import OptionError
from minigan.nn.module import Module
from minigan.nn.signatures import Absent, as_pytorch


class _Activation(Module):
    """An operation and its options."""

    separable = True
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
    """See ops.relu. No operation here overwrites its input: PyTorch's `inplace` is accepted and changes nothing."""

    operation = staticmethod(ops.relu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()


class LeakyReLU(_Activation):
    """See ops.leaky_relu. The default 0.2 is DCGAN's (Radford, Metz & Chintala, 2016); PyTorch's is 0.01.

    `slope` is another name of `negative_slope`; `inplace` as in ReLU. OptionError if both are given.
    """

    operation = staticmethod(ops.leaky_relu)

    def __init__(self, negative_slope: float = 0.2, inplace: bool = False, *, slope: float | None = None) -> None:
        if slope is not None and negative_slope not in (0.2, slope):
            raise OptionError(f"LeakyReLU: negative_slope={negative_slope} and slope={slope} are one option; give one")
        super().__init__(slope=negative_slope if slope is None else slope)


class ELU(_Activation):
    """See ops.elu; `inplace` as in ReLU."""

    operation = staticmethod(ops.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha)


class _Plain(_Activation):
    """An operation without options."""

    def __init__(self) -> None:
        super().__init__()


class Sigmoid(_Plain):
    """See ops.sigmoid."""

    operation = staticmethod(ops.sigmoid)


class Tanh(_Plain):
    """See ops.tanh."""

    operation = staticmethod(ops.tanh)


class Softplus(_Activation):
    """ln(1 + e^(beta x)) / beta, a smooth rectifier, accurate wherever beta x is a finite number. See ops.softplus.

    Raises:
        OptionError: beta is no finite number above 0.
    """

    separable = True
    operation = staticmethod(ops.softplus)

    @as_pytorch(threshold=Absent(20.0, "leave it out: e^(beta x) does not overflow here, so no x needs to be linear"))
    def __init__(self, beta: float = 1.0) -> None:
        if not 0 < beta < math.inf:
            raise OptionError(f"Softplus: beta={beta!r:.60} must be a finite number above 0")
        super().__init__(**({} if beta == 1 else {"beta": beta}))  # earlier versions had no beta

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        beta = self.options.get("beta", 1.0)
        y: Tensor = ops.softplus(x) if beta == 1 else ops.softplus(x * beta) / beta
        return y
