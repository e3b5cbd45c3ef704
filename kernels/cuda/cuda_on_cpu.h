// CUDA C++ on a CPU: enough of the language to run this project's kernels on host memory, compiled by g++ or clang++.
//
// Every CUDA thread of a block is a fiber, a stack of its own on one CPU thread. A fiber runs until it meets a barrier,
// then the next one runs; blocks run one after the other. So every run is the same, a debugger can step through it, and
// faults that on a GPU depend on chance always show:
//
//   shared memory    filled with 0xff (NaN) before every block: reading what no thread wrote gives NaN
//   thread order     ascending, descending or shuffled: a missing __syncthreads() changes the results
//   cp.async         copies only when waited for; until then the destination is NaN
//   wgmma            multiplies only when waited for, with what is then in its registers and tiles
//   barriers         a barrier that not all threads reach is reported as an error
//
// The blocks of a cluster (along x) run together; their kernel has no __shared__ variables but dynamic ones.
// Warp functions (shuffles, mma) expect all live threads of the warp to take part. What differs from a GPU: expf, logf,
// ... are the C library's, and a fused multiply-add is fused only where the source says fma.
// The threads themselves, cuda_on_cpu.cpp, are compiled once for all kernels; this file is read with each.
#pragma once
#include <math.h>  // the global exp, log, fma, ... for float and double alike, as in CUDA
#include <stdint.h>
#include <string.h>

// The linker marks both ends of the section that holds every __shared__ variable of a library.
static char shared_at_least_one_byte __attribute__((section("cuda_shared"), used));
extern "C" char __start_cuda_shared[] __attribute__((visibility("hidden")));
extern "C" char __stop_cuda_shared[] __attribute__((visibility("hidden")));

#define CUDA_ON_CPU 1
#define __global__  // hidden, as all names are: a kernel called `advance` must not become the C library's function of that name
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("cuda_shared"), used))
#define DYNAMIC_SHARED(T, name) T* name = (T*)cuda::dynamic_shared()

template <class T> constexpr T max(const T& a, const T& b) { return a < b ? b : a; }
template <class T> constexpr T min(const T& a, const T& b) { return b < a ? b : a; }

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace cuda {

constexpr int WARP = 32, BOX = 64;
struct Thread { uint3 place; int number; };  // number: in its block

// ---- what cuda_on_cpu.cpp defines ----
#pragma GCC visibility push(default)
extern Thread* current;  // the running thread
extern uint3 block_index;
extern dim3 block_size, grid_size;
void* dynamic_shared();
void wait_for_block(int line);  // line: the barrier's, in its source
void wait_for_warp();
char (*boxes())[BOX];  // of the running thread's warp: box[lane] holds what a lane stores for the others
void copy_later(void* to, const void* from, int bytes, int valid);  // of `bytes`, `valid` are read, the rest 0
void close_group();  // the copies since the last one
void finish_groups(int open);  // until at most the `open` latest groups are in flight
// What hopper_on_cpu.h needs.
void wait_for_cluster();
void* dynamic_shared_of(int rank);  // of the cluster's block `rank`
void expect_bytes(void* barrier, int bytes);  // before the barrier's phase ends
void bulk_copy_later(void* to, const void* from, int bytes, void* barrier);
void wait_for_bytes(void* barrier, int parity);  // the end of the barrier's phase
// c += a b (64 rows, 8 or of bf16 16, columns): c and, for every lane of the warp, a in registers, b a swizzled tile at 16 * `tile`.
void multiply_later(float* c, int columns, const float* const* lanes, uint64_t tile, bool halves);
void close_products();
void finish_products(int open);
// Run `kernel` for every block of the grid, `cluster` of them together; order 0 ascending, 1 descending, 2 shuffled.
// Returns an error, or nullptr.
// `begin` to `end`: the kernel's __shared__ variables.
const char* launch(const unsigned* dims, int cluster, size_t shared, int order, void (*kernel)(void**), void** arguments,
                   char* begin, char* end);
#pragma GCC visibility pop

inline int my_lane() { return current->number % WARP; }

template <class T> T exchange(T value, int lane) {  // every lane stores its value and reads that of `lane`
  static_assert(sizeof(T) <= BOX, "too large for a lane's box");
  memcpy(boxes()[my_lane()], &value, sizeof value);
  wait_for_warp();
  T result;
  memcpy(&result, boxes()[lane & 31], sizeof result);
  wait_for_warp();
  return result;
}

}  // namespace cuda

#define threadIdx (cuda::current->place)
#define blockIdx (cuda::block_index)
#define blockDim (cuda::block_size)
#define gridDim (cuda::grid_size)
#define warpSize 32

// ---- barriers and warp functions ----
#define __syncthreads() cuda::wait_for_block(__LINE__)
inline void __syncwarp(unsigned = ~0u) { cuda::wait_for_warp(); }
template <class T> T __shfl_sync(unsigned, T v, int source, int width = 32) {
  return cuda::exchange(v, (cuda::my_lane() & ~(width - 1)) | (source & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned, T v, int mask) { return cuda::exchange(v, cuda::my_lane() ^ mask); }
template <class T> T __shfl_down_sync(unsigned, T v, int delta, int width = 32) {
  int lane = cuda::my_lane();
  return cuda::exchange(v, (lane & (width - 1)) + delta < width ? lane + delta : lane);
}

// Blocks run one after the other, so these are what they are on one thread.
inline void __threadfence() {}
inline int atomicAdd(int* to, int number) { return (*to += number) - number; }

// ---- arithmetic ----
template <class T> T __ldg(const T* p) { return *p; }
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float rsqrt(float x) { return 1.f / sqrtf(x); }
inline double rsqrt(double x) { return 1. / sqrt(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((uint64_t)a * b) >> 32); }
inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
inline unsigned __float_as_uint(float f) { unsigned u; memcpy(&u, &f, 4); return u; }
inline void sincospi(double x, double* s, double* c) { *s = sin(M_PI * x); *c = cos(M_PI * x); }

// ---- asynchronous copies and tensor cores: on a GPU these are the wrappers of common.cuh ----
inline void cp_async16(void* to, const void* from, int valid = 16) { cuda::copy_later(to, from, 16, valid); }
template <int BYTES> void cp_async(void* to, const void* from, bool valid) {
  cuda::copy_later(to, from, BYTES, valid ? BYTES : 0);
}
inline void cp_async_commit() { cuda::close_group(); }
template <int N> void cp_async_wait() { cuda::finish_groups(N); }
inline void mma_m16n8k16_bf16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
  // c (16, 8) += a (16, 16) b (16, 8), two numbers in a register; see common.cuh
  struct Operands { unsigned short a[8], b[4]; } mine;
  memcpy(mine.a, a, sizeof mine.a);
  memcpy(mine.b, b, sizeof mine.b);
  char(*box)[cuda::BOX] = cuda::boxes();
  int lane = cuda::my_lane(), r = lane >> 2, q = lane & 3;
  memcpy(box[lane], &mine, sizeof mine);
  cuda::wait_for_warp();
  for (int i = 0; i < 4; i++) {
    int row = r + 8 * (i >> 1), column = 2 * q + (i & 1);
    float sum = c[i];
    for (int k = 0; k < 16; k++) {
      auto* left = (Operands*)box[(row & 7) * 4 + k % 8 / 2];
      auto* right = (Operands*)box[column * 4 + k % 8 / 2];
      sum += __uint_as_float((unsigned)left->a[2 * ((row >> 3) + 2 * (k >> 3)) + (k & 1)] << 16) *
             __uint_as_float((unsigned)right->b[2 * (k >> 3) + (k & 1)] << 16);
    }
    c[i] = sum;
  }
  cuda::wait_for_warp();
}
inline uint32_t to_tf32(float x) { return (__float_as_uint(x) + 0x1000) & 0xffffe000u; }  // cvt.rna: 10 bits of mantissa
inline void mma_m16n8k8_tf32(float c[4], const uint32_t a[4], const uint32_t b[2]) {
  // c (16, 8) += a (16, 8) b (8, 8); lane 4 r + q holds c[r | r+8][2q, 2q+1], a[r | r+8][q | q+4], b[q | q+4][r]
  struct Operands { uint32_t a[4], b[2]; } mine;
  memcpy(mine.a, a, sizeof mine.a);
  memcpy(mine.b, b, sizeof mine.b);
  char(*box)[cuda::BOX] = cuda::boxes();
  int lane = cuda::my_lane(), r = lane >> 2, q = lane & 3;
  memcpy(box[lane], &mine, sizeof mine);
  cuda::wait_for_warp();
  for (int i = 0; i < 4; i++) {
    int row = r + 8 * (i >> 1), column = 2 * q + (i & 1);
    float sum = c[i];
    for (int k = 0; k < 8; k++) {
      auto* left = (Operands*)box[(row & 7) * 4 + (k & 3)];
      auto* right = (Operands*)box[column * 4 + (k & 3)];
      sum += __uint_as_float(left->a[(row >> 3) + 2 * (k >> 2)] & 0xffffe000u) *
             __uint_as_float(right->b[k >> 2] & 0xffffe000u);
    }
    c[i] = sum;
  }
  cuda::wait_for_warp();
}
