"""The emulation of Hopper's asynchronous work: faults planted in a small kernel are detected, or change its result."""

import numpy as np
import pytest

from minigan.engine.device import why_no_emulation
from minigan.errors import DeviceError
from minigan.kernels.cuda import emulated
from minigan.kernels.cuda.loader import kernel

NO_EMULATION = why_no_emulation()
pytestmark = pytest.mark.skipif(NO_EMULATION is not None, reason=f"device emulated: {NO_EMULATION}")

SOURCE = """#include "common.cuh"
#include "hopper.cuh"
enum { NONE, TOO_FEW_BYTES, TWICE, A_TOO_EARLY, B_TOO_EARLY, READ_TOO_EARLY, NOT_COMMITTED, NOT_WAITED };

// y (blocks, 64): the first column of a (64, 8) b (8, 64), added up over the blocks of a cluster; a and b are ones.
extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) product(const REAL* b, REAL* y, int fault) {
  DYNAMIC_SHARED(unsigned char, bytes);
  Shared barrier = aligned_1024(shared_address(bytes)), tile = barrier + 1024;
  int t = threadIdx.x, row = t / 32 * 16 + t % 32 / 4;
  if (t == 0) barrier_init(barrier);
  barriers_made();
  __syncthreads();
  if (t == 0) {
    for (int i = 0; i < 1 + (fault == TWICE); i++) barrier_expect(barrier, 8192 + (fault == TOO_FEW_BYTES));
    bulk_copy(tile, b, 8192, barrier);
  }
  barrier_wait(barrier, 0);
  float a[4] = {1, 1, 1, 1}, c[32] = {};
  wgmma_begin();
  wgmma_m64k8(c, a, descriptor(tile));
  if (fault != NOT_COMMITTED) wgmma_commit();
  if (fault == A_TOO_EARLY) a[0] = a[1] = 5;
  if (fault == B_TOO_EARLY && t == 0) store2(tile, 5, 5);
  if (fault == READ_TOO_EARLY) y[64 * blockIdx.x + row] = c[0];
  if (fault != NOT_WAITED) wgmma_wait<0>();
  if (fault == READ_TOO_EARLY) return;
  __syncthreads();
  if (t % 4 == 0) store2(tile + 8 * row, c[0], 0), store2(tile + 8 * (row + 8), c[2], 0);
  cluster_barrier();
  if (t < 32) {
    float first = 0, second = 0;
    for (int rank = 0; rank < CLUSTER; rank++) {
      float4 rows = of_rank(tile + 16 * t, rank);
      first += rows.x, second += rows.z;
    }
    y[64 * blockIdx.x + 2 * t] = first, y[64 * blockIdx.x + 2 * t + 1] = second;
  }
  cluster_barrier();
}
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """result(fault, cluster): what the kernel gives, by two clusters."""
    path = tmp_path_factory.mktemp("product") / "product.cu"
    path.write_text(SOURCE)

    def run(fault, cluster=1, blocks=None):
        b, y = (emulated.asarray(np.ones(size, np.float32)) for size in (64 * 32, 64 * 2 * cluster))
        launch = kernel(str(path), "product", y, CLUSTER=cluster)
        launch(blocks or 2 * cluster, 128, (b, y, fault), shared=1024 + 8192)
        return y.get()

    return run


@pytest.mark.long
@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_cluster_adds_up_its_blocks(result, order):
    with emulated.threads_in_order(order):
        np.testing.assert_array_equal(result(0, cluster=4), 8 * 4)
    with pytest.raises(DeviceError, match="the grid is no multiple of the cluster"):
        result(0, cluster=4, blocks=6)


def test_faults(result):
    """Right without one; what changes or is read before the wait shows; what is never waited for is an error."""
    np.testing.assert_array_equal(result(0), 8)
    for fault, message in ((1, "never come"), (2, "armed twice"), (6, "never committed"), (7, "never waited for")):
        with pytest.raises(DeviceError, match=message):
            result(fault)
    for fault in (3, 4, 5):
        assert (result(fault) != 8).any()
    np.testing.assert_array_equal(result(0), 8)
