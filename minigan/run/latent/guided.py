"""What a discriminator's features look for: guided backpropagation to real images.

The gradient of one feature by an image looks like noise. Guided backpropagation lets the gradient through a rectifier
only where the input was positive and the gradient is: what remains raises the feature.
Source   Springenberg et al., Striving for simplicity, 2015, section 3.4; on a GAN's discriminator Radford et al., 2016,
         figure 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.engine import device, grad, no_grad, tensor
from minigan.errors import OptionError
from minigan.nn import LeakyReLU, Module, ReLU


def _layers(discriminator: Module) -> list[Module]:
    """The layers up to the last rectifier, including it."""
    layers = list(discriminator.layers)  # type: ignore[attr-defined]
    last = max((i for i, layer in enumerate(layers) if isinstance(layer, (LeakyReLU, ReLU))), default=-1)
    if last < 0:
        raise OptionError("guided: the discriminator has no rectifier")
    return layers[: last + 1]


def strongest(discriminator: Module, images: np.ndarray, units: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """The units of the last rectifier that images excite most, compared with the average, and these images.

    Args:
        images: (N, C, H, W) in [-1, 1].
        units: number of units.
        each: number of images per unit.

    Returns:
        units (units,) and the indices of their images (units, each), the most exciting first.
    """
    x: Any = tensor(images, device=discriminator.parameters()[0].device)
    with no_grad():
        for layer in _layers(discriminator):
            x = layer(x)
    peaks = device.asnumpy(x.data).max((2, 3))  # (N, channels)
    standard = (peaks - peaks.mean(0)) / np.where(peaks.std(0) > 0, peaks.std(0), 1)
    strongest_units = np.argsort(-np.sort(standard, 0)[-each:].mean(0), kind="stable")[:units]
    return strongest_units, np.argsort(-peaks[:, strongest_units], 0, kind="stable")[:each].T


def guided_gradients(discriminator: Module, images: np.ndarray, units: np.ndarray) -> np.ndarray:
    """For each image (N, C, H, W), the guided gradient of one unit (N,) at its most excited place; (N, C, H, W)."""
    x: Any = tensor(images, device=discriminator.parameters()[0].device)
    layers, inputs = _layers(discriminator), []
    with no_grad():
        for layer in layers:
            inputs.append(x)
            x = layer(x)
    maps = device.asnumpy(x.data)
    start = np.zeros_like(maps)
    for i, unit in enumerate(units):
        start[i, unit].flat[np.argmax(maps[i, unit])] = 1
    g: Any = tensor(start, device=x.device)
    for layer, below in zip(reversed(layers), reversed(inputs), strict=True):
        if isinstance(layer, (LeakyReLU, ReLU)):
            passes = (below.data > 0) & (g.data > 0)
            g = tensor(g.data * passes.astype(g.data.dtype), device=x.device)
        else:
            leaf = tensor(below.data, device=x.device)
            leaf.requires_grad = True
            g, = grad(layer(leaf), [leaf], cotangent=g)
    return device.asnumpy(g.data)
