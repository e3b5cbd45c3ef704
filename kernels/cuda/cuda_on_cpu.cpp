// The threads of cuda_on_cpu.h: fibers, barriers, asynchronous copies and products, launches. Compiled once, for all kernels.
#include "cuda_on_cpu.h"

#include <algorithm>
#include <cstdlib>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda {

constexpr size_t STACK = 64 * 1024;  // bytes per fiber; pages that are never touched cost nothing

// ---- switching between fibers ----
#if defined(__x86_64__)
extern "C" void cuda_switch_fiber(void** save, void* load) __attribute__((visibility("hidden")));
asm(".text\n.hidden cuda_switch_fiber\n.globl cuda_switch_fiber\ncuda_switch_fiber:\n"
    "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, (%rdi)\n  mov %rsi, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n  ret\n");
struct Context { void* stack_pointer; };
static void switch_to(Context& from, Context& to) { cuda_switch_fiber(&from.stack_pointer, to.stack_pointer); }
static void prepare(Context& c, char* stack, void (*entry)()) {
  void** top = (void**)(stack + STACK - 64);
  *--top = nullptr;  // entry's return address: never used
  *--top = (void*)entry;
  for (int i = 0; i < 6; i++) *--top = nullptr;
  c.stack_pointer = top;
}
#else  // slower, but it exists wherever POSIX does
struct Context { ucontext_t u; };
static void switch_to(Context& from, Context& to) { swapcontext(&from.u, &to.u); }
static void prepare(Context& c, char* stack, void (*entry)()) {
  getcontext(&c.u);
  c.u.uc_stack.ss_sp = stack;
  c.u.uc_stack.ss_size = STACK;
  c.u.uc_link = nullptr;
  makecontext(&c.u, entry, 0);
}
#endif

struct Copy { void* to; const void* from; int bytes, valid; };  // one cp.async that nobody has waited for yet
struct BulkCopy { void* to; const void* from; int bytes; void* barrier; };
struct CopyBarrier { int bytes; short armed, phase; };  // in shared memory, 8 bytes; bytes: to come in this phase
struct Product { float* c; int columns; uint64_t tile; bool halves; const float* lanes[WARP]; };  // one wgmma nobody has waited for yet

struct Fiber : Thread {
  Context context;
  uint3 block;
  int rank;  // of the block in its cluster
  bool done;
  const unsigned* barrier;  // waiting until *barrier leaves `seen`
  unsigned seen;
  std::vector<Copy> open;
  std::vector<std::vector<Copy>> groups;
  std::vector<Product> products;
  std::vector<std::vector<Product>> product_groups;
};

struct Barrier {
  unsigned generation = 0;
  int arrived = 0, alive = 0, line = 0;  // line: the source line of the barrier at which threads wait
  void release_if_complete() {
    if (alive && arrived == alive) { arrived = 0; generation++; }
  }
};

struct Warp { Barrier barrier; alignas(16) char box[WARP][BOX]; };

static struct {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;        // of all blocks of a cluster
  std::vector<Barrier> barriers;  // one for each block
  Barrier cluster;
  std::vector<BulkCopy> bulk;
  Context scheduler;
  void (*kernel)(void**);
  void** arguments;
  std::vector<std::vector<char>> dynamic;  // shared memory of each block
  char *begin, *end;  // of the __shared__ variables
  const char* error;
} block;

Thread* current;
uint3 block_index;
dim3 block_size, grid_size;

static Fiber* me() { return (Fiber*)current; }
static Barrier& my_barrier() { return block.barriers[me()->rank]; }
static Warp& my_warp() {
  return block.warps[me()->rank * (block.warps.size() / block.barriers.size()) + current->number / WARP];
}

void* dynamic_shared_of(int rank) { return (void*)(((uintptr_t)block.dynamic[rank].data() + 1023) & ~(uintptr_t)1023); }
void* dynamic_shared() { return dynamic_shared_of(me()->rank); }
char (*boxes())[BOX] { return my_warp().box; }

// ---- barriers ----
static void wait_at(Barrier& b, int line) {
  Fiber* fiber = me();
  unsigned before = b.generation;
  if (b.arrived && b.line != line) block.error = "threads of one block wait at different __syncthreads()";
  b.line = line;
  b.arrived++;
  b.release_if_complete();
  if (b.generation == before) {
    fiber->barrier = &b.generation;
    fiber->seen = before;
    switch_to(fiber->context, block.scheduler);
  }
}

void wait_for_block(int line) { wait_at(my_barrier(), line); }
void wait_for_warp() { wait_at(my_warp().barrier, 0); }
void wait_for_cluster() { wait_at(block.cluster, 0); }

// ---- asynchronous copies ----
void copy_later(void* to, const void* from, int bytes, int valid) {
  me()->open.push_back({to, from, bytes, valid});
  memset(to, 0xff, bytes);
}

void close_group() {
  Fiber* fiber = me();
  fiber->groups.push_back(std::move(fiber->open));
  fiber->open.clear();
}

void finish_groups(int open) {
  Fiber* fiber = me();
  while ((int)fiber->groups.size() > open) {
    for (auto& copy : fiber->groups[0]) {
      memcpy(copy.to, copy.from, copy.valid);
      memset((char*)copy.to + copy.valid, 0, copy.bytes - copy.valid);
    }
    fiber->groups.erase(fiber->groups.begin());
  }
}

void expect_bytes(void* at, int bytes) {
  auto* barrier = (CopyBarrier*)at;
  if (barrier->armed) block.error = "a barrier of copies is armed twice in one phase";
  barrier->armed = 1, barrier->bytes += bytes;
}

void bulk_copy_later(void* to, const void* from, int bytes, void* barrier) {
  block.bulk.push_back({to, from, bytes, barrier});
  memset(to, 0xff, bytes);
}

void wait_for_bytes(void* at, int parity) {
  auto* barrier = (CopyBarrier*)at;
  for (int tries = 0; (barrier->phase & 1) == parity; tries++) {
    auto arrived = [&](const BulkCopy& copy) {
      if (copy.barrier != at) return false;
      memcpy(copy.to, copy.from, copy.bytes);
      barrier->bytes -= copy.bytes;
      return true;
    };
    block.bulk.erase(std::remove_if(block.bulk.begin(), block.bulk.end(), arrived), block.bulk.end());
    if (barrier->armed && barrier->bytes == 0) {
      barrier->armed = 0, barrier->phase++;
    } else {
      if (tries > 100000) block.error = "copies that a barrier waits for never come";
      switch_to(me()->context, block.scheduler);
    }
  }
}

// ---- products ----
void multiply_later(float* c, int columns, const float* const* lanes, uint64_t tile, bool halves) {
  Product product = {c, columns, tile, halves, {}};
  std::copy(lanes, lanes + WARP, product.lanes);
  me()->products.push_back(product);
}

void close_products() {
  me()->product_groups.push_back(std::move(me()->products));
  me()->products.clear();
}

static float tensor_core(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }

static float in_tile(uint64_t tile, int line, int k) {  // lines of 128 bytes, swizzled by the address
  uintptr_t at = (tile << 4) + line * 128 + k * 4;
  return tensor_core(*(float*)(at ^ (at >> 7 & 7) << 4));
}

static float half(const void* at) { unsigned short bits; memcpy(&bits, at, 2); return __uint_as_float((unsigned)bits << 16); }
static float half_in_tile(uint64_t tile, int line, int k) {
  uintptr_t at = (tile << 4) + line * 128 + k * 2;
  return half((void*)(at ^ (at >> 7 & 7) << 4));
}

void finish_products(int open) {
  auto& groups = me()->product_groups;
  if ((int)groups.size() <= open) return;
  wait_for_warp();
  int line = my_lane() / 4, side = my_lane() % 4 * 2;
  while ((int)groups.size() > open) {
    for (auto& each : groups[0])
      for (int i = 0; i < each.columns / 2; i++)
        if (each.halves) {
          for (int k = 0; k < 16; k++)
            each.c[i] += half((char*)(each.lanes[line * 4 + k % 8 / 2] + i / 2 % 2 + k / 8 * 2) + k % 2 * 2) *
                         half_in_tile(each.tile, i / 4 * 8 + side + i % 2, k);
        } else for (int k = 0; k < 8; k++)
          each.c[i] += tensor_core(each.lanes[line * 4 + k % 4][i / 2 % 2 + k / 4 * 2]) *
                       in_tile(each.tile, i / 4 * 8 + side + i % 2, k);
    groups.erase(groups.begin());
  }
  wait_for_warp();
}

// ---- launches ----
static void fiber_main() {
  block.kernel(block.arguments);
  Fiber* fiber = me();
  for (auto& group : fiber->groups)
    if (!group.empty()) block.error = "a cp.async was never waited for";
  if (!fiber->open.empty()) block.error = "a cp.async was never committed";
  for (auto& group : fiber->product_groups)
    if (!group.empty()) block.error = "a wgmma was never waited for";
  if (!fiber->products.empty()) block.error = "a wgmma was never committed";
  fiber->done = true;
  for (Barrier* barrier : {&my_barrier(), &block.cluster, &my_warp().barrier}) {
    barrier->alive--;
    barrier->release_if_complete();
  }
  switch_to(fiber->context, block.scheduler);
}

static void run_cluster(uint3 index, const std::vector<int>& order, char* stacks) {
  int left = (int)block.fibers.size(), ranks = (int)block.barriers.size(), n = left / ranks;
  int warps = (int)block.warps.size() / ranks;
  memset(block.begin, 0xff, block.end - block.begin);
  block.bulk.clear();
  block.cluster = Barrier();
  block.cluster.alive = left;
  for (int rank = 0; rank < ranks; rank++) {
    memset(block.dynamic[rank].data(), 0xff, block.dynamic[rank].size());
    block.barriers[rank] = Barrier();
    block.barriers[rank].alive = n;
    for (int w = 0; w < warps; w++) {
      block.warps[rank * warps + w].barrier = Barrier();
      block.warps[rank * warps + w].barrier.alive = std::min(WARP, n - w * WARP);
    }
  }
  for (int i = 0; i < left; i++) {
    Fiber& f = block.fibers[i];
    int number = f.number = i % n;
    f.rank = i / n;
    f.block = {index.x + f.rank, index.y, index.z};
    f.place = {number % block_size.x, number / block_size.x % block_size.y, number / (block_size.x * block_size.y)};
    f.done = false;
    f.barrier = nullptr;
    f.open.clear();
    f.groups.clear();
    f.products.clear();
    f.product_groups.clear();
    prepare(f.context, stacks + STACK * i, fiber_main);
  }
  while (left) {
    bool progress = false;
    for (int i : order) {
      Fiber& f = block.fibers[i];
      if (f.done || (f.barrier && *f.barrier == f.seen)) continue;
      f.barrier = nullptr;
      current = &f;
      block_index = f.block;
      switch_to(block.scheduler, f.context);
      progress = true;
      left -= f.done;
    }
    if (block.error) return;
    if (!progress) { block.error = "a barrier that not all threads of the block (or warp) reach"; return; }
  }
}

const char* launch(const unsigned* dims, int cluster, size_t shared, int order, void (*kernel)(void**), void** arguments,
                   char* begin, char* end) {
  static char* stacks;
  static size_t stack_count;
  grid_size = {dims[0], dims[1], dims[2]};
  block_size = {dims[3], dims[4], dims[5]};
  int n = block_size.x * block_size.y * block_size.z, warps = (n + WARP - 1) / WARP;
  if (grid_size.x % cluster) return "the grid is no multiple of the cluster";
  n *= cluster;
  block.kernel = kernel, block.arguments = arguments, block.begin = begin, block.end = end;
  block.error = nullptr;
  block.fibers.resize(n);
  block.warps.resize(warps * cluster);
  block.barriers.resize(cluster);
  block.dynamic.resize(cluster);
  for (auto& memory : block.dynamic) memory.resize(shared + 1024);
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
      for (unsigned x = 0; x < grid_size.x; x += cluster) {
        run_cluster({x, y, z}, sequence, stacks);
        if (block.error) return block.error;
      }
  return nullptr;
}

}  // namespace cuda
