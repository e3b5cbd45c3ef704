// Matrices in shared memory, loaded by a warp as its tensor core takes them (ldmatrix).
//
//     load_matrices     four matrices of 8 lines of 16 bytes; lane l has the address of line l % 8 of matrix l / 8 and gets 4
//                       bytes, those at 4 (l % 4), of line l / 4 of each
//     load_transposed   the same of 2-byte numbers, each matrix transposed: lane l gets the numbers l / 4 of lines 2 (l % 4) and
//                       2 (l % 4) + 1
#pragma once
#ifdef CUDA_ON_CPU
typedef char* Shared;
inline Shared shared_address(const void* p) { return (char*)p; }
template <class T> void load_matrices(T (&a)[4], Shared address) {
  int lane = cuda::my_lane();
  char(*box)[cuda::BOX] = cuda::boxes();
  memcpy(box[lane], &address, sizeof address);
  cuda::wait_for_warp();
  for (int i = 0; i < 4; i++) {
    Shared line;
    memcpy(&line, box[8 * i + lane / 4], sizeof line);
    memcpy(a + i, line + lane % 4 * 4, 4);
  }
  cuda::wait_for_warp();
}
template <class T> void load_transposed(T (&a)[4], Shared address) {
  int lane = cuda::my_lane();
  char(*box)[cuda::BOX] = cuda::boxes();
  memcpy(box[lane], &address, sizeof address);
  cuda::wait_for_warp();
  for (int i = 0; i < 8; i++) {
    Shared line;
    memcpy(&line, box[8 * (i / 2) + lane % 4 * 2 + i % 2], sizeof line);
    memcpy((char*)(a + i / 2) + i % 2 * 2, line + lane / 4 * 2, 2);
  }
  cuda::wait_for_warp();
}
#else
typedef unsigned Shared;  // an address in shared memory, in bytes
template <class T> __device__ __forceinline__ Shared shared_address(T* p) { return (unsigned)__cvta_generic_to_shared(p); }
#define LOAD_MATRICES(constraint, trans)                                                    \
  asm volatile("ldmatrix.sync.aligned.m8n8.x4" trans ".shared.b16 {%0, %1, %2, %3}, [%4];\n"  \
               : constraint(a[0]), constraint(a[1]), constraint(a[2]), constraint(a[3]) : "r"(address) : "memory")
__device__ __forceinline__ void load_matrices(float (&a)[4], Shared address) { LOAD_MATRICES("=f", ""); }
__device__ __forceinline__ void load_matrices(uint32_t (&a)[4], Shared address) { LOAD_MATRICES("=r", ""); }
__device__ __forceinline__ void load_transposed(float (&a)[4], Shared address) { LOAD_MATRICES("=f", ".trans"); }
__device__ __forceinline__ void load_transposed(uint32_t (&a)[4], Shared address) { LOAD_MATRICES("=r", ".trans"); }
#endif
