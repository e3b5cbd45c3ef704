"""Bad input: every error names the operation, the layer, the numbers and the remedy."""

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.errors import (
    CheckpointError,
    DataError,
    DeviceError,
    DTypeError,
    GradientError,
    GraphError,
    MiniganError,
    NonFiniteError,
    ShapeError,
)


def zeros(*shape):
    return mg.tensor(np.zeros(shape))


X, W = zeros(2, 3, 8, 8), zeros(4, 3, 3, 3)
BAD_SHAPES = {  # name: (call, pattern of the message)
    "conv2d rank of x": (lambda: ops.conv2d(zeros(3, 8, 8), W), ["conv2d", "(3, 8, 8)", "(N, C, H, W)"]),
    "conv2d rank of w": (lambda: ops.conv2d(X, zeros(4, 3)), ["conv2d", "(4, 3)", "(O, C, KH, KW)"]),
    "conv2d channels": (lambda: ops.conv2d(zeros(64, 100, 1, 1), zeros(128, 64, 4, 4)),
                        ["conv2d: x (N=64, C=100, H=1, W=1) has C=100", "w (O=128, C=64, KH=4, KW=4) needs C=64"]),
    "conv_transpose2d channels": (lambda: ops.conv_transpose2d(zeros(1, 5, 2, 2), zeros(6, 3, 4, 4)),
                                  ["has C=5", "(C_in=6, C_out=3, KH=4, KW=4) needs C=6"]),
    "upconv2d channels": (lambda: ops.upconv2d(X, zeros(4, 2, 3, 3)), ["upconv2d", "has C=3", "needs C=2"]),
    "bias": (lambda: ops.conv2d(X, W, zeros(3)), ["b (3,)", "one element per output channel, (4,)"]),
    "negative padding": (lambda: ops.conv2d(X, W, padding=-1), ["conv2d: padding=-1 must be at least 0"]),
    "zero stride": (lambda: ops.conv2d(X, W, stride=(2, 0)), ["conv2d: stride=(2, 0) must be at least 1"]),
    "zero dilation": (lambda: ops.conv2d(X, W, dilation=0), ["dilation=0 must be at least 1"]),
    "half a stride": (lambda: ops.conv2d(X, W, stride=(1.5, 1)), ["stride: (1.5, 1) is neither an int nor a pair"]),
    "three strides": (lambda: ops.conv2d(X, W, stride=(1, 1, 1)), ["is neither an int nor a pair (h, w)"]),
    "kernel larger than image": (lambda: ops.conv2d(zeros(1, 3, 2, 8), W),
                                 ["(H=2, W=8)", "smaller than the kernel (KH=3, KW=3)"]),
    "dilated kernel larger": (lambda: ops.conv2d(X, W, dilation=(1, 4)), ["smaller than the kernel", "(1, 4)"]),
    "empty images": (lambda: ops.conv2d(zeros(2, 3, 0, 8), W), ["conv2d", "(2, 3, 0, 8)", "empty"]),
    "empty images, transposed": (lambda: ops.conv_transpose2d(zeros(2, 4, 8, 0), W), ["(2, 4, 8, 0)", "empty"]),
    "empty images, weights": (lambda: ops.conv2d_weight_grad(zeros(2, 0, 8, 8), zeros(2, 4, 6, 6), 3), ["empty"]),
    "output padding": (lambda: ops.conv_transpose2d(X, zeros(3, 4, 3, 3), stride=2, output_padding=2),
                       ["output_padding=(2, 2) must be smaller than stride (2, 2)"]),
    "output size": (lambda: ops.conv_transpose2d(X, zeros(3, 4, 3, 3), output_size=(50, 50), output_padding=(0, 0)),
                    ["conv2d of an image of (50, 50) does not give back x's (8, 8)"]),
    "padded away": (lambda: ops.conv_transpose2d(X, zeros(3, 4, 3, 3), padding=5), ["must be at least 1"]),
    "weight grad sizes": (lambda: ops.conv2d_weight_grad(X, zeros(2, 4, 5, 5), 3), ["(2, 4, 5, 5) is not the size"]),
    "upconv2d padding": (lambda: ops.upconv2d(X, W, padding=3), ["padding=(3, 3) must be smaller than the kernel"]),
    "pool rank": (lambda: ops.max_pool2d(zeros(3, 3), 2), ["max_pool2d: x (3, 3) must be (N, C, H, W)"]),
    "pool padding": (lambda: ops.avg_pool2d(X, 2, padding=2), ["padding=(2, 2) must be at most half of"]),
    "pool window": (lambda: ops.max_pool2d(X, 9), ["max_pool2d", "smaller than the kernel"]),
    "upsample2d empty": (lambda: ops.upsample2d(zeros(3, 0, 2, 2)), ["upsample2d: x (3, 0, 2, 2)", "only N may be 0"]),
    "upsample2d scale": (lambda: ops.upsample2d(X, 0), ["scale=0 must be at least 1"]),
    "interpolate size": (lambda: ops.interpolate(X, (0, 3)), ["size=(0, 3) must be at least 1"]),
    "pixel_shuffle": (lambda: ops.pixel_shuffle(X, 2), ["C=3 is not a multiple of scale^2"]),
    "linear": (lambda: ops.linear(zeros(2, 5), zeros(4, 3)), ["linear: x (2, 5) has 5 features", "(4, 3) needs 3"]),
    "linear bias": (lambda: ops.linear(zeros(2, 3), zeros(4, 3), zeros(3)), ["b (3,)", "(4, 3)"]),
    "matmul": (lambda: zeros(2, 3) @ zeros(2, 3), ["(2, 3) and (2, 3) do not chain", "3 and 2"]),
    "matmul scalar": (lambda: zeros(2) @ 3.0, ["(2,) and ()", "scalar"]),
    "add": (lambda: zeros(2, 3) + zeros(2), ["add", "(2, 3), (2,)"]),
    "reshape": (lambda: zeros(2, 3).reshape(4, 2), ["reshape", "(2, 3)"]),
    "concat": (lambda: ops.concat([zeros(2, 3), zeros(2, 4)]), ["concat", "(2, 3), (2, 4)"]),
    "concat of nothing": (lambda: ops.concat([]), ["concat"]),
    "stack": (lambda: ops.stack([zeros(2), zeros(2)], axis=2), ["stack: axis 2 does not exist"]),
    "stack of nothing": (lambda: ops.stack([]), ["stack", "0 tensors"]),
    "split": (lambda: ops.split(zeros(5), [2, 2]), ["add up to 4, but axis 0 of (5,) has 5"]),
    "split negative": (lambda: ops.split(zeros(3), [5, -2]), ["split: sizes [5, -2]"]),
    "split axis": (lambda: ops.split(zeros(3), 1, axis=1), ["split: cannot cut axis 1"]),
    "pad pairs": (lambda: ops.pad(X, ((1, 1),)), ["1 pairs of widths for 4 axes"]),
    "pad no pairs": (lambda: ops.pad(zeros(2, 2), (1, 2)), ["neither an int nor one (before, after) pair"]),
    "pad negative": (lambda: ops.pad(zeros(2, 2), -1), ["negative; take a slice to crop"]),
    "pad reflect": (lambda: ops.pad(zeros(2, 2), 2, mode="reflect"), ["reflecting 2", "which has 2", "mode='edge'"]),
    "mean of nothing": (lambda: zeros(0, 3).mean(0), ["mean: x (0, 3) has 0 elements"]),
    "var of one": (lambda: zeros(1).var(), ["var: x (1,) has 1 elements", "needs 2"]),
    "item": (lambda: zeros(2).item(), ["(2,) has 2 elements, not one"]),
    "cotangent": (lambda: mg.tensor([1.0, 2.0], requires_grad=True).backward([1.0]), ["shape (1,), the output (2,)"]),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_shapes(name):
    call, words = BAD_SHAPES[name]
    with pytest.raises(ShapeError) as caught:
        call()
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


@pytest.mark.parametrize("call, words", [
    (lambda: ops.pad(X, 1, mode="wrap"), "mode 'wrap' is not one of constant, reflect, edge"),
    (lambda: ops.interpolate(X, 3, "cubic"), "mode 'cubic' is not 'bilinear' or 'nearest'"),
    (lambda: ops.upsample2d(X, 2, "cubic"), "mode 'cubic'"),
])
def test_modes(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("call, words", [
    (lambda: ops.conv2d(X), "conv2d: needs x, w"),
    (lambda: ops.relu(X, 1, 2), "relu: takes x; got 3"),
    (lambda: ops.conv2d(X, W, None, 2, stride=1), "conv2d: stride given twice"),
    (lambda: ops.conv2d(X, W, strides=2), "strides"),
    (lambda: ops.batch_norm(X, running_mean=zeros(3), running_var=zeros(3)), "updated in place: arrays"),
])
def test_calls_that_do_not_fit_the_signature(call, words):
    with pytest.raises(TypeError, match=words):
        call()


# ---- backward ----
def leaf():
    return mg.tensor([1.0, 2.0], requires_grad=True)


def twice():
    y = leaf().sum()
    y.backward()
    y.backward()


def under_no_grad():
    with mg.no_grad():
        y = leaf().sum()
    y.backward()


def changed():
    x = leaf()
    y = (x * x).sum()
    x[0] = 5.0
    y.backward()


@pytest.mark.parametrize("call, words", [
    (lambda: leaf().backward(), ["the output has shape (2,)", ".sum()", "or pass a cotangent"]),
    (lambda: mg.tensor(1.0).backward(), ["nothing to differentiate", "requires_grad=True"]),
    (under_no_grad, ["nothing to differentiate", "no_grad()"]),
    (twice, ["freed by an earlier backward pass", "retain_graph=True"]),
    (changed, ["an argument of mul was changed in place", "detect_anomaly"]),
    (lambda: mg.grad(leaf().sum(), mg.tensor([3.0])), ["input 0, Tensor of shape (1,), does not require a gradient"]),
], ids=["non-scalar", "constant", "no_grad", "twice", "in place", "input without gradient"])
def test_backward(call, words):
    with pytest.raises(GraphError) as caught:
        call()
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def test_a_change_in_place_says_where_under_detect_anomaly():
    x = leaf()
    with mg.detect_anomaly():
        y = (x * x).sum()
    x[0] = 5.0
    with pytest.raises(GraphError, match=r"created at .*test_errors\.py:\d+ in test_a_change_in_place_says_where"):
        y.backward()


# ---- the family ----
@pytest.mark.parametrize("error, builtin", [
    (ShapeError, ValueError), (DTypeError, TypeError), (DeviceError, RuntimeError), (GraphError, RuntimeError),
    (GradientError, AssertionError), (NonFiniteError, FloatingPointError), (DataError, ValueError),
    (CheckpointError, RuntimeError)])
def test_every_error_is_also_the_one_a_caller_expects(error, builtin):
    assert issubclass(error, MiniganError)
    assert issubclass(error, builtin)


def test_the_layer_stands_behind_the_operation():
    error = ShapeError("conv2d: x has C=3, but w needs C=4")
    error.path = "discriminator.2"
    assert str(error) == "conv2d in discriminator.2: x has C=3, but w needs C=4"


def test_error_leaves_nothing_behind():
    """After an error the same tensors still work."""
    x = leaf()
    with pytest.raises(ShapeError):
        x + np.ones(3)
    (x * x).sum().backward()
    assert x.grad.data.tolist() == [2.0, 4.0]
