"""Convolution and its two adjoints: the three partial derivatives of one trilinear form.

    T(x, w, g) = sum_{n,o,i,j,c,k,l}  g[n,o,i,j]  x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW]  w[o,c,k,l]

    dT/dg = conv2d(x, w)      dT/dx = conv_transpose2d(g, w)      dT/dw = conv2d_weight_grad(x, g)

Because T is linear in each argument, every derivative of the three is again one of the three, at any order.
Images are x (N, C, H, W); stride S, padding P and dilation D are ints or (h, w) pairs.
"""

from __future__ import annotations

import operator
from typing import TypeAlias

import numpy as np

from minigan import kernels
from minigan.engine import Array, Remarks, S, primitive
from minigan.errors import ShapeError, shape
from minigan.ops._samples import normal
from minigan.ops.pad import fold, fold_onto
from minigan.ops.reduce import sum

Pair: TypeAlias = int | tuple[int, int]  # one number for both axes, or (h, w)


def pair(value: Pair, name: str, least: int) -> tuple[int, int]:
    """An int or a pair (h, w) as a pair of ints that are at least `least`."""
    if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int and min(value) >= least:
        return value  # nearly always: the engine's own calls have pairs
    try:
        h, w = (value, value) if isinstance(value, int | np.integer) else map(operator.index, value)
    except (TypeError, ValueError):
        raise ShapeError(f"{name}: {value!r} is neither an int nor a pair (h, w)") from None
    if min(h, w) < least:
        raise ShapeError(f"{name}={value} must be at least {least}")
    return int(h), int(w)


def geometry(op: str, stride: Pair, padding: Pair, dilation: Pair) -> tuple[tuple[int, int], ...]:
    """The three pairs, validated."""
    if type(stride) is type(padding) is type(dilation) is int and stride > 0 <= padding and dilation > 0:
        return (stride, stride), (padding, padding), (dilation, dilation)  # nearly always
    return pair(stride, f"{op}: stride", 1), pair(padding, f"{op}: padding", 0), pair(dilation, f"{op}: dilation", 1)


def out_size(op: str, size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, int],
             padding: tuple[int, int], dilation: tuple[int, int], ceil: bool = False) -> tuple[int, ...]:
    """Sizes after a convolution: floor((size + 2 P - D (K - 1) - 1) / S) + 1 per axis; ceil: see kernels.geometry."""
    out = kernels.out_sizes(size, kernel, stride, padding, dilation, ceil)
    if min(out) < 1:
        raise ShapeError(f"{op}: the image {shape(H=size[0], W=size[1])} with padding {padding} is smaller than the "
                         f"kernel {shape(KH=kernel[0], KW=kernel[1])} with dilation {dilation}")
    return out


def check_images(op, x, w, axis, fits):
    """Check ranks and that x's channels are axis `axis` of w; `fits` names w's axes."""
    if x.ndim != 4 or w.ndim != 4:
        raise ShapeError(f"{op}: x {x.shape} must be (N, C, H, W) and w {w.shape} must be ({', '.join(fits)})")
    if 0 in x.shape[1:] or 0 in w.shape:
        raise ShapeError(f"{op}: x {x.shape} or w {w.shape} is empty")
    if x.shape[1] != w.shape[axis]:
        raise ShapeError(f"{op}: x {shape(**dict(zip('NCHW', x.shape, strict=True)))} has C={x.shape[1]}, "
                         f"but w {shape(**dict(zip(fits, w.shape, strict=True)))} needs C={w.shape[axis]}")


def no_images(x: Array, *sizes: int) -> Array:
    """The result for a batch x of no images, which no kernel need see: (0, *sizes)."""
    return np.zeros_like(x, shape=(0, *sizes))


def check_bias(op, b, channels):
    """Check that a bias has one number for each channel that goes out."""
    if b is not None and b.shape != (channels,):
        raise ShapeError(f"{op}: b {b.shape} must have one element per output channel, ({channels},)")


def bias_vjp(gy, y, x, w, b, **geometry):
    """The gradient of a bias: the sum of gy over images and pixels."""
    return sum(gy, axis=(0, 2, 3))


def read_last(x, gy, *parameters):
    """A context for the gradient of parameters, made of x and gy: beside the rest of the pass, if they are leaves."""
    leaves = all(p is None or (p.node is None and not kernels.is_bfloat16(p)) for p in parameters)
    return kernels.beside(leaves, x.data, gy.data)


def _filters_grad(w, b, x, gy, **how):
    """conv2d_weight_grad, which may leave the sums of gy for the bias's gradient: the rule of b comes next."""
    with kernels.sums_wanted(b is not None and b.requires_grad), read_last(x, gy, w, b):
        return conv2d_weight_grad(x, gy, kernel_size=w.shape[2:], **how)


WEIGHTS = Remarks(summed=("w", "b"), shifts=("b",))

# Geometry that finds mistakes: all sizes and pairs distinct, a row that the stride drops, dilation, one pixel.
_X, _W, _G = (2, 3, 6, 5), (4, 3, 3, 2), (2, 4, 3, 8)
_PLAIN = {"stride": (2, 1), "padding": (1, 2)}  # (6 + 2 - 3) % 2 = 1: the last row is dropped
_WIDE = {"stride": (1, 3), "padding": (2, 0), "dilation": (2, 1)}


def _conv_samples(rng):
    return [S(normal(rng, *_X), normal(rng, *_W), normal(rng, 4), **_PLAIN),
            S(normal(rng, 1, 2, 5, 7), normal(rng, 3, 2, 3, 2), **_WIDE),
            S(normal(rng, 2, 1, 4, 3), normal(rng, 1, 1, 4, 3), normal(rng, 1)),
            S(normal(rng, 2, 2, 4, 3), normal(rng, 3, 2, 3, 2), normal(rng, 3), padding=(2, 1), reflect=True)]


@primitive(samples=_conv_samples, linear_in=("x", "w"), keeps=("x", "w"), remarks=WEIGHTS, mixed=True,
           product=True)
def conv2d(x: Array, w: Array, b: Array | None = None, stride: Pair = 1, padding: Pair = 0,
           dilation: Pair = 1, *, reflect: bool = False) -> Array:
    """Cross-correlate images x (N, C, H, W) with filters w (O, C, KH, KW); b (O,) or None.

    stride S, padding P and dilation D are ints or (h, w) pairs. Beyond its edges x is 0 or, with reflect, mirrored as
    by pad: conv2d(pad(x, P, "reflect"), w), without the copy where a kernel reads the mirrored pixels in their place.

    Forward   y[n,o,i,j] = b[o] + sum_{c,k,l} x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] w[o,c,k,l]
    VJP       gx = conv_transpose2d(gy, w)        gw = conv2d_weight_grad(x, gy)        gb = sum_{n,i,j} gy
              with reflect, gx = fold(conv_transpose2d(gy, w)), of the image with its border
    Why       y is linear in x and in w, so each vjp is the adjoint of that linear map.
    Source    Dumoulin & Visin, A guide to convolution arithmetic for deep learning, 2016, sections 2 and 4.
    """
    stride, padding, dilation = geometry("conv2d", stride, padding, dilation)
    check_images("conv2d", x, w, 1, ("O", "C", "KH", "KW"))
    _mirrors("conv2d", x, padding, reflect)
    check_bias("conv2d", b, len(w))
    out = out_size("conv2d", x.shape[2:], w.shape[2:], stride, padding, dilation)
    if not len(x):
        return no_images(x, len(w), *out)
    return kernels.conv2d(x, w, b, stride, padding, dilation, reflect)


def _mirrors(op, x, padding, reflect):
    """Check that x is large enough to be mirrored into its border."""
    if reflect and (padding[0] >= x.shape[2] or padding[1] >= x.shape[3]):
        raise ShapeError(f"{op}: reflecting {padding} pixels needs an image of more than that along each axis; x "
                         f"{x.shape} is {shape(H=x.shape[2], W=x.shape[3])}; pad less or use ops.pad with mode='edge'")


def _image_grad(g, w, size, stride=1, padding=0, dilation=1, reflect=False, arrived=None):
    """The adjoint of conv2d in its image of `size` (H, W); added to what has arrived there."""
    if not reflect:
        gx = conv_transpose2d(g, w, stride=stride, padding=padding, dilation=dilation, output_size=size)
        return gx if arrived is None else arrived + gx
    PH, PW = pair(padding, "conv2d: padding", 0)
    whole = conv_transpose2d(g, w, stride=stride, dilation=dilation, output_size=(size[0] + 2 * PH, size[1] + 2 * PW))
    widths = ((0, 0), (0, 0), (PH, PH), (PW, PW))
    return fold(whole, widths, "reflect") if arrived is None else fold_onto(arrived, whole, widths, "reflect")


conv2d.defvjp(
    x=lambda gy, y, x, w, b, **geo: _image_grad(gy, w, x.shape[2:], **geo),
    w=lambda gy, y, x, w, b, **geo: _filters_grad(w, b, x, gy, **geo),
    b=bias_vjp,
)
conv2d.defsum(x=lambda arrived, gy, y, x, w, b, **geo: _image_grad(gy, w, x.shape[2:], arrived=arrived, **geo))


@conv2d.defonnx
def _conv2d_onnx(o, x, w, b, stride=1, padding=0, dilation=1, reflect=False):
    strides, (PH, PW), dilations = geometry("conv2d", stride, padding, dilation)
    if reflect:
        x, PH, PW = o("Pad", x, [0, 0, PH, PW] * 2, mode="reflect"), 0, 0
    return o("Conv", x, w, b, strides=strides, pads=(PH, PW) * 2, dilations=dilations)


def _transpose_samples(rng):
    return [S(normal(rng, *_G), normal(rng, *_W), normal(rng, 3), output_size=_X[2:], **_PLAIN),
            S(normal(rng, 1, 3, 4, 2), normal(rng, 3, 2, 3, 2), output_padding=(1, 0), stride=(3, 2),
              padding=(1, 0), dilation=(2, 1)),
            S(normal(rng, 2, 3, 1, 1), normal(rng, 3, 2, 3, 4), normal(rng, 2)),
            S(normal(rng, 1, 2, 2, 3), normal(rng, 2, 1, 1, 2), stride=3)]  # stride > kernel: some outputs get nothing


@primitive(samples=_transpose_samples, linear_in=("x", "w"), keeps=("x", "w"), remarks=WEIGHTS, mixed=True,
           product=True)
def conv_transpose2d(x: Array, w: Array, b: Array | None = None, stride: Pair = 1, padding: Pair = 0,
                     output_padding: Pair = 0, dilation: Pair = 1, output_size: Pair | None = None) -> Array:
    """The adjoint of conv2d in x: x (N, C_in, H, W), w (C_in, C_out, KH, KW), b (C_out,) or None.

    stride S, padding P and dilation D are conv2d's. `output_padding` rows are added at the bottom (columns at the
    right), or `output_size` gives the size outright: any that conv2d with this geometry maps back to (H, W).

    Forward   y[n,o, i*SH-PH+k*DH, j*SW-PW+l*DW] += x[n,c,i,j] w[c,o,k,l]        plus b[o]
    VJP       gx = conv2d(gy, w)        gw = conv2d_weight_grad(gy, x)        gb = sum_{n,i,j} gy
    Why       <conv2d(a, w), x> = <a, conv_transpose2d(x, w)> for all a: the same trilinear form, read the other way.
    Source    Dumoulin & Visin, 2016, section 4; Zeiler et al., Deconvolutional networks, 2010.
    """
    op = "conv_transpose2d"
    stride, padding, dilation = geometry(op, stride, padding, dilation)
    check_images(op, x, w, 0, ("C_in", "C_out", "KH", "KW"))
    check_bias(op, b, w.shape[1])
    extra = pair(output_padding, f"{op}: output_padding", 0)
    if output_size is None:
        if any(e >= s for e, s in zip(extra, stride, strict=True)):  # else it would be no adjoint of a conv2d
            raise ShapeError(f"{op}: output_padding={extra} must be smaller than stride {stride}; "
                             "to add more rows, pad x with zeros at the end")
        output_size = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, d, e in zip(
            x.shape[2:], w.shape[2:], stride, padding, dilation, extra, strict=True))
    output_size = pair(output_size, f"{op}: the output size", 1)
    if out_size(op, output_size, w.shape[2:], stride, padding, dilation) != x.shape[2:]:
        raise ShapeError(f"{op}: conv2d of an image of {output_size} does not give back x's {x.shape[2:]} "
                         f"(stride {stride}, padding {padding}, dilation {dilation}, kernel {w.shape[2:]})")
    if not len(x):
        return no_images(x, w.shape[1], *output_size)
    return kernels.conv_transpose2d(x, w, b, stride, padding, dilation, output_size)


conv_transpose2d.defvjp(
    x=lambda gy, y, x, w, b, **geo: conv2d(gy, w, **_forward(geo)),
    w=lambda gy, y, x, w, b, **geo: _filters_grad(w, None, gy, x, **_forward(geo)),
    b=bias_vjp,
)


@conv_transpose2d.defonnx
def _conv_transpose2d_onnx(o, x, w, b, stride=1, padding=0, output_padding=0, dilation=1, output_size=None):
    strides, pads, dilations = geometry("conv_transpose2d", stride, padding, dilation)
    extra = [size - ((n - 1) * s - 2 * p + d * (k - 1) + 1) for size, n, s, p, d, k in zip(
        o.shape[2:], x.shape[2:], strides, pads, dilations, w.shape[2:], strict=True)]
    return o("ConvTranspose", x, w, b, strides=strides, pads=pads * 2, dilations=dilations, output_padding=extra)


def _forward(geo):
    """The geometry that conv2d shares with its adjoint in x."""
    return {name: value for name, value in geo.items() if name not in ("output_padding", "output_size")}


@primitive(samples=lambda rng: [S(normal(rng, *_X), normal(rng, *_G), kernel_size=_W[2:], **_PLAIN),
                                S(normal(rng, 1, 2, 5, 7), normal(rng, 1, 3, 5, 2), kernel_size=(3, 2), **_WIDE),
                                S(normal(rng, 2, 1, 4, 3), normal(rng, 2, 1, 1, 1), kernel_size=(4, 3)),
                                S(normal(rng, 2, 2, 4, 3), normal(rng, 2, 3, 6, 4), kernel_size=(3, 2), padding=(2, 1),
                                  reflect=True)],
           linear_in=("x", "g"), keeps=("x", "g"), mixed=True)
def conv2d_weight_grad(x: Array, g: Array, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0,
                       dilation: Pair = 1, *, reflect: bool = False) -> Array:
    """The adjoint of conv2d in w: images x (N, C, H, W) and cotangents g (N, O, OH, OW) give (O, C, KH, KW).

    kernel_size is (KH, KW) or an int for both; stride S, padding P, dilation D and reflect are conv2d's.

    Forward   y[o,c,k,l] = sum_{n,i,j} x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] g[n,o,i,j]
    VJP       gx = conv_transpose2d(g, gy)        gg = conv2d(x, gy);        with reflect, gx as for conv2d
    Why       <conv2d(x, v), g> = <v, conv2d_weight_grad(x, g)> for all v: the same trilinear form once more.
    """
    op = "conv2d_weight_grad"
    stride, padding, dilation = geometry(op, stride, padding, dilation)
    kernel = pair(kernel_size, f"{op}: kernel_size", 1)
    if x.ndim != 4 or g.ndim != 4 or len(x) != len(g) or 0 in (*x.shape[1:], *g.shape[1:]):
        raise ShapeError(f"{op}: x {x.shape} and g {g.shape} must be (N, C, H, W) and (N, O, OH, OW) with one N, "
                         "no other axis empty")
    if out_size(op, x.shape[2:], kernel, stride, padding, dilation) != g.shape[2:]:
        raise ShapeError(f"{op}: g {g.shape} is not the size that conv2d of x {x.shape} has with kernel {kernel}, "
                         f"stride {stride}, padding {padding}, dilation {dilation}")
    _mirrors(op, x, padding, reflect)
    if not len(x):
        return np.zeros_like(x, shape=(g.shape[1], x.shape[1], *kernel))  # a sum over no images
    return kernels.conv2d_weight_grad(x, g, kernel, stride, padding, dilation, reflect)


conv2d_weight_grad.defvjp(
    x=lambda gy, y, x, g, *, kernel_size, **geo: _image_grad(g, gy, x.shape[2:], **geo),
    g=lambda gy, y, x, g, *, kernel_size, **geo: conv2d(x, gy, **geo),
)


__all__ = ["conv2d", "conv2d_weight_grad", "conv_transpose2d"]
