// Every kernel file includes this first: names that mean the same under nvcc, NVRTC and on a CPU (cuda_on_cpu.h), and the
// PTX that tensor-core kernels need, wrapped in functions.
#pragma once
#ifndef CUDA_ON_CPU
#ifdef __CUDACC_RTC__
typedef unsigned int uint32_t;  // NVRTC has no <stdint.h>
#else
#include <stdint.h>
#endif
#define DYNAMIC_SHARED(T, name)                              \
  extern __shared__ __align__(128) unsigned char name##_bytes[]; \
  T* name = (T*)name##_bytes

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
// Copy 16 bytes to shared memory without registers; only `valid` of them are read, the rest become 0 (padding).
__device__ __forceinline__ void cp_async16(void* to, const void* from, int valid = 16) {
  unsigned address = (unsigned)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(valid));
}
// The same for BYTES = 4, 8 or 16, of which all are read, or none.
template <int BYTES> __device__ __forceinline__ void cp_async(void* to, const void* from, bool valid) {
  unsigned address = (unsigned)__cvta_generic_to_shared(to);
  if (BYTES == 16) cp_async16(to, from, valid ? 16 : 0);
  else asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;\n" ::"r"(address), "l"(from), "n"(BYTES), "r"(valid ? BYTES : 0));
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;\n"); }
template <int N> __device__ __forceinline__ void cp_async_wait() { asm volatile("cp.async.wait_group %0;\n" ::"n"(N)); }
// Round to the 10 bits of mantissa a tensor core reads.
__device__ __forceinline__ uint32_t to_tf32(float x) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}
// c (16, 8) += a (16, 8) b (8, 8); lane 4 r + q holds c[r | r+8][2q, 2q+1], a[r | r+8][q | q+4], b[q | q+4][r].
__device__ __forceinline__ void mma_m16n8k8_tf32(float c[4], const uint32_t a[4], const uint32_t b[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// c (16, 8) += a (16, 16) b (16, 8), numbers of bf16, two in a register: c as above, a[r | r+8][2q, 2q+1 | 2q+8, 2q+9], b[2q, 2q+1 | 2q+8, 2q+9][r].
__device__ __forceinline__ void mma_m16n8k16_bf16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
#endif
#ifndef REAL
#define REAL float
#endif
// A float's upper half: 8 bits of mantissa. Storage only: it is read as a float, and a float is rounded to it, to nearest, ties to even.
struct bf16 {
  unsigned short bits;
  __device__ __forceinline__ operator float() const { return __uint_as_float((uint32_t)bits << 16); }
  __device__ __forceinline__ bf16& operator=(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else
    uint32_t u = __float_as_uint(x);
    bits = (unsigned short)(x != x ? u >> 16 | 64 : (u + 0x7fff + (u >> 16 & 1)) >> 16);  // NaN: quiet
#endif
    return *this;
  }
};
#ifndef STORE
#define STORE REAL  // what images are stored as: bf16, and then REAL is float; else REAL
#endif
#ifndef OUT
#define OUT REAL  // what a result is stored as, where that may differ
#endif
struct Table { unsigned long long word[480]; };  // addresses and numbers by value: 3840 of the 4096 bytes of parameters
