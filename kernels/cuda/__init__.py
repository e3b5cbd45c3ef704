"""The CUDA wing: kernels of our own, and the launch code that two backends share, CuPy's and the emulated one.

Its rooms carry the names of those of the CPU wing. Nothing here imports CuPy before an array of CuPy's comes in.
"""

from . import emulated, gpu


def backend_of(array):
    """Who allocates, compiles and launches for an array."""
    return emulated if emulated.owns(array) else gpu


from . import memory  # noqa: E402  the rooms below ask for backend_of
from .conv import conv2d, conv2d_weight_grad, conv_transpose2d  # noqa: E402
from .elementwise import gate, leaky_relu, sigmoid, softplus  # noqa: E402
from .filters import blur_filters, unblur_filters  # noqa: E402
from .matmul import matmul  # noqa: E402
from .norm import norm_apply, norm_grad, norm_stats, update_running  # noqa: E402
from .optim import adam, ema, rmsprop, sgd  # noqa: E402
from .pad import fold, pad, scatter_add  # noqa: E402
from .pool import max_pool2d, pool_put, pool_take  # noqa: E402
from .reduce import reduce_sum  # noqa: E402
from .resample import block_sum, resample, upsample_nearest  # noqa: E402

__all__ = [
    "adam",
    "backend_of",
    "block_sum",
    "blur_filters",
    "conv2d",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "ema",
    "emulated",
    "fold",
    "gate",
    "gpu",
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
