"""Work in blocks: every kernel cuts its output in pieces that fit a core's cache, and all cores take pieces.

The one idea: *what* the pieces are depends on the shapes alone, never on the number of workers; only *who* does a piece
is left to chance. So one worker or sixteen give the same bytes, and nobody waits for a slow core.

    for_each_block(work, blocks)   calls work(block) once for each; NumPy lets go of the interpreter lock inside
                                   copies, ufuncs and matrix products, so threads are enough
    cut(total, step)               slices that cover a range: where to cut

While pieces are worked on, BLAS keeps to one thread per worker; afterwards the user's own setting is back.
"""

from __future__ import annotations

import collections
import contextvars
import itertools
import os
import queue
import threading

from minigan.errors import OptionError

SCRATCH_BYTES = 1 << 21  # of matrices one worker fills and reads at once; 1 and 4 MiB measured no better, 512 KiB worse
PASS = 1 << 18  # elements per call where a kernel is a few ufuncs: in shorter ones threads mostly wait for the
#                 interpreter lock, and waking one costs as much as 100,000 additions
SHARED = 1 << 19  # elements up to which such a kernel is therefore left to the calling thread alone

_local = threading.local()


def _usable_cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_least_one(number, name):
    """A number of workers as an int, whether it comes as one or as text."""
    try:
        workers = int(number)
    except (TypeError, ValueError):
        workers = 0
    if workers < 1:
        raise OptionError(f"{name}: {number!r} is no number of workers; it takes a whole number of at least 1")
    return workers


_workers = _at_least_one(os.environ.get("MINIGAN_THREADS") or _usable_cores(), "MINIGAN_THREADS")


def get_threads():
    """How many workers share the blocks, the calling thread included."""
    return _workers


def set_threads(n):
    """Let `n` >= 1 workers share the blocks from now on; results do not depend on it, not by a bit.

    Raises OptionError for anything but a whole number of at least 1.
    """
    global _workers
    _workers = _at_least_one(n, "set_threads")


# ---------------------------------------------------------------------------------------------- sharing the blocks


class _Region:
    """One call of for_each_block: the blocks that are left, who is at work on them, what went wrong."""

    def __init__(self, work, blocks):
        self.work = work
        self.left = collections.deque(blocks)  # popleft is atomic: the one point where workers meet
        self.helpers = 0
        self.changed = threading.Condition()
        self.error = None

    def take_blocks(self):
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

    def help(self):
        """A helper's part. One that arrives late finds nothing left and holds nobody up."""
        with self.changed:
            if not self.left:
                return
            self.helpers += 1
        with _one_blas_thread:  # for a BLAS whose setting is each thread's own
            self.take_blocks()
        with self.changed:
            self.helpers -= 1
            self.changed.notify()

    def wait(self):
        """Until every helper that took a block has finished it; then raise what went wrong in any of them."""
        with self.changed:
            while self.helpers:
                self.changed.wait()
        self.work = None  # an invitation that no helper has opened yet keeps no arrays alive
        if self.error is not None:
            raise self.error


class _Pool:
    """Helper threads, started when first needed, waiting for invitations to a region."""

    def __init__(self):
        self.invitations = queue.SimpleQueue()
        self.threads = 0
        self.lock = threading.Lock()

    def invite(self, region, helpers):
        with self.lock:
            while self.threads < helpers:
                self.threads += 1
                name = f"minigan-kernels-{self.threads}"
                threading.Thread(target=self._serve, args=(self.invitations,), name=name, daemon=True).start()
        for _ in range(helpers):  # each helper in a copy of the caller's context: np.errstate holds there, too
            self.invitations.put((contextvars.copy_context(), region))

    @staticmethod
    def _serve(invitations):
        while True:
            context, region = invitations.get()
            context.run(region.help)
            del context, region  # a sleeping helper keeps no arrays alive


class _OneBlasThread:
    """`with` it, BLAS runs single-threaded. Regions of several user threads may overlap: the last one out restores.

    A pool of pthreads has one setting for the whole process, hence the count; with OpenMP every thread has its own.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.inside = 0
        self.found = False
        self.shared, self.own, self.before = [], [], []

    def __enter__(self):
        with self.lock:
            if not self.found:
                self._find()
            if self.inside == 0:
                self.before = [_limit(library, 1) for library in self.shared]
            self.inside += 1
        _local.blas_before = [_limit(library, 1) for library in self.own]

    def __exit__(self, *_):
        for library, threads in zip(self.own, _local.blas_before, strict=True):
            _limit(library, threads)
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._restore()

    def _find(self):
        """Look for the BLAS libraries that are loaded: milliseconds, hence once and late."""
        import threadpoolctl

        for library in threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers:
            per_thread = getattr(library, "threading_layer", None) == "openmp"
            (self.own if per_thread else self.shared).append(library)
        self.found = True

    def _restore(self):
        for library, threads in zip(self.shared, self.before, strict=True):
            _limit(library, threads)
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread()  # what follows is for the user to control

    def after_fork(self):
        """Only the forking thread lives on in the child, so no region does."""
        self.lock = threading.Lock()
        if self.inside:
            self.inside = 0
            self._restore()


def _limit(library, threads):
    """Set the number of threads of one BLAS library and return what it was.

    From 3.8 on threadpoolctl lets one Python thread only change it and ignores the others. Here whoever is last out of
    a region must be heard, so a claim of another thread is cleared when it turns out to be in the way.
    """
    before = library.num_threads
    if threads != before:
        library.set_num_threads(threads)
        if library.num_threads != threads and hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)
            library.set_num_threads(threads)
    return before


_pool, _one_blas_thread = _Pool(), _OneBlasThread()


def _after_fork():
    global _pool
    _pool = _Pool()
    _local.in_region = False
    _one_blas_thread.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def for_each_block(work, blocks, share=True):
    """Call `work(block)` once for each block, on all workers, in any order; returns when all are done.

    With share=False the calling thread does all of them. The first exception of any block is raised here. Inside a
    block, a nested call simply runs where it is.
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


def cut(total, step):
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


def image_blocks(images, rows, rows_per_block):
    """(images, rows) slices of about `rows_per_block` image rows each: several images, or a part of one large image."""
    if rows_per_block >= rows:
        return [(some, slice(0, rows)) for some in cut(images, rows_per_block // max(1, rows))]
    return [(slice(n, n + 1), part) for n in range(images) for part in cut(rows, rows_per_block)]
