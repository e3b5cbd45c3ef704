"""How conv.cu's products are cut: tiles, how deep and how many at once, and parts of the depth.

Chosen from sizes and from what the device has; for hopper.cu's products hopper.py has a model of their times instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .limits import H100, RESERVED, Limits

BK = 16  # depth of the shortest tile; bfloat16's are twice as deep
CORNERS = 16  # bytes of shared memory for each of a tile's rows, beside the tiles
LEAST = 128  # depth that a split has at least: with less, adding it up costs more than it gains


class Tile(NamedTuple):
    """The part of y that a block computes, and that of each of its warps."""

    BM: int
    BN: int
    WM: int
    WN: int
    THREADS: int


SQUARE = Tile(64, 64, 32, 32, 128)
TILES = Tile(128, 128, 64, 64, 128), Tile(128, 64, 64, 32, 128), SQUARE  # the larger, the fewer bytes an operation
HALF, NARROW = Tile(128, 32, 32, 32, 128), Tile(128, 8, 32, 8, 128)  # for up to 32 and up to 8 columns


def plan(
    rows: int, columns: int, depth: int, count: int, tensor_cores: bool, limits: Limits = H100
) -> tuple[Tile, int]:  # fmt: skip
    """(tile, splits): the largest tile of which there are enough for all multiprocessors, if the depth may be cut, too.

    Few columns take a narrow tile, which they fill. A split has at least LEAST of the depth; two blocks for each
    multiprocessor are enough.

    >>> plan(64 * 16 * 16, 128, 1024, 1, True)[1], plan(1024, 64, 64 * 32 * 32, 1, True)[1]
    (1, 15)
    """
    most, enough = max(1, depth // LEAST), limits.multiprocessors * 10 // 11
    tiles = [NARROW] if columns <= 8 else [HALF] if columns <= 32 else TILES if tensor_cores else [SQUARE]
    for tile in tiles:
        blocks = count * -(-rows // tile.BM) * -(-columns // tile.BN)
        full = rows > tile.BM // 2 and columns > tile.BN // 2
        if full and blocks * min(most, 4) >= enough:
            break
    splits = 1 if blocks >= enough else min(most, -(-2 * enough // blocks), 65535 // count)
    return tile, without_empty(max(1, splits), -(-depth // BK))


def without_empty(splits: int, steps: int) -> int:
    """How many of `splits` parts have any of the steps, each part of as many of them."""
    share = -(-steps // splits)
    return max(1, -(-steps // max(1, share)))


def stages_of(tile: Tile, along: tuple[bool, bool], limits: Limits, packed: bool = True) -> tuple[int, int]:
    """(depth, stages) of a tensor-core tile: the deepest of which two blocks fit on a multiprocessor, with two stages.

    Deep tiles are worth it if 16 bytes are copied at once (`packed`); one number a copy would be twice as many copies.

    >>> from minigan.kernels.cuda.limits import A100, H100, RTX
    >>> [stages_of(TILES[0], (True, True), limits) for limits in (H100, A100, RTX)]
    [(32, 3), (32, 2), (16, 2)]
    """
    room = limits.shared // 2 - RESERVED - CORNERS * tile.BM
    for deep in (2 * BK, BK) if packed else (BK,):
        if (stages := min(3, room // tile_bytes(tile.BM, tile.BN, deep, *along))) >= 2:
            return deep, stages
    return BK, 2


def tile_bytes(BM: int, BN: int, deep: int, a_along_k: bool, b_along_k: bool, itemsize: int = 4) -> int:
    """Of a tile of A and one of B, whose lines are a little longer, see `Banks` in conv.cu; as many of bfloat16."""
    lines = (BM, a_along_k), (BN, b_along_k)
    return sum(size * (deep + 4) if along_k else deep * (size + 8) for size, along_k in lines) * itemsize


def shared_bytes(macros: Mapping[str, Any], itemsize: int) -> int:
    """Shared memory of a block: STAGES tiles of A and of B, and if it leaves moments, in their place its part of y."""
    halves = macros.get("BF16", 0)
    tile = tile_bytes(macros["BM"], macros["BN"], macros["BK"] // (1 + halves), macros["A_ALONG_K"],
                       macros["B_ALONG_K"], itemsize * (1 + halves))
    part = macros["BM"] * (macros["BN"] + 8) * max(4, itemsize) if macros.get("MOMENTS") else 0
    return int(max(macros["STAGES"] * tile, part))
