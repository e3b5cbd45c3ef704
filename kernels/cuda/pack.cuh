// A pack: VEC neighbouring numbers, 16 bytes that one thread moves in one instruction, or one number where that is impossible.
#pragma once
#include "rectifier.cuh"
#ifndef VEC
#define VEC (16 / (int)sizeof(REAL))  // float4 or double2
#endif
#define THREADS 256  // in a block, at most
#define BATCH 4      // rows of a table that a thread loads before it does arithmetic

struct alignas(VEC * sizeof(REAL)) Pack { REAL v[VEC]; };

__device__ __forceinline__ Pack load(const REAL* p) { return *(const Pack*)p; }
__device__ __forceinline__ void store(REAL* p, const Pack& pack) { *(Pack*)p = pack; }
// The same of numbers that are stored as bf16: 8 bytes.
struct alignas(VEC * sizeof(bf16)) Halves { bf16 v[VEC]; };
__device__ __forceinline__ Pack load(const bf16* p) {
  Halves halves = *(const Halves*)p;
  Pack pack;
  for (int v = 0; v < VEC; v++) pack.v[v] = halves.v[v];
  return pack;
}
__device__ __forceinline__ void store(bf16* p, const Pack& pack) {
  Halves halves;
  for (int v = 0; v < VEC; v++) halves.v[v] = pack.v[v];
  *(Halves*)p = halves;
}
__device__ __forceinline__ Pack same(REAL value) {
  Pack all;
  for (int v = 0; v < VEC; v++) all.v[v] = value;
  return all;
}

// sums[lane] of row 0 = the sum over all rows, by a tree: the order depends on nothing but the number of rows.
__device__ __forceinline__ void add_rows(Pack* sums, int lane, int row, int lanes, int rows) {
  for (int left = rows; left > 1;) {
    int half = (left + 1) / 2;
    __syncthreads();
    if (row + half < left)
      for (int v = 0; v < VEC; v++) sums[row * lanes + lane].v[v] += sums[(row + half) * lanes + lane].v[v];
    left = half;
  }
  __syncthreads();
}

// The pixel (n, i, j) and first channel c of this thread, in images (N, OH, OW, C) of which blockIdx.x counts the rows (n, i).
// False beyond the end of the row.
__device__ __forceinline__ bool place(int OH, int OW, int C, int& n, int& i, int& j, int& c) {
  int at = blockIdx.y * blockDim.x + threadIdx.x, packs = C / VEC;
  n = blockIdx.x / OH, i = blockIdx.x % OH, j = at / packs, c = at % packs * VEC;
  return j < OW;
}
