// advance: counters += increments, the last launch of a captured step.
// Threads   one per counter.      Traffic   24 bytes per counter; the launch, 1 to 2 us, is all it costs.
// Twin      NumPy's +=            Checked by tests/cuda/test_cuda_random.py
#include "common.cuh"

extern "C" __global__ void advance(long long* __restrict__ counters, const long long* __restrict__ increments, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) counters[i] += increments[i];
}
