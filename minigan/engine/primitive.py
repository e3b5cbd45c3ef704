"""One operation = one declaration: its docstring, its sample inputs, its forward on arrays, its vjp on Tensors.

    @primitive(samples=lambda rng: [S(rng.normal(size=(2, 3)))])
    def leaky_relu(x: Array, slope: float = 0.2) -> Array:
        '''Forward ...  VJP ...  Why ...'''
        return np.where(x > 0, x, slope * x)

    leaky_relu.defvjp(x=lambda gy, y, x, slope=0.2: gy * np.where(x.data > 0, 1.0, slope))

Arguments that are annotated `Array`, or not at all, are differentiated; those annotated otherwise, and those behind a
star, are parameters. The forward sees arrays, so it is plain NumPy. The vjp sees Tensors, so it is itself
differentiable, at any order; a raw array in it may only be a mask, an index or a shape. Everything generated (gradient
checks, the page of derivations, `explain`) walks the two tables below.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Container, Sequence
from types import MethodType
from typing import Any, Generic, NamedTuple, ParamSpec

import numpy as np

from minigan.engine.operands import as_tensors, largest_tensors, share_version
from minigan.engine.state import state
from minigan.engine.tensor import Array, Node, Operand, Tensor
from minigan.errors import DeviceError, GraphError, MiniganError, ShapeError

P = ParamSpec("P")
Rule = Callable[..., Tensor | None]  # rule(gy, y, *args, **params) -> gx
Fused = Callable[..., Sequence[Array | Callable[[], Array] | None]]  # see Primitive.deffused
Keeps = Sequence[str] | Callable[..., Sequence[str]] | None
Samples = Callable[[np.random.Generator], Sequence["Sample"]]
OnnxForm = Callable[..., Any]  # form(o, *args, **params), see Primitive.defonnx
ALL = range(-1, sys.maxsize)  # every position
PARTS = ("Forward", "VJP", "Why")  # what a docstring must have
_TENSORS = (inspect.Parameter.empty, Array, Array | None, Operand, Operand | None,
            "Array", "Array | None", "Operand", "Operand | None")  # as they are, or postponed


class Sample(NamedTuple):
    """Arguments to check an operation with: arrays to differentiate by, and parameters."""

    args: tuple[np.ndarray, ...]
    params: dict[str, Any]


def S(*args: np.ndarray, **params: Any) -> Sample:  # noqa: N802
    """Short for Sample in declarations."""
    return Sample(args, params)


class Remarks(NamedTuple):
    """What `mg.explain` may remark on at a step of a primitive. Only the declaration knows, so it says so here.

    Masks and slopes are functions of the result's array, masks also of the parameters.
    """

    saturated: tuple[str, Callable[[Array], Array]] | None = None  # formula of dy/dx, and dy/dx: flat where it is small
    dead: Callable[..., Array | None] | None = None  # mask of the units that are off; None: none with these parameters
    clipped: Callable[..., Array] | None = None  # mask of the elements on a bound
    summed: tuple[str, ...] = ()  # arguments whose cotangent is a sum over samples and places, or only a part of gy
    shifts: tuple[str, ...] = ()  # arguments that are added: where they are broadcast, their cotangent is a sum of gy
    unscaled: tuple[str, ...] = ()  # arguments whose scale is divided out: the smaller, the larger the cotangent
    scales: bool = False  # a constant factor shrinks the cotangent on purpose
    averages: bool = False  # a weight or a mean shares the cotangent out on purpose
    because: str = ""  # why it grows: the argument whose smallest element decides


NO_REMARKS = Remarks()


class Operation(Generic[P]):
    """What users call and gradcheck checks: a Primitive, or a function built from primitives.

    It looks like the function it wraps: it has its signature and docstring, and in a class it is a method.
    """

    def __init__(self, function: Callable[P, Any], samples: Samples, linear_in: Sequence[str] = ()) -> None:
        self.name = self.__name__ = self.__qualname__ = function.__name__.strip("_")
        self.__module__, self.__doc__ = function.__module__, function.__doc__
        self.function: Callable[..., Any] = function
        self.__wrapped__ = function  # functools.update_wrapper does this, too, but asks for __dict__, which slows calls
        self.samples, self.linear_in = samples, tuple(linear_in)
        signature = inspect.signature(function)
        arguments = [p for p in signature.parameters.values() if _is_differentiated(p)]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in arguments)
        self.argnames = [p.name for p in arguments]
        self.required = sum(p.kind is not p.VAR_POSITIONAL and p.default is p.empty for p in arguments)
        self.count = len(self.argnames)
        self.parameters = [name for name in signature.parameters if name not in self.argnames]
        self.placed = [p.name for p in signature.parameters.values()  # parameters that may be given by position
                       if p.name not in self.argnames and p.kind < p.KEYWORD_ONLY]
        self.__signature__ = signature.replace(
            parameters=[_public(p) if p in arguments else p for p in signature.parameters.values()],
            return_annotation="Tensor")
        self.__annotations__ = {name: p.annotation for name, p in self.__signature__.parameters.items()
                                if p.annotation is not p.empty} | {"return": "Tensor"}
        if list(signature.parameters)[:len(arguments)] != self.argnames or not arguments:
            raise TypeError(f"{self.name}: of its arguments {[*signature.parameters]}, {self.argnames} are annotated "
                            "Array, or not at all, and so differentiated; there must be one, and they come first")
        if not set(linear_in) <= set(self.argnames):
            raise TypeError(f"{self.name}: linear_in names {set(linear_in) - set(self.argnames)}, no arguments of it; "
                            f"they are {self.argnames}")

    def __call__(self, *args: P.args, **params: P.kwargs) -> Any:
        """The operation itself."""
        return self.function(*args, **params)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """In a class, a method, as a function is: `Tensor.sum` is `ops.sum`."""
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{self.__signature__}>"


OPERATIONS: dict[str, Operation[...]] = {}  # everything gradient-checked
PRIMITIVES: dict[str, Primitive[...]] = {}  # those with a rule of their own


class Primitive(Operation[P]):
    """An operation with a derivative rule. Calling it records a node when an argument requires a gradient."""

    def __init__(self, function: Callable[P, Array], samples: Samples, linear_in: Sequence[str] = (),
                 broadcasts: bool = False, keeps: Keeps = None, recomputed: bool | Callable[..., bool] = False,
                 remarks: Remarks = NO_REMARKS, mixed: bool = False, product: bool = False) -> None:
        super().__init__(function, samples, linear_in)
        self.broadcasts = broadcasts  # the engine sums a cotangent back to the argument's shape
        self.keeps = ALL if keeps is None else keeps if callable(keeps) else self._positions(keeps)
        self.mixed = mixed  # takes float32 beside bfloat16
        self.recomputed = recomputed  # cheap: the graph does not keep its result, the backward pass calls it again
        self.remarks, self.product = remarks, product
        self.rules: dict[str, Rule | None] = {}
        self.sums: dict[int, Callable[..., Tensor]] = {}
        self.fused: Fused | None = None
        self.gate: Callable[..., tuple[Array, float]] | None = None
        self.onnx: OnnxForm | None = None

    def needs(self, args: tuple[Tensor | None, ...], params: dict[str, Any]) -> tuple[Container[int], bool]:
        """Positions of arguments whose numbers the vjps read, -1 for the result's; whether that is computed again."""
        keeps, again = self.keeps, self.recomputed
        if not (callable(keeps) or callable(again)):
            return keeps, again
        return (self._positions(keeps(**params)) if callable(keeps) else keeps,
                again(*args, **params) if callable(again) else again)

    def _positions(self, names: Sequence[str]) -> Container[int]:
        if not set(names) <= {*self.argnames, "y"}:
            raise TypeError(f"{self.name}: keeps names {set(names) - {*self.argnames, 'y'}}, no arguments of it; "
                            f"they are {self.argnames}, and the result is 'y'")
        return frozenset(-1 if name == "y" else self.argnames.index(name) for name in names)

    def defvjp(self, **rules: Rule | None) -> None:
        """Give the vjp per argument: `rule(gy, y, *args, **params) -> gx`; None where the derivative is zero."""
        if set(rules) != set(self.argnames):
            raise TypeError(f"{self.name}: rules for {sorted(rules)}, but the arguments are {self.argnames}")
        self.rules = rules

    def defsum(self, **rules: Callable[..., Tensor]) -> None:
        """Give, for an argument, `rule(arrived, gy, y, *args, **params)`: arrived + gx in fewer sweeps over memory.

        `arrived` is the sum of the cotangents that other operations have sent to the argument so far. Not beside a
        fused function, which takes precedence.
        """
        self.sums = {self.argnames.index(name): rule for name, rule in rules.items()}

    def deffused(self, function: Fused) -> None:
        """Register a faster backward on raw arrays, for create_graph=False. It must equal the rules on every sample.

        `function(gy, y, *arrays, **params)` returns one array (or None) per argument; or a function without arguments
        that computes it, which is called only if that cotangent is needed.
        """
        self.fused = function

    def defgate(self, function: Callable[..., tuple[Array, float]]) -> None:
        """Say that the rule is gate(gy, on, slope): `function(y, *arrays, **params)` returns (on, slope).

        On a device, the product that gives gy may then apply the gate; see minigan.engine.gates.
        """
        self.gate = function

    def defonnx(self, form: str | OnnxForm) -> None:
        """Say what the operation is in ONNX: the name of an operator, or `form(o, *args, **params)`.

        `o("Conv", x, w, strides=[1, 1])` adds a node and returns its result; see `minigan.run.export.graph.Builder`.
        """
        self.onnx = (lambda o, *args: o(form, *args)) if isinstance(form, str) else form

    def __call__(self, *operands: P.args, **options: P.kwargs) -> Tensor:
        """Apply the forward to the arguments' arrays; record a node if an argument requires a gradient."""
        args: tuple[Operand, ...] = operands
        params: dict[str, Any] = options
        if len(args) != self.count and not self.variadic:
            args, params = self._bind(args, params)
        tensors = as_tensors(self.name, args, self.mixed)
        for v in params.values():
            if isinstance(v, np.generic):  # np.float64 would promote float32 arrays; a Python float does not
                params = {k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()}
                break
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
        share_version(y, tensors)
        if state.recording:
            for t in tensors:
                if t is not None and t.requires_grad:
                    y.requires_grad, y.node = True, Node(self, tensors, params, y._data)
                    break
        if state.watchers:
            for watcher in state.watchers:
                watcher.result(self, y, tensors)
        return y

    def _bind(self, args: tuple[Operand, ...], params: dict[str, Any]) -> tuple[tuple[Operand, ...], dict[str, Any]]:
        """conv2d(x, w, b, 2, 1): what follows the tensors are parameters, in order. conv2d(x, w): b is None."""
        count = self.count
        if len(args) > count + len(self.placed):
            raise TypeError(f"{self.name}: takes {', '.join([*self.argnames, *self.placed])}; got {len(args)}")
        if len(args) > count:
            positional = dict(zip(self.placed, args[count:], strict=False))
            if twice := positional.keys() & params.keys():
                raise TypeError(f"{self.name}: {', '.join(sorted(twice))} given twice, by position and by name")
            return args[:count], positional | params
        named = [params.pop(name, None) for name in self.argnames[len(args):]]
        if len(args) < self.required and any(a is None for a in named[: self.required - len(args)]):
            raise TypeError(f"{self.name}: needs {', '.join(self.argnames[: self.required])}")
        return (*args, *named), params

    def vjps(self, need: list[int], gy: Tensor, node: Node, arrived: dict[int, Tensor]) -> list[Tensor | None]:
        """The cotangents of arguments `need`: fused when that is allowed, else rule by rule.

        To those of positions in `arrived`, of which there are only such as have a sum's rule, what is there is added.
        """
        if not need:
            return []
        args, params, y = node.arguments(), node.params, gy.shell(node.value() if -1 in node.reads else None)
        y.requires_grad, y.node, y.order = True, node, node.order
        if self.fused is not None and not state.recording:
            arrays = self.fused(gy.data, y.data, *(None if a is None else a.data for a in args), **params)
            return [None if (g := arrays[i]) is None else Tensor(g() if callable(g) else g) for i in need]
        if self.variadic:
            rule = self._rule(0)
            return [rule(gy, y, *args, position=i, **params) if rule else None for i in need]
        rules = [functools.partial(self.sums[i], arrived[i]) if i in arrived else self._rule(i) for i in need]
        return [rule(gy, y, *args, **params) if rule else None for rule in rules]

    def _rule(self, i: int) -> Rule | None:
        try:
            return self.rules[self.argnames[i]]
        except KeyError:
            raise GraphError(f"{self.name}: no vjp with respect to {self.argnames[i]} is declared") from None


def primitive(
    *, samples: Samples, linear_in: Sequence[str] = (), broadcasts: bool = False, keeps: Keeps = None,
    recomputed: bool | Callable[..., bool] = False, remarks: Remarks = NO_REMARKS, mixed: bool = False,
    product: bool = False,
) -> Callable[[Callable[P, Array]], Primitive[P]]:
    """Declare a primitive: it enters the tables, so that it is checked and documented.

    Most of a training step's memory is what graphs keep until their backward pass, so a primitive can say what that is.

    Args:
        samples: a function of a random generator that gives the inputs it is checked with.
        linear_in: the arguments it is linear in; those are checked exactly, and as adjoints.
        broadcasts: its arguments broadcast; the engine sums each cotangent back, the rules do not.
        keeps: what the vjps read the numbers of: arguments, and "y", the result; or a function of the parameters that
            gives them. Of anything else they get shape and dtype, and NaN for numbers. None: of all.
        recomputed: it is cheap beside the operations that read its result, so the graph does not keep the result; the
            backward pass calls the forward once more. A function of arguments and parameters, if that depends on them.
        remarks: what `mg.explain` may say about it.
        mixed: its kernel takes float32 arguments beside bfloat16 ones; else those are cast to float32.
        product: its first cotangent is what one convolution, or its adjoint, gives, and is computed before the others;
            a device may apply the gate behind it, see minigan.engine.gates.

    Raises:
        TypeError: samples or a part of the docstring (Forward, VJP, Why) are missing, or an argument named does not
            exist.
    """

    def declare(function: Callable[P, Array]) -> Primitive[P]:
        op = Primitive(function, samples, linear_in, broadcasts, keeps, recomputed, remarks, mixed, product)
        _register(op)
        PRIMITIVES[op.name] = op
        return op

    return declare


def operation(
    *, samples: Samples, linear_in: Sequence[str] = ()
) -> Callable[[Callable[P, Tensor]], Callable[P, Tensor]]:
    """Declare an operation built from primitives: it needs no rule, but it is checked and documented like one."""

    def declare(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
        _register(Operation(function, samples, linear_in))
        return function

    return declare


def _register(op: Operation[...]) -> None:
    """Enter an operation in the table that checks and documents are generated from."""
    if not callable(op.samples):
        raise TypeError(f"{op.name}: an operation needs sample inputs to be checked with")
    if sys.flags.optimize < 2 and not all(part in (op.__doc__ or "") for part in PARTS):  # python -OO drops docstrings
        raise TypeError(f"{op.name}: an operation needs a docstring with Forward, VJP and Why")
    if op.name in OPERATIONS:
        raise TypeError(f"{op.name} is declared twice")
    OPERATIONS[op.name] = op


def _is_differentiated(p: inspect.Parameter) -> bool:
    """Whether an argument is one to differentiate by; the others are parameters."""
    return p.kind < p.KEYWORD_ONLY and p.annotation in _TENSORS


def _public(p: inspect.Parameter) -> inspect.Parameter:
    """The argument as a caller sees it: where the forward gets an array, one may pass a Tensor or a number, too."""
    return p.replace(annotation="Operand | None" if p.default is None else "Operand")
