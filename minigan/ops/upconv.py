"""Up-convolution: nearest up-sampling and convolution in one, and its two adjoints; the filters that it takes.

    U(x, w, g) = sum_{n,o,i,j,c,k,l}  g[n,o,i,j]  x[n,c, (i-PH+k)//SH, (j-PW+l)//SW]  w[o,c,k,l]     where inside x

    dU/dg = upconv2d(x, w)      dU/dx = upconv2d_adjoint(g, w)      dU/dw = upconv2d_weight_grad(x, g)

As for conv2d, every derivative of the three is again one of the three.
"""

import numpy as np

from minigan import kernels
from minigan.engine import Array, Remarks, S, primitive
from minigan.errors import ShapeError
from minigan.ops._samples import normal
from minigan.ops.conv import WEIGHTS, Pair, bias_vjp, check_bias, check_images, no_images, out_size, pair, read_last


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 3, 2), scale=(2, 2)), S(normal(rng, 1, 2, 1, 4), scale=(3, 2))],
           linear_in=("w",), keeps=(), remarks=WEIGHTS)
def blur_filters(w: Array, scale: tuple[int, int]) -> Array:
    """Filters of the transposed convolution that equals "up-sample by scale, then convolve with w (O, C, KH, KW)".

    Forward   y[c,o,r,q] = sum_{a<SH, b<SW} w[o,c, KH-1+a-r, KW-1+b-q],  where inside w;  r < KH+SH-1, q < KW+SW-1
    VJP       gw = unblur_filters(gy)
    Why       nearest up-sampling is a transposed convolution with an SH x SW box of ones; two linear maps in a row
              are one, whose kernel is w, flipped (adjoint of a correlation), blurred by the box.
    Source    Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, 2016, for why one wants it.
    """
    return kernels.blur_filters(w, scale)


blur_filters.defvjp(w=lambda gy, y, w, *, scale: unblur_filters(gy, scale=scale))


@primitive(samples=lambda rng: [S(normal(rng, 3, 2, 4, 3), scale=(2, 2)), S(normal(rng, 2, 1, 3, 5), scale=(3, 2))],
           linear_in=("g",), keeps=())
def unblur_filters(g: Array, scale: tuple[int, int]) -> Array:
    """The adjoint of blur_filters by a scale (SH, SW): g (C, O, KH+SH-1, KW+SW-1) gives (O, C, KH, KW).

    Forward   y[o,c,k,l] = sum_{a<SH, b<SW} g[c,o, KH-1+a-k, KW-1+b-l]
    VJP       gg = blur_filters(gy)
    Why       the adjoint of an adjoint is the map itself.
    """
    return kernels.unblur_filters(g, scale)


unblur_filters.defvjp(g=lambda gy, y, g, *, scale: blur_filters(gy, scale=scale))


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 3, 2), normal(rng, 2, 3, 3, 3), normal(rng, 2)),
                                S(normal(rng, 1, 2, 2, 3), normal(rng, 3, 2, 3, 5), scale=(3, 2), padding=(0, 2))],
           linear_in=("x", "w"), keeps=("x", "w"), remarks=WEIGHTS, mixed=True)
def upconv2d(x: Array, w: Array, b: Array | None = None, scale: Pair = 2, padding: Pair = 1) -> Array:
    """Nearest up-sampling of x (N, C, H, W) by `scale`, then conv2d with w (O, C, KH, KW), b (O,) or None, stride 1.

    scale and padding P are ints or (h, w) pairs.

    Forward   y = conv2d(upsample2d(x, scale), w, b, padding=P) = conv_transpose2d(x, blur_filters(w), b, stride=scale,
              padding=K-1-P)
    VJP       gx = upconv2d_adjoint(gy, w)        gw = upconv2d_weight_grad(x, gy)        gb = sum_{n,i,j} gy
    Why       the enlarged image never exists: for scale 2 and a 3x3 filter 16 multiplications per input pixel, not 36,
              and 6.25 where kernels/native takes fewer products.
    """
    op = "upconv2d"
    check_images(op, x, w, 1, ("O", "C", "KH", "KW"))
    scale, padding = _scale(op, scale, w.shape[2:], padding)
    check_bias(op, b, len(w))
    out = _enlarged(op, x.shape[2:], w.shape[2:], scale, padding)
    if not len(x):
        return no_images(x, len(w), *out)
    return kernels.upconv2d(x, w, b, scale, padding)


def _filters_grad(w, x, gy, **how):
    with read_last(x, gy, w):
        return upconv2d_weight_grad(x, gy, kernel_size=w.shape[2:], **how)


def _scale(op: str, scale: Pair, kernel: tuple[int, ...], padding: Pair) -> tuple[tuple[int, int], tuple[int, int]]:
    """The scale and the padding of an up-convolution, validated."""
    factors, border = pair(scale, f"{op}: scale", 1), pair(padding, f"{op}: padding", 0)
    if any(p >= k for p, k in zip(border, kernel, strict=True)):
        raise ShapeError(f"{op}: padding={border} must be smaller than the kernel {tuple(kernel)}")
    return factors, border


def _enlarged(op, size, kernel, scale, padding):
    """Sizes after an up-convolution."""
    return out_size(op, tuple(n * s for n, s in zip(size, scale, strict=True)), kernel, (1, 1), padding, (1, 1))


upconv2d.defvjp(
    x=lambda gy, y, x, w, b, **geo: upconv2d_adjoint(gy, w, **geo),
    w=lambda gy, y, x, w, b, **geo: _filters_grad(w, x, gy, **geo),
    b=bias_vjp,
)


@upconv2d.defonnx
def _upconv2d_onnx(o, x, w, b, scale=2, padding=1):
    (SH, SW), (PH, PW) = factors, border = _scale("upconv2d", scale, w.shape[2:], padding)
    if w.array is None:  # filters that are computed from the input
        x = o("Resize", x, None, np.array([1, 1, SH, SW], np.float32), mode="nearest", nearest_mode="floor",
              coordinate_transformation_mode="asymmetric")
        return o("Conv", x, w, b, pads=border * 2)
    blurred = kernels.blur_filters(w.array, factors)
    return o("ConvTranspose", x, blurred, b, strides=factors, pads=(w.shape[2] - 1 - PH, w.shape[3] - 1 - PW) * 2)


@primitive(samples=lambda rng: [S(normal(rng, 2, 2, 6, 4), normal(rng, 2, 3, 3, 3)),
                                S(normal(rng, 1, 3, 4, 6), normal(rng, 3, 2, 3, 5), scale=(3, 2), padding=(0, 2))],
           linear_in=("g", "w"), keeps=("g", "w"), remarks=Remarks(summed=("w",)), mixed=True)
def upconv2d_adjoint(g: Array, w: Array, scale: Pair = 2, padding: Pair = 1) -> Array:
    """The adjoint of upconv2d in x: cotangents g (N, O, OH, OW) and filters w (O, C, KH, KW) give (N, C, H, W).

    scale and padding are upconv2d's; OH = H*scale + 2*padding - KH + 1, and OW likewise.

    Forward   y = conv2d(g, blur_filters(w), stride=scale, padding=K-1-P)
    VJP       gg = upconv2d(gy, w)        gw = upconv2d_weight_grad(gy, g)
    Why       <upconv2d(a, w), g> = <a, upconv2d_adjoint(g, w)> for all a: one trilinear form, as conv2d's.
    """
    op = "upconv2d_adjoint"
    check_images(op, g, w, 0, ("O", "C", "KH", "KW"))
    scale, padding = _scale(op, scale, w.shape[2:], padding)
    size = tuple((n - 2 * p + k - 1) // s for n, p, k, s in zip(g.shape[2:], padding, w.shape[2:], scale, strict=True))
    if min(size) < 1 or _enlarged(op, size, w.shape[2:], scale, padding) != g.shape[2:]:
        raise ShapeError(f"{op}: g {g.shape} is not the size of an up-convolution by {scale} with kernel "
                         f"{w.shape[2:]} and padding {padding}")
    if not len(g):
        return no_images(g, w.shape[1], *size)
    return kernels.upconv2d_adjoint(g, w, scale, padding)


upconv2d_adjoint.defvjp(
    g=lambda gy, y, g, w, **geo: upconv2d(gy, w, **geo),
    w=lambda gy, y, g, w, **geo: _filters_grad(w, gy, g, **geo),
)


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 3, 2), normal(rng, 2, 2, 6, 4), kernel_size=3),
                                S(normal(rng, 1, 2, 2, 3), normal(rng, 1, 3, 4, 6), kernel_size=(3, 5), scale=(3, 2),
                                  padding=(0, 2))],
           linear_in=("x", "g"), keeps=("x", "g"), mixed=True)
def upconv2d_weight_grad(x: Array, g: Array, kernel_size: Pair, scale: Pair = 2, padding: Pair = 1) -> Array:
    """The adjoint of upconv2d in w: images x (N, C, H, W) and cotangents g (N, O, OH, OW) give (O, C, KH, KW).

    kernel_size is (KH, KW) or an int for both; scale and padding are upconv2d's.

    Forward   y = unblur_filters(conv2d_weight_grad(g, x, stride=scale, padding=K-1-P))
    VJP       gx = upconv2d_adjoint(g, gy)        gg = upconv2d(x, gy)
    Why       <upconv2d(x, v), g> = <v, upconv2d_weight_grad(x, g)> for all v: the same trilinear form once more.
    """
    op = "upconv2d_weight_grad"
    kernel = pair(kernel_size, f"{op}: kernel_size", 1)
    scale, padding = _scale(op, scale, kernel, padding)
    if x.ndim != 4 or g.ndim != 4 or len(x) != len(g) or 0 in (*x.shape[1:], *g.shape[1:]):
        raise ShapeError(f"{op}: x {x.shape} and g {g.shape} must be (N, C, H, W) and (N, O, OH, OW) with one N, "
                         "no other axis empty")
    if _enlarged(op, x.shape[2:], kernel, scale, padding) != g.shape[2:]:
        raise ShapeError(f"{op}: g {g.shape} is not the size that an up-convolution of x {x.shape} by {scale} has "
                         f"with kernel {kernel} and padding {padding}")
    if not len(x):
        return np.zeros_like(x, shape=(g.shape[1], x.shape[1], *kernel))  # a sum over no images
    return kernels.upconv2d_weight_grad(x, g, kernel, scale, padding)


upconv2d_weight_grad.defvjp(
    x=lambda gy, y, x, g, *, kernel_size, **geo: upconv2d_adjoint(g, gy, **geo),
    g=lambda gy, y, x, g, *, kernel_size, **geo: upconv2d(x, gy, **geo),
)


__all__ = ["blur_filters", "unblur_filters", "upconv2d", "upconv2d_adjoint", "upconv2d_weight_grad"]
