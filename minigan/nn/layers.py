"""Layers: operations of minigan.ops together with their parameters. Names, layouts and defaults are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan import kernels, ops
from minigan.engine import Array, Tensor
from minigan.errors import ModuleError, OptionError, ShapeError
from minigan.nn import init
from minigan.nn.module import Module, Parameter
from minigan.nn.norms import BatchNorm2d, InstanceNorm2d, LayerNorm  # noqa: F401  where earlier versions pickled them
from minigan.nn.signatures import Absent, as_pytorch, check_sizes
from minigan.random import Stream
from minigan.random import default as default_stream

Pair = int | tuple[int, int]


class Linear(Module):
    """y = x W^T + b on x (N, in); weight (out, in), bias (out,)."""

    separable = True

    bias: Parameter | None

    @as_pytorch()
    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        check_sizes(type(self).__name__, in_features=in_features, out_features=out_features)
        self.weight = Parameter(init.default((out_features, in_features), in_features))
        self.register_parameter("bias", Parameter(init.default((out_features,), in_features)) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) to (N, out)."""
        return self.compute(x, self.weight)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer's output with `weight` in place of its own; SpectralNorm uses this."""
        return ops.linear(x, weight, self.bias)

    def describe(self) -> str:
        """Sizes."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"


class _Filtered(Module):
    """Base of the three convolutions: filters, an optional bias, repr. Raises ShapeError for empty filters."""

    separable = True

    bias: Parameter | None
    memory = (2, 3, 1, 0)  # order of axes in memory, for the filters and for the kernels' weight gradients

    def __init__(self, shape: tuple[int, ...], out_axis: int, fan_in: int, bias: bool, **geometry: Any) -> None:
        super().__init__()
        if min(shape) < 1:
            raise ShapeError(f"{type(self).__name__}: filters of shape {shape} are empty; use sizes of at least 1")
        self.weight = Parameter(init.filters(init.default(shape, fan_in), self.memory))
        self.register_parameter("bias", Parameter(init.default((shape[out_axis],), fan_in)) if bias else None)
        self.geometry = geometry

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, OH, OW)."""
        return self.compute(x, self.weight)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer's output with `weight` in place of its own."""
        raise NotImplementedError

    def describe(self) -> str:
        """Filter shape and geometry."""
        options = ", ".join(f"{name}={value}" for name, value in self.geometry.items())
        return f"{tuple(self.weight.shape)}, {options}, bias={self.bias is not None}"


_GROUPS = Absent(1, "there are no grouped convolutions: give each group of channels a layer of its own")


def _mode(layer: str) -> Absent:
    return Absent("zeros", f"put nn.{layer}, or ops.pad, before a convolution with padding=0")


def _kernel(size: Pair) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _check_bias(layer: Module, bias: Any) -> None:
    """In PyTorch, `groups` has the place of our `bias`: a number there is no bias."""
    if not isinstance(bias, bool | np.bool_):
        raise TypeError(f"{type(layer).__name__}: bias={bias!r:.60} must be True or False; PyTorch has groups in this "
                        "place, which minigan lacks: write bias=False or bias=True")


class Conv2d(_Filtered):
    """Cross-correlation; weight (out, in, KH, KW), bias (out,). See ops.conv2d."""

    separable = True

    @as_pytorch(groups=_GROUPS, padding_mode=_mode("ReflectionPad2d or ReplicationPad2d"))
    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0,
                 dilation: Pair = 1, bias: bool = True) -> None:
        _check_bias(self, bias)
        kh, kw = _kernel(kernel_size)
        check_sizes(type(self).__name__, in_channels=in_channels, out_channels=out_channels)
        super().__init__((out_channels, in_channels, kh, kw), 0, in_channels * kh * kw, bias,
                         stride=stride, padding=padding, dilation=dilation)

    def forward(self, x: Tensor, mirrored: tuple[int, int] | None = None) -> Tensor:
        """(N, in, H, W) to (N, out, OH, OW); `mirrored`: the widths (h, w) of a mirrored border that x gets first.

        Sequential gives the layer those of a ReflectionPad2d before it.
        """
        if mirrored is None:
            return self.compute(x, self.weight)
        return ops.conv2d(x, self.weight, self.bias, **{**self.geometry, "padding": mirrored}, reflect=True)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """ops.conv2d with this layer's bias and geometry."""
        return ops.conv2d(x, weight, self.bias, **self.geometry)


class ConvTranspose2d(_Filtered):
    """The adjoint of a convolution; weight (in, out, KH, KW), bias (out,). See ops.conv_transpose2d."""

    @as_pytorch(groups=_GROUPS, padding_mode=Absent("zeros", "PyTorch has only this one, too"))
    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0,
                 output_padding: Pair = 0, bias: bool = True, dilation: Pair = 1) -> None:
        _check_bias(self, bias)
        kh, kw = _kernel(kernel_size)
        check_sizes(type(self).__name__, in_channels=in_channels, out_channels=out_channels)
        super().__init__((in_channels, out_channels, kh, kw), 1, out_channels * kh * kw, bias, stride=stride,
                         padding=padding, output_padding=output_padding, dilation=dilation)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """ops.conv_transpose2d with this layer's bias and geometry."""
        return ops.conv_transpose2d(x, weight, self.bias, **self.geometry)


class UpConv2d(_Filtered):
    """Nearest up-sampling and a convolution in one; weight (out, in, KH, KW), bias (out,). See ops.upconv2d."""

    memory = (2, 3, 0, 1)  # computed as a transposed convolution with blurred filters, whose axes 0 and 1 are swapped

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair = 3, scale: Pair = 2, padding: Pair = 1,
                 bias: bool = True) -> None:
        kh, kw = _kernel(kernel_size)
        check_sizes(type(self).__name__, in_channels=in_channels, out_channels=out_channels)
        super().__init__((out_channels, in_channels, kh, kw), 0, in_channels * kh * kw, bias,
                         scale=scale, padding=padding)

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """ops.upconv2d with this layer's bias and geometry."""
        return ops.upconv2d(x, weight, self.bias, **self.geometry)


class Upsample(Module):
    """Enlarge images by an integer factor, or resize them to a size; "nearest" or "bilinear" (align_corners=False).

    See ops.upsample2d and ops.interpolate. The first argument is the factor, PyTorch's `scale_factor`; `size` is an int
    or (OH, OW), and a keyword argument here.

    Raises:
        OptionError: a factor and a size are given.
    """

    separable = True

    size: Pair | None = None  # of modules that an earlier version pickled

    @as_pytorch({"scale_factor": "scale"}, recompute_scale_factor=Absent(False, "give the size itself, by size="),
                align_corners=Absent(False, "only align_corners=False, or None, is possible"))
    def __init__(self, scale: Pair | None = None, mode: str = "nearest", *, size: Pair | None = None) -> None:
        super().__init__()
        if scale is not None and size is not None:
            raise OptionError(f"Upsample: scale={scale} and size={size} are two sizes; give one")
        self.scale, self.mode, self.size = _whole(2 if scale is None and size is None else scale), mode, size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, scale*H, scale*W), or to (N, C, OH, OW)."""
        if self.size is not None:
            return ops.interpolate(x, self.size, self.mode)
        return ops.upsample2d(x, self.scale, self.mode)

    def describe(self) -> str:
        """Factor or size, and mode."""
        return f"{f'scale={self.scale}' if self.size is None else f'size={self.size}'}, mode={self.mode!r}"


def _whole(scale: Any) -> Any:
    """2 for 2.0, as PyTorch's factors may be floats; others are left to ops.upsample2d, which refuses them."""
    if isinstance(scale, tuple | list):
        return tuple(_whole(s) for s in scale)
    return int(scale) if isinstance(scale, float) and scale.is_integer() else scale


class Dropout(Module):
    """Set elements to 0 with probability p, in training only. See ops.dropout.

    `stream` is the source of random numbers; PyTorch's `inplace` is accepted and changes nothing.
    """

    def __init__(self, p: float = 0.5, inplace: bool | Stream = False, stream: Stream | None = None) -> None:
        super().__init__()
        if isinstance(inplace, Stream):  # earlier versions had the stream in this place
            stream = inplace
        self.p, self.stream = p, stream

    @property
    def separable(self) -> bool:  # type: ignore[override]
        """In evaluation; in training each pass draws random numbers."""
        return not self.training

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return ops.dropout(x, self.p, self.training, self.stream)


class Flatten(Module):
    """The axes from start_dim to end_dim become one, row-major; by default (N, ...) to (N, features)."""

    start_dim, end_dim = 1, -1  # those of earlier versions, which had no others

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    @property
    def separable(self) -> bool:  # type: ignore[override]
        """Unless it joins samples."""
        return self.start_dim > 0

    def forward(self, x: Tensor) -> Tensor:
        """ShapeError if x has no such axes, or the first comes after the last."""
        first, last = (d + x.ndim if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < x.ndim:
            raise ShapeError(f"flatten: x {x.shape} has no axes from {self.start_dim} to {self.end_dim}: it has "
                             f"{x.ndim}, counted from 0, and the first must not come after the last")
        size = math.prod(x.shape[first : last + 1])
        return ops.reshape(x, (*x.shape[:first], size, *x.shape[last + 1 :]))  # (N, C*H*W)

    def describe(self) -> str:
        """Axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


def _unit(matrix: Array, vector: Array) -> Array:
    """Matrix (rows, columns) @ vector (columns,), scaled to length 1."""
    product = kernels.matmul(matrix, vector[:, None])[:, 0]  # (rows,)
    return product / (np.sqrt((product * product).sum()) + 1e-12)


class SpectralNorm(Module):
    """A layer whose weight is divided by its largest singular value (Miyato et al., Spectral normalization, 2018).

    The singular value is estimated as u^T W v, where W is the weight as a matrix (out, in*KH*KW). The vectors u and v
    are constants, from `iterations` power iterations per training step; u is a buffer, saved with the weights.
    `load_state_dict` also takes the names of PyTorch's spectral norm, of the old and of the new kind.

    Raises:
        ModuleError: `layer` is not Linear, Conv2d, ConvTranspose2d or UpConv2d, nor one of your own with a Parameter
            `weight` and a method `compute(x, weight)`.
    """

    u: Array

    def __init__(self, layer: Linear | _Filtered, iterations: int = 1, stream: Stream | None = None) -> None:
        super().__init__()
        weighted = isinstance(layer, Module) and isinstance(vars(layer).get("weight"), Parameter)
        if not (weighted and hasattr(layer, "compute")):
            what = f"the class {layer.__name__}" if isinstance(layer, type) else f"a {type(layer).__name__}"
            raise ModuleError(f"SpectralNorm: it wraps one layer with a matrix of weights, Linear, Conv2d, "
                              f"ConvTranspose2d or UpConv2d, not {what}; of a network, wrap each such layer")
        self.layer, self.iterations = layer, iterations
        u = (stream or default_stream).normal((self._matrix(layer.weight).shape[1],))
        self.register_buffer("u", u / np.linalg.norm(u))

    @property
    def separable(self) -> bool:  # type: ignore[override]
        """In evaluation; in training each pass moves u."""
        return not self.training

    def adopt(self, prefix: str, arrays: dict[str, Any]) -> None:
        """PyTorch's names, of utils.spectral_norm and of utils.parametrizations.spectral_norm; its v is not needed."""
        new = f"{prefix}parametrizations.weight"
        if f"{prefix}weight_orig" not in arrays and f"{new}.original" not in arrays:
            return
        for name, ours in ((f"{prefix}weight_orig", "layer.weight"), (f"{new}.original", "layer.weight"),
                           (f"{prefix}weight_u", "u"), (f"{new}.0._u", "u"), (f"{prefix}bias", "layer.bias")):
            if name in arrays:
                arrays[prefix + ours] = arrays.pop(name)
        for name in (f"{prefix}weight_v", f"{new}.0._v"):
            arrays.pop(name, None)

    def _matrix(self, weight: Tensor) -> Tensor:
        """The weight as W^T (KH*KW*in, out): for a convolution its own memory, not a copy."""
        inner, out = (0, 1) if isinstance(self.layer, ConvTranspose2d) else (1, 0)
        axes = [*range(2, weight.ndim), *([inner] if weight.ndim > 1 else []), out]
        return weight.transpose(*axes).reshape(-1, weight.shape[out])  # (KH*KW*in, out)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output with the weight W / sigma."""
        matrix = self._matrix(self.layer.weight)
        array = matrix.data
        v = _unit(array, self.u)
        if self.training:
            for _ in range(self.iterations):
                self.u[...] = _unit(array.T, v)
                v = _unit(array, self.u)
        outer = (v[:, None] * self.u).astype(array.dtype, copy=False)  # (KH*KW*in, out)
        sigma = ops.sum(matrix * outer)  # u^T W v, differentiable in W
        return self.layer.compute(x, self.layer.weight * (1.0 / sigma))
