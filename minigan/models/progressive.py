"""The pair of progressive growing (Karras et al., 2018): networks that begin with images of 4 x 4 pixels and grow.

    z (N, latent) -> block 4x4 -> block 8x8 -> ... -> to_rgb[depth] -> images of the present side
    images -> from_rgb[depth] -> ... -> block 8x8 -> block 4x4 -> logit (N, 1)

All blocks exist from the start; `grow` says which of them take part. While a block is faded in, the images before and
after it are mixed, with weight alpha for the new ones. How far the networks have grown is structure: other operations
run. alpha is data, an array that may change from step to step, also in a captured CUDA graph.

Source: Karras, Aila, Laine & Lehtinen, Progressive growing of GANs for improved quality, stability, and variation,
2018, section 2, figure 2 and table 2.
"""

from __future__ import annotations

__all__ = ["progressive"]

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from minigan import nn, ops
from minigan.engine import Tensor, device, tensor
from minigan.errors import OptionError, ShapeError
from minigan.models.dcgan import MOST_WEIGHTS
from minigan.nn import init
from minigan.nn.equalized import HE

LARGEST = 256  # pixels
PLAIN = {"conv": nn.Conv2d, "upconv": nn.UpConv2d, "deconv": nn.ConvTranspose2d, "linear": nn.Linear}
EQUALIZED = {"conv": nn.EqualizedConv2d, "upconv": nn.EqualizedUpConv2d, "deconv": nn.EqualizedConvTranspose2d,
             "linear": nn.EqualizedLinear}
CHOICES = {"norm": ("pixel", "batch", "none"), "critic_norm": ("none", "layer"),
           "variation": ("stddev", "discrimination", "none")}


def sides_to(size: int) -> list[int]:
    """The sides of the images while networks grow: 4, 8, ..., size.

    Raises:
        ShapeError: size is not 4, 8, ..., LARGEST; the message names the nearest that are.
    """
    if not isinstance(size, int) or size < 4 or size > LARGEST or size & (size - 1):
        near = [side for side in (4 << i for i in range(LARGEST.bit_length() - 2))
                if isinstance(size, int) and side // 2 < size < 2 * side] or [4 if not size or size < 4 else LARGEST]
        raise ShapeError(f"progressive: size={size!r} is not a power of two from 4 to {LARGEST}; use "
                         f"{' or '.join(map(str, near))} and resize the images")
    return [4 << i for i in range(size.bit_length() - 2)]


@dataclass(frozen=True)
class Style:
    """What the rows of the paper's table change in the networks; the defaults are its last row, (g).

    equalized    weights are scaled when they are used, see nn.EqualizedConv2d; False: He's initial weights
    norm         after each layer of the generator: "pixel" (after the activation), "batch" (before it) or "none"
    critic_norm  in the discriminator: "none" or "layer" (per image, before the activation)
    variation    what the discriminator sees of its batch: "stddev", "discrimination" or "none"
    slope        of the generator's leaky ReLUs; 0: ReLU
    tanh         whether the generator's output passes through tanh
    sphere       whether noise is scaled to the sphere of radius latent^(1/2)

    Raises:
        OptionError: an unknown norm, critic_norm or variation.
    """

    equalized: bool = True
    norm: str = "pixel"
    critic_norm: str = "none"
    variation: str = "stddev"
    slope: float = 0.2
    tanh: bool = False
    sphere: bool = True

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise OptionError(f"progressive: {name}={value!r} is not one of {', '.join(choices)}")

    def layer(self, kind: str, *sizes: int, fan_in: int, gain: float = HE, **geometry: Any) -> nn.Module:
        """A layer with He's standard deviation, gain / fan_in^(1/2), in its weights or in the factor of its weights."""
        if self.equalized:
            return EQUALIZED[kind](*sizes, gain=gain, **geometry)
        layer = PLAIN[kind](*sizes, **geometry)
        values = init.normal(layer.weight.shape, 0.0, gain / math.sqrt(fan_in))
        layer.weight.writable()[...] = device.put(values, layer.weight.device)
        layer.bias.writable()[...] = 0
        return layer

    def generating(self, channels: int) -> list[nn.Module]:
        """What follows a layer of the generator."""
        rectifier = nn.LeakyReLU(self.slope) if self.slope else nn.ReLU()
        if self.norm == "batch":
            return [nn.BatchNorm2d(channels), rectifier]
        return [rectifier, nn.PixelNorm()] if self.norm == "pixel" else [rectifier]

    def judging(self, channels: int) -> list[nn.Module]:
        """What follows a layer of the discriminator."""
        return [*([nn.GroupNorm(1, channels)] if self.critic_norm == "layer" else []), nn.LeakyReLU(0.2)]


class Growing(nn.Module):
    """Base of both networks: their sides, channels, and how far they have grown.

    size   side of the last images      depth  number of the present side, sides[depth]
    sides  4, 8, ..., size              alpha  weight of the new block while it is faded in, else None
    """

    alpha: Tensor | None

    def __init__(self, size: int, width: int, flat: int) -> None:
        super().__init__()
        self.sides = sides_to(size)
        self.size, self.depth, self.alpha = size, len(self.sides) - 1, None
        self.channels_at = [max(1, width * min(side, flat) // side) for side in self.sides]

    def grow(self, depth: int, alpha: Any = None) -> None:
        """Work on images of sides[depth] from now on.

        alpha, a number, an array or a tensor of one element, fades in the block of this side; None: it is there. At 0
        the network is that of the depth before, whose images are enlarged or halved; at 1 the new one alone.

        Raises:
            OptionError: no such depth, or alpha with depth 0, which has nothing before it.
        """
        if not 0 <= depth < len(self.sides) or (alpha is not None and depth == 0):
            raise OptionError(f"grow: depth={depth} must be from 0 to {len(self.sides) - 1}, and above 0 with alpha")
        first = self.parameters()[0]
        if alpha is not None and not isinstance(alpha, Tensor):
            array = alpha if device.is_array(alpha) else np.full((1, 1, 1, 1), alpha)
            alpha = Tensor(device.put(array, first.device).astype(first.dtype))
        self.depth, self.alpha = depth, alpha

    def mixed(self, before: Tensor, after: Tensor) -> Tensor:
        """(1 - alpha) before + alpha after: exact at both ends."""
        assert self.alpha is not None
        return before * (1.0 - self.alpha) + after * self.alpha


class Generator(Growing):
    """Noise (N, latent) to images (N, channels, side, side), side = sides[depth]; without tanh not bounded.

    to_rgb[depth] makes images of a block's feature maps; the last block's are the result, or mixed with those before.
    """

    def __init__(self, channels: int, size: int, latent: int, width: int, flat: int, style: Style) -> None:
        super().__init__(size, width, flat)
        self.latent, self.style, maps = latent, style, self.channels_at
        first = style.layer("deconv", latent, maps[0], 4, fan_in=latent, gain=HE / 4)  # HE / 4 as in the paper's code
        blocks = [self._block(first, maps[0])]
        for inputs, outputs in pairwise(maps):
            blocks.append(self._block(style.layer("upconv", inputs, outputs, fan_in=9 * inputs), outputs))
        self.blocks = nn.ModuleList(blocks)
        self.to_rgb = nn.ModuleList(style.layer("conv", n, channels, 1, fan_in=n, gain=1.0) for n in maps)

    def _block(self, first: nn.Module, channels: int) -> nn.Module:
        second = self.style.layer("conv", channels, channels, 3, fan_in=9 * channels, padding=1)
        return nn.Sequential(first, *self.style.generating(channels), second, *self.style.generating(channels))

    def forward(self, z: Tensor) -> Tensor:
        """Images for noise z (N, latent) or (N, latent, 1, 1)."""
        z = z if isinstance(z, Tensor) else tensor(z)
        z = z.reshape(len(z), self.latent, 1, 1)  # (N, latent, 1, 1)
        x, before = ops.pixel_norm(z) if self.style.sphere else z, None
        for number, block in enumerate(self.blocks[: self.depth + 1]):
            if number == self.depth and self.alpha is not None:
                before = ops.upsample2d(self.to_rgb[number - 1](x), 2)
            x = block(x)
        images = self.to_rgb[self.depth](x)
        images = images if before is None else self.mixed(before, images)
        return ops.tanh(images) if self.style.tanh else images


class Discriminator(Growing):
    """Images (N, channels, side, side), side = sides[depth], to logits (N, 1); no sigmoid."""

    def __init__(self, channels: int, size: int, width: int, flat: int, style: Style) -> None:
        super().__init__(size, width, flat)
        maps = self.channels_at
        self.from_rgb = nn.ModuleList(
            nn.Sequential(style.layer("conv", channels, n, 1, fan_in=channels), nn.LeakyReLU(0.2)) for n in maps)
        self.blocks = nn.ModuleList([_head(maps[0], style)])
        for outputs, inputs in pairwise(maps):  # a block halves the side
            self.blocks.append(nn.Sequential(
                style.layer("conv", inputs, inputs, 3, fan_in=9 * inputs, padding=1), *style.judging(inputs),
                style.layer("conv", inputs, outputs, 3, fan_in=9 * inputs, padding=1), *style.judging(outputs)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 1): above 0 means "real"."""
        h = self.from_rgb[self.depth](x)
        for number in range(self.depth, 0, -1):
            h = halved(self.blocks[number](h))
            if number == self.depth and self.alpha is not None:
                h = self.mixed(self.from_rgb[number - 1](halved(x)), h)
        return self.blocks[0](h)


def _head(width: int, style: Style) -> nn.Module:
    """The discriminator's block of 4 x 4 pixels, feature maps (N, width, 4, 4) to logits (N, 1)."""
    stddev, similar = style.variation == "stddev", max(1, width // 4) * (style.variation == "discrimination")
    inputs = width + stddev
    return nn.Sequential(
        *([nn.MinibatchStddev(4)] if stddev else []),
        style.layer("conv", inputs, width, 3, fan_in=9 * inputs, padding=1), *style.judging(width),
        style.layer("conv", width, width, 4, fan_in=16 * width), *style.judging(width), nn.Flatten(),
        *([nn.MinibatchDiscrimination(width, similar)] if similar else []),
        style.layer("linear", width + similar, 1, fan_in=width + similar, gain=1.0))


def halved(x: Tensor) -> Tensor:
    """Images (N, C, H, W) of half the side: the mean of each block of 2 x 2 pixels."""
    return ops.block_sum(x, scale=(2, 2)) * 0.25


def progressive(channels: int = 3, size: int = 128, latent: int | None = None, width: int = 512, flat: int = 32,
                **style: Any) -> tuple[Generator, Discriminator]:
    """The pair, grown to `size`, with weights drawn from the stream that `mg.seed` resets.

    The paper's networks have width 512 and flat 32: 512 feature maps to 32 x 32 pixels, 256 at 64 x 64, 128 at 128 x
    128. On a CPU, width 64 and flat 8 are a good start.

    Args:
        channels: channels of the images.
        size: side of the images in pixels, a power of two from 4 to 256.
        latent: length of the noise vector; by default width.
        width: feature maps of the smallest sides.
        flat: the largest side with `width` feature maps; they halve as the side doubles further.
        style: the fields of Style, by name.

    Raises:
        ShapeError: no such size. OptionError: width, flat or latent below 1, an unknown style, or more than
            MOST_WEIGHTS weights.

    >>> generator, discriminator = progressive(size=16, width=8)
    >>> images = generator(tensor([[0.5] * 8]))
    >>> images.shape, discriminator(images).shape
    ((1, 3, 16, 16), (1, 1))
    """
    latent = width if latent is None else latent
    if min(latent, width, flat) < 1:
        raise OptionError(f"progressive: latent={latent}, width={width} and flat={flat} must be at least 1")
    weights = 2 * 18 * width**2 * len(sides_to(size))  # at most: two layers of 3 x 3 per block and network
    if weights > MOST_WEIGHTS:
        raise OptionError(f"progressive: width={width} makes networks of up to {weights:,} weights, "
                          f"{weights * 4 / 2**30:,.1f} GiB as float32; at most {MOST_WEIGHTS * 4 >> 30} GiB are "
                          "allowed: give a smaller width")
    look = Style(**style)
    return (Generator(channels, size, latent, width, flat, look), Discriminator(channels, size, width, flat, look))
