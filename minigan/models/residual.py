"""Generators made of another: one says what to change, y = clip(x + change(x), -1, 1), one draws in grey.

Where a translation leaves most of a picture as it is, as colouring leaves its light and its detail, learning to copy is
most of the work of a generator that draws y from nothing. The first begins close to a copy: the change of a network
with DCGAN's initial weights is small.
Source   He, Zhang, Ren & Sun, Deep residual learning for image recognition, 2016, section 3.1, for a whole network.
"""

from __future__ import annotations

__all__ = ["Grey", "Residual"]

from minigan import nn, ops
from minigan.engine.tensor import Tensor
from minigan.errors import OptionError
from minigan.models.anysize import AnySize


class Residual(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to images of the same shape and range, which differ by what `change` gives.

    Args:
        change: a generator, such as UnetGenerator, from C channels to C.

    Raises:
        OptionError: its channels differ.
    """

    def __init__(self, change: AnySize) -> None:
        super().__init__()
        if change.in_channels != change.out_channels:
            raise OptionError(f"Residual: the network takes {change.in_channels} channels to {change.out_channels}, "
                              "but a change can only be added to as many; use 3 channels for grey images, too")
        self.change = change
        self.in_channels, self.out_channels = change.in_channels, change.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """The changed images."""
        return ops.clip(x + self.change(x), -1, 1)


class Grey(nn.Module):
    """A generator's images (N, C, H, W) in grey: each of the C channels is the mean of its channels.

    Left to itself, a generator of grey images in three channels leaves a trace of colour, by which a discriminator
    tells them at once; it never comes to look at how bright red, green and blue should be.

    Args:
        coloured: the generator, such as a Residual.
    """

    def __init__(self, coloured: AnySize | Residual) -> None:
        super().__init__()
        self.coloured = coloured
        self.in_channels, self.out_channels = coloured.in_channels, coloured.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Grey images."""
        grey = ops.mean(self.coloured(x), 1, keepdims=True)
        return ops.concat([grey] * self.out_channels, 1)
