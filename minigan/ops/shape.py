"""Moving elements about without changing them. Every operation here is linear, and its vjp is its adjoint, also here.

    reshape - reshape     transpose - transpose     broadcast_to - sum_to     flip - flip     regroup - regroup
    concat - getitem      getitem - scatter         pad - fold
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan import kernels
from minigan.engine import Array, Axes, Operand, Remarks, S, Tensor, bind, primitive
from minigan.engine import device as devices
from minigan.errors import ShapeError
from minigan.ops._samples import normal

LAST = np.iinfo(np.int64).max  # in ONNX's Slice: to the end of an axis


@primitive(samples=lambda rng: [S(normal(rng, 2, 6), shape=(3, 4)), S(normal(rng, 2, 3, 2), shape=(-1, 4)),
                                S(normal(rng, 1), shape=())], linear_in=("x",))
def reshape(x: Array, shape: int | Sequence[int]) -> Array:
    """The same elements of x in the same (row-major) order under another shape; one size may be -1.

    Forward   y = x, renumbered
    VJP       gx = reshape(gy, x's shape)
    Why       a renumbering is undone by numbering back.
    """
    return np.reshape(x, shape)


reshape.defvjp(x=lambda gy, y, x, *, shape: reshape(gy, shape=x.shape))
reshape.defonnx(lambda o, x, shape: o("Reshape", x, o.sizes()))


@primitive(samples=lambda rng: [S(normal(rng, 4, 3, 2, 5), count=2), S(normal(rng, 2, 3, 6), count=4),
                                S(normal(rng, 6, 2), count=3), S(normal(rng, 3, 2, 2), count=6, ndim=2)],
           linear_in=("x",))
def regroup(x: Array, count: int, ndim: int | None = None) -> Array:
    """Images x (N, C, H, ...) as `count` images (count, C, N H / count, ...): rows of several become those of one.

    Their pixels keep their order, so images stored channels-last stay where they are. Without space, (N, C) counts as
    (N, C, 1) and, with ndim=2, a result (count, C, 1) as (count, C).

    Forward   y = x, its pixels (n, i, ...) renumbered in row-major order, channels apart
    VJP       gx = regroup(gy, N)
    Why       a renumbering is undone by numbering back.
    """
    if x.ndim < 2:
        raise ShapeError(f"regroup: x {x.shape} must be (N, C, ...)")
    C, space = x.shape[1], x.shape[3:]
    pixels = np.moveaxis(x, 1, -1)  # (N, H, ..., C)
    y = np.moveaxis(np.reshape(pixels, (count, -1, *space, C)), -1, 1)  # (count, C, N*H/count, ...)
    return np.reshape(y, y.shape[:2]) if ndim == 2 else y


regroup.defvjp(x=lambda gy, y, x, *, count, ndim=None: regroup(gy, count=len(x), ndim=x.ndim))


@primitive(samples=lambda rng: [S(normal(rng, 2, 3)), S(normal(rng, 2, 3, 4), axes=(2, 0, 1))], linear_in=("x",))
def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    """Reorder the axes of x; all reversed by default.

    Forward   y[i_axes[0], i_axes[1], ...] = x[i_0, i_1, ...]
    VJP       gx = transpose(gy, inverse of axes)
    Why       a permutation is undone by its inverse.
    """
    return np.transpose(x, axes)


transpose.defvjp(x=lambda gy, y, x, *, axes=None: transpose(
    gy, axes=None if axes is None else tuple(int(i) for i in np.argsort([a % x.ndim for a in axes]))))
transpose.defonnx(lambda o, x, axes=None: o("Transpose", x, perm=[
    a % len(x.shape) for a in (range(len(x.shape))[::-1] if axes is None else axes)]))


@primitive(samples=lambda rng: [S(normal(rng, 3, 1), shape=(2, 3, 4)), S(normal(rng), shape=(2, 2))], linear_in=("x",))
def broadcast_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Repeat x along new axes and axes of size 1 up to a shape, by NumPy's rule, without copying.

    Forward   y[..., i, ...] = x[..., 0, ...]
    VJP       gx = sum_to(gy, x's shape)
    Why       an element copied k times collects k cotangents.
    """
    return np.broadcast_to(x, shape)


broadcast_to.defvjp(x=lambda gy, y, x, *, shape: sum_to(gy, shape=x.shape))


@broadcast_to.defonnx
def _broadcast_to_onnx(o, x, shape):
    sizes = (1,) * (len(o.shape) - len(x.shape)) + x.shape
    if any(n == -1 != size for n, size in zip(o.shape, sizes, strict=True)):
        o.refuse("it repeats a number as many times as there are samples")
    return o("Expand", x, [1 if n == -1 else n for n in o.shape])  # in Expand, 1 leaves an axis as it is


@primitive(samples=lambda rng: [S(normal(rng, 2, 3, 4), shape=(3, 1)), S(normal(rng, 2, 3), shape=())],
           linear_in=("x",))
def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum x down to a shape that broadcasts to x's: the adjoint of broadcast_to.

    Forward   y[..., 0, ...] = sum_i x[..., i, ...]
    VJP       gx = broadcast_to(gy, x's shape)
    Why       the adjoint of an adjoint is the map itself.
    """
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
    return np.reshape(kernels.reduce_sum(x, axes, True), shape) if axes else x


sum_to.defvjp(x=lambda gy, y, x, *, shape: broadcast_to(gy, shape=x.shape))


@primitive(samples=lambda rng: [S(normal(rng, 2, 3), normal(rng, 2, 1), normal(rng, 2, 4), axis=1),
                                S(normal(rng, 3), normal(rng, 2), axis=-1)], linear_in=("xs",),
           remarks=Remarks(summed=("xs",)))
def _concat(*xs: Array, axis: int) -> Array:
    """Join tensors along an axis they may differ in.

    Forward   y = x_0, x_1, ... one after the other along the axis
    VJP       gx_k = the part of gy where x_k lies
    Why       each element of y is a copy of one element of one x_k.
    """
    if not xs or xs[0].ndim != 4 or isinstance(xs[0], np.ndarray):
        return np.concatenate(xs, axis)
    images = [x.transpose(0, 2, 3, 1) for x in xs]  # to be stored channels-last on a device, else kernels copy them
    while len(images) > 8:  # CuPy joins more by a table of addresses, which a captured step may not upload
        images = [np.concatenate(images[:8], (0, 3, 1, 2)[axis]), *images[8:]]
    return np.concatenate(images, (0, 3, 1, 2)[axis]).transpose(0, 3, 1, 2)


def _concat_vjp(gy, y, *xs, axis, position):
    start = sum(x.shape[axis] for x in xs[:position])
    return getitem(gy, _along(axis, y.ndim, slice(start, start + xs[position].shape[axis])))


_concat.defvjp(xs=_concat_vjp)
_concat.defonnx(lambda o, *xs, axis: o("Concat", *xs, axis=axis % len(o.shape)))


def _along(axis: int, ndim: int, part: slice) -> tuple[slice, ...]:
    """An index that takes `part` of one axis and all of the others."""
    return (slice(None),) * (axis % ndim) + (part,)


def concat(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Join tensors along an existing axis."""
    return _concat(*tensors, axis=axis)


def stack(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

    Raises:
        ShapeError: there is no such axis.
    """
    ndim = tensors[0].ndim + 1 if len(tensors) else 0
    if not -ndim <= axis < ndim:
        raise ShapeError(f"stack: axis {axis} does not exist: {len(tensors)} tensors, stacked, have {ndim} axes")
    rows = [reshape(t, (*t.shape[: axis % ndim], 1, *t.shape[axis % ndim :])) for t in tensors]  # (..., 1, ...)
    return _concat(*rows, axis=axis % ndim)


def split(x: Tensor, sizes: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut an axis of x into pieces of `sizes`: a list of sizes, or one size for all, the last piece being the rest.

    Raises:
        ShapeError: the listed sizes do not add up to the axis.
    """
    if not -x.ndim <= axis < x.ndim or (isinstance(sizes, int) and sizes < 1):
        raise ShapeError(f"split: cannot cut axis {axis} of {x.shape} in pieces of {sizes}")
    n = x.shape[axis]
    pieces = [min(sizes, n - i) for i in range(0, n, sizes)] if isinstance(sizes, int) else list(sizes)
    if sum(pieces) != n or min(pieces, default=0) < 0:
        raise ShapeError(f"split: sizes {pieces} add up to {sum(pieces)}, but axis {axis} of {x.shape} has {n}")
    ends = np.cumsum(pieces).tolist()
    return [getitem(x, _along(axis, x.ndim, slice(end - size, end))) for size, end in zip(pieces, ends, strict=True)]


def _plain(index: Any) -> bool:
    """Whether an index has no arrays, and so takes no element twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, int | np.integer | slice) for p in parts)


def _index_samples(rng: np.random.Generator) -> list[tuple[np.ndarray, Any]]:
    rows = np.array([0, 2, 2])  # an element taken twice
    return [(normal(rng, 3, 4), i) for i in ((1,), (slice(None, None, -2), 2), rows, (rows, np.array([1, 0, 0])),
                                             (Ellipsis, None, slice(1, 3)), np.arange(12).reshape(3, 4) % 3 == 0)]


@primitive(samples=lambda rng: [S(x, index=i) for x, i in _index_samples(rng)], linear_in=("x",))
def getitem(x: Array, index: Any) -> Array:
    """Take elements of x, by anything NumPy takes as an index.

    Forward   y = x[index]
    VJP       gx = scatter(gy, index): zeros, with gy added at the index
    Why       each element of y is a copy of one of x; one taken twice collects two cotangents.
    """
    return x[devices.index(index, x)]


getitem.defvjp(x=lambda gy, y, x, *, index: scatter(gy, index=index, shape=x.shape))


@getitem.defonnx
def _getitem_onnx(o, x, index):
    if not _plain(index):
        o.refuse("it takes elements by an array of indices")
    parts = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis not in parts:
        parts.append(Ellipsis)
    place, rest = parts.index(Ellipsis), len(x.shape) - sum(p is not None and p is not Ellipsis for p in parts)
    parts[place : place + 1] = [slice(None)] * rest
    taken = [p for p in parts if p is not None]
    cuts = [(axis, p) for axis, p in enumerate(taken) if p != slice(None)]
    if cuts:
        slices = [p if isinstance(p, slice) else slice(p, p + 1 or None) for _, p in cuts]
        steps = [s.step or 1 for s in slices]
        starts = [s.start if s.start is not None else 0 if (s.step or 1) > 0 else LAST for s in slices]
        ends = [s.stop if s.stop is not None else LAST if (s.step or 1) > 0 else -LAST for s in slices]
        x = o("Slice", x, starts, ends, [axis for axis, _ in cuts], steps)
    if whole := [axis for axis, p in enumerate(taken) if not isinstance(p, slice)]:
        x = o("Squeeze", x, whole)
    new = [axis for axis, p in enumerate(p for p in parts if not isinstance(p, int | np.integer)) if p is None]
    return o("Unsqueeze", x, new) if new else x if cuts else o("Identity", x)


@primitive(samples=lambda rng: [S(normal(rng, *x[i].shape), index=i, shape=x.shape) for x, i in _index_samples(rng)],
           linear_in=("g",))
def scatter(g: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Add g at the index of an array of zeros of a shape: the adjoint of getitem.

    Forward   y = 0;  y[index] += g
    VJP       gg = gy[index]
    Why       the adjoint of an adjoint is the map itself.
    """
    return kernels.place(g, index, shape) if _plain(index) else kernels.scatter_add(g, index, shape)


scatter.defvjp(g=lambda gy, y, g, *, index, shape: getitem(gy, index=index))


@primitive(samples=lambda rng: [S(normal(rng, 2, 3), axis=1), S(normal(rng, 2, 3, 4), axis=(0, 2))], linear_in=("x",))
def flip(x: Array, axis: Axes = None) -> Array:
    """Reverse the order of x along an axis or several (all of them by default).

    Forward   y[i] = x[n - 1 - i]
    VJP       gx = flip(gy)
    Why       a reversal is its own inverse, and its own transpose.
    """
    return np.flip(x, axis)


flip.defvjp(x=lambda gy, y, x, *, axis=None: flip(gy, axis=axis))


@flip.defonnx
def _flip_onnx(o, x, axis=None):
    axes = range(len(x.shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return o("Slice", x, [-1] * len(axes), [-LAST] * len(axes), list(axes), [-1] * len(axes))


# ---- as methods of Tensor ----
def _reshape(x: Tensor, *shape: Any) -> Tensor:
    """`t.reshape(2, 3)` or `t.reshape((2, 3))`."""
    return reshape(x, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)


def _transpose(x: Tensor, *axes: Any) -> Tensor:
    """`t.transpose(0, 2, 1)` or `t.transpose((0, 2, 1))`; without axes, all reversed."""
    return transpose(x, (axes[0] if len(axes) == 1 else axes) or None)


def _copied(index: Any) -> Any:
    """An index that the graph can keep: arrays and lists in it copied, as their owner may change them."""
    if type(index) is tuple:
        return tuple(map(_copied, index))
    return copy.deepcopy(index) if isinstance(index, np.ndarray | list) else index


bind(reshape=_reshape, transpose=_transpose, T=property(lambda x: transpose(x), doc="Axes reversed."), sum_to=sum_to,
     __getitem__=lambda x, index: getitem(x, _copied(index)))

__all__ = ["broadcast_to", "concat", "flip", "getitem", "regroup", "reshape", "scatter", "split", "stack", "sum_to",
           "transpose"]
