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
    from . import cuda

    if cuda.emulated.owns(array) or cuda.gpu.owns(array):
        return cuda
    raise DeviceError(f"kernels: {type(array).__module__}.{type(array).__name__} is no array of NumPy's or CuPy's.")


def _dispatched(name):
    """The kernel `name` of whichever wing the first array (or the first of a list of arrays) belongs to."""

    on_cpu = getattr(cpu, name)

    @functools.wraps(on_cpu)
    def kernel(first, *others, **options):
        if type(first) is np.ndarray:
            return on_cpu(first, *others, **options)
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
update_running = _dispatched("update_running")

leaky_relu = _dispatched("leaky_relu")
sigmoid = _dispatched("sigmoid")
softplus = _dispatched("softplus")
gate = _dispatched("gate")

blur_filters = _dispatched("blur_filters")
unblur_filters = _dispatched("unblur_filters")

matmul = _dispatched("matmul")
reduce_sum = _dispatched("reduce_sum")

pad = _dispatched("pad")
fold = _dispatched("fold")
scatter_add = _dispatched("scatter_add")

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
    "blur_filters",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "ema",
    "fold",
    "gate",
    "get_threads",
    "layout_copies",
    "leaky_relu",
    "matmul",
    "max_pool2d",
    "norm_apply",
    "norm_grad",
    "norm_stats",
    "pad",
    "pool_put",
    "pool_take",
    "reduce_sum",
    "resample",
    "rmsprop",
    "scatter_add",
    "set_threads",
    "sgd",
    "sigmoid",
    "softplus",
    "unblur_filters",
    "update_running",
    "upsample_nearest",
]
