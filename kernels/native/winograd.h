/* The parts of a convolution with fewer products, for any algorithm (Winograd, 1980; Toom & Cook; Lavin & Gray, 2016):
 *
 *     sum_ik g[i] d[i+k] w[k] = sum_f (B^T d)[f] (G w)[f] (A g)[f]      B^T (P, WIN), G (P, R), A^T (OUT, P)
 *
 * along rows and along columns; windows of the image are WIN wide and STEP apart, tiles of the output OUT wide. From it:
 *
 *     y  = A^T (V U) A        V = B^T d B    windows of the image     windows(), back()
 *     gx = B (M U^T) B^T      M = A g A^T    tiles of the output      windows(), scatter(): the results overlap and add
 *     gw = G^T (V^T M) G      U = G w G^T    filters                  filters()
 *
 * Everything is inlined with constant sizes and matrices: a 0 costs nothing, a 1 no product, and the compiler makes
 * straight code of each algorithm. Vectors run over channels.
 */
#ifndef MINIGAN_WINOGRAD_H
#define MINIGAN_WINOGRAD_H
#include "vec.h"

enum { MOST_TAPS = 4 };

/* A convolution in terms of windows. Of a stride of 2, the image's pixels that agree modulo 2 are four images of stride 1,
 * its phases, whose channels follow one another: k = phase * (C rounded up to whole vectors) + c. */
struct convolution {
    const float *x, *w, *b, *g; /* x (N, H, Wd, C), w (KH, KW, C, O), g (N, OH, OW, O) */
    float *y;
    long N, H, Wd, C, OH, OW, O, KH, KW;
    long step, reflect, phases, top[4], left[4];          /* pixel (0, 0) of a phase's first window */
    long turned_top, turned_left;                         /* and of g, for turned filters */
    long row_tap[4][MOST_TAPS], column_tap[4][MOST_TAPS]; /* of each phase, rows and columns of w; -1: no such tap */
    int threads;
};

/* An adjoint of stride 1 is a convolution of g with the filters turned. That needs windows for every pixel of the result;
 * where the tiles of g are fewer, as on images with a border, or at a stride of 2, tiles are scattered to windows instead. */
enum way { FORWARD, TURNED, SCATTERED };

/* Images that windows are cut from, or that tiles or windows are put in */
struct image { float *x; const float *zeros; long N, H, Wd, C, step, reflect, phases; const long *top, *left; };
/* Where tiles are: `high` x `wide` of them on each image */
struct tiles { long high, wide, count; };

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

/* Pixel (i, j) of image n, or beyond the border `none`: a mirrored border is as wide as the first window reaches */
INLINE float *pixel(const struct image *m, long n, long i, long j, float *none)
{
    if (m->reflect && i >= m->top[0] && i < m->H - m->top[0]) i = mirror(i, m->H);
    if (m->reflect && j >= m->left[0] && j < m->Wd - m->left[0]) j = mirror(j, m->Wd);
    return i >= 0 && i < m->H && j >= 0 && j < m->Wd ? m->x + ((n * m->H + i) * m->Wd + j) * m->C : none;
}

/* V of tiles t0 <= t < t1: frequency f of channel k at V[f*fs + (t-t0)*ts + k/block*cs + k%block]; T: see apply */
INLINE void windows(const int P, const int WIN, const int STEP, const float *BT, const int T, const struct image *m,
                    struct tiles at, long t0, long t1, float *V, long fs, long ts, long block, long cs)
{
    for (long t = t0; t < t1; t++)
        for (long ph = 0; ph < m->phases; ph++) {
            const float *p[WIN * WIN];
            long n = t / (at.high * at.wide), i0 = t / at.wide % at.high * STEP * m->step + m->top[ph];
            long j0 = t % at.wide * STEP * m->step + m->left[ph];
            for (int i = 0; i < WIN * WIN; i++)
                p[i] = pixel(m, n, i0 + i / WIN * m->step, j0 + i % WIN * m->step, (float *)m->zeros);
            for (long c = 0, k = ph * up(m->C, W) * W; c < m->C; c += W, k += W) {
                vec d[WIN * WIN], out[P * P];
                if (c + W <= m->C) {
                    UNROLL for (int i = 0; i < WIN * WIN; i++) d[i] = VEC(p[i] + c);
                } else
                    for (int i = 0; i < WIN * WIN; i++) d[i] = load_first(p[i] + c, m->C - c);
                both(P, WIN, BT, T, d, out);
                float *to = V + (t - t0) * ts + k / block * cs + k % block;
                UNROLL for (int f = 0; f < P * P; f++) STORE(to + f * fs, out[f]);
            }
        }
}

/* W rows (channels in) by W columns (channels out) of one tap, from (c, o) on: rows are x's channels, or, turned, g's */
INLINE void taps(const struct convolution *c, const int turned, long kh, long kw, long row, long column, vec rows[W])
{
    UNROLL for (int j = 0; j < W; j++) rows[j] = (vec){0};
    if (kh < 0 || kw < 0) return;
    long ch = turned ? column : row, o = turned ? row : column;
    const float *from = c->w + ((kh * c->KW + kw) * c->C + ch) * c->O + o;
    for (long j = 0; j < W && ch + j < c->C && o < c->O; j++, from += c->O)
        rows[j] = o + W <= c->O ? VEC(from) : load_first(from, c->O - o);
    if (turned) transpose(rows);
}

/* U of rows k0 <= k < k1 (multiples of W) and a panel of NR columns: U[f*fs + (k-k0)*NR + column]. Phases are those of x's
 * channels: along the rows, or, for an adjoint, of panels. */
INLINE void filters(const int P, const int R, const float *G, const struct convolution *c, const enum way way, long panel,
                    long k0, long k1, float *U, long fs)
{
    long padded = up(c->C, W) * W, of_phase = up(c->C, NR);
    for (long k = k0; k < k1; k += W)
        for (int v = 0; v < NV; v++) {
            long ph = way == FORWARD ? k / padded : panel / of_phase, row = way == FORWARD ? k % padded : k;
            long column = (way == FORWARD ? panel : panel % of_phase) * NR + v * W;
            vec block[R * R][W];
            for (int i = 0; i < R * R; i++) {
                long kh = way == TURNED ? c->KH - 1 - i / R : c->row_tap[ph][i / R];
                long kw = way == TURNED ? c->KW - 1 - i % R : c->column_tap[ph][i % R];
                taps(c, way != FORWARD, kh, kw, row, column, block[i]);
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

/* Whether a phase's filters are zero at a frequency: at infinity, an axis's last point, is a filter's last tap, which may be
 * missing. */
INLINE int vanishes(const int P, const int R, const struct convolution *c, long ph, int f)
{
    return (f / P == P - 1 && c->row_tap[ph][R - 1] < 0) || (f % P == P - 1 && c->column_tap[ph][R - 1] < 0);
}

/* Y (rows, NR) = A (rows, K) B (K, NR), or += with `more`: A[m*am + k*ak], B packed. A sum is added when it is complete:
 * shorter sums have smaller errors. */
INLINE void rows_times_panel(long rows, long K, const float *A, long am, long ak, const float *B, float *Y, int more)
{
    for (long m0 = 0; m0 < rows; m0 += MR) {
        const float *a[MR];
        vec acc[MR][NV];
        for (int m = 0; m < MR; m++) {
            a[m] = A + min(m0 + m, rows - 1) * am; /* beyond the last row: that row again, not stored */
            for (int v = 0; v < NV; v++) acc[m][v] = (vec){0};
        }
        if (rows - m0 > MR / 2) multiply(MR, K, a, ak, B, acc);
        else multiply(MR / 2, K, a, ak, B, acc);
        for (int m = 0; m < min(MR, rows - m0); m++)
            for (int v = 0; v < NV; v++) {
                float *y = Y + (m0 + m) * NR + v * W;
                if (more) acc[m][v] += VEC(y);
                STORE(y, acc[m][v]);
            }
    }
}

/* Pixels of tiles t0 <= t < t1 and NR channels from c0 on, from products M[f*fs + (t-t0)*NR], plus b */
INLINE void back(const int P, const int OUT, const float *AT, const struct image *m, const float *b, struct tiles at, long t0,
                 long t1, const float *M, long fs, long c0)
{
    long row = m->Wd * m->C;
    for (long t = t0; t < t1; t++) {
        long n = t / (at.high * at.wide), i0 = t / at.wide % at.high * OUT, j0 = t % at.wide * OUT;
        long high = min(OUT, m->H - i0), wide = min(OUT, m->Wd - j0);
        float *y = m->x + ((n * m->H + i0) * m->Wd + j0) * m->C + c0;
        for (int v = 0; v < NV && c0 + v * W < m->C; v++, y += W) {
            vec d[P * P], out[OUT * OUT];
            long count = min(W, m->C - c0 - v * W);
            UNROLL for (int f = 0; f < P * P; f++) d[f] = VEC(M + f * fs + (t - t0) * NR + v * W);
            both(OUT, P, AT, 0, d, out);
            vec bias = b ? load_first(b + c0 + v * W, count) : (vec){0};
            if (high == OUT && wide == OUT && count == W) {
                UNROLL for (int i = 0; i < OUT * OUT; i++) STORE(y + i / OUT * row + i % OUT * m->C, out[i] + bias);
            } else
                for (int i = 0; i < OUT * OUT; i++)
                    if (i / OUT < high && i % OUT < wide)
                        store_first(y + i / OUT * row + i % OUT * m->C, out[i] + bias, count);
        }
    }
}

/* The bias, or zero, in NR channels from c0 on of those pixels of images n0 <= n < n1 that are of one phase */
INLINE void begin(const struct image *m, const float *b, long ph, long n0, long n1, long c0)
{
    for (int v = 0; v < NV && c0 + v * W < m->C; v++) {
        long c = c0 + v * W, count = min(W, m->C - c);
        vec bias = b ? load_first(b + c, count) : (vec){0};
        for (long n = n0; n < n1; n++)
            for (long i = (m->top[ph] % m->step + m->step) % m->step; i < m->H; i += m->step)
                for (long j = (m->left[ph] % m->step + m->step) % m->step; j < m->Wd; j += m->step) {
                    float *to = pixel(m, n, i, j, NULL) + c;
                    if (count == W) STORE(to, bias);
                    else store_first(to, bias, count);
                }
    }
}

/* Add what tiles t0 <= t < t1 give to their windows of the image, NR channels from c0 on of one phase */
INLINE void scatter(const int P, const int WIN, const int STEP, const float *BT, const struct image *m, struct tiles at,
                    long t0, long t1, const float *M, long fs, long ph, long c0)
{
    for (long t = t0; t < t1; t++) {
        float *p[WIN * WIN];
        long n = t / (at.high * at.wide), i0 = t / at.wide % at.high * STEP * m->step + m->top[ph], inside = 0;
        long j0 = t % at.wide * STEP * m->step + m->left[ph];
        for (int i = 0; i < WIN * WIN; i++) {
            p[i] = pixel(m, n, i0 + i / WIN * m->step, j0 + i % WIN * m->step, NULL);
            inside += p[i] != NULL;
        }
        for (int v = 0; v < NV && c0 + v * W < m->C; v++) {
            vec d[P * P], out[WIN * WIN];
            long c = c0 + v * W, count = min(W, m->C - c);
            UNROLL for (int f = 0; f < P * P; f++) d[f] = VEC(M + f * fs + (t - t0) * NR + v * W);
            both(WIN, P, BT, 1, d, out);
            if (inside == WIN * WIN && count == W) {
                UNROLL for (int i = 0; i < WIN * WIN; i++) STORE(p[i] + c, VEC(p[i] + c) + out[i]);
            } else
                for (int i = 0; i < WIN * WIN; i++)
                    if (p[i]) store_first(p[i] + c, load_first(p[i] + c, count) + out[i], count);
        }
    }
}
#endif
