// CUDA C++ on a CPU: enough of the language to run this project's kernels on host memory, compiled by g++ or clang++.
//
// Every CUDA thread of a block is a fiber, a stack of its own on one CPU thread. A fiber runs until it meets a barrier,
// then the next one runs; blocks run one after the other. So every run is the same, a debugger can step through it, and
// faults that on a GPU depend on chance always show:
//
//   shared memory    filled with 0xff (NaN) before every block: reading what no thread wrote gives NaN
//   thread order     ascending, descending or shuffled: a missing __syncthreads() changes the results
//   cp.async         copies only when waited for; until then the destination is NaN
//   barriers         a barrier that not all threads reach is reported as an error
//
// Warp functions (shuffles, mma) expect all live threads of the warp to take part. What differs from a GPU: expf, logf,
// ... are the C library's, and a fused multiply-add is fused only where the source says fma.
#pragma once
#include <algorithm>
#include <cmath>
#include <math.h>  // the global exp, log, fma, ... for float and double alike, as in CUDA
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define CUDA_ON_CPU 1
#define __global__  // hidden, as all names are: a kernel called `advance` must not become the C library's function of that name
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("cuda_shared"), used))
#define DYNAMIC_SHARED(T, name) T* name = (T*)cuda::dynamic_shared()

using std::max;
using std::min;

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

// The linker marks both ends of the section that holds every __shared__ variable of this library.
static char shared_at_least_one_byte __attribute__((section("cuda_shared"), used));
extern "C" char __start_cuda_shared[] __attribute__((visibility("hidden")));
extern "C" char __stop_cuda_shared[] __attribute__((visibility("hidden")));

namespace cuda {

constexpr size_t STACK = 64 * 1024;  // bytes per fiber; pages that are never touched cost nothing
constexpr int WARP = 32, BOX = 64;

// ---- switching between fibers ----
#if defined(__x86_64__)
extern "C" void cuda_switch_fiber(void** save, void* load) __attribute__((visibility("hidden")));
asm(".text\n.hidden cuda_switch_fiber\n.globl cuda_switch_fiber\ncuda_switch_fiber:\n"
    "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, (%rdi)\n  mov %rsi, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n  ret\n");
struct Context { void* stack_pointer; };
inline void switch_to(Context& from, Context& to) { cuda_switch_fiber(&from.stack_pointer, to.stack_pointer); }
inline void prepare(Context& c, char* stack, void (*entry)()) {
  void** top = (void**)(stack + STACK - 64);
  *--top = nullptr;  // entry's return address: never used
  *--top = (void*)entry;
  for (int i = 0; i < 6; i++) *--top = nullptr;
  c.stack_pointer = top;
}
#else  // slower, but it exists wherever POSIX does
struct Context { ucontext_t u; };
inline void switch_to(Context& from, Context& to) { swapcontext(&from.u, &to.u); }
inline void prepare(Context& c, char* stack, void (*entry)()) {
  getcontext(&c.u);
  c.u.uc_stack.ss_sp = stack;
  c.u.uc_stack.ss_size = STACK;
  c.u.uc_link = nullptr;
  makecontext(&c.u, entry, 0);
}
#endif

struct Copy { void* to; const void* from; int bytes, valid; };  // one cp.async that nobody has waited for yet

struct Fiber {
  Context context;
  uint3 thread;
  int number;
  bool done;
  const unsigned* barrier;  // waiting until *barrier leaves `seen`
  unsigned seen;
  std::vector<Copy> open;
  std::vector<std::vector<Copy>> groups;
};

struct Barrier {
  unsigned generation = 0;
  int arrived = 0, alive = 0, line = 0;  // line: the source line of the barrier at which threads wait
  void release_if_complete() {
    if (alive && arrived == alive) { arrived = 0; generation++; }
  }
};

struct Warp { Barrier barrier; alignas(16) char box[WARP][BOX]; };  // box: what a lane stores for the others

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Barrier barrier;
  int vote = 0, vote_result = 0;
  Context scheduler;
  Fiber* current = nullptr;
  std::function<void()>* kernel = nullptr;
  std::vector<char> dynamic;
  const char* error = nullptr;
};

inline Block block;
inline uint3 block_index;
inline dim3 block_size, grid_size;
inline char* stacks = nullptr;
inline size_t stack_count = 0;

inline void* dynamic_shared() { return (void*)(((uintptr_t)block.dynamic.data() + 127) & ~(uintptr_t)127); }
inline Warp& my_warp() { return block.warps[block.current->number / WARP]; }
inline int my_lane() { return block.current->number % WARP; }

inline void wait_at(Barrier& b, int line = 0) {
  Fiber* me = block.current;
  unsigned before = b.generation;
  if (b.arrived && b.line != line) block.error = "threads of one block wait at different __syncthreads()";
  b.line = line;
  b.arrived++;
  b.release_if_complete();
  if (b.generation == before) {
    me->barrier = &b.generation;
    me->seen = before;
    switch_to(me->context, block.scheduler);
  }
}

inline void fiber_main() {
  (*block.kernel)();
  Fiber* me = block.current;
  for (auto& group : me->groups)
    if (!group.empty()) block.error = "a cp.async was never waited for";
  if (!me->open.empty()) block.error = "a cp.async was never committed";
  me->done = true;
  block.barrier.alive--;
  block.barrier.release_if_complete();
  my_warp().barrier.alive--;
  my_warp().barrier.release_if_complete();
  switch_to(me->context, block.scheduler);
}

inline void run_block(const std::vector<int>& order) {
  int n = (int)block.fibers.size(), left = n;
  memset(block.dynamic.data(), 0xff, block.dynamic.size());
  memset(__start_cuda_shared, 0xff, __stop_cuda_shared - __start_cuda_shared);
  block.barrier = Barrier();
  block.barrier.alive = n;
  for (size_t w = 0; w < block.warps.size(); w++) {
    block.warps[w].barrier = Barrier();
    block.warps[w].barrier.alive = std::min(WARP, n - (int)w * WARP);
  }
  for (int i = 0; i < n; i++) {
    Fiber& f = block.fibers[i];
    f.number = i;
    f.thread = {i % block_size.x, i / block_size.x % block_size.y, i / (block_size.x * block_size.y)};
    f.done = false;
    f.barrier = nullptr;
    f.open.clear();
    f.groups.clear();
    prepare(f.context, stacks + STACK * i, fiber_main);
  }
  while (left) {
    bool progress = false;
    for (int i : order) {
      Fiber& f = block.fibers[i];
      if (f.done || (f.barrier && *f.barrier == f.seen)) continue;
      f.barrier = nullptr;
      block.current = &f;
      switch_to(block.scheduler, f.context);
      progress = true;
      left -= f.done;
    }
    if (!progress) { block.error = "a barrier that not all threads of the block (or warp) reach"; return; }
  }
}

// Runs `kernel` for every block of the grid; order 0 ascending, 1 descending, 2 shuffled. Returns an error, or nullptr.
inline const char* launch(const unsigned* dims, size_t shared, int order, std::function<void()> kernel) {
  grid_size = {dims[0], dims[1], dims[2]};
  block_size = {dims[3], dims[4], dims[5]};
  int n = block_size.x * block_size.y * block_size.z;
  block.kernel = &kernel;
  block.error = nullptr;
  block.fibers.resize(n);
  block.warps.resize((n + WARP - 1) / WARP);
  block.dynamic.resize(shared + 128);
  if (stack_count < (size_t)n) {
    free(stacks);
    stacks = (char*)aligned_alloc(4096, STACK * n);
    stack_count = n;
  }
  std::vector<int> sequence(n);
  for (int i = 0; i < n; i++) sequence[i] = order == 1 ? n - 1 - i : i;
  unsigned state = 12345;
  for (int i = n - 1; order == 2 && i > 0; i--) {
    state = state * 1664525u + 1013904223u;
    std::swap(sequence[i], sequence[(state >> 8) % (i + 1)]);
  }
  for (unsigned z = 0; z < grid_size.z; z++)
    for (unsigned y = 0; y < grid_size.y; y++)
      for (unsigned x = 0; x < grid_size.x; x++) {
        block_index = {x, y, z};
        run_block(sequence);
        if (block.error) return block.error;
      }
  return nullptr;
}

template <class T> T exchange(T value, int lane) {  // every lane stores its value and reads that of `lane`
  static_assert(sizeof(T) <= BOX, "too large for a lane's box");
  Warp& warp = my_warp();
  memcpy(warp.box[my_lane()], &value, sizeof value);
  wait_at(warp.barrier);
  T result;
  memcpy(&result, warp.box[lane & 31], sizeof result);
  wait_at(warp.barrier);
  return result;
}

}  // namespace cuda

#define threadIdx (cuda::block.current->thread)
#define blockIdx (cuda::block_index)
#define blockDim (cuda::block_size)
#define gridDim (cuda::grid_size)
#define warpSize 32

// ---- barriers and warp functions ----
#define __syncthreads() cuda::wait_at(cuda::block.barrier, __LINE__)
inline void __syncwarp(unsigned = ~0u) { cuda::wait_at(cuda::my_warp().barrier); }
template <class T> T __shfl_sync(unsigned, T v, int source, int width = 32) {
  return cuda::exchange(v, (cuda::my_lane() & ~(width - 1)) | (source & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned, T v, int mask) { return cuda::exchange(v, cuda::my_lane() ^ mask); }
template <class T> T __shfl_down_sync(unsigned, T v, int delta, int width = 32) {
  int lane = cuda::my_lane();
  return cuda::exchange(v, (lane & (width - 1)) + delta < width ? lane + delta : lane);
}

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
inline void cp_async16(void* to, const void* from, int valid = 16) {  // 16 bytes, of which `valid` are read, the rest 0
  cuda::block.current->open.push_back({to, from, 16, valid});
  memset(to, 0xff, 16);
}
template <int BYTES> void cp_async(void* to, const void* from, bool valid) {
  cuda::block.current->open.push_back({to, from, BYTES, valid ? BYTES : 0});
  memset(to, 0xff, BYTES);
}
inline void cp_async_commit() {
  auto* f = cuda::block.current;
  f->groups.push_back(std::move(f->open));
  f->open.clear();
}
template <int N> void cp_async_wait() {  // until at most the N latest groups are in flight
  auto* f = cuda::block.current;
  while ((int)f->groups.size() > N) {
    for (auto& copy : f->groups[0]) {
      memcpy(copy.to, copy.from, copy.valid);
      memset((char*)copy.to + copy.valid, 0, copy.bytes - copy.valid);
    }
    f->groups.erase(f->groups.begin());
  }
}
inline uint32_t to_tf32(float x) { return (__float_as_uint(x) + 0x1000) & 0xffffe000u; }  // cvt.rna: 10 bits of mantissa
inline void mma_m16n8k8_tf32(float c[4], const uint32_t a[4], const uint32_t b[2]) {
  // c (16, 8) += a (16, 8) b (8, 8); lane 4 r + q holds c[r | r+8][2q, 2q+1], a[r | r+8][q | q+4], b[q | q+4][r]
  struct Operands { uint32_t a[4], b[2]; } mine;
  memcpy(mine.a, a, sizeof mine.a);
  memcpy(mine.b, b, sizeof mine.b);
  cuda::Warp& warp = cuda::my_warp();
  int lane = cuda::my_lane(), r = lane >> 2, q = lane & 3;
  memcpy(warp.box[lane], &mine, sizeof mine);
  cuda::wait_at(warp.barrier);
  for (int i = 0; i < 4; i++) {
    int row = r + 8 * (i >> 1), column = 2 * q + (i & 1);
    float sum = c[i];
    for (int k = 0; k < 8; k++) {
      auto* left = (Operands*)warp.box[(row & 7) * 4 + (k & 3)];
      auto* right = (Operands*)warp.box[column * 4 + (k & 3)];
      sum += __uint_as_float(left->a[(row >> 3) + 2 * (k >> 2)] & 0xffffe000u) *
             __uint_as_float(right->b[k >> 2] & 0xffffe000u);
    }
    c[i] = sum;
  }
  cuda::wait_at(warp.barrier);
}
