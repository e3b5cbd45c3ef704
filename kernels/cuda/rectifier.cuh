// Rectifiers, and the gates that are their derivatives.
#pragma once
// leaky_relu: x where x > 0, else slope x; slope 0 gives 0 even for -infinity, and NaN stays NaN.
__device__ __forceinline__ REAL rectified(REAL x, REAL slope) {
  return x > 0 || x != x ? x : slope == 0 ? (REAL)0 : slope * x;
}
// Its derivative: g where the gate is open, else slope g; with slope 0 nothing passes, not even NaN.
__device__ __forceinline__ REAL gated(REAL g, REAL on, REAL slope) { return on > 0 ? g : slope == 0 ? (REAL)0 : slope * g; }

// What a product writes for its number x, of y's precision: OPENED = 1 rectified, 2 gated by the number at `on`, 0 x itself.
#ifndef OPENED
#define OPENED 0
#endif
__device__ __forceinline__ REAL opened(REAL x, const OUT* on, REAL slope) {
  return OPENED == 2 ? gated(x, *on, slope) : OPENED == 1 ? rectified(x, slope) : x;
}
