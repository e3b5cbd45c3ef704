"""The CPU wing: blocked, threaded NumPy. Its rooms carry the same names as those of the CUDA wing."""

from . import blocks, memory
from .conv import conv2d, conv2d_weight_grad, conv_transpose2d
from .elementwise import gate, leaky_relu
from .norm import norm_apply, norm_grad, norm_stats
from .optim import adam, ema, rmsprop, sgd
from .pool import max_pool2d, pool_put, pool_take
from .resample import block_sum, resample, upsample_nearest

__all__ = [
    "adam",
    "block_sum",
    "blocks",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "ema",
    "gate",
    "leaky_relu",
    "max_pool2d",
    "memory",
    "norm_apply",
    "norm_grad",
    "norm_stats",
    "pool_put",
    "pool_take",
    "resample",
    "rmsprop",
    "sgd",
    "upsample_nearest",
]
