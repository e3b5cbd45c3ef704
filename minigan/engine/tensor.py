"""Tensor and Node: an array, and how it was made.

A tensor made by an operation keeps a Node: the operation, its arguments, its parameters. Edges run from output to
inputs only, so a graph is freed by reference counts the moment its last output goes. Arrays inside tensors are
read-only: nothing can change under a recorded graph unnoticed. A leaf is changed by `t[...] = value` or
`t.data = array`, which a version number makes visible to the backward pass.
"""

# ruff: noqa: D102  (the methods that are declared for type checkers have their docstrings where they are bound)

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol, Self, TypeAlias

import numpy as np

from minigan import kernels
from minigan.engine import device as devices
from minigan.errors import DeviceError, DTypeError, GraphError, ShapeError

Array: TypeAlias = Annotated[Any, "numpy.ndarray or cupy.ndarray"]
Operand: TypeAlias = Annotated[Any, "a Tensor, an array or a number"]
Axes: TypeAlias = "int | tuple[int, ...] | None"  # None: all of them
Place: TypeAlias = "Tensor | Node"  # where a tensor stands in a graph: a leaf is its own place, else it is the node

WORTH = 1 << 12  # an array of at least this many bytes that no vjp reads is not kept
_NUMPY = (np.ndarray, np.generic)  # arrays, and the scalars NumPy makes of those without axes
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))  # the types that can be differentiated
_creation = itertools.count()  # creation order is a topological order; next() on it is atomic


class Tensor:
    """An n-dimensional array with a gradient. Made by `mg.tensor`; `Tensor(array)` takes the array over, read-only."""

    __slots__ = ("__weakref__", "_data", "_grad", "_version", "node", "order", "requires_grad")
    __hash__ = object.__hash__  # its identity, although == is element by element: a tensor is a key in dicts and sets

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        if type(data) is np.ndarray:  # nearly always
            data.setflags(write=False)
        elif isinstance(data, _NUMPY):
            data = np.asarray(data)
            data.setflags(write=False)
        self._data = data
        self._version = [0]  # one list for all tensors that see this memory: views and detached twins
        self._grad: Tensor | None = None
        self.requires_grad = requires_grad
        self.node: Node | None = None
        self.order = next(_creation)

    # ---- the array ----
    @property
    def data(self) -> Array:
        """The array itself, read-only. Assigning replaces it; only a leaf may be replaced."""
        return self._data

    @data.setter
    def data(self, value: Operand) -> None:
        new = devices.copy(_real(value, "data ="), self.dtype, self.device)
        if new.shape != self.shape:
            raise ShapeError(f"data: cannot put an array of shape {new.shape} in a tensor of shape {self.shape}")
        self._check_leaf("data =")
        if type(new) is np.ndarray:
            new.flags.writeable = False
        self._data, self._version = new, [self._version[0] + 1]  # others keep the old memory, and its list

    def writable(self) -> Array:
        """A writable view of a leaf's own array, for optimisers; counts as a change in place."""
        self._check_leaf("writable")
        if type(self._data) is np.ndarray and self._data.base is not None:
            self.data = self._data  # a view: others own its memory, so this tensor gets its own first
        self._version[0] += 1
        if type(self._data) is not np.ndarray:
            kernels.weights_change(self._data)
            return self._data
        self._data.flags.writeable = True
        view = self._data.view()
        self._data.flags.writeable = False
        return view

    def _check_leaf(self, what: str) -> None:
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

    def to(self, device: str) -> Tensor:
        """This tensor on another device; itself if it is there already."""
        moved = devices.put(self._data, device)
        return self if moved is self._data else Tensor(moved, self.requires_grad)

    @property
    def grad(self) -> Tensor | None:
        """The gradient, a tensor of the same shape, dtype and device, or None. An array that is assigned is copied."""
        return self._grad

    @grad.setter
    def grad(self, value: Operand) -> None:
        if not (value is None or isinstance(value, Tensor)):
            value = tensor(value, dtype=self.dtype if np.ndim(value) == 0 else None, device=self.device)
        if value is not None:
            _check_gradient(self, value)
        self._grad = value

    # ---- the graph ----
    def is_leaf(self) -> bool:
        """Whether a gradient is wanted here and the graph goes no further."""
        return self.requires_grad and self.node is None

    @property
    def place(self) -> Place:
        """Where the tensor stands in its graph: its node, or itself if no operation made it."""
        return self if self.node is None else self.node

    @property
    def memory(self) -> int:
        """A number that two tensors share while they see the same memory, as views and detached twins do."""
        return id(self._version)

    def shell(self, array: Array = None) -> Tensor:
        """This tensor's place in the graph, shape and dtype around another array, or around none: then it reads as NaN.

        NaN, because a vjp that reads what its primitive has not declared must not go unnoticed.
        """
        twin = Tensor.__new__(Tensor)
        twin._data = devices.nans_like(self._data) if array is None else array
        twin._version, twin._grad, twin.requires_grad = self._version, None, self.requires_grad
        twin.node, twin.order = self.node, self.order
        return twin

    # ---- Python's protocols ----
    def __setitem__(self, index: Any, value: Operand) -> None:
        self._check_leaf("t[...] =")
        changed = self._data.copy(order="K")  # views and detached twins keep what they saw
        changed[devices.index(index, changed)] = devices.index(_real(value, "t[...] ="), changed)
        self.data = changed

    def __repr__(self) -> str:
        body = np.array2string(devices.asnumpy(self._data), separator=", ", prefix="Tensor(")
        return f"Tensor({body}, dtype={self.dtype}{', requires_grad=True' if self.requires_grad else ''})"

    def __len__(self) -> int:
        return len(self._data)

    # ---- other libraries ----
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(devices.asnumpy(self._data), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        if type(self._data) is np.ndarray and (options.get("max_version") or (0,))[0] < 1:
            return np.array(self._data).__dlpack__(**options)  # DLPack before 1.0 cannot say "read-only": give a copy
        return self._data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    if not TYPE_CHECKING:  # to a type checker, a class with __getattr__ has every attribute

        def __getattr__(self, name: str) -> Any:
            if name == "__cuda_array_interface__":
                return self._data.__cuda_array_interface__  # AttributeError on the CPU, as the protocol wants
            raise AttributeError(f"a Tensor has no attribute {name!r}; operations are functions in minigan.ops")

    # ---- bound by the module that has the operation, see `bind`; declared here for editors and mypy ----
    if TYPE_CHECKING:
        def __eq__(self, other: object) -> Array: ...
        def __ne__(self, other: object) -> Array: ...
        def __lt__(self, other: Operand) -> Array: ...
        def __le__(self, other: Operand) -> Array: ...
        def __gt__(self, other: Operand) -> Array: ...
        def __ge__(self, other: Operand) -> Array: ...
        def __bool__(self) -> bool: ...
        def __int__(self) -> int: ...
        def __float__(self) -> float: ...
        def __round__(self, digits: int | None = None) -> float: ...
        def __trunc__(self) -> int: ...
        def __format__(self, spec: str) -> str: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def __contains__(self, value: Operand) -> bool: ...
        def _repr_html_(self) -> str: ...
        def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any: ...
        def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any: ...
        def __copy__(self) -> Self: ...
        def __deepcopy__(self, memo: dict[int, Any]) -> Self: ...
        def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]: ...
        def __setstate__(self, state: Any) -> None: ...
        def __add__(self, other: Operand) -> Tensor: ...
        def __radd__(self, other: Operand) -> Tensor: ...
        def __sub__(self, other: Operand) -> Tensor: ...
        def __rsub__(self, other: Operand) -> Tensor: ...
        def __mul__(self, other: Operand) -> Tensor: ...
        def __rmul__(self, other: Operand) -> Tensor: ...
        def __truediv__(self, other: Operand) -> Tensor: ...
        def __rtruediv__(self, other: Operand) -> Tensor: ...
        def __floordiv__(self, other: Operand) -> Tensor: ...
        def __rfloordiv__(self, other: Operand) -> Tensor: ...
        def __mod__(self, other: Operand) -> Tensor: ...
        def __rmod__(self, other: Operand) -> Tensor: ...
        def __divmod__(self, other: Operand) -> tuple[Tensor, Tensor]: ...
        def __rdivmod__(self, other: Operand) -> tuple[Tensor, Tensor]: ...
        def __pow__(self, exponent: Operand) -> Tensor: ...
        def __rpow__(self, base: Operand) -> Tensor: ...
        def __matmul__(self, other: Operand) -> Tensor: ...
        def __rmatmul__(self, other: Operand) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def reshape(self, *shape: Any) -> Tensor: ...
        def transpose(self, *axes: Any) -> Tensor: ...
        @property
        def T(self) -> Tensor: ...  # noqa: N802
        def sum(self, axis: Axes = None, keepdims: bool = False) -> Tensor: ...
        def mean(self, axis: Axes = None, keepdims: bool = False) -> Tensor: ...
        def var(self, axis: Axes = None, keepdims: bool = False, correction: int = 1) -> Tensor: ...
        def max(self, axis: Axes = None, keepdims: bool = False) -> Tensor: ...
        def min(self, axis: Axes = None, keepdims: bool = False) -> Tensor: ...
        def sum_to(self, shape: tuple[int, ...]) -> Tensor: ...
        def cast(self, dtype: Any) -> Tensor: ...
        def backward(self, cotangent: Operand = None, create_graph: bool = False,
                     retain_graph: bool | None = None) -> None: ...


def _check_gradient(x: Tensor, g: Tensor) -> None:
    """Raise an error if g cannot be x's gradient."""
    if g.shape != x.shape:
        raise ShapeError(f"grad =: a tensor of shape {x.shape} cannot have a gradient of shape {g.shape}; a gradient "
                         "has its tensor's shape: sum or reshape it")
    if g.dtype != x.dtype:
        raise DTypeError(f"grad =: the gradient is {g.dtype}, its tensor {x.dtype}; convert the gradient, "
                         f"e.g. mg.tensor(g, dtype=np.{x.dtype})")
    if g.device != x.device:
        raise DeviceError(f"grad =: the gradient is on {g.device}, its tensor on {x.device}; move it with .to(device)")


def bind(**methods: Any) -> None:
    """Make functions and properties methods of Tensor. Called by each module that has operations, below them.

    So the engine imports no operation. Type checkers cannot see what is bound from elsewhere, so the class declares it
    for them; a test compares the declarations with what is bound.
    """
    for name, method in methods.items():
        if isinstance(method, FunctionType) and method.__name__[0] in "<_":  # a lambda, or made to be a method
            method.__name__, method.__qualname__ = name, f"Tensor.{name}"
        setattr(Tensor, name, method)


class Maker(Protocol):
    """What a graph asks of the operation that made a tensor; `Primitive` has it."""

    name: str
    function: Callable[..., Array]  # the forward, on arrays
    broadcasts: bool  # a cotangent is summed back to its argument's shape
    gate: Callable[..., tuple[Array, float]] | None  # see Primitive.defgate
    product: bool  # see `primitive`
    sums: dict[int, Callable[..., Tensor]]  # for these arguments, vjps adds to cotangents that have arrived

    def needs(self, args: tuple[Tensor | None, ...], params: dict[str, Any]) -> tuple[Container[int], bool]: ...
    def vjps(self, need: list[int], gy: Tensor, node: Node, arrived: dict[int, Tensor]) -> list[Tensor | None]: ...


class Origin(NamedTuple):
    """Where a node was made: `file:line in function`; the layer; and, if a backward pass made it, for which node."""

    place: str
    layer: str | None = None
    differentiates: int | None = None  # that node's `order`

    def __str__(self) -> str:
        return self.place + (f", layer {self.layer}" if self.layer else "")


class Node:
    """How a tensor was made: `primitive(*args, **params)`, with the versions its arguments had then.

    It is the tensor's place in the graph, and keeps the numbers that vjps read. `reads` holds the positions of those
    arguments, and -1 if it is the result. An argument whose numbers no vjp reads, or that can be computed again
    (`value`), leaves a shell here.
    """

    __slots__ = ("again", "args", "order", "origin", "params", "primitive", "reads", "version", "y")

    def __init__(self, primitive: Maker, args: tuple[Tensor | None, ...], params: dict[str, Any], y: Array) -> None:
        self.primitive, self.params = primitive, params
        self.reads, self.again = reads, again = primitive.needs(args, params)
        version, kept = 0, args
        for i, a in enumerate(args):
            if a is not None:
                version += a._version[0]
                if a._data.nbytes >= WORTH and (_computed_again(a) if again or i in reads else not a.is_leaf()):
                    kept = (*kept[:i], a.shell(), *kept[i + 1 :])
        self.version = version
        self.args: tuple[Tensor | None, ...] | None = kept  # None after a backward pass has used the node up
        self.y: Array | None = y if -1 in reads and not (again and type(y) is np.ndarray) else None
        self.order = next(_creation)
        self.origin: Origin | None = None  # kept under detect_anomaly and by mg.explain(function) only

    def version_now(self) -> int:
        """Sum of the arguments' version numbers: they only grow, so it is equal only if none has changed."""
        total = 0
        for a in self.args or ():
            if a is not None:
                total += a._version[0]
        return total

    def arguments(self, every: bool = False) -> tuple[Tensor | None, ...]:
        """The arguments with the numbers that vjps read, or with all; what was not kept is computed again."""
        return tuple([a if a is None else a.shell() if not (every or i in self.reads) else
                      a.shell(a.node.value()) if a.node is not None and _computed_again(a) else a
                      for i, a in enumerate(self.args or ())])

    def value(self) -> Array:
        """The result's array: kept, or computed again and then kept until the backward pass has been here."""
        if self.y is None:
            if self.version != self.version_now():
                raise GraphError(f"backward: an argument of {self.primitive.name} was changed in place after it was "
                                 "used, and its result is computed a second time")
            arrays = [None if a is None else a._data for a in self.arguments(every=True)]
            self.y = self.primitive.function(*arrays, **self.params)
        return self.y

    def leave(self, retain: bool) -> None:
        """The backward pass has been here: let go of everything, or only of what was computed again."""
        if not retain:
            self.args, self.y, self.params = None, None, {}
        elif self.again:
            self.y = None

    def where(self) -> str:
        """Where the node was created, or how to find out: the end of an error message."""
        return f"; created at {self.origin}" if self.origin else "; run under mg.detect_anomaly() to see where"


def _computed_again(t: Tensor) -> bool:
    """Whether the graph does not keep the tensor's numbers, because a cheap operation made it. (On the CPU only.)"""
    node = t.node
    return node is not None and node.again and t._data.nbytes >= WORTH and type(t._data) is np.ndarray


def tensor(array_like: Any, requires_grad: bool = False, dtype: Any = None, device: str | None = None) -> Tensor:
    """Copy numbers into a new leaf: float32, unless they are a float64 array or `dtype` says otherwise.

    Raises:
        DTypeError: `dtype` is neither float32 nor float64, or the values are no real numbers.

    >>> tensor([1, 2, 3]).dtype, tensor(np.zeros(3)).dtype
    (dtype('float32'), dtype('float64'))
    """
    source = _real(array_like, "tensor")
    own = np.float64 if getattr(asarray(array_like), "dtype", None) == np.float64 else np.float32
    wanted = np.dtype(own if dtype is None else dtype)
    here = devices.of(source)
    there = device or (devices.default() if here == "cpu" else here)
    if wanted not in _FLOATS and (there == "cpu" or wanted.name != "bfloat16"):  # kernels make that, on a GPU
        raise DTypeError(f"tensor: dtype {wanted} is neither float32 nor float64, the two that can be differentiated")
    return Tensor(devices.put(source.astype(wanted), there), requires_grad)


def _real(value: Any, what: str) -> Array:
    """The array behind a value. Raises DTypeError unless it holds real numbers: NumPy makes NaN of None, 5 of "5"."""
    values = asarray(value)
    try:
        array = values if devices.is_array(values) else np.asarray(values)
    except ValueError as error:
        raise DTypeError(f"{what}: {type(value).__name__} holds no regular array of numbers: {error}") from error
    if array.dtype.kind == "c":
        raise DTypeError(f"{what}: complex numbers have no derivative here; take the real and imaginary parts apart")
    if array.dtype.kind not in "biuf" and not kernels.is_bfloat16(array):
        raise DTypeError(f"{what}: {value!r:.60} is no number and no array of numbers")
    return array


def asarray(value: Any) -> Array:
    """The array behind a Tensor; anything else as it is."""
    return value._data if isinstance(value, Tensor) else value
