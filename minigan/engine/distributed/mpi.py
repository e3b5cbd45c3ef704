"""Ranks of MPI, through mpi4py: on one machine, or on several.

Sums are added in the order of ranks, which MPI's Allreduce does not promise: its order may depend on the number of
elements, the network and the version. A short array is gathered by all, and all add. Of a long one, rank r gets the
r-th part from all, adds, and hands out the sum: each rank sends and receives twice the array's bytes, for any number of
ranks, and a sum is computed once, so all have the same bytes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from minigan.engine import device
from minigan.engine.distributed.world import World, apart, flattened, in_order
from minigan.engine.tensor import Array

T = TypeVar("T")
SHORT = 32 << 10  # bytes up to which all ranks gather everything: one message less
PAUSE = 0.05  # seconds between two looks while a rank waits for the end
PATIENCE = 1.5  # seconds in which all ranks fail, if they fail for one reason
FORWARDED = 0.5  # seconds that the launcher is given to pass on what a rank has printed
SENTENCE = 2000  # bytes of an error in words


class MPIWorld(World):
    """The ranks of an MPI communicator.

    Arrays of a GPU travel through the host's memory; NCCLWorld sends them from GPU to GPU.
    """

    capturable = False

    def __init__(self, communicator: Any) -> None:
        self.communicator = communicator
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()
        self.failing, self.ending = communicator.Dup(), communicator.Dup()  # apart from what a hanging rank waits for
        self.has_ended = False
        self._kept: dict[str, np.ndarray] = {}  # memory for long messages

    def mean(self, arrays: Sequence[Array], reuse: bool = False) -> list[Array]:
        """As World's."""
        if len({a.dtype for a in arrays}) > 1:  # a network of several types: one message for each array
            return [self.mean([a])[0] for a in arrays]
        if not arrays:
            return []
        return apart(self._flat_mean(arrays, reuse), arrays)

    def _flat_mean(self, arrays: Sequence[Array], reuse: bool) -> Array:
        """The mean over ranks of all arrays as one, (n,)."""
        where, size = device.of(arrays[0]), sum(a.size for a in arrays)
        padded = -(-size // self.size) * self.size
        send = self._memory("send", padded, arrays[0].dtype)
        if where == "cpu":
            flattened(arrays, out=send[:size])
        else:
            send[:size] = device.asnumpy(flattened(arrays))
        send[size:] = 0
        total = self._mean(send, reuse)[:size]
        return total if where == "cpu" else device.put(total, where)

    def _mean(self, send: np.ndarray, reuse: bool) -> np.ndarray:
        """The mean over ranks of send (n,), n a multiple of the ranks; in memory of its own unless `reuse`."""
        share = send.dtype.type(1 / self.size)
        if send.nbytes <= SHORT:
            every = self._memory("every", self.size * send.size, send.dtype).reshape(self.size, -1)  # (ranks, n)
            self.communicator.Allgather(send, every)
            total: np.ndarray = in_order(every)
            total *= share
            return total
        parts = self._memory("parts", send.size, send.dtype)
        self.communicator.Alltoall(send, parts)
        total = self._memory("total", send.size, send.dtype) if reuse else np.empty_like(send)
        part = in_order(parts.reshape(self.size, -1))  # of (ranks, n / ranks)
        part *= share
        self.communicator.Allgather(part, total)
        return total

    def _memory(self, name: str, size: int, dtype: Any) -> np.ndarray:
        """Memory (size,) that is used again by the next call."""
        key = f"{name} {np.dtype(dtype)}"
        if key not in self._kept or self._kept[key].size < size:
            self._kept[key] = np.empty(size, dtype)
        return self._kept[key][:size]

    def gather(self, array: Array) -> Array:
        """As World's."""
        where, mine = device.of(array), np.ascontiguousarray(device.asnumpy(array))
        every = np.empty((self.size, *mine.shape), mine.dtype)
        self.communicator.Allgather(mine, every)
        joined = every.reshape(self.size * len(mine), *mine.shape[1:])  # (ranks*n, ...)
        return joined if where == "cpu" else device.put(joined, where)

    def broadcast(self, value: T) -> T:
        """As World's."""
        first: T = self.communicator.bcast(value, root=0)
        return first

    def collect(self, value: T) -> list[T]:
        """As World's."""
        every: list[T] = self.communicator.allgather(value)
        return every

    def barrier(self) -> None:
        """As World's."""
        self.communicator.Barrier()

    def wait_for_end(self) -> None:
        """As World's."""
        if not self.has_ended:
            self.has_ended = True
            request = self.ending.Ibarrier()
            while not request.Test():
                time.sleep(PAUSE)

    def all_failed(self, sentence: str) -> list[str] | None:
        """As World's."""
        self.has_ended = True
        mine, every = np.zeros(SENTENCE, np.uint8), np.zeros((self.size, SENTENCE), np.uint8)
        text = np.frombuffer(sentence.encode("utf-8", "replace")[:SENTENCE], np.uint8)
        mine[: len(text)] = text
        request, end = self.failing.Iallgather(mine, every), time.monotonic() + PATIENCE
        while not (done := request.Test()) and time.monotonic() < end:
            time.sleep(PAUSE / 5)
        return [bytes(row).rstrip(b"\0").decode("utf-8", "replace") for row in every] if done else None

    def abort(self, status: int) -> None:
        """As World's; MPI kills the processes of all ranks."""
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(FORWARDED)  # the launcher passes on what was printed, but nothing more once it ends the ranks
        self.communicator.Abort(status)
