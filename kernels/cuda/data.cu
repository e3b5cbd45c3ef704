// gather_images: a batch, y[i] = table[data[order[position + i]]], from a data set stored on the device as uint8.
//
// Threads   256, one pixel or (uchar4) four each; blocks of one image stand side by side: grid = batch * blocks.
// Traffic   reads 1 byte and writes 4 per pixel: 64 images of 64x64x3 are 3.9 MB, 1 us. The table is in shared memory.
// Versions  PIXELS = 4 where the size of an image is a multiple of 4, else 1.
// Twin      kernels/cpu/data.py      Checked by tests/cuda/test_cuda_data.py
#include "common.cuh"
#ifndef PIXELS
#define PIXELS 4
#endif

struct __align__(PIXELS) Bytes { unsigned char v[PIXELS]; };
struct __align__(PIXELS * sizeof(REAL) < 16 ? PIXELS * sizeof(REAL) : 16) Values { REAL v[PIXELS]; };

extern "C" __global__ void __launch_bounds__(256) gather_images(const unsigned char* __restrict__ data,
                                                                const long long* __restrict__ order, const long long* base,
                                                                long long position, const REAL* __restrict__ table,
                                                                REAL* __restrict__ y, long long samples, int size,
                                                                int blocks) {
  __shared__ REAL values[256];
  for (int v = threadIdx.x; v < 256; v += blockDim.x) values[v] = table[v];
  __syncthreads();
  long long place = position + (base ? *base : 0) + blockIdx.x / blocks;
  long long row = place >= 0 && place < samples ? order[place] : -1;
  long long i = ((long long)(blockIdx.x % blocks) * blockDim.x + threadIdx.x) * PIXELS;
  if (i >= size) return;
  Values out;
  if (row >= 0 && row < samples) {
    Bytes pixels = *(const Bytes*)(data + row * size + i);
    for (int e = 0; e < PIXELS; e++) out.v[e] = values[pixels.v[e]];
  } else {  // beyond the epoch or the data: NaN, because a kernel cannot raise an error
    for (int e = 0; e < PIXELS; e++) out.v[e] = (REAL)nan("");
  }
  *(Values*)(y + (blockIdx.x / blocks) * (long long)size + i) = out;
}
