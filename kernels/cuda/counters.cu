// advance: counters += increments, the last launch of a captured step.
// Threads   one per counter.      Traffic   24 bytes per counter; it costs no more than its launch, 1 to 2 us.
// Twin      NumPy's +=            Checked by tests/cuda/test_cuda_counters.py
#include "common.cuh"

extern "C" __global__ void advance(long long* __restrict__ counters, const long long* __restrict__ increments, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) counters[i] += increments[i];
}
