"""Adds up the parts into which the depth of a product was cut; both conv.py and hopper.py cut it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from ..values import DeviceArray, Opening, is_bfloat16
from . import openings
from .backend import backend_of
from .grid import THREADS, flat, vector
from .loader import kernel

LEAVE = 1 << 21  # numbers, 8 MB, that a kernel may read several times instead: they are in L2
FEW = 8  # parts that one thread adds up; more are shared by the eight rows of a block


def stored_as(y: DeviceArray) -> dict[str, str]:
    """The macro of a kernel that stores y as bfloat16; none for what REAL is."""
    return {"OUT": "bf16"} if is_bfloat16(y) else {}


def add_partials(
    partial: DeviceArray, b: DeviceArray | None, y: DeviceArray, columns: int, parts: int,
    opening: Opening | None = None,
) -> None:  # fmt: skip
    """Set y = b + the sum of partial (parts, y.size), in order, and apply `opening`; `columns` is the period of b.

    Inside `parts_left`, leave it to the caller if the parts are few numbers.
    """
    if _wanted.by is not None and b is None and opening is None and partial.size <= LEAVE:
        _wanted.by.partial, _wanted.by.of = partial, y
        return
    if parts <= FEW and vector(columns, y, b) > 1:
        name, grid, block = "add_few_partials", flat(y.size, vector(columns, y)), (THREADS, 1)
    else:
        name, grid, block = "add_partials", -(-y.size // 32), (32, 8)
    kernel("conv.cu", name, partial, **stored_as(y), **openings.macro(opening))(
        grid, block, (partial, b, y, y.size, columns, parts, *openings.arguments(opening)))


class Left:
    """Parts whose sum the caller takes over, or None, and the result that they belong to."""

    partial: DeviceArray | None = None
    of: DeviceArray | None = None

    def are(self, y: DeviceArray) -> bool:
        """Whether y is that result as a whole, in the same memory, not something made of it."""
        same = self.of is not None and self.of.size == y.size
        return same and backend_of(y).address(self.of) == backend_of(y).address(y)


class _Wanted(threading.local):
    by: Left | None = None


_wanted = _Wanted()


@contextlib.contextmanager
def parts_left() -> Iterator[Left]:
    """A context for one product y, with nothing to be added: afterwards y is the sum of `partial` (parts, y.size).

    If `partial` is None, y has been computed; else y has not been written.
    """
    _wanted.by = left = Left()
    try:
        yield left
    finally:
        _wanted.by = None
