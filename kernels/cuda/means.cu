// Means of functions f(x, t) of each number and its target, with their gradients; lengths of rows; weighted sums of numbers.
//
//     OF  0 cross entropy    softplus(x) - t x        sigmoid(x) - t          3 hinge      max(0, 1 - t x)    -t [t x < 1]
//         1 square           (x - t)^2                2 (x - t)               4 product    t x                t
//         2 absolute         |x - t|                  sign(x - t)             5 sigmoid    1 / (1 + e^-x)     y (1 - y)
//
// Threads   mean_of: a block takes one of `parts` pieces of x; a thread, every 256th pack of it; a tree in shared memory adds up.
//           The last block adds up the pieces (tickets.cuh). lengths: a block a row, likewise. Their gradients: a pack a thread.
// Traffic   x and t once, 8 bytes a number in float32; gradients write gx, too: 12. A batch's logits are 0.3 KB: all latency.
//           Images of CycleGAN-256 (0.2 M numbers): 1.6 MB, 0.5 us at 3.3 TB/s.
// Order     fixed by size and alignment: neither blocks nor threads race for a sum.
// Versions  float4 (VEC=4) or double2 where all arrays are aligned, else VEC=1.
// Twin      kernels/cpu/means.py                               Checked by tests/cuda/test_cuda_means.py, emulated and on a GPU.
#include "common.cuh"
#include "pack.cuh"
#include "tickets.cuh"

// e^-|x| / (1 + e^-|x|): sigmoid of -|x|, without cancellation.
__device__ __forceinline__ REAL small_sigmoid(REAL x) {
  REAL e = exp(-fabs(x));
  return e / (1 + e);
}

__device__ __forceinline__ REAL value(REAL x, REAL t, int of) {
  if (of == 0) {
    REAL slope = x < 0 ? -t : 1 - t;  // of the linear part; 0 * infinity is 0 here
    return (slope == 0 ? (REAL)0 : slope * x) + log1p(exp(-fabs(x)));
  }
  if (of == 1) return (x - t) * (x - t);
  if (of == 2) return fabs(x - t);
  if (of == 3) return t * x >= 1 ? (REAL)0 : 1 - t * x;
  if (of == 4) return t * x;
  return x >= 0 ? 1 - small_sigmoid(x) : small_sigmoid(x);
}

__device__ __forceinline__ REAL sign(REAL x) { return x > 0 ? (REAL)1 : x < 0 ? (REAL)-1 : x; }

__device__ __forceinline__ REAL slope(REAL x, REAL t, int of, bool by_target) {
  if (of == 0) return by_target ? -x : x < 0 ? small_sigmoid(x) - t : (1 - t) - small_sigmoid(x);
  if (of == 1) return 2 * (by_target ? t - x : x - t);
  if (of == 2) return sign(by_target ? t - x : x - t);
  if (of == 3) return t * x < 1 ? (by_target ? -x : -t) : (REAL)0;
  if (of == 4) return by_target ? x : t;
  REAL y = small_sigmoid(x);
  return by_target ? (REAL)0 : y * (1 - y);
}

// The sum over a block's threads, in all of them; by a tree, so its order depends on the number of threads alone.
__device__ __forceinline__ REAL over_block(REAL sum, REAL* sums) {
  sums[threadIdx.x] = sum;
  for (int half = THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  __syncthreads();
  return sums[0];
}

// This thread's part of the sum of f(x, t) over this block's piece of n numbers, `share` packs; t null: `number` stands for all.
__device__ __forceinline__ REAL part_of(const STORE* x, const STORE* t, REAL number, int of, long long n, long long share) {
  long long packs = n / VEC, end = min(packs, (blockIdx.x + 1) * share);
  REAL sum = 0;
  for (long long i = blockIdx.x * share + threadIdx.x; i < end; i += THREADS) {
    Pack values = load(x + i * VEC), targets = t ? load(t + i * VEC) : same(number);
    for (int v = 0; v < VEC; v++) sum += value(values.v[v], targets.v[v], of);
  }
  if (blockIdx.x == gridDim.x - 1)  // the last numbers, less than a pack
    for (long long i = packs * VEC + threadIdx.x; i < n; i += THREADS) sum += value(x[i], t ? (REAL)t[i] : number, of);
  return sum;
}

// The sum over all threads of the grid, written by the last block.
__device__ __forceinline__ void write_sum(REAL sum, REAL* partial, int* tickets, REAL* y, REAL* sums, bool& last) {
  sum = over_block(sum, sums);
  if (gridDim.x > 1) {
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
    if (!last_of(gridDim.x, tickets, last)) return;
    sum = 0;
    for (int i = threadIdx.x; i < gridDim.x; i += THREADS) sum += partial[i];
    sum = over_block(sum, sums);
  }
  if (threadIdx.x == 0) *y = sum;
}

// y = scale * the sum of f(x, t) over n numbers.
extern "C" __global__ void __launch_bounds__(THREADS)
mean_of(const STORE* __restrict__ x, const STORE* __restrict__ t, REAL number, int of, REAL scale, REAL* partial, int* tickets,
        REAL* __restrict__ y, long long n, long long share) {
  __shared__ REAL sums[THREADS];
  __shared__ bool last;
  write_sum(scale * part_of(x, t, number, of, n, share), partial, tickets, y, sums, last);
}

// The same over the first `half` numbers and, by another term, over as many others, in one sum; VEC divides `half`, or is 1.
extern "C" __global__ void __launch_bounds__(THREADS)
means_of_halves(const STORE* __restrict__ x, REAL number, int of, REAL scale, REAL number2, int of2, REAL scale2, REAL* partial,
                int* tickets, REAL* __restrict__ y, long long half, long long share) {
  __shared__ REAL sums[THREADS];
  __shared__ bool last;
  REAL sum = scale * part_of(x, nullptr, number, of, half, share);
  sum += scale2 * part_of(x + half, nullptr, number2, of2, half, share);
  write_sum(sum, partial, tickets, y, sums, last);
}

// gx = g scale df/dx, or with by_target gt = g scale df/dt.
extern "C" __global__ void __launch_bounds__(THREADS)
mean_of_grad(const REAL* __restrict__ g, const STORE* __restrict__ x, const STORE* __restrict__ t, REAL number, int of, REAL scale,
             bool by_target, STORE* __restrict__ gx, long long n) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  REAL factor = *g * scale;
  if (i + VEC <= n) {
    Pack values = load(x + i), targets = t ? load(t + i) : same(number);
    for (int v = 0; v < VEC; v++) values.v[v] = factor * slope(values.v[v], targets.v[v], of, by_target);
    store(gx + i, values);
  } else {
#pragma unroll 1
    for (; i < n; i++) gx[i] = factor * slope(x[i], t ? (REAL)t[i] : number, of, by_target);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
means_of_halves_grad(const REAL* __restrict__ g, const STORE* __restrict__ x, REAL number, int of, REAL scale, REAL number2,
                     int of2, REAL scale2, STORE* __restrict__ gx, long long half) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  if (i >= 2 * half) return;
  if (i >= half) number = number2, of = of2, scale = scale2;
  Pack values = load(x + i);
  for (int v = 0; v < VEC; v++) values.v[v] = *g * scale * slope(values.v[v], number, of, false);
  store(gx + i, values);
}

// y[r] = the length of row r of x (rows, width); VEC divides width.
extern "C" __global__ void __launch_bounds__(THREADS)
lengths(const REAL* __restrict__ x, REAL* __restrict__ y, long long width) {
  __shared__ REAL sums[THREADS];
  const REAL* row = x + blockIdx.x * width;
  REAL sum = 0;
#pragma unroll 4
  for (long long i = threadIdx.x * VEC; i < width; i += THREADS * VEC) {
    Pack values = load(row + i);
    for (int v = 0; v < VEC; v++) sum += values.v[v] * values.v[v];
  }
  sum = over_block(sum, sums);
  if (threadIdx.x == 0) y[blockIdx.x] = sqrt(sum);
}

// gx = g x / y by rows, and 0 where y = 0.
extern "C" __global__ void __launch_bounds__(THREADS)
lengths_grad(const REAL* __restrict__ g, const REAL* __restrict__ y, const REAL* __restrict__ x, REAL* __restrict__ gx,
             long long width) {
  long long i = ((long long)blockIdx.y * blockDim.x + threadIdx.x) * VEC, first = blockIdx.x * width;
  if (i >= width) return;
  REAL length = y[blockIdx.x], scale = length == 0 ? (REAL)0 : g[blockIdx.x] / length;
  Pack values = load(x + first + i);
  for (int v = 0; v < VEC; v++) values.v[v] *= scale;
  store(gx + first + i, values);
}

// The bits of a double, as the table has them.
__device__ __forceinline__ double as_double(unsigned long long word) {
  union {
    unsigned long long word;
    double value;
  } bits = {word};
  return bits.value;
}

// y = the sum of weights times numbers: table has the addresses of `count` numbers, then the bits of their weights, doubles.
extern "C" __global__ void weighted_sum(Table table, int count, REAL* __restrict__ y) {
  REAL sum = 0;
  for (int k = 0; k < count; k++) sum += (REAL)as_double(table.word[count + k]) * *(const REAL*)table.word[k];
  *y = sum;
}

// gs[k] = g times weight k; table has the bits of the weights.
extern "C" __global__ void weighted_sum_grad(const REAL* __restrict__ g, Table table, int count, REAL* __restrict__ gs) {
  int k = blockIdx.x * blockDim.x + threadIdx.x;
  if (k < count) gs[k] = *g * (REAL)as_double(table.word[k]);
}
