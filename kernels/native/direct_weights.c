/* The filters' gradient of convolutions as they are: windows of x, turned, times g. Twin: cpu/gather.py.
 *
 *     gw[t, o] = sum over pixels p of  x[window p, term t]  g[p, o]        a term is a tap and a channel
 *
 * The one idea: a product whose depth is the pixels needs no window copied either. Rows of a tile are MR terms, read one
 * by one where they lie (x of window p is at[p] from the block's first), columns are filters, in a panel of g packed for
 * the block. Where there are few filters, the other way round: rows are filters, columns a vector of terms as they lie.
 * Every block's sums are computed in registers and then added, so they are short and their errors small.
 *
 * Tasks: a piece of the blocks, some kernel rows, some columns. Each piece has sums of its own, which are added in order.
 */
#include "direct.h"
#include "frame.h"
#include "kernels.h"

enum {
    PIXELS = 256, FEWEST = 32,    /* windows in a block, but so few that x's part of it stays in a core's second cache */
    FRAME = 72 << 10,             /* numbers of x in a block */
    STRIP = 64,                   /* columns of a task, at least: each strip copies its frames again */
    TASKS = 16, SUMS = 1 << 20,   /* pieces share the work where their sums are small: numbers in all of them */
    PACKED = 64,                  /* columns that are packed at once */
    MOST = 24                     /* accumulators of a tile */
};

struct job {
    struct image x;                                   /* with all taps */
    struct cut cut;
    const float *g;
    float *gw, *sums, *scratch;                       /* sums of the pieces; the first one's are gw, if gw has their order */
    long O, KW, blocks, pieces, high, bands, wide, strips; /* kernel rows in a task, columns in a task */
    long terms, line, all;                            /* a tap's or, if joined, a kernel row's terms; a row of sums; sums */
    long pitch, frame, pixels, rows, size;            /* numbers in parts of a worker's scratch, and in all of it */
    int few, joined, copied, vectors;                 /* vectors: columns of a tile where filters are few */
};

/* ----------------------------------------------------------------------------------------------------- products */

/* rows[r] + at[p] is number p of row r; `columns` vectors at b + bt[p] are its partners; row r of sums is `line` long. */
struct part {
    const float *a, *b;
    const long *rows, *at, *bt;
    float *sums;
    long pixels, line, wide, count;                   /* columns, rows that are kept */
    int first;                                        /* store sums; else add to them */
};

INLINE void tile(const struct part *t, const int rows, const int columns, long r)
{
    const float *a[MR];
    vec acc[MOST], v[MOST];
    UNROLL for (int m = 0; m < rows; m++) a[m] = t->a + t->rows[r + m];
    UNROLL for (int m = 0; m < rows * columns; m++) acc[m] = (vec){0};
    const long *bt = t->bt;
    const float *b = t->b;
    for (const long *at = t->at, *end = at + t->pixels; at < end; at++, bt++) {
        UNROLL for (int n = 0; n < columns; n++) v[n] = VEC(b + *bt + n * W);
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int n = 0; n < columns; n++) acc[m * columns + n] += a[m][*at] * v[n];
    }
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int n = 0; n < columns; n++) {
            float *s = t->sums + (r + m) * t->line + n * W;
            vec sum = acc[m * columns + n];
            long left = r + m < t->count ? min(W, t->wide - n * W) : 0;
            if (left == W) {
                if (!t->first) sum += VEC(s);
                STORE(s, sum);
            } else if (left > 0) {
                if (!t->first) sum += load_first(s, left);
                store_first(s, sum, left);
            }
        }
}

static void tiles(const struct part *t)
{
    long r = 0;
    for (; t->count - r > MR / 2; r += MR) tile(t, MR, NV, r);
    if (r < t->count) tile(t, MR / 2, NV, r);
}

static void few_tiles(const struct part *t)
{
    if (t->wide == 8 * W) tile(t, 1, 8, 0);
    else if (t->count == 1) tile(t, 1, 4, 0);
    else if (t->count == 2) tile(t, 2, 4, 0);
    else if (t->count == 3) tile(t, 3, 3, 0);
    else tiles(t);
}

/* -------------------------------------------------------------------------------------------------------- tasks */

/* A worker's scratch. */
struct room { float *frame, *panel; long *at, *gt, *pt, *rows; };

static struct room room(const struct job *j, int worker)
{
    struct room r = {.frame = j->scratch + worker * j->size};
    r.panel = r.frame + j->frame, r.at = (long *)(r.panel + j->pixels * PACKED);
    r.gt = r.at + j->pixels, r.pt = r.gt + j->pixels, r.rows = r.pt + j->pixels;
    return r;
}

/* g by NR columns from number o of its pixels on, zeros behind the last: some panels at once, for g is read by lines. */
static void pack(const float *g, const long *gt, long pixels, long wide, float *to)
{
    for (long p = 0; p < pixels; p++, to += NR) {
        const float *from = g + gt[p];
        long n = 0;
        for (; n + W <= wide; n += W) STORE(to + n / NR * pixels * NR + n % NR, VEC(from + n));
        if (n < wide) STORE(to + n / NR * pixels * NR + n % NR, load_first(from + n, wide - n));
        for (n = up(wide, W) * W; n % NR; n += W) STORE(to + n / NR * pixels * NR + n % NR, (vec){0});
    }
}

/* Rows are terms: where the first pixel's are; the last one MR times more. */
static long list_rows(const struct job *j, const struct view *v, long KH, long *rows)
{
    long r = 0;
    for (long k = 0; k < KH; k++)
        for (long l = 0; l < j->KW; l++)
            for (long c = 0; c < j->x.C; c++) rows[r++] = k * v->k + l * v->l + c;
    for (long m = 0; m < MR; m++) rows[r + m] = rows[r - 1];
    return r;
}

static void panels(struct part *t, const struct room *r, const float *g, long first, long last)
{
    float *sums = t->sums;
    t->bt = r->pt;
    for (long o = first; o < last; o += NR) {
        long k = (o - first) % PACKED;
        if (k == 0) pack(g + o, r->gt, t->pixels, min(PACKED, last - o), r->panel);
        t->wide = min(NR, last - o), t->sums = sums + o, t->b = r->panel + k * t->pixels;
        tiles(t);
    }
}

/* Rows are filters, columns terms of the kernel rows' runs, whole tiles of them: sums of those behind are never used. */
static void runs(const struct job *j, struct part *t, const struct room *r, const struct view *v, const float *g, long KH)
{
    long across = j->joined ? 1 : j->KW, wide = j->vectors * W;
    t->a = g, t->at = r->gt, t->bt = r->at, t->count = j->O, t->wide = wide, t->rows = r->rows;
    for (long m = 0; m < j->O + MR; m++) r->rows[m] = min(m, j->O - 1);
    for (long i = 0; i < KH * across; i++)
        for (long c = 0; c < j->terms; c += wide, t->sums += wide) {
            t->b = v->x + i / across * v->k + i % across * v->l + c;
            few_tiles(t);
        }
}

static void task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    long strip = i % j->strips, band = i / j->strips % j->bands, piece = i / j->strips / j->bands, OW = j->x.w.count;
    long k = band * j->high, first = piece * j->blocks / j->pieces, last = (piece + 1) * j->blocks / j->pieces;
    struct room r = room(j, worker);
    struct image x = j->x;
    x.h.taps = min(j->high, x.h.taps - k), x.h.first += k * x.h.step;
    for (long p = 0; p < j->pixels; p++) r.pt[p] = p * NR;
    for (long n = first; n < last; n++) {
        struct block b = block(&x, &j->cut, n);
        struct view v = look(&x, &b, r.frame, j->pitch, j->copied);
        const float *g = j->g + ((b.n * x.h.count + b.i) * OW + b.j) * j->O;
        list_pixels(r.gt, &b, x.h.count * OW * j->O, OW * j->O, j->O);
        struct part t = {.a = v.x, .rows = r.rows, .at = r.at, .pixels = list_pixels(r.at, &b, v.n, v.i, v.j),
                         .line = j->line, .first = n == first};
        if (j->few) {
            t.sums = j->sums + piece * j->all + k * (j->line / j->x.h.taps);
            runs(j, &t, &r, &v, g, x.h.taps);
        } else {
            t.sums = (piece ? j->sums + (piece - 1) * j->all : j->gw) + k * j->KW * x.C * j->O;
            t.count = list_rows(j, &v, x.h.taps, r.rows);
            panels(&t, &r, g, strip * j->wide, min(j->O, strip * j->wide + j->wide));
        }
    }
}

/* gw = the pieces' sums, in order, for some of its rows. */
static void add_task(void *arg, long k, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long row = j->KW * j->x.C, size = row * j->O, tiled = j->line / j->x.h.taps;
    float *gw = j->gw + k * size;
    if (!j->few) {
        for (long p = 0; p < j->pieces - 1; p++) {
            const float *sums = j->sums + p * j->all + k * size;
            for (long i = 0; i < size; i++) gw[i] += sums[i];
        }
        return;
    }
    long each = up(j->terms, j->vectors * W) * j->vectors * W; /* numbers in a run's tiles */
    for (long t = 0; t < row; t++)
        for (long o = 0; o < j->O; o++) {
            const float *s = j->sums + o * j->line + k * tiled + t / j->terms * each + t % j->terms;
            float sum = s[0];
            for (long p = 1; p < j->pieces; p++) sum += s[p * j->all];
            gw[t * j->O + o] = sum;
        }
}

/* --------------------------------------------------------------------------------------------------------- plan */

/* Rows are filters if they are few and that fills tiles better. */
static void choose_way(struct job *j)
{
    long KH = j->x.h.taps, C = j->x.C;
    j->joined = j->x.w.step == 1;
    j->terms = j->joined ? j->KW * C : C;
    j->vectors = j->O == 1 && j->terms >= 8 * W ? 8 : j->O == 3 ? 3 : j->O <= 2 ? 4 : NV;
    long runs = KH * (j->joined ? 1 : j->KW), tile = j->vectors * W, height = j->O <= 3 ? j->O : up(j->O, MR / 2) * (MR / 2);
    j->few = j->O < NR && runs * up(j->terms, tile) * tile * height < up(KH * j->KW * C, MR / 2) * (MR / 2) * up(j->O, NR) * NR;
    j->line = j->few ? runs * up(j->terms, tile) * tile : j->O;
    j->all = j->few ? j->O * j->line : KH * j->KW * C * j->O;
    j->copied = j->few ? j->terms % tile != 0 : C % LINE == 0 && C >= 4 * LINE;
    j->pitch = C + (!j->few && j->copied ? LINE : 0); /* channels of a tile off powers of two, or they share few sets of the cache */
}

/* How the work is cut, and how much memory a worker needs; the number of tasks. */
static long plan(struct job *j)
{
    struct image *x = &j->x;
    choose_way(j);
    j->cut = cut(x, PIXELS);
    for (long pixels = PIXELS / 2; pixels >= FEWEST && frame_size(x, &j->cut, j->pitch) > FRAME; pixels /= 2) j->cut = cut(x, pixels);
    j->blocks = blocks(x, &j->cut);
    j->pieces = min(j->blocks, max(1, min(TASKS, SUMS / j->all)));
    j->wide = up(j->O, NR) * NR, j->strips = 1;
    long left = up(TASKS, j->pieces);
    if (!j->few && left > 1 && j->O > STRIP) {
        j->wide = max(STRIP / NR, up(up(j->O, NR), left)) * NR, j->strips = up(j->O, j->wide);
        left = up(left, j->strips);
    }
    j->high = up(x->h.taps, min(left, x->h.taps)), j->bands = up(x->h.taps, j->high);
    j->frame = up(frame_size(x, &j->cut, j->pitch) + MOST * W, LINE) * LINE;
    j->pixels = up(j->cut.images * j->cut.rows * j->cut.columns + LINE, LINE) * LINE;
    j->rows = up((j->few ? j->O : j->high * j->KW * x->C) + MR, LINE) * LINE;
    j->size = j->frame + j->pixels * PACKED + (3 * j->pixels + j->rows) * (long)(sizeof(long) / sizeof(float));
    return j->pieces * j->bands * j->strips;
}

/* x (N, H, W, C), g (N, OH, OW, O), gw (KH, KW, C, O). */
int direct_weights(const struct call *c)
{
    const long *s = c->i;
    if (!are_sizes(s)) return WRONG_SIZE;
    NEED(0, SIZE(s[I_N], s[I_H], s[I_W], s[I_C]));
    NEED(1, SIZE(s[I_N], s[I_OH], s[I_OW], s[I_O]));
    NEED(2, SIZE(s[I_KH], s[I_KW], s[I_C], s[I_O]));
    struct job j = {.x = {c->arrays[0].data, s[I_N], s[I_C], {s[I_H], s[I_OH], s[I_KH], s[I_SH], -s[I_PH], s[I_DH]},
                          {s[I_W], s[I_OW], s[I_KW], s[I_SW], -s[I_PW], s[I_DW]}},
                    .g = c->arrays[1].data, .gw = c->arrays[2].data, .O = s[I_O], .KW = s[I_KW]};
    if (s[I_OW] == 1 && s[I_KW] == s[I_W] && s[I_DW] == 1 && !s[I_PW]) /* a row of the image is one pixel to its one window */
        j.x.C *= j.KW, j.KW = 1, j.x.w = (struct axis){1, 1, 1, 1, 0, 1};
    long tasks = plan(&j), sums = up((j.few ? j.pieces : j.pieces - 1) * j.all, LINE) * LINE;
    j.sums = borrow(sums + workers(c->threads, tasks) * j.size);
    if (!j.sums) return NO_MEMORY;
    j.scratch = j.sums + sums;
    parallel(c->threads, task, &j, tasks);
    if (j.few || j.pieces > 1) parallel(c->threads, add_task, &j, s[I_KH]);
    give_back(j.sums);
    return DONE;
}
