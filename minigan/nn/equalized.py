"""Layers of progressive growing: equalised learning rate, pixel norm, statistics of the minibatch.

Equalised learning rate: weights are drawn from N(0, 1) and multiplied by He's constant, gain / fan_in^(1/2), each time
they are used. A layer's output is as with He's initial weights; but Adam, whose steps have the length of the learning
rate whatever the gradient's scale, then moves all weights by equal shares of their standard deviation. Saved are the
weights before the factor, under the names of the plain layer.

Source: Karras et al., Progressive growing of GANs, 2018, section 4.
"""

from __future__ import annotations

import math

from minigan import ops
from minigan.engine import Tensor, device
from minigan.nn import init
from minigan.nn.layers import Conv2d, ConvTranspose2d, Linear, Pair, UpConv2d
from minigan.nn.module import Module, Parameter
from minigan.nn.signatures import check_sizes
from minigan.random import default as default_stream

HE = math.sqrt(2)  # the gain for a (leaky) ReLU after the layer


def _equalize(layer: Linear | Conv2d | ConvTranspose2d | UpConv2d, fan_in: int, gain: float) -> float:
    """Draw a layer's weights from N(0, 1) and set its bias to 0; returns the factor of the weights."""
    layer.weight.writable()[...] = device.put(init.normal(layer.weight.shape, 0.0, 1.0), layer.weight.device)
    if layer.bias is not None:
        layer.bias.writable()[...] = 0
    return gain / math.sqrt(max(fan_in, 1))


class EqualizedLinear(Linear):
    """Linear with weights gain / in^(1/2) times those that are trained; see the module's docstring."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, gain: float = HE) -> None:
        super().__init__(in_features, out_features, bias)
        self.scale = _equalize(self, in_features, gain)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """Linear's output with `weight` times the factor."""
        return super().compute(x, weight * self.scale)


class EqualizedConv2d(Conv2d):
    """Conv2d with weights gain / (in KH KW)^(1/2) times those that are trained; see the module's docstring."""

    separable = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0,
                 bias: bool = True, *, gain: float = HE) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        self.scale = _equalize(self, math.prod(self.weight.shape[1:]), gain)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # Sequential mirrors borders for Conv2d only
        """(N, in, H, W) to (N, out, OH, OW)."""
        return self.compute(x, self.weight)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """Conv2d's output with `weight` times the factor."""
        return super().compute(x, weight * self.scale)


class EqualizedUpConv2d(UpConv2d):
    """UpConv2d with weights gain / (in KH KW)^(1/2) times those that are trained; see the module's docstring."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair = 3, scale: Pair = 2, padding: Pair = 1,
                 bias: bool = True, *, gain: float = HE) -> None:
        super().__init__(in_channels, out_channels, kernel_size, scale, padding, bias)
        self.scale = _equalize(self, math.prod(self.weight.shape[1:]), gain)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """UpConv2d's output with `weight` times the factor."""
        return super().compute(x, weight * self.scale)


class EqualizedConvTranspose2d(ConvTranspose2d):
    """ConvTranspose2d with weights gain / in^(1/2) times those that are trained; see the module's docstring.

    With an image of one pixel, or a stride as large as the kernel, `in` numbers meet in each output: the fan in.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0,
                 bias: bool = True, *, gain: float = HE) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        self.scale = _equalize(self, in_channels, gain)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """ConvTranspose2d's output with `weight` times the factor."""
        return super().compute(x, weight * self.scale)


class PixelNorm(Module):
    """Scale the channels of every pixel to unit mean square; no weights. See ops.pixel_norm."""

    separable = True

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same."""
        return ops.pixel_norm(x, self.eps)

    def describe(self) -> str:
        """Options."""
        return f"eps={self.eps}"


class MinibatchStddev(Module):
    """Append a channel: the mean standard deviation over a group of images. See ops.minibatch_stddev, with its errors.

    Groups are of `group` images, or of the largest smaller number that divides the batch.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C + 1, H, W)."""
        return ops.minibatch_stddev(x, self.group)

    def describe(self) -> str:
        """Images of a group."""
        return f"group={self.group}"


class MinibatchDiscrimination(Module):
    """Append similarities to the other samples, learnt; weight (kernels dims, in). See ops.minibatch_discrimination.

    The weights are drawn from N(0, 0.05^2), as in the code of Salimans et al.
    """

    def __init__(self, in_features: int, kernels: int = 100, dims: int = 5) -> None:
        super().__init__()
        check_sizes("MinibatchDiscrimination", in_features=in_features, kernels=kernels, dims=dims)
        self.kernels, self.dims = kernels, dims
        self.weight = Parameter(init.normal((kernels * dims, in_features), 0.0, 0.05, default_stream))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) to (N, in + kernels)."""
        return ops.minibatch_discrimination(x, self.weight, self.dims)

    def describe(self) -> str:
        """Sizes."""
        return f"{self.weight.shape[1]}, kernels={self.kernels}, dims={self.dims}"


__all__ = ["EqualizedConv2d", "EqualizedConvTranspose2d", "EqualizedLinear", "EqualizedUpConv2d",
           "MinibatchDiscrimination", "MinibatchStddev", "PixelNorm"]
