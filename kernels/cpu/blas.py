"""BLAS with one thread while the workers of `blocks` share the work, and afterwards with the user's own number.

An interrupt may come between any two lines here. So nothing is counted up and down; each method puts right what an
interrupted one has left.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

_local = threading.local()


class OneBlasThread:
    """Between `enter` and `leave` BLAS runs single-threaded. Threads may overlap: the last to leave restores.

    A pool of pthreads has one setting for the whole process, hence the set of threads that work; with OpenMP every
    thread has its own. Both methods may be called twice, and `leave` without `enter`, as after an interrupt.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.working: set[int] = set()  # idents of threads
        self.libraries: tuple[list[Any], list[Any]] | None = None  # with one setting for the process; for each thread
        self.before: list[int] | None = None  # numbers of threads of the former, while they are changed

    def enter(self) -> None:
        """This thread works from now on."""
        holding(self.lock, self._enter)
        _local.before = _limited(self._find()[1], getattr(_local, "before", None))

    def leave(self) -> None:
        """This thread works no more."""
        try:
            self._leave()
        except BaseException:  # an interrupt: once more, all of it
            self._leave()
            raise

    def _enter(self) -> None:
        self.working.add(threading.get_ident())
        libraries = self._find()[0]
        if self.before is None:
            self.before = [library.num_threads for library in libraries]
        _limited(libraries, self.before)

    def _leave(self) -> None:
        own = getattr(_local, "before", None)
        if own is not None:
            _restore(self._find()[1], own)
            _local.before = None
        holding(self.lock, self._end)

    def _end(self) -> None:
        self.working.discard(threading.get_ident())
        if self.working:
            self.working &= set(sys._current_frames())  # a thread that has ended works no more
        if not self.working and self.before is not None:
            _restore(self._find()[0], self.before)
            self.before = None

    def _find(self) -> tuple[list[Any], list[Any]]:
        """The loaded BLAS libraries; to look for them takes milliseconds, so once, and not before it is needed."""
        if self.libraries is None:
            import threadpoolctl

            libraries = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
            own = [library for library in libraries if getattr(library, "threading_layer", None) == "openmp"]
            self.libraries = [library for library in libraries if library not in own], own
        return self.libraries

    def after_fork(self) -> None:
        """Only the forking thread lives on in the child, so no region does."""
        self.lock, self.working = threading.Lock(), set()
        if self.before is not None:
            _restore(self._find()[0], self.before)
            self.before = None


def holding(lock: Any, work: Callable[[], object]) -> None:
    """Work with the lock. On one line, as between the lines of a `with` an interrupt would leave the lock locked."""
    with lock: work()  # noqa: E701


def _limited(libraries: list[Any], before: list[int] | None) -> list[int]:
    """Let libraries use one thread. Returns their numbers of threads before, which are `before` if that is known."""
    before = [library.num_threads for library in libraries] if before is None else before
    for library in libraries:
        _limit(library, 1)
    return before


def _restore(libraries: list[Any], before: list[int]) -> None:
    for library, threads in zip(libraries, before, strict=True):
        _limit(library, threads)
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread()  # from here on the user controls it


def _limit(library: Any, threads: int) -> None:
    """Set the number of threads of one BLAS library.

    From 3.8 on, threadpoolctl lets only one Python thread change it and ignores the others. Here any thread may be the
    last in a region and must restore the number, so the claim of another thread is cleared if it is in the way.
    """
    if threads != library.num_threads:
        library.set_num_threads(threads)
        if library.num_threads != threads and hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)
            library.set_num_threads(threads)
