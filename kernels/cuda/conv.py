"""Launches conv.cu: convolution and its two adjoints, each one tiled matrix product; the twin of cpu/conv.py.

    T(x, w, g) = sum_{n,o,i,j,c,k,l}  g[n,o,i,j]  x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW]  w[o,c,k,l]

Float32 products round their inputs to TF32 (10 bits of mantissa) on GPUs that multiply it in hardware (sm_80 and
later), unless `set_precision("fp32")` forbids it; sums are always float32, and float64 is always float64. With
`set_precision("bf16")` float32 images and filters are rounded to bfloat16 first, and results that are images stored so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..geometry import filter_matrices, mirrored_widths, out_size
from ..precision import get_precision
from ..values import FLOAT32, DeviceArray, Opening, Pair, bfloat16, handed, is_bfloat16, real_of
from . import hopper, memory, moments, openings
from .backend import backend_of
from .elementwise import cast, widened
from .grid import lines as rows_of_images
from .grid import vector
from .loader import kernel
from .pad import pad
from .partials import add_partials, stored_as
from .products import Sizes
from .tiles import BK, NARROW, plan, shared_bytes, stages_of, without_empty

__all__ = ["conv2d", "conv2d_weight_grad", "conv_transpose2d"]

WIDE = {1: 2, 3: 4}  # channels of bfloat16 images as they are multiplied
FEW = 4  # channels out up to which x is read once and its products are folded, if FEW times as many come in


def conv2d(
    x: DeviceArray,
    w: DeviceArray,
    b: DeviceArray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    reflect: bool = False,
) -> DeviceArray:
    """Correlate: y[n,o,i,j] = b[o] + sum_{c,k,l} x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] w[o,c,k,l]; channels-last."""
    channels, x, filters = x.shape[1], _images(x, wide=True), memory.contiguous(filter_matrices(w))
    N, H, W, C = x.shape
    KH, KW, _, O = filters.shape
    if channels < C:
        narrow = filters  # (KH, KW, channels, O)
        filters = memory.once(narrow, ("wide", C), lambda: widened(narrow, channels * O, C * O).reshape(KH, KW, C, O))
    OH, OW = (out_size(*axis) for axis in zip((H, W), (KH, KW), stride, padding, dilation, strict=True))
    y = memory.empty((N, OH, OW, O), x.dtype, x)
    opening = openings.asked_for(y)
    if stride == (1, 1) and O <= FEW and channels >= O * FEW and OH * OW * KH * KW > 4 * H * W:
        by_channel = memory.once(w, ("by channel", C), lambda: memory.contiguous(filters.transpose(2, 0, 1, 3)))
        _fold(x, by_channel, False, b, y, (KH, KW), (1, 1), [-p for p in padding], [-d for d in dilation], reflect)
        return y.transpose(0, 3, 1, 2)  # (N, O, OH, OW)
    geometry = (KH, KW, *stride, *padding, *dilation, OH, OW)
    product(x, filters, b, y, (N, H, W, C), O, geometry, rows=N * OH * OW, depth=KH * KW * C, lines=(C, O),
            mirror=reflect, opening=opening)
    return y.transpose(0, 3, 1, 2)  # (N, O, OH, OW)


def conv_transpose2d(
    x: DeviceArray,
    w: DeviceArray,
    b: DeviceArray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    output_size: Pair,
) -> DeviceArray:
    """The adjoint of conv2d in x: y[n,c,p,q] = b[c] + sum of x[n,o,i,j] w[o,c,k,l] where p = i*SH-PH+k*DH, q likewise.

    w is (C_in, C_out, KH, KW), which is conv2d's (O, C, KH, KW). No zero is ever multiplied: each of the SH*SW phases
    of y gathers from x by itself, all in one launch.
    """
    channels, x, filters = x.shape[1], _images(x, wide=True), memory.contiguous(filter_matrices(w))
    N, H, W, O = x.shape
    KH, KW, C, _ = filters.shape
    if channels < O:
        narrow = filters  # (KH, KW, C, channels)
        filters = memory.once(narrow, ("long", O), lambda: widened(narrow, channels, O).reshape(KH, KW, C, O))
    OH, OW = output_size
    y = memory.empty((N, OH, OW, C), x.dtype, x)
    opening = openings.asked_for(y)
    if C <= FEW and channels >= C * FEW:
        _fold(x, filters, True, b, y, (KH, KW), stride, padding, dilation)
        return y.transpose(0, 3, 1, 2)  # (N, C, OH, OW)
    phases = [min(s, size) for s, size in zip(stride, output_size, strict=True)]
    rows = N * math.prod(-(-size // s) for s, size in zip(stride, output_size, strict=True))  # of the largest phase
    depth = O * math.prod(-(-k // (s // math.gcd(s, d))) for k, s, d in zip((KH, KW), stride, dilation, strict=True))
    geometry = (KH, KW, *stride, *padding, *dilation, OH, OW)
    product(x, filters, b, y, (N, H, W, O), C, geometry, rows=rows, depth=depth, lines=(O, O), b_along_k=True,
            phases=math.prod(phases), opening=opening)
    return y.transpose(0, 3, 1, 2)  # (N, C, OH, OW)


def conv2d_weight_grad(
    x: DeviceArray,
    gy: DeviceArray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    reflect: bool = False,
) -> DeviceArray:
    """Sum of gw[o,c,k,l] = gy[n,o,i,j] x[n,c, i*SH-PH+k*DH, j*SW-PW+l*DW] over n, i, j; stored as (KH, KW, C, O)."""
    channels, x, gy = x.shape[1], _images(x, wide=True), _images(gy)
    if is_bfloat16(x) != is_bfloat16(gy):  # the precision has been changed since x was multiplied
        gy = cast(gy, x.dtype)
    (N, H, W, C), (_, OH, OW, O), (KH, KW) = x.shape, gy.shape, kernel_size
    if stride == (1, 1) and O <= FEW and channels >= O * FEW and OH * OW * KH * KW > 4 * H * W:
        if reflect:  # only here: each pixel of the border is a row of its own
            x, padding = memory.channels_last(pad(x.transpose(0, 3, 1, 2), mirrored_widths(padding), "reflect")), (0, 0)
            H, W = x.shape[1:3]
        gy = _images(gy.transpose(0, 3, 1, 2), wide=True)
        wide = gy.shape[3]
        gw = memory.empty((KH, KW, wide, C), real_of(x), x)  # windows of gy are smaller: the sum as x's pixels see it
        geometry = (KH, KW, 1, 1, *(-p for p in padding), *(-d for d in dilation), H, W)  # at i + P - k D
        product(gy, x, None, gw, (N, OH, OW, wide), C, geometry, rows=KH * KW * wide, depth=N * H * W, lines=(wide, C),
                a_along_k=False)
        return memory.contiguous(gw[:, :, :O].transpose(0, 1, 3, 2)).transpose(3, 2, 0, 1)  # (O, C, KH, KW)
    gw = memory.empty((KH, KW, C, O), real_of(x), x)
    geometry = (KH, KW, *stride, *padding, *dilation, OH, OW)
    product(x, gy, None, gw, (N, H, W, C), O, geometry, rows=KH * KW * C, depth=N * OH * OW, lines=(C, O),
            a_along_k=False, mirror=reflect)
    return (gw if channels == C else gw[:, :, :channels].copy(order="C")).transpose(3, 2, 0, 1)  # (O, C, KH, KW)


def _images(x: DeviceArray, wide: bool = False) -> DeviceArray:
    """Images (N, C, H, W) as (N, H, W, C), stored as the products of this precision read them.

    wide: as bfloat16, one channel may become two and three four, the last one zeros: asynchronous copies are of 4 bytes
    at least.
    """
    x = memory.channels_last(x)
    if wide and x.shape[3] in WIDE and (is_bfloat16(x) or (get_precision() == "bf16" and x.dtype == FLOAT32)):
        return widened(x, x.shape[3], WIDE[x.shape[3]]).reshape(*x.shape[:3], WIDE[x.shape[3]])
    return cast(x, bfloat16()) if get_precision() == "bf16" and x.dtype == FLOAT32 else x


def _fold(
    x: DeviceArray,
    matrix: DeviceArray,
    along_k: bool,
    b: DeviceArray | None,
    y: DeviceArray,
    kernel_size: Pair,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    mirror: bool = False,
) -> None:
    """Set y = b + the products of x's pixels (N, H, W, C) by `matrix`, (KH*KW*O, C) or transposed, where they land."""
    (N, H, W, C), (_, OH, OW, O) = x.shape, y.shape
    pixels, columns = N * H * W, math.prod(kernel_size) * O
    products = memory.empty((pixels, columns), real_of(x), x)
    handed.wanted = False  # products are no images
    one_tap = (1, 1, 1, 1, 0, 0, 1, 1, 1, pixels)  # KH KW SH SW PH PW DH DW OH OW
    product(x, matrix, None, products, (1, 1, pixels, C), columns, one_tap, rows=pixels, depth=C,
            lines=(C, C if along_k else columns), b_along_k=along_k)
    if y.size:
        b = None if b is None else memory.dense(b)
        kernel("conv.cu", "fold", products, **stored_as(y))(
            *rows_of_images(N * OH, OW * O, 1),
            (products, b, y, H, W, O, *kernel_size, *stride, *padding, *dilation, OH, OW, mirror))  # fmt: skip


class Batch(NamedTuple):
    """A batch of products: `matrices` of them; number m begins (m // inner, m % inner) times an operand's steps on."""

    matrices: int = 1
    inner: int = 1
    a_steps: tuple[int, int] = (0, 0)
    b_steps: tuple[int, int] = (0, 0)


ONE = Batch()


def product(
    x: DeviceArray,
    w: DeviceArray,
    b: DeviceArray | None,
    y: DeviceArray,
    images: tuple[int, int, int, int],
    columns: int,
    geometry: tuple[int, ...],
    *,
    rows: int,
    depth: int,
    lines: Pair,
    a_along_k: bool = True,
    b_along_k: bool = False,
    phases: int = 1,
    batch: Batch = ONE,
    mirror: bool = False,
    opening: Opening | None = None,
) -> None:
    """Launch `gemm` of conv.cu: y (rows, columns) = the windows of x, times w, and add b; see there.

    If x is bfloat16, w is, or it is float32 and rounded once while weights are constant; y is bfloat16 or float32.
    images is (N, H, W, C); geometry (KH, KW, SH, SW, PH, PW, DH, DW, OH, OW); lines the numbers from pixel to pixel of
    x and from line to line of w. Beyond their edges images are zero or, with `mirror`, mirrored. `opening` is applied
    to y.
    """
    if depth == 0:
        y[...] = 0 if b is None else b
    if 0 in (y.size, depth):
        return
    if max(rows, depth + 4 * BK, *images) >= 2**30 or images[1] >= 2**28:
        raise ValueError(f"a product of {rows} rows and depth {depth} is too large for 32-bit indices")
    halves = is_bfloat16(x)
    tensor_cores = halves or (
        y.dtype.name == "float32" and get_precision() != "fp32" and backend_of(y).capability() >= (8, 0))
    b = None if b is None else memory.dense(b)
    divisors = math.gcd(geometry[2], geometry[6]), math.gcd(geometry[3], geometry[7])
    sizes = Sizes(rows, columns, depth, phases, a_along_k, b_along_k, mirror)
    if tensor_cores and batch.matrices == 1 and hopper.fits(x, w, y, images, geometry, lines, sizes):
        hopper.launch(x, w, b, y, images, geometry, divisors, lines, opening, sizes)
        openings.applied(opening, y)
        return
    if halves and not is_bfloat16(w):
        floats = w
        w = memory.once(floats, ("bf16",), lambda: cast(floats, bfloat16()))
    limits, short = backend_of(y).limits(), -(-depth // (1 + halves))
    tile, splits = plan(rows, columns, short, phases * batch.matrices, tensor_cores, limits)
    steps = (lines[0], *batch.a_steps), (lines[1], *batch.b_steps)
    at_once = (_at_once(math.gcd(images[3], *steps[0]), x),
               1 if tile is NARROW else _at_once(math.gcd(depth if b_along_k else columns, *steps[1]), w))
    along = a_along_k, b_along_k
    deep, stages = stages_of(tile, along, limits, min(at_once) > 1) if tensor_cores else (BK, 2)
    splits = without_empty(splits, -(-short // deep))
    macros: dict[str, Any] = {
        "VA": at_once[0], "VB": at_once[1], "TF32": int(tensor_cores and not halves),
        "STAGES": stages, "BK": deep * (1 + halves), "A_ALONG_K": int(a_along_k), "B_ALONG_K": int(b_along_k),
        **tile._asdict(), **({"BF16": 1} if halves else {})}  # fmt: skip
    single = splits == 1 == batch.matrices
    left = moments.room(y, sizes, tile.BM, -(-rows // tile.BM)) if single else None
    macros |= ({"MIRROR": 1} if mirror else {}) | ({} if left is None else {"MOMENTS": 1})
    here = opening if single else None  # else what adds up the parts applies it
    out = y if splits == 1 else memory.empty((splits, y.size), real_of(y), y)
    grid = -(-rows // tile.BM), -(-columns // tile.BN), phases * batch.matrices * splits
    kernel("conv.cu", "gemm", x, **macros, **stored_as(out), **openings.macro(here))(
        grid, tile.THREADS,
        (x, w, b, out, *images, columns, *geometry, *divisors, *lines, splits, phases, batch.inner, *batch.a_steps,
         *batch.b_steps, y.size, left, *openings.arguments(here)),
        shared=shared_bytes(macros, x.itemsize))  # fmt: skip
    if left is not None:
        moments.leave(y, sizes, left, tile.BM)
    if splits > 1:
        add_partials(out, b, y, columns, splits, opening)
    openings.applied(opening, y)


def _at_once(size: int, x: DeviceArray) -> int:
    """The numbers that one copy moves to shared memory: 16 bytes if `size` is a multiple, of bfloat16 also 8 or 4."""
    if not is_bfloat16(x):
        return vector(size, x)
    return math.gcd(size, 8) if memory.aligned(x) else 1
