"""How threads are laid over arrays: how many numbers one moves at once, how many blocks a table or an image gets."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..values import DeviceArray
from .memory import aligned

THREADS = 256  # in a block, at most; the same in pack.cuh
TILE = 32  # columns of a table that a block takes: 128 bytes of float32, a whole cache line
BATCH = 4  # rows that a thread loads at once, so it should have at least as many; the same in pack.cuh
BLOCKS = 512  # about four for each of 132 multiprocessors
SMALL = 1 << 14  # numbers up to which a second launch, to add up partial results, costs more than it gains


def pack_of(array: DeviceArray) -> int:
    """Numbers in a pack: 16 bytes of them; of bfloat16 only 8 bytes, the numbers that are a pack as float32."""
    return int(16 // max(4, array.itemsize))


def vector(size: int, *arrays: DeviceArray | None) -> int:
    """VEC, the numbers a thread moves at once: a pack if `size` is a multiple and all arrays are aligned, else 1."""
    present = [a for a in arrays if a is not None]
    pack = pack_of(present[0])
    return pack if size % pack == 0 and all(map(aligned, present)) else 1


def flat(size: int, vec: int) -> int:
    """Blocks for one thread per pack."""
    return -(-size // (THREADS * vec))


def lines(count: int, width: int, vec: int) -> tuple[tuple[int, int], int]:
    """(grid, block) for `count` image rows of `width` numbers: blockIdx.x is the row, y a piece of it."""
    packs = max(1, -(-width // vec))
    block = min(THREADS, 32 * -(-packs // 32))
    return (count, -(-packs // block)), block


class Table(NamedTuple):
    """A contiguous array: groups of rows of `width` numbers, cut into parts of `share` rows and tiles of `lanes` packs.

    A row holds width / C pixels side by side.
    """

    groups: int
    rows: int
    width: int
    channels: int
    parts: int
    share: int
    vec: int
    lanes: int
    depth: int  # threads above one another

    @property
    def grid(self) -> tuple[int, int]:
        """Blocks: parts of groups by tiles."""
        return self.groups * self.parts, -(-self.width // (self.lanes * self.vec))

    @property
    def block(self) -> tuple[int, int]:
        """Threads: packs of a row by rows."""
        return self.lanes, self.depth

    @property
    def numbers(self) -> tuple[int, int, int, int, int]:
        """(rows, W, C, parts, share), as the kernels of norm.cu want them."""
        return self.rows, self.width, self.channels, self.parts, self.share

    @property
    def lines(self) -> int:
        """Rows of C partial results that each group leaves; 1 means that they are final."""
        return self.parts * (self.width // self.channels)


def parts_of(x: DeviceArray) -> int | None:
    """1 for a small array, whose partial results are not worth a second launch, else None: `table` decides."""
    return 1 if x.size <= SMALL else None


def table(groups: int, pixels: int, channels: int, *arrays: DeviceArray | None, parts: int | None = None) -> Table:
    """The Table of (groups, pixels, channels) arrays; parts=1 leaves each group to one block per tile."""
    pack = pack_of(next(a for a in arrays if a is not None))
    fold = pack // math.gcd(pack, channels)  # pixels side by side, so that a row is a number of whole packs
    if parts == 1 or pixels % fold or pixels < 16 * THREADS or vector(fold * channels, *arrays) == 1:
        fold = 1  # one part needs no second launch, but pixels side by side would
    width, rows = fold * channels, pixels // fold
    vec = vector(width, *arrays)
    packs = -(-width // vec)
    tiles = max(1, -(-packs * vec // TILE))
    lanes = -(-packs // tiles)
    depth = max(1, min(THREADS // lanes, rows))
    if parts is None:
        few = math.isqrt(rows // 2)  # so that a block which reads a row from every part has more rows of its own
        parts = min(BLOCKS // (groups * tiles), few, -(-rows // (depth * BATCH)))
        if groups * tiles >= BLOCKS // 4 and rows <= 8 * BATCH * depth:
            parts = 1  # enough blocks, and short enough
    share = -(-rows // max(1, parts))
    return Table(groups, rows, width, channels, max(1, -(-rows // max(1, share))), share, vec, lanes, depth)
