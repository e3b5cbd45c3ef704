// Sums along one axis of a dense array, as groups of tables: y[g, c] = sum_r x[g, r, c].
// Threads   reduce_columns: a block takes a tile of up to 32 columns and one part of a group's rows; a thread, a pack of
//           columns and every TY-th row, four loads in flight; a tree in shared memory adds the TY row sums.
//           reduce_lines (C = 1, short rows): a warp per group, lane by lane, then a tree of shuffles.
// Traffic   x once, 4 bytes a number; y and the partial sums (at most 512 blocks x 128 bytes) are negligible.
//           The bias gradient of 64 x 64 images of 32 x 32: 16 MB, 5 us at 3.3 TB/s.
// Versions  float4 (VEC=4) or double2 where a row is a number of whole packs and aligned, else VEC=1. With several parts
//           the last block of a tile adds up their sums (tickets), or the kernel runs a second time, on the table of them.
// Order     fixed by shape and alignment, and nearly all of it a tree: of 10^8 numbers a thread adds 200 one by one.
//           10^7 ones give 10^7 in float32.
// Twin      kernels/cpu/reduce.py                               Checked by tests/cuda/test_cuda_reduce.py, emulated and on a GPU.
#include "common.cuh"
#include "pack.cuh"
#include "tickets.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
reduce_columns(const STORE* __restrict__ x, REAL* partial, int* tickets, REAL* __restrict__ y, int rows, int W, int parts,
               int share) {
  __shared__ Pack sums[THREADS];
  __shared__ bool last;
  int lane = threadIdx.x, me = threadIdx.y * blockDim.x + lane;
  int column = (blockIdx.y * blockDim.x + lane) * VEC;
  int g = blockIdx.x / parts, part = blockIdx.x % parts, end = min(rows, (part + 1) * share);
  Pack sum = same(0);
  if (column < W) {
    const STORE* from = x + (long long)g * rows * W + column;
    for (int r = part * share + threadIdx.y; r < end; r += BATCH * blockDim.y) {
      Pack batch[BATCH];
#pragma unroll
      for (int i = 0; i < BATCH; i++)  // beyond the end the last row again, so that no branch separates the loads
        batch[i] = load(from + (long long)min(r + i * (int)blockDim.y, end - 1) * W);
#pragma unroll
      for (int i = 0; i < BATCH; i++)
        for (int v = 0; v < VEC; v++) sum.v[v] += r + i * (int)blockDim.y < end ? batch[i].v[v] : (REAL)0;
    }
  }
  sums[me] = sum;
  add_rows(sums, lane, threadIdx.y, blockDim.x, blockDim.y);
  if (threadIdx.y == 0 && column < W) store((partial ? partial : y) + (long long)blockIdx.x * W + column, sums[lane]);
  if (!tickets || !last_of(parts, tickets + g * gridDim.y + blockIdx.y, last)) return;
  sum = same(0);
  if (column < W) {
#pragma unroll 4
    for (int r = threadIdx.y; r < parts; r += blockDim.y) {
      Pack row = load(partial + ((long long)g * parts + r) * W + column);
      for (int v = 0; v < VEC; v++) sum.v[v] += row.v[v];
    }
  }
  sums[me] = sum;
  add_rows(sums, lane, threadIdx.y, blockDim.x, blockDim.y);
  if (threadIdx.y == 0 && column < W) store(y + (long long)g * W + column, sums[lane]);
}

extern "C" __global__ void __launch_bounds__(THREADS)
reduce_lines(const STORE* __restrict__ x, REAL* __restrict__ y, int groups, int rows) {
  int lane = threadIdx.x, g = blockIdx.x * blockDim.y + threadIdx.y;
  REAL sum = 0;
  if (g < groups) {
#pragma unroll 4
    for (int r = lane; r < rows; r += 32) sum += x[(long long)g * rows + r];
  }
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
  if (lane == 0 && g < groups) y[g] = sum;
}
