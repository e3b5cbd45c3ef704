"""Changing the size of images: nearest and bilinear up-sampling, average pooling, pixel shuffle.

Every one of them is a linear map that treats rows and columns separately: y = A x B^T for two constant matrices. So one
primitive, whose vjp is itself with A and B transposed, is behind them all; nearest up-sampling by whole numbers has a
faster kernel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from minigan import kernels
from minigan.engine import Array, Operand, S, Tensor, operation, primitive
from minigan.errors import OptionError, ShapeError
from minigan.ops._samples import normal
from minigan.ops.conv import Pair, no_images, out_size, pair
from minigan.ops.reduce import mean
from minigan.ops.shape import reshape, transpose

_Pair: TypeAlias = tuple[int, int]  # (h, w)


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 4, 2), rows=normal(rng, 5, 4), columns=normal(rng, 3, 2)),
                                S(normal(rng, 1, 1, 2, 3), rows=None, columns=normal(rng, 2, 3))], linear_in=("x",))
def resample(x: Array, rows: Any = None, columns: Any = None) -> Array:
    """Apply constant matrices, rows (OH, H) and columns (OW, W), to the two axes of x (N, C, H, W); None: leave alone.

    Forward   y[n,c] = A x[n,c] B^T,   A = rows, B = columns
    VJP       gx = A^T gy B
    Why       linear in x; transposing each factor transposes the map.
    """
    if not len(x):
        return no_images(x, x.shape[1], *(n if matrix is None else len(matrix) for matrix, n in zip(
            (rows, columns), x.shape[2:], strict=True)))
    return kernels.resample(x, rows, columns)


resample.defvjp(x=lambda gy, y, x, *, rows=None, columns=None: resample(
    gy, rows=None if rows is None else rows.T, columns=None if columns is None else columns.T))


@resample.defonnx
def _resample_onnx(o, x, rows=None, columns=None):
    x = x if columns is None else o("MatMul", x, np.asarray(columns, np.float32).T)
    return o("Identity", x) if rows is None else o("MatMul", np.asarray(rows, np.float32), x)


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 3, 2), scale=(2, 3)), S(normal(rng, 1, 1, 1, 2), scale=(1, 2))],
           linear_in=("x",))
def upsample_nearest(x: Array, scale: tuple[int, int]) -> Array:
    """Repeat every pixel of x (N, C, H, W) scale = (SH, SW) times.

    Forward   y[n,c,i,j] = x[n,c, i // SH, j // SW]
    VJP       gx = block_sum(gy)
    Why       a pixel copied SH SW times collects as many cotangents.
    """
    if not len(x):
        return no_images(x, x.shape[1], *(n * s for n, s in zip(x.shape[2:], scale, strict=True)))
    return kernels.upsample_nearest(x, scale)


upsample_nearest.defvjp(x=lambda gy, y, x, *, scale: block_sum(gy, scale=scale))
upsample_nearest.defonnx(lambda o, x, scale: o(
    "Resize", x, None, np.array([1, 1, *scale], np.float32), mode="nearest", nearest_mode="floor",
    coordinate_transformation_mode="asymmetric"))


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 4, 6), scale=(2, 3)), S(normal(rng, 1, 1, 2, 2), scale=(1, 2))],
           linear_in=("x",))
def block_sum(x: Array, scale: tuple[int, int]) -> Array:
    """Add up blocks of scale = (SH, SW) pixels: the adjoint of upsample_nearest.

    Forward   y[n,c,i,j] = sum_{a<SH, b<SW} x[n,c, i*SH+a, j*SW+b]
    VJP       gx = upsample_nearest(gy)
    Why       the adjoint of an adjoint is the map itself.
    """
    if not len(x):
        return no_images(x, x.shape[1], *(n // s for n, s in zip(x.shape[2:], scale, strict=True)))
    return kernels.block_sum(x, scale)


block_sum.defvjp(x=lambda gy, y, x, *, scale: upsample_nearest(gy, scale=scale))
block_sum.defonnx(lambda o, x, scale: o(
    "Mul", o("AveragePool", x, kernel_shape=scale, strides=scale), float(scale[0] * scale[1])))


def _image(op, x):
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ShapeError(f"{op}: x {x.shape} must be (N, C, H, W), and only N may be 0")


@lru_cache(maxsize=64)
def _matrix(mode, size, out):
    """The matrix (out, size) that resizes one axis."""
    centre = (np.arange(out) + 0.5) * size / out - 0.5  # an output pixel's centre in input pixels: align_corners False
    if mode == "nearest":
        return np.eye(size)[np.arange(out) * size // out]
    centre = np.clip(centre, 0, size - 1)
    low = np.minimum(centre.astype(int), max(size - 2, 0))
    share = centre - low
    matrix = np.zeros((out, size))
    matrix[np.arange(out), low] += 1 - share
    matrix[np.arange(out), np.minimum(low + 1, size - 1)] += share
    return matrix


@operation(samples=lambda rng: [S(normal(rng, 2, 1, 3, 4), size=(5, 6), mode="bilinear"),
                                S(normal(rng, 1, 2, 4, 5), size=(3, 7), mode="nearest")], linear_in=("x",))
def interpolate(x: Operand, size: Pair, mode: str = "bilinear") -> Tensor:
    """Resize x (N, C, H, W) to size = (OH, OW) (or an int), by mode: "bilinear" (align_corners=False) or "nearest".

    Forward   y = A x B^T with two non-zeros a row (bilinear: the two nearest pixels, by distance) or one (nearest)
    VJP       gx = A^T gy B
    Why       see resample.
    """
    _image("interpolate", x)
    if mode not in ("bilinear", "nearest"):
        raise OptionError(f"interpolate: mode {mode!r} is not 'bilinear' or 'nearest'")
    size = pair(size, "interpolate: size", 1)
    rows, columns = (None if n == out else _matrix(mode, n, out) for n, out in zip(x.shape[2:], size, strict=True))
    return resample(x, rows=rows, columns=columns)


@operation(samples=lambda rng: [S(normal(rng, 2, 3, 3, 2), scale=2), S(normal(rng, 1, 2, 3, 2), scale=(2, 3),
                                                                      mode="bilinear")], linear_in=("x",))
def upsample2d(x: Operand, scale: Pair = 2, mode: str = "nearest") -> Tensor:
    """Enlarge x (N, C, H, W) by whole factors, `scale`, with `mode` "nearest" or "bilinear" (align_corners=False).

    Forward   y[n,c,i,j] = x[n,c, i // SH, j // SW], or see interpolate
    VJP       gx = block_sum(gy), or see interpolate
    Why       see upsample_nearest and resample.
    """
    _image("upsample2d", x)
    scale = pair(scale, "upsample2d: scale", 1)
    if mode == "nearest":
        return upsample_nearest(x, scale=scale)
    return interpolate(x, (x.shape[2] * scale[0], x.shape[3] * scale[1]), mode)


@lru_cache(maxsize=64)
def _averages(size, out, kernel, stride, padding):
    """The matrix (out, size) that averages windows of one axis; what lies in the padding counts as 0."""
    matrix = np.zeros((out, size))
    for i in range(out):
        start = i * stride - padding
        matrix[i, max(start, 0) : max(start + kernel, 0)] = 1 / kernel
    return matrix


@operation(samples=lambda rng: [S(normal(rng, 2, 3, 4, 6), kernel_size=2), S(
    normal(rng, 1, 2, 5, 4), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0))], linear_in=("x",))
def avg_pool2d(x: Operand, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Tensor:
    """Mean over windows of x (N, C, H, W); stride defaults to kernel_size; padding counts as zeros, as in PyTorch.

    Forward   y[n,c,i,j] = 1/(KH KW) sum_{k,l} x[n,c, i*SH-PH+k, j*SW-PW+l]
    VJP       gx: every pixel collects gy / (KH KW) from every window it lies in
    Why       y = A x B^T with rows of 1/KH and 1/KW; see resample.
    """
    _image("avg_pool2d", x)
    kernel, stride, padding, dilation = window("avg_pool2d", kernel_size, stride, padding)
    out = out_size("avg_pool2d", x.shape[2:], kernel, stride, padding, dilation)
    rows, columns = (_averages(*axis) for axis in zip(x.shape[2:], out, kernel, stride, padding, strict=True))
    return resample(x, rows=rows, columns=columns)


def window(op: str, kernel_size: Pair, stride: Pair | None, padding: Pair,
           dilation: Pair = 1) -> tuple[_Pair, _Pair, _Pair, _Pair]:
    """Pooling geometry as four pairs. Padding beyond half a window would make windows of nothing but padding."""
    kernel = pair(kernel_size, f"{op}: kernel_size", 1)
    stride = kernel if stride is None else pair(stride, f"{op}: stride", 1)
    padding, dilation = pair(padding, f"{op}: padding", 0), pair(dilation, f"{op}: dilation", 1)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ShapeError(f"{op}: padding={padding} must be at most half of kernel_size={kernel}")
    return kernel, stride, padding, dilation


@operation(samples=lambda rng: [S(normal(rng, 2, 3, 4, 5))], linear_in=("x",))
def global_avg_pool2d(x: Operand) -> Tensor:
    """Mean over space: x (N, C, H, W) gives (N, C).

    Forward   y[n,c] = 1/(H W) sum_{i,j} x[n,c,i,j]
    VJP       gx[n,c,i,j] = gy[n,c] / (H W)
    Why       a mean over two axes.
    """
    _image("global_avg_pool2d", x)
    return mean(x, (2, 3))


@operation(samples=lambda rng: [S(normal(rng, 2, 8, 3, 2), scale=2)], linear_in=("x",))
def pixel_shuffle(x: Operand, scale: int) -> Tensor:
    """Rearrange channels into space: x (N, C r^2, H, W) gives (N, C, r H, r W), r the scale.

    Forward   y[n,c, i*r+a, j*r+b] = x[n, c*r^2 + a*r + b, i, j]
    VJP       gx: the same rearrangement backwards
    Why       a permutation is undone by its inverse.
    Source    Shi et al., Real-time single image super-resolution (sub-pixel convolution), 2016.
    """
    _image("pixel_shuffle", x)
    n, c, h, w = x.shape
    if not isinstance(scale, int) or scale < 1 or c % scale**2:
        raise ShapeError(f"pixel_shuffle: C={c} is not a multiple of scale^2 with scale={scale!r}")
    y = reshape(x, (n, c // scale**2, scale, scale, h, w))  # (N, C, a, b, H, W)
    return reshape(transpose(y, (0, 1, 4, 2, 5, 3)), (n, c // scale**2, h * scale, w * scale))  # (N, C, H a, W b)


__all__ = ["avg_pool2d", "block_sum", "global_avg_pool2d", "interpolate", "pixel_shuffle", "resample", "upsample2d",
           "upsample_nearest"]
