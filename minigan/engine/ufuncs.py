"""What NumPy asks of a Tensor: `array + t`, np.exp(t), np.sum(t).

A ufunc that is an operator's does what the operator does; other ufuncs and the reductions are refused, because NumPy
knows no derivatives. All other functions of NumPy see the numbers alone, as np.asarray(t) does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.engine.primitive import OPERATIONS
from minigan.engine.tensor import Tensor, bind

_SIGNS = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "truediv", np.remainder: "mod",
          np.floor_divide: "floordiv", np.divmod: "divmod", np.power: "pow", np.matmul: "matmul"}
_METHODS = {ufunc: (f"__{name}__", f"__r{name}__") for ufunc, name in _SIGNS.items()} | {  # t's, and the reflected one
    np.equal: ("__eq__", "__eq__"), np.not_equal: ("__ne__", "__ne__"), np.less: ("__lt__", "__gt__"),
    np.greater: ("__gt__", "__lt__"), np.less_equal: ("__le__", "__ge__"), np.greater_equal: ("__ge__", "__le__"),
    np.negative: ("__neg__", ""), np.positive: ("__pos__", ""), np.absolute: ("__abs__", "")}
_REDUCTIONS = {np.sum: "ops.sum(t)", np.mean: "ops.mean(t)", np.var: "ops.var(t, correction=0)",
               np.max: "ops.max(t)", np.amax: "ops.max(t)", np.min: "ops.min(t)", np.amin: "ops.min(t)",
               np.prod: None, np.any: None, np.all: None}


def _array_ufunc(t: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """`array + t` arrives here as np.add(array, t)."""
    if method == "__call__" and not options and ufunc in _METHODS:
        (own, reflected), (first, *others) = _METHODS[ufunc], inputs
        return getattr(first, own)(*others) if isinstance(first, Tensor) else getattr(t, reflected)(first)
    called = method == "__call__"
    name = f"np.{ufunc.__name__}" if called else f"np.{ufunc.__name__}.{method}"
    if "out" in options:
        raise TypeError(f"{name}: an array cannot be changed in place by a Tensor; write `a = a + t`, or use t.data, "
                        "the numbers without a derivative")
    raise _refusal(name, f"ops.{ufunc.__name__}(...)" if called and ufunc.__name__ in OPERATIONS else None)


def _array_function(t: Tensor, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
    """Any function of NumPy's that is no ufunc."""
    if not all(issubclass(kind, Tensor | np.ndarray) for kind in types):
        return NotImplemented
    if function in _REDUCTIONS:
        raise _refusal(f"np.{function.__name__}", _REDUCTIONS[function])
    return np.ndarray.__array_function__(np.empty(0), function, (), args, options)


def _refusal(name: str, operation: str | None) -> TypeError:
    ours = f"use {operation}, or" if operation else "use"
    return TypeError(f"{name}: NumPy knows no derivatives, so that it does not compute with a Tensor; {ours} {name} of "
                     "t.data, the numbers without a derivative")


class _OfTheClass:
    """A method that only the class has: NumPy looks for `__array_ufunc__` there.

    CuPy looks in the instance, and leaves `array * t` to t's own `__rmul__` if there is None.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __get__(self, t: Tensor | None, owner: type | None = None) -> Callable[..., Any] | None:
        return self.function if t is None else None


bind(__array_ufunc__=_OfTheClass(_array_ufunc), __array_function__=_array_function)
