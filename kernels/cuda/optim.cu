// sgd, rmsprop, adam, ema: the update rules of cpu/optim.py for up to a hundred arrays in one launch; sums of two or three.
//
// A parameter, its gradient and its states are K arrays of one memory order, row by row in a table passed by value:
//   word[K a + k]              address of array k of row a: the array updated, the array only read, the states
//   word[K rows + a]           elements in row a
//   word[(K + 1) rows + a]     the first block that works on row a
// Threads   256, each with 16 bytes of each array; a block does `chunk` elements of one row, at most 8 K of them: up to 8 M elements
//           are about 1,000 blocks, which a large GPU runs at once; more elements are more blocks.
// Traffic   reads K numbers and writes K-1 per element: Adam 28 bytes in float32. A DCGAN's 3.5 M parameters: 98 MB, 20 us
//           at 4.8 TB/s. The arithmetic hides behind it; the two powers of Adam cost a block about a microsecond once.
// Versions  16-byte accesses where all K addresses allow them and the row has that many elements left, else one by one.
// Twin      kernels/cpu/optim.py, operation for operation: products are never fused with sums, so the bits agree, except
//           the last bit of pow() and numbers below 1.2e-38, which CuPy's -ftz=true makes 0.
// Checked by tests/cuda/test_cuda_optim.py
#include "common.cuh"

constexpr int PACK = 16 / sizeof(REAL);
struct __align__(16) Pack { REAL v[PACK]; };

#ifdef CUDA_ON_CPU
inline REAL times(REAL a, REAL b) { return a * b; }
#else
__device__ __forceinline__ float times(float a, float b) { return __fmul_rn(a, b); }  // a product that is never part
__device__ __forceinline__ double times(double a, double b) { return __dmul_rn(a, b); }  // of a fused multiply-add
#endif

// Calls rule(v), v[k] an element of array k, for this block's part of its row, and stores all v but v[1]. SUM: array 0 is not
// read, and only v[0] is stored.
template <int K, bool SUM = false, class Rule>
__device__ __forceinline__ void for_each(const Table& table, int rows, int chunk, Rule rule) {
  int row = 0;
  for (int step = 256; step; step /= 2)
    if (row + step < rows && table.word[(K + 1) * rows + row + step] <= blockIdx.x) row += step;
  REAL* array[K];
  bool aligned = true;
  for (int k = 0; k < K; k++) {
    array[k] = (REAL*)table.word[K * row + k];
    aligned = aligned && table.word[K * row + k] % sizeof(Pack) == 0;
  }
  long long start = (long long)(blockIdx.x - table.word[(K + 1) * rows + row]) * chunk;
  long long end = min(start + chunk, (long long)table.word[K * rows + row]);
  for (long long i = start + threadIdx.x * PACK; i < end; i += blockDim.x * PACK) {
    Pack x[K];
    int n = (int)min((long long)PACK, end - i);
    bool whole = aligned && n == PACK;
    for (int k = SUM; k < K; k++) {
      if (whole)
        x[k] = *(const Pack*)(array[k] + i);
      else
        for (int e = 0; e < PACK; e++) x[k].v[e] = e < n ? array[k][i + e] : (REAL)0;
    }
    for (int e = 0; e < PACK; e++) {
      REAL v[K];
      for (int k = SUM; k < K; k++) v[k] = x[k].v[e];
      rule(v);
      for (int k = 0; k < K; k++) x[k].v[e] = v[k];
    }
    for (int k = 0; k < K; k++) {
      if (k == 1 || (SUM && k > 0)) continue;
      if (whole)
        *(Pack*)(array[k] + i) = x[k];
      else
        for (int e = 0; e < PACK; e++)
          if (e < n) array[k][i + e] = x[k].v[e];
    }
  }
}

__device__ __forceinline__ REAL decayed(REAL g, REAL p, REAL weight_decay) {
  return weight_decay == 0 ? g : times(p, weight_decay) + g;
}

extern "C" __global__ void __launch_bounds__(256) sgd(Table table, int rows, int chunk, const double* rate, double lr,
                                                      REAL weight_decay) {
  REAL step = (REAL)(rate ? *rate : lr);
  for_each<2>(table, rows, chunk, [=](REAL (&v)[2]) { v[0] -= times(decayed(v[1], v[0], weight_decay), step); });
}

extern "C" __global__ void __launch_bounds__(256) sgd_momentum(Table table, int rows, int chunk, const double* rate,
                                                               double lr, REAL momentum, bool nesterov,
                                                               REAL weight_decay) {
  REAL step = (REAL)(rate ? *rate : lr);
  for_each<3>(table, rows, chunk, [=](REAL (&v)[3]) {
    REAL g = decayed(v[1], v[0], weight_decay), &m = v[2];
    m = times(m, momentum) + g;
    v[0] -= times(nesterov ? times(m, momentum) + g : m, step);
  });
}

// g / (sqrt(s) + eps), the step of RMSProp, with s brought up to date; and with s - a^2 in the root, a the mean of g.
__device__ __forceinline__ REAL scaled(REAL g, REAL& s, REAL keep, REAL add, REAL eps) {
  s = times(s, keep) + times(times(g, g), add);
  return g / (sqrt(s) + eps);
}

__device__ __forceinline__ REAL centered(REAL g, REAL& s, REAL& a, REAL keep, REAL add, REAL eps) {
  s = times(s, keep) + times(times(g, g), add);
  a = times(a, keep) + times(g, add);
  REAL variance = s - times(a, a);
  return g / (sqrt(variance > 0 ? variance : 0 * variance) + eps);  // rounding may make 0 negative; NaN stays
}

extern "C" __global__ void __launch_bounds__(256) rmsprop(Table table, int rows, int chunk, const double* rate, double lr,
                                                          double alpha, REAL eps, REAL weight_decay) {
  REAL step = (REAL)(rate ? *rate : lr), keep = (REAL)alpha, add = (REAL)(1 - alpha);
  for_each<3>(table, rows, chunk, [=](REAL (&v)[3]) {
    v[0] -= times(scaled(decayed(v[1], v[0], weight_decay), v[2], keep, add, eps), step);
  });
}

extern "C" __global__ void __launch_bounds__(256) rmsprop_centered(Table table, int rows, int chunk, const double* rate,
                                                                   double lr, double alpha, REAL eps,
                                                                   REAL weight_decay) {
  REAL step = (REAL)(rate ? *rate : lr), keep = (REAL)alpha, add = (REAL)(1 - alpha);
  for_each<4>(table, rows, chunk, [=](REAL (&v)[4]) {
    v[0] -= times(centered(decayed(v[1], v[0], weight_decay), v[2], v[3], keep, add, eps), step);
  });
}

extern "C" __global__ void __launch_bounds__(256) rmsprop_momentum(Table table, int rows, int chunk, const double* rate,
                                                                   double lr, double alpha, REAL eps, REAL weight_decay,
                                                                   REAL momentum) {
  REAL step = (REAL)(rate ? *rate : lr), keep = (REAL)alpha, add = (REAL)(1 - alpha);
  for_each<4>(table, rows, chunk, [=](REAL (&v)[4]) {
    v[3] = times(v[3], momentum) + scaled(decayed(v[1], v[0], weight_decay), v[2], keep, add, eps);
    v[0] -= times(v[3], step);
  });
}

extern "C" __global__ void __launch_bounds__(256) rmsprop_centered_momentum(Table table, int rows, int chunk,
                                                                            const double* rate, double lr, double alpha,
                                                                            REAL eps, REAL weight_decay,
                                                                            REAL momentum) {
  REAL step = (REAL)(rate ? *rate : lr), keep = (REAL)alpha, add = (REAL)(1 - alpha);
  for_each<5>(table, rows, chunk, [=](REAL (&v)[5]) {
    v[4] = times(v[4], momentum) + centered(decayed(v[1], v[0], weight_decay), v[2], v[3], keep, add, eps);
    v[0] -= times(v[4], step);
  });
}

// t = *step0 + step counts from 1; a captured step reads t and the learning rate on the device, a plain one passes them.
extern "C" __global__ void __launch_bounds__(256) adam(Table table, int rows, int chunk, const double* rate, double lr,
                                                       const long long* step0, long long step, double beta1, double beta2,
                                                       double eps, REAL weight_decay, bool decoupled) {
  __shared__ double power[2];
  if (threadIdx.x % 32 == 0 && threadIdx.x < 64)
    power[threadIdx.x / 32] = pow(threadIdx.x ? beta2 : beta1, (double)(step + (step0 ? *step0 : 0)));
  __syncthreads();
  double root = sqrt(1 - power[1]);
  REAL change = (REAL)((rate ? *rate : lr) * root / (1 - power[0])), small = (REAL)(eps * root);
  REAL kept = decoupled ? (REAL)(1 - (rate ? *rate : lr) * (double)weight_decay) : 1;  // AdamW: p itself decays
  REAL keep1 = (REAL)beta1, add1 = (REAL)(1 - beta1), keep2 = (REAL)beta2, add2 = (REAL)(1 - beta2);
  for_each<4>(table, rows, chunk, [=](REAL (&v)[4]) {
    if (decoupled) v[0] = times(v[0], kept);
    REAL g = decayed(v[1], v[0], decoupled ? 0 : weight_decay), &m = v[2], &s = v[3];
    m = times(m, keep1) + times(g, add1);
    s = times(s, keep2) + times(times(g, g), add2);
    v[0] -= times(m / (sqrt(s) + small), change);
  });
}

extern "C" __global__ void __launch_bounds__(256) ema(Table table, int rows, int chunk, const double* rate, double decay) {
  REAL part = (REAL)(1 - (rate ? *rate : decay));
  for_each<2>(table, rows, chunk, [=](REAL (&v)[2]) { v[0] += times(v[1] - v[0], part); });
}

extern "C" __global__ void __launch_bounds__(256) add_2(Table table, int rows, int chunk) {
  for_each<3, true>(table, rows, chunk, [](REAL (&v)[3]) { v[0] = v[1] + v[2]; });
}

extern "C" __global__ void __launch_bounds__(256) add_3(Table table, int rows, int chunk) {
  for_each<4, true>(table, rows, chunk, [](REAL (&v)[4]) { v[0] = v[1] + v[2] + v[3]; });
}
