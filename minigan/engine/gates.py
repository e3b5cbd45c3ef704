"""Gates of a backward pass that the product before them applies as it writes its result, on a device.

    forward   a = leaky_relu(u)   y = conv2d(a, w)
    backward  ga = conv_transpose2d(gy, w)   gu = gate(ga, a)

If nothing else reads `a`, nobody needs ga: the product may write gu, and the gate's node passes it on.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from minigan import kernels
from minigan.engine.tensor import Array, Node, Place


class Gates:
    """Those among the places of a pass. `seen`: places whose cotangents somebody looks at, or adds to."""

    def __init__(self, order: Iterable[Place], seen: Collection[Place]) -> None:
        self.readers = Counter(a.node for place in order if isinstance(place, Node) for a in place.args or ()
                               if a is not None and a.node is not None)
        self.seen, self.applied = seen, set[Node]()

    @contextlib.contextmanager
    def before(self, node: Node, need: list[int]) -> Iterator[None]:
        """A context for a node's rules, for arguments `need`: the first one's cotangent may come through its gate."""
        behind = self._behind(node, need)
        if behind is None:
            yield
            return
        on, slope = _gate_of(behind)
        with kernels.opening_follows(slope, on) as opening:
            yield
        if opening.done:
            self.applied.add(behind)

    def _behind(self, node: Node, need: list[int]) -> Node | None:
        """The node of a gate that only this node's first cotangent, alone of its shape, will go to."""
        if not node.primitive.product or not need or need[0] != 0 or node.args is None:
            return None
        first, *others = (a for i in need if (a := node.args[i]) is not None)
        behind = first.node
        if behind is None or behind.primitive.gate is None or self.readers[behind] != 1 or behind in self.seen:
            return None
        if any(a.shape == first.shape for a in others) or behind.version != behind.version_now():
            return None
        return behind


def _gate_of(node: Node) -> tuple[Array, float]:
    """(on, slope) if the rule of a node is gate(gy, on, slope)."""
    assert node.primitive.gate is not None
    args = [None if a is None else a._data for a in node.arguments()]
    return node.primitive.gate(node.value() if -1 in node.reads else None, *args, **node.params)
