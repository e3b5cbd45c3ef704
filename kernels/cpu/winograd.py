"""Convolution with fewer multiplications (Winograd, 1980; Lavin & Gray, Fast algorithms for CNNs, 2016).

m neighbouring outputs of an r-tap filter take m*r products of which only s = m + r - 1 are independent, because a
correlation is, transposed, a product of polynomials, and that is known from its values at s points (Toom & Cook):

    sum_ik  g[i] d[i+k] w[k]  =  sum_f  (B^T d)[f] (G w)[f] (A g)[f],     i < m,  k < r,  f < s

and in two dimensions the same along rows and along columns. The three products of a convolution are read off this line;
each is, per "frequency" f, one product of matrices over the channels:

    V = B^T d B    s x s windows of the image        y  = A^T (V U) A      conv2d
    U = G w G^T    r x r filters                     gx = B (M U^T) B^T    conv_transpose2d; the windows overlap and add
    M = A g A^T    m x m tiles of the output         gw = G^T (V^T M) G    conv2d_weight_grad

Used for 3x3 filters of stride 1, as F(2x2, 3x3): 16 products instead of 36. Its largest error in float32, divided by
the deviation of the output, is 4e-6, where the direct way has 2.5e-6 (256 channels); F(4x4, 3x3) has 3e-5 and was only
a tenth faster. A 4x4 filter of stride 2 is four 2x2 filters of stride 1, but what F(2x2, 2x2) saves in products (9 of
16) it spends on moving numbers: it took 0.84 to 1.35 of the direct way's time on DCGAN's layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..values import Array, DTypeLike, Pair
from .blocks import SCRATCH_BYTES, cut, for_each_block, image_blocks
from .memory import empty, framed, scratch

SMALL = 1 << 19  # multiplications up to which BLAS takes one of the small matrices without packing the other first
TILES = 128  # tiles in a block: enough rows for a product at full speed
HELD = 1 << 26  # bytes of transformed images that a weight gradient holds at once


class Algorithm:
    """F(m x m, r x r): its matrices A^T (m, s), G (s, r) and B^T (s, s), exact for the s - 1 given points and infinity.

    A[f] and G[f] are the powers of point f, G over the product of its distances to the others, B^T[f] the coefficients
    of the polynomial that is zero at all the others.
    """

    def __init__(self, m: int, r: int, points: Sequence[int]) -> None:
        self.m, self.r, self.s = m, r, m + r - 1
        self.at, self.g, self.bt = np.zeros((m, self.s)), np.zeros((self.s, r)), np.zeros((self.s, self.s))
        for f, p in enumerate(points):
            others = [q for q in points if q != p]
            self.at[:, f] = [p**i for i in range(m)]
            self.g[f] = [p**k / math.prod(p - q for q in others) for k in range(r)]
            self.bt[f, : self.s - 1] = np.poly(others)[::-1]
        self.at[m - 1, -1] = self.g[-1, r - 1] = 1  # the point at infinity: the leading coefficients
        self.bt[-1] = np.poly(points)[::-1]

    def __repr__(self) -> str:
        return f"F({self.m}x{self.m}, {self.r}x{self.r})"


F23 = Algorithm(2, 3, [0, 1, -1])

# ----------------------------------------------------------------------------------------------------- when it is used

MOVED, FILTER, COLUMN = 50, 30, 10  # what one number of V, M or y, of U, of im2col costs, in multiplications


def pays(
    images: int,
    out_size: Sequence[int],
    channels: int,
    filters: int,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    dtype: DTypeLike,
) -> bool:
    """Whether F(2x2, 3x3) is the cheaper way to a convolution. In float64, which is for checks, it is never used.

    >>> pays(1, (32, 32), 256, 256, (3, 3), (1, 1), (1, 1), np.float32)  # CycleGAN's residual blocks
    True
    >>> pays(1, (128, 128), 64, 3, (3, 3), (1, 1), (1, 1), np.float32)  # few filters: more to move than to multiply
    False
    """
    if kernel != (3, 3) or stride != (1, 1) or dilation != (1, 1) or dtype != np.float32:
        return False
    tiles = images * math.prod(-(-size // F23.m) for size in out_size)
    direct = images * math.prod(out_size) * 9 * channels * (filters + COLUMN)
    fewer = tiles * (channels * filters + MOVED * (channels + filters)) + FILTER * channels * filters
    return F23.s**2 * fewer < direct


# --------------------------------------------------------------------------------------------------------- transforms


def _transform(matrix: Array, x: Array, into: Array | str) -> Array:
    """`matrix x matrix^T` over the first two axes of x (a, a, ...): (b, b, n) for a matrix (b, a).

    `into` is the array for the result, in which each frequency is one run of n numbers, or a name of scratch.
    """
    (b, a), n = matrix.shape, x[0, 0].size
    matrix = matrix.astype(x.dtype)
    half = scratch("half", (b, a, n), x.dtype)
    out = scratch(into, (b, b, n), x.dtype) if isinstance(into, str) else into.reshape(b, b, n)  # a view
    np.matmul(matrix, x.reshape(a, a * n), out=half.reshape(b, a * n))
    return np.matmul(matrix, half, out=out)


def _windows(
    alg: Algorithm, x: Array, rows: slice, columns: int, padding: Pair, into: Array | str = "V"
) -> Array:
    """V (s*s, tiles, C): windows of images x (n, H, W, C) at tile rows `rows`, in all tile columns."""
    m, s, (n, C), high = alg.m, alg.s, (len(x), x.shape[3]), rows.stop - rows.start
    corner = (rows.start * m - padding[0], -padding[1])
    frame = framed(x, corner, ((high - 1) * m + s, (columns - 1) * m + s))
    image, h, w, c = frame.strides
    strides = (h, w, image, m * h, m * w, c)
    windows = np.lib.stride_tricks.as_strided(frame, (s, s, n, high, columns, C), strides, writeable=False)
    d = scratch("tiles", windows.shape, x.dtype)
    np.copyto(d, windows)
    return _transform(alg.bt, d, into).reshape(s * s, n * high * columns, C)


def _tiles(alg: Algorithm, g: Array, rows: slice, columns: int, into: Array | str = "M") -> Array:
    """M (s*s, tiles, O): tiles of g (n, OH, OW, O), zero beyond its edges."""
    m, s, (n, O) = alg.m, alg.s, (len(g), g.shape[3])
    high = rows.stop - rows.start
    tiles = scratch("tiles", (m, m, n, high, columns, O), g.dtype)
    for i, j in np.ndindex(m, m):
        inside = g[:, rows.start * m + i : rows.stop * m : m, j::m]
        tiles[i, j, :, : inside.shape[1], : inside.shape[2]] = inside
        tiles[i, j, :, inside.shape[1] :] = tiles[i, j, :, :, inside.shape[2] :] = 0
    return _transform(alg.at.T, tiles, into).reshape(s * s, n * high * columns, O)


def _filters(alg: Algorithm, filters: Array) -> Array:
    """U (s*s, C, O) of filters (r, r, C, O)."""
    s, (C, O) = alg.s, filters.shape[2:]
    U = empty((s, s, C, O), filters.dtype)

    def block(channels):
        U[:, :, channels] = _transform(alg.g, filters[:, :, channels], "U").reshape(s, s, -1, O)

    for_each_block(block, _filter_blocks(alg, C, O))
    return U.reshape(s * s, C, O)


def _filter_blocks(alg: Algorithm, C: int, O: int) -> list[slice]:
    return cut(C, max(1, SMALL // (alg.s**3 * O)))


def _tile_blocks(
    alg: Algorithm, images: int, high: int, wide: int, depth: int, itemsize: int
) -> list[tuple[slice, slice]]:
    """At least two blocks of tile rows, each of which fills a worker's scratch."""
    tiles = min(TILES, SCRATCH_BYTES // (alg.s**2 * depth * itemsize), -(-images * high * wide // 2))
    return image_blocks(images, high, max(1, tiles // wide))


# --------------------------------------------------------------------------------------------------- the three products


def conv2d(x: Array, filters: Array, y: Array, b: Array | None, padding: Pair, alg: Algorithm = F23) -> None:
    """Fill y (N, OH, OW, O) = conv2d of x (N, H, W, C) with filters (r, r, C, O)."""
    U, m = _filters(alg, filters), alg.m
    N, OH, OW, O = y.shape
    high, wide = -(-OH // m), -(-OW // m)

    def block(where):
        images, rows = where
        V = _windows(alg, x[images], rows, wide, padding)
        products = np.matmul(V, U, out=scratch("products", (len(V), V.shape[1], O), y.dtype))
        out = _transform(alg.at, products.reshape(alg.s, alg.s, -1), "y")
        out = out.reshape(m, m, -1, rows.stop - rows.start, wide, O)
        if b is not None:
            out += b
        for i, j in np.ndindex(m, m):
            inside = y[images, rows.start * m + i : rows.stop * m : m, j::m]
            inside[...] = out[i, j, :, : inside.shape[1], : inside.shape[2]]

    for_each_block(block, _tile_blocks(alg, N, high, wide, max(U.shape[1:]), y.itemsize))


def conv_transpose2d(
    x: Array, filters: Array, y: Array, b: Array | None, padding: Pair, alg: Algorithm = F23
) -> None:
    """Fill y (N, H, W, C) = the adjoint of conv2d on x (N, OH, OW, O). A block also does the tiles that overlap it."""
    U, m, s = _filters(alg, filters).transpose(0, 2, 1), alg.m, alg.s
    N, H, W, C = y.shape
    high, wide = (-(-size // m) for size in x.shape[1:3])
    overlap = alg.r - 1

    def block(where):
        images, rows = where
        around = slice(max(0, rows.start - -(-overlap // m)), rows.stop)
        M = _tiles(alg, x[images], around, wide)
        products = np.matmul(M, U, out=scratch("products", (len(M), M.shape[1], C), y.dtype))
        n, count = images.stop - images.start, around.stop - around.start
        windows = _transform(alg.bt.T, products.reshape(s, s, -1), "windows").reshape(s, s, n, count, wide, C)
        total = scratch("total", (n, count * m + overlap, wide * m + overlap, C), y.dtype)
        total[...] = 0 if b is None else b
        for i, j in np.ndindex(s, s):
            total[:, i : i + m * count : m, j : j + m * wide : m] += windows[i, j]
        top, end = (min(H, max(0, row * m - padding[0])) for row in (rows.start, rows.stop))
        end = H if rows.stop == high else end
        first = top + padding[0] - around.start * m
        y[images, top:end] = total[:, first : first + end - top, padding[1] : padding[1] + W]

    for_each_block(block, _tile_blocks(alg, N, high, wide, max(U.shape[1:]), y.itemsize))


def conv2d_weight_grad(x: Array, g: Array, padding: Pair, alg: Algorithm = F23) -> Array:
    """(r, r, C, O): the gradient by the filters, from images x (N, H, W, C) and cotangents g (N, OH, OW, O)."""
    s, (N, OH, OW, O), C = alg.s, g.shape, x.shape[3]
    high, wide = -(-OH // alg.m), -(-OW // alg.m)
    sums = empty((s * s, C, O), x.dtype)
    at_once = max(1, HELD // (s * s * high * wide * (C + O) * x.itemsize))
    for number, group in enumerate(cut(N, at_once)):
        n = group.stop - group.start
        V, M = (empty((s * s, n, high, wide, depth), x.dtype) for depth in (C, O))
        _transform_all(alg, x[group], g[group], V, M, padding)
        _add_products(V.reshape(s * s, -1, C), M.reshape(s * s, -1, O), sums, number > 0)
    sums, gw = sums.reshape(s, s, C, O), empty((alg.r, alg.r, C, O), x.dtype)

    def block(channels):
        gw[:, :, channels] = _transform(alg.g.T, sums[:, :, channels], "gw").reshape(alg.r, alg.r, -1, O)

    for_each_block(block, _filter_blocks(alg, C, O))
    return gw


def _transform_all(alg: Algorithm, x: Array, g: Array, V: Array, M: Array, padding: Pair) -> None:
    """V (s*s, n, high, wide, C) of all of x, M (s*s, n, high, wide, O) of all of g."""
    n, high, wide, C = V.shape[1:]

    def block(where):
        images, rows = where  # whole images or rows of one: a run of V per frequency either way
        _windows(alg, x[images], rows, wide, padding, into=V[:, images, rows])
        _tiles(alg, g[images], rows, wide, into=M[:, images, rows])

    for_each_block(block, _tile_blocks(alg, n, high, wide, C, x.itemsize))


def _add_products(V: Array, M: Array, sums: Array, more: bool) -> None:
    """Set sums (s*s, C, O) = V^T M per frequency, all pixels in one product; with `more`, add it to them."""

    def block(part):
        f, channels = part
        if more:
            products = scratch("products", sums[f, channels].shape, sums.dtype)
            sums[f, channels] += np.matmul(V[f, :, channels].T, M[f], out=products)
        else:
            np.matmul(V[f, :, channels].T, M[f], out=sums[f, channels])

    C = V.shape[2]
    for_each_block(block, [(f, channels) for f in range(len(V)) for channels in cut(C, max(128, C // 2))])
