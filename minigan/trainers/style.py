"""Style transfer in one pass: a network learns from many contents and styles, and then serves pictures it never saw.

    minimise over the network, with y = network(c, s):
    lambda_content content(y, c)  +  lambda_style style(y, s)  +  lambda_smooth smoothness(y)        see perceptual.py

The losses are those of Gatys et al.; what they do for each picture by itself, the network learns to do at once.
Source: Ghiasi, Lee, Kudlur, Dumoulin & Shlens, Exploring the structure of a real-time, arbitrary neural artistic
stylization network, 2017, section 2.
"""

from __future__ import annotations

__all__ = ["StyleTransfer"]

from functools import partial
from typing import Any

import numpy as np

from minigan import ops
from minigan.data.batches import Batch
from minigan.engine import Array, Tensor, no_grad, tensor
from minigan.errors import OptionError, ShapeError
from minigan.models.style import StyleNetwork, statistics
from minigan.models.vgg import VGG
from minigan.nn import Module
from minigan.optim import Adam, OptimizerFactory
from minigan.trainers.perceptual import Perception, check_judgement, gram, smoothness
from minigan.trainers.translation import CHUNK, Translation, Weighted, total, two_parts, values


class StyleTransfer(Translation):
    """One step of the style network, and of the part of it that predicts its norms, on pictures and as many styles.

    Args:
        network: models.StyleNetwork, made for `StyleTransfer.statistics_of(judge)` features.
        judge: models.VGG or VGG19, or Perception.of it with other layers; its weights stay as they are, and are no part
            of the state: make it in the same way to resume.
        lambda_content, lambda_style, lambda_smooth: weights of the losses. The paper has no smoothness.
        lr: Adam's. With 2e-3 the outputs of small networks saturated, and all pictures became white.
        optimizer: makes the optimiser from the parameters, in place of Adam.

    Raises:
        OptionError: a weight below 0, or a network made for statistics of another length.
    """

    def __init__(self, network: StyleNetwork, judge: VGG | Perception, lambda_content: float = 1.0,
                 lambda_style: float = 3.0, lambda_smooth: float = 0.0, lr: float = 5e-4,
                 optimizer: OptimizerFactory | None = None) -> None:
        super().__init__()
        check_judgement("StyleTransfer", lambda_content, lambda_style, lambda_smooth)
        self.judge = judge if isinstance(judge, Perception) else Perception.of(judge)
        if network.features != (needed := self.statistics_of(self.judge)):
            raise OptionError(f"StyleTransfer: the network is for {network.features} statistics of a style, but its "
                              f"judge has {needed}; make it with features={needed}")
        self.lambda_content, self.lambda_style, self.lambda_smooth = lambda_content, lambda_style, lambda_smooth
        self.network = network
        self.prepare({"network": network})
        self.optimizer = (optimizer or partial(Adam, lr=lr))(network.parameters())
        self.optimizers = {"optimizer": self.optimizer}

    @staticmethod
    def statistics_of(judge: VGG | Perception) -> int:
        """How many numbers describe a style: means and deviations of the channels of all layers for style."""
        judge = judge if isinstance(judge, Perception) else Perception.of(judge)
        return 2 * sum(judge.network.channels(name) for name in judge.style)

    def update(self, batch: Batch, plan: Any = None) -> dict[str, Tensor]:
        """One iteration on a batch of contents and a batch of styles.

        Args:
            batch: (contents, styles), images (N, C, H, W) and (N, 1 or 3, H', W') in [-1, 1], as from data.Unpaired.
            plan: not used.

        Returns:
            content and style, and smoothness if it has a weight: the losses before the step, without weights.

        Raises:
            OptionError: not two batches.
            ShapeError: other channels or numbers of images, or images too small for the judge's layers.
        """
        parts = two_parts(batch, "StyleTransfer", "contents and styles, as from data.Unpaired")
        contents = self.images(parts[0], self.network.in_channels, "contents")
        styles = self.images(parts[1], 1 if np.shape(parts[1])[1:2] == (1,) else 3, "styles")
        if len(contents) != len(styles):
            raise ShapeError(f"StyleTransfer: {len(contents)} contents and {len(styles)} styles; a batch needs as many "
                             "of each")
        with no_grad():
            wanted = self.judge.maps(contents)[0]
            patterns = self.judge.maps(styles)[1]
            grams, numbers = [gram(maps) for maps in patterns], statistics(patterns)
        image = self.network(contents, numbers)
        content, style = self.judge.losses(image, wanted, grams)
        losses: Weighted = {"content": (self.lambda_content, content), "style": (self.lambda_style, style)}
        if self.lambda_smooth:
            losses["smoothness"] = (self.lambda_smooth, smoothness(image))
        self.optimizer.minimize(total(losses))
        return values(losses)

    def translate(self, images: Array, styles: Array) -> np.ndarray:
        """Images (N, C, H, W) in [-1, 1] in a style (1, 1 or 3, H', W'), or each in its own of N; on the host."""
        with no_grad():
            numbers = statistics(self.judge.maps(tensor(styles, dtype=self.dtype, device=self.device))[1])
        if len(numbers) not in (1, len(images)):
            raise ShapeError(f"StyleTransfer: {len(numbers)} styles for {len(images)} pictures; give one, or one for "
                             "each")
        rows = numbers if len(numbers) == len(images) else ops.concat([numbers] * len(images), 0)
        count = self.batch_of(images)
        chunks = [self.translate_later(_Styled(self.network, rows[i : i + count]), images[i : i + count])
                  for i in range(0, len(images), count)]
        return np.concatenate([fetch() for fetch in chunks])

    @staticmethod
    def batch_of(images: Array) -> int:
        """How many images are translated at a time: about a million pixels."""
        return max(1, min(CHUNK, (1 << 20) // int(np.prod(np.shape(images)[2:]))))


class _Styled(Module):
    """The network with given styles, as a generator."""

    def __init__(self, network: StyleNetwork, numbers: Tensor) -> None:
        super().__init__()
        self.network, self.numbers = network, numbers

    def forward(self, x: Tensor) -> Tensor:
        """Pictures for contents."""
        return self.network(x, self.numbers)
