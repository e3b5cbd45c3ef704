// conv2d, conv_transpose2d, conv2d_weight_grad and matmul as one tiled product  y (rows, O) = A (rows, depth) B (depth, O).
//
// The windows of the images x form a matrix that is never stored: what the tap (r, s, c) sees from the pixel (n, i, j),
//     window[(n, i, j), (r, s, c)] = x[n, i*SH-PH+r*DH, j*SW-PW+s*DW, c], 0 beyond the edges.
//
//     conv2d               A = window, B = w (KH*KW*C, O)                         A_ALONG_K=1 B_ALONG_K=0
//     conv_transpose2d     the pixels of y that agree modulo the stride (a phase) are a dense convolution of x with the
//                          taps that reach them, at stride 1: A = its window,
//                          B = w transposed, read as stored; all phases at once     A_ALONG_K=1 B_ALONG_K=1
//     conv2d_weight_grad   A = window^T, B = gy (N*OH*OW, O)                      A_ALONG_K=0 B_ALONG_K=0
//     matmul               images of one row, filters of one tap; all four
//
// A_ALONG_K (B_ALONG_K) says whether neighbours in memory are neighbours along the depth k or along the result's rows
// (columns); a tile has the same order in shared memory as in global memory, so that no number is moved twice.
//
// Threads   a block computes BM x BN numbers of y, in steps of BK along the depth; STAGES tiles are in flight at once by cp.async.
//           TF32, bf16: a warp has WM x WN of them, by tensor cores; else a thread has TM x TN, in multiply-adds: fragments.cuh.
// Addresses what a thread copies in a step is seen from its rows' corners at one distance: one addition for each copy. A row
//           whose window is beyond an edge there, and a tap beyond the last, copy zeros.
//           blockIdx = (row tile, column tile, (phase or matrix of a batch) * splits + split).
// Traffic   A once per column tile, B once per row tile (taps that overlap: from L1 and L2), y once, and with splits > 1
//           8 * splits bytes for a number of y. 128 x 128 tile: 64 operations for 4 bytes loaded. DCGAN-64's 64 -> 128 layer,
//           batch 128: 8.6 GFLOP for 50 MB, arithmetic-bound on tensor cores; 3 -> 64: 0.8 GFLOP for 40 MB, memory-bound.
// Few       channels C out of many in: windows would be read KH*KW/(SH*SW) times for little arithmetic, so `gemm` computes
//           what each pixel adds to each tap, x read once, and `fold` adds it where it lands: 8*KH*KW*C bytes a pixel more.
// Banks     lines of BK + 4 and BM + 8 (BN + 8) numbers, see fragments.cuh.
// Borders   zeros, or with MIRROR = 1 (conv2d, conv2d_weight_grad) x mirrored, as pad.cu copies it: read in its place.
// Splits    the depth may be cut into pieces whose partial sums add_partials adds in order: no atomics, the same bytes in any run.
// Rectified OPENED = 1: y is leaky_relu of the product; 2: the product, a gradient, gated by `on`; see rectifier.cuh.
// Moments   MOMENTS = 1, for one split and one matrix: also those of each column in a block's rows of y, see moments.cuh.
// Accuracy  of the result's scale: float64 1e-15, float32 1e-6, TF32 1e-3 (inputs rounded to 10 bits, sums in float32).
// Versions  TF32=0 any architecture, float and double, the oracle (below sm_80 cp.async becomes a plain copy)
//           BF16=1 sm_80 and later: A and B stored as bf16 (STORE), y as float or bf16 (OUT); mma.m16n8k16.
//           TF32=1 sm_80 and later, float; mma.m16n8k8. VA, VB: numbers loaded at once from A and B, 16 bytes or one number.
//           BK, STAGES: what two blocks on a multiprocessor have room for, by conv.py. TF32, 128 x 128 tile, BK = 32: 4.8 to 5.0
//           instructions a product (weight_grad 6.5), counted by tests/cuda/test_sass.py.
// Twin      kernels/cpu/conv.py              Checked by tests/cuda/test_cuda_conv.py, test_cuda_matmul.py, emulated and on a GPU.
#include "common.cuh"
#include "windows.cuh"
#include "moments.cuh"
#include "rectifier.cuh"
#ifndef BM  // the smallest of the square tiles; conv.py has the list
#define BM 64
#define BN 64
#define WM 32
#define WN 32
#define THREADS 128
#endif
#ifndef TF32
#define TF32 0
#endif
#if defined(__CUDA_ARCH__) && !(__CUDA_ARCH__ >= 800) && (TF32 + 0 || BF16 + 0)
#error "these tensor cores need sm_80"
#endif
#ifndef BF16
#define BF16 0
#endif
#ifndef STAGES
#define STAGES 2
#endif
#ifndef A_ALONG_K
#define A_ALONG_K 1
#define B_ALONG_K 0
#endif
#ifndef VA
#define VA 1
#define VB 1
#endif
#ifndef MIRROR
#define MIRROR 0
#endif
#ifndef MOMENTS
#define MOMENTS 0
#endif
#ifndef BK
#define BK 16
#endif
#define PAD (BF16 ? 8 : 4)
#define TM 8
#define TN (BM * BN / THREADS / TM)
#define PITCH_A (A_ALONG_K ? BK + PAD : BM + 8)
#define PITCH_B (B_ALONG_K ? BK + PAD : BN + 8)
#define SIZE_A ((A_ALONG_K ? BM : BK) * PITCH_A)
#define SIZE_B ((B_ALONG_K ? BN : BK) * PITCH_B)
#define PACKS_A ((A_ALONG_K ? BK : BM) / VA)  // in a line of the tile
#define PACKS_B ((B_ALONG_K ? BK : BN) / VB)
#define LINES_A (THREADS / PACKS_A)  // loaded by all threads at once
#define LINES_B (THREADS / PACKS_B)
#define LOADS_A ((A_ALONG_K ? BM : BK) / LINES_A)  // by each thread, for a tile
#define LOADS_B ((B_ALONG_K ? BN : BK) / LINES_B)
static_assert(LOADS_A * LINES_A * PACKS_A * VA == BM * BK && LOADS_B * LINES_B * PACKS_B * VB == BN * BK, "tile and threads");

// Copy V numbers, or V zeros, to shared memory: done after copies_arrived() and a __syncthreads().
template <int V> __device__ __forceinline__ void copy(STORE* to, const STORE* from, bool valid) {
#if (defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800) && !(BF16)
  cp_async<V * (int)sizeof(STORE)>(to, from, valid);
#elif defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800
  if (V > 1) cp_async<V == 1 ? 4 : V * (int)sizeof(STORE)>(to, from, valid);
  else to->bits = valid ? from->bits : 0;  // two bytes are no asynchronous copy
#else
  struct alignas(V * sizeof(STORE)) Numbers { STORE v[V]; };
  Numbers zero = {};
  *(Numbers*)to = valid ? *(const Numbers*)from : zero;
#endif
}
__device__ __forceinline__ void copies_end() {  // of one tile
#if defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800
  cp_async_commit();
#endif
}
__device__ __forceinline__ void copies_arrived() {  // all but those of the last STAGES - 2 tiles
#if defined(CUDA_ON_CPU) || __CUDA_ARCH__ >= 800
  cp_async_wait<STAGES - 2>();
#endif
}

#include "fragments.cuh"

struct alignas(16) Corner { long long at; int h, w; };  // where a pixel's window begins: in x (MIRROR: its image), and its place

// x (N, H, W, C) with pixels `ldx` numbers apart, windows at OH x OW places; O columns; lines of w (or gy) `ldw` apart. For
// conv_transpose2d y is OH x OW; gh, gw = gcd(stride, dilation). A batch's matrix m is (m / inner, m % inner), at these steps
// of x and w. y: `total` numbers for each split.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
gemm(const STORE* __restrict__ x, const STORE* __restrict__ w, const REAL* __restrict__ b, OUT* __restrict__ y, int N, int H,
     int W, int C, int O, int KH, int KW, int SH, int SW, int PH, int PW, int DH, int DW, int OH, int OW, int gh, int gw,
     int ldx, int ldw, int splits, int phases, int inner, long long x_outer, long long x_inner, long long w_outer,
     long long w_inner, long long total, REAL* __restrict__ moments, const OUT* __restrict__ on, REAL slope) {
  DYNAMIC_SHARED(STORE, tiles);
#if A_ALONG_K
  __shared__ Corner corners[BM];
#endif
  int split = blockIdx.z % splits, matrix = blockIdx.z / splits / phases;
  int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN, t = threadIdx.x;
  x += matrix / inner * x_outer + matrix % inner * x_inner;
  w += matrix / inner * w_outer + matrix % inner * w_inner;

#if A_ALONG_K && B_ALONG_K
  int part = blockIdx.z / splits % phases, p = part / min(SW, OW), q = part % min(SW, OW);
  Phase down = phase(p, OH, KH, SH, PH, DH, gh), across = phase(q, OW, KW, SW, PW, DW, gw);
  int RH = down.taps, RW = across.taps;  // taps of this phase: a convolution of stride 1
  int oh = down.out, ow = across.out, up_h = SH, up_w = SW;
  SH = SW = 1, PH = -down.start, PW = -across.start, DH = down.step, DW = across.step;
#else
  int RH = KH, RW = KW, oh = OH, ow = OW, p = 0, q = 0, up_h = 1, up_w = 1;
#endif
  int rows = A_ALONG_K ? N * oh * ow : RH * RW * C, depth = A_ALONG_K ? RH * RW * C : N * oh * ow;
  if (m0 >= rows) return;  // phases differ in size
  int steps = (depth + BK - 1) / BK, share = (steps + splits - 1) / splits, first = min(steps, split * share);
  int count = min(steps - first, share);

  // What this thread loads: of line `line_a`, line_a + LINES_A, ... of every tile of A, VA numbers from column_a on; B alike.
  int line_a = t / PACKS_A, column_a = t % PACKS_A * VA, line_b = t / PACKS_B, column_b = t % PACKS_B * VB;
#if A_ALONG_K
  for (int i = t; i < BM; i += THREADS) {
    Digits pixel = digits(m0 + i, oh, ow);
    bool exists = m0 + i < rows;
    int h = pixel.b * SH - PH, v = pixel.c * SW - PW;
    corners[i] = {((long long)pixel.a * H * W + (MIRROR ? 0 : (long long)h * W + v)) * ldx, exists ? h : -0x40000000, v};
  }
  Digits tap = digits(first * BK + column_a, max(1, RW), C), tap_step = digits(BK, max(1, RW), C);
#else
  Digits seen = digits(m0 + column_a, RW, C), pixel = digits(first * BK + line_a, oh, ow), pixel_step = digits(LINES_A, oh, ow);
  int h_seen = seen.a < RH ? seen.a * DH - PH : -0x40000000, w_seen = seen.b * DW - PW;
#endif
#if B_ALONG_K
  int run = A_ALONG_K ? C : depth;
  Digits tap_b = digits(first * BK + column_b, max(1, RW), run), tap_b_step = digits(BK, max(1, RW), run);
#else
  int k_b = first * BK + line_b;
#endif
  __syncthreads();  // corners are written

  auto load = [&](int stage) {  // the next tile of A and B
    STORE *A = tiles + stage * (SIZE_A + SIZE_B), *B = A + SIZE_A;
#if A_ALONG_K
    int dw = tap.b * DW, dh = tap.a * DH;
    const STORE* seen = x + ((long long)dh * W + dw) * ldx + tap.c;  // of a pixel whose window begins at x
    if (tap.a >= RH) dh = 0x20000000;  // beyond the last tap, no row is inside
#endif
#pragma unroll
    for (int i = 0; i < LOADS_A; i++) {
      int line = line_a + i * LINES_A;
#if A_ALONG_K
      Corner corner = corners[line];
      int h = corner.h + dh, v = corner.w + dw, c = tap.c;
      long long image = corner.at;
      bool exists = tap.a < RH && (!MIRROR || corner.h > -0x20000000);
      if (!MIRROR) {
        bool inside = (unsigned)h < (unsigned)H && (unsigned)v < (unsigned)W;
        copy<VA>(A + line * PITCH_A + column_a, seen + corner.at, inside);
        continue;
      }
#else
      int h = h_seen + pixel.b * SH, v = w_seen + pixel.c * SW, c = seen.c;
      long long image = (long long)pixel.a * H * W * ldx;
      bool exists = pixel.a < N && (!MIRROR || h_seen > -0x20000000);
      add(pixel, pixel_step, oh, ow);
#endif
      if (MIRROR) h = mirrored(h, H), v = mirrored(v, W);
      bool inside = exists && (unsigned)h < (unsigned)H && (unsigned)v < (unsigned)W;
      copy<VA>(A + line * PITCH_A + column_a, x + (inside ? image + ((long long)h * W + v) * ldx + c : 0), inside);
    }
#if B_ALONG_K
    int left = tap_b.a < RH ? O - n0 - line_b : 0;
    const STORE* from = w + (long long)(n0 + line_b) * ldw + tap_b.c;
#if A_ALONG_K
    int k = down.last - tap_b.a * down.apart, l = across.last - tap_b.b * across.apart;
    from += (long long)(k * KW + l) * O * ldw;
#endif
#else
    int left = n0 + column_b < O ? depth - k_b : 0;
    const STORE* from = w + (long long)k_b * ldw + n0 + column_b;
    k_b += BK;
#endif
#pragma unroll
    for (int i = 0; i < LOADS_B; i++, from += LINES_B * (long long)ldw)
      copy<VB>(B + (line_b + i * LINES_B) * PITCH_B + column_b, from, i * LINES_B < left);
#if A_ALONG_K
    add(tap, tap_step, max(1, RW), C);
#endif
#if B_ALONG_K
    add(tap_b, tap_b_step, max(1, RW), run);
#endif
  };

  Sums sums;
#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) {
    if (s < count) load(s);
    copies_end();
  }
  for (int s = 0; s < count; s++) {
    copies_arrived();
    __syncthreads();  // tile s has arrived for all, and none still reads tile s - 1, which is overwritten next
    if (s + STAGES - 1 < count) load((s + STAGES - 1) % STAGES);
    copies_end();
    const STORE* A = tiles + s % STAGES * (SIZE_A + SIZE_B);
    sums.multiply(A, A + SIZE_A);
  }

  y += split * total + (long long)matrix * rows * O;
  if (MOMENTS) __syncthreads();  // all products of this block are done with the tiles
#pragma unroll
  for (int i = 0; i < Sums::ROWS; i++) {
    int m = m0 + sums.row(i);
    if (m >= rows) continue;
    Digits at = digits(m, oh, ow);
    long long line = A_ALONG_K ? ((long long)at.a * OH + at.b * up_h + p) * OW + at.c * up_w + q : m;
#pragma unroll
    for (int j = 0; j < Sums::COLUMNS; j += Sums::WIDE) {
      int n = n0 + sums.column(j);
      struct alignas(Sums::WIDE * sizeof(OUT)) Wide { OUT v[Sums::WIDE]; } wide;
#pragma unroll
      for (int v = 0; v < Sums::WIDE; v++) wide.v[v] = sums.value(i, j + v) + (b && splits == 1 && n + v < O ? b[n + v] : 0);
      OUT* to = y + line * O + n;
#pragma unroll
      for (int v = 0; v < Sums::WIDE; v++)
        if (OPENED && n + v < O) wide.v[v] = opened(wide.v[v], on + line * O + n + v, slope);
#pragma unroll
      for (int v = 0; MOMENTS && v < Sums::WIDE; v++)
        ((REAL*)tiles)[sums.row(i) * (BN + 8) + sums.column(j) + v] = wide.v[v];
      if (O % Sums::WIDE == 0 && n < O) *(Wide*)to = wide;
#pragma unroll
      for (int v = 0; v < Sums::WIDE; v++)
        if (O % Sums::WIDE && n + v < O) to[v] = wide.v[v];
    }
  }
#if MOMENTS
  __syncthreads();
  // moments (3, phases * gridDim.x, O)
  moments += (blockIdx.z % phases * gridDim.x + blockIdx.x) * (long long)O + n0;
  column_moments<BN, BM, BN + 8, THREADS>((REAL*)tiles, min(BM, rows - m0), O - n0, moments, (long long)phases * gridDim.x * O);
#endif
}

// y[e] = b[e % O] + the sum of partial[s][e] over the splits s, opened as gemm does. A block has 32 numbers; row r of it adds every 8th split.
extern "C" __global__ void __launch_bounds__(256)
add_partials(const REAL* __restrict__ partial, const REAL* __restrict__ b, OUT* __restrict__ y, long long total, int O,
             int splits, const OUT* __restrict__ on, REAL slope) {
  __shared__ REAL rows[8][32];
  long long e = blockIdx.x * 32LL + threadIdx.x;
  REAL sum = 0;
#pragma unroll 4
  for (int s = threadIdx.y; s < splits; s += 8)
    if (e < total) sum += partial[s * total + e];
  rows[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || e >= total) return;
  for (int r = 1; r < 8; r++) sum += rows[r][threadIdx.x];
  OUT value;
  value = sum + (b ? b[e % O] : 0);
  value = opened(value, on + e, slope);
  y[e] = value;
}

// The same for few splits, with the same order of sums: a thread has 16 bytes of y. O and `total` are multiples of that.
extern "C" __global__ void __launch_bounds__(256)
add_few_partials(const REAL* __restrict__ partial, const REAL* __restrict__ b, OUT* __restrict__ y, long long total, int O,
                 int splits, const OUT* __restrict__ on, REAL slope) {
  constexpr int PACK = 16 / sizeof(REAL);
  struct alignas(16) Pack { REAL v[PACK]; };
  long long e = (blockIdx.x * 256LL + threadIdx.x) * PACK;
  if (e >= total) return;
  Pack sum = {};
#pragma unroll 4
  for (int s = 0; s < splits; s++) {
    Pack part = *(const Pack*)(partial + s * total + e);
    for (int v = 0; v < PACK; v++) sum.v[v] += part.v[v];
  }
  for (int v = 0; b && v < PACK; v++) sum.v[v] += b[e % O + v];
  struct alignas(PACK * sizeof(OUT)) Result { OUT v[PACK]; } result;
  for (int v = 0; v < PACK; v++) {
    result.v[v] = sum.v[v];
    result.v[v] = opened(result.v[v], on + e + v, slope);
  }
  *(Result*)(y + e) = result;
}

// The second half of a convolution with few channels C out: products (N*H*W, KH*KW*C) holds what each pixel adds to each
// tap; y[n,p,q,c] = b[c] + the sum of products[n,i,j, k,l,c] over p = i*SH-PH+k*DH, q = j*SW-PW+l*DW.
// With `mirror`, for strides of 1, i and j beyond the edges are those of the mirrored border.
// One thread per number; blockIdx.x is the row (n, p) of y.
extern "C" __global__ void __launch_bounds__(256)
fold(const REAL* __restrict__ products, const REAL* __restrict__ b, OUT* __restrict__ y, int H, int W, int C, int KH, int KW,
     int SH, int SW, int PH, int PW, int DH, int DW, int OH, int OW, bool mirror) {
  int at = blockIdx.y * blockDim.x + threadIdx.x, q = at / C, c = at % C, n = blockIdx.x / OH, p = blockIdx.x % OH;
  if (q >= OW) return;
  REAL sum = 0;
  for (int k = 0; k < KH; k++) {
    int down = p + PH - k * DH;
    if (mirror) down = mirrored(down, H);
    int i = down / SH;
    if (down < 0 || down % SH || i >= H) continue;
    for (int l = 0; l < KW; l++) {
      int across = q + PW - l * DW;
      if (mirror) across = mirrored(across, W);
      int j = across / SW;
      if (across >= 0 && across % SW == 0 && j < W) sum += products[((((long long)n * H + i) * W + j) * KH * KW + k * KW + l) * C + c];
    }
  }
  y[(long long)blockIdx.x * OW * C + at] = sum + (b ? b[c] : 0);
}
