"""The DCGAN pair (Radford, Metz & Chintala, 2016) for square images of 28, 32, 64, ... pixels.

    z (N, 100, 1, 1) -> 4x4 -> 8x8 -> 16x16 -> 32x32          32x32 -> 16x16 -> 8x8 -> 4x4 -> logit (N, 1, 1, 1)

No pooling, no fully connected hidden layers: the first layer of G is a transposed convolution of a 1x1 image, and the
last layer of D a convolution with a kernel as large as its input. The default is up-convolution, which avoids
checkerboard patterns.
"""

from __future__ import annotations

__all__ = ["dcgan"]

import numpy as np

from minigan import nn
from minigan.engine import Tensor, tensor
from minigan.errors import OptionError, ShapeError
from minigan.models.conditional import EMBEDDING, ConditionalGenerator, ProjectionDiscriminator
from minigan.models.mlp import dcgan_weights

MOST_WEIGHTS = 1 << 32  # of both networks: 16 GiB as float32, a thousand times those of the paper


def _stages(size: int) -> tuple[int, int]:
    """Side of the smallest feature map (4 or 7) and the number of doublings from there to `size`."""
    for base in (4, 7):
        doublings = (size // base).bit_length() - 1
        if size > base and base << doublings == size:
            return base, doublings
    raise ShapeError(f"dcgan: size={size} is not 4 or 7 times a power of two; use 28, 32, 56, 64, 128, ... "
                     "and pad or resize the images")


class Generator(nn.Module):
    """Noise (N, latent) or (N, latent, 1, 1) to images (N, channels, size, size) in (-1, 1).

    Channels halve as the side doubles: width * 2^(doublings - 1), ..., width, channels. Batch norm and ReLU
    follow every layer except the last, which has tanh.
    """

    separable = True

    def __init__(self, channels: int = 1, size: int = 32, latent: int = 100, width: int = 64,
                 upsample: str = "upconv") -> None:
        super().__init__()
        if upsample not in ("upconv", "deconv"):
            raise OptionError(f"dcgan: upsample={upsample!r} is not 'upconv' or 'deconv'")
        base, doublings = _stages(size)
        self.latent, wide = latent, width << (doublings - 1)
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, wide, base, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        for i in range(doublings):
            last = i == doublings - 1
            out = channels if last else wide // 2
            layers.append(nn.UpConv2d(wide, out, 3, bias=last) if upsample == "upconv"
                          else nn.ConvTranspose2d(wide, out, 4, 2, 1, bias=last))
            layers += [nn.Tanh()] if last else [nn.BatchNorm2d(out), nn.ReLU()]
            wide = out
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_weights)

    def forward(self, z: Tensor) -> Tensor:
        """Images (N, channels, size, size) for noise z (N, latent)."""
        z = z if isinstance(z, Tensor) else tensor(z)
        return self.layers(z.reshape(len(z), self.latent, 1, 1) if z.ndim == 2 else z)  # (N, latent, 1, 1)


class Discriminator(nn.Module):
    """Images (N, channels, size, size) to logits (N, 1, 1, 1); no sigmoid.

    Stride-2 4x4 convolutions, channels width, 2*width, ...; LeakyReLU 0.2. `norm` is "batch" (all except the first and
    last), "none" (for a gradient penalty) or "spectral" (every layer); without batch norm, convolutions have biases.
    """

    separable = True

    def __init__(self, channels: int = 1, size: int = 32, width: int = 64, norm: str = "batch") -> None:
        super().__init__()
        if norm not in ("batch", "none", "spectral"):
            raise OptionError(f"dcgan: norm={norm!r} is not 'batch', 'none' or 'spectral'")
        base, doublings = _stages(size)
        wrap = nn.SpectralNorm if norm == "spectral" else lambda layer: layer
        bias = norm != "batch"
        layers: list[nn.Module] = [wrap(nn.Conv2d(channels, width, 4, 2, 1, bias=bias)), nn.LeakyReLU(0.2)]
        for _ in range(doublings - 1):
            layers += [wrap(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=bias)),
                       *([nn.BatchNorm2d(2 * width)] if norm == "batch" else []), nn.LeakyReLU(0.2)]
            width *= 2
        self.layers = nn.Sequential(*layers, wrap(nn.Conv2d(width, 1, base)))
        self.apply(dcgan_weights)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 1, 1, 1): above 0 means "real"."""
        return self.layers(x)


def weights_of(size: int, latent: int, width: int, upsample: str = "upconv", channels: int = 1) -> int:
    """The number of weights of the Generator and the Discriminator together, without biases and batch norms.

    Raises:
        ShapeError: no such size.
    """
    base, doublings = _stages(size)
    sides = [width << i for i in range(doublings)]  # channels of the feature maps, the largest map first
    taps = 9 if upsample == "upconv" else 16  # of a filter of the generator
    pairs = sum(wide * narrow for narrow, wide in zip([channels, *sides], sides, strict=False))
    return latent * sides[-1] * base**2 + pairs * taps + pairs * 16 + sides[-1] * base**2


def dcgan(channels: int = 1, size: int = 32, latent: int = 100, width: int = 64, upsample: str = "upconv",
          norm: str = "batch", labels: np.ndarray | None = None
          ) -> tuple[Generator | ConditionalGenerator, Discriminator | ProjectionDiscriminator]:
    """The pair, with N(0, 0.02) weights drawn from the stream that `mg.seed` resets.

    Args:
        channels: channels of the images.
        size: side of the images in pixels, 4 or 7 times a power of two.
        latent: length of the noise vector.
        width: channels of the largest feature map; they double as its side halves.
        upsample: "upconv" (nearest x2, then 3x3 convolution) or "deconv" (4x4 transposed convolution, stride 2).
        norm: normalisation of the discriminator: "batch", "none" or "spectral".
        labels: of the training images, integers (N,) from 0 on; with them, the pair is conditional on a label, a
            ConditionalGenerator and a ProjectionDiscriminator. A generator alone needs one label of each class.

    Raises:
        ShapeError: no such size. OptionError: an unknown upsample or norm, or more than MOST_WEIGHTS weights.

    >>> generator, discriminator = dcgan(size=28, width=8)
    >>> discriminator(generator(tensor([[0.5] * 100]))).shape
    (1, 1, 1, 1)
    """
    weights = weights_of(size, latent, width, upsample, channels)
    if weights > MOST_WEIGHTS:
        raise OptionError(f"dcgan: size={size}, latent={latent} and width={width} make networks of {weights:,} "
                          f"weights, {weights * 4 / 2**30:,.1f} GiB as float32; at most {MOST_WEIGHTS * 4 >> 30} GiB "
                          "are allowed: give smaller numbers")
    if labels is None:
        return Generator(channels, size, latent, width, upsample), Discriminator(channels, size, width, norm)
    counts = np.bincount(labels)
    generator = Generator(channels, size, latent + EMBEDDING, width, upsample)
    return (ConditionalGenerator(generator, len(counts), counts / len(labels)),
            ProjectionDiscriminator(Discriminator(channels, size, width, norm), len(counts)))
