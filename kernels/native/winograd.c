/* Convolutions with fewer products. Twin: cpu/conv.py, which makes them all.
 *
 * The one idea: m neighbouring outputs of an r-tap filter take m*r products, of which only m + r - 1 are independent. For a
 * correlation is, transposed, a product of polynomials of m and r coefficients, and that is known from its values at
 * m + r - 1 points; a value of the product is one product of values. So the filter and a window are evaluated at the
 * points, multiplied there, and the results are put together, along rows and along columns: (m + r - 1)^2 products for m^2
 * outputs instead of m^2 r^2. The three formulas are in winograd.h; lesson 15 derives the matrices and their errors.
 *
 *     f43   3x3, stride 1                  36 products for 16 outputs instead of 144      errors 2e-5 of the deviation
 *     f23   3x3, stride 1                  16 for 4 instead of 36                         4e-6
 *     f42   4x4 or 3x3, stride 2           100 for 16 instead of 256 (144)                3e-5
 *     f22   4x4 or 3x3, stride 2           36 for 4 instead of 64 (36)                    5e-6
 *     f34   4x4, stride 1                  36 for 9 instead of 144                        2e-5
 *     up    pixels repeated 2x2, then 3x3  25 for 16 instead of 144                       4e-6
 *     c43   3x3, stride 1                  49 for 16 instead of 144                       4e-6
 *     c34   4x4, stride 1                  49 for 9 instead of 144                        4e-6
 *
 * A filter of stride 2 is four filters of stride 1, one for each phase of the image. Phases of a 3x3 filter have 2x2, 2x1,
 * 1x2 and 1x1 taps, and fewer products: 81 (f42) and 25 (f22).
 *
 * Two ways to share the work. Few tiles, many filters: all windows first, then a task is NR columns, whose filters it
 * transforms into its cache. Many tiles, few filters: all filters first, then a task is a group of tiles, whose windows it
 * transforms into its cache.
 */
#include "winograd.h"

#include "kernels.h"

enum { HELD = 100 << 10, CHUNK = 4 << 20, PACKED = 3 << 18, GROUP = 16 * MR }; /* floats in a core's second cache; of V at once, and of V and M packed; tiles */

struct job {
    const struct convolution *c;
    enum way way;
    struct image from, to;
    struct tiles at;
    long K, panels, group, step, chunk, tasks, by_groups, first, end; /* K: depth of the products */
    long vs, us, ms, zeros, shared, own_size; /* vs, us, ms: from one frequency to the next */
    float *V, *U, *own;
};

static const long NOWHERE[4]; /* cotangents begin at pixel (0, 0) */

static struct image image_of(const struct convolution *c)
{
    return (struct image){(float *)c->x, NULL, c->N, c->H, c->Wd, c->C, c->step, c->reflect, c->phases, c->top, c->left};
}
static struct image cotangents_of(const struct convolution *c)
{
    return (struct image){(float *)c->g, NULL, c->N, c->OH, c->OW, c->O, 1, 0, 1, NOWHERE, NOWHERE};
}

/* How the work is cut, and how much memory it takes: by shapes alone. Windows of an adjoint overlap within an image, so a
 * task has whole images. Frequencies lie a cache line apart from a power of two, or all streams of the transforms would
 * fall into one set of the cache. */
static struct job planned(const struct convolution *c, int P, int step, int out, int adjoint)
{
    struct job j = {.c = c, .at = {up(c->OH, out), up(c->OW, out), 0}};
    struct image x = image_of(c), g = cotangents_of(c);
    j.from = adjoint ? g : x, j.to = adjoint ? x : g, j.to.x = c->y;
    if (adjoint) {
        long high = up(c->H, out), wide = up(c->Wd, out), turned = c->step == 1 && step == out && 5 * high * wide <= 6 * j.at.high * j.at.wide;
        j.way = turned ? TURNED : SCATTERED;
        if (turned) j.at.high = high, j.at.wide = wide, j.from.top = &c->turned_top, j.from.left = &c->turned_left;
    }
    j.at.count = c->N * j.at.high * j.at.wide;
    j.K = adjoint ? up(c->O, W) * W : c->phases * up(c->C, W) * W;
    j.panels = adjoint ? c->phases * up(c->C, NR) : up(c->O, NR), j.zeros = up(max(c->C, c->O), W) * W + LINE;
    long unit = j.way == SCATTERED ? j.at.high * j.at.wide : MR, cached = HELD / (P * P * j.K) / unit * unit;
    j.by_groups = cached >= 2 * MR && j.at.count >= 8 * cached && j.panels * NR * j.K <= 128 * 256;
    j.group = min(j.at.count, j.by_groups ? cached : max(1, GROUP / unit) * unit);
    j.ms = j.group * NR + LINE;
    if (j.by_groups) {
        j.us = j.K * NR + LINE, j.vs = j.group * j.K + LINE, j.tasks = up(j.at.count, j.group);
        j.shared = j.zeros + P * P * j.us * j.panels, j.own_size = P * P * (j.vs + j.ms);
    } else {
        j.chunk = min(j.at.count, max(1, CHUNK / (P * P * j.K) / j.group) * j.group);
        j.step = min(j.K, max(W, HELD / (P * P * NR) / W * W));
        j.us = j.step * NR + LINE, j.vs = j.chunk * j.K + LINE, j.tasks = j.panels * up(j.chunk, j.group);
        j.shared = j.zeros + P * P * j.vs, j.own_size = P * P * (j.us + j.ms);
    }
    j.shared = up(j.shared, LINE) * LINE, j.own_size = up(j.own_size, LINE) * LINE;
    return j;
}

enum { ROWS = W % MR ? 3 * W : W }; /* channels in a product of weights: whole vectors, and whole tiles of the micro-kernel */
struct weights {
    const struct convolution *c;
    struct image x, g;
    struct tiles at;
    long blocks, panels, chunk, first, end, vs, ms;
    float *V, *M, *sums, *own;
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
/* With the points 0, 1, -1, i, -i and infinity all numbers stay small: a value at i is complex, the one at -i its conjugate,
 * and a product of complex numbers takes three real ones: (a+bi)(c+di) = ac - bd + ((a+b)(c+d) - ac - bd) i. */
static const float AT_C43[] = {1, 1, 1, 1, 0, 1, 0,
                               0, 1, -1, 0, 1, 1, 0,
                               0, 1, 1, -1, 0, -1, 0,
                               0, 1, -1, 0, -1, -1, 1};
static const float G_C43[] = {1, 0, 0, 1 / 4.f, 1 / 4.f, 1 / 4.f, 1 / 4.f, -1 / 4.f, 1 / 4.f,
                              1 / 2.f, 0, -1 / 2.f, 0, 1 / 2.f, 0, 1 / 2.f, 1 / 2.f, -1 / 2.f, 0, 0, 1};
static const float BT_C43[] = {1, 0, 0, 0, -1, 0,
                               0, 1, 1, 1, 1, 0,
                               0, -1, 1, -1, 1, 0,
                               0, -1, -1, 1, 1, 0,
                               0, -1, 1, 1, -1, 0,
                               0, 1, 0, -1, 0, 0,
                               0, -1, 0, 0, 0, 1};
static const float AT_C34[] = {1, 1, 1, 1, 0, 1, 0,
                               0, 1, -1, 0, 1, 1, 0,
                               0, 1, 1, -1, 0, -1, 1};
static const float G_C34[] = {1, 0, 0, 0, 1 / 4.f, 1 / 4.f, 1 / 4.f, 1 / 4.f, 1 / 4.f, -1 / 4.f, 1 / 4.f, -1 / 4.f,
                              1 / 2.f, 0, -1 / 2.f, 0, 0, 1 / 2.f, 0, -1 / 2.f, 1 / 2.f, 1 / 2.f, -1 / 2.f, -1 / 2.f, 0, 0, 0, 1};
/* Of nearest up-sampling and a filter (a, b, c), even outputs are x filtered by (a, b+c, 0), odd ones by (0, a+b, c). At
 * infinity the first is zero, at 0 the second, and at 1 they are equal: the points 0, 1, -1 of each, infinity. */
static const float AT_UP[] = {1, 1, 1, 0, 0,
                              0, 1, 0, 1, 0,
                              0, 1, -1, 0, 0,
                              0, 1, 0, -1, 1};
static const float G_UP[] = {1, 0, 0, 1 / 2.f, 1 / 2.f, 1 / 2.f, 1 / 2.f, -1 / 2.f, -1 / 2.f,
                             -1 / 2.f, -1 / 2.f, 1 / 2.f, 0, 0, 1};
static const float BT_UP[] = {1, 0, -1, 0,
                              0, 1, 1, 0,
                              0, -1, 1, 0,
                              0, -1, 1, 0,
                              0, -1, 0, 1};

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

#define NAME(x) up_##x
#define P 5
#define WIN 4
#define STEP 2
#define R 3
#define OUT 4
#define BT BT_UP
#define G G_UP
#define AT AT_UP
#include "winograd.inc"

#define NAME(x) c43_##x
#define P 7
#define WIN 6
#define STEP 4
#define R 3
#define OUT 4
#define BT BT_C43
#define G G_C43
#define AT AT_C43
#include "winograd.inc"

#define NAME(x) c34_##x
#define P 7
#define WIN 6
#define STEP 3
#define R 4
#define OUT 3
#define BT BT_C43
#define G G_C34
#define AT AT_C34
#include "winograd.inc"

/* ---------------------------------------------------------------------------------------------- the three kernels */

static const struct algorithm {
    int R, stride, scale; /* scale: x is first enlarged */
    int (*convolve)(const struct convolution *, int adjoint);
    int (*weights)(const struct convolution *);
} ALGORITHMS[] = {{2, 2, 1, f22_convolve, f22_weights}, {3, 1, 1, f23_convolve, f23_weights},
                  {2, 2, 1, f42_convolve, f42_weights}, {3, 1, 1, f43_convolve, f43_weights},
                  {4, 1, 1, f34_convolve, f34_weights}, {3, 1, 2, up_convolve, up_weights},
                  {3, 1, 1, c43_convolve, c43_weights}, {4, 1, 1, c34_convolve, c34_weights}};

/* The call's sizes, and where windows and their taps are: one phase for each remainder by the stride. NULL: not possible. */
static const struct algorithm *prepared(const struct call *call, struct convolution *c)
{
    enum { COUNT = sizeof ALGORITHMS / sizeof *ALGORITHMS };
    struct { long which, N, H, Wd, C, OH, OW, O, KH, KW, PH, PW, reflect; } s;
    memcpy(&s, call->i, sizeof s);
    if (s.which < 0 || s.which >= COUNT) return NULL;
    const struct algorithm *a = &ALGORITHMS[s.which];
    long least = min(min(min(s.N, s.C), min(s.O, s.OH)), min(min(s.H, s.Wd), min(s.OW, min(s.KH, s.KW))));
    if (least < 1 || max(s.KH, s.KW) > a->R * a->stride) return NULL;
    if (a->scale == 2 && (s.PH != 1 || s.PW != 1 || s.OH != 2 * s.H || s.OW != 2 * s.Wd)) return NULL;
    *c = (struct convolution){.N = s.N, .H = s.H, .Wd = s.Wd, .C = s.C, .OH = s.OH, .OW = s.OW, .O = s.O, .KH = s.KH,
                              .KW = s.KW, .step = a->stride, .reflect = s.reflect, .phases = a->stride * a->stride,
                              .turned_top = s.PH - s.KH + 1, .turned_left = s.PW - s.KW + 1, .threads = call->threads};
    for (long ph = 0; ph < c->phases; ph++) {
        long row = ph / a->stride, column = ph % a->stride;
        c->top[ph] = row - s.PH, c->left[ph] = column - s.PW;
        for (long i = 0; i < a->R; i++, row += a->stride, column += a->stride) {
            c->row_tap[ph][i] = row < s.KH ? row : -1;
            c->column_tap[ph][i] = column < s.KW ? column : -1;
        }
    }
    return a;
}

/* Forward: `from` is x, `to` is y (N, OH, OW, O). The adjoint: g, and gx (N, H, Wd, C). The bias is of `to`. */
static int convolved(const struct call *c, int adjoint)
{
    struct convolution v;
    const struct algorithm *a = prepared(c, &v);
    if (!a) return WRONG_SIZE;
    long image = SIZE(v.N, v.H, v.Wd, v.C), result = SIZE(v.N, v.OH, v.OW, v.O);
    NEED(0, adjoint ? result : image);
    NEED(1, SIZE(v.KH, v.KW, v.C, v.O));
    NEED_OR_NONE(2, adjoint ? v.C : v.O);
    NEED(3, adjoint ? image : result);
    *(adjoint ? &v.g : &v.x) = c->arrays[0].data;
    v.w = c->arrays[1].data, v.b = c->arrays[2].data, v.y = c->arrays[3].data;
    return a->convolve(&v, adjoint);
}

/* y = b + the correlation of x with w */
int winograd_forward(const struct call *c) { return convolved(c, 0); }

/* gx = b + the adjoint on g */
int winograd_adjoint(const struct call *c) { return convolved(c, 1); }

/* gw (KH, KW, C, O) = the sum over all pixels of x's windows times g */
int winograd_weights(const struct call *c)
{
    struct convolution v;
    const struct algorithm *a = prepared(c, &v);
    if (!a) return WRONG_SIZE;
    NEED(0, SIZE(v.N, v.H, v.Wd, v.C));
    NEED(1, SIZE(v.N, v.OH, v.OW, v.O));
    NEED(2, SIZE(v.KH, v.KW, v.C, v.O));
    v.x = c->arrays[0].data, v.g = c->arrays[1].data, v.y = c->arrays[2].data;
    return a->weights(&v);
}
