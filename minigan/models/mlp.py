"""A fully connected pair, as in the first GAN (Goodfellow et al., 2014), for vectors and small images."""

from __future__ import annotations

__all__ = ["mlp"]

import math
from itertools import pairwise

from minigan import nn
from minigan.engine import Tensor, device, tensor
from minigan.nn import init

NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)


def dcgan_weights(module: nn.Module) -> None:
    """DCGAN's initial weights: filters N(0, 0.02), gamma of batch and other norms N(1, 0.02), biases and beta 0."""
    for name, p in vars(module).items():
        if not isinstance(p, nn.Parameter):
            continue
        if name == "bias":
            p.writable()[...] = 0
        else:
            values = init.normal(p.shape, 1.0 if isinstance(module, NORMS) else 0.0, 0.02)
            p.writable()[...] = device.put(values, p.device)


class MLPGenerator(nn.Module):
    """Noise (N, latent) to samples (N, *shape); tanh at the output for images, none for points."""

    separable = True

    def __init__(self, shape: tuple[int, ...], latent: int = 100, hidden: int = 256, layers: int = 2,
                 tanh: bool = True) -> None:
        super().__init__()
        self.shape, self.latent = shape, latent
        sizes = [latent, *[hidden] * layers]
        body: list[nn.Module] = []
        for a, b in pairwise(sizes):
            body += [nn.Linear(a, b), nn.ReLU()]
        self.layers = nn.Sequential(*body, nn.Linear(hidden, math.prod(shape)), *([nn.Tanh()] if tanh else []))

    def forward(self, z: Tensor) -> Tensor:
        """Samples (N, *shape) for noise z (N, latent)."""
        z = z if isinstance(z, Tensor) else tensor(z)
        return self.layers(z).reshape(len(z), *self.shape)  # (N, *shape)


class MLPDiscriminator(nn.Module):
    """Samples (N, *shape) to logits (N, 1)."""

    separable = True

    def __init__(self, shape: tuple[int, ...], hidden: int = 256, layers: int = 2) -> None:
        super().__init__()
        sizes = [math.prod(shape), *[hidden] * layers]
        body: list[nn.Module] = [nn.Flatten()]
        for a, b in pairwise(sizes):
            body += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*body, nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 1): above 0 means "real"."""
        return self.layers(x)


def mlp(shape: tuple[int, ...], latent: int = 100, hidden: int = 256, layers: int = 2,
        tanh: bool = True) -> tuple[MLPGenerator, MLPDiscriminator]:
    """The pair for samples of `shape` (without the batch), with PyTorch's default initial weights.

    >>> generator, discriminator = mlp((2,), latent=4, hidden=8, tanh=False)
    >>> discriminator(generator(tensor([[0.1, 0.2, 0.3, 0.4]]))).shape
    (1, 1)
    """
    return MLPGenerator(shape, latent, hidden, layers, tanh), MLPDiscriminator(shape, hidden, layers)
