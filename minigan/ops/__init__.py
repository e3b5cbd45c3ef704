"""The differentiable vocabulary. Each operation's docstring gives its formula, its vjp and why; see OPERATIONS."""

# ruff: noqa: F401
from minigan.ops.activation import (
    dropout,
    elu,
    gate,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softplus,
    tanh,
)
from minigan.ops.conv import blur_filters, conv2d, conv2d_weight_grad, conv_transpose2d, unblur_filters, upconv2d
from minigan.ops.elementwise import (
    abs,
    add,
    clip,
    div,
    exp,
    log,
    maximum,
    minimum,
    mul,
    neg,
    power,
    sign,
    sqrt,
    square,
    sub,
    where,
)
from minigan.ops.linear import linear, matmul
from minigan.ops.norm import batch_norm, instance_norm, layer_norm, normalize, pixel_norm
from minigan.ops.pad import fold, pad
from minigan.ops.pool import max_pool2d, pool_put, pool_take
from minigan.ops.reduce import logsumexp, max, mean, min, norm, sum, var
from minigan.ops.resample import (
    avg_pool2d,
    block_sum,
    global_avg_pool2d,
    interpolate,
    pixel_shuffle,
    resample,
    upsample2d,
    upsample_nearest,
)
from minigan.ops.shape import (
    broadcast_to,
    concat,
    flip,
    getitem,
    reshape,
    scatter,
    split,
    stack,
    sum_to,
    transpose,
)
