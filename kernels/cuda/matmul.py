"""NumPy's matmul by the kernel of conv.cu: a row of pixels with K channels each, times filters of one tap."""

from __future__ import annotations

import math
from typing import Any

from ..values import DeviceArray, real_of
from . import memory
from .conv import Batch, product
from .elementwise import cast
from .loader import is_dense

__all__ = ["matmul"]

LAYERS = 16384  # matrices in one launch, at most: times the splits they are the layers of a grid, at most 65535


def matmul(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """The product a @ b of arrays of two axes or more; leading axes broadcast. Transposed matrices are not copied.

    Arrays of bfloat16 are cast to float32 first, as which they are multiplied.
    """
    a, b = (cast(x, real_of(x)) for x in (a, b))
    (M, K), N = a.shape[-2:], b.shape[-1]
    if b.shape[-2] != K:
        raise ValueError(f"matmul: {a.shape} and {b.shape} do not chain: the inner sizes are {K} and {b.shape[-2]}")
    leading = _broadcast(a.shape[:-2], b.shape[:-2])
    y = memory.empty((*leading, M, N), a.dtype, a)
    if b.ndim == 2 and a.flags.c_contiguous:  # one tall product
        _fill(y.reshape(1, math.prod(leading) * M, N), a.reshape(1, math.prod(leading) * M, K), b.reshape(1, K, N))
    elif not leading:
        _fill(y.reshape(1, M, N), a.reshape(1, M, K), b.reshape(1, K, N))
    else:
        _fill(y, *(x.reshape(*(1,) * (y.ndim - x.ndim), *x.shape) for x in (a, b)))
    return y


def _fill(y: DeviceArray, a: DeviceArray, b: DeviceArray) -> None:
    """Set y = a @ b: three arrays of the same number of axes; a and b may have size 1 where y has more."""
    if y.size == 0:
        return
    a, a_along_k, a_line = _lines(a)
    b, b_along_n, b_line = _lines(b)
    axes = _merged(y.shape[:-2], _steps(a, y), _steps(b, y))
    at_once = LAYERS // math.prod(y.shape[1:-2]) if len(axes) <= 2 else 0
    if at_once < len(y):  # in pieces along the first axis
        for i in range(0, len(y), max(1, at_once)):
            part = slice(i, i + max(1, at_once))
            _fill(*_below(*(x if len(x) == 1 else x[part] for x in (y, a, b))))
        return
    (outer, a_outer, b_outer), (inner, a_inner, b_inner) = [(1, 0, 0)] * (2 - len(axes)) + axes
    batch = Batch(outer * inner, inner, (a_outer, a_inner), (b_outer, b_inner))
    (M, K), N = a.shape[-2:], b.shape[-1]
    images = (1, 1, M, K) if a_along_k else (1, 1, K, M)
    geometry = (1, 1, 1, 1, 0, 0, 1, 1, 1, images[2])  # KH KW SH SW PH PW DH DW OH OW
    product(a, b, None, y, images, N, geometry, rows=M, depth=K, lines=(a_line, b_line), a_along_k=a_along_k,
            b_along_k=not b_along_n, batch=batch)  # fmt: skip


def _below(*arrays: DeviceArray) -> tuple[DeviceArray, ...]:
    """The arrays without a first axis of 1, as long as another leading axis is left."""
    return tuple(x[0] for x in arrays) if len(arrays[0]) == 1 and arrays[0].ndim > 3 else arrays


def _lines(x: DeviceArray) -> tuple[DeviceArray, bool, int]:
    """`x` or a copy, whether its rows are contiguous (else its columns are), and the numbers from one to the next."""
    if is_dense(x):
        down, right = (stride // x.itemsize for stride in x.strides[-2:])
        if right == 1 or x.shape[-1] == 1:
            return x, True, down
        if down == 1 or x.shape[-2] == 1:
            return x, False, right
    return x.copy(order="C"), True, x.shape[-1]


def _broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """The leading axes of the product, by NumPy's rule.

    >>> _broadcast((4, 1), (3, 1, 2))
    (3, 4, 2)
    """
    size = max(len(left), len(right))
    pairs = list(zip((1,) * (size - len(left)) + left, (1,) * (size - len(right)) + right, strict=True))
    if any(m != n and 1 not in (m, n) for m, n in pairs):
        raise ValueError(f"matmul: leading axes {left} and {right} do not broadcast")
    return tuple(n if m == 1 else m for m, n in pairs)


def _steps(x: DeviceArray, y: DeviceArray) -> tuple[int, ...]:
    """Numbers from one matrix to the next along each leading axis of y; 0 where x has only one."""
    return tuple(0 if n == 1 else s // x.itemsize for n, s in zip(x.shape[:-2], x.strides[:-2], strict=True))


def _merged(sizes: Any, a_steps: tuple[int, ...], b_steps: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """[(size, step of a, step of b)]: without axes of size 1, and neighbours that a single step walks through made one.

    >>> _merged((2, 3, 1, 4), (12, 4, 9, 1), (0, 0, 0, 5))
    [(6, 4, 0), (4, 1, 5)]
    """
    axes: list[tuple[int, int, int]] = []
    for size, a, b in zip(sizes, a_steps, b_steps, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1:] == (a * size, b * size):
            axes[-1] = (axes[-1][0] * size, a, b)
        else:
            axes.append((size, a, b))
    return axes
