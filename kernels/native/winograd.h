/* The parts of a convolution with fewer products, for any algorithm (Winograd, 1980; Toom & Cook; Lavin & Gray, 2016):
 *
 *     y = A^T [(G w G^T) . (B^T d B)] A       B^T (P, WIN), G (P, R), A^T (OUT, P), applied along rows and along columns
 *
 * windows   V = B^T d B       of the image: WIN x WIN pixels, STEP apart
 * filters   U = G w G^T       of R x R taps
 * back      y = A^T (V U) A   OUT x OUT pixels
 *
 * Everything is inlined with constant sizes and matrices: a 0 costs nothing, a 1 no product, and the compiler makes
 * straight code of each algorithm. Vectors run over channels.
 */
#ifndef MINIGAN_WINOGRAD_H
#define MINIGAN_WINOGRAD_H
#include "vec.h"

enum { MOST_TAPS = 4 };

/* A dense correlation of stride 1 in terms of windows; convolutions of stride 2 and adjoints are written as such.
 * With several phases, the image's pixels that agree modulo `step` are images of their own, and their channels follow one
 * another: k = phase * (C rounded up to whole vectors) + c. */
struct correlation {
    const float *x, *w, *b, *zeros; /* x (N, H, Wd, C); w: see taps; zeros: a pixel beyond the border */
    float *y;                       /* pixel (n, i, j) at n*yn + i*yh + j*yw */
    long N, H, Wd, C, OH, OW, O, yn, yh, yw;
    long step, reflect, phases, top[4], left[4]; /* pixel (0, 0) of a phase's first window */
    long row_tap[4][MOST_TAPS], column_tap[4][MOST_TAPS]; /* of each phase, in w's rows and columns; -1: no such tap */
    long KW, turned; /* w (KH, KW, C, O), or, turned, (KH, KW, O, C) */
    int threads;
};

/* out = M in for a (b, a) matrix, or with T one that is stored transposed */
INLINE void apply(const int b, const int a, const float *M, const int T, const vec *in, const int si, vec *out, const int so)
{
    UNROLL for (int i = 0; i < b; i++) {
        vec s = {0};
        int empty = 1;
        UNROLL for (int j = 0; j < a; j++) {
            const float c = T ? M[j * b + i] : M[i * a + j];
            if (c == 0) continue;
            s = empty ? c * in[j * si] : s + c * in[j * si];
            empty = 0;
        }
        out[i * so] = s;
    }
}

/* out (b, b) = M in M^T for in (a, a) */
INLINE void both(const int b, const int a, const float *M, const int T, const vec *in, vec *out)
{
    vec half[b * a];
    UNROLL for (int j = 0; j < a; j++) apply(b, a, M, T, in + j, a, half + j, a);
    UNROLL for (int i = 0; i < b; i++) apply(b, a, M, T, half + i * a, 1, out + i * b, 1);
}

INLINE const float *pixel(const struct correlation *c, long n, long i, long j)
{
    if (c->reflect) i = mirror(i, c->H), j = mirror(j, c->Wd);
    if (i < 0 || i >= c->H || j < 0 || j >= c->Wd) return c->zeros;
    return c->x + ((n * c->H + i) * c->Wd + j) * c->C;
}

/* Where tiles are: `high` x `wide` of them on each image */
struct tiles { long high, wide, count; };

/* V of tiles t0 <= t < t1: frequency f of channel k at V[f*fs + (t-t0)*ts + k/block*cs + k%block]; T: see apply */
INLINE void windows(const int P, const int WIN, const int STEP, const float *BT, const int T, const struct correlation *c,
                    struct tiles at, long t0, long t1, float *V, long fs, long ts, long block, long cs)
{
    for (long t = t0; t < t1; t++)
        for (long ph = 0; ph < c->phases; ph++) {
            const float *p[WIN * WIN];
            long n = t / (at.high * at.wide), i0 = t / at.wide % at.high * STEP * c->step + c->top[ph];
            long j0 = t % at.wide * STEP * c->step + c->left[ph];
            for (int i = 0; i < WIN * WIN; i++) p[i] = pixel(c, n, i0 + i / WIN * c->step, j0 + i % WIN * c->step);
            for (long ch = 0, k = ph * up(c->C, W) * W; ch < c->C; ch += W, k += W) {
                vec d[WIN * WIN], out[P * P];
                if (ch + W <= c->C) {
                    UNROLL for (int i = 0; i < WIN * WIN; i++) d[i] = VEC(p[i] + ch);
                } else
                    for (int i = 0; i < WIN * WIN; i++) d[i] = load_first(p[i] + ch, c->C - ch);
                both(P, WIN, BT, T, d, out);
                float *to = V + (t - t0) * ts + k / block * cs + k % block;
                UNROLL for (int f = 0; f < P * P; f++) STORE(to + f * fs, out[f]);
            }
        }
}

/* One tap of the filters as a matrix (channels in, channels out): W of its columns from `column` on, in row k of a phase */
INLINE vec taps_of_row(const struct correlation *c, long kh, long kw, long k, long column)
{
    if (kh < 0 || kw < 0 || k >= c->C || column >= c->O) return (vec){0};
    const float *from = c->w + ((kh * c->KW + kw) * c->C + k) * c->O + column;
    return column + W <= c->O ? VEC(from) : load_first(from, c->O - column);
}

/* The same of turned filters: W rows from k on, each with W columns */
INLINE void taps_of_block(const struct correlation *c, long kh, long kw, long k, long column, vec rows[W])
{
    UNROLL for (int j = 0; j < W; j++) rows[j] = (vec){0};
    if (kh < 0 || kw < 0) return;
    for (int j = 0; j < W && column + j < c->O; j++) {
        const float *from = c->w + ((kh * c->KW + kw) * c->O + column + j) * c->C + k;
        rows[j] = k + W <= c->C ? VEC(from) : load_first(from, c->C - k);
    }
    transpose(rows);
}

/* U of rows k0 <= k < k1 (multiples of W) and NR columns: U[f*fs + (k-k0)*NR + column] */
INLINE void filters(const int P, const int R, const float *G, const struct correlation *c, long column, long k0, long k1,
                    float *U, long fs)
{
    long padded = up(c->C, W) * W;
    for (long k = k0; k < k1; k += W)
        for (int v = 0; v < NV; v++) {
            long ph = k / padded, ch = k % padded;
            vec block[R * R][W];
            UNROLL for (int i = 0; i < R * R; i++) {
                long kh = c->row_tap[ph][i / R], kw = c->column_tap[ph][i % R];
                if (c->turned)
                    taps_of_block(c, kh, kw, ch, column + v * W, block[i]);
                else
                    for (int j = 0; j < W; j++) block[i][j] = taps_of_row(c, kh, kw, ch + j, column + v * W);
            }
            for (int j = 0; j < W; j++) {
                vec d[R * R], out[P * P];
                UNROLL for (int i = 0; i < R * R; i++) d[i] = block[i][j];
                both(P, R, G, 0, d, out);
                float *to = U + (k - k0 + j) * NR + v * W;
                UNROLL for (int f = 0; f < P * P; f++) STORE(to + f * fs, out[f]);
            }
        }
}

/* Y (rows, NR) = A (rows, K) B (K, NR), or += with `more`: A[m*am + k*ak], B packed */
INLINE void rows_times_panel(long rows, long K, const float *A, long am, long ak, const float *B, float *Y, int more)
{
    for (long m0 = 0; m0 < rows; m0 += MR) {
        const float *a[MR];
        vec acc[MR][NV];
        for (int m = 0; m < MR; m++) {
            long row = min(m0 + m, rows - 1); /* beyond the last row: that row again, not stored */
            a[m] = A + row * am;
            for (int v = 0; v < NV; v++) acc[m][v] = more ? VEC(Y + row * NR + v * W) : (vec){0};
        }
        if (rows - m0 > MR / 2) multiply(MR, 1, 0, K, a, ak, B, NR, acc);
        else multiply(MR / 2, 1, 0, K, a, ak, B, NR, acc);
        for (int m = 0; m < min(MR, rows - m0); m++)
            for (int v = 0; v < NV; v++) STORE(Y + (m0 + m) * NR + v * W, acc[m][v]);
    }
}

/* y of tiles t0 <= t < t1 and NR channels from o0 on, from products M[f*fs + (t-t0)*NR] */
INLINE void back(const int P, const int OUT, const float *AT, const struct correlation *c, struct tiles at, long t0, long t1,
                 const float *M, long fs, long o0)
{
    for (long t = t0; t < t1; t++) {
        long n = t / (at.high * at.wide), i0 = t / at.wide % at.high * OUT, j0 = t % at.wide * OUT;
        long high = min(OUT, c->OH - i0), wide = min(OUT, c->OW - j0);
        float *y = c->y + n * c->yn + i0 * c->yh + j0 * c->yw + o0;
        for (int v = 0; v < NV && o0 + v * W < c->O; v++, y += W) {
            vec d[P * P], out[OUT * OUT];
            long count = min(W, c->O - o0 - v * W);
            UNROLL for (int f = 0; f < P * P; f++) d[f] = VEC(M + f * fs + (t - t0) * NR + v * W);
            both(OUT, P, AT, 0, d, out);
            vec bias = c->b ? load_first(c->b + o0 + v * W, count) : (vec){0};
            if (high == OUT && wide == OUT && count == W) {
                UNROLL for (int i = 0; i < OUT * OUT; i++) STORE(y + i / OUT * c->yh + i % OUT * c->yw, out[i] + bias);
            } else
                for (int i = 0; i < OUT * OUT; i++)
                    if (i / OUT < high && i % OUT < wide)
                        store_first(y + i / OUT * c->yh + i % OUT * c->yw, out[i] + bias, count);
        }
    }
}
#endif
