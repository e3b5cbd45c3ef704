"""The generator of CycleGAN: two strided convolutions, residual blocks, two up-samplings (Johnson et al., 2016).

    c7s1-64  d128  d256  R256 ... R256  u128  u64  c7s1-3        Zhu et al., CycleGAN, 2017, appendix 7.2

A residual block adds a correction to its input. At the start, with small weights, the features of the encoder pass
through unchanged, which suits translation: most of an image is kept. Modules are named as in the authors' PyTorch code.
"""

from __future__ import annotations

__all__ = ["EncoderDecoder", "ResnetDecoder", "ResnetEncoder", "ResnetGenerator", "blocks_for"]

from minigan import nn
from minigan.engine import Tensor
from minigan.errors import OptionError
from minigan.models.anysize import AnySize, check_choice, norm_layers
from minigan.models.mlp import dcgan_weights

UPSAMPLES = ("upconv", "deconv")
HALVINGS = 2


class ResnetBlock(nn.Module):
    """R256: x plus two 3x3 convolutions of it, with reflection padding and normalisation, and a ReLU between them."""

    separable = True

    def __init__(self, channels: int, norm: str = "instance") -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=norm != "batch")]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=norm != "batch")]
        self.conv_block = nn.Sequential(*half, *norm_layers(norm, channels), nn.ReLU(),
                                        *other, *norm_layers(norm, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        block = self.conv_block
        return block(x, addend=x) if type(block) is nn.Sequential and "forward" not in vars(block) else x + block(x)


def encoder_layers(in_channels: int, width: int, norm: str, blocks: int) -> list[nn.Module]:
    """c7s1-width, d2width, d4width, then residual blocks: images to features (N, 4*width, H/4, W/4)."""
    bias = norm != "batch"
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(in_channels, width, 7, bias=bias),
                               *norm_layers(norm, width), nn.ReLU()]
    for c in (width, 2 * width):
        layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), *norm_layers(norm, 2 * c), nn.ReLU()]
    return [*layers, *(ResnetBlock(4 * width, norm) for _ in range(blocks))]


def decoder_layers(out_channels: int, width: int, norm: str, blocks: int, upsample: str) -> list[nn.Module]:
    """Residual blocks, u2width, uwidth, c7s1: features (N, 4*width, H/4, W/4) to images in (-1, 1)."""
    bias = norm != "batch"
    layers: list[nn.Module] = [ResnetBlock(4 * width, norm) for _ in range(blocks)]
    for c in (4 * width, 2 * width):
        layers += [nn.UpConv2d(c, c // 2, 3, bias=bias) if upsample == "upconv"
                   else nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias), *norm_layers(norm, c // 2), nn.ReLU()]
    return [*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh()]


class ResnetGenerator(AnySize):
    """Images (N, in_channels, H, W) in [-1, 1] to (N, out_channels, H, W) in (-1, 1).

    Args:
        in_channels, out_channels: channels of the two domains; they may differ.
        width: channels of the first layer, 64 in the paper.
        blocks: residual blocks; the paper has 6 for images up to 128 pixels and 9 for larger ones, see `blocks_for`.
        norm: "instance" (without weight and bias, as in the authors' code), "batch" or "none".
        upsample: "upconv" (nearest x2, then 3x3 convolution) or "deconv" (3x3 transposed convolution, the paper's).

    Images whose sides are not multiples of 4 are mirrored to the next multiple and cropped back, see AnySize. Initial
    weights are N(0, 0.02), biases 0.

    Raises:
        OptionError: an unknown norm or upsample, width below 1, or blocks below 0.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 3, width: int = 64, blocks: int = 6,
                 norm: str = "instance", upsample: str = "upconv") -> None:
        super().__init__(in_channels, out_channels, 2**HALVINGS, 2 * 2**HALVINGS)
        check_generator(type(self).__name__, width, blocks, norm, upsample)
        self.model = nn.Sequential(*encoder_layers(in_channels, width, norm, blocks),
                                   *decoder_layers(out_channels, width, norm, 0, upsample))
        self.apply(dcgan_weights)


def check_generator(owner: str, width: int, blocks: int, norm: str, upsample: str) -> None:
    """Raise OptionError for options that no generator can have."""
    check_choice(owner, "norm", norm, ("instance", "batch", "none"))
    check_choice(owner, "upsample", upsample, UPSAMPLES)
    if width < 1 or blocks < 0:
        raise OptionError(f"{owner}: width={width} must be at least 1 and blocks={blocks} at least 0")


def blocks_for(size: int) -> int:
    """The paper's number of residual blocks for images of this size.

    >>> blocks_for(128), blocks_for(256)
    (6, 9)
    """
    return 6 if size <= 128 else 9


class ResnetEncoder(nn.Module):
    """The first part of ResnetGenerator, for ComboGAN: images (N, C, H, W) to features (N, 4*width, H/4, W/4)."""

    separable = True

    def __init__(self, in_channels: int = 3, width: int = 64, blocks: int = 3, norm: str = "instance") -> None:
        super().__init__()
        check_generator(type(self).__name__, width, blocks, norm, "upconv")
        self.in_channels = in_channels
        self.model = nn.Sequential(*encoder_layers(in_channels, width, norm, blocks))
        self.apply(dcgan_weights)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, 4*width, H/4, W/4) of images."""
        return self.model(x)


class ResnetDecoder(nn.Module):
    """The second part: features (N, 4*width, H/4, W/4) to images (N, C, H, W) in (-1, 1)."""

    separable = True

    def __init__(self, out_channels: int = 3, width: int = 64, blocks: int = 3, norm: str = "instance",
                 upsample: str = "upconv") -> None:
        super().__init__()
        check_generator(type(self).__name__, width, blocks, norm, upsample)
        self.out_channels = out_channels
        self.model = nn.Sequential(*decoder_layers(out_channels, width, norm, blocks, upsample))
        self.apply(dcgan_weights)

    def forward(self, features: Tensor) -> Tensor:
        """Images (N, C, H, W) for features."""
        return self.model(features)


class EncoderDecoder(AnySize):
    """An encoder of one domain and a decoder of another as one generator; it shares their parameters."""

    def __init__(self, encoder: ResnetEncoder, decoder: ResnetDecoder) -> None:
        super().__init__(encoder.in_channels, decoder.out_channels, 2**HALVINGS, 2 * 2**HALVINGS)
        self.model = nn.Sequential(encoder, decoder)
