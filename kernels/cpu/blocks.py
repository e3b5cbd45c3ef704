"""Work in blocks: every kernel cuts its output in pieces that fit a core's cache, and all cores take pieces.

The one idea: *what* the pieces are depends on the shapes alone, never on the number of workers; only *who* does a piece
is left to chance. So one worker and sixteen give the same bytes, and no core waits long for a slower one.

    for_each_block(work, blocks)   calls work(block) once for each; NumPy releases the interpreter lock inside
                                   copies, ufuncs and matrix products, so threads are enough
    cut(total, step)               slices that cover a range: where to cut

While pieces are worked on, BLAS uses one thread per worker; afterwards the user's own setting is restored.

An interrupt may come between any two lines here. So nothing is counted up and down: who works is a set of threads, and
who is in a region is read from the stack; what an interrupt leaves behind, the next region puts right.
"""

from __future__ import annotations

import collections
import contextvars
import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from minigan.errors import OptionError

from ..values import Array
from .blas import OneBlasThread, holding

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


_workers: int | None = None  # not read on import, so that a wrong MINIGAN_THREADS is an error like any other


def get_threads() -> int:
    """How many workers share the blocks, the calling thread included.

    That is what `set_threads` was given, else MINIGAN_THREADS, else the number of cores this process may use. Raises
    OptionError if MINIGAN_THREADS is no whole number of at least 1.
    """
    global _workers
    if _workers is None:
        _workers = _at_least_one(os.environ.get("MINIGAN_THREADS", "").strip() or _usable_cores(), "MINIGAN_THREADS")
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
        try:
            _one_blas_thread.enter()  # for a BLAS whose setting is each thread's own
            self.take_blocks()
        finally:
            try:
                _one_blas_thread.leave()  # first: the caller is to find its own setting
            finally:
                with self.changed:
                    self.helpers -= 1
                    self.changed.notify()

    def wait(self) -> None:
        """Wait until every helper that took a block has finished it; then raise the first error of any of them."""
        holding(self.changed, lambda: self.changed.wait_for(lambda: not self.helpers))
        self.work = None  # an invitation that no helper has opened yet keeps no arrays alive
        if self.error is not None:
            raise self.error


class _Pool:
    """Helper threads, started when first needed, waiting for invitations to a region."""

    def __init__(self) -> None:
        self.invitations: queue.SimpleQueue[tuple[contextvars.Context, _Region]] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()

    def invite(self, region: _Region, helpers: int) -> None:
        holding(self.lock, lambda: self._start(helpers))
        for _ in range(helpers):  # each helper in a copy of the caller's context: np.errstate holds there, too
            self.invitations.put((contextvars.copy_context(), region))

    def _start(self, helpers: int) -> None:
        """Have that many threads, all of them started."""
        while len(self.threads) < helpers:
            name = f"minigan-kernels-{len(self.threads) + 1}"
            thread = threading.Thread(target=self._serve, args=(self.invitations,), name=name, daemon=True)
            thread.start()
            self.threads.append(thread)

    @staticmethod
    def _serve(invitations: queue.SimpleQueue[tuple[contextvars.Context, _Region]]) -> None:
        while True:
            context, region = invitations.get()
            context.run(region.help)
            del context, region  # a sleeping helper keeps no arrays alive


_pool, _one_blas_thread = _Pool(), OneBlasThread()


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
    if getattr(_local, "in_region", False) and _is_in_region():
        for block in blocks:
            work(block)
        return
    region = _Region(work, blocks)
    helpers = min(get_threads(), len(region.left)) - 1 if share else 0
    try:
        _one_blas_thread.enter()
        if helpers > 0:
            _pool.invite(region, helpers)
        region.take_blocks()
        region.wait()
    finally:
        _one_blas_thread.leave()


def _is_in_region() -> bool:
    """Whether this thread is doing a block. Asked where the flag says so, which an interrupt may have left behind."""
    frame = sys._getframe()
    while frame is not None and frame.f_code is not _Region.take_blocks.__code__:
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None


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
