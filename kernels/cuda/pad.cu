// Borders: pad gathers each number of y from x, fold and scatter_add add up the numbers of one place.
// Threads   pad, fold: blockIdx.x is a row of the output, i.e. its axes 0 to 3; the threads of blockIdx.y share axis 4 and the
//           `run` of numbers behind it that have no border (the channels of an image), a pack each.
//           scatter_add: one thread per number of y.
// Traffic   pad reads x and writes y once; fold reads g, and an addend if there is one, and writes y once: 8 bytes a number in
//           float32, or 12.
//           64 x 64 images of 32 x 32 by a border of 1: 37 MB, 11 us at 3.3 TB/s.
// Order     fold adds along every axis the number itself, then its copies before it, then those behind, and last the addend;
//           scatter_add by ascending position in g.
// Versions  float4 (VEC=4) or double2 where the run is a number of whole packs and the arrays are aligned, else VEC=1.
// Twin      kernels/cpu/pad.py                                Checked by tests/cuda/test_cuda_pad.py, emulated and on a GPU.
#include "common.cuh"
#include "pack.cuh"
#define CONSTANT 0
#define REFLECT 1  // EDGE is 2

// The s for which y[o] is a copy of x[s], on an axis of n numbers behind a border of `before`; -1 if there is none.
__device__ __forceinline__ int source(int o, int before, int n, int mode) {
  int s = o - before;
  if (0 <= s && s < n) return s;
  if (mode == CONSTANT) return -1;
  if (mode == REFLECT) return s < 0 ? -s : 2 * (n - 1) - s;
  return s < 0 ? 0 : n - 1;
}

// How many copies y has of x[s], and where the k-th is: first the number itself, then those in the border before, then after.
__device__ __forceinline__ int copies_before(int s, int before, int mode) {
  return mode == CONSTANT ? 0 : mode == REFLECT ? 1 <= s && s <= before : s == 0 ? before : 0;
}
__device__ __forceinline__ int copies(int s, int before, int n, int after, int mode) {
  int behind = mode == CONSTANT ? 0 : mode == REFLECT ? n - 1 - after <= s && s < n - 1 : s == n - 1 ? after : 0;
  return 1 + copies_before(s, before, mode) + behind;
}
__device__ __forceinline__ int copy(int k, int s, int before, int n, int mode) {
  int first = copies_before(s, before, mode);
  if (k == 0) return s + before;
  if (k <= first) return mode == REFLECT ? before - s : k - 1;
  return before + (mode == REFLECT ? 2 * (n - 1) - s : n + k - 1 - first);
}

// x (n0, ..., n4, run) -> y (m0, ..., m4, run); b0 ... b4 are the borders' widths before.
extern "C" __global__ void __launch_bounds__(THREADS)
pad(const STORE* __restrict__ x, STORE* __restrict__ y, REAL value, int mode, int n0, int n1, int n2, int n3, int n4, int b0,
    int b1, int b2, int b3, int b4, int m1, int m2, int m3, int m4, int run) {
  int row = blockIdx.x, packs = run / VEC;
  int s3 = source(row % m3, b3, n3, mode), s2 = source(row / m3 % m2, b2, n2, mode);
  int s1 = source(row / m3 / m2 % m1, b1, n1, mode), s0 = source(row / m3 / m2 / m1, b0, n0, mode);
  bool outside = s0 < 0 || s1 < 0 || s2 < 0 || s3 < 0;
  const STORE* from = x + ((((long long)s0 * n1 + s1) * n2 + s2) * n3 + s3) * n4 * run;
  for (int at = blockIdx.y * blockDim.x + threadIdx.x; at < m4 * packs; at += gridDim.y * blockDim.x) {
    int o4 = at / packs, c = at % packs * VEC, s4 = source(o4, b4, n4, mode);
    Pack pack = outside || s4 < 0 ? same(value) : load(from + (long long)s4 * run + c);
    store(y + ((long long)row * m4 + o4) * run + c, pack);
  }
}

// g (m0, ..., m4, run) -> y (n0, ..., n4, run): the adjoint of pad; a0 ... a4 are the borders' widths behind. Plus an addend like y,
// or nullptr.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
fold(const STORE* __restrict__ g, const STORE* __restrict__ addend, STORE* __restrict__ y, int mode, int n0, int n1, int n2, int n3,
     int n4, int b0, int b1, int b2, int b3, int b4, int a0, int a1, int a2, int a3, int a4, int run) {
  int row = blockIdx.x, packs = run / VEC;
  int s3 = row % n3, s2 = row / n3 % n2, s1 = row / n3 / n2 % n1, s0 = row / n3 / n2 / n1;
  int m1 = n1 + b1 + a1, m2 = n2 + b2 + a2, m3 = n3 + b3 + a3, m4 = n4 + b4 + a4;
  int count0 = copies(s0, b0, n0, a0, mode), count1 = copies(s1, b1, n1, a1, mode), count2 = copies(s2, b2, n2, a2, mode);
  int count3 = copies(s3, b3, n3, a3, mode);
  for (int at = blockIdx.y * blockDim.x + threadIdx.x; at < n4 * packs; at += gridDim.y * blockDim.x) {
    int s4 = at / packs, c = at % packs * VEC, count4 = copies(s4, b4, n4, a4, mode);
    Pack sum = same(0);
#pragma unroll 1
    for (int k = 0; k < count0 * count1 * count2 * count3; k++) {  // nearly always one: most numbers have no copies
      int k3 = k % count3, k2 = k / count3 % count2, k1 = k / count3 / count2 % count1, k0 = k / count3 / count2 / count1;
      long long line = (long long)copy(k0, s0, b0, n0, mode) * m1 + copy(k1, s1, b1, n1, mode);
      line = (line * m2 + copy(k2, s2, b2, n2, mode)) * m3 + copy(k3, s3, b3, n3, mode);
#pragma unroll 1
      for (int k4 = 0; k4 < count4; k4++) {
        Pack pack = load(g + (line * m4 + copy(k4, s4, b4, n4, mode)) * run + c);
        for (int v = 0; v < VEC; v++) sum.v[v] += pack.v[v];
      }
    }
    long long place = ((long long)row * n4 + s4) * run + c;
    if (addend) {
      Pack more = load(addend + place);
      for (int v = 0; v < VEC; v++) sum.v[v] += more.v[v];
    }
    store(y + place, sum);
  }
}

// y[i] = the sum of g[order[k]] for k from start[i] to start[i + 1].
extern "C" __global__ void __launch_bounds__(THREADS)
scatter_add(const STORE* __restrict__ g, const int* __restrict__ start, const int* __restrict__ order, STORE* __restrict__ y,
            int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  REAL sum = 0;
  for (int k = start[i]; k < start[i + 1]; k++) sum += g[order[k]];
  y[i] = sum;
}
