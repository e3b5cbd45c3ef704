"""Work in blocks: every kernel cuts its output in pieces that fit a core's cache, and all cores take pieces.

The one idea: *what* the pieces are depends on the shapes alone, never on the number of workers; only *who* does a piece
is left to chance. So one worker and sixteen give the same bytes, and no core waits long for a slower one.

    for_each_block(work, blocks)   calls work(block) once for each; NumPy releases the interpreter lock inside
                                   copies, ufuncs and matrix products, so threads are enough
    cut(total, step)               slices that cover a range: where to cut

While pieces are worked on, BLAS uses one thread per worker; afterwards the user's own setting is restored.
"""

from __future__ import annotations

import collections
import contextvars
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any

from minigan.errors import OptionError

from ..values import Array

SCRATCH_BYTES = 1 << 21  # of matrices one worker fills and reads at once; 1 and 4 MiB were no better, 512 KiB was worse
PASS = 1 << 18  # elements per call where a kernel is a few ufuncs: in shorter ones threads mostly wait for the
#                 interpreter lock, and waking one costs as much as 100,000 additions
SHARED = 1 << 19  # elements up to which the calling thread therefore does such a kernel alone

_local = threading.local()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_least_one(number: Any, name: str) -> int:
    """A number of workers as an int, given as one or as text."""
    try:
        workers = int(number)
    except (TypeError, ValueError):
        workers = 0
    if workers < 1:
        raise OptionError(f"{name}: {number!r} is not a number of workers; give a whole number of at least 1")
    return workers


_workers = _at_least_one(os.environ.get("MINIGAN_THREADS") or _usable_cores(), "MINIGAN_THREADS")


def get_threads() -> int:
    """How many workers share the blocks, the calling thread included."""
    return _workers


def set_threads(n: int) -> None:
    """Let `n` >= 1 workers share the blocks from now on; every result keeps its bytes.

    Raises OptionError for anything but a whole number of at least 1.
    """
    global _workers
    _workers = _at_least_one(n, "set_threads")


# ---------------------------------------------------------------------------------------------- sharing the blocks


class _Region:
    """One call of for_each_block: the blocks that are left, how many helpers work on them, the first error."""

    def __init__(self, work: Callable[[Any], object], blocks: Iterable[Any]) -> None:
        self.work: Any = work  # None when all is done
        self.left = collections.deque(blocks)  # popleft is atomic: the one point where workers meet
        self.helpers = 0
        self.changed = threading.Condition()
        self.error: BaseException | None = None

    def take_blocks(self) -> None:
        """Take and do blocks until none is left; an error stops everybody at their next block."""
        _local.in_region = True
        try:
            while self.left:
                try:
                    block = self.left.popleft()
                except IndexError:  # another worker took the last one
                    break
                self.work(block)
        except BaseException as error:
            self.left.clear()
            self.error = self.error or error
        finally:
            _local.in_region = False

    def help(self) -> None:
        """A helper's part. One that arrives late finds no block left; nobody waits for it."""
        with self.changed:
            if not self.left:
                return
            self.helpers += 1
        with _one_blas_thread:  # for a BLAS whose setting is each thread's own
            self.take_blocks()
        with self.changed:
            self.helpers -= 1
            self.changed.notify()

    def wait(self) -> None:
        """Wait until every helper that took a block has finished it; then raise the first error of any of them."""
        with self.changed:
            while self.helpers:
                self.changed.wait()
        self.work = None  # an invitation that no helper has opened yet keeps no arrays alive
        if self.error is not None:
            raise self.error


class _Pool:
    """Helper threads, started when first needed, waiting for invitations to a region."""

    def __init__(self) -> None:
        self.invitations: queue.SimpleQueue[tuple[contextvars.Context, _Region]] = queue.SimpleQueue()
        self.threads = 0
        self.lock = threading.Lock()

    def invite(self, region: _Region, helpers: int) -> None:
        with self.lock:
            while self.threads < helpers:
                self.threads += 1
                name = f"minigan-kernels-{self.threads}"
                threading.Thread(target=self._serve, args=(self.invitations,), name=name, daemon=True).start()
        for _ in range(helpers):  # each helper in a copy of the caller's context: np.errstate holds there, too
            self.invitations.put((contextvars.copy_context(), region))

    @staticmethod
    def _serve(invitations: queue.SimpleQueue[tuple[contextvars.Context, _Region]]) -> None:
        while True:
            context, region = invitations.get()
            context.run(region.help)
            del context, region  # a sleeping helper keeps no arrays alive


class _OneBlasThread:
    """A context in which BLAS runs single-threaded. Those of several threads may overlap: the last to end restores.

    A pool of pthreads has one setting for the whole process, hence the count; with OpenMP every thread has its own.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.searched = False
        self.shared: list[Any] = []  # libraries with one setting for the process
        self.own: list[Any] = []  # libraries with one for each thread
        self.before: list[int] = []

    def __enter__(self) -> None:
        with self.lock:
            if not self.searched:
                self._find()
            if self.inside == 0:
                self.before = [_limit(library, 1) for library in self.shared]
            self.inside += 1
        _local.blas_before = [_limit(library, 1) for library in self.own]

    def __exit__(self, *_: object) -> None:
        for library, threads in zip(self.own, _local.blas_before, strict=True):
            _limit(library, threads)
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._restore()

    def _find(self) -> None:
        """Look for the loaded BLAS libraries; it takes milliseconds, so once, and not before it is needed."""
        import threadpoolctl

        for library in threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers:
            per_thread = getattr(library, "threading_layer", None) == "openmp"
            (self.own if per_thread else self.shared).append(library)
        self.searched = True

    def _restore(self) -> None:
        for library, threads in zip(self.shared, self.before, strict=True):
            _limit(library, threads)
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread()  # from here on the user controls it

    def after_fork(self) -> None:
        """Only the forking thread lives on in the child, so no region does."""
        self.lock = threading.Lock()
        if self.inside:
            self.inside = 0
            self._restore()


def _limit(library: Any, threads: int) -> int:
    """Set the number of threads of one BLAS library and return the number before.

    From 3.8 on, threadpoolctl lets only one Python thread change it and ignores the others. Here any thread may be the
    last in a region and must restore the number, so the claim of another thread is cleared if it is in the way.
    """
    before = library.num_threads
    if threads != before:
        library.set_num_threads(threads)
        if library.num_threads != threads and hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)
            library.set_num_threads(threads)
    return before


_pool, _one_blas_thread = _Pool(), _OneBlasThread()


def _after_fork() -> None:
    global _pool
    _pool = _Pool()
    _local.in_region = False
    _one_blas_thread.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def for_each_block(work: Callable[[Any], object], blocks: Iterable[Any], share: bool = True) -> None:
    """Call `work(block)` once for each block, on all workers, in any order; returns when all are done.

    With share=False the calling thread does all of them. The first exception of any block is raised here. A call from
    inside a block runs in the thread of that block.
    """
    if getattr(_local, "in_region", False):
        for block in blocks:
            work(block)
        return
    region = _Region(work, blocks)
    helpers = min(_workers, len(region.left)) - 1 if share else 0
    with _one_blas_thread:
        if helpers > 0:
            _pool.invite(region, helpers)
        region.take_blocks()
        region.wait()


# ------------------------------------------------------------------------------------------------ cutting in blocks


def cut(total: int, step: int) -> list[slice]:
    """Slices of at most `step` that cover range(total), all about equally long.

    >>> cut(10, 4)
    [slice(0, 4, None), slice(4, 7, None), slice(7, 10, None)]
    """
    pieces = max(1, -(-total // max(1, step)))
    short, longer = divmod(total, pieces)
    ends = [0]
    for i in range(pieces):
        ends.append(ends[-1] + short + (i < longer))
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def image_blocks(images: int, rows: int, rows_per_block: int) -> list[tuple[slice, slice]]:
    """(images, rows) slices of about `rows_per_block` image rows each: several images, or a part of one large image."""
    if rows_per_block >= rows:
        return [(part, slice(0, rows)) for part in cut(images, rows_per_block // max(1, rows))]
    return [(slice(n, n + 1), part) for n in range(images) for part in cut(rows, rows_per_block)]


def pixel_blocks(y: Array, numbers_per_pixel: int) -> list[tuple[slice, slice]]:
    """Blocks of whole rows of y that fill a worker's scratch, and at least four of them if they are worth sharing.

    Not many more: in small blocks threads mostly wait for the interpreter lock.
    """
    N, OH, OW = y.shape[:3]
    pixels = min(SCRATCH_BYTES // (numbers_per_pixel * y.itemsize), max(64, N * OH * OW // 4))
    return image_blocks(N, OH, max(1, pixels // max(1, OW)))
