"""A network that gives pictures any style in one pass: scales and shifts of its norms are predicted from the style.

    content -> c9-w  d2w  d4w  R4w ... R4w  u2w  uw  c9-3 -> picture          R, u: with conditional instance norm
    style   -> means and deviations of its maps -> bottleneck -> gamma, beta of all those norms

Why     After instance norm all pictures have the same statistics, so gamma and beta are what differs between styles:
        a network needs only these few thousand numbers per style, and another network can predict them.
Source  Ghiasi, Lee, Kudlur, Dumoulin & Shlens, Exploring the structure of a real-time, arbitrary neural artistic
        stylization network, 2017, figure 2; Dumoulin, Shlens & Kudlur, A learned representation for artistic style,
        2017. There the style's features are means of Inception's; here they are of the network that judges.
"""

from __future__ import annotations

__all__ = ["ConditionalInstanceNorm2d", "StyleNetwork", "statistics"]

from collections.abc import Sequence

from minigan import nn, ops
from minigan.engine import Tensor
from minigan.errors import OptionError, ShapeError
from minigan.models.anysize import AnySize, check_images, cropped, padded
from minigan.models.mlp import dcgan_weights

EPS = 1e-5


def statistics(maps: Sequence[Tensor]) -> Tensor:
    """Of each channel of maps (N, C, h, w) the mean and the standard deviation over places, (N, 2 sum C)."""
    parts = []
    for own in maps:
        mean = ops.mean(own, (2, 3), keepdims=True)  # (N, C, 1, 1)
        var = ops.mean(ops.square(own - mean), (2, 3))  # (N, C)
        parts += [mean.reshape(*var.shape), ops.sqrt(var + EPS)]
    return ops.concat(parts, 1)


class ConditionalInstanceNorm2d(nn.Module):
    """Instance norm whose scale and shift belong to the picture: y = (1 + g) xhat + b with g, b (N, C).

    Source: Dumoulin, Shlens & Kudlur, 2017, equation 5, with gamma = 1 + g, so that g = b = 0 changes nothing.
    """

    def __init__(self, num_features: int, eps: float = EPS) -> None:
        super().__init__()
        self.channels, self.eps = num_features, eps

    def forward(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Maps (N, C, H, W) and g, b side by side (N, 2 C), to maps of the same shape.

        Raises:
            ShapeError: other sizes.
        """
        N, C = x.shape[:2]
        if self.channels != C or parameters.shape != (N, 2 * C):
            raise ShapeError(f"conditional instance norm: x {x.shape} and parameters {parameters.shape}: the layer is "
                             f"for C={self.channels} channels, and needs {2 * self.channels} parameters for each of "
                             "the images")
        scale, shift = (parameters[:, part].reshape(N, C, 1, 1) for part in (slice(C), slice(C, 2 * C)))
        return ops.instance_norm(x, eps=self.eps) * (scale + 1.0) + shift

    def describe(self) -> str:
        """Channels."""
        return f"{self.channels}, eps={self.eps}"


class _Block(nn.Module):
    """Residual: x plus two 3x3 convolutions of it, each with a conditional norm, and a ReLU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False))
                                   for _ in range(2))
        self.norm1, self.norm2 = (ConditionalInstanceNorm2d(channels) for _ in range(2))

    def forward(self, x: Tensor, one: Tensor, other: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return x + self.norm2(self.second(ops.relu(self.norm1(self.first(x), one))), other)


class StyleNetwork(AnySize):
    """Pictures (N, in_channels, H, W) in [-1, 1] and statistics of styles, to pictures (N, 3, H, W) in (-1, 1).

    Args:
        in_channels: 3, or 1 for grey pictures.
        features: length of a style's statistics; `trainers.StyleTransfer` computes them.
        width: channels of the first layer, 32 in the papers.
        blocks: residual blocks, 5 in the papers.
        bottleneck: numbers to which a style is reduced, 100 in the paper.

    Pictures whose sides are not multiples of 4 are mirrored at their borders, and the results cropped, see AnySize.

    Raises:
        OptionError: a number below 1.
    """

    def __init__(self, in_channels: int, features: int, width: int = 16, blocks: int = 3, bottleneck: int = 32) -> None:
        super().__init__(in_channels, 3, multiple=4, smallest=8)
        if min(in_channels, features, width, blocks, bottleneck) < 1:
            raise OptionError(f"StyleNetwork: in_channels={in_channels}, features={features}, width={width}, blocks="
                              f"{blocks} and bottleneck={bottleneck} must be at least 1")
        self.features, w = features, width
        self.contract = nn.Sequential(
            nn.ReflectionPad2d(4), nn.Conv2d(in_channels, w, 9, bias=False), nn.InstanceNorm2d(w), nn.ReLU(),
            nn.Conv2d(w, 2 * w, 3, 2, 1, bias=False), nn.InstanceNorm2d(2 * w), nn.ReLU(),
            nn.Conv2d(2 * w, 4 * w, 3, 2, 1, bias=False), nn.InstanceNorm2d(4 * w), nn.ReLU())
        self.blocks = nn.ModuleList([_Block(4 * w) for _ in range(blocks)])
        self.up1, self.up2 = nn.UpConv2d(4 * w, 2 * w, 3, bias=False), nn.UpConv2d(2 * w, w, 3, bias=False)
        self.norm1, self.norm2 = ConditionalInstanceNorm2d(2 * w), ConditionalInstanceNorm2d(w)
        self.last = nn.Sequential(nn.ReflectionPad2d(4), nn.Conv2d(w, 3, 9), nn.Tanh())
        self.sizes = [2 * 4 * w] * (2 * blocks) + [2 * 2 * w, 2 * w]  # parameters of each conditional norm
        self.squeeze = nn.Linear(features, bottleneck)
        self.expand = nn.Linear(bottleneck, sum(self.sizes))
        for part in (self.contract, self.blocks, self.up1, self.up2, self.last):
            part.apply(dcgan_weights)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:  # type: ignore[override]  # two inputs
        """Pictures (N, 3, H, W) for contents x (N, in_channels, H, W) and statistics (1 or N, features).

        Raises:
            ShapeError: other sizes.
        """
        check_images(type(self).__name__, x, self.in_channels)
        if style.shape not in ((1, self.features), (len(x), self.features)):
            raise ShapeError(f"StyleNetwork: styles {style.shape} for {len(x)} pictures: there must be one or as many, "
                             f"each of {self.features} numbers")
        border = self.border(x.shape[2], x.shape[3])
        parts = self.parameters_of(style, len(x))
        y = self.contract(padded(x, border))
        for block in self.blocks:
            y = block(y, parts.pop(0), parts.pop(0))
        y = ops.relu(self.norm1(self.up1(y), parts.pop(0)))
        y = ops.relu(self.norm2(self.up2(y), parts.pop(0)))
        return cropped(self.last(y), border)

    def parameters_of(self, style: Tensor, count: int) -> list[Tensor]:
        """G and b of each conditional norm, (count, 2 C), for statistics (1 or count, features)."""
        predicted = self.expand(self.squeeze(style))
        if len(predicted) != count:
            predicted = ops.concat([predicted] * count, 0)
        parts, start = [], 0
        for size in self.sizes:
            parts.append(predicted[:, start : start + size])
            start += size
        return parts
