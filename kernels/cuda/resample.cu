// Images made larger or smaller: every output number gathers the numbers it depends on, so no two threads add to one place.
// Threads   blockIdx.x is an output row (n, i), the threads of blockIdx.y a piece of its OW*C numbers, a pack each.
// Traffic   upsample_nearest writes y once and reads x once from memory, SH*SW times from L1; block_sum reads x once;
//           resample reads KR*KC pixels per output pixel (bilinear: 2 x 2), neighbours share them in L1 and L2.
//           To 64 x 64 images of 64 x 64 by nearest x 2: 67 MB written, 17 MB read, 26 us at 3.3 TB/s.
// Versions  float4 (VEC=4) or double2 where C is a number of whole packs and the arrays are aligned, else VEC=1.
// Twin      kernels/cpu/resample.py                      Checked by tests/cuda/test_cuda_resample.py, emulated and on a GPU.
#include "common.cuh"
#include "pack.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
upsample_nearest(const STORE* __restrict__ x, STORE* __restrict__ y, int H, int W, int C, int SH, int SW) {
  int n, i, j, c;
  if (!place(H * SH, W * SW, C, n, i, j, c)) return;
  store(y + ((long long)blockIdx.x * W * SW + j) * C + c, load(x + (((long long)n * H + i / SH) * W + j / SW) * C + c));
}

extern "C" __global__ void __launch_bounds__(THREADS)
block_sum(const STORE* __restrict__ x, STORE* __restrict__ y, int OH, int OW, int C, int SH, int SW) {
  int n, i, j, c;
  if (!place(OH, OW, C, n, i, j, c)) return;
  const STORE* corner = x + ((long long)blockIdx.x * SH * OW + j) * SW * C + c;
  Pack sum = load(corner);
  for (int tap = 1; tap < SH * SW; tap++) {
    Pack pack = load(corner + ((long long)(tap / SW) * OW * SW + tap % SW) * C);
    for (int v = 0; v < VEC; v++) sum.v[v] += pack.v[v];
  }
  store(y + ((long long)blockIdx.x * OW + j) * C + c, sum);
}

// y[n, i, j] = sum_{k<KR} sum_{l<KC} rows[i, k] columns[j, l] x[n, row_from[i] + k, column_from[j] + l]; the launch code has
// cut the matrices to the KR and KC columns around their nonzero numbers. A null matrix is the identity.
extern "C" __global__ void __launch_bounds__(THREADS)
resample(const STORE* __restrict__ x, STORE* __restrict__ y, const int* __restrict__ row_from, const REAL* __restrict__ rows,
         const int* __restrict__ column_from, const REAL* __restrict__ columns, int H, int W, int C, int OH, int OW, int KR,
         int KC) {
  int n, i, j, c;
  if (!place(OH, OW, C, n, i, j, c)) return;
  int top = rows ? row_from[i] : i, left = columns ? column_from[j] : j;
  const STORE* corner = x + (((long long)n * H + top) * W + left) * C + c;
  Pack sum = same(0);
#pragma unroll 1
  for (int k = 0; k < KR; k++) {
    Pack line = same(0);
#pragma unroll 2
    for (int l = 0; l < KC; l++) {
      Pack pack = load(corner + ((long long)k * W + l) * C);
      REAL weight = columns ? columns[(long long)j * KC + l] : (REAL)1;
      for (int v = 0; v < VEC; v++) line.v[v] += weight * pack.v[v];
    }
    REAL weight = rows ? rows[(long long)i * KR + k] : (REAL)1;
    for (int v = 0; v < VEC; v++) sum.v[v] += weight * line.v[v];
  }
  store(y + ((long long)blockIdx.x * OW + j) * C + c, sum);
}
