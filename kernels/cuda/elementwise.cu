// leaky_relu and its derivative, the gate; tanh's derivative; sums of two; sigmoid and softplus; casts. All elementwise.
// Threads   one pack of numbers each; the last numbers, less than a pack, go one by one.
// Traffic   leaky_relu reads x, writes y: 8 bytes a number in float32; gate and tanh_grad read two, write one: 12 bytes.
//           64 x 64 images of 32 x 32 (4.2 M numbers): 34 MB, 10 us at 3.3 TB/s.
// Versions  float4 (VEC=4) or double2 where all arrays are aligned, else VEC=1; STORE bf16: half of the traffic.
// Twin      kernels/cpu/elementwise.py                   Checked by tests/cuda/test_cuda_elementwise.py, emulated and on a GPU.
#include "common.cuh"
#include "pack.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
leaky_relu(const STORE* __restrict__ x, REAL slope, STORE* __restrict__ y, long long n) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  if (i + VEC <= n) {
    Pack pack = load(x + i);
    for (int v = 0; v < VEC; v++) pack.v[v] = rectified(pack.v[v], slope);
    store(y + i, pack);
  } else {
#pragma unroll 1
    for (; i < n; i++) y[i] = rectified(x[i], slope);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
gate(const STORE* __restrict__ g, const STORE* __restrict__ on, REAL slope, STORE* __restrict__ z, long long n) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  if (i + VEC <= n) {
    Pack pack = load(g + i), gates = load(on + i);
    for (int v = 0; v < VEC; v++) pack.v[v] = gated(pack.v[v], gates.v[v], slope);
    store(z + i, pack);
  } else {
#pragma unroll 1
    for (; i < n; i++) z[i] = gated(g[i], on[i], slope);
  }
}

// y = e a + (1 - e) b by rows of `width` numbers, of which VEC is a divisor; blockIdx.x is the row, which has its own e.
extern "C" __global__ void __launch_bounds__(THREADS)
mix(const REAL* __restrict__ a, const REAL* __restrict__ b, const REAL* __restrict__ share, REAL* __restrict__ y,
    long long width) {
  long long i = ((long long)blockIdx.y * blockDim.x + threadIdx.x) * VEC, first = blockIdx.x * width;
  if (i >= width) return;
  REAL e = share[blockIdx.x];
  Pack mine = load(a + first + i), theirs = load(b + first + i);
  for (int v = 0; v < VEC; v++) mine.v[v] = mine.v[v] * e + theirs.v[v] * (1 - e);
  store(y + first + i, mine);
}

// y = a + b, for numbers stored as bf16: CuPy's own kernel moves one of them at a time.
extern "C" __global__ void __launch_bounds__(THREADS)
sum_of_two(const STORE* __restrict__ a, const STORE* __restrict__ b, STORE* __restrict__ y, long long n) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  if (i + VEC <= n) {
    Pack pack = load(a + i), other = load(b + i);
    for (int v = 0; v < VEC; v++) pack.v[v] += other.v[v];
    store(y + i, pack);
  } else {
#pragma unroll 1
    for (; i < n; i++) y[i] = (REAL)a[i] + (REAL)b[i];
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
cast(const STORE* __restrict__ x, OUT* __restrict__ y, long long n) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  if (i + VEC <= n) {
    store(y + i, load(x + i));
  } else {
#pragma unroll 1
    for (; i < n; i++) y[i] = (REAL)x[i];
  }
}

// Lines of n numbers become lines of m, a multiple of VEC, with zeros at their ends; `total` numbers of y.
extern "C" __global__ void __launch_bounds__(THREADS)
widen(const STORE* __restrict__ x, OUT* __restrict__ y, int n, int m, long long total) {
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  if (i >= total) return;
  long long line = i / m;
  int at = (int)(i % m);
  Pack pack;
  for (int v = 0; v < VEC; v++) pack.v[v] = at + v < n ? (REAL)x[line * n + at + v] : (REAL)0;
  store(y + i, pack);
}

extern "C" __global__ void __launch_bounds__(THREADS)
tanh_of(const STORE* __restrict__ x, STORE* __restrict__ y, long long n) {  // for bf16; CuPy's own does as well for others
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  if (i + VEC <= n) {
    Pack pack = load(x + i);
    for (int v = 0; v < VEC; v++) pack.v[v] = tanh(pack.v[v]);
    store(y + i, pack);
  } else {
#pragma unroll 1
    for (; i < n; i++) y[i] = tanh((REAL)x[i]);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
tanh_grad(const STORE* __restrict__ g, const STORE* __restrict__ y, STORE* __restrict__ z, long long n) {  // z = g (1 - y^2)
  long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
  if (i + VEC <= n) {
    Pack pack = load(g + i), outputs = load(y + i);
    for (int v = 0; v < VEC; v++) pack.v[v] *= 1 - outputs.v[v] * outputs.v[v];
    store(z + i, pack);
  } else {
#pragma unroll 1
    for (; i < n; i++) z[i] = (REAL)g[i] * (1 - (REAL)y[i] * (REAL)y[i]);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
sigmoid(const REAL* __restrict__ x, REAL* __restrict__ y, long long n) {  // with t = e^-|x|: 1/(1+t) or t/(1+t)
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  REAL value = x[i], t = exp(-fabs(value));
  y[i] = (value >= 0 ? (REAL)1 : t) / (1 + t);
}

extern "C" __global__ void __launch_bounds__(THREADS)
softplus(const REAL* __restrict__ x, REAL* __restrict__ y, long long n) {  // max(x, 0) + ln(1 + e^-|x|); NaN stays NaN
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  REAL value = x[i];
  y[i] = (value < 0 ? (REAL)0 : value) + log1p(exp(-fabs(value)));
}
