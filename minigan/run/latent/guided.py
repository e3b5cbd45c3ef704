"""What a discriminator's features look for: guided backpropagation to real images.

The gradient of one feature with respect to an image is noise to the eye. Guided backpropagation lets, at each
rectifier, only what raises the feature pass: where the input was positive, and the gradient is.
Source   Springenberg et al., Striving for simplicity, 2015, section 3.4; on a GAN's discriminator Radford et al., 2016,
         figure 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.engine import device
from minigan.engine.autodiff import grad, no_grad
from minigan.engine.tensor import tensor
from minigan.errors import OptionError
from minigan.nn import LeakyReLU, Module, ReLU


def _layers(discriminator: Module) -> list[Module]:
    """The layers below the last rectifier, it included."""
    layers = list(discriminator.layers)  # type: ignore[attr-defined]
    last = max((i for i, layer in enumerate(layers) if isinstance(layer, (LeakyReLU, ReLU))), default=-1)
    if last < 0:
        raise OptionError("guided: the discriminator has no rectifier")
    return layers[: last + 1]


def strongest(discriminator: Module, images: np.ndarray, units: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """The units of the last rectifier that some image excites most beyond the average, and their images.

    Args:
        images: (N, C, H, W) in [-1, 1].
        units, each: how many units, and images a unit.

    Returns:
        units (units,) and the numbers of their images (units, each), the most exciting first.
    """
    x: Any = tensor(images, device=discriminator.parameters()[0].device)
    with no_grad():
        for layer in _layers(discriminator):
            x = layer(x)
    peaks = device.asnumpy(x.data).max((2, 3))  # (N, channels)
    scaled = (peaks - peaks.mean(0)) / np.where(peaks.std(0) > 0, peaks.std(0), 1)
    chosen = np.argsort(-np.sort(scaled, 0)[-each:].mean(0), kind="stable")[:units]
    return chosen, np.argsort(-peaks[:, chosen], 0, kind="stable")[:each].T


def guided_gradients(discriminator: Module, images: np.ndarray, units: np.ndarray) -> np.ndarray:
    """For each image (N, C, H, W) the guided gradient, of its shape, of one unit (N,) where that is most excited."""
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
