"""CUDA tests run on the emulated device everywhere, and on a GPU with `python -m pytest -m gpu`."""

import numpy as np
import pytest

from minigan.engine.device import why_no_cuda, why_no_emulation
from minigan.kernels.cuda import emulated, gpu
from minigan.kernels.cuda.emulated_graph import branches_in_order

NO_EMULATION = why_no_emulation()


class Device:
    """A device for tests: copies arrays to and from it, and sets the order of threads."""

    def __init__(self, backend):
        self.backend, self.name = backend, "cuda:0" if backend is gpu else "emulated"
        self.graphs = []  # captured in this test on the emulated device

    def put(self, array):
        return None if array is None else self.backend.asarray(np.asarray(array))

    def get(self, array):
        """A copy on the host in the array's memory order; CuPy's `get` makes it C-contiguous."""
        order = sorted(range(array.ndim), key=lambda axis: (-array.strides[axis], axis))
        return array.transpose(order).get().transpose(np.argsort(order).tolist())

    def orders(self):
        """One pass per order of threads: `for _ in device.orders(): ...`; on a GPU, one pass."""
        if self.backend is gpu:
            yield 0
            return
        for order in (0, 1, 2):
            with emulated.threads_in_order(order):
                yield order


@pytest.fixture(params=["emulated", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """The device to test on; a test with this argument runs on each available device.

    Emulated, the main branch of every graph runs as far ahead as it may, and no two launches of it may race.
    """
    if request.param == "emulated":
        if NO_EMULATION is not None:
            pytest.skip(f"device emulated: {NO_EMULATION}")
        here, init = Device(emulated), emulated.Graph.__init__

        def noted(graph, *options):
            init(graph, *options)
            here.graphs.append(graph)

        monkeypatch.setattr(emulated.Graph, "__init__", noted)
        with branches_in_order(1):
            yield here
        assert [graph.races() for graph in here.graphs] == [[] for _ in here.graphs]
        return
    if (missing := why_no_cuda()) is not None:
        pytest.fail(f"-m gpu asks for a GPU: {missing}")
    yield Device(gpu)
