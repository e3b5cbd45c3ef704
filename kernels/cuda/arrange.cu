// The right operand of hopper.cu's product, rounded and in the very tiles that shared memory will hold: `image` (column tiles, steps,
// width, 32), along the depth, the 16-byte piece p of line l at p ^ (l % 8); zeros where the operand ends.
//
//     along = 0   of w (depth, O), lines ldw numbers apart: filters of conv2d, gy of conv2d_weight_grad: 4 x 4 numbers
//                 are transposed in registers
//     along = 1   of w (taps, O, C), lines ldw numbers apart: filters of conv_transpose2d, whose depth is taps * C
//
// Sums      along = 0: with `sums` also those of each column of w, not rounded, over a block's steps: (gridDim.x, O).
// Threads   256; blockIdx = (`group` steps of 32 along the depth, 32 or, transposed, 128 columns). A thread 1 or 4 x 4 numbers of
//           a step.
// Traffic   8 bytes for each number.
// Checked by tests/cuda/test_hopper.py.
#include "common.cuh"
#include "rounded.cuh"
extern "C" __global__ void __launch_bounds__(256)
arrange(const float* __restrict__ w, float* __restrict__ image, int O, int depth, int ldw, int C, int width, int padded, int along,
        int steps, int group, float* __restrict__ sums) {
  int t = threadIdx.x, g = t % 8, step = blockIdx.x;
  if (along) {
    int n = blockIdx.y * 32 + t / 8, tap = step / (C / 32), k = step % (C / 32) * 32 + 4 * g;
    if (n >= padded) return;
    float4 v = {0, 0, 0, 0};
    if (n < O) v = rounded(__ldg((const float4*)(w + ((long long)tap * O + n) * ldw + k)));
    *(float4*)(image + (((long long)(n / width) * steps + step) * width + n % width) * 32 + 4 * (g ^ (n & 7))) = v;
  } else {
    int n = blockIdx.y * 128 + t / 8 * 4, end = min(steps, (step + 1) * group);
    float4 sum = {0, 0, 0, 0};
    for (step *= group; n < padded && step < end; step++) {
      int k = step * 32 + 4 * g;
      float4 v[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        v[i] = {0, 0, 0, 0};
        if (n < O && k + i < depth) v[i] = __ldg((const float4*)(w + (long long)(k + i) * ldw + n));
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        sum.x += v[i].x, sum.y += v[i].y, sum.z += v[i].z, sum.w += v[i].w;
        v[i] = rounded(v[i]);
      }
      float* to = image + (((long long)(n / width) * steps + step) * width + n % width) * 32;
      *(float4*)(to + 4 * (g ^ (n & 7))) = {v[0].x, v[1].x, v[2].x, v[3].x};
      *(float4*)(to + 32 + 4 * (g ^ (n + 1 & 7))) = {v[0].y, v[1].y, v[2].y, v[3].y};
      *(float4*)(to + 64 + 4 * (g ^ (n + 2 & 7))) = {v[0].z, v[1].z, v[2].z, v[3].z};
      *(float4*)(to + 96 + 4 * (g ^ (n + 3 & 7))) = {v[0].w, v[1].w, v[2].w, v[3].w};
    }
    if (!sums) return;
    for (int apart = 4; apart > 0; apart /= 2) {  // the eight threads of these columns
      sum.x += __shfl_xor_sync(0xffffffffu, sum.x, apart), sum.y += __shfl_xor_sync(0xffffffffu, sum.y, apart);
      sum.z += __shfl_xor_sync(0xffffffffu, sum.z, apart), sum.w += __shfl_xor_sync(0xffffffffu, sum.w, apart);
    }
    if (g == 0 && n < O) *(float4*)(sums + (long long)blockIdx.x * O + n) = sum;
  }
}
