// uniform, normal, integers: Philox4x32-10, a keyed hash of (block, step, stream); the twin of kernels/cpu/random.py.
//
// One thread hashes one block of four words and writes the 16 bytes of numbers made from it: four float, two double or
// two 64-bit integers. The step is read from the device (base) when a captured graph draws new numbers in every launch.
// Threads   256, one block of words each.
// Traffic   writes its 16 bytes, reads nothing. 64 x 100 normals: 25 kB and 3,200 logarithms in double, less than the launch.
// Versions  float and double, chosen by REAL. Words, uniforms and integers are equal to NumPy's bit for bit;
//           normals are computed in double and rounded once.
// Source    Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
// Checked by tests/cuda/test_cuda_random.py
#include "common.cuh"

constexpr int PACK = 16 / sizeof(REAL);
constexpr double TWO_32 = 1.0 / 4294967296.0, TWO_53 = 1.0 / 9007199254740992.0;  // 2^-32 and 2^-53, exactly
struct __align__(16) Pack { REAL v[PACK]; };
struct Words { unsigned w[4]; };

__device__ __forceinline__ Words philox(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0, unsigned k1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    unsigned high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    unsigned high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// The words of block i of (seed, stream, *base + step).
__device__ __forceinline__ Words words_of(long long i, unsigned long long seed, unsigned stream, const long long* base,
                                          unsigned long long step) {
  if (base) step += (unsigned long long)*base;
  return philox((unsigned)i, (unsigned)step, (unsigned)(step >> 32), stream, (unsigned)seed, (unsigned)(seed >> 32));
}

__device__ __forceinline__ unsigned long long pair_of(const Words& words, int i) {
  return words.w[2 * i] | (unsigned long long)words.w[2 * i + 1] << 32;
}

// Pack i of an array of n numbers, made from block first + i.
__device__ __forceinline__ void store(REAL* out, long long i, long long n, const Pack& pack) {
  if ((i + 1) * PACK <= n)
    *(Pack*)(out + i * PACK) = pack;
  else
    for (int e = 0; e < PACK; e++)
      if (i * PACK + e < n) out[i * PACK + e] = pack.v[e];
}

extern "C" __global__ void uniform(REAL* __restrict__ out, long long n, long long first, unsigned long long seed,
                                   unsigned stream, const long long* base, unsigned long long step) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i * PACK >= n) return;
  Words words = words_of(first + i, seed, stream, base, step);
  Pack pack;
  for (int e = 0; e < PACK; e++)
    pack.v[e] = PACK == 4 ? (REAL)(words.w[e] >> 8) * (REAL)(1.0 / 16777216.0)  // multiples of 2^-24, exactly
                          : (REAL)((double)(pair_of(words, e & 1) >> 11) * TWO_53);
  store(out, i, n, pack);
}

// Box-Muller: (r cos 2 pi v, r sin 2 pi v) with r = sqrt(-2 log(1 - u)) of two uniforms u, v in [0, 1).
extern "C" __global__ void normal(REAL* __restrict__ out, long long n, long long first, unsigned long long seed,
                                  unsigned stream, const long long* base, unsigned long long step) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i * PACK >= n) return;
  Words words = words_of(first + i, seed, stream, base, step);
  Pack pack;
  for (int e = 0; e < PACK; e += 2) {
    double u = PACK == 4 ? words.w[e] * TWO_32 : (double)(pair_of(words, 0) >> 11) * TWO_53;
    double v = PACK == 4 ? words.w[e + 1] * TWO_32 : (double)(pair_of(words, 1) >> 11) * TWO_53;
    double radius = sqrt(-2.0 * log(1.0 - u)), sine, cosine;
    sincospi(2.0 * v, &sine, &cosine);
    pack.v[e] = (REAL)(radius * cosine);
    pack.v[e + 1] = (REAL)(radius * sine);
  }
  store(out, i, n, pack);
}

// 64-bit words modulo range (0: as they are), plus low: integers of [low, low + range) in two's complement.
extern "C" __global__ void integers(unsigned long long* __restrict__ out, long long n, long long first,
                                    unsigned long long range, unsigned long long low, unsigned long long seed,
                                    unsigned stream, const long long* base, unsigned long long step) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (2 * i >= n) return;
  Words words = words_of(first + i, seed, stream, base, step);
  for (int e = 0; e < 2 && 2 * i + e < n; e++) {
    unsigned long long word = pair_of(words, e);
    out[2 * i + e] = (range ? word % range : word) + low;
  }
}

// The bijection itself: counter (n, 4) and key (n, 2) -> out (n, 4).
extern "C" __global__ void philox4x32(const unsigned* __restrict__ counter, const unsigned* __restrict__ key,
                                      unsigned* __restrict__ out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const unsigned *c = counter + 4ll * i, *k = key + 2ll * i;
  Words words = philox(c[0], c[1], c[2], c[3], k[0], k[1]);
  for (int e = 0; e < 4; e++) out[4ll * i + e] = words.w[e];
}
