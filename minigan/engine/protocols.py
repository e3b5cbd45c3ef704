"""What Python itself asks of a Tensor: to compare it, to turn it into a number or text, to copy and to pickle it.

Comparisons are element by element, as NumPy's, and give boolean arrays. A tensor is still its own key in dicts and
sets: its hash is its identity. A copy has no history: in another process, creation order starts anew, so whoever is
copied or unpickled is a new leaf, created there and then.
"""

from __future__ import annotations

import copyreg
import math
from collections.abc import Callable, Iterator
from typing import Any, Never

import numpy as np

from minigan.engine import device as devices
from minigan.engine.tensor import Array, Node, Operand, Tensor, asarray, bind
from minigan.errors import GraphError, ShapeError


# ---- comparisons ----
def _comparison(sign: str, ufunc: Callable[..., Array]) -> Callable[[Tensor, Operand], Array]:
    """The method of a comparison. What is no number and no array of numbers (None, text) is left to Python.

    Python then says that it is not equal, and that it has no order.
    """

    def compare(x: Tensor, other: Operand) -> Array:
        value = asarray(other)
        if not devices.is_array(value) and np.asarray(value).dtype.kind not in "biuf":
            return NotImplemented
        try:
            return ufunc(x._data, devices.index(value, x._data))
        except ValueError as error:
            raise ShapeError(f"{sign}: tensors of shapes {x.shape} and {np.shape(value)} do not broadcast to one "
                             "shape; to ask whether two tensors are one object, use `is`") from error

    return compare


def _iter(x: Tensor) -> Iterator[Tensor]:
    """The slices along the first axis. TypeError for one number: Python would take the failing x[0] for an end."""
    if not x.ndim:
        raise TypeError("iteration over a tensor without axes, which is one number: use x.item()")
    return (x[i] for i in range(len(x)))


# ---- numbers and text ----
def _number(x: Tensor, what: str, remedy: str) -> float:
    """The value of a tensor of one element; others have no value as a whole."""
    if x.size != 1:
        raise ShapeError(f"{what}: a tensor of shape {x.shape} has {x.size} elements, not one; {remedy}")
    return x.item()


def _bool(x: Tensor) -> bool:
    """Whether the only element is not 0."""
    return bool(_number(x, "bool", "the truth of several is ambiguous: take (...).any() or (...).all() of a comparison"
                                   " with numbers, or `is` to find a tensor in a list"))


def _int(x: Tensor) -> int:
    return int(_number(x, "int", "use x.numpy().astype(int)"))


def _trunc(x: Tensor) -> int:
    """math.trunc of the only element."""
    return math.trunc(_number(x, "trunc", "use np.trunc(x.numpy())"))


def _round(x: Tensor, digits: int | None = None) -> float:
    """The only element, rounded: a Python number."""
    return round(_number(x, "round", "use np.round(x.numpy())"), digits)


def _format(x: Tensor, spec: str) -> str:
    """f"{loss:.3f}": the only element as a number; without a format, the tensor's repr."""
    if not spec:
        return str(x)
    return format(_number(x, f"format {spec!r}", "format its elements, or reduce it to one number"), spec)


def _contains(x: Tensor, value: Operand) -> bool:
    """Whether an element equals the value, as in NumPy."""
    equal = x == value
    return bool(np.any(devices.asnumpy(equal))) if devices.is_array(equal) else bool(equal)


# ---- copies ----
def _copy(x: Tensor) -> Tensor:
    """copy.copy: another tensor that sees the same memory, at the same place of the graph if it has one."""
    twin = type(x).__new__(type(x))
    if x.node is None:
        Tensor.__init__(twin, x._data, x.requires_grad)
    else:
        for name in ("_data", "requires_grad", "node", "order"):
            setattr(twin, name, getattr(x, name))
    twin._version, twin._grad = x._version, x._grad
    _give_attributes(twin, getattr(x, "__dict__", None))
    return twin


def _deepcopy(x: Tensor, memo: dict[int, Any]) -> Tensor:
    """copy.deepcopy of a leaf, its gradient included: a leaf with memory of its own, in the same layout."""
    from copy import deepcopy  # here, because `copy` means something else in this file

    x._check_leaf("deepcopy")
    twin = type(x).__new__(type(x))
    memo[id(x)] = twin
    Tensor.__init__(twin, x._data.copy(order="K"), x.requires_grad)
    twin._grad = None if x._grad is None else deepcopy(x._grad.detach(), memo)
    _give_attributes(twin, deepcopy(getattr(x, "__dict__", None), memo))
    return twin


def _reduce(x: Tensor, protocol: Any) -> tuple[Any, ...]:
    """What pickle writes: array, gradient, requires_grad and version; no order, which holds in one process only.

    A tensor with history is refused, as its graph refers to functions. It might become a leaf instead, but then its
    gradient would stop there in silence.
    """
    x._check_leaf("pickle")
    slots = {"_data": _packed(x._data), "_version": x._version, "requires_grad": x.requires_grad,
             "grad": None if x._grad is None else x._grad.detach()}
    return copyreg.__newobj__, (type(x),), (getattr(x, "__dict__", None), slots)  # type: ignore[attr-defined]


def _setstate(x: Tensor, state: tuple[dict[str, Any] | None, dict[str, Any]]) -> None:
    """Become a new leaf of this process. (Pickles of version 0.1 hold an order, too; it means nothing here.)"""
    attributes, slots = state
    Tensor.__init__(x, _unpacked(slots["_data"]), slots["requires_grad"])
    x._version, x._grad = slots["_version"], slots["grad"]
    _give_attributes(x, attributes)


def _give_attributes(x: Tensor, attributes: dict[str, Any] | None) -> None:
    """What instances of a subclass without __slots__ carry."""
    if attributes:
        vars(x).update(attributes)


def _packed(array: Array) -> Any:
    """The array, if pickle keeps its layout and device by itself; else both, with a row-major array on the host."""
    if isinstance(array, np.ndarray) and (array.flags.c_contiguous or array.flags.f_contiguous):
        return array
    host = devices.asnumpy(array)
    axes = sorted(range(host.ndim), key=lambda axis: -host.strides[axis])  # the slowest in memory first
    return devices.of(array), np.ascontiguousarray(host.transpose(axes)), axes


def _unpacked(packed: Any) -> Array:
    if not isinstance(packed, tuple):
        return packed
    device, array, axes = packed
    return devices.put(array.transpose(np.argsort(axes)), device)


def _node_reduce(node: Node, protocol: Any) -> Never:
    raise GraphError(f"pickle: a graph (here the node of {node.primitive.name}) can be neither pickled nor copied; "
                     "pickle the tensor's detach()")


for _name, _sign, _ufunc in (("eq", "==", np.equal), ("ne", "!=", np.not_equal), ("lt", "<", np.less),
                             ("le", "<=", np.less_equal), ("gt", ">", np.greater), ("ge", ">=", np.greater_equal)):
    bind(**{f"__{_name}__": _comparison(_sign, _ufunc)})
bind(
    __bool__=_bool, __int__=_int, __float__=lambda x: _number(x, "float", "use x.numpy()"),
    __round__=_round, __trunc__=_trunc, __format__=_format, __contains__=_contains, __iter__=_iter,
    __copy__=_copy, __deepcopy__=_deepcopy, __reduce_ex__=_reduce, __setstate__=_setstate,
)
Node.__reduce_ex__ = _node_reduce  # type: ignore[assignment]
