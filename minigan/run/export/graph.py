"""A network as an ONNX graph: each step of its trace in the form that its operation declares, see Primitive.defonnx.

A network runs twice, on other numbers and on batches of two sizes. Both runs must give the same graph. So a size that
differs is the batch's, which stays open in the graph; and a number that differs was computed from the input outside the
engine, which is refused, as the graph would hold it as a constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from minigan.engine import Tensor
from minigan.errors import GraphError, MiniganError
from minigan.run.export.trace import Step, Trace

OPEN = -1  # a size that is the batch's


@dataclass(frozen=True)
class Value:
    """What flows between nodes: a name, a shape, OPEN where it varies; the array of a constant."""

    name: str
    shape: tuple[int, ...] = ()
    array: np.ndarray | None = None


@dataclass
class Node:
    """An ONNX node."""

    op: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any]
    layer: str = ""


@dataclass
class Graph:
    """Nodes in order, constants by name, and what goes in and out."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)


class Builder:
    """What a form is given as `o`: `o(operator, *inputs, **attributes)` adds a node and returns its result.

    Inputs are results, arrays, sequences of whole numbers (int64), numbers (float32) or None, which is left out.
    `shape` is the shape of the operation's own result; a size that is the batch's is -1.
    """

    def __init__(self, trace: Trace, shapes: Sequence[Sequence[int]]) -> None:
        self.graph, self.trace, self.shapes, self.count = Graph(), trace, shapes, itertools.count()
        self.values: dict[int, Value] = {}  # by the identity of a tensor's place in the engine's graph
        self.constants: dict[int, Value] = {}  # by the identity of an array
        self.kept: list[Any] = []  # arrays, so that their identities stay theirs
        self.step: Step | None = None
        self.shape: tuple[int, ...] = ()
        self.name = ""

    def __call__(self, op: str, *inputs: Any, **attributes: Any) -> Value:
        """Add a node of this operator; returns its result."""
        names = [value.name for value in map(self.value, inputs)]
        while names and not names[-1]:
            names.pop()
        output = f"{self.name}_{next(self.count)}"
        layer = self.step.layer if self.step else ""
        plain = {key: list(a) if isinstance(a, tuple) else a for key, a in attributes.items()}
        self.graph.nodes.append(Node(op, names, output, plain, layer))
        return Value(output)

    def value(self, x: Any) -> Value:
        """An input of a node."""
        if isinstance(x, Value):
            return x
        if x is None:
            return Value("")
        if isinstance(x, np.ndarray):
            return self.constant(x)
        return self.constant(np.array(x, np.int64 if isinstance(x, tuple | list) else np.float32))

    def constant(self, x: np.ndarray) -> Value:
        """An array that the file holds, numbers as float32; a parameter keeps its name."""
        if id(x) not in self.constants:
            array = np.array(x, np.float32 if x.dtype.kind == "f" else x.dtype, order="C")
            name = self.trace.weights.get(id(x)) or f"{self.name or 'input'}_{next(self.count)}_constant"
            self.graph.constants[name] = array
            self.constants[id(x)] = Value(name, array.shape, array)
            self.kept.append(x)
        return self.constants[id(x)]

    def sizes(self) -> list[int]:
        """The shape of the result, for ONNX's Reshape, in which one size may be open."""
        if self.shape.count(OPEN) > 1:
            self.refuse(f"of its shape {self.shape}, several sizes depend on the batch")
        return list(self.shape)

    def refuse(self, why: str) -> NoReturn:
        """Raise GraphError: the operation, the layer, why it has no form in ONNX, and what to do."""
        assert self.step is not None
        error = GraphError(f"{self.step.primitive.name}: cannot be exported to ONNX: {why}. The formats safetensors "
                           "and npz hold the weights of any network")
        error.path = self.step.layer or None
        raise error

    def argument(self, t: Tensor | None) -> Value | None:
        """An argument of a step: a result, or a constant."""
        return None if t is None else self.values.get(id(t.place)) or self.constant(t.data)

    def build(self) -> Graph:
        """All steps of the trace, in their forms."""
        first = len(self.trace.inputs)
        for i, (x, shape) in enumerate(zip(self.trace.inputs, self.shapes, strict=False)):
            self.values[id(x.place)] = Value(f"input{i}", tuple(shape))
            self.graph.inputs.append(self.values[id(x.place)])
        for step, shape in zip(self.trace.steps, self.shapes[first:], strict=True):
            self.step, self.shape = step, tuple(shape)
            self.name = f"{step.layer}.{step.primitive.name}" if step.layer else step.primitive.name
            if step.primitive.onnx is None:
                self.refuse(f"the operation has no form there: declare one, {step.primitive.name}.defonnx(form), below "
                            "its vjp, or build the layer from operations that have one")
            result = step.primitive.onnx(self, *map(self.argument, step.arguments), **step.params)
            self.values[id(step.y.place)] = Value(result.name, self.shape)
        self.graph.outputs = [self.values[id(y.place)] for y in self.trace.outputs]
        return self.graph


def graph_of(first: Trace, second: Trace) -> Graph:
    """The graph of two traces of one network, on other numbers and batches of two sizes, or of one.

    Raises:
        GraphError: an operation has no form in ONNX, or the graph depends on the numbers or the batch.
    """
    if [s.primitive for s in first.steps] != [s.primitive for s in second.steps]:
        raise GraphError("export: the network applies other operations to another batch; give its size, batch=N, so "
                         "that the file is for batches of N")
    shapes = [[n if n == m else OPEN for n, m in zip(a.shape, b.shape, strict=True)]
              for a, b in zip(_tensors(first), _tensors(second), strict=True)]
    one, other = Builder(first, shapes).build(), Builder(second, shapes).build()
    steps = {node.output: node for node in other.nodes}
    for node in one.nodes:
        twin = steps.get(node.output)
        same = twin is not None and (node.op, node.inputs, node.attributes) == (twin.op, twin.inputs, twin.attributes)
        if not same or any(not _equal(one.constants[n], other.constants.get(n)) for n in node.inputs
                           if n in one.constants):
            error: MiniganError = GraphError(
                f"{node.op}: cannot be exported to ONNX: a number or a size depends on the input's numbers or on the "
                "batch and is computed outside the engine (from x.data, len(x) or a batch's statistics). Compute it by "
                "operations, or give the batch's size, batch=N")
            error.path = node.layer or None
            raise error
    return _used(one)


def _used(graph: Graph) -> Graph:
    """The graph without constants that no node reads: filters that a form has replaced by others."""
    names = {name for node in graph.nodes for name in node.inputs}
    graph.constants = {name: array for name, array in graph.constants.items() if name in names}
    return graph


def _tensors(trace: Trace) -> list[Tensor]:
    return [*trace.inputs, *(step.y for step in trace.steps)]


def _equal(a: np.ndarray, b: np.ndarray | None) -> bool:
    return b is not None and a.shape == b.shape and np.array_equal(a, b)


def folded(graph: Graph) -> Graph:
    """The graph with scales and shifts per channel (batch norm in evaluation) inside the convolution before them.

    conv(x, w) s + t = conv(x, w s) + t, s and t of shape (1, C, 1, 1): one node and one pass over the image instead of
    three. Only where nothing else reads what is between them.
    """
    readers = {name: [n for n in graph.nodes if name in n.inputs] for node in graph.nodes for name in [node.output]}
    ends = {value.name for value in graph.outputs}
    gone: set[int] = set()
    for conv in graph.nodes:
        while conv.op in ("Conv", "ConvTranspose") and id(conv) not in gone and conv.inputs[1] in graph.constants:
            after = readers[conv.output]
            if len(after) != 1 or conv.output in ends or not _takes_in(graph, conv, after[0]):
                break
            gone.add(id(after[0]))
            readers[after[0].output] = readers.get(after[0].output, [])
            conv.output = after[0].output
    graph.nodes = [node for node in graph.nodes if id(node) not in gone]
    return _used(graph)


def _takes_in(graph: Graph, conv: Node, after: Node) -> bool:
    """Multiply or shift a convolution's weights by the node after it, if that is a constant per channel."""
    axis = 0 if conv.op == "Conv" else 1
    weight = graph.constants[conv.inputs[1]]
    channels = weight.shape[axis]
    factors = [graph.constants[name] for name in after.inputs if name in graph.constants]
    if after.op not in ("Mul", "Add") or len(factors) != 1 or factors[0].shape != (1, channels, 1, 1):
        return False
    by = factors[0].reshape(channels)  # (C,)
    bias = graph.constants[conv.inputs[2]] if len(conv.inputs) > 2 else np.zeros(channels, np.float32)
    if after.op == "Mul":
        weight = weight * by.reshape([-1 if i == axis else 1 for i in range(4)])  # (C, 1, 1, 1) or (1, C, 1, 1)
    bias = bias * by if after.op == "Mul" else bias + by
    names = [f"{conv.output}_{part}_folded" for part in ("weight", "bias")]
    graph.constants |= dict(zip(names, (weight, bias), strict=True))
    conv.inputs = [conv.inputs[0], *names]
    return True
