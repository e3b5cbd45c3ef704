// Max pooling: which tap of each window is largest, taking pixels by that tap, and putting numbers back there.
// Threads   blockIdx.x is an output row (n, i), the threads of blockIdx.y a piece of its OW*C numbers, a pack each.
// Traffic   max_pool2d reads x once from memory (KH*KW/(SH*SW) times from L1), writes y and a byte of index per number;
//           pool_take reads the index and one x a number; pool_put reads the index and g of the windows over a pixel, once
//           where they do not overlap. 64 x 64 images of 32 x 32, windows of 2 x 2: 22 MB, 7 us at 3.3 TB/s.
// Order     pool_put gathers: a pixel adds the windows over it by ascending tap, as the twin does. Same bytes every time.
// Versions  float4 (VEC=4) or double2 where C is a number of whole packs and all arrays are aligned, else VEC=1; the
//           index in `few` (bytes) or, for windows of more than 256 taps, in `many` (ints); the other one is null.
// Twin      kernels/cpu/pool.py                              Checked by tests/cuda/test_cuda_pool.py, emulated and on a GPU.
#include "common.cuh"
#include "pack.cuh"

struct alignas(VEC) Bytes { unsigned char v[VEC]; };
struct Taps { int v[VEC]; };

__device__ __forceinline__ Taps load_taps(const unsigned char* few, const int* many, long long at) {
  Taps taps;
  if (few) {
    Bytes bytes = *(const Bytes*)(few + at);
    for (int v = 0; v < VEC; v++) taps.v[v] = bytes.v[v];
  } else {
    for (int v = 0; v < VEC; v++) taps.v[v] = many[at + v];
  }
  return taps;
}

extern "C" __global__ void __launch_bounds__(THREADS)
max_pool2d(const REAL* __restrict__ x, REAL* __restrict__ y, unsigned char* __restrict__ few, int* __restrict__ many, int H,
           int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PH, int PW) {
  int n, i, j, c;
  if (!place(OH, OW, C, n, i, j, c)) return;
  Pack best = same((REAL)(-1. / 0.));
  Taps taps = {};
  for (int k = max(0, PH - i * SH); k < min(KH, H + PH - i * SH); k++)
    for (int l = max(0, PW - j * SW); l < min(KW, W + PW - j * SW); l++) {
      Pack pack = load(x + (((long long)n * H + i * SH - PH + k) * W + j * SW - PW + l) * C + c);
      for (int v = 0; v < VEC; v++)
        if (!(pack.v[v] <= best.v[v]) && best.v[v] == best.v[v])  // larger or NaN; a best that is NaN stays
          best.v[v] = pack.v[v], taps.v[v] = k * KW + l;
    }
  long long at = ((long long)blockIdx.x * OW + j) * C + c;
  store(y + at, best);
  if (few) {
    Bytes bytes;
    for (int v = 0; v < VEC; v++) bytes.v[v] = (unsigned char)taps.v[v];
    *(Bytes*)(few + at) = bytes;
  } else {
    for (int v = 0; v < VEC; v++) many[at + v] = taps.v[v];
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
pool_take(const REAL* __restrict__ x, const unsigned char* __restrict__ few, const int* __restrict__ many, REAL* __restrict__ y,
          int H, int W, int C, int OH, int OW, int KW, int SH, int SW, int PH, int PW) {
  int n, i, j, c;
  if (!place(OH, OW, C, n, i, j, c)) return;
  long long at = ((long long)blockIdx.x * OW + j) * C + c;
  Taps taps = load_taps(few, many, at);
  Pack taken;
  for (int v = 0; v < VEC; v++) {
    int p = i * SH - PH + taps.v[v] / KW, q = j * SW - PW + taps.v[v] % KW;
    bool inside = 0 <= p && p < H && 0 <= q && q < W;
    taken.v[v] = inside ? x[(((long long)n * H + p) * W + q) * C + c + v] : (REAL)0;
  }
  store(y + at, taken);
}

// Here a thread works on a pixel (p, q) of gx: p is tap k of window i = (p + PH - k) / SH, where that is an integer.
extern "C" __global__ void __launch_bounds__(THREADS)
pool_put(const REAL* __restrict__ g, const unsigned char* __restrict__ few, const int* __restrict__ many, REAL* __restrict__ gx,
         int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PH, int PW) {
  int n, p, q, c;
  if (!place(H, W, C, n, p, q, c)) return;
  Pack sum = same(0);
  for (int k = (p + PH) % SH; k < KH && k <= p + PH; k += SH) {
    int i = (p + PH - k) / SH;
    if (i >= OH) continue;
    for (int l = (q + PW) % SW; l < KW && l <= q + PW; l += SW) {
      int j = (q + PW - l) / SW;
      if (j >= OW) continue;
      long long at = (((long long)n * OH + i) * OW + j) * C + c;
      Taps taps = load_taps(few, many, at);
      Pack pack = load(g + at);
      for (int v = 0; v < VEC; v++)
        if (taps.v[v] == k * KW + l) sum.v[v] += pack.v[v];
    }
  }
  store(gx + ((long long)blockIdx.x * W + q) * C + c, sum);
}
