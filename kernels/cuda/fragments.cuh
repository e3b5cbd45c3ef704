// What a thread of conv.cu adds up of a block's tile, and where its numbers are: value(i, j) at (row(i), column(j)).
//
// TF32, BF16   tensor cores multiply 16 rows by 8 columns at a time; of each, lane 4 r + q has rows r and r + 8 of A's numbers
//              q (and what is 16 bytes further on), and column r of B's. Operands that lie along the depth come by ldmatrix, four
//              8 x 16-byte matrices at once; of bf16 the others, too, transposed. 32-bit numbers cannot be transposed: there a
//              lane's rows (columns) shall be neighbours, four of them 16 bytes, so rows 0 to 31 are dealt out to four 8 x 8
//              matrices as 4 r + matrix, not 8 matrix + r. Any order will do, as long as row(i) and column(j) know it.
// Banks        a warp's 16-byte loads meet each bank once in a quarter of the warp: lines are BK + PAD or BM + 8 numbers. Only the
//              8 columns of a narrow tile, read one number at a time, meet banks twice.
// Rounding     to TF32, to nearest, in registers: the copies are asynchronous and never pass through them before. It is two
//              instructions a number, a third of the loop; one (adding half a unit to the bits) would turn NaN into -0.
// Else         a thread has TM x TN numbers, in multiply-adds.
#pragma once
#include "matrices.cuh"
#include "rounded.cuh"

// The number (row, k) of a tile of A, (k, column) of a tile of B.
__device__ __forceinline__ STORE at_a(const STORE* tile, int row, int k) {
  return tile[A_ALONG_K ? row * PITCH_A + k : k * PITCH_A + row];
}
__device__ __forceinline__ STORE at_b(const STORE* tile, int k, int column) {
  return tile[B_ALONG_K ? column * PITCH_B + k : k * PITCH_B + column];
}

#if TF32 || BF16
#define MI (WM / 16)
#define NI (WN / 8)
#define DEALT_A (TF32 && !A_ALONG_K && MI % 2 == 0)
#define DEALT_B (TF32 && !B_ALONG_K && NI % 4 == 0)
struct alignas(16) Four { uint32_t v[4]; };
struct Sums {
  float c[MI][NI][4];
  int top, left, lane, r, q;  // of the warp's part; lane 4 r + q

  __device__ __forceinline__ Sums() : c{} {
    int warp = threadIdx.x / 32;
    top = warp / (BN / WN) * WM, left = warp % (BN / WN) * WN;
    lane = threadIdx.x % 32, r = lane / 4, q = lane % 4;
  }
#if BF16
  __device__ __forceinline__ void load_a(uint32_t (&a)[MI][4], const bf16* A, int k) {
#pragma unroll
    for (int i = 0; i < MI; i++)
      if (A_ALONG_K) load_matrices(a[i], shared_address(A + (top + 16 * i + lane % 16) * PITCH_A + k + lane / 16 * 8));
      else load_transposed(a[i], shared_address(A + (k + lane / 16 * 8 + lane % 8) * PITCH_A + top + 16 * i + lane / 8 % 2 * 8));
  }
  __device__ __forceinline__ void load_b(uint32_t (&b)[NI][2], const bf16* B, int k) {
#pragma unroll
    for (int j = 0; j + 1 < NI; j += 2) {
      uint32_t two[4];
      if (B_ALONG_K) load_matrices(two, shared_address(B + (left + 8 * j + lane / 16 * 8 + lane % 8) * PITCH_B + k + lane / 8 % 2 * 8));
      else load_transposed(two, shared_address(B + (k + lane % 16) * PITCH_B + left + 8 * j + lane / 16 * 8));
      b[j][0] = two[0], b[j][1] = two[1], b[j + 1][0] = two[2], b[j + 1][1] = two[3];
    }
#pragma unroll
    for (int v = 0; NI % 2 && v < 2; v++) {  // 8 columns
      int first = k + 2 * q + 8 * v, column = left + 8 * (NI - 1) + r;
      b[NI - 1][v] = at_b(B, first, column).bits | (uint32_t)at_b(B, first + 1, column).bits << 16;
    }
  }
#elif TF32
  __device__ __forceinline__ void load_a(uint32_t (&a)[MI][4], const float* A, int k) {
#pragma unroll
    for (int i = 0; A_ALONG_K && i < MI; i++)
      load_matrices(a[i], shared_address(A + (top + 16 * i + lane % 16) * PITCH_A + k + lane / 16 * 4));
#pragma unroll
    for (int i = 0; !A_ALONG_K && i < MI; i += 2)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        Four four = *(const Four*)(A + (k + q + 4 * h) * PITCH_A + top + 16 * i + 4 * r);
        a[i][2 * h] = four.v[0], a[i][2 * h + 1] = four.v[1], a[i + 1][2 * h] = four.v[2], a[i + 1][2 * h + 1] = four.v[3];
      }
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
      for (int v = 0; v < 4; v++) a[i][v] = __float_as_uint(rounded(__uint_as_float(a[i][v])));
  }
  __device__ __forceinline__ void load_b(uint32_t (&b)[NI][2], const float* B, int k) {
#pragma unroll
    for (int j = 0; B_ALONG_K && j + 1 < NI; j += 2) {
      uint32_t two[4];
      load_matrices(two, shared_address(B + (left + 8 * j + lane / 16 * 8 + lane % 8) * PITCH_B + k + lane / 8 % 2 * 4));
      b[j][0] = two[0], b[j][1] = two[1], b[j + 1][0] = two[2], b[j + 1][1] = two[3];
    }
#pragma unroll
    for (int j = 0; DEALT_B && j < NI; j += 4)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        Four four = *(const Four*)(B + (k + q + 4 * h) * PITCH_B + left + 8 * j + 4 * r);
#pragma unroll
        for (int v = 0; v < 4; v++) b[j + v][h] = four.v[v];
      }
#pragma unroll
    for (int v = 0; NI == 1 && v < 2; v++) b[0][v] = __float_as_uint(at_b(B, k + q + 4 * v, left + r));
#pragma unroll
    for (int j = 0; j < NI; j++)
#pragma unroll
      for (int v = 0; v < 2; v++) b[j][v] = __float_as_uint(rounded(__uint_as_float(b[j][v])));
  }
#endif
  __device__ __forceinline__ void multiply(const STORE* A, const STORE* B) {
#if defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800
#pragma unroll
    for (int k = 0; k < BK; k += BF16 ? 16 : 8) {
      uint32_t a[MI][4], b[NI][2];
      load_a(a, A, k), load_b(b, B, k);
#pragma unroll
      for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++) {
#if BF16
          mma_m16n8k16_bf16(c[i][j], a[i], b[j]);
#else
          mma_m16n8k8_tf32(c[i][j], a[i], b[j]);
#endif
        }
    }
#endif
  }
  static const int ROWS = 2 * MI, COLUMNS = 2 * NI, WIDE = DEALT_B ? 4 : 2;  // WIDE: columns side by side
  __device__ __forceinline__ int row(int i) const {
    return top + (DEALT_A ? i / 4 * 32 + 4 * r + i % 4 : 16 * (i / 2) + r + 8 * (i % 2));
  }
  __device__ __forceinline__ int column(int j) const {
    return left + (DEALT_B ? j / 8 * 32 + 4 * (2 * q + j / 4 % 2) + j % 4 : 8 * (j / 2) + 2 * q + j % 2);
  }
  __device__ __forceinline__ REAL value(int i, int j) const {
    return DEALT_B ? c[i / 2][j / 8 * 4 + j % 4][2 * (i % 2) + j / 4 % 2] : c[i / 2][j / 2][2 * (i % 2) + j % 2];
  }
};
#else
struct Sums {
  REAL c[TM][TN];
  int top, left;

  __device__ __forceinline__ Sums() : c{}, top(threadIdx.x / (BN / TN)), left(threadIdx.x % (BN / TN)) {}
  __device__ __forceinline__ void multiply(const STORE* A, const STORE* B) {
#pragma unroll 4
    for (int k = 0; k < BK; k++) {
      REAL a[TM], b[TN];
#pragma unroll
      for (int i = 0; i < TM; i++) a[i] = at_a(A, row(i), k);
#pragma unroll
      for (int j = 0; j < TN; j++) b[j] = at_b(B, k, column(j));
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) c[i][j] += a[i] * b[j];
    }
  }
  static const int ROWS = TM, COLUMNS = TN, WIDE = 1;
  __device__ __forceinline__ int row(int i) const { return top + i * (BM / TM); }
  __device__ __forceinline__ int column(int j) const { return left + j * (BN / TN); }
  __device__ __forceinline__ REAL value(int i, int j) const { return c[i][j]; }
};
#endif
