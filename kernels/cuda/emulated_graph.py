"""What CUDA's stream capture gives, for the device "emulated": launches are recorded, and run later as a graph.

As on a GPU, memory that is freed while the graph is captured is used again by the next arrays, and the launches of two
branches run in any order that their waiting allows: `branches_in_order(1)` lets the main branch run ahead, so that a
launch which should have been waited for is not done yet. `Graph.races` finds such launches without running them.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from minigan.errors import DeviceError

from ..values import Array
from .branches import Branched

_branch_order = 0


class Launch(NamedTuple):
    """Recorded work: its branch, how many launches of the other one come before it, what it reads and writes."""

    what: str
    run: Callable[[], object]
    branch: int  # 0 main, 1 beside
    after: int
    reads: list[tuple[int, int]]  # addresses: the first byte, the one after the last
    writes: list[tuple[int, int]]


class Graph(Branched):
    """Launches under `capture`, which `launch` runs.

    NumPy's own operations, which stand in for CuPy's, run once while they are recorded, on whatever numbers are there,
    to find their results' shapes.
    """

    def __init__(self, branches: bool = True) -> None:
        super().__init__()
        self.branches, self.pool = branches, Pool()
        self.launches: list[Launch] = []
        self.branch, self.counts, self.waited = 0, [0, 0], [0, 0]  # launches; those of the other that each waited for

    @contextlib.contextmanager
    def capture(self) -> Iterator[Graph]:
        """Record what the body does."""
        if recorder.graph is not None:
            raise DeviceError("capture: a graph is being captured already; captured steps cannot contain one another")
        recorder.graph = self
        try:
            with self.branching(self.branches):
                yield self
        finally:
            recorder.graph = None

    @contextlib.contextmanager
    def side(self) -> Iterator[None]:
        """See Branched."""
        self.branch = 1
        try:
            yield
        finally:
            self.branch = 0

    def mark(self) -> int:
        """See Branched."""
        return self.counts[self.branch]

    def wait(self, mark: int) -> None:
        """See Branched."""
        self.waited[self.branch] = max(mark, self.waited[self.branch])

    def add(self, what: str, run: Callable[[], object], reads: Iterable[Array], writes: Iterable[Array]) -> None:
        """Record a launch."""
        places = [[np.lib.array_utils.byte_bounds(a) for a in arrays if a.size] for arrays in (reads, writes)]
        self.launches.append(Launch(what, run, self.branch, self.waited[self.branch], *places))
        self.counts[self.branch] += 1

    def launch(self) -> None:
        """Do the recorded work in an order that branches allow; see branches_in_order."""
        for launch in self.launches if _branch_order == 0 else self._in_order(_branch_order):
            launch.run()

    def _in_order(self, order: int) -> Iterator[Launch]:
        queues = [deque(launch for launch in self.launches if launch.branch == branch) for branch in (0, 1)]
        done, draw = [0, 0], np.random.default_rng(order)
        while any(queues):
            ready = [b for b in (0, 1) if queues[b] and queues[b][0].after <= done[1 - b]]
            branch = ready[0] if order == 1 else draw.choice(ready)
            done[branch] += 1
            yield queues[branch].popleft()

    def races(self) -> list[tuple[str, str]]:
        """Launches that may run at the same time although one of them writes what the other reads or writes."""
        main, beside = ([launch for launch in self.launches if launch.branch == branch] for branch in (0, 1))
        waited = [launch.after for launch in main]  # ascending
        return [(a.what, b.what) for j, b in enumerate(beside) for a in main[b.after : bisect.bisect_right(waited, j)]
                if _meet(a.writes, b.reads + b.writes) or _meet(a.reads, b.writes)]


def _meet(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> bool:
    """Whether any two pieces of memory have a byte in common."""
    return any(a < d and c < b for (a, b), (c, d) in itertools.product(some, others))


class Pool:
    """The memory of a graph, which it owns for good: freed, it is used again at once by the branch that had it.

    So do CuPy's pools, whose branches are streams.
    """

    def __init__(self) -> None:
        self.free: dict[tuple[int, int], list[Array]] = defaultdict(list)

    def room(self, size: int, branch: int) -> Array:
        """`size` bytes, given back when the array is deleted."""
        blocks = self.free[size, branch]
        block = blocks.pop() if blocks else np.empty(size, np.uint8)
        raw = np.frombuffer(block.data, np.uint8)  # its base is the view, so that nothing else keeps it
        weakref.finalize(raw, blocks.append, block).atexit = False
        return raw


def root_of(host: Array) -> Array:
    """The bytes that `room` gave, of which an array is a part."""
    while isinstance(host.base, np.ndarray):
        host = host.base
    return host


def unowned(host: Array) -> Array:
    """The same array, which keeps no memory of a pool from being used again: what a launch knows is an address."""
    root = root_of(host)
    if not isinstance(root.base, memoryview):
        return host
    block = root.base.obj
    assert isinstance(block, np.ndarray)
    return np.ndarray(host.shape, host.dtype, block, host.ctypes.data - block.ctypes.data, host.strides)


class Recorder:
    """Does work at once or, while a graph is captured, adds it to the graph."""

    graph: Graph | None = None

    def do(self, what: str, run: Callable[[], object], reads: Iterable[Array], writes: Iterable[Array]) -> None:
        """Do it now, or when the graph being captured is launched; `run` must own none of the arrays: see unowned."""
        if self.graph is None:
            run()
        else:
            self.graph.add(what, run, reads, writes)

    def note(self, what: str, run: Callable[[], object], reads: Iterable[Array], writes: Iterable[Array]) -> None:
        """Record work that has been done once already, to find its result's shape."""
        if self.graph is not None:
            self.graph.add(what, run, reads, writes)

    def room(self, size: int) -> Array:
        """Bytes, all of them 0xff."""
        raw = self.memory(size)
        raw.fill(0xFF)
        return raw

    def memory(self, size: int) -> Array:
        """Bytes with whatever is in them, of the graph that is being captured or of nobody."""
        return np.empty(size, np.uint8) if self.graph is None else self.graph.pool.room(size, self.graph.branch)

    def refuse(self, what: str) -> None:
        """Raise DeviceError if a graph is being captured."""
        if self.graph is not None:
            raise DeviceError(f"{what}: a captured step may not copy between host and device; see mg.capture")


recorder = Recorder()


@contextlib.contextmanager
def branches_in_order(order: int) -> Iterator[None]:
    """Launch graphs as recorded (0), main branch first (1), or shuffled as their branches allow (2, 3, ...)."""
    global _branch_order
    before, _branch_order = _branch_order, order
    try:
        yield
    finally:
        _branch_order = before
