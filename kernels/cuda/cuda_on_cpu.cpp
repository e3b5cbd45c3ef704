// The threads of cuda_on_cpu.h: fibers, barriers, asynchronous copies and launches. Compiled once, for all kernels.
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

struct Fiber : Thread {
  Context context;
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

struct Warp { Barrier barrier; alignas(16) char box[WARP][BOX]; };

static struct {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Barrier barrier;
  Context scheduler;
  void (*kernel)(void**);
  void** arguments;
  std::vector<char> dynamic;
  char *begin, *end;  // of the __shared__ variables
  const char* error;
} block;

Thread* current;
uint3 block_index;
dim3 block_size, grid_size;

static Fiber* me() { return (Fiber*)current; }
static Warp& my_warp() { return block.warps[current->number / WARP]; }

void* dynamic_shared() { return (void*)(((uintptr_t)block.dynamic.data() + 127) & ~(uintptr_t)127); }
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

void wait_for_block(int line) { wait_at(block.barrier, line); }
void wait_for_warp() { wait_at(my_warp().barrier, 0); }

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

// ---- launches ----
static void fiber_main() {
  block.kernel(block.arguments);
  Fiber* fiber = me();
  for (auto& group : fiber->groups)
    if (!group.empty()) block.error = "a cp.async was never waited for";
  if (!fiber->open.empty()) block.error = "a cp.async was never committed";
  fiber->done = true;
  block.barrier.alive--;
  block.barrier.release_if_complete();
  my_warp().barrier.alive--;
  my_warp().barrier.release_if_complete();
  switch_to(fiber->context, block.scheduler);
}

static void run_block(const std::vector<int>& order, char* stacks) {
  int n = (int)block.fibers.size(), left = n;
  memset(block.dynamic.data(), 0xff, block.dynamic.size());
  memset(block.begin, 0xff, block.end - block.begin);
  block.barrier = Barrier();
  block.barrier.alive = n;
  for (size_t w = 0; w < block.warps.size(); w++) {
    block.warps[w].barrier = Barrier();
    block.warps[w].barrier.alive = std::min(WARP, n - (int)w * WARP);
  }
  for (int i = 0; i < n; i++) {
    Fiber& f = block.fibers[i];
    f.number = i;
    f.place = {i % block_size.x, i / block_size.x % block_size.y, i / (block_size.x * block_size.y)};
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
      current = &f;
      switch_to(block.scheduler, f.context);
      progress = true;
      left -= f.done;
    }
    if (!progress) { block.error = "a barrier that not all threads of the block (or warp) reach"; return; }
  }
}

const char* launch(const unsigned* dims, size_t shared, int order, void (*kernel)(void**), void** arguments,
                   char* begin, char* end) {
  static char* stacks;
  static size_t stack_count;
  grid_size = {dims[0], dims[1], dims[2]};
  block_size = {dims[3], dims[4], dims[5]};
  int n = block_size.x * block_size.y * block_size.z;
  block.kernel = kernel, block.arguments = arguments, block.begin = begin, block.end = end;
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
        run_block(sequence, stacks);
        if (block.error) return block.error;
      }
  return nullptr;
}

}  // namespace cuda
