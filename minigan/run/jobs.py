"""Independent tasks of one program, such as trainings that are compared, spread over processes.

    --jobs 4                                             four processes of this machine, which share its cores
    mpiexec -n 9 python -m mpi4py.futures PROGRAM        the ranks of MPI: rank 0 hands out, eight compute
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

from minigan import kernels
from minigan.engine import device
from minigan.errors import OptionError, require


def spread(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int = 1, where: str = "cpu",
           precision: str = "fast") -> Iterator[Any]:
    """function(*task) for every task; yields the results in the order of the tasks, each when it is there.

    Started by `python -m mpi4py.futures`, the ranks of MPI compute; else `jobs` new processes, or, if that is 1, this
    one.
    Functions, tasks and results travel between processes, so they must be picklable: a function of a module or a
    program, by name.

    Args:
        function, tasks: what to compute.
        jobs: processes of this machine, which share its cores equally.
        where, precision: the device and precision in each process.

    Raises:
        OptionError: jobs is below 1. And what the function raises.
    """
    if jobs < 1:
        raise OptionError(f"--jobs {jobs} must be at least 1")
    executor = _executor(jobs)
    if executor is None:
        for task in tasks:
            yield function(*task)
        return
    threads = None if _by_mpi() else max(1, kernels.get_threads() // jobs)
    with executor:
        waiting = [executor.submit(_apart, function, task, where, precision, threads) for task in tasks]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _by_mpi() -> bool:
    """Whether `python -m mpi4py.futures` runs this program on several ranks."""
    return "mpi4py.futures" in sys.modules


def _executor(jobs: int) -> Executor | None:
    if _by_mpi():
        executor: Executor = require("mpi4py.futures", "several ranks").MPIPoolExecutor()
        return executor
    if jobs == 1:
        return None
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))  # a fork would copy threads' locks


def _apart(function: Callable[..., Any], task: tuple[Any, ...], where: str, precision: str, threads: int | None) -> Any:
    """The function in another process, with this program's device, precision and part of the cores."""
    device.set_device(where)
    device.set_precision(precision)
    if threads is not None and "MINIGAN_THREADS" not in os.environ:
        kernels.set_threads(threads)
    return function(*task)
