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
// Versions  OUT bf16: lines of 64 numbers, pieces of 8; w (STORE) float or bf16.
// Checked by tests/cuda/test_hopper.py.
#undef REAL  // tensor cores multiply no doubles
#define REAL float
#include "common.cuh"
#include "rounded.cuh"
constexpr int PIECE = 16 / sizeof(OUT), LINE = 8 * PIECE;  // numbers in 16 bytes, in 128
struct alignas(16) Piece { OUT v[PIECE]; };

// Four neighbours of w.
__device__ __forceinline__ float4 four(const float* w) { return __ldg((const float4*)w); }
__device__ __forceinline__ float4 four(const bf16* w) {
  struct alignas(8) Four { bf16 v[4]; } all = *(const Four*)w;
  return {all.v[0], all.v[1], all.v[2], all.v[3]};
}
__device__ __forceinline__ void set(float& to, float x) { to = rounded(x); }
__device__ __forceinline__ void set(bf16& to, float x) { to = x; }

extern "C" __global__ void __launch_bounds__(256)
arrange(const STORE* __restrict__ w, OUT* __restrict__ image, int O, int depth, int ldw, int C, int width, int padded, int along,
        int steps, int group, float* __restrict__ sums) {
  int t = threadIdx.x, g = t % 8, step = blockIdx.x;
  if (along) {
    int n = blockIdx.y * 32 + t / 8, tap = step / (C / LINE), k = step % (C / LINE) * LINE + PIECE * g;
    if (n >= padded) return;
    Piece piece;
#pragma unroll
    for (int i = 0; i < PIECE; i += 4) {
      float4 v = {0, 0, 0, 0};
      if (n < O) v = four(w + ((long long)tap * O + n) * ldw + k + i);
      set(piece.v[i], v.x), set(piece.v[i + 1], v.y), set(piece.v[i + 2], v.z), set(piece.v[i + 3], v.w);
    }
    *(Piece*)(image + (((long long)(n / width) * steps + step) * width + n % width) * LINE + PIECE * (g ^ (n & 7))) = piece;
  } else {
    int n = blockIdx.y * 128 + t / 8 * 4, end = min(steps, (step + 1) * group);
    float4 sum = {0, 0, 0, 0};
    for (step *= group; n < padded && step < end; step++) {
      int k = step * LINE + PIECE * g;
      Piece piece[4];
#pragma unroll
      for (int i = 0; i < PIECE; i++) {
        float4 v = {0, 0, 0, 0};
        if (n < O && k + i < depth) v = four(w + (long long)(k + i) * ldw + n);
        sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
        set(piece[0].v[i], v.x), set(piece[1].v[i], v.y), set(piece[2].v[i], v.z), set(piece[3].v[i], v.w);
      }
      OUT* to = image + (((long long)(n / width) * steps + step) * width + n % width) * LINE;
#pragma unroll
      for (int j = 0; j < 4; j++) *(Piece*)(to + j * LINE + PIECE * (g ^ (n + j & 7))) = piece[j];
    }
    if (!sums) return;
    for (int apart = 4; apart > 0; apart /= 2) {  // the eight threads of these columns
      sum.x += __shfl_xor_sync(0xffffffffu, sum.x, apart), sum.y += __shfl_xor_sync(0xffffffffu, sum.y, apart);
      sum.z += __shfl_xor_sync(0xffffffffu, sum.z, apart), sum.w += __shfl_xor_sync(0xffffffffu, sum.w, apart);
    }
    if (g == 0 && n < O) *(float4*)(sums + (long long)blockIdx.x * O + n) = sum;
  }
}
