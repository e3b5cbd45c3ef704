"""From a graph to its derivation: every step forward with its numbers, every step backward with its cotangents.

A graph keeps of large arrays only what backward rules read, so numbers that are gone are computed again from what is
there, in order of creation; where a constant is gone too, they stay unknown (None) and only the shape is shown. The
way back is the engine's own walk, watched.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any, cast

import numpy as np

from minigan.engine import Node, Operand, Primitive, Tensor, autodiff, device
from minigan.engine.anomaly import origin
from minigan.engine.state import Watcher, state, watching
from minigan.engine.tensor import Maker
from minigan.errors import GraphError
from minigan.nn import Module
from minigan.nn.module import Parameter
from minigan.teach.explain.derivation import Derivation, Step, Value
from minigan.teach.explain.remarks import overall, remarks


def names_around(frame: FrameType | None, function: Any = None) -> dict[str, Any]:
    """Tensors and modules that the caller, or the function, has variables for: a derivation reads better with them."""
    variables: dict[str, Any] = {}
    if function is not None and hasattr(function, "__code__"):
        variables.update(inspect.getclosurevars(function).nonlocals)
    if frame is not None:
        variables.update({**frame.f_globals, **frame.f_locals})
    return {name: value for name, value in variables.items()
            if isinstance(value, Tensor | Module) and name.isidentifier() and not name.startswith("_")}


class Recorder(Watcher):
    """While a function runs: every node remembers its layer and line, and every parameter the layer that used it."""

    def __init__(self, around: Mapping[str, Any]) -> None:
        self.modules = {id(module): name for name, module in around.items() if isinstance(module, Module)}
        self.parameters: dict[Tensor, str] = {}
        self.kinds: dict[str, str] = {}

    def result(self, primitive: Maker, y: Tensor, arguments: Sequence[Tensor | None]) -> None:
        """Note on the node where it was made, the layer named as its caller names it."""
        if y.node is None:
            return
        here = origin()
        if state.modules and here.layer is not None:
            root = state.modules[0]
            name = self.modules.get(id(root), type(root).__name__)
            here = here._replace(layer=name + here.layer.removeprefix(type(root).__name__))
            self.kinds[str(here.layer)] = type(state.modules[-1]).__name__
            for a in arguments:
                if isinstance(a, Parameter) and a not in self.parameters:
                    own = next((n for n, p in state.modules[-1].named_parameters() if p is a), "parameter")
                    self.parameters[a] = f"{here.layer}.{own}"
        y.node.origin = here


class _Cotangents(Watcher):
    """While the engine walks back: each step's cotangent, and what it sends on to its arguments."""

    def __init__(self, steps: Mapping[Node, Step]) -> None:
        self.steps = steps

    def cotangent(self, node: Node, position: int, g: Tensor) -> None:
        step = self.steps[node]
        if position < 0:
            step.result.gradient = device.asnumpy(g.data)
        else:
            letter = _letter(step.primitive, position)
            step.terms[letter] = device.asnumpy(g.data)
            step.arguments[letter].shares += 1


def _letter(primitive: Primitive[...], position: int) -> str:
    """What the docstring calls an argument."""
    return f"{primitive.argnames[0]}_{position}" if primitive.variadic else primitive.argnames[position]


def derive(outputs: Mapping[str, Tensor], cotangents: Mapping[str, Operand], around: Mapping[str, Any],
           recorder: Recorder) -> Derivation:
    """Walk the graph behind the outputs forward, then backward. The graph is left as it was.

    Raises:
        GraphError: there is no graph, it was freed, or a leaf was changed in place since.
    """
    nodes = _nodes(outputs)
    names = _names(outputs, around, recorder.parameters)
    values: dict[Any, Value] = {}
    kept, shapes = _kept(outputs, nodes), _shapes(outputs, nodes)
    steps: dict[Node, Step] = {}
    for node in nodes:
        steps[node] = _forward(node, len(steps) + 1, values, kept, names)
        steps[node].result.shape = shapes[node]
    by_order = {node.order: step.number for node, step in steps.items()}
    for step in steps.values():
        if step.origin is not None and step.origin.differentiates is not None:
            step.differentiates = by_order.get(step.origin.differentiates)
    with watching(_Cotangents(steps)):
        gradients = autodiff.walk([(y, cotangents.get(name)) for name, y in outputs.items()], retain_graph=True)
    for place, g in gradients.items():
        values[place].gradient = device.asnumpy(g.data)
    for step in steps.values():
        step.remarks = remarks(step)
    leaves = [v for v in values.values() if v.kind == "leaf"]
    return Derivation(list(steps.values()), leaves, [values[t.node] for t in outputs.values()], recorder.kinds,
                      overall(list(steps.values()), leaves))


def _nodes(outputs: Mapping[str, Tensor]) -> list[Node]:
    """Every node behind the outputs, oldest first; or what to do if there is none."""
    nodes: set[Node] = set()
    for name, y in outputs.items():
        if y.node is None and y.requires_grad:
            raise GraphError(f"explain: {name} is a leaf: no operation made it, so there is nothing to derive; pass "
                             "something computed from it, such as a loss")
        if y.node is None:
            raise GraphError(f"explain: there is no graph behind {name}: nothing it was computed from requires a "
                             "gradient, or it was computed under no_grad(); make an input with requires_grad=True "
                             "and compute it again")
        try:
            nodes.update(place for place in autodiff.reachable([y.node]) if isinstance(place, Node))
        except GraphError as error:
            raise GraphError(f"explain: the graph behind {name} was freed by an earlier backward pass; explain it "
                             "before backward(), pass retain_graph=True there, or give explain a function that "
                             "computes it") from error
    for node in nodes:
        if node.version != node.version_now():
            raise GraphError(f"explain: an argument of {node.primitive.name} was changed in place after it was "
                             f"used{' at ' + str(node.origin) if node.origin else ''}; explain it before the "
                             "optimiser's step, or compute it again")
    return sorted(nodes, key=lambda node: node.order)


def _names(outputs: Mapping[str, Tensor], around: Mapping[str, Any],
           parameters: Mapping[Tensor, str]) -> dict[Any, str]:
    """Names of places: an output's own, the caller's variable, a parameter's path below a variable or in its layer."""
    names: dict[Any, str] = {}
    for name, thing in around.items():
        if isinstance(thing, Tensor):
            names.setdefault(thing.place, name)
            names.setdefault(thing.memory, f"{name}.detach()" if thing.requires_grad else name)
    for name, thing in around.items():
        if isinstance(thing, Module):
            for path, own in thing.named_parameters():
                names.setdefault(own, f"{name}.{path}")
    for parameter, path in parameters.items():
        names.setdefault(parameter, path)
    for name, y in outputs.items():
        names.setdefault(y.place, name)
    return names


def _here(t: Tensor) -> np.ndarray | None:
    """A tensor's numbers on the host; None for a shell, which has none (see Tensor.shell)."""
    array = t.data
    if array.ndim and array.size and not any(array.strides) and np.isnan(array[(0,) * array.ndim]):
        return None
    return np.asarray(device.asnumpy(array))


def _kept(outputs: Mapping[str, Tensor], nodes: list[Node]) -> dict[Node, np.ndarray]:
    """Results whose numbers somebody still holds: the node, the caller, or a step that reads them."""
    held = {node: np.asarray(device.asnumpy(node.y)) for node in nodes if node.y is not None}
    for t in (*outputs.values(), *(a for node in nodes for a in node.args or () if a is not None)):
        if t.node is not None and t.node not in held and (array := _here(t)) is not None:
            held[t.node] = array
    return held


def _shapes(outputs: Mapping[str, Tensor], nodes: list[Node]) -> dict[Any, tuple[int, ...]]:
    """Shapes of all results; even a shell has one."""
    return {t.place: t.shape for t in (*outputs.values(), *(a for n in nodes for a in n.args or () if a is not None))}


def _forward(node: Node, number: int, values: dict[Any, Value], kept: dict[Node, np.ndarray],
             names: dict[Any, str]) -> Step:
    """The step of a node: names for its arguments and result, and their numbers as far as they can be had."""
    primitive = cast("Primitive[...]", node.primitive)
    arguments: dict[str, Value] = {}
    for i, a in enumerate(node.args or ()):
        if a is None:
            continue
        place = a.place
        if place not in values:
            kind = "leaf" if a.is_leaf() else "constant"
            name = names.get(place) or (names.get(a.memory) if kind == "constant" else None)
            values[place] = Value(name or _new_name(kind, a, values), kind, a.shape, _here(a),
                                  parameter=isinstance(a, Parameter))
        if a.requires_grad:  # a constant that sees the same memory is this one, detached
            names.setdefault(a.memory, f"{values[place].name}.detach()")
        arguments[_letter(primitive, i)] = values[place]
    array = kept.get(node)
    if array is None and all(v.array is not None for v in arguments.values()):
        arrays = [None if a is None else device.put(values[a.place].array, a.device) for a in node.args or ()]
        array = np.asarray(device.asnumpy(primitive.function(*arrays, **node.params)))
    values[node] = Value(names.get(node, f"v{number}"), "computed", (), array)
    return Step(number, primitive, arguments, dict(node.params), values[node], node.origin)


def _new_name(kind: str, a: Tensor, values: Mapping[Any, Value]) -> str:
    """A name for what has none: a constant number is called by its value."""
    if kind == "constant" and a.size == 1 and (array := _here(a)) is not None:
        return f"{array.item():.4g}"
    return f"{'x' if kind == 'leaf' else 'c'}{sum(v.kind == kind for v in values.values()) + 1}"
