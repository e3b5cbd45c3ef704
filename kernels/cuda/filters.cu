// blur_filters and its adjoint: the filters of the transposed convolution that equals "up-sample, then convolve".
//
//   blur     y[r,q,m] = sum_{a<SH, b<SW} w[KH-1+a-r, KW-1+b-q, m],  where inside w     m = (o, c), side by side
//   unblur   w[k,l,m] = sum_{a<SH, b<SW} g[KH-1+a-k, KW-1+b-l, m]
//
// One formula: out[i,j,m] = sum in[top+a-i, left+b-j, m]; unblur never leaves its input, blur does and adds nothing there.
// Threads   one per element of the output; neighbours differ in m, so reads and writes are coalesced.
// Traffic   reads SH*SW numbers per output, all but the first from L2; writes one. A 3x3x512x256 filter: 8 MB, 4 us.
// Twin      kernels/cpu/filters.py      Checked by tests/cuda/test_cuda_filters.py
#include "common.cuh"

extern "C" __global__ void flip_and_sum(const REAL* __restrict__ x, REAL* __restrict__ y, int H, int W, int OH, int OW,
                                        int M, int top, int left, int SH, int SW) {
  long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (index >= (long long)OH * OW * M) return;
  int m = (int)(index % M), j = (int)(index / M % OW), i = (int)(index / M / OW);
  REAL sum = 0;
  for (int a = 0; a < SH; a++)
    for (int b = 0; b < SW; b++) {
      int h = top + a - i, w = left + b - j;
      if (h >= 0 && h < H && w >= 0 && w < W) sum += x[((long long)h * W + w) * M + m];
    }
  y[index] = sum;
}
