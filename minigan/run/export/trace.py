"""What a network computes, as a list of steps: the primitives it applies to its inputs, heard while it runs once.

What does not depend on an input is no step but a number: weights, and whatever is computed from weights alone, such as
the weight of a layer with spectral norm. The network runs in evaluation mode; afterwards it is as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigan.engine import Primitive, Tensor, device
from minigan.engine.state import Watcher, recording, state, watching
from minigan.errors import GraphError
from minigan.nn import Module


class Step(NamedTuple):
    """One primitive, applied."""

    primitive: Primitive[...]
    arguments: Sequence[Tensor | None]
    params: dict[str, Any]
    y: Tensor
    layer: str  # dotted name of the module that called it, "" for the network itself


class Trace(NamedTuple):
    """The steps from inputs to outputs. Tensors stay alive with it, so that their identities are theirs alone."""

    inputs: list[Tensor]
    steps: list[Step]
    outputs: list[Tensor]
    weights: dict[int, str]  # id of an array: name of the parameter or buffer


class _Tracer(Watcher):
    def __init__(self, layers: Mapping[int, str]) -> None:
        self.layers, self.steps = layers, list[Step]()

    def result(self, primitive: Any, y: Tensor, arguments: Sequence[Tensor | None]) -> None:
        if y.node is not None:  # it depends on an input
            inner = (self.layers[id(m)] for m in reversed(state.modules) if id(m) in self.layers)
            self.steps.append(Step(primitive, arguments, y.node.params, y, next(inner, "")))


def trace(network: Module, inputs: Sequence[np.ndarray]) -> Trace:
    """Run a network, in evaluation mode and on the CPU, on example inputs (N, ...) of its dtype.

    Raises:
        GraphError: a result does not depend on an input, or is no Tensor.
    """
    tracer = _Tracer({id(module): name for name, module in network.named_modules()})
    leaves = [Tensor(np.array(x), requires_grad=True) for x in inputs]
    with _still(network), recording(True), watching(tracer):
        y = network(*leaves)
    outputs = list(y) if isinstance(y, list | tuple) else [y]
    for output in outputs:
        if not isinstance(output, Tensor) or output.node is None:
            raise GraphError(f"export: {type(network).__name__} returns a {type(output).__name__} that no operation of "
                             "minigan made from its inputs; return Tensors, or a list of them")
    named = [*network.named_parameters(), *network.named_buffers()]
    weights = {id(array.data if isinstance(array, Tensor) else array): name for name, array in named}
    return Trace(leaves, needed(tracer.steps, outputs), outputs, weights)


def needed(steps: Sequence[Step], outputs: Sequence[Tensor]) -> list[Step]:
    """The steps on a way to an output."""
    wanted, kept = {id(y.node) for y in outputs}, list[Step]()
    for step in reversed(steps):
        if id(step.y.node) in wanted:
            kept.append(step)
            wanted |= {id(a.node) for a in step.arguments if a is not None and a.node is not None}
    return kept[::-1]


@contextlib.contextmanager
def _still(network: Module) -> Iterator[None]:
    """Evaluation mode, and no parameter that requires a gradient, for a while."""
    where = {device.of(p.data) for p in network.parameters()}
    if where - {"cpu"}:
        raise GraphError(f"export: {type(network).__name__} is on {', '.join(where)}; move it to the CPU: .to('cpu')")
    training = [(module, module.training) for module in network.modules()]
    wanted = [(p, p.requires_grad) for p in network.parameters()]
    try:
        network.eval()
        network.requires_grad_(False)
        yield
    finally:
        for module, mode in training:
            module.training = mode
        for p, mode in wanted:
            p.requires_grad = mode
