/* Convolutions with fewer products. Twin: cpu/winograd.py, which explains the idea for one algorithm, F(2x2, 3x3).
 *
 *     f43   3x3, stride 1                  36 products for 16 outputs instead of 144      errors 2e-5 of the deviation
 *     f23   3x3, stride 1                  16 for 4 instead of 36                         4e-6
 *     f42   4x4 or 3x3, stride 2           100 for 16 instead of 256 (144)                3e-5
 *     f22   4x4 or 3x3, stride 2           36 for 4 instead of 64 (36)                    5e-6
 *     f34   4x4, stride 1                  36 for 9 instead of 144                        2e-5
 *
 * A filter of stride 2 is four filters of stride 1, one for each phase of the image. The adjoint of stride 1 is a
 * correlation with the filters turned; that of stride 2 is one such correlation for each phase of its result.
 *
 * Two ways to share the work. Few tiles, many filters: all windows first, then a task is NR columns, whose filters it
 * transforms into its cache. Many tiles, few filters: all filters first, then a task is a group of tiles, whose windows it
 * transforms into its cache.
 */
#include "winograd.h"

#include "kernels.h"

enum { HELD = 100 << 10, CHUNK = 4 << 20, GROUP = 16 * MR }; /* floats in a core's second cache; of V at once; tiles */

struct job {
    const struct correlation *c;
    struct tiles at;
    long K, panels, group, step, chunk, tasks, by_groups, first, end; /* K: depth of the products, all phases */
    long vs, us, ms, zeros, shared, own_size; /* vs, us, ms: from one frequency to the next */
    float *V, *U, *own;
};

/* How the work is cut, and how much memory it takes: by shapes alone. Frequencies lie a cache line apart from a power of
 * two, or all streams of the transforms would fall into one set of the cache. */
static struct job planned(const struct correlation *c, int P, int out)
{
    struct job j = {.c = c, .at = {up(c->OH, out), up(c->OW, out), 0}};
    j.at.count = c->N * j.at.high * j.at.wide;
    j.K = c->phases * up(c->C, W) * W, j.panels = up(c->O, NR), j.zeros = up(c->C, W) * W;
    long cached = max(MR, HELD / (P * P * j.K) / MR * MR);
    j.by_groups = j.at.count >= 8 * cached && cached >= 2 * MR && j.panels * NR * j.K <= 128 * 256;
    j.group = min(j.at.count, j.by_groups ? cached : GROUP);
    j.ms = j.group * NR + LINE;
    if (j.by_groups) {
        j.us = j.K * NR + LINE, j.vs = j.group * j.K + LINE, j.tasks = up(j.at.count, j.group);
        j.shared = j.zeros + P * P * j.us * j.panels, j.own_size = P * P * (j.vs + j.ms);
    } else {
        j.chunk = min(j.at.count, max(GROUP, CHUNK / (P * P * j.K) / GROUP * GROUP));
        j.step = min(j.K, max(W, HELD / (P * P * NR) / W * W));
        j.us = j.step * NR + LINE, j.vs = j.chunk * j.K + LINE, j.tasks = j.panels * up(j.chunk, j.group);
        j.shared = j.zeros + P * P * j.vs, j.own_size = P * P * (j.us + j.ms);
    }
    j.shared = up(j.shared, LINE) * LINE, j.own_size = up(j.own_size, LINE) * LINE;
    return j;
}

enum { ROWS = W >= MR ? (W % MR ? 3 * W : W) : 3 * W }; /* channels in a product of weights: whole vectors, whole tiles of MR */
struct weights {
    const struct correlation *x, *g;
    struct tiles at;
    long blocks, panels, chunk, first, end, vs, ms;
    float *V, *M, *sums, *own, *gw;
};

/* The matrices: Toom and Cook's for the points 0, 1, -1, then 1/2, -2 where there are more, and infinity. Powers of a point
 * are a column of AT and, over the product of its distances to the others, a row of G; the polynomial that is zero at the
 * others is a row of BT. 1/2 and -2 together have smaller errors than 2 and -2. */
static const float AT_22[] = {1, 1, 0,
                              0, 1, 1};
static const float G_22[] = {1, 0, 1, 1, 0, 1};
static const float BT_22[] = {1, -1, 0,
                              0, 1, 0,
                              0, -1, 1};
static const float AT_23[] = {1, 1, 1, 0,
                              0, 1, -1, 1};
static const float G_23[] = {1, 0, 0, 1 / 2.f, 1 / 2.f, 1 / 2.f, 1 / 2.f, -1 / 2.f, 1 / 2.f, 0, 0, 1};
static const float BT_23[] = {1, 0, -1, 0,
                              0, 1, 1, 0,
                              0, -1, 1, 0,
                              0, -1, 0, 1};
static const float AT_42[] = {1, 1, 1, 1, 0,
                              0, 1, -1, 1 / 2.f, 0,
                              0, 1, 1, 1 / 4.f, 0,
                              0, 1, -1, 1 / 8.f, 1};
static const float G_42[] = {1, 0, 1 / 2.f, 1 / 2.f, 1 / 6.f, -1 / 6.f, 8 / 3.f, 4 / 3.f, 0, 1 / 2.f};
static const float BT_42[] = {1, -2, -1, 2, 0,
                              0, -1, 1, 2, 0,
                              0, -1, 3, -2, 0,
                              0, 1, 0, -1, 0,
                              0, 1, -2, -1, 2};
static const float AT_43[] = {1, 1, 1, 1, 1, 0,
                              0, 1, -1, 1 / 2.f, -2, 0,
                              0, 1, 1, 1 / 4.f, 4, 0,
                              0, 1, -1, 1 / 8.f, -8, 1};
static const float G_43[] = {1 / 2.f, 0, 0, 1 / 6.f, 1 / 6.f, 1 / 6.f, 1 / 6.f, -1 / 6.f, 1 / 6.f,
                             16 / 15.f, 8 / 15.f, 4 / 15.f, 1 / 30.f, -2 / 30.f, 4 / 30.f, 0, 0, 1 / 2.f};
static const float BT_43[] = {2, -3, -4, 3, 2, 0,
                              0, -2, 1, 5, 2, 0,
                              0, -2, 5, -1, -2, 0,
                              0, 2, 1, -2, -1, 0,
                              0, 1, -2, -1, 2, 0,
                              0, 2, -3, -4, 3, 2};
static const float AT_34[] = {1, 1, 1, 1, 1, 0,
                              0, 1, -1, 1 / 2.f, -2, 0,
                              0, 1, 1, 1 / 4.f, 4, 1};
static const float G_34[] = {1 / 2.f, 0, 0, 0, 1 / 6.f, 1 / 6.f, 1 / 6.f, 1 / 6.f, 1 / 6.f, -1 / 6.f, 1 / 6.f, -1 / 6.f,
                             16 / 15.f, 8 / 15.f, 4 / 15.f, 2 / 15.f, 1 / 30.f, -2 / 30.f, 4 / 30.f, -8 / 30.f, 0, 0, 0, 1 / 2.f};

#define NAME(x) f22_##x
#define P 3
#define WIN 3
#define STEP 2
#define R 2
#define OUT 2
#define BT BT_22
#define G G_22
#define AT AT_22
#include "winograd.inc"

#define NAME(x) f23_##x
#define P 4
#define WIN 4
#define STEP 2
#define R 3
#define OUT 2
#define BT BT_23
#define G G_23
#define AT AT_23
#include "winograd.inc"

#define NAME(x) f42_##x
#define P 5
#define WIN 5
#define STEP 4
#define R 2
#define OUT 4
#define BT BT_42
#define G G_42
#define AT AT_42
#include "winograd.inc"

#define NAME(x) f43_##x
#define P 6
#define WIN 6
#define STEP 4
#define R 3
#define OUT 4
#define BT BT_43
#define G G_43
#define AT AT_43
#include "winograd.inc"

#define NAME(x) f34_##x
#define P 6
#define WIN 6
#define STEP 3
#define R 4
#define OUT 3
#define BT BT_43
#define G G_34
#define AT AT_34
#include "winograd.inc"

/* ---------------------------------------------------------------------------------------------- the three kernels */

static const struct algorithm {
    int R, stride;
    int (*correlate)(struct correlation *);
    int (*weights)(const struct correlation *, const struct correlation *, float *);
} ALGORITHMS[] = {
    {2, 2, f22_correlate, f22_weights}, {3, 1, f23_correlate, f23_weights}, {2, 2, f42_correlate, f42_weights},
    {3, 1, f43_correlate, f43_weights}, {4, 1, f34_correlate, f34_weights},
};

struct sizes { long which, N, H, Wd, C, OH, OW, O, KH, KW, PH, PW, reflect; };

static int sizes_of(const struct call *c, struct sizes *s)
{
    memcpy(s, c->i, sizeof *s);
    if (s->which < 0 || s->which >= (long)(sizeof ALGORITHMS / sizeof *ALGORITHMS)) return 0;
    long most = ALGORITHMS[s->which].R * ALGORITHMS[s->which].stride;
    return s->KH > 0 && s->KW > 0 && s->KH <= most && s->KW <= most && min(min(s->N, s->C), min(s->O, s->OH)) > 0 &&
           min(min(s->H, s->Wd), s->OW) > 0;
}

/* Windows of the image, and where their taps are: one phase for each remainder by the stride */
static struct correlation image_of(const struct sizes *s, const float *x, int threads)
{
    const struct algorithm *a = &ALGORITHMS[s->which];
    struct correlation c = {.x = x, .N = s->N, .H = s->H, .Wd = s->Wd, .C = s->C, .OH = s->OH, .OW = s->OW, .O = s->O,
                            .step = a->stride, .reflect = s->reflect, .phases = a->stride * a->stride, .KW = s->KW,
                            .threads = threads};
    for (long ph = 0; ph < c.phases; ph++) {
        long row = ph / a->stride, column = ph % a->stride;
        c.top[ph] = row - s->PH, c.left[ph] = column - s->PW;
        for (long i = 0; i < a->R; i++) {
            c.row_tap[ph][i] = row + i * a->stride < s->KH ? row + i * a->stride : -1;
            c.column_tap[ph][i] = column + i * a->stride < s->KW ? column + i * a->stride : -1;
        }
    }
    return c;
}

/* y = b + the correlation of x with w */
int winograd_forward(const struct call *c)
{
    struct sizes s;
    if (!sizes_of(c, &s)) return WRONG_SIZE;
    NEED(0, s.N * s.H * s.Wd * s.C);
    NEED(1, s.KH * s.KW * s.C * s.O);
    NEED(2, s.O);
    NEED(3, s.N * s.OH * s.OW * s.O);
    struct correlation k = image_of(&s, c->arrays[0].data, c->threads);
    k.w = c->arrays[1].data, k.b = c->arrays[2].data, k.y = c->arrays[3].data;
    k.yw = s.O, k.yh = s.OW * s.O, k.yn = s.OH * s.OW * s.O;
    return ALGORITHMS[s.which].correlate(&k);
}

/* Of one axis: the taps that meet pixels = phase modulo the stride, in the order of g's rows, and the first of those rows.
 * Pixel q*S + phase meets tap k at row q + (phase + pad - k) / S of g. */
static long turned_taps(long phase, long stride, long pad, long kernel, long R, long *taps)
{
    long least = (phase + pad) % stride, count = least < kernel ? (kernel - 1 - least) / stride + 1 : 0;
    for (long i = 0; i < R; i++) taps[i] = i < count ? least + (count - 1 - i) * stride : -1;
    return (phase + pad - least) / stride - (count - 1);
}

/* gx (N, H, Wd, C) = b + the adjoint on g (N, OH, OW, O): one correlation of g with turned filters for each phase of gx */
int winograd_adjoint(const struct call *c)
{
    struct sizes s;
    if (!sizes_of(c, &s)) return WRONG_SIZE;
    NEED(0, s.N * s.OH * s.OW * s.O);
    NEED(1, s.KH * s.KW * s.C * s.O);
    NEED(2, s.C);
    NEED(3, s.N * s.H * s.Wd * s.C);
    const struct algorithm *a = &ALGORITHMS[s.which];
    for (long row = 0; row < min(a->stride, s.H); row++)
        for (long column = 0; column < min(a->stride, s.Wd); column++) {
            struct correlation k = {.x = c->arrays[0].data, .w = c->arrays[1].data, .b = c->arrays[2].data, .N = s.N, .H = s.OH,
                                    .Wd = s.OW, .C = s.O, .O = s.C, .step = 1, .phases = 1, .KW = s.KW, .turned = 1,
                                    .threads = c->threads};
            k.y = c->arrays[3].data + (row * s.Wd + column) * s.C;
            k.OH = up(s.H - row, a->stride), k.OW = up(s.Wd - column, a->stride);
            k.yw = a->stride * s.C, k.yh = a->stride * s.Wd * s.C, k.yn = s.H * s.Wd * s.C;
            k.top[0] = turned_taps(row, a->stride, s.PH, s.KH, a->R, k.row_tap[0]);
            k.left[0] = turned_taps(column, a->stride, s.PW, s.KW, a->R, k.column_tap[0]);
            int result = a->correlate(&k);
            if (result != DONE) return result;
        }
    return DONE;
}

/* gw (KH, KW, C, O) = the sum over all pixels of x's windows times g */
int winograd_weights(const struct call *c)
{
    struct sizes s;
    if (!sizes_of(c, &s)) return WRONG_SIZE;
    NEED(0, s.N * s.H * s.Wd * s.C);
    NEED(1, s.N * s.OH * s.OW * s.O);
    NEED(2, s.KH * s.KW * s.C * s.O);
    struct correlation x = image_of(&s, c->arrays[0].data, c->threads);
    struct correlation g = {.x = c->arrays[1].data, .N = s.N, .H = s.OH, .Wd = s.OW, .C = s.O, .step = 1, .phases = 1};
    return ALGORITHMS[s.which].weights(&x, &g, c->arrays[2].data);
}
