"""CycleGAN with some supervision: a few pairs that belong together, or the labels of one domain.

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
from minigan.data.images import scaled
from minigan.engine import Array, Tensor, tensor
from minigan.engine.distributed import joint
from minigan.errors import DataError, OptionError, ShapeError
from minigan.losses import cross_entropy, l1
from minigan.nn import Module
from minigan.random import Stream
from minigan.trainers.cyclegan import CycleGAN, Domains, Plan
from minigan.trainers.translation import Weighted, check_weights, two_parts


class SemiSupervised(CycleGAN):
    """CycleGAN with a few pairs: the generators also minimise |G_ab(x) - y| on labelled pairs (x, y).

    For segmentation with very few labels, a are images and b masks. Many images and masks without partners teach how
    each domain looks, and the few labelled pairs teach which mask belongs to an image.

    Args:
        pairs: labelled images (M, C, H, W) and masks (M, C', H, W), uint8 or floats in [-1, 1].
        lambda_supervised: weight of that term.
        labelled: pairs per step, drawn at random.
        options: further options of CycleGAN.

    Raises:
        DataError: there are no pairs, or unequal numbers of images and masks.
        OptionError: as CycleGAN; lambda_supervised below 0, or labelled below 1.
    """

    capturable = False  # the pairs of a step are drawn on the host

    def __init__(self, g_ab: Module, g_ba: Module, d_a: Module, d_b: Module, pairs: tuple[np.ndarray, np.ndarray],
                 lambda_supervised: float = 10.0, labelled: int = 4, seed: int = 0, **options: object) -> None:
        super().__init__(g_ab, g_ba, d_a, d_b, seed=seed, **options)  # type: ignore[arg-type]
        if not len(pairs[0]) or len(pairs[0]) != len(pairs[1]):
            raise DataError(f"SemiSupervised: {len(pairs[0])} labelled images and {len(pairs[1])} masks are no pairs; "
                            "give one mask per image")
        check_weights("SemiSupervised", lambda_supervised=lambda_supervised)
        if labelled < 1:
            raise OptionError(f"SemiSupervised: labelled={labelled} must be at least 1")
        self.pairs = [scaled(images) if images.dtype == np.uint8 else images for images in map(np.asarray, pairs)]
        self.lambda_supervised, self.labelled = lambda_supervised, labelled
        self.choice = Stream(seed, "labelled pairs")
        self.streams = {**self.streams, "choice": self.choice}

    def generator_losses(self, a: Tensor, b: Tensor, labels: Array | None = None) -> tuple[Weighted, Tensor, Tensor]:
        """CycleGAN's terms, and `supervised`."""
        losses, fake_a, fake_b = super().generator_losses(a, b)
        rows, ranks = self.choice.integers(0, len(self.pairs[0]), (self.labelled,)), joint()
        rows = rows if self.labelled % ranks.size else ranks.rows(rows)  # else all ranks learn from all of them
        x, y = (tensor(images[rows], dtype=self.dtype, device=self.device) for images in self.pairs)
        losses["supervised"] = (self.lambda_supervised, l1(self.g_ab(x), y))
        return losses, fake_a, fake_b


class TaskCycleGAN(CycleGAN):
    """CycleGAN that knows the labels of domain a: a classifier must read each translation as its original's label.

    If every 4 becomes a 9 and every 9 a 4, the cycle losses are still 0, but the classifier's loss is not. It is
    trained with the generators, on originals and translations, so that it soon reads both domains. Labels of domain b
    are never used: a classifier trained on G_ab(a) can be tested on b.

    Args:
        classifier: images (N, C, H - crop, W - crop) of domain a or b to logits (N, K); may be trained beforehand.
        lambda_task: weight of the classifier's loss.
        crop: the classifier sees a window `crop` pixels smaller than the image, at a random place in every step. This
            augmentation makes its task harder, so that the generators learn from it for longer.
        options: further options of CycleGAN.

    Raises:
        OptionError: as CycleGAN; lambda_task or crop below 0, or domains that differ in channels.
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
            batch: (data.Labelled(images, labels), images), as from data.Unpaired((images, labels), b).
            plan: what the pools do; by default made by `plan`.

        Returns:
            the metrics of CycleGAN, and `task`: the mean cross-entropy on originals and translations.

        Raises:
            OptionError: not these two parts, or no labels.
            ShapeError: as CycleGAN, or the labels do not fit the images or the classifier.
        """
        return super().update(batch, plan)

    def generating(self) -> list[Module]:
        """Both generators and the classifier."""
        return [*super().generating(), self.classifier]

    def domains(self, batch: Batch) -> Domains:
        """The images of both domains as tensors, and the labels of a; raises as `update`."""
        takes = "images a with their labels and images b, as from data.Unpaired((images, labels), b)"
        a, b = two_parts(batch, "TaskCycleGAN", takes)
        if not isinstance(a, Labelled):
            raise OptionError(f"TaskCycleGAN: the images of domain a have no labels; it takes {takes}")
        if np.shape(a.labels) != (len(a.images),):
            raise ShapeError(f"TaskCycleGAN: {len(a.images)} images of domain a and labels {np.shape(a.labels)}; "
                             "there must be one label per image")
        return super().domains((a.images, b))._replace(labels=a.labels)

    def generator_losses(self, a: Tensor, b: Tensor, labels: Array | None = None) -> tuple[Weighted, Tensor, Tensor]:
        """CycleGAN's terms, and `task`."""
        losses, fake_a, fake_b = super().generator_losses(a, b)
        top, left = (int(offset) for offset in self.windows.integers(0, self.crop + 1, (2,)))
        height, width = (side - self.crop for side in a.shape[2:])
        window = ops.concat([a, fake_b], 0)[:, :, top : top + height, left : left + width]  # (2N, C, H-crop, W-crop)
        logits = self.classifier(window)  # (2N, K)
        losses["task"] = (self.lambda_task, cross_entropy(logits, np.concatenate([labels, labels])))
        return losses, fake_a, fake_b
