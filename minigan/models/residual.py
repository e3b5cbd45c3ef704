"""Generators that wrap another: Residual adds its output to the input, Grey and Luma take its colour, Chroma its light.

    Residual    y = clip(x + change(x), -1, 1)        Grey    y = mean of the channels of coloured(x)
    Chroma      y = clip(x + c - luma(c), -1, 1)      Luma    y = luma of the channels of lit(x)
                with c = painted(x)

Some translations keep most of a picture, as colouring keeps its light and detail; a generator that draws y from nothing
must first learn to copy. A Residual starts close to a copy: with DCGAN's initial weights the change is small.
Source   He, Zhang, Ren & Sun, Deep residual learning for image recognition, 2016, section 3.1, for a whole network.
"""

from __future__ import annotations

__all__ = ["Chroma", "Grey", "Luma", "Residual"]

import numpy as np

from minigan import nn, ops
from minigan.engine import Tensor
from minigan.errors import OptionError
from minigan.models.anysize import AnySize

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in grey: ITU-R Recommendation BT.601


class Residual(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to images of the same shape and range: x + change(x), clipped.

    Args:
        change: a generator, such as UnetGenerator, from C channels to C.

    Raises:
        OptionError: `change` has other numbers of input and output channels.
    """

    separable = True

    def __init__(self, change: AnySize) -> None:
        super().__init__()
        if change.in_channels != change.out_channels:
            raise OptionError(f"Residual: the network takes {change.in_channels} channels to {change.out_channels}, "
                              "but x + change(x) needs equal numbers; use 3 channels for grey images too")
        self.change = change
        self.in_channels, self.out_channels = change.in_channels, change.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """The changed images (N, C, H, W)."""
        return ops.clip(x + self.change(x), -1, 1)


class Grey(nn.Module):
    """A generator's images (N, C, H, W) in grey: each channel of y is the mean of the C channels.

    Without it, grey images drawn in three channels keep a trace of colour. A discriminator recognises them by it at
    once, and never learns how bright red, green and blue should be.

    Args:
        coloured: the generator, such as a Residual.
    """

    separable = True

    def __init__(self, coloured: AnySize | Residual) -> None:
        super().__init__()
        self.coloured = coloured
        self.in_channels, self.out_channels = coloured.in_channels, coloured.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Grey images (N, C, H, W)."""
        grey = ops.mean(self.coloured(x), 1, keepdims=True)  # (N, 1, H, W)
        return ops.concat([grey] * self.out_channels, 1)


class Chroma(nn.Module):
    """A generator's colours with the light of its input: grey images (N, 3, H, W) of equal channels to colour ones.

    y = clip(x + c - luma(c), -1, 1) with c = painted(x): before the clip, y has exactly the luma of x, whatever c is,
    and every colour of that luma can be drawn, by c = y. What a colouring must keep need not be learnt, and in a
    CycleGAN the way back is settled: the grey picture of y is known.

    Args:
        painted: a generator from 3 channels to 3, such as UnetGenerator.

    Raises:
        OptionError: `painted` has other numbers of channels.
    """

    separable = True

    def __init__(self, painted: AnySize) -> None:
        super().__init__()
        if (painted.in_channels, painted.out_channels) != (3, 3):
            raise OptionError(f"Chroma: the network takes {painted.in_channels} channels to {painted.out_channels}, "
                              "but luma is of red, green and blue; use 3 channels for grey images too")
        self.painted = painted
        self.in_channels = self.out_channels = 3

    def forward(self, x: Tensor) -> Tensor:
        """Coloured images (N, 3, H, W)."""
        c = self.painted(x)
        return ops.clip(x + (c - luma(c)), -1, 1)


class Luma(nn.Module):
    """A generator's images (N, 3, H, W) in grey: each channel of y is the luma of lit(x).

    Args:
        lit: the generator, with 3 channels; None for x itself. That undoes Chroma exactly: where grey is known to be
            luma, the way back need not be learnt, and cannot hide colours in wrong greys. A buffer, `shares`, stands
            for the weights that it has not, so that it can be made again from a file.

    Raises:
        OptionError: `lit` has other numbers of channels.
    """

    separable = True

    def __init__(self, lit: AnySize | Residual | None = None) -> None:
        super().__init__()
        if lit is not None and (lit.in_channels, lit.out_channels) != (3, 3):
            raise OptionError(f"Luma: the network takes {lit.in_channels} channels to {lit.out_channels}, but luma is "
                              "of red, green and blue; use 3 channels for grey images too")
        self.lit: nn.Module = nn.Identity() if lit is None else lit
        if lit is None:
            self.register_buffer("shares", np.array(LUMA, np.float32))
        self.in_channels = self.out_channels = 3

    def forward(self, x: Tensor) -> Tensor:
        """Grey images (N, 3, H, W)."""
        return ops.concat([luma(self.lit(x))] * 3, 1)


def luma(c: Tensor) -> Tensor:
    """The brightness (N, 1, H, W) of colours (N, 3, H, W)."""
    return LUMA[0] * c[:, 0:1] + LUMA[1] * c[:, 1:2] + LUMA[2] * c[:, 2:3]
