"""The U-Net generator of pix2pix: an encoder, a decoder, and a skip connection between layers of equal size.

    image -> 64 -> 128 -> 256 -> 512 -> ... -> 1x1 -> ... -> 512 -> 256 -> 128 -> 64 -> image
              \\______\\______\\______\\_____________________/______/______/______/

What both images of a pair share, above all edges, takes the skip connections and need not pass the narrow middle.
Levels are modules inside each other, named as in the authors' PyTorch code.
Source: Isola et al., pix2pix, 2017, section 3.2.
"""

from __future__ import annotations

__all__ = ["UnetGenerator", "depth_for"]

from minigan import nn, ops
from minigan.engine import Tensor
from minigan.errors import OptionError
from minigan.models.anysize import NORMS, AnySize, check_choice, norm_layers
from minigan.models.mlp import dcgan_weights
from minigan.random import Stream


class UnetLevel(nn.Module):
    """One level: halve the image, apply the inner level, double it; x is concatenated except at the outermost level.

    (N, outer, H, W) to (N, 2*outer, H, W); at the outermost level (N, source, H, W) to (N, outer, H, W).
    """

    separable = True

    def __init__(self, outer: int, inner: int, submodule: UnetLevel | None, norm: str, upsample: str,
                 source: int | None = None, dropout: nn.Module | None = None) -> None:
        super().__init__()
        self.outermost = source is not None
        bias, wide = norm != "batch", inner if submodule is None else 2 * inner
        down: list[nn.Module] = [nn.Conv2d(outer if source is None else source, inner, 4, 2, 1,
                                           bias=bias)]
        up: list[nn.Module] = [nn.ReLU(), _doubling(wide, outer, upsample, bias or self.outermost)]
        if self.outermost:
            up.append(nn.Tanh())
        else:
            down.insert(0, nn.LeakyReLU(0.2))
            if submodule is not None:  # the innermost map may be one pixel, and cannot be normalised
                down += norm_layers(norm, inner)
            up += norm_layers(norm, outer)
        if dropout is not None:
            up.append(dropout)
        self.model = nn.Sequential(*down, *([submodule] if submodule is not None else []), *up)

    def forward(self, x: Tensor) -> Tensor:
        """As described for the class."""
        return self.model(x) if self.outermost else ops.concat([x, self.model(x)], 1)  # (N, 2*outer, H, W)


def _doubling(inputs: int, outputs: int, upsample: str, bias: bool) -> nn.Module:
    return (nn.UpConv2d(inputs, outputs, 3, bias=bias) if upsample == "upconv"
            else nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias))


def depth_for(size: int) -> int:
    """The number of halvings from an image of this size to one pixel; at most 8, as in the paper.

    >>> [depth_for(size) for size in (28, 32, 128, 512)]
    [5, 5, 7, 8]
    """
    return min(8, max(1, (size - 1).bit_length()))


class UnetGenerator(AnySize):
    """Images (N, in_channels, H, W) in [-1, 1] to (N, out_channels, H, W) in (-1, 1).

    Args:
        in_channels, out_channels: channels of the two domains; they may differ.
        width: channels of the first layer; they double from level to level, up to 8 times the width.
        depth: halvings; see `depth_for`. Images whose sides are not multiples of 2^depth are mirrored, see AnySize.
        norm: "batch" (the paper's), "instance" or "none".
        upsample: "upconv" (nearest x2, then 3x3 convolution) or "deconv" (4x4 transposed convolution, the paper's).
        dropout: probability in the levels with the most channels; the paper's source of noise, with 0.5. 0 for none.
        stream: random numbers of the dropout layers.

    Raises:
        OptionError: an unknown norm or upsample, or a number below 1.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 3, width: int = 64, depth: int = 8,
                 norm: str = "batch", upsample: str = "upconv", dropout: float = 0.0,
                 stream: Stream | None = None) -> None:
        super().__init__(in_channels, out_channels, 2 ** max(depth, 0), 2 ** max(depth, 0))
        check_choice("UnetGenerator", "norm", norm, NORMS)
        check_choice("UnetGenerator", "upsample", upsample, ("upconv", "deconv"))
        if min(in_channels, out_channels, width, depth) < 1:
            raise OptionError(f"UnetGenerator: width={width}, depth={depth} and both numbers of channels must be at "
                              "least 1")
        sizes = [width * min(2**i, 8) for i in range(depth)]
        level: UnetLevel | None = None
        for i in range(depth - 1, 0, -1):
            drops = dropout > 0 and level is not None and sizes[i - 1] == sizes[i]
            level = UnetLevel(sizes[i - 1], sizes[i], level, norm, upsample,
                              dropout=nn.Dropout(dropout, stream=stream) if drops else None)
        self.model = UnetLevel(out_channels, sizes[0], level, norm, upsample, source=in_channels)
        self.apply(dcgan_weights)
