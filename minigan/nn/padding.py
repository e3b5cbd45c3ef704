"""Padding, max pooling, Identity: layers without parameters."""

from __future__ import annotations

from typing import Any

from minigan import ops
from minigan.engine import Tensor
from minigan.errors import OptionError
from minigan.nn.module import Module
from minigan.nn.signatures import Absent, as_pytorch

Pair = int | tuple[int, int]
Sides = int | tuple[int, int, int, int]  # one width for all sides, or (left, right, top, bottom)


class _Pad(Module):
    """Pad images (N, C, H, W) by one width, or by four: left, right, top, bottom. See ops.pad.

    Raises:
        OptionError: `padding` is neither an int nor four ints.
    """

    separable = True
    mode = "constant"

    def __init__(self, padding: Sides) -> None:
        super().__init__()
        sides: Any = (padding,) * 4 if isinstance(padding, int) else padding
        if not isinstance(sides, tuple | list) or len(sides) != 4 or not all(isinstance(n, int) for n in sides):
            raise OptionError(f"{type(self).__name__}: padding={padding!r} is neither an int nor four: "
                              "(left, right, top, bottom)")
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, top + H + bottom, left + W + right)."""
        left, right, top, bottom = self.sides
        return ops.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), self.mode)

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Widths (left, right, top, bottom)."""
        left, right, top, bottom = (self.padding,) * 4 if isinstance(self.padding, int) else self.padding
        return left, right, top, bottom

    def describe(self) -> str:
        """Widths."""
        return str(self.padding)


class ReflectionPad2d(_Pad):
    """Pad images with mirrored pixels by one width, or by four (left, right, top, bottom); the edge is not repeated.

    Raises:
        OptionError: `padding` is neither an int nor four ints.
    """

    mode = "reflect"


class ReplicationPad2d(_Pad):
    """Pad images with copies of their edge by one width, or by four (left, right, top, bottom).

    Raises:
        OptionError: `padding` is neither an int nor four ints.
    """

    mode = "edge"


class ZeroPad2d(_Pad):
    """Pad images with zeros by one width, or by four (left, right, top, bottom).

    Raises:
        OptionError: `padding` is neither an int nor four ints.
    """


class MaxPool2d(Module):
    """Largest value of each window; stride defaults to kernel_size. See ops.max_pool2d, with its errors."""

    separable = True

    @as_pytorch(return_indices=Absent(False, "the layer returns the largest values only"))
    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1, *,
                 ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW), OH = (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1.

        With ceil_mode, OH is rounded up: see ops.max_pool2d.
        """
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def describe(self) -> str:
        """Window."""
        stride = self.kernel_size if self.stride is None else self.stride
        return (f"kernel_size={self.kernel_size}, stride={stride}, padding={self.padding}, dilation={self.dilation}, "
                f"ceil_mode={self.ceil_mode}")


class Identity(Module):
    """Returns its input; a placeholder for a layer. Arguments of the constructor are ignored, as in PyTorch."""

    separable = True

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """The same."""
        return x
