// Rectifiers, and the gates that are their derivatives.
#pragma once
// leaky_relu: x where x > 0, else slope x; slope 0 gives 0 even for -infinity, and NaN stays NaN.
__device__ __forceinline__ REAL rectified(REAL x, REAL slope) {
  return x > 0 || x != x ? x : slope == 0 ? (REAL)0 : slope * x;
}
// Its derivative: g where the gate is open, else slope g; with slope 0 nothing passes, not even NaN.
__device__ __forceinline__ REAL gated(REAL g, REAL on, REAL slope) { return on > 0 ? g : slope == 0 ? (REAL)0 : slope * g; }

// What a product writes at y[at] for its number x, of y's precision: x rectified or, if there is `on`, gated by on[at]; with
// slope 1 x itself.
__device__ __forceinline__ REAL opened(REAL x, const OUT* on, long long at, REAL slope) {
  if (slope == 1) return x;
  return on ? gated(x, on[at], slope) : rectified(x, slope);
}
