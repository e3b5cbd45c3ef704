"""Ranks with a GPU each: arrays go from GPU to GPU through NCCL, as part of a captured step; the rest through MPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigan.engine.distributed.mpi import MPIWorld
from minigan.engine.distributed.world import flattened, in_order
from minigan.engine.tensor import Array
from minigan.errors import require

TYPES = {"float32": "NCCL_FLOAT32", "float64": "NCCL_FLOAT64", "uint8": "NCCL_UINT8", "int64": "NCCL_INT64"}


class NCCLWorld(MPIWorld):
    """The ranks of an MPI communicator, each with a CUDA device of its own, which is current.

    A gather runs on the current stream, and so becomes part of a CUDA graph that is being captured. Capture and launch
    are then collective: all ranks capture the same step, and launch it equally often.

    communicator  of MPI; a world of one process may be `mpi4py.MPI.COMM_SELF`
    """

    capturable = True

    def __init__(self, communicator: Any) -> None:
        super().__init__(communicator)
        self.nccl = require("cupy.cuda.nccl", "several GPUs")
        self.cupy = require("cupy", "several GPUs")
        number = self.broadcast(self.nccl.get_unique_id() if self.rank == 0 else None)
        self.ring = self.nccl.NcclCommunicator(self.size, number, self.rank)
        self._every(self.cupy.zeros(1, np.float32))  # NCCL connects at the first call, which no graph may hold

    def _flat_mean(self, arrays: Sequence[Array], reuse: bool) -> Array:
        """As MPIWorld's; arrays in the host's memory, such as metrics, go through MPI."""
        if isinstance(arrays[0], np.ndarray):
            return super()._flat_mean(arrays, reuse)
        total = in_order(self._every(flattened(arrays)))
        total *= total.dtype.type(1 / self.size)
        return total

    def gather(self, array: Array) -> Array:
        """As World's."""
        if isinstance(array, np.ndarray):
            return super().gather(array)
        every = self._every(np.ascontiguousarray(array).reshape(-1))  # (ranks, n*...)
        return every.reshape(self.size * len(array), *array.shape[1:])  # (ranks*n, ...)

    def _every(self, mine: Array) -> Array:
        """The arrays (n,) of all ranks, (ranks, n)."""
        every = np.empty_like(mine, shape=(self.size, mine.size))
        kind = getattr(self.nccl, TYPES[str(mine.dtype)])
        self.ring.allGather(mine.data.ptr, every.data.ptr, mine.size, kind, self.cupy.cuda.get_current_stream().ptr)
        return every
