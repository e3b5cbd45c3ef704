"""ONNX's operators by minigan's: a(ttributes) and inputs to outputs. Data are Tensors, indices and sizes arrays.

An operator is in OURS, or in THEIRS if minigan does not have it. If a case of an operator in OURS needs more than
minigan has, it raises NotOurs with a reason from WHY_NOT. Used by test_onnx.py.
"""

import functools

import numpy as np

import minigan as mg
from minigan import Tensor, ops
from minigan.errors import ShapeError

WHY_NOT = {
    "type": "minigan has float32 and float64; ONNX tests integers, booleans, half floats and sequences, too",
    "rank": "minigan's images have two space axes",
    "groups": "minigan's convolutions have one group",
    "average": "minigan's average pools have no dilation, and their windows never reach beyond the padding",
    "random": "the mask depends on ONNX's own random numbers",
    "nothing": "minigan refuses to take an extremum or a mean of nothing",
    "mode": "a padding or resizing mode that minigan does not have",
}

class NotOurs(Exception):  # noqa: N818
    """A case needs something that minigan does not have; the reason is a key of WHY_NOT."""


# ---- geometry: ONNX has pads as [top, left, bottom, right], or a rule to compute them ----
def begin_and_end(a, size, kernel, stride, dilation):
    """Padding as ((top, bottom), (left, right))."""
    rule = a.get("auto_pad", b"NOTSET").decode()
    if rule.startswith("SAME"):
        total = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
                 for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)]
        return [(t // 2, t - t // 2) if rule == "SAME_UPPER" else (t - t // 2, t // 2) for t in total]
    pads = a.get("pads", [0] * 4)
    return list(zip(pads[:2], pads[2:], strict=True))


def images(x):
    if x.ndim != 4:
        raise NotOurs("rank")


def conv(a, x, w, b=None):
    images(x)
    if a.get("group", 1) != 1:
        raise NotOurs("groups")
    stride, dilation = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    pads = begin_and_end(a, x.shape[2:], w.shape[2:], stride, dilation)
    if all(begin == end for begin, end in pads):
        return ops.conv2d(x, w, b, stride, [begin for begin, _ in pads], dilation)
    return ops.conv2d(ops.pad(x, [(0, 0), (0, 0), *pads]), w, b, stride, 0, dilation)


def conv_transpose(a, x, w, b=None):
    """The full result, then cropped by the padding."""
    images(x)
    if a.get("group", 1) != 1:
        raise NotOurs("groups")
    stride, dilation, extra = a.get("strides", [1, 1]), a.get("dilations", [1, 1]), a.get("output_padding", [0, 0])
    y = ops.conv_transpose2d(x, w, None, stride, 0, extra, dilation)
    pads = list(zip(a.get("pads", [0] * 4)[:2], a.get("pads", [0] * 4)[2:], strict=True))
    same = a.get("auto_pad", b"NOTSET").decode()
    if same.startswith("SAME") or "output_shape" in a:
        wanted = a.get("output_shape", [n * s for n, s in zip(x.shape[2:], stride, strict=True)])
        total = [n - m for n, m in zip(y.shape[2:], wanted, strict=True)]
        pads = [(t // 2, t - t // 2) if same == "SAME_UPPER" else (t - t // 2, t // 2) for t in total]
    y = ops.pad(y, [(0, 0), (0, 0), *((max(0, -begin), max(0, -end)) for begin, end in pads)])
    (top, bottom), (left, right) = ((max(0, begin), max(0, end)) for begin, end in pads)
    y = y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]
    return y if b is None else y + b.reshape(1, -1, 1, 1)


def pool(a, x, largest):
    images(x)
    kernel, stride, ceil = a["kernel_shape"], a.get("strides", [1, 1]), bool(a.get("ceil_mode", 0))
    dilation = a.get("dilations", [1, 1])
    if not largest and (ceil or set(dilation) != {1}):
        raise NotOurs("average")
    pads = begin_and_end(a, x.shape[2:], kernel, stride, dilation)
    if largest and all(begin == end and 2 * begin <= k for (begin, end), k in zip(pads, kernel, strict=True)):
        return ops.max_pool2d(x, kernel, stride, [begin for begin, _ in pads], dilation, ceil)
    pads = [(0, 0), (0, 0), *pads]
    if largest:
        return ops.max_pool2d(ops.pad(x, pads, value=-np.inf), kernel, stride, 0, dilation, ceil)
    y = ops.avg_pool2d(ops.pad(x, pads), kernel, stride)
    inside = ops.avg_pool2d(ops.pad(np.ones(x.shape, np.float32), pads), kernel, stride)
    return y if a.get("count_include_pad", 0) else y / inside


def resize(a, x, roi=None, scales=None, sizes=None):
    images(x)
    mode = a.get("mode", b"nearest").decode()
    where = a.get("coordinate_transformation_mode", b"half_pixel").decode()
    rounding = a.get("nearest_mode", b"round_prefer_floor").decode()
    if (a.get("antialias") or "axes" in a or "keep_aspect_ratio_policy" in a
            or mode == "cubic" or where not in ("half_pixel", "asymmetric")):
        raise NotOurs("mode")
    wanted = [n * s for n, s in zip(x.shape[2:], scales.data[2:], strict=True)] if sizes is None else sizes[2:]
    size = tuple(int(m) for m in wanted)
    enlarges = all(m % n == 0 for n, m in zip(x.shape[2:], size, strict=True))
    if size != tuple(wanted):
        raise NotOurs("mode")  # minigan's scale is the ratio of the sizes
    if (mode, where) == ("linear", "half_pixel"):
        return ops.interpolate(x, size, "bilinear")
    if (where, rounding) == ("asymmetric", "floor") or (where == "half_pixel" and rounding[:5] == "round" and enlarges):
        return ops.interpolate(x, size, "nearest")
    raise NotOurs("mode")


# ---- the rest, where ONNX and NumPy differ only in names ----
def axes_of(a, axes):
    axes = a.get("axes") if axes is None else [int(i) for i in axes]
    return tuple(axes) if axes else () if a.get("noop_with_empty_axes") else None


def reduction(f):
    def call(a, x, axes=None):
        try:
            return f(x, axes_of(a, axes), bool(a.get("keepdims", 1)))
        except ShapeError:
            if 0 in x.shape:
                raise NotOurs("nothing") from None
            raise

    return call


def batch_norm(a, x, gamma, beta, mean, var):
    training, eps = bool(a.get("training_mode", 0)), a.get("epsilon", 1e-5)
    mean, var = mean.numpy(), var.numpy()
    y = ops.batch_norm(x, gamma, beta, mean, var, training, 1 - a.get("momentum", 0.9), eps)
    return (y, mean) if training else y  # ONNX's running variance is biased; PyTorch's and ours are not


def layer_norm(a, x, gamma, beta=None):
    lead = a.get("axis", -1) % x.ndim
    flat = x.reshape(int(np.prod(x.shape[:lead])), -1)
    y = ops.layer_norm(flat, gamma.reshape(-1), None if beta is None else beta.reshape(-1), a.get("epsilon", 1e-5))
    return y.reshape(x.shape)


def rms_norm(a, x, gamma):
    axes = tuple(range(a.get("axis", -1) % x.ndim, x.ndim))
    return x * (ops.mean(x * x, axes, True) + a.get("epsilon", 1e-5)) ** -0.5 * gamma


def pad(a, x, pads, value=None, axes=None):
    mode = a.get("mode", b"constant").decode()
    if mode not in ("constant", "reflect", "edge"):
        raise NotOurs("mode")
    widths = [(0, 0)] * x.ndim
    for i, axis in enumerate(range(x.ndim) if axes is None else axes):
        widths[axis] = (pads[i], pads[i + len(pads) // 2])
    return ops.pad(x, widths, mode=mode, value=number(value) or 0.0)


def cut(a, x, starts, ends, axes=None, steps=None):
    index = [slice(None)] * x.ndim
    for i, axis in enumerate(range(len(starts)) if axes is None else axes):
        step = 1 if steps is None else int(steps[i])
        end = int(ends[i])
        index[axis] = slice(int(starts[i]), None if step < 0 and end < -x.shape[axis] else end, step)
    return x[tuple(index)]


def split(a, x, sizes=None):
    axis = a.get("axis", 0)
    return ops.split(x, -(-x.shape[axis] // a["outputs"]) if sizes is None else [int(n) for n in sizes], axis)


def reshape(a, x, shape):
    keep = not a.get("allowzero", 0)
    return x.reshape(tuple(x.shape[i] if n == 0 and keep else int(n) for i, n in enumerate(shape)))


def unsqueeze(a, x, axes):
    shape = list(x.shape)
    for axis in sorted(int(i) % (x.ndim + len(axes)) for i in axes):
        shape.insert(axis, 1)
    return x.reshape(tuple(shape))


def squeeze(a, x, axes):
    return x.reshape(tuple(n for i, n in enumerate(x.shape) if i not in {int(j) % x.ndim for j in axes}))


def flatten(a, x):
    lead = int(np.prod(x.shape[: a.get("axis", 1)]))
    return x.reshape(lead, x.size // lead)


def gemm(a, x, y, c=None):
    product = (x.T if a.get("transA") else x) @ (y.T if a.get("transB") else y) * a.get("alpha", 1.0)
    return product if c is None else product + c * a.get("beta", 1.0)


def lp_normalization(a, x):
    axis = a.get("axis", -1)
    length = ops.norm(x, axis, True) if a.get("p", 2) == 2 else ops.sum(ops.abs(x), axis, True)
    return x / (length + (length.data == 0))


def dropout(a, x, ratio=None, training=None):
    if training is not None and training and (ratio is None or ratio.item() != 0):
        raise NotOurs("random")
    return ops.dropout(x, training=False)


def depth_to_space(a, x):
    if a.get("mode", b"DCR") != b"CRD":
        raise NotOurs("mode")
    return ops.pixel_shuffle(x, a["blocksize"])


def power(x, exponent):
    return ops.power(x, exponent if isinstance(exponent, Tensor) else mg.tensor(exponent))


def number(t):
    return None if t is None else t.item()


def simple(f):
    return lambda a, *xs: f(*xs)


def many(f):
    return lambda a, *xs: functools.reduce(f, xs)


OURS = {
    **{name: simple(getattr(ops, name.lower())) for name in (
        "Abs Add Sub Mul Div Neg Exp Log Sqrt Sign Relu Sigmoid Tanh Softplus MatMul".split())},
    "Reciprocal": simple(lambda x: 1.0 / x), "Identity": simple(lambda x: x), "Pow": simple(power),
    "Softsign": simple(lambda x: x / (1.0 + ops.abs(x))), "Mish": simple(lambda x: x * ops.tanh(ops.softplus(x))),
    "HardSwish": simple(lambda x: x * ops.clip(x / 6.0 + 0.5, 0, 1)),
    "Swish": lambda a, x: x * ops.sigmoid(x * a.get("alpha", 1.0)),
    "Where": lambda a, c, x, y: ops.where(c, x, y), "PRelu": simple(lambda x, s: ops.relu(x) - s * ops.relu(-x)),
    "Clip": lambda a, x, low=None, high=None: ops.clip(x, number(low), number(high)),
    "LeakyRelu": lambda a, x: ops.leaky_relu(x, a.get("alpha", 0.01)),
    "Elu": lambda a, x: ops.elu(x, a.get("alpha", 1.0)),
    "Celu": lambda a, x: a.get("alpha", 1.0) * ops.elu(x / a.get("alpha", 1.0)),
    "Selu": lambda a, x: a.get("gamma", 1.0507009873554805) * ops.elu(x, a.get("alpha", 1.6732632423543772)),
    "HardSigmoid": lambda a, x: ops.clip(x * a.get("alpha", 0.2) + a.get("beta", 0.5), 0, 1),
    "Softmax": lambda a, x: ops.softmax(x, a.get("axis", -1)),
    "LogSoftmax": lambda a, x: ops.log_softmax(x, a.get("axis", -1)),
    "Max": many(ops.maximum), "Min": many(ops.minimum), "Sum": many(ops.add),
    "Mean": lambda a, *xs: functools.reduce(ops.add, xs) / len(xs),
    "ReduceSum": reduction(ops.sum), "ReduceMean": reduction(ops.mean), "ReduceMax": reduction(ops.max),
    "ReduceMin": reduction(ops.min), "ReduceL2": reduction(ops.norm), "ReduceLogSumExp": reduction(ops.logsumexp),
    "ReduceL1": reduction(lambda x, axis, keep: ops.sum(ops.abs(x), axis, keep)),
    "ReduceSumSquare": reduction(lambda x, axis, keep: ops.sum(ops.square(x), axis, keep)),
    "ReduceLogSum": reduction(lambda x, axis, keep: ops.log(ops.sum(x, axis, keep))),
    "Reshape": reshape, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Flatten": flatten, "Slice": cut, "Split": split,
    "Transpose": lambda a, x: ops.transpose(x, a.get("perm")), "Concat": lambda a, *xs: ops.concat(xs, a["axis"]),
    "Expand": lambda a, x, shape: ops.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(int(n) for n in shape))),
    "Gather": lambda a, x, i: x[(*(slice(None),) * (a.get("axis", 0) % x.ndim), i)], "Pad": pad,
    "GatherND": lambda a, x, i: x[tuple(np.moveaxis(i, -1, 0))],
    "Gemm": gemm, "Conv": conv, "ConvTranspose": conv_transpose, "Resize": resize,
    "Upsample": lambda a, x, s: ops.upsample2d(x, tuple(int(n) for n in s.data[2:])),
    "BatchNormalization": batch_norm, "LayerNormalization": layer_norm, "RMSNormalization": rms_norm,
    "InstanceNormalization": lambda a, x, g, b: ops.instance_norm(x, g, b, a.get("epsilon", 1e-5)),
    "LpNormalization": lp_normalization, "Dropout": dropout, "DepthToSpace": depth_to_space,
    "GlobalAveragePool": lambda a, x: ops.global_avg_pool2d(x).reshape(*x.shape[:2], 1, 1),
    "GlobalMaxPool": lambda a, x: ops.max(x, (2, 3), True),
    "AveragePool": lambda a, x: pool(a, x, largest=False), "MaxPool": lambda a, x: pool(a, x, largest=True),
}

THEIRS = set("""
Acos Acosh Adagrad Adam AffineGrid And ArgMax ArgMin ArrayFeatureExtractor Asin Asinh Atan Atanh Attention Bernoulli
Binarizer BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CausalConvWithState
Ceil CenterCropPad Col2Im Compress Constant ConstantOfShape ConvInteger Cos Cosh CumProd CumSum DFT DeformConv
DequantizeLinear Det DynamicQuantizeLinear Einsum Equal Erf EyeLike FlexAttention Floor GRU GatherElements Gelu
Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow Hardmax If ImageDecoder IsInf IsNaN LRN
LSTM LabelEncoder Less LessOrEqual LinearAttention Loop LpPool MatMulInteger MaxUnpool MeanVarianceNormalization
MelWeightMatrix Mod Momentum NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot OptionalGetElement
OptionalHasElement Or QLinearConv QLinearMatMul QuantizeLinear RNN Range ReduceProd RegexFullMatch ReverseSequence
RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements ScatterND SequenceInsert SequenceMap Shape Shrink Sin
Sinh Size SoftmaxCrossEntropyLoss SpaceToDepth SplitToSequence StringConcat StringNormalizer StringSplit SwiGLU Tan
TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK TreeEnsemble Trilu Unique Xor
""".split())  # operators that minigan does not have
