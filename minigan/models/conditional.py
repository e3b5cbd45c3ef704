"""A pair that draws what a label says: any generator and discriminator of this folder, made conditional.

    G(z, y) = G([z, e_y])                      e_y, a learnt vector of the label, is more noise to the generator
    D(x, y) = D(x) + <v_y, sum_hw phi(x)>      phi: the features before D's last layer; v_y: learnt, too

Why     If real and generated logits were softmaxes and densities log-linear in phi, the best D has this form: one part
        that knows no label, and an inner product that does. A discriminator that gets y as another input has to find
        that by itself.
        The vector beside the noise leaves every layer of G as it is, and with it the operations that are fast: to the
        first layer, it is a bias for each label. Conditional batch norm has such biases and scales in each layer, which
        pays for hundreds of classes; digits have ten.
Labels  Integers (N,), or one-hot rows (N, K): a product with those needs no look-up, so a captured step can take them.
Source  Mirza & Osindero, Conditional generative adversarial nets, 2014; Miyato & Koyama, cGANs with projection
        discriminator, 2018, equations 3 to 7.
"""

from __future__ import annotations

__all__ = ["ConditionalGenerator", "ProjectionDiscriminator", "one_hot"]

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan import nn, ops
from minigan.engine import Array, Tensor, device, tensor
from minigan.errors import OptionError, ShapeError
from minigan.models.mlp import dcgan_weights
from minigan.nn import Module

EMBEDDING = 32  # length of a label's vector
SMALL = 0.2  # its numbers are N(0, SMALL^2) at first: beside as much label as noise, G learns to ignore the noise
GOLDEN = (5**0.5 - 1) / 2


def one_hot(labels: Any, classes: int, dtype: Any = np.float32) -> np.ndarray:
    """Rows (N, classes) of zeros with a one at each label; labels (N,) are integers from 0 on.

    Raises:
        ShapeError: labels of another shape or type, or out of range.

    >>> one_hot([1, 0], 3)
    array([[0., 1., 0.],
           [1., 0., 0.]], dtype=float32)
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ShapeError(f"one_hot: labels {labels.dtype} {labels.shape} must be integers (N,)")
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ShapeError(f"one_hot: labels run from {labels.min()} to {labels.max()}, but there are {classes} classes, "
                         f"numbered from 0 to {classes - 1}")
    rows = np.zeros((len(labels), classes), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows


def _rows(labels: Any, classes: int, x: Tensor) -> Tensor:
    """Labels as one-hot rows (N, classes), on x's device; ShapeError unless there is one for each of its samples."""
    rows = labels if isinstance(labels, Tensor) else tensor(one_hot(labels, classes), dtype=x.dtype, device=x.device)
    if rows.shape != (len(x), classes):
        raise ShapeError(f"conditional: {len(x)} samples need labels ({len(x)},), or one-hot rows ({len(x)}, {classes})"
                         f", not {rows.shape}")
    return rows


class ConditionalGenerator(Module):
    """Noise (N, latent) and labels to samples, by a generator whose noise is longer by a label's vector.

    Args:
        generator: of noise (N, latent + embedding).
        classes: K, the number of labels.
        shares: of each label in the data, for samples whose labels nobody chooses; by default all are equal.
        embedding: length of a label's vector.

    Raises:
        OptionError: fewer than two classes, another number of shares, or a generator whose noise is no longer than a
            vector.
    """

    shares: Array

    def __init__(self, generator: Module, classes: int, shares: Sequence[float] | np.ndarray | None = None,
                 embedding: int = EMBEDDING) -> None:
        super().__init__()
        latent = int(generator.latent) - embedding  # type: ignore[attr-defined]
        share = np.full(classes, 1 / max(classes, 1)) if shares is None else np.asarray(shares, np.float64)
        if classes < 2 or share.shape != (classes,) or latent < 1:
            raise OptionError(f"ConditionalGenerator: classes={classes} must be at least 2, with as many shares "
                              f"({share.shape}), and the generator's noise longer than the {embedding} of a label's "
                              f"vector, not {latent + embedding}")
        self.network, self.classes, self.latent = generator, classes, latent
        self.embedding = nn.Embedding(classes, embedding)
        self.embedding.weight.writable()[...] *= np.float32(SMALL)
        self.register_buffer("shares", (share / share.sum()).astype(np.float32))

    def forward(self, z: Any, labels: Any = None) -> Tensor:
        """Samples for noise (N, latent) and labels, integers (N,) or one-hot rows (N, K); by default `labels(N)`.

        Raises:
            ShapeError: not one label per sample, or a label out of range.
        """
        z = z if isinstance(z, Tensor) else tensor(z)
        rows = _rows(self.labels(len(z)) if labels is None else labels, self.classes, z)
        return self.network(ops.concat([z, ops.matmul(rows, self.embedding.weight)], 1))

    def labels(self, count: int) -> np.ndarray:
        """Labels (count,) in the data's shares, always the same; each beginning of them has nearly these shares, too.

        Label n is where frac(n g) lies in the cumulative shares, g the golden ratio: such numbers fill [0, 1) evenly.
        """
        ends = np.cumsum(device.asnumpy(self.shares).astype(np.float64))
        places = (np.arange(count) * GOLDEN + 0.5 / self.classes) % 1.0
        return np.minimum(np.searchsorted(ends, places, "right"), self.classes - 1)


class ProjectionDiscriminator(Module):
    """Samples (N, ...) and labels to logits, by a discriminator with `layers`, a Sequential that ends in one output.

    The vectors v_y are the weight of a linear layer, `projection`; it has spectral norm if the last layer has.

    Raises:
        OptionError: fewer than two classes, or a discriminator without such layers.
    """

    def __init__(self, discriminator: Module, classes: int) -> None:
        super().__init__()
        layers = getattr(discriminator, "layers", None)
        if classes < 2 or not isinstance(layers, nn.Sequential) or len(layers) < 2:
            raise OptionError(f"ProjectionDiscriminator: classes={classes} must be at least 2, and the discriminator's "
                              "`layers` a Sequential, as in models.dcgan and models.mlp")
        self.network, self.classes = discriminator, classes
        last = layers[-1]
        spectral = isinstance(last, nn.SpectralNorm)
        width = (last.layer if spectral else last).weight.shape[1]
        projection = nn.Linear(width, classes, bias=False).apply(dcgan_weights)
        self.projection: Module = nn.SpectralNorm(projection) if spectral else projection

    def forward(self, x: Tensor, labels: Any) -> Tensor:
        """Logits, of the discriminator's own shape, for samples and labels, integers (N,) or one-hot rows (N, K).

        Raises:
            ShapeError: not one label per sample, or a label out of range.
        """
        layers: Any = self.network.layers  # type: ignore[attr-defined]
        features = layers[:-1](x)  # (N, width) or (N, width, h, w)
        logits = layers[-1](features)
        pooled = ops.sum(features, axis=(2, 3)) if features.ndim == 4 else features  # (N, width)
        match = ops.sum(self.projection(pooled) * _rows(labels, self.classes, x), axis=1)  # (N,)
        return logits + match.reshape(logits.shape)  # (N,) to (N, 1) or (N, 1, 1, 1)
