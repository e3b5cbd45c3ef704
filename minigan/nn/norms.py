"""Batch, instance and layer normalisation with their parameters and running statistics; arguments are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan import ops
from minigan.engine import Tensor
from minigan.engine.distributed import joint
from minigan.engine.state import state
from minigan.errors import OptionError, ShapeError
from minigan.nn.module import Module, Parameter
from minigan.nn.signatures import as_pytorch, check_sizes

CHANNELS = {"channels": "num_features"}  # our own name of the argument


def scale_and_shift(module: Module, shape: tuple[int, ...], weight: bool, bias: bool) -> None:
    """Give a module its weight (gamma), ones, and its bias (beta), zeros; None if it has none."""
    module.register_parameter("weight", Parameter(np.ones(shape, np.float32)) if weight else None)
    module.register_parameter("bias", Parameter(np.zeros(shape, np.float32)) if weight and bias else None)


class _ChannelNorm(Module):
    """What batch and instance norm share: weight, bias and running statistics (C,), each of which may be absent."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Any  # an array (C,), or None
    running_var: Any

    def __init__(self, channels: int, eps: float, momentum: float, affine: bool, track: bool, bias: bool) -> None:
        super().__init__()
        check_sizes(type(self).__name__, num_features=channels)
        if isinstance(momentum, bool) or not isinstance(momentum, int | float | np.number):
            raise OptionError(f"{type(self).__name__}: momentum={momentum!r:.60} must be a number, the weight of a new "
                              "batch in the running statistics, such as 0.1; PyTorch's None, a mean over all batches, "
                              "does not exist here. Write affine=True for learnt weights")
        self.channels, self.eps, self.momentum = channels, eps, momentum
        scale_and_shift(self, (channels,), affine, bias)
        self.register_buffer("running_mean", np.zeros(channels, np.float32) if track else None)
        self.register_buffer("running_var", np.ones(channels, np.float32) if track else None)

    def _by_own_statistics(self) -> bool:
        """Whether the input is normalised by its own statistics, not by the running ones."""
        return self.training or self.running_mean is None

    def reset_running_stats(self) -> None:
        """Set the running statistics, if there are any, to mean 0 and variance 1, as in a new layer."""
        if self.running_mean is not None:
            self.running_mean[...], self.running_var[...] = 0, 1

    def describe(self) -> str:
        """Channels and options."""
        tracked = self.running_mean is not None
        return (f"{self.channels}, eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}, "
                f"track_running_stats={tracked}")


class BatchNorm2d(_ChannelNorm):
    """Batch normalisation; weight (gamma), bias (beta), running_mean and running_var (C,). See ops.batch_norm.

    `momentum` is the weight of the new batch in the running statistics (PyTorch's convention). With affine=False, it
    has no weight and no bias; with bias=False, no bias. With track_running_stats=False, it has no running statistics
    and normalises by those of the batch in evaluation, too.

    Raises:
        OptionError: momentum is no number.
    """

    @as_pytorch(CHANNELS)
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True,
                 track_running_stats: bool = True, *, bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    @property
    def separable(self) -> bool:  # type: ignore[override]
        """Unless the statistics are those of several ranks."""
        return joint().size == 1 or not joint().joint_norm

    def forward(self, x: Tensor, slope: float | None = None, addend: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to the same. An addend of that shape is added; with a slope, a leaky ReLU is applied after that.

        Sequential gives the layer both: the slope if a ReLU follows, the addend if nothing follows.
        """
        return ops.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
                              self._by_own_statistics(), self.momentum, self.eps, slope, state.batches, addend=addend)


class InstanceNorm2d(_ChannelNorm):
    """Instance normalisation, without weight and bias unless `affine`. See ops.instance_norm.

    With track_running_stats, it keeps running_mean and running_var (C,), means of the images' own statistics, and
    normalises by them in evaluation; `momentum` is as in BatchNorm2d.

    Raises:
        OptionError: momentum is no number.
    """

    @as_pytorch(CHANNELS)
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
                 track_running_stats: bool = False, *, bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Unpickle or copy; earlier versions had no running statistics."""
        super().__setstate__({"momentum": 0.1, "running_mean": None, "running_var": None, **values})

    @property
    def separable(self) -> bool:  # type: ignore[override]
        """Without running statistics, which move once for each pass."""
        return self.running_mean is None

    def forward(self, x: Tensor, slope: float | None = None, addend: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to the same; `slope` and `addend` as in BatchNorm2d. ShapeError if C is not the layer's."""
        if x.shape[1] != self.channels:
            raise ShapeError(f"instance_norm: x {x.shape} has C={x.shape[1]}, the layer is for C={self.channels}; "
                             f"make it InstanceNorm2d({x.shape[1]})")
        return ops.instance_norm(x, self.weight, self.bias, self.eps, slope, self.running_mean, self.running_var,
                                 self._by_own_statistics(), self.momentum, addend=addend)


class LayerNorm(Module):
    """Normalisation over the last axes of x, those of `normalized_shape`; weight and bias of that shape.

    In networks of images that is usually x's shape without N. With elementwise_affine=False, there is no weight and no
    bias; with bias=False, no bias. See ops.layer_norm.

    Raises:
        ShapeError: x's last axes have another shape.
    """

    separable = True
    weight: Parameter | None
    bias: Parameter | None

    @as_pytorch({"shape": "normalized_shape"})
    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        for size in self.normalized_shape:
            check_sizes("LayerNorm", normalized_shape=size)
        scale_and_shift(self, self.normalized_shape, elementwise_affine, bias)

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Unpickle or copy; earlier versions had the shape in their weight only."""
        shape = values["weight"].shape if values.get("weight") is not None else ()
        super().__setstate__({"normalized_shape": shape, **values})

    def forward(self, x: Tensor) -> Tensor:
        """(..., *normalized_shape) to the same."""
        leading = x.ndim - len(self.normalized_shape)
        if leading < 0 or x.shape[leading:] != self.normalized_shape:
            raise ShapeError(f"layer_norm: x {x.shape} does not end with the layer's shape {self.normalized_shape}; "
                             f"LayerNorm({x.shape[1:]}) normalises each sample")
        if leading == 1:
            return ops.layer_norm(x, self.weight, self.bias, self.eps)
        rows = ops.reshape(x, (math.prod(x.shape[:leading]), *self.normalized_shape))  # (rows, *normalized_shape)
        return ops.reshape(ops.layer_norm(rows, self.weight, self.bias, self.eps), x.shape)  # (..., *normalized_shape)

    def describe(self) -> str:
        """Normalised shape and options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
