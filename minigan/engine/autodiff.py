"""The backward pass: walk the graph from the output in reverse order of creation, adding up cotangents in a dict.

Creation order is a topological order (an operation's inputs exist before its output), so sorting by it is all the
scheduling there is: no recursion, any depth. `.grad` is written on leaves only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigan.engine import anomaly
from minigan.engine.node import Node
from minigan.engine.primitive import state
from minigan.engine.tensor import Operand, Tensor, tensor
from minigan.errors import DTypeError, GraphError, NonFiniteError, ShapeError

Place: TypeAlias = Tensor | Node  # in a graph: a leaf, or how a computed tensor was made


def backward(y: Tensor, cotangent: Operand, create_graph: bool, retain_graph: bool | None) -> None:
    """`Tensor.backward`: add the gradient to `.grad` of every leaf."""
    found = _pass(y, cotangent, None, create_graph, retain_graph)
    owners = {_owner(cotangent)} if isinstance(cotangent, Tensor) else set()
    with recording(create_graph):
        for leaf, gradient in found.items():
            if leaf.grad is not None:
                leaf.grad = leaf.grad + gradient
            elif _owner(gradient) in owners and gradient.node is None:  # (a + b): one cotangent for both; two .grad
                leaf.grad = Tensor(gradient.data.copy(order="K"))
            else:
                leaf.grad = gradient
            owners.add(_owner(gradient))


def _owner(t: Tensor) -> int:
    """Whose memory the tensor's array lies in."""
    return id(t.data if t.data.base is None else t.data.base)


def grad(
    output: Tensor,
    inputs: Tensor | Sequence[Tensor],
    cotangent: Operand = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> list[Tensor]:
    """Gradients of `output` (weighted by `cotangent`) with respect to `inputs`; `.grad` is left alone.

    Inputs may be leaves or intermediate tensors; one that `output` does not depend on gets zeros. Only what lies on a
    path to an input is computed. With `create_graph` the results can be differentiated again.

    Raises:
        GraphError: see Tensor.backward.

    >>> x = tensor(3.0, requires_grad=True)
    >>> first, = grad(x * x * x, [x], create_graph=True)
    >>> second, = grad(first, [x])
    >>> first.item(), second.item()
    (27.0, 18.0)
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            raise GraphError(f"grad: input {i}, {type(x).__name__} of shape {np.shape(x)}, does not require a "
                             "gradient; make it with requires_grad=True before computing the output")
    found = _pass(output, cotangent, inputs, create_graph, retain_graph)
    return [found[_place(x)] if _place(x) in found else Tensor(np.zeros_like(x.data)) for x in inputs]


def _place(t: Tensor) -> Place:
    """Where a tensor stands in the graph. Of a computed tensor it is the node: the tensor itself may be long gone."""
    return t if t.node is None else t.node


def _pass(
    y: Tensor, cotangent: Operand, inputs: list[Tensor] | None, create_graph: bool, retain_graph: bool | None
) -> dict[Any, Tensor]:
    retain = create_graph if retain_graph is None else retain_graph
    gradients: dict[Place, Tensor] = {_place(y): _seed(y, cotangent)}
    order = _reachable(_place(y))
    asked = None if inputs is None else {_place(x) for x in inputs}
    wanted = None if asked is None else _on_the_way(order, asked)
    found: dict[Place, Tensor] = {}
    with recording(create_graph), _differentiating():
        while order:
            place = order.pop()  # newest first; popped, so that what the graph held is freed as the pass goes
            if wanted is not None:
                wanted.discard(place)
            g = gradients.pop(place, None)
            if g is None:  # not on the way to an input, or only behind a zero derivative
                continue
            if isinstance(place, Tensor) if asked is None else place in asked:
                found[place] = g
            if isinstance(place, Tensor):
                continue
            for argument, gx in _step(place, g, wanted):
                gradients[argument] = gx if argument not in gradients else gradients[argument] + gx
            place.leave(retain)
    return found


def _seed(y: Tensor, cotangent: Operand) -> Tensor:
    if not y.requires_grad:
        raise GraphError("backward: nothing to differentiate: no tensor behind this one has requires_grad=True, "
                         "or it was computed under no_grad()")
    if cotangent is None:
        if y.size != 1:
            raise GraphError(f"backward: the output has shape {y.shape}; reduce it to one number, for example by "
                             ".sum(), or pass a cotangent of that shape")
        return Tensor(np.ones_like(y.data))
    seed = cotangent if isinstance(cotangent, Tensor) else tensor(cotangent, dtype=y.dtype)
    if seed.shape != y.shape:
        raise ShapeError(f"backward: the cotangent has shape {seed.shape}, the output {y.shape}")
    if seed.dtype != y.dtype:
        raise DTypeError(f"backward: the cotangent is {seed.dtype}, the output {y.dtype}; convert the cotangent")
    return seed


def _reachable(output: Place) -> list[Place]:
    """Every place behind the output that requires a gradient, oldest first."""
    seen, todo = {output}, [output]
    while todo:
        place = todo.pop()
        if isinstance(place, Tensor):
            continue
        if place.args is None:
            raise GraphError("backward: the graph behind this tensor was freed by an earlier backward pass; "
                             "pass retain_graph=True to the first one, or compute the output again")
        for a in place.args:
            if a is not None and a.requires_grad and (behind := _place(a)) not in seen:
                seen.add(behind)
                todo.append(behind)
    return sorted(seen, key=lambda place: place.order)


def _on_the_way(order: list[Place], inputs: set[Place]) -> set[Place]:
    """Those of `order` that depend on an input: no other cotangent is worth computing."""
    wanted = set(inputs)
    for place in order:
        if isinstance(place, Node) and any(a is not None and _place(a) in wanted for a in place.args or ()):
            wanted.add(place)
    return wanted


def _step(node: Node, g: Tensor, wanted: set[Place] | None) -> Iterator[tuple[Place, Tensor]]:
    """Cotangents of one node's arguments, each summed back to the argument's shape where it was broadcast."""
    primitive, state.node = node.primitive, node
    if node.version != node.version_now():
        raise GraphError(f"backward: an argument of {primitive.name} was changed in place after it was used"
                         f"{anomaly.at(node)}")
    args = node.args or ()
    need = [i for i, a in enumerate(args)
            if a is not None and a.requires_grad and (wanted is None or _place(a) in wanted)]
    try:
        gxs = primitive.vjps(need, g, node)
    except NonFiniteError as error:  # detect_anomaly, inside the rule
        raise NonFiniteError(f"{primitive.name}: its gradient is the first non-finite one in this backward pass; "
                             f"inside its rule, {error}{anomaly.at(node)}") from error
    for i, gx in zip(need, gxs, strict=True):
        a = args[i]
        if gx is None or a is None:
            continue
        if gx.shape != a.shape:
            gx = sum_to(gx, shape=a.shape) if primitive.broadcasts else gx
            if gx.shape != a.shape:
                raise GraphError(f"{primitive.name}: its vjp for argument {i} has shape {gx.shape}, "
                                 f"the argument {a.shape}")
        if state.anomaly:
            anomaly.watch_vjp(primitive, node, i, gx)
        yield _place(a), gx


@contextlib.contextmanager
def _differentiating() -> Iterator[None]:
    """A backward pass: `state.node` says whose rules are at work, and is afterwards what it was."""
    before = state.node
    try:
        yield
    finally:
        state.node = before


@contextlib.contextmanager
def recording(on: bool) -> Iterator[None]:
    """Record operations in this thread, or not, for a while."""
    before, state.recording = state.recording, on
    try:
        yield
    finally:
        state.recording = before


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Context (or decorator) in which nothing is recorded: results do not require a gradient.

    >>> x = tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """
    return recording(False)


def sum_to(gx: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo a broadcast (late import: the rule for it is an operation like any other)."""
    from minigan import ops

    return ops.sum_to(gx, shape=shape)
