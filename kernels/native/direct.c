/* Convolutions as they are, and their adjoint in x: y = b + windows of x times filters. Twin: cpu/conv.py (gather, spread).
 *
 * The one idea: a window is a few runs of numbers that lie side by side in x, so its product with the filters reads x where
 * it is: rows are pixels, columns filters from panels (terms, NR) packed once a call (direct_tiles.h). Terms are taken TERMS
 * at a time, so that their part of a panel stays in L1 while all pixels of the block pass, and sums of TERMS products are
 * added to one another: shorter sums have smaller errors. At most DOTS columns are dot products, with vectors along the
 * window.
 *
 * The adjoint is a convolution by itself for each phase, the pixels of y that agree modulo the stride: a phase meets every
 * stride/gcd(stride, dilation)-th tap. So forward is the case of one phase.
 *
 * Tasks: a block of pixels of one phase (frame.h), and all panels or, where there are few blocks, some of them.
 */
#include "direct.h"
#include "direct_tiles.h"
#include "frame.h"
#include "kernels.h"

enum { TERMS = 256, DOT_TERMS = 4096, PIXELS = 256, FEW_PIXELS = 64, TASKS = 16 };

struct taps { long first, step; };                     /* tap t of a phase is the filters' tap first + t*step */
struct phase {
    struct image m;
    struct cut cut;
    struct taps h, w;
    long y, terms, task;                               /* where y's first pixel is; taps * C; the first task */
    float *panels;
};
struct job {
    struct phase *phases;
    const float *w;                                    /* filters (KH, KW, rows, columns) */
    const float *b;
    float *y, *bias, *scratch;                         /* bias: zero-padded */
    long count, C, O, KW, yn, yi, yj;                  /* C terms a tap and O columns, whichever way; steps in y */
    long panels, group, groups;                        /* panels in all, in a task; tasks for one block */
    long frame, pixels, runs, size;                    /* numbers in parts of a worker's scratch, and in all of it */
    int turned, dots;                                  /* the adjoint; few columns */
};

/* ------------------------------------------------------------------------------------------------------ filters */

/* W x W numbers w[n][c], rows `line` apart, to to[c][n]; fewer at the edges, zeros for the rest. */
static void turn(const float *w, long line, long rows, long columns, float *to)
{
    vec v[W];
    if (rows == W && columns == W) {
        UNROLL for (int n = 0; n < W; n++) v[n] = VEC(w + n * line);
    } else
        for (int n = 0; n < W; n++) v[n] = n < rows ? load_first(w + n * line, columns) : (vec){0};
    transpose(v);
    if (columns == W) {
        UNROLL for (int c = 0; c < W; c++) STORE(to + c * NR, v[c]);
    } else
        for (int c = 0; c < columns; c++) STORE(to + c * NR, v[c]);
}

/* NR columns of one tap as (C, NR). */
static void pack_tap(const struct job *j, const float *w, long o, float *to)
{
    long C = j->C, O = j->O, wide = min(NR, O - o);
    if (j->turned) {
        for (long n = 0; n < NR; n += W)
            for (long c = 0; c < C; c += W) turn(w + (o + n) * C + c, C, wide - n, min(W, C - c), to + c * NR + n);
    } else if (wide == NR) {
        for (long c = 0; c < C; c++)
            UNROLL for (int n = 0; n < NR; n += W) STORE(to + c * NR + n, VEC(w + c * O + o + n));
    } else
        for (long c = 0; c < C; c++)
            for (long n = 0; n < NR; n++) to[c * NR + n] = n < wide ? w[c * O + o + n] : 0;
}

/* One panel of a phase, or, of few columns, all as (O, terms). */
static void pack_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    const struct phase *p = j->phases + i / j->panels;
    (void)worker;
    long o = i % j->panels * NR, C = j->C, O = j->O;
    for (long t = 0; t < p->m.h.taps * p->m.w.taps; t++) {
        long k = p->h.first + t / p->m.w.taps * p->h.step, l = p->w.first + t % p->m.w.taps * p->w.step;
        const float *w = j->w + (k * j->KW + l) * C * O;
        if (!j->dots) pack_tap(j, w, o, p->panels + o * p->terms + t * C * NR);
        else
            for (long n = 0; n < O; n++)
                for (long c = 0; c < C; c++)
                    p->panels[n * p->terms + t * C + c] = j->turned ? w[n * C + c] : w[c * O + n];
    }
}

/* -------------------------------------------------------------------------------------------------------- tasks */

/* The runs of a window: a row of taps, or one tap, in equal parts of at most `most` terms. */
static const struct run *list_runs(struct run *run, const struct view *v, long KH, long KW, long C, long most)
{
    int joined = v->l == C;
    long length = joined ? KW * C : C;
    for (long t = 0; t < (joined ? KH : KH * KW); t++) {
        long at = joined ? t * v->k : t / KW * v->k + t % KW * v->l, step = up(even(length, most), LINE) * LINE;
        for (long c = 0; c < length; c += step) *run++ = (struct run){at + c, min(step, length - c)};
    }
    return run;
}

/* All terms of one panel, some runs at a time. */
static void sum_panel(const struct job *j, struct part *t, const struct run *run, const struct run *end, long pixels)
{
    long most = j->dots ? DOT_TERMS / j->O : TERMS, step = j->dots ? 1 : NR;
    t->first = 1;
    do {
        long terms = 0;
        t->run = run;
        while (run < end && (terms == 0 || terms + run->terms <= most)) terms += run++->terms;
        t->end = run, t->last = run == end;
        if (j->dots) dot_tiles(t, pixels);
        else tiles(t, pixels);
        t->b += terms * step, t->first = 0;
    } while (run < end);
}

static void task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    const struct phase *p = j->phases;
    while (i >= p[1].task) p++;
    i -= p->task;
    long o = i % j->groups * j->group, last = min(j->panels, o + j->group);
    struct block b = block(&p->m, &p->cut, i / j->groups);
    float *frame = j->scratch + worker * j->size, *sums = frame + j->frame;
    long *at = (long *)(sums + j->pixels * NR), *to = at + j->pixels;
    struct run *runs = (struct run *)(to + j->pixels);
    const struct run *end = runs;
    struct view v = {0};
    if (p->terms) {
        v = look(&p->m, &b, frame, j->C, 0);
        end = list_runs(runs, &v, p->m.h.taps, p->m.w.taps, j->C, j->dots ? DOT_TERMS / j->O : TERMS);
    }
    list_pixels(at, &b, v.n, v.i, v.j);
    long pixels = list_pixels(to, &b, j->yn, j->yi, j->yj), y = p->y + b.n * j->yn + b.i * j->yi + b.j * j->yj;
    for (; o < last; o++) {
        struct part t = {.x = v.x, .b = p->panels + o * p->terms * NR, .at = at, .to = to, .sums = sums,
                         .y = j->y + y + o * NR, .bias = j->bias + o * NR, .terms = p->terms, .wide = min(NR, j->O - o * NR)};
        sum_panel(j, &t, runs, end, pixels);
    }
}

/* How the work is cut, and how much memory a worker needs; the number of tasks. */
static long plan(struct job *j)
{
    long total = 0, parts = 0, tasks = 0;
    for (long k = 0; k < j->count; k++) total += j->phases[k].m.N * j->phases[k].m.h.count * j->phases[k].m.w.count;
    long pixels = min(PIXELS, max(FEW_PIXELS, total / TASKS));
    j->dots = j->O <= DOTS;
    j->panels = j->dots ? 1 : up(j->O, NR);
    for (long k = 0; k < j->count; k++) {
        struct phase *p = j->phases + k;
        long taps = p->m.h.taps * p->m.w.taps;
        p->cut = cut(&p->m, pixels);
        parts += blocks(&p->m, &p->cut);
        p->terms = taps * j->C;
        if (taps && p->m.w.taps * j->C < W) j->dots = 0;
        j->frame = max(j->frame, frame_size(&p->m, &p->cut, j->C));
        j->pixels = max(j->pixels, p->cut.images * p->cut.rows * p->cut.columns + LINE);
        j->runs = max(j->runs, taps * (j->C / (DOT_TERMS / DOTS / 4) + 2));
    }
    j->groups = min(j->panels, up(TASKS, parts)), j->group = up(j->panels, j->groups), j->groups = up(j->panels, j->group);
    for (long k = 0; k < j->count; k++) {
        j->phases[k].task = tasks;
        tasks += blocks(&j->phases[k].m, &j->phases[k].cut) * j->groups;
    }
    j->phases[j->count].task = tasks;
    j->frame = up(j->frame, LINE) * LINE, j->pixels = up(j->pixels, LINE) * LINE;
    j->size = j->frame + j->pixels * (NR + 2 * (long)(sizeof(long) / 4)) + up(j->runs * (long)(sizeof(struct run) / 4), LINE) * LINE;
    return tasks;
}

/* y = b (repeated, if it has fewer numbers than there are columns) + windows times filters, for all phases. */
static int correlate(const struct call *c, struct job *j, const float *b, long biases)
{
    long tasks = plan(j), columns = j->panels * NR, packed = 0;
    for (long k = 0; k < j->count; k++) packed += up(j->phases[k].terms * (j->dots ? j->O : columns), LINE) * LINE;
    float *memory = borrow(columns + packed + workers(c->threads, tasks) * j->size);
    if (!memory) return NO_MEMORY;
    j->bias = memory, j->scratch = memory + columns + packed;
    for (long o = 0; o < columns; o++) j->bias[o] = b && o < j->O ? b[o % biases] : 0;
    for (long k = 0, at = columns; k < j->count; k++) {
        j->phases[k].panels = memory + at;
        at += up(j->phases[k].terms * (j->dots ? j->O : columns), LINE) * LINE;
    }
    parallel(c->threads, pack_task, j, j->count * j->panels);
    parallel(c->threads, task, j, tasks);
    give_back(memory);
    return DONE;
}

/* ------------------------------------------------------------------------------------------------------ kernels */

/* x (N, H, W, C), w (KH, KW, C, O), b (O) or none, y (N, OH, OW, O). */
int direct_forward(const struct call *c)
{
    const long *g = c->i;
    if (!are_sizes(g)) return WRONG_SIZE;
    NEED(0, SIZE(g[I_N], g[I_H], g[I_W], g[I_C]));
    NEED(1, SIZE(g[I_KH], g[I_KW], g[I_C], g[I_O]));
    NEED_OR_NONE(2, g[I_O]);
    NEED(3, SIZE(g[I_N], g[I_OH], g[I_OW], g[I_O]));
    struct phase phases[2] = {{.m = {c->arrays[0].data, g[I_N], g[I_C],
                                     {g[I_H], g[I_OH], g[I_KH], g[I_SH], -g[I_PH], g[I_DH]},
                                     {g[I_W], g[I_OW], g[I_KW], g[I_SW], -g[I_PW], g[I_DW]}}, .h = {0, 1}, .w = {0, 1}}};
    struct job j = {.phases = phases, .w = c->arrays[1].data, .y = c->arrays[3].data, .count = 1, .C = g[I_C], .O = g[I_O],
                    .KW = g[I_KW], .yn = g[I_OH] * g[I_OW] * g[I_O], .yi = g[I_OW] * g[I_O], .yj = g[I_O]};
    return correlate(c, &j, c->arrays[2].data, g[I_O]);
}

static long gcd(long a, long b) { return b ? gcd(b, a % b) : a; }

/* One axis of phase p: the pixels p, p+stride, ... of `size` meet those taps k for which p + padding - k*dilation divides
 * by the stride, the last one at the first row of g. */
static struct axis phase_axis(long p, long size, long seen, long taps, long stride, long padding, long dilation, struct taps *t)
{
    long step = stride / gcd(stride, dilation), last = taps - 1;
    while (last >= 0 && (p + padding - last * dilation) % stride) last--;
    *t = (struct taps){last, -step};
    return (struct axis){seen, up(size - p, stride), last < 0 ? 0 : last / step + 1, 1,
                         last < 0 ? 0 : (p + padding - last * dilation) / stride, dilation * step / stride};
}

/* From 1x1 images, as a generator begins: one product x (N, O) by all filters as (O, KH*KW*C). */
static int spread_pixels(const struct call *c)
{
    const long *g = c->i;
    long columns = g[I_KH] * g[I_KW] * g[I_O];
    struct axis one = {1, 1, 1, 1, 0, 1};
    struct phase phases[2] = {{.m = {c->arrays[0].data, g[I_N], g[I_C], one, one}, .h = {0, 1}, .w = {0, 1}}};
    struct job j = {.phases = phases, .w = c->arrays[1].data, .y = c->arrays[3].data, .count = 1, .C = g[I_C], .O = columns,
                    .KW = 1, .yn = columns, .yi = columns, .yj = columns, .turned = 1};
    return correlate(c, &j, c->arrays[2].data, g[I_O]);
}

/* The adjoint: x (N, H, W, C) images of conv2d's outputs, w (KH, KW, O, C), b (O) or none, y (N, OH, OW, O) of its inputs. */
int direct_adjoint(const struct call *c)
{
    const long *g = c->i, SH = g[I_SH], SW = g[I_SW], OH = g[I_OH], OW = g[I_OW], O = g[I_O];
    if (!are_sizes(g)) return WRONG_SIZE;
    NEED(0, SIZE(g[I_N], g[I_H], g[I_W], g[I_C]));
    NEED(1, SIZE(g[I_KH], g[I_KW], g[I_C], O));
    NEED_OR_NONE(2, O);
    NEED(3, SIZE(g[I_N], OH, OW, O));
    if (g[I_H] == 1 && g[I_W] == 1 && !g[I_PH] && !g[I_PW] && g[I_DH] == 1 && g[I_DW] == 1 && OH == g[I_KH] && OW == g[I_KW])
        return spread_pixels(c);
    struct job j = {.w = c->arrays[1].data, .y = c->arrays[3].data, .C = g[I_C], .O = O, .KW = g[I_KW], .yn = OH * OW * O,
                    .yi = SH * OW * O, .yj = SW * O, .turned = 1};
    j.phases = (struct phase *)borrow(up((min(SH, OH) * min(SW, OW) + 1) * (long)sizeof(struct phase), 4));
    if (!j.phases) return NO_MEMORY;
    for (long p = 0; p < min(SH, OH); p++)
        for (long q = 0; q < min(SW, OW); q++) {
            struct phase f = {.y = (p * OW + q) * O};
            struct axis h = phase_axis(p, OH, g[I_H], g[I_KH], SH, g[I_PH], g[I_DH], &f.h);
            struct axis w = phase_axis(q, OW, g[I_W], g[I_KW], SW, g[I_PW], g[I_DW], &f.w);
            f.m = (struct image){c->arrays[0].data, g[I_N], g[I_C], h, w};
            j.phases[j.count++] = f;
        }
    int result = correlate(c, &j, c->arrays[2].data, O);
    give_back((float *)j.phases);
    return result;
}
