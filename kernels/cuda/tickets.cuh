// The last block to finish adds up what all have left, so that no second launch is needed; in an order that does not depend on chance.
#pragma once
// Whether this block is the last of `count` to call it. To the last one, what the others wrote before is visible. All threads of
// a block call it, `last` is its shared memory; the ticket is 0 before, and afterwards again.
__device__ __forceinline__ bool last_of(int count, int* ticket, bool& last) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0) {
    last = atomicAdd(ticket, 1) == count - 1;
    if (last) *ticket = 0;
  }
  __syncthreads();
  if (last) __threadfence();
  return last;
}
