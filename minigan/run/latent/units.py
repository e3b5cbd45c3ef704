"""Which units of a generator draw a class? A linear probe finds them; without them, the generator forgets the class.

A unit is a channel of the feature maps after a rectifier. A logistic regression learns, from the units' means over each
image, whether a classifier reads the class in it. The units with the largest weights are then set to zero.
Source   Radford, Metz & Chintala, 2016, section 6.3.1, where the concept was windows, marked by hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigan.engine import device, no_grad, tensor
from minigan.errors import DataError, OptionError, require
from minigan.nn import Module, ReLU

BATCH = 250


class Probe(NamedTuple):
    """Units (channels) by falling weight, their weights, and the share of images on which the probe is right."""

    units: np.ndarray
    weights: np.ndarray
    accuracy: float


def switched_off(generator: Module, z: np.ndarray, layer: int, units: Any = ()) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, C, H, W) for noise z (N, latent) with units set to 0, and all units' means before that (N, channels).

    Args:
        generator: a model of minigan.models.dcgan.
        layer: number of a rectifier, from 0, the nearest to the noise.
        units: channels behind it that are set to 0.

    Raises:
        OptionError: there is no such rectifier or unit, or the generator has blocks that grow.
    """
    if not hasattr(generator, "layers"):
        raise OptionError("unit: it looks into the layers of a DCGAN, and this run's networks grow; take another run, "
                          "or another tool")
    layers = list(generator.layers)
    rectifiers = [i for i, module in enumerate(layers) if isinstance(module, ReLU)]
    if not 0 <= layer < len(rectifiers):
        raise OptionError(f"unit: layer {layer} is not one of 0 to {len(rectifiers) - 1}, the generator's rectifiers")
    images, means = [], []
    with no_grad():
        for i in range(0, len(z), BATCH):
            x: Any = tensor(z[i : i + BATCH], device=generator.parameters()[0].device)
            x = x.reshape(*x.shape, 1, 1)  # (N, latent, 1, 1)
            for place, module in enumerate(layers):
                x = module(x)
                if place == rectifiers[layer]:
                    means.append(device.asnumpy(x.data).mean((2, 3)))
                    x = x * _mask(x.shape[1], units, x)
            images.append(device.asnumpy(x.data))
    return np.concatenate(images), np.concatenate(means)


def _mask(channels: int, units: Any, like: Any) -> Any:
    """1 for the units that stay, 0 for those switched off, (1, channels, 1, 1)."""
    off = np.asarray(units, np.int64)
    if off.size and (off.min() < 0 or off.max() >= channels):
        raise OptionError(f"unit: units {off.tolist()} are not all among 0 to {channels - 1}")
    mask = np.ones((1, channels, 1, 1), np.float32)
    mask[:, off] = 0
    return tensor(mask, device=like.device)


def probe_units(features: np.ndarray, is_class: np.ndarray) -> Probe:
    """A logistic regression from features (N, channels), scaled to unit deviation, to whether it is the class (N,).

    Raises:
        DataError: all images are of the class, or none. ModuleNotFoundError: scikit-learn is missing.
    """
    if is_class.all() or not is_class.any():
        raise DataError(f"unit: {int(is_class.sum())} of {len(is_class)} images are of the class, so there is "
                        "nothing to tell apart; draw more, or take another class")
    linear = require("sklearn.linear_model", "the probe")
    deviation = features.std(0)
    standard = (features - features.mean(0)) / np.where(deviation > 0, deviation, 1)
    model = linear.LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000).fit(standard, is_class)
    order = np.argsort(-model.coef_[0], kind="stable")
    return Probe(order, model.coef_[0][order], float(model.score(standard, is_class)))
