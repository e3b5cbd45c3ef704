"""The CPU wing: blocked, threaded NumPy. Its rooms carry the same names as those of the CUDA wing."""

from . import blocks, memory
from .conv import conv2d, conv2d_weight_grad, conv_transpose2d
from .elementwise import gate, leaky_relu, sigmoid, softplus
from .filters import blur_filters, unblur_filters
from .norm import norm_apply, norm_grad, norm_stats, update_running
from .optim import adam, ema, rmsprop, sgd
from .pad import fold, pad, scatter_add
from .pool import max_pool2d, pool_put, pool_take
from .reduce import matmul, reduce_sum
from .resample import block_sum, resample, upsample_nearest

__all__ = [
    "adam",
    "block_sum",
    "blocks",
    "blur_filters",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "ema",
    "fold",
    "gate",
    "leaky_relu",
    "matmul",
    "max_pool2d",
    "memory",
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
    "sgd",
    "sigmoid",
    "softplus",
    "unblur_filters",
    "update_running",
    "upsample_nearest",
]
