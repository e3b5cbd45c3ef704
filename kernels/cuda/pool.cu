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

// How many of the taps 0, D, 2 D, ... of a window lie before `edge`, measured from the window's first pixel.
__device__ __forceinline__ int taps_before(int edge, int D) { return edge <= 0 ? 0 : (edge + D - 1) / D; }

extern "C" __global__ void __launch_bounds__(THREADS)
max_pool2d(const STORE* __restrict__ x, STORE* __restrict__ y, unsigned char* __restrict__ few, int* __restrict__ many, int H,
           int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PH, int PW, int DH, int DW) {
  int n, i, j, c;
  if (!place(OH, OW, C, n, i, j, c)) return;
  Pack best = same((REAL)(-1. / 0.));
  Taps taps = {};
  int k1 = min(KH, taps_before(H + PH - i * SH, DH)), l0 = taps_before(PW - j * SW, DW);
  int l1 = min(KW, taps_before(W + PW - j * SW, DW));
  for (int k = taps_before(PH - i * SH, DH); k < k1; k++)
    for (int l = l0; l < l1; l++) {
      Pack pack = load(x + (((long long)n * H + i * SH - PH + k * DH) * W + j * SW - PW + l * DW) * C + c);
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
pool_take(const STORE* __restrict__ x, const unsigned char* __restrict__ few, const int* __restrict__ many, STORE* __restrict__ y,
          int H, int W, int C, int OH, int OW, int KW, int SH, int SW, int PH, int PW, int DH, int DW) {
  int n, i, j, c;
  if (!place(OH, OW, C, n, i, j, c)) return;
  long long at = ((long long)blockIdx.x * OW + j) * C + c;
  Taps taps = load_taps(few, many, at);
  Pack taken;
  for (int v = 0; v < VEC; v++) {
    int p = i * SH - PH + taps.v[v] / KW * DH, q = j * SW - PW + taps.v[v] % KW * DW;
    bool inside = 0 <= p && p < H && 0 <= q && q < W;
    taken.v[v] = inside ? x[(((long long)n * H + p) * W + q) * C + c + v] : (REAL)0;
  }
  store(y + at, taken);
}

// Here a thread works on a pixel (p, q) of gx: p is tap k of window i = (p + PH - k DH) / SH, where that is an integer.
// Without dilation, those k are first, first + SH, ...; with one, all are tried.
extern "C" __global__ void __launch_bounds__(THREADS)
pool_put(const STORE* __restrict__ g, const unsigned char* __restrict__ few, const int* __restrict__ many, STORE* __restrict__ gx,
         int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int PH, int PW, int DH, int DW) {
  int n, p, q, c;
  if (!place(H, W, C, n, p, q, c)) return;
  Pack sum = same(0);
  int k0 = DH == 1 ? (p + PH) % SH : 0, l0 = DW == 1 ? (q + PW) % SW : 0;
  for (int k = k0; k < KH && k * DH <= p + PH; k += DH == 1 ? SH : 1) {
    int i = (p + PH - k * DH) / SH;
    if (i >= OH || i * SH != p + PH - k * DH) continue;
    for (int l = l0; l < KW && l * DW <= q + PW; l += DW == 1 ? SW : 1) {
      int j = (q + PW - l * DW) / SW;
      if (j >= OW || j * SW != q + PW - l * DW) continue;
      long long at = (((long long)n * OH + i) * OW + j) * C + c;
      Taps taps = load_taps(few, many, at);
      Pack pack = load(g + at);
      for (int v = 0; v < VEC; v++)
        if (taps.v[v] == k * KW + l) sum.v[v] += pack.v[v];
    }
  }
  store(gx + ((long long)blockIdx.x * W + q) * C + c, sum);
}
