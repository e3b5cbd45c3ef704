"""Borders: put one on, take one off into what it was made of; and adding up what an index scatters."""

from __future__ import annotations

import numpy as np


def pad(x, widths, mode, value):
    """Put a border on x: of `value` ("constant"), of x mirrored without its edge ("reflect"), of its edge ("edge")."""
    order = sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], axis))  # np.pad by itself always gives C order
    moved, pairs = x.transpose(order), [widths[axis] for axis in order]
    y = np.pad(moved, pairs, constant_values=value) if mode == "constant" else np.pad(moved, pairs, mode=mode)
    return y.transpose(np.argsort(order))


def fold(g, widths, mode):
    """The adjoint of pad: g without its border, which is added to the elements it was made of.

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
    return g


def scatter_add(g, index, shape):
    """Zeros of `shape` with g added at `index`; one that an index names twice gets both."""
    y = np.zeros(shape, g.dtype)
    np.add.at(y, index, g)
    return y
