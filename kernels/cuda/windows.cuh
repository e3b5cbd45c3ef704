// The geometry of windows, for conv.cu and hopper.cu.
#pragma once

// A number of three digits: a pixel (n, i, j) to the bases (H, W), or a tap and channel (r, s, c) to the bases (KW, C).
struct Digits { int a, b, c; };

__device__ __forceinline__ Digits digits(int number, int B, int C) {
  int rest = number / C;
  return {rest / B, rest % B, number % C};
}

__device__ __forceinline__ void add(Digits& d, const Digits& step, int B, int C) {
  d.c += step.c;
  int carry = d.c >= C;
  d.c -= carry ? C : 0;
  d.b += step.b + carry;
  carry = d.b >= B;
  d.b -= carry ? B : 0;
  d.a += step.a + carry;
}

// The place of n that a mirrored border shows at i, which is at most n - 1 places beyond an edge.
__device__ __forceinline__ int mirrored(int i, int n) { return min(abs(i), 2 * (n - 1) - abs(i)); }

// One phase p of an axis of y: the numbers of its pixels and its taps. Tap r is the filter's tap
// `last - r * apart`, and sees row i + start + r * step of x.
struct Phase { int out, taps, last, apart, start, step; };

__device__ __forceinline__ Phase phase(int p, int size, int K, int S, int P, int D, int gcd) {
  int k = K - 1;
  while (k >= 0 && (p + P - k * D) % S) k--;
  int apart = S / gcd;
  return {(size - p + S - 1) / S, k < 0 ? 0 : k / apart + 1, k, apart, k < 0 ? 0 : (p + P - k * D) / S, D / gcd};
}
