"""Hands on what a product has at hand to the kernel that comes next: moments for a norm, sums for a bias's gradient.

The kernels that multiply leave (moments.cuh), for each block's rows, three numbers of every column; norm_stats
merges them instead of reading the images again. A product does so if it is asked to (wings.moments_wanted), and
norm_stats uses them only if its images are that product's result, and nothing has been launched in between that could
have changed them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..values import DeviceArray, handed, real_of
from . import memory
from .backend import backend_of
from .products import Sizes


class Left(NamedTuple):
    """Moments of `images` (pixels, C), which are kept so that no other array has their address.

    Phase p's rows (`rows` of them) are cut into parts of `height`; parts (3, phases * blocks, C) has, of part k in row
    p * blocks + k, the first row's numbers, the means of what others differ from them, and the squares about these.
    """

    images: DeviceArray
    parts: DeviceArray
    rows: int
    height: int
    phases: int
    launches: int  # of all our kernels in this thread, when they were left

    def fits(self, x: DeviceArray, groups: int) -> bool:
        """Whether these are the moments of x, of as many groups of whole parts, with nothing launched in between."""
        same = backend_of(x).address(self.images) == backend_of(x).address(x) and self.images.size == x.size
        whole = groups == 1 or (self.rows % groups == 0 and self.rows // groups % self.height == 0
                                and (self.phases == 1 or len(self.images) % groups == 0))  # else phases lie otherwise
        return same and whole and x.shape[-1] == self.parts.shape[-1] and self.launches == handed.launches

    def lines(self, groups: int) -> int:
        """Parts of each group."""
        return self.phases * math.ceil(self.rows / groups / self.height)

    def numbers(self, groups: int) -> tuple[int, int, int, int, int]:
        """(rows, height, tiles, phases, blocks) as the kernels of norm.cu want them."""
        rows, blocks = self.rows // groups, self.parts.shape[1] // self.phases
        return rows, self.height, -(-rows // self.height), self.phases, blocks


def room(y: DeviceArray, sizes: Sizes, height: int, blocks: int) -> DeviceArray | None:
    """Memory for what a product with `blocks` parts of `height` rows leaves; None if nobody wants it.

    None, too, where phases differ in size.
    """
    handed.left = None
    if not handed.wanted or not sizes.a_along_k or sizes.rows * sizes.phases * sizes.columns != y.size:
        return None
    handed.wanted = False
    return memory.empty((3, sizes.phases * blocks, sizes.columns), real_of(y), y)


def leave(y: DeviceArray, sizes: Sizes, parts: DeviceArray, height: int) -> None:
    """Hand on what the product has just left of y."""
    handed.left = Left(y, parts, sizes.rows, height, sizes.phases, handed.launches)


def take(x: DeviceArray, groups: int) -> Left | None:
    """What the last product left of x (N, P, C), if x is its result and these are moments of `groups` groups."""
    left, handed.left = handed.left, None
    return left if left is not None and left.fits(x, groups) else None


def room_for_sums(gy: DeviceArray, lines: int, columns: int) -> DeviceArray | None:
    """Memory for `lines` partial sums of gy's columns and their totals behind them; None if nobody wants them."""
    handed.sums = None
    if not handed.sums_wanted:
        return None
    handed.sums_wanted = False
    return memory.empty((lines + 1, columns), real_of(gy), gy)


def leave_sums(gy: DeviceArray, sums: DeviceArray) -> None:
    """Hand on the sums (O,) of gy (N, OH, OW, O) over all but its last axis."""
    handed.sums = gy, sums, handed.launches


def put_back(left: Left | None) -> None:
    """Hand on again what has been taken, but not been used."""
    handed.left = left


def take_sums(x: DeviceArray, axes: set[int]) -> DeviceArray | None:
    """The sums over `axes` of x (N, C, H, W), if the last gradient of filters has left them, just before."""
    left, handed.sums = handed.sums, None
    if left is None or left[2] != handed.launches or x.ndim != 4 or axes != {0, 2, 3}:
        return None
    gy, sums, _ = left
    pixels = x.transpose(0, 2, 3, 1)  # (N, H, W, C)
    same = backend_of(gy).owns(x) and backend_of(x).address(x) == backend_of(gy).address(gy)
    return sums if same and pixels.shape == gy.shape and pixels.flags.c_contiguous else None
