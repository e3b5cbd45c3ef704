"""Arrays in, arrays out: the hot operations, one function each, for whatever device the arrays live on.

A kernel has never heard of a Tensor or of a gradient tape. Images are indexed (N, C, H, W) and stored channels-last;
stride, padding, dilation, sizes and scales are (h, w) pairs that the caller has checked. The formulas stand in
`kernels/cpu`; here each name only finds its wing by the type of the first array it is given.
"""

from __future__ import annotations

import functools

import numpy as np

from minigan.errors import DeviceError

from . import cpu
from .cpu.blocks import get_threads, set_threads


def layout_copies():
    """How many inputs so far had to be copied because they were not stored channels-last."""
    return cpu.memory.layout_copies


def _wing(array):
    if isinstance(array, np.ndarray | np.generic):
        return cpu
    kind = f"{type(array).__module__}.{type(array).__name__}"
    raise DeviceError(f"kernels: this version of minigan has no CUDA kernels yet, so it cannot work on a {kind} array.")


def _dispatched(name):
    """The kernel `name` of whichever wing the first array (or the first of a list of arrays) belongs to."""

    @functools.wraps(getattr(cpu, name))
    def kernel(first, *others, **options):
        if isinstance(first, list | tuple):  # of parameters; with none there is nothing to do on any device
            return getattr(_wing(first[0]), name)(first, *others, **options) if first else None
        return getattr(_wing(first), name)(first, *others, **options)

    return kernel


conv2d = _dispatched("conv2d")
conv_transpose2d = _dispatched("conv_transpose2d")
conv2d_weight_grad = _dispatched("conv2d_weight_grad")

norm_stats = _dispatched("norm_stats")
norm_apply = _dispatched("norm_apply")
norm_grad = _dispatched("norm_grad")

leaky_relu = _dispatched("leaky_relu")
gate = _dispatched("gate")

upsample_nearest = _dispatched("upsample_nearest")
block_sum = _dispatched("block_sum")
resample = _dispatched("resample")

max_pool2d = _dispatched("max_pool2d")
pool_take = _dispatched("pool_take")
pool_put = _dispatched("pool_put")

sgd = _dispatched("sgd")
rmsprop = _dispatched("rmsprop")
adam = _dispatched("adam")
ema = _dispatched("ema")

__all__ = [
    "adam",
    "block_sum",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "ema",
    "gate",
    "get_threads",
    "layout_copies",
    "leaky_relu",
    "max_pool2d",
    "norm_apply",
    "norm_grad",
    "norm_stats",
    "pool_put",
    "pool_take",
    "resample",
    "rmsprop",
    "set_threads",
    "sgd",
    "upsample_nearest",
]
