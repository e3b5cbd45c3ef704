"""Launches hopper.cu: the products of conv.py whose sizes suit Hopper's asynchronous tensor cores.

How a product is cut is chosen by a model of its time, fitted to 512 products timed on an H200
(benchmarks/results/gpu_hopper.csv): it chooses the fastest form of each layer, or one at most 3 % slower.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from ..values import FLOAT32, DeviceArray, Opening, handed, is_bfloat16
from . import memory, moments, openings
from .backend import backend_of
from .grid import vector
from .limits import H100
from .loader import kernel
from .memory import aligned
from .partials import add_partials, stored_as
from .products import WEIGHT_GRAD, Sizes

LINES_OF_SUMS = 128  # at most, of the columns of gy; the same in hopper.cu
BM, BK = 128, 32  # rows and depth of a tile, of bfloat16 twice as deep; the same in hopper.cu
WORTH = 2**28  # multiply-adds below which conv.cu, one launch instead of two, is faster
IN_LARGE_CLUSTERS = 120 / 132  # how many of an H200's multiprocessors clusters of 4 and 8 reach


class Tile(NamedTuple):
    """BM x BN numbers of y by a block with STAGES slots, of which BLOCKS fit on a multiprocessor."""

    BN: int
    STAGES: int
    BLOCKS: int
    alone: tuple[float, float]  # microseconds of a step of one block: A along the depth, A along y
    full: tuple[float, float]  # of BLOCKS blocks together


class Form(NamedTuple):
    """How a product is cut: `splits` parts of the depth, `cluster` of which are added up within a cluster."""

    tile: Tile
    cluster: int
    splits: int


TILES = (
    Tile(128, 3, 2, (0.578, 0.654), (0.855, 1.005)), Tile(128, 4, 1, (0.528, 0.577), (0.528, 0.577)),
    Tile(64, 4, 2, (0.468, 0.523), (0.648, 0.775)), Tile(256, 4, 1, (0.737, 0.787), (0.737, 0.787)),
)  # fmt: skip
START, LAUNCHES, CLUSTER_SUM, PARTIALS = 7.6, 2.3, 3.6, 2.0  # steps before a block's first; then microseconds
READ_AGAIN = 2.5  # microseconds: norm_moments took 3.4 in CycleGAN-128, less what merging takes
IMAGE, Y, PARTIAL_SUMS = 2.2e-6, 1.35e-6, 1.57e-6  # microseconds for a number of the image, of y, of the partial sums


def fits(
    x: DeviceArray, w: DeviceArray, y: DeviceArray, images: tuple[int, int, int, int], geometry: tuple[int, ...],
    lines: tuple[int, int], sizes: Sizes,
) -> bool:  # fmt: skip
    """Whether hopper.cu can compute a product, and is likely to be faster than conv.cu; arguments as conv.product's."""
    rows, columns, depth, phases, a_along_k, b_along_k, mirror = sizes
    N, H, W, C = images
    wide = 1 + is_bfloat16(x)  # times as many numbers in a line of 128 bytes
    if backend_of(y).capability()[0] != 9 or rows < BM or columns < 32 or columns % 4 or depth < BK * wide:
        return False
    if mirror and max(H, W) >= 2**14:  # the kernel keeps corners of windows in 16 bits
        return False
    if rows * columns * depth * phases < WORTH * wide or N * H * W * lines[0] >= 2**31:
        return False
    if vector(math.gcd(C, lines[0]), x) != 4 or vector(math.gcd(columns, lines[1]), w) != 4 or not aligned(y):
        return False
    if math.gcd(C, lines[0]) % (4 * wide):
        return False
    return C % (BK * wide) == 0 and max(geometry[:2]) <= 16 if a_along_k else not b_along_k


@functools.cache
def plan(
    mode: int, rows: int, columns: int, depth: int, phases: int, moments: bool = False,
    multiprocessors: int = H100.multiprocessors,
) -> Form:  # fmt: skip
    """The form of the shortest time, among those with at least six steps for a block.

    With `moments`, those that leave moments of y, as forms with partial sums do not, are READ_AGAIN shorter.

    >>> from minigan.kernels.cuda.products import DATA_GRAD, FORWARD
    >>> [plan(FORWARD, 128 * 8 * 8, 256, 2048, 1)[i] for i in (1, 2)], plan(DATA_GRAD, 128 * 8 * 8, 128, 1024, 4).splits
    ([2, 2], 1)
    """
    steps, outers = -(-depth // BK), (1, 2, 4, 8, 16) if mode == WEIGHT_GRAD else (1, 2)  # as timed
    forms = [Form(tile, cluster, cluster * outer) for tile in TILES if max(64, columns) >= tile.BN
             for cluster in (1, 2, 4, 8) for outer in outers if cluster * outer <= max(1, steps // 6)]
    return min(forms, key=lambda form: microseconds(form, mode, rows, columns, depth, phases, multiprocessors)
               - READ_AGAIN * (moments and form.splits == form.cluster))


def microseconds(
    form: Form, mode: int, rows: int, columns: int, depth: int, phases: int,
    multiprocessors: int = H100.multiprocessors,
) -> float:  # fmt: skip
    """The model: waves of blocks, each of so many steps; the image; the sums of parts; y."""
    tile, cluster, splits = form
    across, kind = -(-columns // tile.BN), int(mode == WEIGHT_GRAD)
    share = -(-depth // (BK * splits)) + START
    blocks = -(-rows // BM) * across * phases * splits
    places = multiprocessors if cluster <= 2 else round(multiprocessors * IN_LARGE_CLUSTERS)
    waves, rest = divmod(blocks, places * tile.BLOCKS)
    time = LAUNCHES + waves * share * tile.full[kind]
    if rest:
        time += share * (tile.alone if rest <= places else tile.full)[kind]
    size, outer = rows * columns * phases, splits // cluster
    time += IMAGE * across * tile.BN * depth * phases + Y * size
    if cluster > 1:
        time += CLUSTER_SUM
    return time + (PARTIALS + PARTIAL_SUMS * outer * size if outer > 1 else 0)


def launch(
    x: DeviceArray, w: DeviceArray, b: DeviceArray | None, y: DeviceArray, images: tuple[int, int, int, int],
    geometry: tuple[int, ...], divisors: tuple[int, int], lines: tuple[int, int], opening: Opening | None, sizes: Sizes,
) -> None:  # fmt: skip
    """Launch `arrange`, `hopper_gemm` and, if a cluster has not all parts of the depth, `add_partials`.

    Weights are arranged once while they are constant (memory.once). Of bfloat16 twice the depth takes the same time.
    """
    rows, columns, depth, phases, _, b_along_k, mirror = sizes
    mode, halves = sizes.mode, is_bfloat16(x)
    line = 2 * BK if halves else BK
    places = backend_of(y).limits().multiprocessors
    tile, cluster, splits = plan(mode, rows, columns, -(-depth // (line // BK)), phases, handed.wanted, places)
    steps = -(-depth // line) if mode == WEIGHT_GRAD else geometry[0] * geometry[1] * (images[3] // line)
    across, outer, group = -(-columns // tile.BN), splits // cluster, -(-steps // LINES_OF_SUMS)
    padded = across * tile.BN
    sums = moments.room_for_sums(w, -(-steps // group), columns) if mode == WEIGHT_GRAD else None
    numbers = (columns, depth, lines[1], images[3], tile.BN, padded, int(b_along_k), steps)

    def arranged() -> DeviceArray:
        image = memory.empty((padded * steps * line,), x.dtype, x)
        each = 1 if sums is None else group
        kernel("arrange.cu", "arrange", w, **stored_as(image))(
            (-(-steps // each), -(-padded // (32 if b_along_k else 128))), 256, (w, image, *numbers, each, sums))
        return image

    image = arranged() if mode == WEIGHT_GRAD else memory.once(w, ("arrange", halves, *numbers), arranged)
    left = None if outer > 1 else moments.room(y, sizes, BM // cluster, -(-rows // BM) * cluster)
    moments_or_sums = left if sums is None else sums
    out = y if outer == 1 else memory.empty((outer, y.size), FLOAT32, y)
    macros = {"MODE": mode, "BN": tile.BN, "STAGES": tile.STAGES, "BLOCKS": tile.BLOCKS, "CLUSTER": cluster}
    extras = ("MIRROR", mirror), ("MOMENTS", moments_or_sums is not None), ("BF16", halves)
    at_once = opening if outer == 1 else None  # else what adds up the parts applies it
    macros |= {name: 1 for name, on in extras if on}
    kernel("hopper.cu", "hopper_gemm", x, **macros, **stored_as(out), **openings.macro(at_once))(
        (-(-rows // BM) * cluster, across, phases * outer), 256,
        (x, image, b, out, *images, columns, *geometry, *divisors, lines[0], splits, phases, y.size, moments_or_sums,
         *openings.arguments(at_once)),
        shared=shared_bytes(tile, mode))  # fmt: skip
    if left is not None:
        moments.leave(y, sizes, left, BM // cluster)
    if outer > 1:
        add_partials(out, b, y, columns, outer, opening)
    if sums is not None:
        moments.leave_sums(w, sums[-1])


def shared_bytes(tile: Tile, mode: int) -> int:
    """Of a block: its slots, or its sums with lines 8 numbers longer, at a multiple of 1024; before, the barriers."""
    left = BK * (BM + 8) if mode == WEIGHT_GRAD else BM * BK
    return max(tile.STAGES * (left + tile.BN * BK) * 4, BM * (tile.BN + 8) * 4) + 2048
