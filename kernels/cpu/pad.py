"""Borders and their adjoint, which adds a border to the elements it was copied from; the adjoints of indexing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..values import Array, Widths

__all__ = ["fold", "pad", "place", "scatter_add"]


def pad(x: Array, widths: Widths, mode: str = "constant", value: float = 0.0) -> Array:
    """`x` with a border: of `value` ("constant"), of x mirrored without its edge ("reflect"), of its edge ("edge").

    widths are (before, after) for each axis. The result's axes lie in memory in the order of x's.
    """
    order = sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], axis))  # np.pad by itself always gives C order
    moved, pairs = x.transpose(order), [widths[axis] for axis in order]
    options = {"constant_values": value} if mode == "constant" else {}
    y: Array = np.pad(moved, pairs, mode, **options)  # type: ignore[call-overload]
    return y.transpose(np.argsort(order))


def fold(g: Array, widths: Widths, mode: str = "constant", addend: Array | None = None) -> Array:
    """The adjoint of pad: g without its border, which is added to the elements it was copied from; plus an addend.

    Axis by axis, because the corners are copies of copies.
    """
    copied = False  # once it is, g may be written to
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        moved = np.moveaxis(g, axis, 0)
        end = len(moved) - after
        if mode == "constant":
            g = np.moveaxis(moved[before:end], 0, axis)
            continue
        core = moved[before:end] if copied else moved[before:end].copy(order="K")
        copied = True
        if mode == "reflect":
            core[1 : before + 1] += moved[:before][::-1]
            core[len(core) - 1 - after : len(core) - 1] += moved[end:][::-1]
        else:
            core[0] += moved[:before].sum(axis=0)
            core[-1] += moved[end:].sum(axis=0)
        g = np.moveaxis(core, 0, axis)
    return g if addend is None else np.add(g, addend, out=g if copied else None)


def place(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with g at `index`, of slices and numbers, in g's order in memory."""
    y: Array = np.zeros_like(g, shape=shape)
    y[index] = g
    return y


def scatter_add(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with g added at `index`; an element that the index names twice gets both."""
    y: Array = np.zeros(shape, g.dtype)
    np.add.at(y, index, g)
    return y
