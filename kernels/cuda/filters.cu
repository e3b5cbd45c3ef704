// blur_filters and its adjoint: the filters of the transposed convolution that equals "up-sample, then convolve".
//
//   blur     y[r,q,m] = sum_{a<SH, b<SW} w[KH-1+a-r, KW-1+b-q, m],  where inside w     m = (o, c), side by side
//   unblur   w[k,l,m] = sum_{a<SH, b<SW} g[KH-1+a-k, KW-1+b-l, m]
//
// One formula: out[i,j,m] = sum in[top+a-i, left+b-j, m]; unblur never leaves its input, blur does and adds nothing there.
// Threads   one per element of the output; neighbours differ in m, so reads and writes are coalesced.
//           flip_and_sum_parts: 32 neighbours a block; row r of it adds every 8th part, then eight rows are added.
// Traffic   reads SH*SW numbers per output, all but the first from L2; writes one. A 3x3x512x256 filter: 8 MB, 4 us.
//           In parts, SH*SW times as many: 2.25 of those that there are for a 4x4 filter, from L2.
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

// The same of the sum of parts x[0], ..., x[parts - 1]: what a product of few numbers and a deep sum has left (partials.py).
extern "C" __global__ void __launch_bounds__(256)
flip_and_sum_parts(const REAL* __restrict__ x, REAL* __restrict__ y, int H, int W, int OH, int OW, int M, int top, int left,
                   int SH, int SW, int parts) {
  __shared__ REAL sums[8][32];
  int column = threadIdx.x, row = threadIdx.y;
  long long index = (long long)blockIdx.x * 32 + column, part = (long long)H * W * M;
  REAL sum = 0;
  if (index < (long long)OH * OW * M) {
    int m = (int)(index % M), j = (int)(index / M % OW), i = (int)(index / M / OW);
    for (int s = row; s < parts; s += 8)
      for (int a = 0; a < SH; a++)
        for (int b = 0; b < SW; b++) {
          int h = top + a - i, w = left + b - j;
          if (h >= 0 && h < H && w >= 0 && w < W) sum += x[s * part + ((long long)h * W + w) * M + m];
        }
  }
  sums[row][column] = sum;
  __syncthreads();
  if (row > 0 || index >= (long long)OH * OW * M) return;
  for (int r = 1; r < 8; r++) sum += sums[r][column];
  y[index] = sum;
}
