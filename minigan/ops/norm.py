"""Normalisation: subtract a mean, divide by a standard deviation, scale and shift per channel.

Batch, instance and layer norm differ only in the elements that share a mean: `over` names the choice.

    "batch"      one mean per channel              over n and space
    "instance"   one per image and channel         over space
    "layer"      one per image                     over channels and space
    "joint"      one mean per channel              over n and space, of all ranks that train together
    "batches"    one per batch and channel         over space; each batch is one tall image, see regroup
"""

from __future__ import annotations

import math

import numpy as np

from minigan import kernels
from minigan.engine import Array, Operand, Remarks, S, Tensor, operation, primitive
from minigan.engine.distributed import joint
from minigan.errors import DTypeError, OptionError, ShapeError
from minigan.ops._samples import normal
from minigan.ops.activation import gate, leaky_relu
from minigan.ops.elementwise import power
from minigan.ops.ranks import over_ranks
from minigan.ops.reduce import mean, sum
from minigan.ops.shape import regroup, reshape

KERNELS = {"joint": "batch", "batches": "instance"}  # over what a kernel normalises, where it is called otherwise


def _axes(over, ndim):
    """The axes that share a mean."""
    space = tuple(range(2, ndim))
    return {"batch": (0, *space), "joint": (0, *space), "instance": space, "batches": space, "layer": (1, *space)}[over]


def _mean(v, over):
    """The mean of v (N, C, ...) over the elements that `over` names."""
    own = mean(v, _axes(over, v.ndim), True)
    return over_ranks(own) if over == "joint" else own


def _moments(x, over, eps):
    """Moments of an array x (N, C, ...). Ranks have equally many elements: their means and variances are averaged."""
    own = kernels.norm_stats(x, KERNELS.get(over, over), eps)
    if over != "joint" or joint().size == 1:
        return own
    every = joint().gather(np.stack([own.mean, own.var])[None])  # (ranks, 2, 1, C, 1, ...)
    middle = every[:, 0].mean(0)
    var = (every[:, 1] + np.square(every[:, 0] - middle)).mean(0)
    return kernels.Moments(middle, var, 1 / np.sqrt(var + eps))


def _channels(v, ndim):
    """A vector (C,) shaped to broadcast along axis 1."""
    return reshape(v, (1, -1, *(1,) * (ndim - 2)))


def _samples(rng):
    return [S(normal(rng, 4, 3, 2, 5), normal(rng, 3), normal(rng, 3), over="batch", eps=1e-5),
            S(normal(rng, 5, 3), normal(rng, 3), normal(rng, 3), over="batch", eps=1e-2),
            S(normal(rng, 2, 3, 4, 2), normal(rng, 3), normal(rng, 3), over="instance", eps=1e-5),
            S(normal(rng, 2, 2, 3, 2), over="layer", eps=1e-5),
            S(normal(rng, 3, 2, 2, 2), normal(rng, 2), normal(rng, 2), over="joint", eps=1e-5, slope=0.2),
            S(normal(rng, 3, 2, 2, 3), normal(rng, 2), normal(rng, 2), over="batch", eps=1e-5, slope=0.2),
            S(normal(rng, 2, 3, 4, 2), normal(rng, 3), normal(rng, 3), over="batches", eps=1e-5, slope=0.2),
            S(normal(rng, 2, 3, 2, 3), normal(rng, 3), normal(rng, 3), over="instance", eps=1e-5, slope=0.0),
            S(normal(rng, 2, 2, 3, 2), normal(rng, 2), normal(rng, 2), normal(rng, 2, 2, 3, 2), over="instance",
              eps=1e-5),
            S(normal(rng, 3, 2, 2), normal(rng, 2), normal(rng, 2), normal(rng, 3, 2, 2), over="joint", eps=1e-5,
              slope=0.2)]


def _reads(over, eps, slope=None, moments=None, running=None):
    """What the rules need: y only for its sign."""
    return ("x", "gamma") if slope is None else ("x", "gamma", "y")


def _recomputed(x, gamma, beta, addend, *, over, **_):
    """Results of instance norm are: its networks, for image translation, are deep, their images large.

    Not with an addend: the graph would have to keep that one instead.
    """
    return over == "instance" and addend is None


def _dead(y, slope=None, **_):
    """Units that pass no gradient on, for `explain`: there are such only with a relu on top."""
    return y <= 0 if slope == 0 else None


@primitive(samples=_samples, keeps=_reads, recomputed=_recomputed,
           remarks=Remarks(dead=_dead, summed=("gamma", "beta"), unscaled=("x",)), mixed=True)
def normalize(x: Array, gamma: Array | None = None, beta: Array | None = None, addend: Array | None = None, *,
              over: str, eps: float, slope: float | None = None, moments: list[kernels.Moments] | None = None,
              running: kernels.Running | None = None) -> Array:
    """Normalise x (N, C, ...) over the elements that `over` names; gamma and beta are (C,) or None.

    addend, of x's shape or None, is added: the x of a residual block, whose sum then needs no sweep of its own.
    With a slope >= 0, y is leaky_relu of that (0: relu): in one sweep over memory, and with one array less to keep.
    `moments` is a list: of kernels.norm_stats of x, when the caller has them already; an empty one is given them.
    `running` statistics are moved by the launch that computes moments, if it does so here; not for "joint".

    Forward   y = gamma xhat + beta + addend,   xhat = (x - mean) rstd,   rstd = (var + eps)^(-1/2),   var biased
    VJP       g = gamma gy        gx = rstd (g - mean(g) - xhat mean(g xhat))        gaddend = gy
              gbeta = sum gy        ggamma = sum gy xhat        (per channel);   with a slope, gate(gy, y) for gy
    Why       x enters through itself, through the mean and through rstd. The first term is the direct way. Shifting
              all x together changes no y, so gx has no mean: the second term takes it off. Scaling them together
              changes no y (except through eps), so gx is orthogonal to xhat: the third takes that off.
    Source    Ioffe & Szegedy, Batch normalization, 2015, section 3.

    Raises:
        ShapeError: an addend of another shape than x.
    """
    _fits("normalize", x, addend)
    addend = None if addend is None else kernels.cast(addend, x.dtype)  # bfloat16 and float32 may meet
    if not moments and over != "joint":
        y, *own = kernels.normalized(x, KERNELS.get(over, over), eps, gamma, beta, slope, running, addend=addend)
        if moments is not None:
            moments.append(kernels.Moments(*own))
        return y
    m = moments[0] if moments else _moments(x, over, eps)
    if moments is not None and not moments:
        moments.append(m)
    return kernels.norm_apply(x, m.mean, m.rstd, gamma, beta, slope, addend=addend)


def _fits(op, x, addend):
    """Check that an addend, if there is one, has x's shape."""
    if addend is not None and (shape := np.shape(addend)) != x.shape:
        raise ShapeError(f"{op}: the addend {shape} must have the shape of x {x.shape}; nothing is broadcast")


def _xhat(x, over, eps):
    """Recomputed from Tensors, so that second derivatives see how xhat and rstd depend on x."""
    centred = x - _mean(x, over)
    rstd = power(_mean(centred * centred, over) + eps, -0.5)
    return centred * rstd, rstd


def _opened(gy, y, slope):
    """The cotangent of what went into the activation; y's sign is that of its input."""
    return gy if slope is None else gate(gy, y.detach(), slope=slope)


def _gx(gy, y, x, gamma, beta, addend, *, over, eps, slope=None, moments=None, running=None):
    xhat, rstd = _xhat(x, over, eps)
    g = _opened(gy, y, slope)
    g = g if gamma is None else g * _channels(gamma, x.ndim)
    return rstd * (g - _mean(g, over) - xhat * _mean(g * xhat, over))


def _ggamma(gy, y, x, gamma, beta, addend, *, over, eps, slope=None, moments=None, running=None):
    return sum(_opened(gy, y, slope) * _xhat(x, over, eps)[0], _axes("batch", x.ndim))


def _gbeta(gy, y, x, gamma, beta, addend, *, over, eps, slope=None, moments=None, running=None):
    return sum(_opened(gy, y, slope), _axes("batch", x.ndim))


normalize.defvjp(x=_gx, gamma=_ggamma, beta=_gbeta,
                 addend=lambda gy, y, x, gamma, beta, addend, *, slope=None, **_: _opened(gy, y, slope))


@normalize.defonnx
def _normalize_onnx(o, x, gamma, beta, addend, over, eps, slope=None, moments=None, running=None):
    if over in ("batch", "batches"):
        o.refuse("it normalises by the statistics of its batch; export the network in evaluation mode, with running "
                 "statistics")
    sizes = x.shape[1:2] if over == "instance" else x.shape[1:]
    if over == "instance":
        y = o("InstanceNormalization", x, np.ones(sizes, np.float32) if gamma is None else gamma,
              np.zeros(sizes, np.float32) if beta is None else beta, epsilon=float(eps))
    else:
        y = o("LayerNormalization", x, np.ones(sizes, np.float32), axis=1, epsilon=float(eps))
    y = y if addend is None else o("Add", addend, y)
    return y if slope is None else o("LeakyRelu", y, alpha=float(slope)) if slope else o("Relu", y)


@normalize.deffused
def _normalize_grad(gy, y, x, gamma, beta, addend, *, over, eps, slope=None, moments=None, running=None):
    """Three of the cotangents from two sweeps over x and gy; equals the rules above on every sample."""
    m = moments[0] if moments else _moments(x, over, eps)
    share = _of_all_ranks if over == "joint" and joint().size > 1 else None
    gaddend = gy if slope is None else lambda: kernels.gate(gy, y, slope)  # without a slope no sweep at all
    return *kernels.norm_grad(gy, x, m.mean, m.rstd, gamma, KERNELS.get(over, over), y, slope, share), gaddend


def _of_all_ranks(sums):
    """The mean over ranks of sums (2, C) over their rows: divided by a rank's rows, those of all."""
    return joint().mean([sums])[0]


def _affine(op, x, gamma, beta):
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ShapeError(f"{op}: x {x.shape} must be (N, C, ...), and only N may be 0")
    for name, v in (("gamma", gamma), ("beta", beta)):
        if v is not None and v.shape != x.shape[1:2]:
            raise ShapeError(f"{op}: {name} {v.shape} must have one element per channel of x {x.shape}: "
                             f"({x.shape[1]},)")


def _no_tensors(op, running_mean, running_var):
    if any(isinstance(v, Tensor) or not (v is None or hasattr(v, "dtype")) for v in (running_mean, running_var)):
        raise DTypeError(f"{op}: running_mean and running_var are updated in place: arrays (C,), no Tensors")


def _by_running(op, x, gamma, beta, running_mean, running_var, eps, slope, addend):
    """Normalise by constants, the running statistics: one scale and one shift per channel."""
    if running_mean is None or running_var is None:
        raise OptionError(f"{op}: evaluation needs running_mean and running_var; train first or training=True")
    rstd = 1 / np.sqrt(running_var + eps)
    real = np.float32 if kernels.is_bfloat16(x) else x.dtype
    scale = (1.0 if gamma is None else gamma) * rstd.astype(real)
    shift = (0.0 if beta is None else beta) - scale * running_mean.astype(real)
    return _finished(x * _channels(scale, x.ndim) + _channels(shift, x.ndim), slope, addend)


def _finished(y, slope, addend):
    """What follows a normalisation that does not do it by itself: a sum, a leaky_relu."""
    y = y if addend is None else addend + y
    return y if slope is None else leaky_relu(y, slope)


def _by_nothing(x, gamma, beta, slope, addend):
    """No images have no statistics: the result is empty, gradients are 0, running statistics stay as they are."""
    y = reshape(x, x.shape) if gamma is None else x * _channels(gamma, x.ndim)
    return _finished(y if beta is None else y + _channels(beta, x.ndim), slope, addend)


@operation(samples=lambda rng: [S(normal(rng, 3, 2, 2, 3), normal(rng, 2), normal(rng, 2)),
                                S(normal(rng, 2, 3, 2, 2), normal(rng, 3), normal(rng, 3), running_mean=np.ones(3),
                                  running_var=np.full(3, 2.0), training=False),
                                S(normal(rng, 6, 2, 2, 3), normal(rng, 2), normal(rng, 2), slope=0.2, batches=2)])
def batch_norm(x: Operand, gamma: Operand | None = None, beta: Operand | None = None,
               running_mean: np.ndarray | None = None, running_var: np.ndarray | None = None, training: bool = True,
               momentum: float = 0.1, eps: float = 1e-5, slope: float | None = None, batches: int = 1,
               *, addend: Operand | None = None) -> Tensor:
    """Batch normalisation of x (N, C, ...); gamma and beta are (C,) or None; slope: a leaky_relu on top, or None.

    In training the statistics are the batch's, and running_mean and running_var (float arrays (C,), optional) are
    updated in place: running = (1 - momentum) running + momentum batch, PyTorch's convention, with the unbiased
    variance. Otherwise the running statistics are used. Of ranks that train together, the batch is the joint one,
    unless their World has joint_norm = False.

    x may hold `batches` of one size, one after the other: in training, each is normalised by its own statistics, and
    the running ones move once for each, in order, as if each had come by itself. Not with a joint batch.

    An addend of x's shape is added before the leaky_relu, without a sweep over memory of its own in training.

    Forward   y = gamma (x - mean) / (var + eps)^(1/2) + beta + addend,   mean and var per channel, var biased
    VJP       see normalize; when not training, gx = gamma gy rstd
    Why       see normalize.
    Source    Ioffe & Szegedy, Batch normalization, 2015.

    Raises:
        ShapeError: one value per channel (nothing to normalise over), or gamma, beta, addend of another size.
        OptionError: several batches of different sizes, or of a joint batch.
    """
    _affine("batch_norm", x, gamma, beta)
    _fits("batch_norm", x, addend)
    _no_tensors("batch_norm", running_mean, running_var)
    over = "joint" if joint().size > 1 and joint().joint_norm else "batch" if batches == 1 else "batches"
    if batches != 1 and (batches < 1 or over == "joint" or len(x) % batches):
        raise OptionError(f"batch_norm: {len(x)} samples cannot be {batches} batches "
                          f"{'of several ranks' if over == 'joint' else 'of one size'}; use batches=1")
    ranks = joint().size if over == "joint" else 1
    per = math.prod(x.shape) // x.shape[1] // batches * ranks if x.shape[1] else 0
    if not training:
        return _by_running("batch_norm", x, gamma, beta, running_mean, running_var, eps, slope, addend)
    if not len(x):
        return _by_nothing(x, gamma, beta, slope, addend)
    if per < 2:
        shape = len(x) // batches, *x.shape[1:]  # of each batch
        raise ShapeError(f"batch_norm: x {shape} has {per} value per channel: a batch of one point has no variance; "
                         "use a larger batch, instance_norm, or training=False")
    images, more = (v if v is None or batches == 1 else regroup(v, batches)  # (batches, C, N/batches * H, ...)
                    for v in (x, addend))
    running = None
    if running_mean is not None and running_var is not None:
        running = kernels.Running(running_mean, running_var, momentum)
    own = running if joint().size == 1 else None  # moved by the kernel that computes the moments
    moments: list[kernels.Moments] = []  # backward wants them
    y = normalize(images, gamma, beta, more, over=over, eps=eps, slope=slope, moments=moments, running=own)
    if running is not None and own is None:
        middle, var = moments[0][:2] if over == "joint" else joint().mean(moments[0][:2])  # the same on all ranks
        for i in range(batches):
            kernels.update_running(*running[:2], middle[i : i + 1], var[i : i + 1], momentum, per)
    return y if batches == 1 else regroup(y, len(x), x.ndim)  # (N, C, ...)


@operation(samples=lambda rng: [S(normal(rng, 2, 3, 4, 2), normal(rng, 3), normal(rng, 3)),
                                S(normal(rng, 1, 2, 3, 3)),
                                S(normal(rng, 2, 3, 2, 2), normal(rng, 3), normal(rng, 3), running_mean=np.ones(3),
                                  running_var=np.full(3, 2.0), training=False)])
def instance_norm(x: Operand, gamma: Operand | None = None, beta: Operand | None = None, eps: float = 1e-5,
                  slope: float | None = None, running_mean: np.ndarray | None = None,
                  running_var: np.ndarray | None = None, training: bool = True, momentum: float = 0.1, *,
                  addend: Operand | None = None) -> Tensor:
    """Instance normalisation of x (N, C, H, W): every channel of every image by its own mean and variance.

    gamma and beta are (C,) or None; slope: a leaky_relu on top, or None.

    In training, running_mean and running_var (float arrays (C,), optional) are updated in place as in batch_norm, by
    momentum, with the means over the batch of the images' means and unbiased variances. Otherwise the running
    statistics are used. addend: as in batch_norm, the x of a residual block.

    Forward   y = gamma (x - mean) / (var + eps)^(1/2) + beta + addend,   mean and var over space
    VJP       see normalize; when not training, gx = gamma gy rstd
    Why       batch_norm with its statistics grouped per image.
    Source    Ulyanov, Vedaldi & Lempitsky, Instance normalization, 2016.

    Raises:
        ShapeError: one pixel (every output would be beta), or an addend of another shape than x.
    """
    _affine("instance_norm", x, gamma, beta)
    _fits("instance_norm", x, addend)
    _no_tensors("instance_norm", running_mean, running_var)
    if not training:
        return _by_running("instance_norm", x, gamma, beta, running_mean, running_var, eps, slope, addend)
    per = math.prod(x.shape[2:])
    if not len(x):
        return _by_nothing(x, gamma, beta, slope, addend)
    if per < 2:
        raise ShapeError(f"instance_norm: x {x.shape} has one value per image and channel: nothing to normalise over")
    moments: list[kernels.Moments] = []  # backward wants them
    y = normalize(x, gamma, beta, addend, over="instance", eps=eps, slope=slope, moments=moments)
    if running_mean is not None and running_var is not None:
        middle, spread = (kernels.reduce_sum(v, 0, True) / len(v) for v in moments[0][:2])  # (1, C, 1, 1)
        kernels.update_running(running_mean, running_var, middle, spread, momentum, per)
    return y


@operation(samples=lambda rng: [S(normal(rng, 2, 3, 2, 2), normal(rng, 3, 2, 2), normal(rng, 3, 2, 2)),
                                S(normal(rng, 2, 5), normal(rng, 5), normal(rng, 5)), S(normal(rng, 2, 2, 3))])
def layer_norm(x: Operand, gamma: Operand | None = None, beta: Operand | None = None, eps: float = 1e-5) -> Tensor:
    """Layer normalisation of x (N, C, ...) over all axes but the first; gamma, beta have x's shape without N.

    Forward   y = gamma (x - mean) / (var + eps)^(1/2) + beta,   mean and var per sample
    VJP       see normalize
    Why       independent of the other samples, so the critic of a WGAN-GP may use it.
    Source    Ba, Kiros & Hinton, Layer normalization, 2016.
    """
    _affine("layer_norm", x, None, None)
    for name, v in (("gamma", gamma), ("beta", beta)):
        if v is not None and v.shape != x.shape[1:]:
            raise ShapeError(f"layer_norm: {name} {v.shape} must be x's shape without the batch, {x.shape[1:]}")
    y = normalize(x, over="layer", eps=eps) if len(x) else reshape(x, x.shape)  # of no samples, nothing
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


@operation(samples=lambda rng: [S(normal(rng, 2, 3, 2, 2)), S(normal(rng, 3, 4))])
def pixel_norm(x: Operand, eps: float = 1e-8) -> Tensor:
    """Scale the channel vector of every pixel to unit mean square; x (N, C, ...).

    Forward   y = x (mean_c x^2 + eps)^(-1/2)
    VJP       gx = r (gy - y mean_c(gy y)),   r the scale
    Why       scaling a pixel's vector changes no y, so gx is orthogonal to y.
    Source    Karras et al., Progressive growing of GANs, 2018, section 4.2.
    """
    return x * power(mean(x * x, 1, True) + eps, -0.5)


__all__ = ["batch_norm", "instance_norm", "layer_norm", "normalize", "pixel_norm"]
