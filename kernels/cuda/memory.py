"""Where CUDA kernels put what they compute, and the order in which images are stored there; the twin of cpu/memory.py.

    empty(shape, dtype, like)    an output's memory, on the device of `like`
    empty_like(x)                the same in x's order of axes
    channels_last(x)             the door: (N, C, H, W) in any layout -> a contiguous (N, H, W, C) array
    dense(x)                     x itself if its elements fill one piece of memory, else a copy
    once(w, how, make)           what is made of weights, made again only after they have changed
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..values import DeviceArray, DTypeLike, made
from .backend import backend_of
from .loader import is_dense

_layout_copies = 0


def layout_copies() -> int:
    """How many inputs so far had to be copied because they were not stored channels-last."""
    return _layout_copies


def empty(shape: Sequence[int], dtype: DTypeLike, like: DeviceArray) -> DeviceArray:
    """An array to be written, C-contiguous, on the device of the array `like`."""
    return backend_of(like).empty(tuple(shape), dtype)


def order_of(x: DeviceArray) -> tuple[int, ...]:
    """The axes of x from the slowest to the fastest in memory.

    >>> import numpy as np
    >>> order_of(np.empty((2, 5, 4, 3)).transpose(0, 3, 1, 2))
    (0, 2, 3, 1)
    """
    return orders(x.strides)[0]


@functools.cache  # the same few layouts in every step
def orders(strides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes from slowest to fastest, and the place of each axis in that order."""
    order = tuple(sorted(range(len(strides)), key=lambda axis: (-abs(strides[axis]), axis)))
    return order, tuple(order.index(axis) for axis in range(len(strides)))


def empty_like(x: DeviceArray, dtype: DTypeLike | None = None) -> DeviceArray:
    """An array of x's shape, dense, its axes in x's order in memory."""
    order, inverse = orders(x.strides)
    return empty(tuple(x.shape[axis] for axis in order), dtype or x.dtype, x).transpose(inverse)


def contiguous(x: DeviceArray) -> DeviceArray:
    """`x` in C order: itself if it is stored so, else a copy."""
    return x if x.flags.c_contiguous else x.copy(order="C")


def dense(x: DeviceArray) -> DeviceArray:
    """`x` without gaps in memory: itself, or a copy in its order of axes."""
    return x if is_dense(x) else x.copy(order="K")


def aligned(x: DeviceArray) -> bool:
    """Whether 16 bytes may be read at once from x's beginning; a slice of an array may begin elsewhere."""
    return bool(x.data.ptr % 16 == 0)


def in_order_of(x: DeviceArray, other: DeviceArray) -> DeviceArray:
    """`other`, of x's shape, dense and in x's memory order, so that a kernel may walk both with one index."""
    if other.strides == x.strides or (is_dense(other) and _same_order(x, other)):
        return other
    copied = empty_like(x, other.dtype)
    copied[...] = other
    return copied


def _same_order(x: DeviceArray, other: DeviceArray) -> bool:
    return all(s == t or n == 1 for s, t, n in zip(x.strides, other.strides, x.shape, strict=True))


def channels_last(x: DeviceArray) -> DeviceArray:
    """Images (N, C, H, W), or (N, C), as a contiguous array (N, H, W, C); copied only if stored in another order."""
    global _layout_copies
    x = x.reshape(*x.shape, *(1,) * (4 - x.ndim)).transpose(0, 2, 3, 1)  # (N, H, W, C)
    _layout_copies += not x.flags.c_contiguous
    return contiguous(x)


def once(w: DeviceArray, how: tuple[Any, ...], make: Callable[[], DeviceArray]) -> DeviceArray:
    """make(), an array made of the weights w; the same one for the same `how` while weights are constant.

    See wings.constant_weights.
    """
    if made.of is None:
        return make()
    key = backend_of(w).address(w), w.shape, w.strides, how
    if key not in made.of:
        made.of[key] = make(), w  # as long as w is kept, no other array has its address
    array: DeviceArray = made.of[key][0]
    return array
