// The products of conv.cu on Hopper's tensor cores (sm_90a): y (rows, O) = A (rows, depth) B (depth, O), float32, TF32 or, with
// BF16, of numbers stored as bf16: lines of 128 bytes then have 64 numbers, BK is 64, and nothing is rounded in the loop.
//
// A is the windows of the images x, as in conv.cu, never stored; B, filters or gy, comes as `image`, which arrange.cu has made.
//
//     MODE 0   conv2d               A = window                           B = w
//     MODE 1   conv_transpose2d     A = window, the phases of y at once  B = w transposed
//     MODE 2   conv2d_weight_grad   A = window^T                         B = gy
//
// Idea      wgmma multiplies 64 x BN x 8 numbers at once and needs its right operand in shared memory, along the depth and rounded;
//           the left may come from registers. So the tiles of `image` are what shared memory shall hold, each one bulk copy by one
//           thread; A comes by 16-byte asynchronous copies and is rounded between shared memory and the product. A step has
//           one barrier, and no thread stores a number. bf16: A comes by ldmatrix, in MODE 2 transposed, as wgmma wants it. STAGES slots: copies run STAGES - 2 steps ahead, and the product of
//           one step runs while the next step's numbers are read.
// Threads   256, two warpgroups, each 64 rows x BN columns of y; steps of BK = 32 along the depth.
//           blockIdx = (row tile * CLUSTER + rank in the cluster, column tile, phase * (splits / CLUSTER) + split).
// Borders   zeros, or with MIRROR = 1 (MODE 0, 2) x mirrored, read in its place: per row the window's corner instead of a mask.
// Splits    the CLUSTER blocks of a cluster have parts of one tile's depth; each adds up some rows, in order, from the
//           others' shared memory. splits > CLUSTER: partial sums in global memory, for conv.cu's add_partials. No atomics: the
//           same bytes in any run.
// Traffic   A once per column tile (taps that overlap: from L1 and L2), the image once per row tile, y once; the image itself is
//           B read and written once more. 128 x 128 tile: a step is 1 MFLOP for 32 KiB from L2.
// Banks     A along the depth and B: lines of 128 bytes, 16-byte piece p of line l at p ^ (l % 8); A along y: lines of 128 + 8 numbers.
// Rectified OPENED = 1: y is leaky_relu of the product; 2: the product, a gradient, gated by `on`; see rectifier.cuh.
// Moments   MOMENTS = 1: also those of each column in the rows of y that a block writes, see moments.cuh.
//           MODE 2: with the sums of gy's columns that arrange.cu has left, (lines, O), their totals behind them: a bias's gradient.
// Accuracy  1e-3 of the result's scale: inputs rounded to 10 bits, to nearest, halves away from zero; sums in float32.
// Needs     C % 32 == 0 (MODE 0, 1), C % 4 == 0 (bf16: % 64, % 8), O % 4 == 0, filters up to 16 x 16, addresses of 16 bytes; else: conv.cu.
// Twin      kernels/cpu/conv.py              Checked by tests/cuda/test_hopper.py, emulated and on a GPU.
#include "common.cuh"
#include "hopper.cuh"
#include "windows.cuh"
#include "rounded.cuh"
#include "rectifier.cuh"
#include "moments.cuh"
#ifndef MODE
#define MODE 0
#define BN 64
#define STAGES 4
#define BLOCKS 2  // that fit on a multiprocessor
#define CLUSTER 1
#endif
#ifndef MIRROR
#define MIRROR 0
#endif
#ifndef MOMENTS
#define MOMENTS 0
#endif
#define LINES_OF_SUMS 128  // at most; the same in hopper.py

// A number as y has it: moments are those of what is stored.
template <class T> __device__ __forceinline__ float stored(float x) {
  T y;
  y = x;
  return y;
}
// Neighbours of y, as OUT.
__device__ __forceinline__ void put(float* to, float2 v) { *(float2*)to = v; }
__device__ __forceinline__ void put(float* to, float4 v) { *(float4*)to = v; }
__device__ __forceinline__ void put(bf16* to, float2 v) {
  struct alignas(4) { bf16 v[2]; } two;
  two.v[0] = v.x, two.v[1] = v.y;
  *(decltype(two)*)to = two;
}
__device__ __forceinline__ void put(bf16* to, float4 v) {
  struct alignas(8) { bf16 v[4]; } four;
  four.v[0] = v.x, four.v[1] = v.y, four.v[2] = v.z, four.v[3] = v.w;
  *(decltype(four)*)to = four;
}

// Four neighbours, as `opened` of rectifier.cuh does one.
__device__ __forceinline__ float4 opened(float4 v, const OUT* on, float slope) {
  v = {stored<OUT>(v.x), stored<OUT>(v.y), stored<OUT>(v.z), stored<OUT>(v.w)};
  return {opened(v.x, on, slope), opened(v.y, on + 1, slope), opened(v.z, on + 2, slope), opened(v.w, on + 3, slope)};
}

template <int KIND, int WIDTH, int SLOTS, int RANKS>
__device__ __forceinline__ void product(
    const STORE* __restrict__ x, const STORE* __restrict__ image, const float* __restrict__ b, OUT* __restrict__ y, int N, int H,
    int W, int C, int O, int KH, int KW, int SH, int SW, int PH, int PW, int DH, int DW, int OH, int OW, int gh, int gw, int ldx,
    int splits, int phases, long long total, float* __restrict__ moments, const OUT* __restrict__ on, float slope) {
  constexpr int BYTES = sizeof(STORE), PIECE = 16 / BYTES, PARTS = 4;  // of a number; numbers in 16 bytes; products in a step
  constexpr int BM = 128, THREADS = 256, BK = 128 / BYTES, PITCH_A = BM + 8;
  constexpr int SIZE_A = KIND == 2 ? BK * PITCH_A * BYTES : BM * 128, SIZE_B = WIDTH * 128, SIZE = SIZE_A + SIZE_B;
  constexpr int COPIES = BM / 32, AHEAD = SLOTS - 2, PIECES = BM / PIECE, LINES = THREADS / PIECES;
  constexpr bool TIGHT = KIND == 1 && WIDTH == 128 && SLOTS == 3;  // more than the 128 registers that it may have, in its loop
  constexpr bool LEAVES = MOMENTS && KIND != 2;  // moments of y, not sums
  constexpr bool FULL = KIND == 0 && WIDTH == 128 && SLOTS == 3 && RANKS > 1 && MOMENTS && !MIRROR;  // all 128 registers
  constexpr int EARLY = TIGHT || FULL ? PARTS / 2 : PARTS;  // of a step's parts, those read while the last product still runs
  DYNAMIC_SHARED(unsigned char, bytes);
  Shared tiles = aligned_1024(shared_address(bytes)) + 1024, barriers = tiles - 1024;
  int t = threadIdx.x;
  int rank = blockIdx.x % RANKS, outer = splits / RANKS, split = blockIdx.z % outer * RANKS + rank;
  int m0 = blockIdx.x / RANKS * BM, n0 = blockIdx.y * WIDTH;

  int RH = KH, RW = KW, oh = OH, ow = OW, p = 0, q = 0, up_h = 1, up_w = 1;
  Phase down = {}, across = {};
  if (KIND == 1) {
    int part = blockIdx.z / outer % phases;
    p = part / min(SW, OW), q = part % min(SW, OW);
    down = phase(p, OH, KH, SH, PH, DH, gh), across = phase(q, OW, KW, SW, PW, DW, gw);
    RH = down.taps, RW = across.taps, oh = down.out, ow = across.out, up_h = SH, up_w = SW;
    SH = SW = 1, PH = -down.start, PW = -across.start, DH = down.step, DW = across.step;
  }
  int rows = KIND == 2 ? RH * RW * C : N * oh * ow, depth = KIND == 2 ? N * oh * ow : RH * RW * C;
  if (m0 >= rows) return;  // phases differ in size; all blocks of a cluster agree
  int steps = (depth + BK - 1) / BK, share = (steps + splits - 1) / splits, first = min(steps, split * share);
  int count = min(steps - first, share);
  int all_steps = KIND == 2 ? steps : KH * KW * (C / BK);  // of the image

  if (KIND == 2 && MOMENTS) {  // a warp takes a column
    int group = (steps + LINES_OF_SUMS - 1) / LINES_OF_SUMS, lines = (steps + group - 1) / group;
    for (int n = (blockIdx.z * gridDim.x + blockIdx.x) * 8 + t / 32; n < WIDTH; n += gridDim.z * gridDim.x * 8) {
      float sum = 0;
      for (int k = t % 32; k < lines && n0 + n < O; k += 32) sum += moments[(long long)k * O + n0 + n];
      for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
      if (t % 32 == 0 && n0 + n < O) moments[(long long)lines * O + n0 + n] = sum;
    }
  }
  if (t < SLOTS) barrier_init(barriers + 8 * t);
  barriers_made();

  // A: windows. Along k, a thread copies one 16-byte piece of BM / 32 rows; else of BM / 32 pixels, always the same channels.
  int base[COPIES], taps_inside[COPIES];
  int r = 0, s = 0, c0 = 0;  // the next step's tap and first channel: taps innermost
  Digits seen = {}, pixel = {}, pixel_step = {};
  int tile_step = first;  // the next step's tile in the image
  if (KIND != 2) {
#pragma unroll
    for (int i = 0; i < COPIES; i++) {
      int m = MIRROR ? min(m0 + t / 8 + i * 32, rows - 1) : m0 + t / 8 + i * 32;
      Digits at = digits(m, oh, ow);
      int h = at.b * SH - PH, v = at.c * SW - PW;
      base[i] = ((at.a * H + h) * W + v) * ldx + PIECE * (t % 8);
      if (MIRROR) {
        base[i] = at.a * H * W * ldx + PIECE * (t % 8), taps_inside[i] = h * 65536 | v & 0xffff;  // 16 bits each
        continue;
      }
      int inside = 0;
      for (int k = 0; k < RH; k++) inside |= (int)(m < rows && (unsigned)(h + k * DH) < (unsigned)H) << k;
      for (int l = 0; l < RW; l++) inside |= (int)((unsigned)(v + l * DW) < (unsigned)W) << (16 + l);
      taps_inside[i] = inside;
    }
    int taps = max(1, RH * RW), tap = first % taps;
    r = tap / max(1, RW), s = tap % max(1, RW), c0 = first / taps * BK;
  } else {
    int m = MIRROR ? min(m0 + PIECE * (t % PIECES), rows - PIECE) : m0 + PIECE * (t % PIECES);
    seen = digits(m, RW, C);
    seen.a = m < rows ? seen.a * DH - PH : -0x40000000, seen.b = seen.b * DW - PW;
    pixel = digits(first * BK + t / PIECES, oh, ow), pixel_step = digits(LINES, oh, ow);
  }
  auto copy_a = [&](Shared slot) {
    if (KIND != 2) {
      int tap = 1 << r | 0x10000 << s;
      const STORE* from = x + (r * DH * W + s * DW) * ldx + c0;
      Shared to = slot + t / 8 * 128 + ((t % 8 ^ t / 8 % 8) << 4);
#pragma unroll
      for (int i = 0; i < COPIES; i++) {
        if (MIRROR) {
          int h = mirrored((taps_inside[i] >> 16) + r * DH, H), v = mirrored((short)taps_inside[i] + s * DW, W);
          copy16(to + i * 4096, x + base[i] + ((h * W + v) * ldx + c0), true);
          continue;
        }
        bool inside = (taps_inside[i] & tap) == tap;
        copy16(to + i * 4096, inside ? from + base[i] : x, inside);
      }
    } else {
      Shared to = slot + t / PIECES * PITCH_A * BYTES + t % PIECES * 16;
#pragma unroll
      for (int i = 0; i < COPIES; i++) {
        int h = seen.a + pixel.b * SH, v = seen.b + pixel.c * SW;
        if (MIRROR) h = mirrored(h, H), v = mirrored(v, W);
        bool inside = pixel.a < N && (unsigned)h < (unsigned)H && (unsigned)v < (unsigned)W;
        copy16_once(to + i * LINES * PITCH_A * BYTES, inside ? x + ((long long)(pixel.a * H + h) * W + v) * ldx + seen.c : x, inside);
        add(pixel, pixel_step, oh, ow);
      }
    }
  };
  if (TIGHT && t == 0) {
    store2(barriers + 64, (float)(down.last * KW + across.last), (float)(down.apart * KW));
    store2(barriers + 72, (float)across.apart, 0);
  }
  auto copy_b = [&](int slot) {  // one thread
    int step = tile_step;
    if (KIND == 0) step = (r * RW + s) * (C / BK) + c0 / BK;
    if (TIGHT) step = (int)(load1(barriers + 64) - r * load1(barriers + 68) - s * load1(barriers + 72)) * (C / BK) + c0 / BK;
    else if (KIND == 1) step = ((down.last - r * down.apart) * KW + across.last - s * across.apart) * (C / BK) + c0 / BK;
    Shared barrier = barriers + 8 * slot, to = tiles + slot * SIZE + SIZE_A;
    const STORE* from = image + ((long long)blockIdx.y * all_steps + step) * (WIDTH * BK);
    barrier_expect(barrier, SIZE_B);
    bulk_copy(to, from, SIZE_B, barrier);
  };
  auto next = [&]() {
    tile_step++;
    if (KIND != 2) {
      s++;
      if (s >= RW) s = 0, r++;
      if (r >= RH) r = 0, c0 += BK;
    }
  };

  float c[WIDTH / 2];
#pragma unroll
  for (int j = 0; j < WIDTH / 2; j++) c[j] = 0;
  settled(c);  // else the compiler sets them between products, which then wait for each other
  if (RANKS > 1) cluster_barrier();
  else __syncthreads();
  for (int i = 0; i < AHEAD; i++) {
    if (i < count) {
      copy_a(tiles + i * SIZE);
      if (t == 0) copy_b(i);
      next();
    }
    copies_commit();
  }
  int now = 0, parity = 0, ahead = AHEAD;  // slots of this step and of that to be copied
  int lane = t % 32, top = t / 128 * 64 + t / 32 % 4 * 16;
  float a[PARTS][4];  // the product in flight reads them
  for (int i = 0; i < count; i++) {
    copies_wait<AHEAD - 1>();
    barrier_wait(barriers + 8 * now, parity);
    __syncthreads();
    bool more = i + AHEAD < count;
    if (more) {
      copy_a(tiles + ahead * SIZE);
      if (t == 0) copy_b(ahead);
    }
    copies_commit();
    Shared slot = tiles + now * SIZE;
    float raw[PARTS][4];
    auto read = [&](int k) {
      if (KIND != 2) {
        load_matrices(raw[k], slot + (top + lane % 8 + 8 * (lane / 8 % 2)) * 128 + ((2 * k + lane / 16 ^ lane % 8) << 4));
      } else if (BF16) {
        load_transposed(raw[k], slot + ((16 * k + lane % 8 + lane / 16 * 8) * PITCH_A + top + lane / 8 % 2 * 8) * BYTES);
      } else {
        Shared from = slot + ((8 * k + lane % 4) * PITCH_A + top + lane / 4) * 4;
        raw[k][0] = load1(from), raw[k][1] = load1(from + 32);
        raw[k][2] = load1(from + 16 * PITCH_A), raw[k][3] = load1(from + 16 * PITCH_A + 32);
      }
    };
#pragma unroll
    for (int k = 0; k < EARLY; k++) read(k);
    if (more) next();
    wgmma_wait<0>();  // the product of the step before: its registers may change
#pragma unroll
    for (int k = EARLY; k < PARTS; k++) read(k);
#pragma unroll
    for (int k = 0; k < PARTS; k++) {
      settled(raw[k]);
#pragma unroll
      for (int v = 0; v < 4; v++) a[k][v] = BF16 ? raw[k][v] : rounded(raw[k][v]);
      settled(a[k]);
    }
    Descriptor right = descriptor(slot + SIZE_A);
    wgmma_begin();
#pragma unroll
    for (int k = 0; k < PARTS; k++) wgmma_m64k8(c, a[k], right + 2 * k);
    wgmma_commit();
    now++, ahead = ahead + 1 == SLOTS ? 0 : ahead + 1;
    if (now == SLOTS) now = 0, parity ^= 1;
  }
  wgmma_wait<0>();
  settled(c);

  int side = lane % 4 * 2;
  top += lane / 4;
  y += (long long)(split / RANKS) * total;
  if (outer > 1) b = nullptr;
  auto line_of = [&](int m) -> long long {
    if (KIND == 2) return m;
    Digits at = digits(m, oh, ow);
    return ((long long)at.a * OH + at.b * up_h + p) * OW + at.c * up_w + q;
  };
  constexpr int PITCH = WIDTH + 8;
  auto leave_moments = [&](int row, int count) {  // of `count` rows, from `row` on: (3, phases * gridDim.x, O)
    __syncthreads();
    if (count <= 0) return;
    int phase_at = KIND == 1 ? p * min(up_w, OW) + q : 0;  // not by blockIdx, which would take registers in the loop
    long long part = ((long long)phase_at * gridDim.x + m0 / BM * RANKS + rank) * O + n0;
    float* tile = (float*)(bytes + (tiles - shared_address(bytes))) + row * PITCH;
    column_moments<WIDTH, BM / RANKS, PITCH, THREADS>(tile, count, O - n0, moments + part, (long long)phases * gridDim.x * O);
  };
  if (RANKS == 1) {
    if (LEAVES) __syncthreads();  // all products of this block are done with the slots
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int m = m0 + top + 8 * half;
      if (m >= rows) continue;
      OUT* to = y + line_of(m) * O;
#pragma unroll
      for (int j = 0; j < WIDTH / 8; j++) {
        int n = n0 + 8 * j + side;
        if (n >= O) continue;
        float2 v = {stored<OUT>(c[4 * j + 2 * half] + (b ? b[n] : 0)), stored<OUT>(c[4 * j + 2 * half + 1] + (b ? b[n + 1] : 0))};
        if (OPENED) v.x = opened(v.x, on + (to + n - y), slope), v.y = opened(v.y, on + (to + n + 1 - y), slope);
        put(to + n, v);
        if (LEAVES) store2(tiles + ((top + 8 * half) * PITCH + 8 * j + side) * 4, v.x, v.y);
      }
    }
    if (LEAVES) leave_moments(0, min(BM, rows - m0));
    return;
  }
  // The parts of the depth: each block of the cluster adds up, in order, some rows of its tile, the others' shared memory read.
  __syncthreads();  // all products of this block are done with the slots
#pragma unroll
  for (int j = 0; j < WIDTH / 8; j++)
#pragma unroll
    for (int half = 0; half < 2; half++)
      store2(tiles + ((top + 8 * half) * PITCH + 8 * j + side) * 4, c[4 * j + 2 * half], c[4 * j + 2 * half + 1]);
  cluster_barrier();
  constexpr int HEIGHT = BM / RANKS;
  for (int i = t; i < HEIGHT * (WIDTH / 4); i += THREADS) {
    int row = rank * HEIGHT + i / (WIDTH / 4), n = i % (WIDTH / 4) * 4, m = m0 + row;
    float4 sum = {0, 0, 0, 0};
    for (int other = 0; other < RANKS; other++) {
      float4 v = of_rank(tiles + (row * PITCH + n) * 4, other);
      sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
    }
    if (m >= rows || n0 + n >= O) continue;
    if (b) sum.x += b[n0 + n], sum.y += b[n0 + n + 1], sum.z += b[n0 + n + 2], sum.w += b[n0 + n + 3];
    OUT* to = y + line_of(m) * O + n0 + n;
    if (OPENED) sum = opened(sum, on + (to - y), slope);
    put(to, sum);
    if (LEAVES) {  // no other block reads these rows
      store2(tiles + (row * PITCH + n) * 4, stored<OUT>(sum.x), stored<OUT>(sum.y));
      store2(tiles + (row * PITCH + n + 2) * 4, stored<OUT>(sum.z), stored<OUT>(sum.w));
    }
  }
  if (LEAVES) leave_moments(rank * HEIGHT, min(HEIGHT, rows - m0 - rank * HEIGHT));
  cluster_barrier();  // no block ends while another reads it
}

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(256, BLOCKS)
hopper_gemm(const STORE* __restrict__ x, const STORE* __restrict__ image, const float* __restrict__ b, OUT* __restrict__ y,
            int N, int H, int W, int C, int O, int KH, int KW, int SH, int SW, int PH, int PW, int DH, int DW, int OH, int OW,
            int gh, int gw, int ldx, int splits, int phases, long long total, float* __restrict__ moments,
            const OUT* __restrict__ on, float slope) {
  product<MODE, BN, STAGES, CLUSTER>(x, image, b, y, N, H, W, C, O, KH, KW, SH, SW, PH, PW, DH, DW, OH, OW, gh, gw, ldx,
                                     splits, phases, total, moments, on, slope);
}
