// hopper.cuh on a CPU: what is asynchronous there happens here only when it is waited for, so that a tile or a register that
// changes too early changes the result. Its queues are in cuda_on_cpu.cpp.
#pragma once
typedef uint64_t Descriptor;  // an address in shared memory / 16
inline Shared aligned_1024(Shared p) { return (char*)(((uintptr_t)p + 1023) & ~(uintptr_t)1023); }
inline void store2(Shared to, float x, float y) { *(float2*)to = {x, y}; }
inline float load1(Shared address) { return *(float*)address; }

// ---- copies ----
inline void copy16(Shared to, const void* from, bool valid) { cuda::copy_later(to, from, 16, valid ? 16 : 0); }
inline void copy16_once(Shared to, const void* from, bool valid) { copy16(to, from, valid); }
inline void copies_commit() { cuda::close_group(); }
template <int N> void copies_wait() { cuda::finish_groups(N); }
inline void barrier_init(Shared barrier) { memset(barrier, 0, 8); }
inline void barriers_made() {}
inline void barrier_expect(Shared barrier, int bytes) { cuda::expect_bytes(barrier, bytes); }
inline void barrier_wait(Shared barrier, int parity) { cuda::wait_for_bytes(barrier, parity); }
inline void bulk_copy(Shared to, const void* from, int bytes, Shared barrier) {
  cuda::bulk_copy_later(to, from, bytes, barrier);
}

// ---- clusters ----
inline void cluster_barrier() { cuda::wait_for_cluster(); }
inline float4 of_rank(Shared address, int rank) {
  return *(float4*)((char*)cuda::dynamic_shared_of(rank) + (address - (char*)cuda::dynamic_shared()));
}

// ---- products ----
inline Descriptor descriptor(Shared p) { return (uintptr_t)p >> 4; }
inline void wgmma_begin() {}
template <int N> void wgmma_m64k8(float (&c)[N], const float (&a)[4], Descriptor b) {
  char(*box)[cuda::BOX] = cuda::boxes();
  const float *mine = a, *lanes[32];
  memcpy(box[cuda::my_lane()], &mine, sizeof mine);
  cuda::wait_for_warp();
  for (int lane = 0; lane < 32; lane++) memcpy(&lanes[lane], box[lane], sizeof mine);
  cuda::wait_for_warp();
  cuda::multiply_later(c, 2 * N, lanes, b, BF16);
}
inline void wgmma_commit() { cuda::close_products(); }
template <int N> void wgmma_wait() { cuda::finish_products(N); }
template <int N> void settled(float (&)[N]) {}
