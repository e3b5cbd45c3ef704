"""A generative codec: an encoder to a small grid of whole numbers, and a decoder that draws the picture from it.

    x (N, C, H, W) -> z (N, K, H/2^h, W/2^h) -> q = the nearest of L levels -> x' (N, C, H, W)

A grid holds K H W / 4^h numbers of L values: at most K log2(L) / 4^h bits per pixel, which bounds the rate.
The layers are those of Agustsson et al.: c7s1, strided convolutions, a projection to K channels; a projection back,
residual blocks, up-samplings, c7s1. There is no instance norm: it would remove each feature map's mean and contrast,
and with them a picture's colours.
Source   Agustsson, Tschannen, Mentzer, Timofte & Van Gool, Generative adversarial networks for extreme learned image
compression, 2018, on generative compression and its architecture.
"""

from __future__ import annotations

__all__ = ["CodecDecoder", "CodecEncoder", "codec"]

from itertools import pairwise

from minigan import nn, ops
from minigan.engine import Tensor
from minigan.errors import OptionError, ShapeError
from minigan.models.anysize import check_images
from minigan.models.mlp import dcgan_weights
from minigan.models.resnet import ResnetBlock

LEVELS = 5
MOST_CHANNELS = 8  # the width grows at most so many times


class CodecEncoder(nn.Module):
    """Pictures (N, channels, H, W) in [-1, 1] to levels (N, code, H/2^halvings, W/2^halvings), see ops.quantize.

    Args:
        channels: of the pictures.
        width: channels after the first layer; they double at each halving, up to 8 times the width.
        code: channels of the grid, K in the formulas.
        levels: values that each of its numbers can have, L.
        halvings: H and W must be divisible by 2^halvings.

    All layers except the last have batch norm; initial weights are DCGAN's.

    Raises:
        OptionError: fewer than 2 levels, or another number below 1.
    """

    def __init__(self, channels: int = 3, width: int = 16, code: int = 8, levels: int = LEVELS,
                 halvings: int = 3) -> None:
        super().__init__()
        sizes = _sizes("CodecEncoder", width, code, levels, halvings)
        self.in_channels, self.code, self.levels, self.multiple = channels, code, levels, 2**halvings
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7, bias=False),
                                   nn.BatchNorm2d(width), nn.ReLU()]
        for inner, outer in pairwise(sizes):
            layers += [nn.Conv2d(inner, outer, 3, 2, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.Conv2d(sizes[-1], code, 3, 1, 1))
        self.apply(dcgan_weights)

    def forward(self, x: Tensor) -> Tensor:
        """The levels of pictures whose sides are multiples of 2^halvings.

        Raises:
            ShapeError: other sides or channels, or no pictures.
        """
        check_images("CodecEncoder", x, self.in_channels)
        if any(side % self.multiple for side in x.shape[2:]):
            raise ShapeError(f"CodecEncoder: x {x.shape} has sides that are no multiples of {self.multiple}; choose "
                             "another size, or fewer halvings")
        return ops.quantize(self.model(x), self.levels)


class CodecDecoder(nn.Module):
    """Levels (N, code, h, w) to pictures (N, channels, h 2^halvings, w 2^halvings) in (-1, 1).

    Args:
        channels, width, code, halvings: as of CodecEncoder.
        blocks: residual blocks at the grid's size; 9 in the paper.

    Raises:
        OptionError: as CodecEncoder, or blocks below 0.
    """

    def __init__(self, channels: int = 3, width: int = 16, code: int = 8, halvings: int = 3, blocks: int = 2) -> None:
        super().__init__()
        sizes = _sizes("CodecDecoder", width, code, LEVELS, halvings, blocks)[::-1]
        self.out_channels, self.code, self.scale = channels, code, 2**halvings
        layers: list[nn.Module] = [nn.Conv2d(code, sizes[0], 3, 1, 1, bias=False), nn.BatchNorm2d(sizes[0]), nn.ReLU(),
                                   *(ResnetBlock(sizes[0], "batch") for _ in range(blocks))]
        for inner, outer in pairwise(sizes):
            layers += [nn.UpConv2d(inner, outer, 3, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh())
        self.apply(dcgan_weights)

    def forward(self, levels: Tensor) -> Tensor:
        """Pictures for levels.

        Raises:
            ShapeError: levels with other channels.
        """
        check_images("CodecDecoder", levels, self.code)
        return self.model(levels)


def codec(channels: int = 3, width: int = 16, code: int = 8, levels: int = LEVELS, halvings: int = 3,
          blocks: int = 2) -> tuple[CodecEncoder, CodecDecoder]:
    """An encoder and a decoder that fit together; arguments and errors are theirs."""
    return (CodecEncoder(channels, width, code, levels, halvings),
            CodecDecoder(channels, width, code, halvings, blocks))


def _sizes(owner: str, width: int, code: int, levels: int, halvings: int, blocks: int = 0) -> list[int]:
    """Channels at each size, from the pictures' to the grid's. Raises OptionError."""
    if min(width, code, halvings) < 1 or levels < 2 or blocks < 0:
        raise OptionError(f"{owner}: width={width}, code={code} and halvings={halvings} must be at least 1, "
                          f"levels={levels} at least 2 and blocks={blocks} at least 0")
    return widths(width, halvings)


def widths(width: int, halvings: int) -> list[int]:
    """Channels of the feature maps at each size, from the pictures' to the grid's.

    >>> widths(16, 5)
    [16, 32, 64, 128, 128, 128]
    """
    return [width * min(2**i, MOST_CHANNELS) for i in range(halvings + 1)]
