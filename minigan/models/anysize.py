"""What image-to-image networks share: images of any size, normalisation by name, and checks of images and options.

A network that halves its image k times works on multiples of 2^k. Images of other sizes are mirrored at their borders
up to the next multiple, and the result is cropped back; a warning is given at the first such image.
"""

from __future__ import annotations

import warnings

from minigan import nn, ops
from minigan.engine import Tensor
from minigan.errors import OptionError, ShapeError

NORMS = ("instance", "batch", "none")


def norm_layers(norm: str, channels: int) -> list[nn.Module]:
    """The normalisation with this name, as a list of one layer; an empty list for "none"."""
    if norm == "none":
        return []
    return [nn.InstanceNorm2d(channels) if norm == "instance" else nn.BatchNorm2d(channels)]


def check_choice(owner: str, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise OptionError unless `value` is one of the choices."""
    if value not in choices:
        raise OptionError(f"{owner}: {name}={value!r} is not one of {', '.join(choices)}")


def check_images(owner: str, x: Tensor, channels: int) -> None:
    """Raise ShapeError unless x is (N, channels, H, W) and not empty."""
    if x.ndim != 4 or 0 in x.shape:
        raise ShapeError(f"{owner}: x {x.shape} must be images (N, C, H, W), not empty")
    if x.shape[1] != channels:
        raise ShapeError(f"{owner}: x {x.shape} has C={x.shape[1]}, the network was made for C={channels}; convert the "
                         "images (grey to RGB, or RGB to grey), or make the network for their channels")


class AnySize(nn.Module):
    """Base of networks whose `model` maps images to images of the same size, `in_channels` to `out_channels`.

    multiple   H and W of the model's input must be divisible by it
    smallest   least H and W of the model's input
    """

    separable = True
    model: nn.Module

    def __init__(self, in_channels: int, out_channels: int, multiple: int, smallest: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.multiple, self.smallest, self._warned = multiple, smallest, False

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) to (N, out_channels, H, W)."""
        check_images(type(self).__name__, x, self.in_channels)
        border = self.border(x.shape[2], x.shape[3])
        return cropped(self.model(padded(x, border)), border)

    def border(self, height: int, width: int) -> Border:
        """Pixels to mirror at each side: ((top, bottom), (left, right)).

        Raises:
            ShapeError: the image is too small to be mirrored to a size that the model takes.
        """
        pairs = []
        for size in (height, width):
            missing = max(-size % self.multiple, self.smallest - size)
            pairs.append((missing // 2, missing - missing // 2))
            if pairs[-1][1] >= size:
                raise ShapeError(
                    f"{type(self).__name__}: images of {height}x{width} are smaller than the network's reach: it "
                    f"works on multiples of {self.multiple}, at least {self.smallest}, and mirroring adds less than a "
                    "whole image at each side; enlarge the images, or make the network with fewer down-samplings")
        if any(map(any, pairs)) and not self._warned:
            self._warned = True
            warnings.warn(f"{type(self).__name__}: images of {height}x{width} are mirrored at their borders to "
                          f"{height + sum(pairs[0])}x{width + sum(pairs[1])}, the next multiples of {self.multiple}, "
                          "and the results are cropped back", stacklevel=3)
        return pairs[0], pairs[1]


Border = tuple[tuple[int, int], tuple[int, int]]


def padded(x: Tensor, border: Border) -> Tensor:
    """Images (N, C, H, W) with a mirrored border."""
    return ops.pad(x, ((0, 0), (0, 0), *border), "reflect") if any(map(any, border)) else x


def cropped(y: Tensor, border: Border) -> Tensor:
    """Images (N, C, H, W) without that border."""
    if not any(map(any, border)):
        return y
    (top, bottom), (left, right) = border
    return y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]
