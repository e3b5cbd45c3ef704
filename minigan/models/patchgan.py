"""PatchGAN: a discriminator that judges every patch of an image separately (Isola et al., pix2pix, 2017).

    C64 - C128 - C256 - C512 - 1        4x4 convolutions, stride 2 except for the last two

Its output is a map of logits; each sees a square of `reach` pixels, 70 with three strided layers. It has few weights
and takes images of any size; structure larger than a patch is left to other losses. Names as in the authors' code.
"""

from __future__ import annotations

__all__ = ["MultiScaleDiscriminator", "PatchDiscriminator", "layers_for"]

import itertools

from minigan import nn, ops
from minigan.engine import Tensor
from minigan.errors import OptionError, ShapeError
from minigan.models.anysize import NORMS, check_choice, check_images, norm_layers
from minigan.models.mlp import dcgan_weights


def layers_for(size: int) -> int:
    """The number of strided layers that suits images of this size: 3 from 48 pixels on, 2 from 24, 1 below.

    >>> [layers_for(size) for size in (16, 28, 32, 64, 256)]
    [1, 2, 2, 3, 3]
    """
    return 3 if size >= 48 else 2 if size >= 24 else 1


class PatchDiscriminator(nn.Module):
    """Images (N, channels, H, W) to logits (N, 1, OH, OW), one per patch; above 0 means "real"; no sigmoid.

    Args:
        channels: channels of the images; for pix2pix, those of both images of a pair together.
        width: channels of the first layer; they double from layer to layer, up to 8 times the width.
        layers: strided layers: 3 have a reach of 70 pixels, 2 of 34, 1 of 16; see `layers_for`.
        norm: "instance", "batch" or "none", after every layer except the first and the last.

    Raises:
        OptionError: an unknown norm, or a number below 1.
    """

    separable = True

    def __init__(self, channels: int = 3, width: int = 64, layers: int = 3, norm: str = "instance") -> None:
        super().__init__()
        check_choice("PatchDiscriminator", "norm", norm, NORMS)
        if min(channels, width, layers) < 1:
            raise OptionError(f"PatchDiscriminator: channels={channels}, width={width} and layers={layers} must be at "
                              "least 1")
        self.channels, self.strided = channels, layers
        sizes = [width * min(2**i, 8) for i in range(layers + 1)]
        stages = [[nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]]
        for i in range(1, layers + 1):
            stages.append([nn.Conv2d(sizes[i - 1], sizes[i], 4, 2 if i < layers else 1, 1, bias=norm != "batch"),
                           *norm_layers(norm, sizes[i]), nn.LeakyReLU(0.2)])
        stages.append([nn.Conv2d(sizes[-1], 1, 4, 1, 1)])
        self.model = nn.Sequential(*(layer for stage in stages for layer in stage))
        self._ends = list(itertools.accumulate(len(stage) for stage in stages))  # where each stage ends in `model`
        self.apply(dcgan_weights)

    @property
    def reach(self) -> int:
        """Side of the patch that one logit sees, in pixels."""
        size = 1 + 3 + 3  # the last two layers
        for _ in range(self.strided):
            size = 2 * size + 2
        return size

    @property
    def smallest(self) -> int:
        """Least side of an image: the strided layers must leave 3x3 pixels, as the last two layers remove one each."""
        return 3 * 2**self.strided

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of all layers for images x, after the leaky ReLU; the last are the logits."""
        check_images("PatchDiscriminator", x, self.channels)
        if min(x.shape[2:]) < self.smallest:
            raise ShapeError(
                f"PatchDiscriminator: images of {x.shape[2]}x{x.shape[3]} are smaller than the network's reach: with "
                f"{self.strided} strided layers it needs at least {self.smallest}x{self.smallest}; enlarge the images, "
                f"or use layers={layers_for(min(x.shape[2:]))}")
        out = []
        for start, end in zip([0, *self._ends], self._ends, strict=False):
            x = self.model[start:end](x)
            out.append(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Logits of patches (N, 1, OH, OW).

        Raises:
            ShapeError: the images have another number of channels, or are smaller than `smallest`.
        """
        return self.features(x)[-1]


class MultiScaleDiscriminator(nn.Module):
    """PatchDiscriminators of the image at full size, half, quarter, ...: fine detail and coarse shape (pix2pixHD).

    Args:
        channels, width, layers, norm: as in PatchDiscriminator.
        scales: number of PatchDiscriminators.

    Source: Wang et al., High-resolution image synthesis with conditional GANs, 2018, section 3.2.
    """

    separable = True

    def __init__(self, channels: int = 3, width: int = 64, layers: int = 3, scales: int = 2,
                 norm: str = "instance") -> None:
        super().__init__()
        if scales < 1:
            raise OptionError(f"MultiScaleDiscriminator: scales={scales} must be at least 1")
        for i in range(scales):
            setattr(self, f"scale{i}", PatchDiscriminator(channels, width, layers, norm))
        self.scales = scales

    def features(self, x: Tensor) -> list[list[Tensor]]:
        """`PatchDiscriminator.features` of every scale, the full size first."""
        out = []
        for i in range(self.scales):
            out.append(getattr(self, f"scale{i}").features(x))
            if i + 1 < self.scales:
                x = ops.avg_pool2d(x, 2)
        return out

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits of patches, one map per scale."""
        return [layers[-1] for layers in self.features(x)]
