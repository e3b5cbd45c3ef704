"""Arrays of the device "emulated": host memory behind an `ndarray` of its own that keeps CuPy's rules.

It refuses to be mixed with a NumPy array by accident, its sums are arrays without axes, and new memory holds no zeros:

    NaN      fills new arrays, so what a kernel does not write shows
    guards   NaN lies before and after every array; a write there is an error, a read gives NaN

While a graph is captured, work that only writes to arrays is recorded instead of done: see emulated_graph.py.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ..values import Array, DTypeLike, Shape
from .emulated_graph import recorder, root_of, unowned

GUARD = 1024  # bytes of 0xff (a NaN of any float type) on both sides of an array


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801  the name CuPy and NumPy give it
    """A host array that pretends to be on another device: see the module's docstring."""

    __slots__ = ("host",)
    device = type("Device", (), {"id": 0})()

    def __init__(self, host: Array) -> None:
        self.host = host

    shape = property(lambda self: self.host.shape)
    strides = property(lambda self: self.host.strides)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    itemsize = property(lambda self: self.host.itemsize)
    nbytes = property(lambda self: self.host.nbytes)
    flags = property(lambda self: self.host.flags)
    base = property(lambda self: self.host.base)
    T = property(lambda self: ndarray(self.host.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self.host.ctypes.data))

    def get(self) -> Array:
        """A copy as a NumPy array, as CuPy's `get`."""
        recorder.refuse("get")
        return self.host.copy(order="K")

    def item(self) -> Any:
        """The only element, as a Python number."""
        recorder.refuse("item")
        return self.host.item()

    def __len__(self) -> int:
        return len(self.host)

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __repr__(self) -> str:
        return f"emulated {self.host!r}"

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy(order="K")

    def __getitem__(self, index: Any) -> Any:
        return _run(lambda x, i: x[i], (self, index))

    def __setitem__(self, index: Any, value: Any) -> None:
        _in_place(lambda x, i, v: x.__setitem__(i, v), (self, index, value))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        function = getattr(ufunc, method)
        if method == "at":
            return _in_place(function, inputs, options)
        if out is None:
            return _run(function, inputs, options)
        _in_place(lambda o, *a: function(*a, out=o, **options), (out[0], *inputs))
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return (_in_place if function is np.copyto else _run)(function, args, kwargs)

    def __getattr__(self, attribute: str) -> Any:
        if attribute in ("reshape", "transpose", "ravel", "astype", "copy", "sum", "mean", "max", "min", "fill", "view",
                         "take", "squeeze", "swapaxes", "all", "any"):
            method, work = getattr(np.ndarray, attribute), _in_place if attribute == "fill" else _run
            return lambda *args, **kwargs: work(method, (self, *args), kwargs)
        raise AttributeError(f"an emulated array has no attribute {attribute!r}")


def _run(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> Any:
    """Function on host arrays, its result in a guarded array; recorded, too, while a graph is captured."""
    kwargs = kwargs or {}
    host_args, host_kwargs = _host(args), {key: _host(value) for key, value in kwargs.items()}
    result = function(*host_args, **host_kwargs)
    if isinstance(result, list | tuple):
        return type(result)(ndarray(part) if isinstance(part, np.ndarray) else part for part in result)  # views only
    if not isinstance(result, np.ndarray | np.generic):
        return result  # np.ndim, np.shape, ...
    inputs = [a for a in (*args, *kwargs.values()) if isinstance(a, ndarray)]
    if isinstance(result, np.ndarray) and any(np.may_share_memory(result, a.host) for a in inputs):
        return ndarray(result)
    kept = guarded(np.asarray(result))
    if recorder.graph is not None:
        recorder.note(function.__name__, _copies(unowned(kept), function, _unowned(host_args), _unowned(host_kwargs)),
                      [a.host for a in inputs], [kept])
    return ndarray(kept)


def _copies(to: Array, function: Callable[..., Any], args: Any, kwargs: Any) -> Callable[[], None]:
    return lambda: np.copyto(to, function(*args, **kwargs))


def _in_place(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> None:
    """function, which changes the first of its arguments: at once, or when the graph being captured is launched."""
    host_args, host_kwargs = _host(args), {key: _host(value) for key, value in (kwargs or {}).items()}
    if recorder.graph is not None:
        host_args, host_kwargs = _unowned(host_args), _unowned(host_kwargs)
    recorder.do("in place", lambda: function(*host_args, **host_kwargs),
                [a.host for a in (*args, *(kwargs or {}).values()) if isinstance(a, ndarray)], [args[0].host])


def _unowned(value: Any) -> Any:
    """Host arrays, in tuples, lists and dicts, too, as a recorded launch knows them; see emulated_graph.unowned."""
    if isinstance(value, np.ndarray):
        return unowned(value)
    if isinstance(value, dict):
        return {key: _unowned(part) for key, part in value.items()}
    return type(value)(map(_unowned, value)) if type(value) in (list, tuple) else value


def _host(value: Any) -> Any:
    """The host arrays behind emulated ones; NumPy arrays are refused, as CuPy refuses them."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, list | tuple):
        return type(value)(_host(part) for part in value)
    return value


def room(shape: Shape, dtype: DTypeLike, order: Literal["C", "F"] = "C") -> Array:
    """Memory between two guards, all of it NaN."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    raw = recorder.room(size + 2 * GUARD + 64)
    return np.ndarray(shape, dtype, raw, _start(raw), order=order)


def _start(raw: Array) -> int:
    return GUARD + -(raw.ctypes.data + GUARD) % 64  # aligned as a GPU's allocations are


def guarded(host: Array) -> Array:
    """A copy of an array, in the same memory order, between guards."""
    axes = sorted(range(host.ndim), key=lambda a: -abs(host.strides[a]))
    copy = room(tuple(host.shape[a] for a in axes), host.dtype).transpose(np.argsort(axes))
    copy[...] = host
    return copy


def guards_hold(host: Array) -> bool:
    """Whether nothing was written before or after an array."""
    root = root_of(host)
    if root.dtype != np.uint8 or root.ndim != 1 or root.size < 2 * GUARD:
        return True
    start, size = _start(root), root.size - 2 * GUARD - 64
    return bool((root[:start] == 0xFF).all() and (root[start + size :] == 0xFF).all())
