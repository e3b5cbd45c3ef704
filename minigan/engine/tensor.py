"""Tensor: an array that remembers how it was made.

A tensor made by an operation keeps a `Node`: the primitive, its arguments, its parameters. Edges run from output to
inputs only, so a graph is freed by reference counts the moment its last output goes. Arrays inside tensors are
read-only: nothing can change under a recorded graph unnoticed. A leaf is changed by `t[...] = value` or
`t.data = array`, which a version number makes visible to the backward pass.
"""

from __future__ import annotations

import copy
from typing import Any, Self, TypeAlias

import numpy as np

from minigan.engine import device as devices
from minigan.engine.node import Node, creation
from minigan.errors import DTypeError, GraphError, ShapeError

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray
Operand: TypeAlias = Any  # a Tensor, an array or a number

_NUMPY = (np.ndarray, np.generic)  # arrays, and the scalars NumPy makes of those without axes
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))  # what can be differentiated


class Tensor:
    """An n-dimensional array with a gradient. Made by `mg.tensor`; `Tensor(array)` takes the array over, read-only."""

    __slots__ = ("__weakref__", "_data", "_version", "grad", "node", "order", "requires_grad")
    __array_ufunc__ = None  # ndarray * tensor asks Tensor.__rmul__ instead of multiplying element by element

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        if isinstance(data, _NUMPY):
            data = np.asarray(data)
            data.setflags(write=False)
        self._data = data
        self._version = [0]  # one list for all tensors that see this memory: views and detached twins
        self.grad: Tensor | None = None
        self.requires_grad = requires_grad
        self.node: Node | None = None
        self.order = next(creation)

    # ---- the array ----
    @property
    def data(self) -> Array:
        """The array itself, read-only. Assigning replaces it; only a leaf may be replaced."""
        return self._data

    @data.setter
    def data(self, value: Operand) -> None:
        new = devices.copy(asarray(value), self.dtype, self.device)
        if new.shape != self.shape:
            raise ShapeError(f"data: cannot put an array of shape {new.shape} in a tensor of shape {self.shape}")
        self._leaf("data =")
        if type(new) is np.ndarray:
            new.flags.writeable = False
        self._data, self._version = new, [self._version[0] + 1]  # others keep the old memory, and its list

    def writable(self) -> Array:
        """A writable view of a leaf's own array, for optimisers; counts as a change in place."""
        self._leaf("writable")
        if type(self._data) is np.ndarray and self._data.base is not None:
            self.data = self._data  # a view: others own its memory, so this tensor gets its own first
        self._version[0] += 1
        if type(self._data) is not np.ndarray:
            return self._data
        self._data.flags.writeable = True
        view = self._data.view()
        self._data.flags.writeable = False
        return view

    def _leaf(self, what: str) -> None:
        if self.node is not None:
            raise GraphError(f"{what}: this tensor was computed by an operation; only leaves change in place. "
                             "Use detach() to get a leaf, or ops.where to build a new tensor.")

    shape = property(lambda self: self._data.shape)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    dtype = property(lambda self: self._data.dtype)

    @property
    def device(self) -> str:
        """`"cpu"` or `"cuda:0"`."""
        return devices.of(self._data)

    def numpy(self) -> np.ndarray:
        """A fresh, writable NumPy copy on the host."""
        return np.array(devices.asnumpy(self._data))

    def item(self) -> float:
        """The value of a tensor of one element, as a Python float."""
        if self.size != 1:
            raise ShapeError(f"item: a tensor of shape {self.shape} has {self.size} elements, not one")
        return float(self._data.item())

    def detach(self) -> Tensor:
        """The same array, in the same memory, without its history."""
        twin = Tensor(self._data)
        twin._version = self._version
        return twin

    def is_leaf(self) -> bool:
        """Whether a gradient is wanted here and the graph goes no further."""
        return self.requires_grad and self.node is None

    def shell(self, array: Array = None) -> Tensor:
        """This tensor's place in the graph, shape and dtype around another array, or around none: then it reads as NaN.

        NaN, because a vjp that reads what its primitive has not declared must not go unnoticed.
        """
        twin = Tensor.__new__(Tensor)
        twin._data = devices.nans_like(self._data) if array is None else array
        twin._version, twin.grad, twin.requires_grad = self._version, None, self.requires_grad
        twin.node, twin.order = self.node, self.order
        return twin

    def to(self, device: str) -> Tensor:
        """This tensor on another device; itself if it is there already."""
        moved = devices.put(self._data, device)
        return self if moved is self._data else Tensor(moved, self.requires_grad)

    def backward(self, cotangent: Operand = None, create_graph: bool = False, retain_graph: bool | None = None) -> None:
        """Add d(self)/d(leaf), weighted by `cotangent`, to `.grad` of every leaf that requires a gradient.

        The graph is freed on the way unless `retain_graph` (default: the value of `create_graph`).

        Raises:
            GraphError: nothing requires a gradient, the tensor is no scalar and no cotangent is given, the graph was
                freed by an earlier pass, or a leaf was changed in place since it was used.

        >>> import minigan as mg
        >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        Tensor([2., 4.], dtype=float32)
        """
        from minigan.engine import autodiff

        autodiff.backward(self, cotangent, create_graph, retain_graph)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        self._leaf("deepcopy")
        twin = type(self).__new__(type(self))
        Tensor.__init__(twin, self._data.copy(order="K"), self.requires_grad)
        return twin

    def __setitem__(self, index: Any, value: Operand) -> None:
        self._leaf("t[...] =")
        changed = self._data.copy(order="K")  # views and detached twins keep what they saw
        changed[devices.index(index, changed)] = devices.index(asarray(value), changed)
        self.data = changed

    def __repr__(self) -> str:
        body = np.array2string(devices.asnumpy(self._data), separator=", ", prefix="Tensor(")
        return f"Tensor({body}, dtype={self.dtype}{', requires_grad=True' if self.requires_grad else ''})"

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return self.item()

    # ---- other libraries ----
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(devices.asnumpy(self._data), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        if type(self._data) is np.ndarray and (options.get("max_version") or (0,))[0] < 1:
            return np.array(self._data).__dlpack__(**options)  # DLPack before 1.0 cannot say "read-only": give a copy
        return self._data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def __getattr__(self, name: str) -> Any:
        if name == "__cuda_array_interface__":
            return self._data.__cuda_array_interface__  # AttributeError on the CPU, as the protocol wants
        raise AttributeError(f"a Tensor has no attribute {name!r}; operations are functions in minigan.ops")

    # ---- operators ----
    def __add__(self, other: Operand) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return ops.sub(self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return ops.sub(other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return ops.mul(self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return ops.mul(other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return ops.div(self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return ops.div(other, self)

    def __pow__(self, exponent: Operand) -> Tensor:
        return ops.power(self, exponent)

    def __rpow__(self, base: Operand) -> Tensor:
        return ops.power(base, self)

    def __matmul__(self, other: Operand) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, _kept(index))

    def __gt__(self, other: Operand) -> Array:
        return self._data > asarray(other)

    def __ge__(self, other: Operand) -> Array:
        return self._data >= asarray(other)

    def __lt__(self, other: Operand) -> Array:
        return self._data < asarray(other)

    def __le__(self, other: Operand) -> Array:
        return self._data <= asarray(other)

    @property
    def T(self) -> Tensor:  # noqa: N802
        """Axes reversed."""
        return ops.transpose(self)

    def reshape(self, *shape: Any) -> Tensor:
        """`t.reshape(2, 3)` or `t.reshape((2, 3))`."""
        return ops.reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """`t.transpose(0, 2, 1)` or `t.transpose((0, 2, 1))`."""
        return ops.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Sum over `axis`."""
        return ops.sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Mean over `axis`."""
        return ops.mean(self, axis, keepdims)

    def var(self, axis: Any = None, keepdims: bool = False, correction: int = 1) -> Tensor:
        """Variance over `axis`, unbiased as in PyTorch unless `correction=0`."""
        return ops.var(self, axis, keepdims, correction)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Largest value over `axis`."""
        return ops.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Smallest value over `axis`."""
        return ops.min(self, axis, keepdims)


def tensor(array_like: Any, requires_grad: bool = False, dtype: Any = None, device: str | None = None) -> Tensor:
    """Copy numbers into a new leaf: float32, unless they are a float64 array or `dtype` says otherwise.

    Raises:
        DTypeError: `dtype` is neither float32 nor float64, or the values are no real numbers.

    >>> tensor([1, 2, 3]).dtype, tensor(np.zeros(3)).dtype
    (dtype('float32'), dtype('float64'))
    """
    given = asarray(array_like)
    try:
        source = given if devices.is_array(given) else np.asarray(given)
    except ValueError as error:
        raise DTypeError(f"tensor: {type(array_like).__name__} holds no regular array of numbers: {error}") from error
    kept = source.dtype if getattr(given, "dtype", None) == np.float64 else np.float32
    wanted = np.dtype(kept if dtype is None else dtype)
    if wanted not in _FLOATS:
        raise DTypeError(f"tensor: dtype {wanted} is neither float32 nor float64, the two that can be differentiated")
    if source.dtype.kind == "c":
        raise DTypeError("tensor: complex numbers have no derivative here; take the real and imaginary parts apart")
    if source.dtype.kind not in "biuf":
        raise DTypeError(f"tensor: {array_like!r:.60} is no number and no array of numbers")
    here = devices.of(source)
    return Tensor(devices.put(source.astype(wanted), device or (devices.default() if here == "cpu" else here)),
                  requires_grad)


def _kept(index: Any) -> Any:
    """An index that the graph can keep: arrays and lists in it copied, as their owner may change them."""
    if type(index) is tuple:
        return tuple(map(_kept, index))
    return copy.deepcopy(index) if isinstance(index, np.ndarray | list) else index


def asarray(value: Any) -> Array:
    """The array behind a Tensor; anything else as it is."""
    return value._data if isinstance(value, Tensor) else value


from minigan import ops  # noqa: E402  the operators need the operations, which need Tensor: so this import comes last
