"""GroupNorm and Embedding: layers made of operations that exist already."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigan import ops
from minigan.engine import Tensor, device
from minigan.errors import DTypeError, OptionError, ShapeError
from minigan.nn.module import Module, Parameter
from minigan.nn.norms import scale_and_shift
from minigan.nn.signatures import Absent, as_pytorch, check_sizes
from minigan.random import default as default_stream


class GroupNorm(Module):
    """Normalise groups of neighbouring channels of each image; weight (gamma) and bias (beta) (C,) if `affine`.

    With bias=False, there is no bias.

    y = gamma (x - mean) / (var + eps)^(1/2) + beta, mean and biased var over a group's channels and all pixels. One
    group is layer norm over the image, C groups are instance norm.
    Source    Wu & He, Group normalization, 2018.

    Raises:
        OptionError: the groups do not divide the channels.
        ShapeError: the input has another number of channels, or one value per group.
    """

    separable = True
    weight: Parameter | None
    bias: Parameter | None

    @as_pytorch()
    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *,
                 bias: bool = True) -> None:
        super().__init__()
        check_sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if not num_channels:
            raise OptionError("GroupNorm: num_channels=0 must be at least 1: no channels have no groups")
        if num_groups < 1 or num_channels % num_groups:
            raise OptionError(f"GroupNorm: {num_groups} groups do not divide {num_channels} channels")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        scale_and_shift(self, (num_channels,), affine, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same."""
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"group_norm: x {x.shape} must be (N, C={self.num_channels}, ...)")
        size = math.prod(x.shape[1:]) // self.num_groups  # -1 could not be told in a batch of no images
        grouped = ops.reshape(x, (len(x), self.num_groups, size))  # (N, groups, C/groups*H*W)
        y = ops.reshape(ops.instance_norm(grouped, eps=self.eps), x.shape)  # (N, C, ...)
        axes = (-1, *(1,) * (x.ndim - 2))
        y = y if self.weight is None else y * ops.reshape(self.weight, axes)  # (C, 1, 1)
        return y if self.bias is None else y + ops.reshape(self.bias, axes)  # (C, 1, 1)

    def describe(self) -> str:
        """Groups, channels and options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.weight is not None}"


class Embedding(Module):
    """A learnt vector for each of `num_embeddings` integers; weight (num_embeddings, embedding_dim), from N(0, 1).

    The vector of `padding_idx` starts as 0 and gets no gradient.

    Raises:
        DTypeError: the indices are no integers.
        ShapeError: an index is not in 0, ..., num_embeddings - 1.
    """

    @as_pytorch(max_norm=Absent(None, "scale the rows of weight.data after each step"),
                norm_type=Absent(2.0, "it belongs to max_norm"),
                scale_grad_by_freq=Absent(False, "divide weight.grad by np.bincount of the indices"),
                sparse=Absent(False, "gradients are arrays of all rows"),
                _weight=Absent(None, "assign weight.data = array"), _freeze=Absent(False, "call requires_grad_(False)"))
    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        super().__init__()
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise OptionError(f"Embedding: padding_idx={padding_idx} is none of {num_embeddings} indices")
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        weight = default_stream.normal((num_embeddings, embedding_dim)).astype(np.float32)
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        self.weight = Parameter(weight)

    def forward(self, indices: Any) -> Tensor:
        """Integers of any shape (...), an array or a list, to (..., embedding_dim)."""
        array = indices.data if isinstance(indices, Tensor) else indices
        index = np.asarray(device.asnumpy(array) if hasattr(array, "get") else array)  # CuPy's arrays have get
        if index.dtype.kind not in "iu":
            raise DTypeError(f"embedding: indices of dtype {index.dtype}; pass an array of integers, not a Tensor")
        count = self.weight.shape[0]
        if index.size and not (index.min() >= 0 and index.max() < count):
            raise ShapeError(f"embedding: indices from {index.min()} to {index.max()}, but there are {count} vectors")
        rows: Tensor = self.weight[index]  # (..., embedding_dim)
        if self.padding_idx is None or not (index == self.padding_idx).any():
            return rows
        padding = np.broadcast_to((index == self.padding_idx)[..., None], rows.shape)
        return ops.where(padding, rows.detach(), rows)

    def describe(self) -> str:
        """Sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}{padding}"
