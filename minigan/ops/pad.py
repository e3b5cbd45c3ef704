"""Padding and its adjoint, folding: what was copied into the border is added back to where it came from."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from minigan import kernels
from minigan.engine import Array, S, Sample, primitive
from minigan.errors import OptionError, ShapeError
from minigan.ops._samples import normal

MODES = ("constant", "reflect", "edge")
Widths: TypeAlias = int | Sequence[tuple[int, int]]  # one (before, after) pair per axis; an int: on both sides of all


def _pad_samples(make: Callable[..., Sample]) -> Callable[[np.random.Generator], list[Sample]]:
    return lambda rng: [
        make(rng, (3, 4), ((1, 0), (2, 3)), "constant"),
        make(rng, (4, 5), ((3, 1), (0, 2)), "reflect"),
        make(rng, (1, 2, 3, 4), ((0, 0), (0, 0), (2, 1), (3, 3)), "reflect"),
        make(rng, (2, 3), ((2, 0), (1, 4)), "edge"),
    ]


def normal_widths(widths: Widths, ndim: int) -> tuple[tuple[int, int], ...]:
    """Widths as one (before, after) pair per axis; an int pads every axis on both sides."""
    if isinstance(widths, int):
        return ((widths, widths),) * ndim
    try:
        return tuple((operator.index(a), operator.index(b)) for a, b in widths)
    except (TypeError, ValueError):
        raise ShapeError(f"pad: widths {widths!r} are neither an int nor one (before, after) pair per axis") from None


def _validate(shape, widths, mode):
    if mode not in MODES:
        raise OptionError(f"pad: mode {mode!r} is not one of {', '.join(MODES)}")
    if len(widths) != len(shape):
        raise ShapeError(f"pad: {len(widths)} pairs of widths for {len(shape)} axes of shape {shape}")
    for axis, (n, pair) in enumerate(zip(shape, widths, strict=True)):
        if min(pair) < 0:
            raise ShapeError(f"pad: widths {pair} of axis {axis} are negative; take a slice to crop")
        if mode == "reflect" and max(pair) > 0 and max(pair) >= n:
            raise ShapeError(f"pad: reflecting {max(pair)} elements needs more than {max(pair)} along axis {axis}, "
                             f"which has {n}; pad less or use mode='edge'")
        if mode == "edge" and max(pair) > 0 and n == 0:
            raise ShapeError(f"pad: axis {axis} is empty and has no edge")


@primitive(samples=lambda rng: [*_pad_samples(lambda r, s, w, m: S(normal(r, *s), widths=w, mode=m))(rng),
                                S(normal(rng, 2, 3), widths=1, mode="constant", value=0.7)],
           linear_in=("x",), keeps=(), recomputed=True)
def pad(x: Array, widths: Widths, mode: str = "constant", value: float = 0.0) -> Array:
    """Add a border to x; `widths` are one (before, after) pair per axis, or an int for all sides.

    The mode says what the border holds: "constant" one value, "reflect" x mirrored without repeating the edge, "edge"
    the edge repeated.

    Forward   y[i + before] = x[i];  in the border value, x[reflected i], or x[nearest i]
    VJP       gx = fold(gy): gy inside, plus the cotangents of every copy in the border
    Why       an element that appears k times in y collects k cotangents.
    """
    widths = normal_widths(widths, x.ndim)
    _validate(x.shape, widths, mode)
    return kernels.pad(x, widths, mode, value)


pad.defvjp(x=lambda gy, y, x, *, widths, mode="constant", value=0.0: fold(gy, widths=widths, mode=mode))


@pad.defonnx
def _pad_onnx(o, x, widths, mode="constant", value=0.0):
    before, after = zip(*normal_widths(widths, len(x.shape)), strict=True)
    return o("Pad", x, before + after, float(value) if mode == "constant" else None, mode=mode)


@primitive(samples=_pad_samples(lambda r, s, w, m: S(
    normal(r, *(n + a + b for n, (a, b) in zip(s, w, strict=True))), widths=w, mode=m)), linear_in=("g",),
    keeps=())
def fold(g: Array, widths: Widths, mode: str = "constant") -> Array:
    """Take a border off g, adding it to the elements it was made of: the adjoint of pad, with its widths and mode.

    Forward   y[i] = g[i + before] + sum of g over the copies of i in the border
    VJP       gg = pad(gy) with value 0
    Why       the adjoint of an adjoint is the map itself. Axis by axis, because the corners are copies of copies.
    """
    return kernels.fold(g, normal_widths(widths, g.ndim), mode)


fold.defvjp(g=lambda gy, y, g, *, widths, mode="constant": pad(gy, widths=widths, mode=mode))


@primitive(samples=_pad_samples(lambda r, s, w, m: S(
    normal(r, *s), normal(r, *(n + a + b for n, (a, b) in zip(s, w, strict=True))), widths=w, mode=m)), keeps=())
def fold_onto(base: Array, g: Array, widths: Widths, mode: str = "constant") -> Array:
    """Take a border off g, as fold does with its widths and mode, and add what remains to `base`, in one sweep.

    Forward   y = base + fold(g)
    VJP       gbase = gy        gg = pad(gy) with value 0
    Why       a sum passes its cotangent on to both terms; the adjoint of fold is pad.

    Raises:
        ShapeError: base has not g's shape without its border.
    """
    widths = normal_widths(widths, g.ndim)
    if base.shape != tuple(n - before - after for n, (before, after) in zip(g.shape, widths, strict=True)):
        raise ShapeError(f"fold_onto: base {base.shape} must have the shape of g {g.shape} without its border {widths}")
    return kernels.fold(g, widths, mode, addend=base)


fold_onto.defvjp(base=lambda gy, y, base, g, **_: gy,
                 g=lambda gy, y, base, g, *, widths, mode="constant": pad(gy, widths=widths, mode=mode))

__all__ = ["fold", "fold_onto", "pad"]
