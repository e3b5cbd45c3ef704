"""Two branches of a graph: what nobody reads before a backward pass ends may run beside the pass.

The gradients of filters are such work, and half of the products: the branch "beside" computes them, one after another,
while the main branch goes on with the gradients of images. A small network's kernels leave most of a GPU idle, and
there both branches find room at once. Only a captured graph has branches; the plain step is one stream of launches.

Memory is used again by the branch that allocated it, in the order of that branch's launches. So what a launch beside
reads is kept until the main branch has waited for that launch; else its memory might be written to by then.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..values import DeviceArray, branch

AHEAD = 2  # how many pieces of work beside may be unfinished: the more, the more memory is kept


class Branched:
    """A graph being captured, with a main branch and one beside it; who knows how to launch there derives from this."""

    def __init__(self) -> None:
        self._running: deque[tuple[Any, Sequence[DeviceArray]]] = deque()  # (mark, what it reads)
        self._reached: Any = None  # a mark on the main branch

    def mark(self) -> Any:
        """The end of what has been launched so far on the current branch."""
        raise NotImplementedError

    def wait(self, mark: Any) -> None:
        """Let the current branch go on only after a mark on the other one."""
        raise NotImplementedError

    def side(self) -> AbstractContextManager[Any]:
        """A context in which the branch beside is the current one."""
        raise NotImplementedError

    @contextlib.contextmanager
    def branching(self, yes: bool) -> Iterator[None]:
        """A context, the capture, in which `kernels.beside` finds this graph."""
        branch.graph = self if yes else None
        try:
            yield
        finally:
            branch.graph = None
            self._running.clear()

    def reach(self) -> None:
        """Note that work beside may read all that has been computed so far; it will not wait for what follows."""
        self._reached = self.mark()

    @contextlib.contextmanager
    def beside(self, arrays: Sequence[DeviceArray]) -> Iterator[None]:
        """A context whose launches go beside; `arrays` are all they read of what the main branch may free."""
        assert self._reached is not None
        while len(self._running) >= AHEAD:
            self.wait(self._running[0][0])
            self._running.popleft()
        with self.side():
            self.wait(self._reached)
            branch.on = True
            try:
                yield
            finally:  # after an error, too: a step may catch it, and what was launched must be waited for
                branch.on = False
                self._running.append((self.mark(), arrays))

    def join(self) -> None:
        """Let the main branch go on only after all that was launched beside."""
        if self._running:
            self.wait(self._running[-1][0])
            self._running.clear()
