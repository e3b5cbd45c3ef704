/* Vectors, and the one micro-kernel that all products of matrices here are made of.
 *
 *     acc[m][n] += sum_k a[m][k] * b[k][n]      MR rows (pixels) x NR columns (channels), all of it in registers
 *
 * Rows are read as single numbers where they lie (in the image itself: no im2col), columns as whole vectors from a
 * packed panel (K, NR). Written with the vector extensions that GCC and Clang share; which instructions they become is
 * decided by -march alone. GCC keeps acc in registers because it is a local array, every loop over it is unrolled, and
 * `rows` is a constant after inlining.
 */
#ifndef MINIGAN_VEC_H
#define MINIGAN_VEC_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#if !defined(VECTOR_BYTES) /* given only to try the shapes of another level on this one: GCC splits or joins vectors */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#endif
#if VECTOR_BYTES == 64
enum { W = 16, NV = 2, MR = 8 }; /* 16 accumulators of 32 registers: latency 4, and one multiply-add a cycle */
#elif VECTOR_BYTES == 32
enum { W = 8, NV = 2, MR = 6 }; /* 12 accumulators of 16 registers */
#else
enum { W = 4, NV = 4, MR = 6 }; /* NEON: 24 accumulators of 32 registers */
#endif
enum { NR = W * NV, LINE = 16 }; /* LINE: floats in a cache line of 64 bytes */

typedef float vec __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(W * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif
#define VEC(p) (*(const vec *)(p))
#define STORE(p, v) (*(vec *)(p) = (v))

static inline long min(long a, long b) { return a < b ? a : b; }
static inline long max(long a, long b) { return a > b ? a : b; }
static inline long up(long a, long b) { return (a + b - 1) / b; }             /* a / b, rounded up */
static inline long mirror(long i, long n) { return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i; }

INLINE vec pick(ivec mask, vec a, vec b) { return (vec)(((ivec)a & mask) | ((ivec)b & ~mask)); }
/* z where z > 0, else slope*z; with slope 0 that is +0, but NaN stays NaN */
INLINE vec rectified(vec z, float slope)
{
    vec closed = z * slope;
    if (slope == 0) closed = (vec)((ivec)z & (ivec)(z != z));
    return pick((ivec)(z > 0), z, closed);
}

/* g where on > 0, else slope*g; nothing passes a closed gate of slope 0, not even NaN */
INLINE vec gated(vec g, vec on, float slope)
{
    vec closed = g * slope;
    if (slope == 0) closed = (vec){0};
    return pick((ivec)(on > 0), g, closed);
}

INLINE float total(vec v)
{
    float s = 0;
    UNROLL for (int i = 0; i < W; i++) s += v[i];
    return s;
}

/* The first n of a vector's W numbers, zeros behind them; and back. For the last channels, where C is no multiple of W. */
INLINE vec load_first(const float *p, long n)
{
    float room[W] = {0};
    memcpy(room, p, n * sizeof(float));
    return VEC(room);
}
INLINE void store_first(float *p, vec v, long n) { memcpy(p, &v, n * sizeof(float)); }

/* The statement for c = 0, W, ... below n, with `whole` and `left` for get() and put(). */
#define COLUMNS(n, c, ...)                                                                           \
    {                                                                                                \
        long c = 0;                                                                                  \
        for (; c + W <= (n); c += W) { enum { whole = 1, left = W }; __VA_ARGS__ }                   \
        if (c < (n)) { enum { whole = 0 }; const long left = (n) - c; __VA_ARGS__ }                  \
    }
INLINE vec get(const float *p, const int whole, long left) { return whole ? VEC(p) : load_first(p, left); }
INLINE void put(float *p, vec v, const int whole, long left)
{
    if (whole) STORE(p, v);
    else store_first(p, v, left);
}

/* acc += products of K terms: a[m] + k*ak by the rows of a panel (K, NR). */
INLINE void multiply(const int rows, long K, const float *const *a, long ak, const float *b, vec acc[MR][NV])
{
    vec s[MR][NV];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int n = 0; n < NV; n++) s[m][n] = acc[m][n];
    for (long k = 0, at = 0; k < K; k++, at += ak, b += NR) {
        vec v[NV];
        UNROLL for (int n = 0; n < NV; n++) v[n] = VEC(b + n * W);
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int n = 0; n < NV; n++) s[m][n] += a[m][at] * v[n];
    }
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int n = 0; n < NV; n++) acc[m][n] = s[m][n];
}

/* acc += products of the terms of several runs: a[m] + run's place + k, by the rows of a panel (terms of all runs, NR). */
struct run { long at, terms; };
INLINE void multiply_runs(const int rows, const struct run *run, const struct run *end, const float *const *a, const float *b,
                          vec acc[MR][NV])
{
    vec s[MR][NV];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int n = 0; n < NV; n++) s[m][n] = acc[m][n];
    for (; run < end; run++)
        for (long at = run->at, last = at + run->terms; at < last; at++, b += NR) {
            vec v[NV];
            UNROLL for (int n = 0; n < NV; n++) v[n] = VEC(b + n * W);
            UNROLL for (int m = 0; m < rows; m++)
                UNROLL for (int n = 0; n < NV; n++) s[m][n] += a[m][at] * v[n];
        }
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int n = 0; n < NV; n++) acc[m][n] = s[m][n];
}

/* A W x W block transposed in registers, v[i][j] -> v[j][i]: log2(W) rounds of interleaving halves. */
#if VECTOR_BYTES == 64
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif VECTOR_BYTES == 32
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif
INLINE void transpose(vec v[W])
{
    UNROLL for (int round = 1; round < W; round *= 2) {
        vec u[W];
        UNROLL for (int i = 0; i < W / 2; i++) {
            u[2 * i] = LOW(v[i], v[i + W / 2]);
            u[2 * i + 1] = HIGH(v[i], v[i + W / 2]);
        }
        UNROLL for (int i = 0; i < W; i++) v[i] = u[i];
    }
}

/* The totals of W vectors, as one vector: the same rounds, with the halves added. */
INLINE vec totals(vec v[W])
{
    UNROLL for (int half = W / 2; half > 0; half /= 2)
        UNROLL for (int i = 0; i < half; i++) v[i] = LOW(v[i], v[i + half]) + HIGH(v[i], v[i + half]);
    return v[0];
}
#endif
