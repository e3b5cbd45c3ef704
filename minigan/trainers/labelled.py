"""CycleGAN told a little more: some pairs that belong together, or the labels of one domain.

    SemiSupervised   + lambda_supervised E |G_ab(x) - y|                      on a few pairs (x, y)
    TaskCycleGAN     + lambda_task ( E -ln T(a)[y] + E -ln T(G_ab(a))[y] )    on images a with labels y

Sources: Bousmalis et al., Unsupervised pixel-level domain adaptation with GANs, 2017, equation 3; with a fixed
classifier, Hoffman et al., CyCADA, 2018, equation 4.
"""

from __future__ import annotations

__all__ = ["SemiSupervised", "TaskCycleGAN"]

import numpy as np

from minigan import ops
from minigan.data.batches import Batch, Labelled
from minigan.engine.tensor import Array, Tensor, tensor
from minigan.errors import DataError, OptionError, ShapeError
from minigan.losses import cross_entropy, l1
from minigan.nn import Module
from minigan.random import Stream
from minigan.trainers.cyclegan import CycleGAN, Domains, Plan
from minigan.trainers.translation import Weighted, check_weights, two_parts


class SemiSupervised(CycleGAN):
    """CycleGAN with a few pairs: |G_ab(x) - y| on labelled pairs joins what the generators minimise.

    For segmentation with very few labels, a are images and b masks: many images and many masks without a partner teach
    what each looks like, and the labelled pairs which belong together.

    Args:
        pairs: labelled images (M, C, H, W) and masks (M, C', H, W), uint8 or floats in [-1, 1].
        lambda_supervised: weight of that term.
        labelled: pairs a step, drawn at random.
        options: further ones of CycleGAN.

    Raises:
        DataError: the pairs are none, or not as many images as masks.
        OptionError: as CycleGAN.
    """

    capturable = False  # which pairs a step sees is drawn on the host

    def __init__(self, g_ab: Module, g_ba: Module, d_a: Module, d_b: Module, pairs: tuple[np.ndarray, np.ndarray],
                 lambda_supervised: float = 10.0, labelled: int = 4, seed: int = 0, **options: object) -> None:
        super().__init__(g_ab, g_ba, d_a, d_b, seed=seed, **options)  # type: ignore[arg-type]
        if not len(pairs[0]) or len(pairs[0]) != len(pairs[1]):
            raise DataError(f"SemiSupervised: {len(pairs[0])} labelled images and {len(pairs[1])} masks are no pairs")
        check_weights("SemiSupervised", lambda_supervised=lambda_supervised)
        if labelled < 1:
            raise OptionError(f"SemiSupervised: labelled={labelled} must be at least 1")
        self.pairs = [_scaled(images) for images in pairs]
        self.lambda_supervised, self.labelled = lambda_supervised, labelled
        self.choice = Stream(seed, "labelled pairs")
        self.streams = {**self.streams, "choice": self.choice}

    def generator_losses(self, a: Tensor, b: Tensor, labels: Array | None = None) -> tuple[Weighted, Tensor, Tensor]:
        """CycleGAN's, and `supervised`."""
        losses, fake_a, fake_b = super().generator_losses(a, b)
        rows = self.choice.integers(0, len(self.pairs[0]), (self.labelled,))
        x, y = (tensor(images[rows], dtype=self.dtype, device=self.device) for images in self.pairs)
        losses["supervised"] = (self.lambda_supervised, l1(self.g_ab(x), y))
        return losses, fake_a, fake_b


class TaskCycleGAN(CycleGAN):
    """CycleGAN that knows the labels of domain a: a classifier must read a translation as what its original is.

    The cycle is content when every 4 becomes a 9 and every 9 a 4; the classifier is not. It learns along with the
    generators, from originals and translations alike, so it knows the look of both domains before long. No label of
    domain b is ever used: what a classifier learns from G_ab(a) can be tested on b.

    Args:
        classifier: images (N, C, H - crop, W - crop), of domain a or b, to logits (N, K); trained beforehand, or not.
        lambda_task: weight of its losses.
        crop: the classifier sees a window, so many pixels smaller, that lies elsewhere at every step: it has more to
            learn, and the generators longer from it.
        options: further ones of CycleGAN.

    Raises:
        OptionError: as CycleGAN; lambda_task or crop below 0, or domains that differ in channels, which no classifier
            reads.
    """

    capturable = False  # labels are looked up on the host

    def __init__(self, g_ab: Module, g_ba: Module, d_a: Module, d_b: Module, classifier: Module,
                 lambda_task: float = 1.0, crop: int = 0, seed: int = 0, **options: object) -> None:
        self.classifier, self.lambda_task, self.crop = classifier, lambda_task, crop
        super().__init__(g_ab, g_ba, d_a, d_b, seed=seed, **options)  # type: ignore[arg-type]
        check_weights("TaskCycleGAN", lambda_task=lambda_task, crop=crop)
        if self.channels[0] != self.channels[1]:
            raise OptionError(f"TaskCycleGAN: domains of {self.channels[0]} and {self.channels[1]} channels cannot be "
                              "read by one classifier; repeat the grey channel")
        self.networks["classifier"] = classifier
        self.windows = Stream(seed, "windows")
        self.streams = {**self.streams, "windows": self.windows}

    def update(self, batch: Batch, plan: Plan | None = None) -> dict[str, Tensor]:
        """As CycleGAN's, on labelled images of a and images of b.

        Args:
            batch: (data.Labelled(images, labels), images), as data.Unpaired((images, labels), b) gives them.
            plan: what the pools do; made by `plan` if it is None.

        Returns:
            what CycleGAN's does, and `task`: the mean cross-entropy of originals and translations.

        Raises:
            OptionError: not these two parts, or no labels.
            ShapeError: the labels do not fit the images or the classifier. And as CycleGAN.
        """
        return super().update(batch, plan)

    def generating(self) -> list[Module]:
        """Both generators and the classifier."""
        return [*super().generating(), self.classifier]

    def domains(self, batch: Batch) -> Domains:
        """The images of both domains as tensors, and the labels of a; raises as `update`."""
        takes = "images a with their labels and images b, as data.Unpaired((images, labels), b) gives them"
        a, b = two_parts(batch, "TaskCycleGAN", takes)
        if not isinstance(a, Labelled):
            raise OptionError(f"TaskCycleGAN: the images of domain a have no labels; it takes {takes}")
        if np.shape(a.labels) != (len(a.images),):
            raise ShapeError(f"TaskCycleGAN: {len(a.images)} images of domain a and labels {np.shape(a.labels)}; "
                             "there must be one label per image")
        return super().domains((a.images, b))._replace(labels=a.labels)

    def generator_losses(self, a: Tensor, b: Tensor, labels: Array | None = None) -> tuple[Weighted, Tensor, Tensor]:
        """CycleGAN's, and `task`."""
        losses, fake_a, fake_b = super().generator_losses(a, b)
        top, left = (int(place) for place in self.windows.integers(0, self.crop + 1, (2,)))
        height, width = (side - self.crop for side in a.shape[2:])
        seen = ops.concat([a, fake_b], 0)[:, :, top : top + height, left : left + width]
        logits = self.classifier(seen)  # (2N, K)
        losses["task"] = (self.lambda_task, cross_entropy(logits, np.concatenate([labels, labels])))
        return losses, fake_a, fake_b


def _scaled(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    return images.astype(np.float32) / 127.5 - 1 if images.dtype == np.uint8 else images
