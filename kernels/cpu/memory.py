"""Memory: where kernels put what they compute, and the order in which images are stored there.

    empty(shape, dtype)          an output's memory; a large output gets that of an array that is gone
    scratch(key, shape, dtype)   this thread's own reusable memory, still warm in its cache from the block before
    channels_last(x)             the door: (N, C, H, W) in any layout -> a contiguous (N, H, W, C) array

The one idea: memory that was written a moment ago is cheap, fresh memory is not. The system hands out pages one by one,
each cleared first: for an output of a few MiB that takes about as long as computing it.
"""

from __future__ import annotations

import functools
import math
import mmap
import os
import sys
import threading
from collections.abc import Sequence

import numpy as np

from ..values import Array, DTypeLike, Pair
from .blocks import PASS, SHARED, cut, for_each_block

RECYCLED = 1 << 18  # outputs of at least this many bytes reuse memory
KEPT = 7 << 25  # bytes of recycled memory above which idle buffers are freed before new ones are made
HUGE = 1 << 21  # bytes of a large page: 512 small ones, which the system would clear and hand out one by one

_local = threading.local()
_buffers: dict[int, list[Array]] = {}  # by size in bytes, last used last: memory of outputs, in use or idle
_lock = threading.Lock()


def _references(buffers: list[Array]) -> list[int]:
    """References to each buffer: each array in its memory holds one, through its .base."""
    return list(map(sys.getrefcount, buffers))


(_IDLE,) = _references([np.empty(1, np.uint8)])  # the count if only a list holds a buffer


def empty(shape: Sequence[int], dtype: DTypeLike) -> Array:
    """An array to be written, like np.empty; a large one gets the memory of an array of the same size that is gone."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < RECYCLED:
        return np.empty(shape, dtype)
    with _lock:
        same = _buffers[size] = _buffers.pop(size, [])
        references = _references(same)
        if _IDLE not in references:
            _make_room(size)
            same.append(_mapped(size))
            return same[-1].view(dtype).reshape(shape)
        return same[references.index(_IDLE)].view(dtype).reshape(shape)


def _make_room(size: int) -> None:
    """Free idle buffers until `size` more bytes fit, those sizes first that were asked for the longest time ago."""
    excess = sum(size * len(same) for size, same in _buffers.items()) + size - KEPT
    for size, same in _buffers.items():
        for i, count in reversed(list(enumerate(_references(same)))):
            if excess <= 0:
                return
            if count == _IDLE:
                del same[i]
                excess -= size


def _mapped(size: int) -> Array:
    """Memory from the system itself, so that it goes back there: malloc would keep it, in pieces that fit nothing."""
    if sys.platform == "win32" or not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty(size, np.uint8)
    large = size // HUGE * HUGE  # what large pages hold: one more behind them would cost memory that nobody asked for
    try:
        pages = mmap.mmap(-1, size + (HUGE if large else 0), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"the system has no {size:,} bytes left") from error
    start = 0
    if large and hasattr(mmap, "MADV_HUGEPAGE"):
        address = np.frombuffer(pages, np.uint8).__array_interface__["data"][0]
        start = -address % HUGE  # what lies before and behind is never touched, and costs nothing
        pages.madvise(mmap.MADV_HUGEPAGE, start, large)
    return np.frombuffer(pages, np.uint8, size, start)


def empty_like(x: Array) -> Array:
    """`empty` of x's shape and type, in x's memory order."""
    order, back = _memory_order(x.strides)
    y = empty([x.shape[axis] for axis in order], x.dtype).transpose(back)
    return y if y.strides == x.strides else np.empty_like(x)


@functools.lru_cache(4096)
def _memory_order(strides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes from the longest stride to the shortest, and where each of them then is."""
    order = sorted(range(len(strides)), key=lambda axis: (-strides[axis], axis))
    return tuple(order), tuple(map(int, np.argsort(order)))


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # the thread that held it does not live in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def scratch(key: str, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """Memory of this thread's own, named `key` and grown when needed; what it held before is gone."""
    buffers = _local.__dict__.setdefault("buffers", {})
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = buffers.get(key)
    if buffer is None or buffer.size < size:
        buffer = buffers[key] = np.empty(size, np.uint8)
    return buffer[:size].view(dtype).reshape(shape)


_layout_copies = 0


def layout_copies() -> int:
    """How many inputs so far had to be copied because they were not stored channels-last."""
    return _layout_copies


def channels_last(x: Array) -> Array:
    """(N, C, *space) in any layout -> contiguous (N, *space, C): a view if x is stored that way, else one copy."""
    global _layout_copies
    moved = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x.transpose(0, *range(2, x.ndim), 1)
    if moved.flags.c_contiguous:
        return moved
    _layout_copies += 1
    return contiguous(moved)


def contiguous(x: Array) -> Array:
    """`x` in C order: itself if it is stored so, else a copy, by blocks along the first axis."""
    if x.flags.c_contiguous:
        return x
    copied = empty(x.shape, x.dtype)
    per_block = max(1, PASS * len(x) // max(1, x.size))
    for_each_block(lambda part: np.copyto(copied[part], x[part]), cut(len(x), per_block), share=x.size > SHARED)
    return copied


def channels_first(y: Array) -> Array:
    """(N, *space, C) -> the same array indexed (N, C, *space)."""
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y.transpose(0, y.ndim - 1, *range(1, y.ndim - 1))


def memory_view(x: Array) -> Array | None:
    """All of x as one flat axis in memory order; None if it has holes, repeats or runs backwards."""
    ordered = x.transpose(_memory_order(x.strides)[0])
    return ordered.reshape(-1) if ordered.flags.c_contiguous else None


def in_order_of(dense: Array, x: Array) -> Array:
    """All of x as one flat axis in the memory order of `dense`, which has no holes; a copy if its own order differs."""
    if x.strides != dense.strides:
        copied = empty_like(dense)
        np.copyto(copied, x)
        x = copied
    flat = memory_view(x)
    assert flat is not None, "a dense array has no holes"
    return flat


def framed(x: Array, corner: Pair, size: Pair, row_step: int = 1, fill: float = 0) -> Array:
    """`size` rows (every row_step-th) and columns of x (n, H, W, C) from `corner` on, `fill` beyond its edges.

    A view if all of them lie inside, else a copy in scratch.
    """
    (top, left), (height, width) = corner, size
    H, W = x.shape[1:3]
    above, below = (min(max(0, -((top - edge) // row_step)), height) for edge in (0, H))  # rows of the frame inside x
    before, behind = (min(max(0, edge - left), width) for edge in (0, W))
    inside = x[:, top + above * row_step : top + below * row_step : row_step, left + before : left + behind]
    if inside.shape[1:3] == (height, width):
        return inside
    frame = scratch("frame", (len(x), height, width, x.shape[3]), x.dtype)
    frame[:, :above] = frame[:, below:] = fill
    frame[:, above:below, :before] = frame[:, above:below, behind:] = fill
    frame[:, above:below, before:behind] = inside
    return frame
