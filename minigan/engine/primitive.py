"""One operation = one declaration: its docstring, its sample inputs, its forward on arrays, its vjp on Tensors.

    @primitive(samples=lambda rng: [S(rng.normal(size=(2, 3)))])
    def tanh(x):
        '''Forward ...  VJP ...  Why ...'''
        return np.tanh(x)

    tanh.defvjp(x=lambda gy, y, x: gy * (1 - y * y))

The forward sees arrays, so it is plain NumPy. The vjp sees Tensors, so it is itself differentiable, at any order; a raw
array in it may only be a mask, an index or a shape. Everything generated (gradient checks, the page of derivations,
`explain`) walks the two tables below.
"""

from __future__ import annotations

import gc
import inspect
import sys
import threading
from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigan.engine import device as devices
from minigan.engine.node import Node
from minigan.engine.tensor import Array, Operand, Tensor, tensor
from minigan.errors import DeviceError, DTypeError, GraphError, MiniganError, ShapeError

Keeps = Sequence[str] | Callable[..., Sequence[str]] | None
ALL = range(-1, sys.maxsize)  # every position
Samples = Callable[[np.random.Generator], Sequence["Sample"]]


class State(threading.local):
    """What the current thread is doing: recording a graph, watching for NaN, inside which layers and which rule."""

    def __init__(self) -> None:
        self.recording = True
        self.anomaly = False
        self.watch: Callable[[Primitive, Tensor, Sequence[Tensor | None]], None] | None = None  # told of every result
        self.modules: list[Any] = []
        self.node: Node | None = None  # the one whose rules the backward pass applies


state = State()


class Sample(NamedTuple):
    """Arguments to check an operation with: arrays to differentiate by, and parameters."""

    args: tuple[np.ndarray, ...]
    params: dict[str, Any]


def S(*args: np.ndarray, **params: Any) -> Sample:  # noqa: N802
    """Short for Sample in declarations."""
    return Sample(args, params)


class Operation:
    """An entry of OPERATIONS: something a user calls and the checker proves, a primitive or built from primitives."""

    def __init__(self, function: Callable[..., Any], samples: Samples, linear_in: Sequence[str]) -> None:
        self.name, self.__doc__, self.function = function.__name__.strip("_"), function.__doc__, function
        self.samples, self.linear_in = samples, tuple(linear_in)
        kinds = inspect.signature(function).parameters.values()
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in kinds)
        self.argnames = [p.name for p in kinds if p.kind is not p.KEYWORD_ONLY]
        self.required = sum(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in kinds)
        if not callable(samples):
            raise TypeError(f"{self.name}: an operation needs sample inputs to be checked with")
        if not all(word in (function.__doc__ or "") for word in ("Forward", "VJP", "Why")):
            raise TypeError(f"{self.name}: an operation needs a docstring with Forward, VJP and Why")
        if not set(linear_in) <= set(self.argnames):
            raise TypeError(f"{self.name}: linear_in names {set(linear_in) - set(self.argnames)}, no arguments of it")
        if self.name in OPERATIONS:
            raise TypeError(f"{self.name} is declared twice")
        OPERATIONS[self.name] = self

    def __call__(self, *args: Any, **params: Any) -> Any:
        """The operation itself."""
        return self.function(*args, **params)


OPERATIONS: dict[str, Operation] = {}  # everything gradient-checked
PRIMITIVES: dict[str, Primitive] = {}  # those with a rule of their own


class Primitive(Operation):
    """An operation with a derivative rule. Calling it records a node when an argument requires a gradient."""

    def __init__(self, function: Callable[..., Any], samples: Samples, linear_in: Sequence[str], broadcasts: bool,
                 keeps: Keeps = None, recomputed: bool | Callable[..., bool] = False):
        super().__init__(function, samples, linear_in)
        self.broadcasts = broadcasts  # the engine sums a cotangent back to the argument's shape
        self.keeps = ALL if keeps is None else keeps if callable(keeps) else self._positions(keeps)
        self.recomputed = recomputed  # cheap: nobody keeps its result for the backward pass, which calls it again
        self.rules: dict[str, Callable[..., Tensor | None] | None] = {}
        self.fused: Callable[..., Sequence[Array | None]] | None = None
        self.parameters = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
        PRIMITIVES[self.name] = self

    def needs(self, params: dict[str, Any]) -> tuple[Container[int], bool]:
        """Positions of arguments whose numbers the vjps read, -1 for the result's; whether that is computed again."""
        keeps, again = self.keeps, self.recomputed
        return (self._positions(keeps(**params)) if callable(keeps) else keeps,
                again(**params) if callable(again) else again)

    def _positions(self, names: Sequence[str]) -> Container[int]:
        if not set(names) <= {*self.argnames, "y"}:
            raise TypeError(f"{self.name}: keeps names {set(names) - {*self.argnames, 'y'}}, no arguments of it")
        return frozenset(-1 if name == "y" else self.argnames.index(name) for name in names)

    def defvjp(self, **rules: Callable[..., Tensor | None] | None) -> None:
        """Give the vjp per argument: `rule(gy, y, *args, **params) -> gx`; None where the derivative is zero."""
        if set(rules) != set(self.argnames):
            raise TypeError(f"{self.name}: rules for {sorted(rules)}, but the arguments are {self.argnames}")
        self.rules = rules

    def deffused(self, function: Callable[..., Sequence[Array | None]]) -> None:
        """Register a faster backward on raw arrays, for create_graph=False. It must equal the rules on every sample.

        `function(gy, y, *arrays, **params)` returns one array (or None) per argument.
        """
        self.fused = function

    def __call__(self, *args: Operand, **params: Any) -> Tensor:
        """Apply the forward to the arguments' arrays; record a node if an argument requires a gradient."""
        if len(args) != len(self.argnames) and not self.variadic:
            args, params = self._bind(args, params)
        tensors = as_tensors(self.name, args)
        if params:  # a np.float64 among the parameters would promote float32 arrays; a Python float does not
            params = {k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()}
        try:
            y = Tensor(self.function(*[None if t is None else t._data for t in tensors], **params))
        except (ValueError, MemoryError) as error:
            if isinstance(error, MiniganError):
                raise
            shapes = ", ".join("None" if t is None else str(t.shape) for t in tensors)
            if isinstance(error, MemoryError):
                raise DeviceError(f"{self.name}: out of memory, arguments of shapes {shapes}: {error}. "
                                  f"{largest_tensors()}") from error
            raise ShapeError(f"{self.name}: arguments of shapes {shapes} do not fit: {error}") from error
        _share_version(y, tensors)
        if state.recording:
            for t in tensors:
                if t is not None and t.requires_grad:
                    y.requires_grad, y.node = True, Node(self, tensors, params, y._data)
                    break
        if state.watch is not None:
            state.watch(self, y, tensors)
        return y

    def _bind(self, args: tuple[Operand, ...], params: dict[str, Any]) -> tuple[tuple[Operand, ...], dict[str, Any]]:
        """conv2d(x, w, b, 2, 1): what follows the tensors are parameters, in order. conv2d(x, w): b is None."""
        count = len(self.argnames)
        if len(args) > count + len(self.parameters):
            raise TypeError(f"{self.name}: takes {', '.join([*self.argnames, *self.parameters])}; got {len(args)}")
        positional = dict(zip(self.parameters, args[count:], strict=False))
        if twice := positional.keys() & params.keys():
            raise TypeError(f"{self.name}: {', '.join(sorted(twice))} given twice, by position and by name")
        params = {**positional, **params}
        named = [params.pop(name, None) for name in self.argnames[len(args):]]
        if len(args) < self.required and any(a is None for a in named[: self.required - len(args)]):
            raise TypeError(f"{self.name}: needs {', '.join(self.argnames[: self.required])}")
        return (*args[:count], *named), params

    def vjps(self, need: list[int], gy: Tensor, node: Node) -> list[Tensor | None]:
        """The cotangents of arguments `need`: fused when that is allowed, else rule by rule."""
        if not need:
            return []
        args, params, y = node.arguments(), node.params, gy.shell(node.value() if -1 in node.reads else None)
        y.requires_grad, y.node, y.order = True, node, node.order
        if self.fused is not None and not state.recording:
            arrays = self.fused(gy.data, y.data, *(None if a is None else a.data for a in args), **params)
            return [None if arrays[i] is None else Tensor(arrays[i]) for i in need]
        if self.variadic:
            rule = self._rule(0)
            return [rule(gy, y, *args, position=i, **params) if rule else None for i in need]
        rules = [self._rule(i) for i in need]
        return [rule(gy, y, *args, **params) if rule else None for rule in rules]

    def _rule(self, i: int) -> Callable[..., Tensor | None] | None:
        try:
            return self.rules[self.argnames[i]]
        except KeyError:
            raise GraphError(f"{self.name}: no vjp with respect to {self.argnames[i]} is declared") from None


def as_tensors(name: str, args: tuple[Operand, ...]) -> tuple[Tensor | None, ...]:
    """Make every argument a Tensor of one dtype and device. Numbers and raw arrays follow the Tensors they meet.

    Raises:
        DTypeError: two tensors of different dtype (a constant scalar follows silently).
        DeviceError: two tensors on different devices.
    """
    dtype = None
    for a in args:
        if a is None:
            continue
        if not isinstance(a, Tensor) or type(a._data) is not np.ndarray or a._data.dtype != (dtype or a._data.dtype):
            return _converted(name, args)
        dtype = a._data.dtype
    return args if dtype is not None else _converted(name, args)  # nearly always: nothing to convert


def _converted(name: str, args: tuple[Operand, ...]) -> tuple[Tensor | None, ...]:
    tensors = [a for a in args if isinstance(a, Tensor)]
    if not tensors:
        given = [a for a in args if a is not None] or [0.0]
        tensors = [tensor(next((a for a in given if np.ndim(a)), given[0]))]
    leader = next((t for t in tensors if t.ndim), tensors[0])
    dtype, kind = leader.dtype, type(leader.data)
    return tuple(
        a if a is None or (isinstance(a, Tensor) and a.dtype == dtype and type(a.data) is kind
                           and (kind is np.ndarray or a.device == leader.device))
        else _follow(name, a, leader)
        for a in args
    )


def largest_tensors(count: int = 5) -> str:
    """The largest tensors alive, and what to do when memory is short: the end of a message."""
    alive = {id(t._data): t for t in gc.get_objects() if isinstance(t, Tensor) and t.size and any(t._data.strides)}
    largest = sorted(alive.values(), key=lambda t: -t._data.nbytes)[:count]
    named = ", ".join(f"{t.shape} {t.dtype} {t._data.nbytes / 2**20:.0f} MiB" for t in largest)
    return f"The largest of {len(alive)} tensors: {named}. Use a smaller batch or narrower networks."


def _share_version(y: Tensor, tensors: tuple[Tensor | None, ...]) -> None:
    """A result that is a view of an argument changes with the argument, so it counts changes with it."""
    array, base = y._data, y._data.base
    for t in tensors:
        if t is not None and (t._data is array or (base is not None and (base is t._data or base is t._data.base))):
            y._version = t._version


def _follow(name: str, value: Operand, leader: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        if value.device != leader.device:
            raise DeviceError(f"{name}: one tensor is on {leader.device}, another on {value.device}; "
                              "move one with .to(device)")
        if value.ndim or value.requires_grad:
            raise DTypeError(f"{name}: a {leader.dtype} tensor {leader.shape} meets a {value.dtype} tensor "
                             f"{value.shape}; convert one, e.g. mg.tensor(x, dtype=np.{leader.dtype})")
    if isinstance(value, int | float | np.generic) and leader.device != "cpu":
        return Tensor(devices.constant(float(value), leader.dtype, leader.device))
    return tensor(value, dtype=leader.dtype, device=leader.device)


def primitive(
    *, samples: Samples, linear_in: Sequence[str] = (), broadcasts: bool = False, keeps: Keeps = None,
    recomputed: bool | Callable[..., bool] = False,
) -> Callable[[Callable[..., Any]], Primitive]:
    """Declare a primitive. `linear_in` names the arguments it is linear in: those are checked exactly, and as adjoints.

    Most of a training step's memory is what graphs keep until their backward pass. `keeps` names what the vjps read the
    numbers of, arguments or "y", the result, or is a function of the parameters that does; of anything else they get
    shape and dtype, and NaN for numbers. Left out: all. A primitive that is cheap beside those that read its result may
    be `recomputed` (or for some parameters only: a function): nobody keeps the result, the backward pass calls the
    forward once more.

    Raises:
        TypeError: samples or one of the docstring's parts (Forward, VJP, Why) are missing.
    """
    return lambda function: Primitive(function, samples, linear_in, broadcasts, keeps, recomputed)


def operation(
    *, samples: Samples, linear_in: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """Declare an operation built from primitives: it needs no rule, but it is checked and documented like one."""

    def declare(function: Callable[..., Any]) -> Callable[..., Tensor]:
        Operation(function, samples, linear_in)
        return function

    return declare
