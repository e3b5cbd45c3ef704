"""Losses on the maps of a network that has seen pictures: content, style, and the perceptual loss of pix2pixHD.

    content      mean (F - P)^2                 F, P: a layer's maps (N, C, h, w) of the image and of the content
    style        mean (G(F) - G(S))^2           G(F)_ij = mean over places of F_i F_j: which patterns occur together
    smoothness   mean (x_i - x_j)^2             of neighbouring pixels, against noise; no map is needed
    perceptual   mean |F - P|                   summed over layers, the deeper ones with more weight

Source   Gatys, Ecker & Bethge, Image style transfer using convolutional neural networks, 2016, equations 1 to 7, where
         both squares are sums with other constants: those of content over 2, of style over 4 C^2, and G a sum over the
         M places that is divided by M. Means do not depend on the size of the image. Johnson, Alahi & Fei-Fei, 2016.
"""

from __future__ import annotations

__all__ = ["STYLE_LAYERS", "Perception", "content_loss", "gram", "perceptual_loss", "smoothness",
           "style_loss"]

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minigan import ops
from minigan.engine import Tensor, no_grad, tensor
from minigan.errors import OptionError, ShapeError
from minigan.losses import l1, mse
from minigan.models.vgg import VGG
from minigan.trainers.translation import check_weights, summed

CONTENT_LAYERS = ("relu4_2", "relu3_2", "relu2_1", "relu1_1")  # the first that a network has; the paper's is relu4_2
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # the paper's; those that a network has
PERCEPTUAL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)  # of pix2pixHD's layers, which are STYLE_LAYERS


def gram(maps: Tensor) -> Tensor:
    """G (N, C, C) of maps (N, C, h, w): the mean over places of the product of each two channels.

    Raises:
        ShapeError: maps of another shape.

    >>> import minigan as mg, numpy as np
    >>> gram(mg.tensor(np.array([1.0, 2.0]).reshape(1, 2, 1, 1))).numpy()
    array([[[1., 2.],
            [2., 4.]]])
    """
    if maps.ndim != 4 or 0 in maps.shape:
        raise ShapeError(f"gram: maps {maps.shape} must be (N, C, h, w), not empty")
    N, C, h, w = maps.shape
    rows = ops.reshape(ops.transpose(maps, (0, 2, 3, 1)), (N, h * w, C))  # (N, h*w, C); in memory maps are like this
    return ops.matmul(ops.transpose(rows, (0, 2, 1)), rows) * (1.0 / (h * w))


def content_loss(maps: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """The mean squared difference of maps, summed over layers.

    Raises:
        ShapeError: maps of different shapes.
    """
    return summed([mse(own, target) for own, target in zip(maps, targets, strict=True)])


def style_loss(maps: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """The mean squared difference of the Gram matrices of maps and of targets (N, C, C), the mean over layers.

    Raises:
        ShapeError: other numbers of images or channels.
    """
    return summed([mse(gram(own), target) for own, target in zip(maps, targets, strict=True)]) * (1.0 / len(maps))


def smoothness(images: Tensor) -> Tensor:
    """The mean squared difference of pixels one above and one beside the other, of images (N, C, H, W).

    Source: Johnson, Alahi & Fei-Fei, Perceptual losses for real-time style transfer, 2016, section 3.2, with squares.
    """
    down, right = images[:, :, 1:] - images[:, :, :-1], images[:, :, :, 1:] - images[:, :, :, :-1]
    return ops.mean(ops.square(down)) + ops.mean(ops.square(right))


def perceptual_loss(network: VGG, images: Tensor, truth: Tensor) -> Tensor:
    """The mean absolute differences of the STYLE_LAYERS that the network has, with PERCEPTUAL_WEIGHTS, the last ones.

    Gradients reach `images` only.

    Source: Wang et al., High-resolution image synthesis with conditional GANs (pix2pixHD), 2018, and their code.

    Raises:
        ShapeError: images (N, 1 or 3, H, W) of another shape than the true ones, or too small for the network.
    """
    names = style_layers(network)
    with no_grad():
        targets = network.maps(truth, names)
    terms = [weight * l1(own, target) for own, target, weight in
             zip(network.maps(images, names), targets, PERCEPTUAL_WEIGHTS[-len(names):], strict=True)]
    return summed(terms)


def style_layers(network: VGG) -> list[str]:
    """Those of STYLE_LAYERS that a network has."""
    return [name for name in STYLE_LAYERS if name in network.places]


class Perception(NamedTuple):
    """A network and the layers by which it judges content and style.

    network   its weights stay as they are
    content   names of layers
    style     names of layers
    """

    network: VGG
    content: tuple[str, ...]
    style: tuple[str, ...]

    @classmethod
    def of(cls, network: VGG, content: Sequence[str] = (), style: Sequence[str] = ()) -> Perception:
        """With these layers; by default the first of CONTENT_LAYERS, and all of STYLE_LAYERS, that the network has.

        The network is frozen: its weights want no gradients from now on.

        Raises:
            OptionError: the network has no layer of such a name; the message lists them all.
        """
        names = tuple(style) or tuple(style_layers(network))
        what = tuple(content) or tuple(name for name in CONTENT_LAYERS if name in network.places)[:1]
        for layers in (what, names):
            if not layers or not {*layers} <= {*network.places}:
                raise OptionError(f"layers={list(layers)} must be some of {', '.join(network.places)}")
        network.requires_grad_(False)
        return cls(network, what, names)

    def maps(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The content's maps and the style's maps of images (N, 1 or 3, H, W), in one pass."""
        names = list(dict.fromkeys((*self.content, *self.style)))
        by_name = dict(zip(names, self.network.maps(x, names), strict=True))
        return [by_name[name] for name in self.content], [by_name[name] for name in self.style]

    def losses(self, x: Tensor, content: Sequence[Tensor], grams: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Content and style loss of images x (N, 3, H, W) for a content's maps and a style's Gram matrices."""
        own, patterns = self.maps(x)
        return content_loss(own, content), style_loss(patterns, grams)

    def measured(self, images: np.ndarray, contents: np.ndarray, styles: np.ndarray) -> tuple[float, float]:
        """Content and style loss of images (N, C, H, W) made of N contents and N styles, arrays in [-1, 1]; the means.

        Raises:
            ShapeError: other numbers of pictures, or as VGG.maps.
        """
        if not len(images) == len(contents) == len(styles):
            raise ShapeError(f"measured: {len(images)} images, {len(contents)} contents and {len(styles)} styles; "
                             "there must be one of each for each image")
        first = self.network.parameters()[0]
        sums = np.zeros(2)
        with no_grad():
            for row in zip(images, contents, styles, strict=True):
                x, c, s = (tensor(picture[None], dtype=first.dtype, device=first.device) for picture in row)
                sums += [loss.item() for loss in self.losses(x, *self.targets(c, s))]
        return float(sums[0] / len(images)), float(sums[1] / len(images))

    def targets(self, content: Tensor, style: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The content's maps, and the style's Gram matrices, without graphs."""
        with no_grad():
            return self.maps(content)[0], [gram(maps) for maps in self.maps(style)[1]]


def check_judgement(owner: str, lambda_content: float, lambda_style: float, lambda_smooth: float) -> None:
    """Raise OptionError unless the weights are numbers of at least 0, of content or of style above it."""
    check_weights(owner, lambda_content=lambda_content, lambda_style=lambda_style, lambda_smooth=lambda_smooth)
    if not (lambda_content or lambda_style):
        raise OptionError(f"{owner}: lambda_content={lambda_content} and lambda_style={lambda_style}: one must be "
                          "above 0")
