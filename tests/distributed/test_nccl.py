"""NCCL with a communicator of one GPU, in a captured step; several GPUs have not been tried."""

import numpy as np
import pytest
from programs import made, weights

import minigan as mg
from minigan import distributed
from minigan.engine.distributed.nccl import NCCLWorld
from minigan.errors import require


class Alone:
    """In place of MPI's communicator, for one process: NCCL takes its number from it."""

    def Get_rank(self):
        return 0

    def Get_size(self):
        return 1

    def Dup(self):
        return self

    def bcast(self, value, root):
        return value

    def Allgather(self, mine, every):
        every[...] = mine


@pytest.fixture
def gpu():
    nccl = require("cupy.cuda.nccl", "this test")
    if not nccl.available:
        pytest.skip("CuPy is without NCCL: pip install nvidia-nccl-cu13, or -cu12")
    mg.set_device("cuda")
    yield
    distributed.set_world(distributed.ALONE)
    mg.set_device("cpu")


def trained(world):
    distributed.set_world(world)
    trainer, batches = made("gan", "float32")
    trainer.fit(batches.to("cuda"), 12)  # two plain steps, then a graph, launched many times
    return weights(trainer)


@pytest.mark.gpu
def test_a_captured_step_with_a_communicator_of_one_has_the_same_bytes(gpu):
    """The flat buffer is gathered and divided inside the graph; of one rank, the mean is the gradient itself."""
    plain = trained(distributed.ALONE)
    world = NCCLWorld(Alone())
    calls, every = [], world._every
    world._every = lambda mine: calls.append(mine.size) or every(mine)
    joined = trained(world)
    assert 0 < len(calls) < 2 * 12  # of two optimisers in twelve steps: the graph repeats what was captured
    np.testing.assert_array_equal(joined, plain)
