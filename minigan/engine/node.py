"""Node: a computed tensor's place in the graph, and what the graph keeps of the numbers for the backward pass."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigan.errors import GraphError

if TYPE_CHECKING:
    from minigan.engine.primitive import Primitive
    from minigan.engine.tensor import Array, Tensor

WORTH = 1 << 12  # bytes from which on an array that nobody reads is not kept
creation = itertools.count()  # creation order is a topological order; next() on it is atomic


class Origin(NamedTuple):
    """Where a node was made: `file:line in function`; the layer; and, if a backward pass made it, for which node."""

    place: str
    layer: str | None = None
    differentiates: int | None = None  # that node's `order`

    def __str__(self) -> str:
        return self.place + (f", layer {self.layer}" if self.layer else "")


class Node:
    """How a tensor was made: `primitive(*args, **params)`, with the versions its arguments had then.

    It is the tensor's place in the graph, and keeps the numbers that vjps read, `reads`: positions of arguments, -1 for
    the result. An argument whose numbers nobody reads, or that can be computed again (`value`), leaves a shell here.
    """

    __slots__ = ("again", "args", "order", "origin", "params", "primitive", "reads", "version", "y")

    def __init__(self, primitive: Primitive, args: tuple[Tensor | None, ...], params: dict[str, Any], y: Array) -> None:
        self.primitive, self.params = primitive, params
        self.reads, self.again = reads, again = primitive.needs(params)
        self.version = 0
        for i, a in enumerate(args):
            if a is not None:
                self.version += a._version[0]
                if a._data.nbytes >= WORTH and (_computed_again(a) if again or i in reads else not a.is_leaf()):
                    args = (*args[:i], a.shell(), *args[i + 1 :])
        self.args: tuple[Tensor | None, ...] | None = args  # None after a backward pass has used the node up
        self.y: Array | None = y if -1 in reads and not again else None
        self.order = next(creation)
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


def _computed_again(t: Tensor) -> bool:
    """Whether the graph does not keep the tensor's numbers, because a cheap operation made it. (On the CPU only.)"""
    return t.node is not None and t.node.again and t._data.nbytes >= WORTH and type(t._data) is np.ndarray
