"""Finding the first NaN or infinity: which operation made it, in which layer, at which line, forward or backward."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minigan.engine.state import Watcher, state, watching
from minigan.engine.tensor import Maker, Node, Origin, Tensor
from minigan.errors import NonFiniteError


def detect_anomaly() -> contextlib.AbstractContextManager[None]:
    """Name the operation, layer and source line of the first NaN or infinity, forward or backward.

    A context manager. Slow (every result is scanned, every node remembers its line): for finding a fault, not for
    training.

    Raises:
        NonFiniteError: at the first non-finite value.
    """
    return watching(_Scanner())


class _Scanner(Watcher):
    """Remembers where results were made, and raises at the first that is not finite."""

    def result(self, primitive: Maker, y: Tensor, arguments: Sequence[Tensor | None]) -> None:
        place = origin()
        if y.node is not None and y.node.origin is None:  # another watcher may know better
            y.node.origin = place
        if np.isfinite(y.data).all():
            return
        inputs = ", ".join(census(a) for a in arguments if a is not None)
        stale = any(a is not None and not np.isfinite(a.data).all() for a in arguments)
        blame = ("a leaf among its arguments (data or a parameter) is not finite" if stale else
                 "it made the first non-finite value")
        raise NonFiniteError(f"{primitive.name}: in the forward pass {blame} (result: {census(y)}; "
                             f"arguments: {inputs}); created at {place}")

    def cotangent(self, node: Node, position: int, g: Tensor) -> None:
        if position >= 0 and not np.isfinite(g.data).all():
            raise NonFiniteError(f"{node.primitive.name}: the gradient of its argument {position} is the first "
                                 f"non-finite one in this backward pass ({census(g)}; the incoming cotangent is "
                                 f"finite){node.where()}")


def census(t: Tensor) -> str:
    """Shape, range and counts of NaN and infinities, in words."""
    finite = np.isfinite(t.data)
    nan, infinite = int(np.isnan(t.data).sum()), int(np.isinf(t.data).sum())
    span = f"values from {t.data[finite].min():.3g} to {t.data[finite].max():.3g}" if finite.any() else "none finite"
    return f"shape {t.shape}, {span}" + (f", {nan} NaN, {infinite} infinite" if nan or infinite else "")


def origin() -> Origin:
    """The innermost caller outside this package, the layer it was called for, and the node it differentiates."""
    here = Path(__file__).parent.parent  # minigan
    frames = [f for f in traceback.extract_stack() if here not in Path(f.filename).parents]
    place = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else "unknown"
    if state.node is not None and not state.modules:  # a backward pass: it is at work for the layer of that node
        behind = state.node.origin
        return Origin(place, behind.layer if behind else None, state.node.order)
    return Origin(place, state.modules[0].path_of(state.modules[-1]) if state.modules else None)
