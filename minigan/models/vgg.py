"""Networks of the VGG kind as sources of features: blocks of 3x3 convolutions and ReLUs, halved in between.

    relu1_1  relu1_2 | relu2_1  relu2_2 | relu3_1 ...      reluB_I: after the I-th convolution of block B

Losses on such maps compare pictures more as people do than pixels can: what is where (content), or which patterns there
are, wherever they are (style, by Gram matrices). Modules are named as in torchvision.
Source: Simonyan & Zisserman, Very deep convolutional networks, 2015, column E; Gatys, Ecker & Bethge, 2016, section 2.
"""

from __future__ import annotations

__all__ = ["VGG", "VGG19"]

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigan import nn, ops
from minigan.engine import Tensor, device, no_grad, tensor
from minigan.errors import CheckpointError, OptionError, ShapeError
from minigan.models.anysize import check_choice
from minigan.nn import init

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of pixels from 0 to 1, by torchvision
UNIT = ((0.5,) * 3, (0.5,) * 3)  # leaves images in [-1, 1] as they are
VGG19_SIZES = ((64, 128, 256, 512, 512), (2, 2, 4, 4, 1))  # up to conv5_1
CHUNK = 32  # images whose maps are computed at a time


class _Mean(nn.Module):
    """The mean of each 2 x 2 places."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H // 2, W // 2)."""
        return ops.avg_pool2d(x, 2)


POOLS: dict[str, Callable[[], nn.Module]] = {"max": partial(nn.MaxPool2d, 2), "average": _Mean}


class VGG(nn.Module):
    """Images (N, 3, H, W) or grey ones (N, 1, H, W) in [-1, 1] to the maps of named layers.

    Args:
        widths: channels of each block's convolutions.
        convolutions: their number in each block.
        pixels: mean and standard deviation of red, green and blue, from 0 to 1; images are first shifted and scaled
            by them. The default changes nothing.
        pool: "max", torchvision's, or "average", which Gatys et al. found better for images that are optimised: each
            pixel has a gradient, not one in four.

    Initial weights are He's.

    Raises:
        OptionError: no block, not one number of convolutions for each width, or another pool.
    """

    def __init__(self, widths: Sequence[int], convolutions: Sequence[int],
                 pixels: tuple[Sequence[float], Sequence[float]] = UNIT, pool: str = "max") -> None:
        super().__init__()
        check_choice("VGG", "pool", pool, tuple(POOLS))
        if len(widths) != len(convolutions) or not widths or min(*widths, *convolutions) < 1:
            raise OptionError(f"VGG: widths={tuple(widths)} and convolutions={tuple(convolutions)} must be one "
                              "positive number for each block")
        layers: list[nn.Module] = []
        self.places: dict[str, int] = {}  # of each named map: its layer's number in `features`
        channels = 3
        for block, (width, count) in enumerate(zip(widths, convolutions, strict=True), 1):
            layers += [POOLS[pool]()] if block > 1 else []
            for number in range(1, count + 1):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                self.places[f"relu{block}_{number}"], channels = len(layers) - 1, width
        self.features = nn.Sequential(*layers).apply(_he)
        self.pixels = tuple((1 / (2 * std), (1 - 2 * mean) / (2 * std)) for mean, std in zip(*pixels, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """The last map (N, C, h, w)."""
        return self.maps(x, [list(self.places)[-1]])[0]

    def maps(self, x: Tensor, names: Sequence[str]) -> list[Tensor]:
        """The maps of these layers, in this order; nothing above the last of them is computed.

        Raises:
            OptionError: no layer has that name; the message lists them all.
            ShapeError: x is not (N, 1 or 3, H, W), or too small for a layer.
        """
        self.check(x.shape, names)
        ends = {self.places[name]: name for name in names}
        x, by_name = self._rgb(x), {}
        for number, layer in enumerate(list(self.features)[: max(ends) + 1]):
            x = layer(x)
            if number in ends:
                by_name[ends[number]] = x
        return [by_name[name] for name in names]

    def channels(self, name: str) -> int:
        """C of the map with this name."""
        convolution: Any = self.features[self.places[name] - 1]
        return int(convolution.weight.shape[0])

    def _rgb(self, x: Tensor) -> Tensor:
        """Images (N, 1 or 3, H, W) in [-1, 1] as (N, 3, H, W), ((x + 1) / 2 - mean) / deviation of each channel.

        The numbers are scalars, which a captured graph may hold; arrays would be copied from the host in each step.
        """
        if x.shape[1] == 3 and all(pair == (1.0, 0.0) for pair in self.pixels):
            return x
        parts = [x[:, c : c + 1] if x.shape[1] == 3 else x for c in range(3)]
        return ops.concat([part * scale + shift for part, (scale, shift) in zip(parts, self.pixels, strict=True)], 1)

    def check(self, shape: tuple[int, ...], names: Sequence[str]) -> None:
        """Raise as `maps` if images of this shape have no maps of these layers."""
        owner = type(self).__name__
        if not names or not {*names} <= {*self.places}:
            raise OptionError(f"{owner}: layers={list(names)} must be some of {', '.join(self.places)}")
        if len(shape) != 4 or shape[1] not in (1, 3) or 0 in shape:
            raise ShapeError(f"{owner}: x {shape} must be images (N, C, H, W), not empty, with C = 1 or 3; "
                             "data.pictures.read_picture(path, 3) reads any picture, transparent ones on white")
        deepest, side = max(names, key=lambda name: self.places[name]), min(shape[2:])
        if side < _least(deepest):
            others = ", ".join(name for name in self.places if _least(name) <= side)
            raise ShapeError(f"{owner}: images of {shape[2]}x{shape[3]} are too small for {deepest}, whose map would "
                             f"be of less than 2x2: enlarge them to {_least(deepest)} pixels or more"
                             + (f", or use {others} only" if others else ""))

    def balance(self, images: Sequence[np.ndarray]) -> None:
        """Scale the weights so that the mean square of each channel of each map, over all places of these images, is 1.

        Then the Gram matrices of these images have 1 on their diagonals, on average: all layers and channels count.
        As ReLU(a x) = a ReLU(x) for a > 0, and so for pooling, maps change by a factor per channel only: a layer's
        filters are divided by theirs, and the next layer's multiplied. Channels that are always 0 stay so.
        Source: Gatys, Ecker & Bethge, 2016, section 2, with means of 1; that would leave the largest squares to
        channels that are rarely on.

        Args:
            images: arrays (N, 1 or 3, H, W) in [-1, 1], of one size or several.

        Raises:
            ShapeError: images without maps, as in `maps`.
        """
        below = np.ones(3)
        for name, own in self._sizes(images).items():
            convolution: Any = self.features[self.places[name] - 1]
            factors = (below[None, :] / own[:, None])[:, :, None, None]  # (O, C, 1, 1)
            for parameter, factor in ((convolution.weight, factors), (convolution.bias, 1 / own)):
                target = parameter.writable()
                scaled = (device.asnumpy(target) * factor).astype(target.dtype)
                target[...] = device.put(scaled, parameter.device)
            below = own

    def _sizes(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The root mean square (C,) of each channel of each map over all places; 1 where it is 0."""
        names, parameter = list(self.places), self.parameters()[0]
        sums, places = {name: np.zeros(self.channels(name)) for name in names}, dict.fromkeys(names, 0)
        for batch in images:
            for start in range(0, len(batch), CHUNK):
                with no_grad():
                    x = tensor(batch[start : start + CHUNK], dtype=parameter.dtype, device=parameter.device)
                    for name, own in zip(names, self.maps(x, names), strict=True):
                        sums[name] += np.square(device.asnumpy(own.data), dtype=np.float64).sum((0, 2, 3))
                        places[name] += own.size // own.shape[1]
        sizes = {name: np.sqrt(sums[name] / places[name]) for name in names}
        return {name: np.where(size > 1e-6, size, 1.0) for name, size in sizes.items()}


class VGG19(VGG):
    """VGG-19 up to its layer conv5_1, relu1_1 to relu5_1, with torchvision's names: features.0.weight to features.28.

    Its weights are a download of 550 MB that minigan does not make; they may not be used for everything: see there.

    Args:
        weights: arrays by name, as from `checkpoint.load_weights`, which reads .safetensors and .pth without running
            code; None: random ones. Those of the layers above, `features.30.` and on and `classifier.`, are left out.
        pool: as VGG's.

    Raises:
        CheckpointError: weights of another network. OptionError: another pool.
    """

    def __init__(self, weights: Mapping[str, np.ndarray] | None = None, pool: str = "max") -> None:
        own = _shapes(*VGG19_SIZES)
        if weights is not None:
            _check_vgg19(weights, own)  # before 52 MB of random weights are drawn
        super().__init__(*VGG19_SIZES, IMAGENET, pool)
        if weights is not None:
            self.load_state_dict({name: weights[name] for name in own})


def _shapes(widths: Sequence[int], convolutions: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's weights by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    number, inputs = 0, 3
    for width, count in zip(widths, convolutions, strict=True):
        for _ in range(count):
            shapes |= {f"features.{number}.weight": (width, inputs, 3, 3), f"features.{number}.bias": (width,)}
            number, inputs = number + 2, width  # a convolution and its ReLU
        number += 1  # the pooling
    return shapes


def _check_vgg19(weights: Mapping[str, np.ndarray], own: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointError unless all of VGG-19's arrays are there, and none of another network's."""
    other = [name for name in own if name not in weights or np.shape(weights[name]) != own[name]]
    if other:
        there = f"shape {np.shape(weights[other[0]])}" if other[0] in weights else "no such array"
        problem = f"for {other[0]} {own[other[0]]} there is {there}"
    elif any("running_mean" in name for name in weights):
        problem = "they have batch norm"
    else:
        return
    raise CheckpointError(f"VGG19: weights of another network: {problem}; use torchvision's vgg19 without batch norm "
                          "(vgg19-dcbb9e9d.pth), or its state_dict saved as .safetensors")


def _least(name: str) -> int:
    """The least side of an image whose map of this name is at least 2x2.

    >>> _least("relu1_2"), _least("relu4_1")
    (2, 16)
    """
    return int(2 ** int(name[4 : name.index("_")]))


def _he(module: nn.Module) -> None:
    """He's initial weights, and biases 0."""
    if isinstance(module, nn.Conv2d):
        module.weight.writable()[...] = device.put(init.filters(init.he(module.weight.shape)), module.weight.device)
        if module.bias is not None:
            module.bias.writable()[...] = 0
