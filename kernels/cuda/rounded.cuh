// Numbers as the tensor cores take them.
#pragma once
// Half a unit of the 10th bit more, away from zero; the tensor core ignores what is below that bit. NaN stays NaN.
__device__ __forceinline__ float rounded(float x) { return fmaf(__uint_as_float(__float_as_uint(x) & 0xff800000u), 1.f / 2048, x); }
__device__ __forceinline__ float4 rounded(float4 v) { return {rounded(v.x), rounded(v.y), rounded(v.z), rounded(v.w)}; }
