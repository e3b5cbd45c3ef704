"""The backward pass: walk the graph from the output in reverse order of creation, adding up cotangents in a dict.

Creation order is a topological order (an operation's inputs exist before its output), so sorting by it is all the
scheduling there is: no recursion, any depth. `.grad` is written on leaves only.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minigan import kernels
from minigan.engine import device as devices
from minigan.engine.gates import Gates
from minigan.engine.state import recording, state
from minigan.engine.tensor import Array, Node, Operand, Place, Tensor, bind, tensor
from minigan.errors import DTypeError, GraphError, NonFiniteError, ShapeError


def backward(
    output: Tensor, cotangent: Operand = None, create_graph: bool = False, retain_graph: bool | None = None
) -> None:
    """Add d(output)/d(leaf), weighted by `cotangent`, to `.grad` of every leaf that requires a gradient.

    The graph is freed on the way unless `retain_graph` (default: the value of `create_graph`).

    Raises:
        GraphError: nothing requires a gradient, the tensor is no scalar and no cotangent is given, the graph was
            freed by an earlier pass, or a leaf was changed in place since it was used.

    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4.], dtype=float32)
    """
    gradients = walk([(output, cotangent)], None, create_graph, retain_graph)
    owners = {_owner(cotangent)} if isinstance(cotangent, Tensor) else set()
    with recording(create_graph):
        for leaf, gradient in gradients.items():
            if leaf.grad is not None:
                leaf.grad = leaf.grad + gradient
            elif _owner(gradient) in owners and gradient.node is None:  # (a + b): one cotangent for both; two .grad
                leaf.grad = Tensor(gradient.data.copy(order="K"))
            else:
                leaf.grad = gradient
            owners.add(_owner(gradient))


bind(backward=backward)


def _owner(t: Tensor) -> int:
    """Who owns the memory of the tensor's array."""
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
    gradients = walk([(output, cotangent)], inputs, create_graph, retain_graph)
    return [gradients[x.place] if x.place in gradients else Tensor(np.zeros_like(x.data)) for x in inputs]


@kernels.constant_weights()
def walk(
    outputs: Sequence[tuple[Tensor, Operand]], inputs: list[Tensor] | None = None, create_graph: bool = False,
    retain_graph: bool | None = None,
) -> dict[Any, Tensor]:
    """The backward pass, which there is only one of. Watchers hear of every cotangent on its way; see `Watcher`.

    Args:
        outputs: tensors, each with the cotangent to start from; None is 1 for a tensor of one element.
        inputs: tensors whose gradients are wanted, of all others only what they need is computed; None: all leaves.
        create_graph: record the pass itself, so that its results can be differentiated.
        retain_graph: keep the graph (default: the value of `create_graph`).

    Returns:
        Gradients of the sum of the outputs, each by the place of its input (`Tensor.place`).
    """
    retain = create_graph if retain_graph is None else retain_graph
    cotangents: dict[Place, Tensor] = {}
    constants: set[int] = set()  # memory of seeds that other passes start from, too
    for y, cotangent in outputs:
        seed, place = _seed(y, cotangent), y.place
        if cotangent is None and not isinstance(y.data, np.ndarray | np.generic):
            constants.add(_owner(seed))
        cotangents[place] = cotangents[place] + seed if place in cotangents else seed
    order = reachable(cotangents)
    targets = None if inputs is None else {x.place for x in inputs}
    wanted = None if targets is None else _on_the_way(order, targets)
    here = any(isinstance(y.data, np.ndarray | np.generic) for y, _ in outputs)
    gates = None if here or create_graph or state.watchers else Gates(order, cotangents.keys() | (targets or ()))
    gradients: dict[Place, Tensor] = {}
    later: dict[Place, list[Array]] = {}  # what is added to the first cotangents of leaves when all have arrived
    with _passing(create_graph):
        while order:
            place = order.pop()  # newest first; popped, so that what the graph held is freed as the pass goes
            if wanted is not None:
                wanted.discard(place)
            g = cotangents.pop(place, None)
            if g is None:  # not on the way to an input, or only behind a zero derivative
                continue
            if isinstance(place, Tensor) if targets is None else place in targets:
                gradients[place] = g
            if isinstance(place, Tensor):
                continue
            for argument, gx in _step(place, g, wanted, cotangents, gates):
                others = cotangents.get(argument)
                if others is not None and isinstance(argument, Tensor) and _can_wait(gx, create_graph):
                    later.setdefault(argument, []).append(gx.data)
                else:
                    cotangents[argument] = gx if others is None else others + gx
            place.leave(retain)
    if cotangents:  # of places that the pass had left behind when the cotangents arrived
        raise GraphError("backward: the graph is not in order of creation, so gradients would be lost; a tensor or a "
                         "node in it was taken over from elsewhere without getting a new order")
    if later:
        terms = [[gradients[leaf].data, *others] for leaf, others in later.items()]
        sums = kernels.add_up(list(itertools.chain(*terms)), [len(row) for row in terms])
        gradients.update((leaf, Tensor(array)) for leaf, array in zip(later, sums, strict=True))
    if constants:  # who gets a gradient may write to it
        gradients.update((place, Tensor(g.data.copy())) for place, g in gradients.items()
                         if g.node is None and _owner(g) in constants)
    return gradients


@contextlib.contextmanager
def _passing(create_graph: bool) -> Iterator[None]:
    """What holds during a pass. Unless somebody looks on, gradients of leaves are not read before it ends."""
    before, state.recording = (state.recording, state.node), create_graph
    try:
        with kernels.branches(not (create_graph or state.watchers)):
            yield
    finally:
        state.recording, state.node = before


def _can_wait(gx: Tensor, create_graph: bool) -> bool:
    """Whether a cotangent may be added at the end, with all others in one launch: on a GPU, and nobody looks on."""
    return not (create_graph or state.watchers or isinstance(gx.data, np.ndarray | np.generic))


def _seed(y: Tensor, cotangent: Operand) -> Tensor:
    """The cotangent that a pass starts from at y."""
    if not y.requires_grad:
        raise GraphError("backward: nothing to differentiate: no tensor behind this one has requires_grad=True, "
                         "or it was computed under no_grad()")
    if cotangent is None:
        if y.size != 1:
            raise GraphError(f"backward: the output has shape {y.shape}; reduce it to one number, for example by "
                             ".sum(), or pass a cotangent of that shape")
        return Tensor(devices.one_like(y.data))
    seed = cotangent if isinstance(cotangent, Tensor) else tensor(cotangent, dtype=y.dtype)
    if seed.shape != y.shape:
        raise ShapeError(f"backward: the cotangent has shape {seed.shape}, the output {y.shape}")
    if seed.dtype != y.dtype:
        raise DTypeError(f"backward: the cotangent is {seed.dtype}, the output {y.dtype}; convert the cotangent")
    return seed


def reachable(outputs: Iterable[Place]) -> list[Place]:
    """Every place behind the outputs that requires a gradient, and the outputs themselves, oldest first.

    Raises:
        GraphError: an earlier backward pass has freed the graph.
    """
    seen = set(outputs)
    todo = [place for place in seen if isinstance(place, Node)]
    while todo:
        args = todo.pop().args
        if args is None:
            raise GraphError("backward: the graph behind this tensor was freed by an earlier backward pass; "
                             "pass retain_graph=True to the first one, or compute the output again")
        for a in args:
            if a is None or not a.requires_grad:
                continue
            if a.node is None:
                seen.add(a)
            elif a.node not in seen:
                seen.add(a.node)
                todo.append(a.node)
    return sorted(seen, key=_order)


_order = operator.attrgetter("order")


def _on_the_way(order: list[Place], inputs: set[Place]) -> set[Place]:
    """Those of `order` that depend on an input: no other cotangent is worth computing."""
    wanted = set(inputs)
    for place in order:
        if isinstance(place, Node):
            for a in place.args or ():
                if a is not None and (a if a.node is None else a.node) in wanted:
                    wanted.add(place)
                    break
    return wanted


def _step(node: Node, g: Tensor, wanted: set[Place] | None, cotangents: dict[Place, Tensor],
          gates: Gates | None) -> list[tuple[Place, Tensor]]:
    """Cotangents of one node's arguments, each summed back to the argument's shape where it was broadcast.

    One that a rule adds to what has arrived at the argument is the sum of both; what had arrived is taken away.
    """
    primitive, state.node = node.primitive, node
    kernels.reached()
    if node.version != node.version_now():
        raise GraphError(f"backward: an argument of {primitive.name} was changed in place after it was used"
                         f"{node.where()}")
    if state.watchers:
        _tell(node, -1, g)
    args = node.args or ()
    need = [i for i, a in enumerate(args) if a is not None and a.requires_grad
            and (wanted is None or (a if a.node is None else a.node) in wanted)]
    if gates is not None and node in gates.applied:  # g has come through this gate already
        return [(a if a.node is None else a.node, g) for i in need if i == 0 and (a := args[i]) is not None]
    arrived = _arrived(node, need, cotangents) if primitive.sums else {}
    try:
        with gates.before(node, need) if gates is not None else _nothing:
            gxs = primitive.vjps(need, g, node, arrived)
    except NonFiniteError as error:  # detect_anomaly, inside the rule
        raise NonFiniteError(f"{primitive.name}: its gradient is the first non-finite one in this backward pass; "
                             f"inside its rule, {error}{node.where()}") from error
    steps: list[tuple[Place, Tensor]] = []
    for i, gx in zip(need, gxs, strict=True):
        a = args[i]
        if gx is None or a is None:
            continue
        if gx._data.shape != a._data.shape:
            gx = gx.sum_to(shape=a.shape) if primitive.broadcasts else gx
            if gx.shape != a.shape:
                raise GraphError(f"{primitive.name}: its vjp for argument {i} has shape {gx.shape}, "
                                 f"the argument {a.shape}")
        if gx._data.dtype is not a._data.dtype and (kernels.is_bfloat16(gx) or kernels.is_bfloat16(a)):
            gx = gx.cast(a.dtype)  # a cotangent is stored as what it belongs to
        if state.watchers:
            _tell(node, i, gx)
        steps.append((a if a.node is None else a.node, gx))
    return steps


_nothing = contextlib.nullcontext()


def _arrived(node: Node, need: list[int], cotangents: dict[Place, Tensor]) -> dict[int, Tensor]:
    """What has arrived at the arguments whose rule adds to it, taken out of `cotangents`; by position.

    Not at leaves, whose cotangents may still be computed beside, nor for watchers, who see each cotangent by itself.
    """
    arrived: dict[int, Tensor] = {}
    for i, a in enumerate(node.args or ()):
        place = None if a is None or i not in need or i not in node.primitive.sums else a.node
        if place is not None and place in cotangents and not state.watchers:
            arrived[i] = cotangents.pop(place)
    return arrived


def _tell(node: Node, position: int, g: Tensor) -> None:
    for watcher in state.watchers:
        watcher.cotangent(node, position, g)


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Context (or decorator) in which nothing is recorded: results do not require a gradient.

    >>> x = tensor(2.0, requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """
    return recording(False)
