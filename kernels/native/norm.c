/* Batch, instance and layer norm: moments; normalise and rectify. Their gradient: norm_grad.c.
 *
 * One pass for the moments: a unit of pixels takes the mean of its first eighth or ninth for a pivot and adds up
 * d = x - pivot and d^2. The pivot is at most 3 deviations from the unit's mean, for a ninth that is further away makes
 * the deviation larger by itself; so sum d^2 - (sum d)^2 / n loses 3 or 4 bits, however large the mean is. Units are
 * combined in double and in order (Chan, Golub & LeVeque, 1983).
 * Tasks: units of about 64 KB (table.h), then chunks of channels, or groups. Twin: cpu/norm.py.
 */
#include "kernels.h"
#include "table.h"

struct norm {
    struct table t;
    const float *x, *mean, *rstd, *gamma, *beta, *addend;
    float *y, *mean_out, *var_out, *rstd_out;
    float *m, *a, *b; /* y = (x - m) * a + b: a line each for every group */
    double *parts;    /* (units, 2, C): mean, squares about it */
    double eps;
    float slope;
    int per_group; /* layer norm has one mean and rstd per group */
};

/* ----------------------------------------------------------------------------------------------------- statistics */

INLINE void add_moments(long at, long n, const float *x, const float *pivot, float *sum, float *square)
{
    x += at;
    COLUMNS(n, c, {
        vec d = get(x + c, whole, left) - get(pivot + c, whole, left);
        AHEAD(x + c);
        put(sum + c, get(sum + c, whole, left) + d, whole, left);
        put(square + c, get(square + c, whole, left) + d * d, whole, left);
    })
}

/* A unit's mean and squares about that mean, per channel. */
static void stats_unit(const void *job, const struct unit *u, float *room)
{
    const struct norm *j = job;
    long C = j->t.C, width = j->t.width;
    const float *x = j->x + u->at;
    float *pivot = room, *sum = room + width, *square = room + 2 * width;
    double *means = j->parts + u->number * 2 * C, *squares = means + C;
    struct unit some = {.lines = up(u->lines, 8), .rest = u->lines ? 0 : u->rest};
    double pixels = some.lines ? some.lines * j->t.side : u->pixels;
    memset(room, 0, 3 * width * sizeof(float));
    BY_LINES(&some, width, add_line, x, sum)
    fold_line(sum, C, width, means);
    for (long c = 0; c < C; c++) pivot[c] = means[c] / pixels;
    tile(pivot, C, width);
    memset(sum, 0, width * sizeof(float));
    BY_LINES(u, width, add_moments, x, pivot, sum, square)
    fold_line(sum, C, width, means), fold_line(square, C, width, squares);
    for (long c = 0; c < C; c++) {
        double apart = means[c] / u->pixels, rest = squares[c] - apart * means[c];
        means[c] = pivot[c] + apart;
        squares[c] = rest < 0 ? 0 : rest;
    }
}

static void combine_moments_task(void *arg, long i, int worker)
{
    struct norm *j = arg;
    const struct table *t = &j->t;
    (void)worker;
    long C = t->C, group = i / chunks(t), c0 = i % chunks(t) * CHUNK, n = min(CHUNK, C - c0);
    double mean[CHUNK] = {0}, var[CHUNK] = {0};
    for (long b = 0; b < t->blocks; b++) {
        const double *means = j->parts + (group * t->blocks + b) * 2 * C + c0;
        double weight = unit_of(t, b).pixels / (double)t->pixels;
        for (long c = 0; c < n; c++) mean[c] += weight * means[c];
    }
    for (long b = 0; b < t->blocks; b++) {
        const double *means = j->parts + (group * t->blocks + b) * 2 * C + c0, *squares = means + C;
        double weight = unit_of(t, b).pixels;
        for (long c = 0; c < n; c++) var[c] += squares[c] + weight * (means[c] - mean[c]) * (means[c] - mean[c]);
    }
    for (long c = 0; c < n; c++) {
        long k = group * C + c0 + c;
        j->mean_out[k] = mean[c], j->var_out[k] = var[c] / t->pixels;
        j->rstd_out[k] = 1 / sqrt(var[c] / t->pixels + j->eps);
    }
}

/* x (groups, pixels, C) -> mean, biased variance, 1 / sqrt(variance + eps), (groups, C); layer norm: C = 1. */
int norm_stats(const struct call *c)
{
    struct norm j = {.x = c->arrays[0].data, .mean_out = c->arrays[1].data, .var_out = c->arrays[2].data,
                     .rstd_out = c->arrays[3].data, .eps = c->f[0]};
    if (!tabulate(&j.t, c->i[0], c->i[1], c->i[2], c->arrays[0].size)) return WRONG_SIZE;
    for (int k = 1; k <= 3; k++) NEED(k, j.t.groups * j.t.C);
    long parts = j.t.units * 4 * j.t.C, each = up(3 * j.t.width, LINE) * LINE; /* in floats; a double is two */
    float *room = borrow(parts + workers(c->threads, unit_tasks(&j.t)) * each);
    if (!room) return NO_MEMORY;
    j.parts = (double *)room;
    for_each_unit(c->threads, &j.t, stats_unit, &j, room + parts, each);
    parallel(worth(c->threads, parts), combine_moments_task, &j, j.t.groups * chunks(&j.t));
    give_back(room);
    return DONE;
}

/* ------------------------------------------------------------------------------------------- normalise and rectify */

INLINE void apply_line(long at, long n, const struct norm *j, const float *x, const float *addend, float *y, long group,
                       const int rectify)
{
    long width = j->t.width;
    const float *m = j->m + group * width, *a = j->a + group * width, *b = j->b + group * width;
    x += at, y += at;
    if (addend) addend += at;
    COLUMNS(n, c, {
        vec mean = get(m + c, whole, left), scale = get(a + c, whole, left), shift = get(b + c, whole, left);
        vec z = (get(x + c, whole, left) - mean) * scale + shift;
        AHEAD(x + c);
        if (addend) {
            AHEAD(addend + c);
            z += get(addend + c, whole, left);
        }
        put(y + c, rectify ? rectified(z, j->slope) : z, whole, left);
    })
}

static void apply_unit(const void *job, const struct unit *u, float *room)
{
    const struct norm *j = job;
    const float *x = j->x + u->at;
    float *y = j->y + u->at;
    (void)room;
    if (j->addend) BY_LINES(u, j->t.width, apply_line, j, x, j->addend + u->at, y, u->group, j->slope != 1)
    else if (j->slope == 1) BY_LINES(u, j->t.width, apply_line, j, x, NULL, y, u->group, 0)
    else BY_LINES(u, j->t.width, apply_line, j, x, NULL, y, u->group, 1)
}

static void prepare_apply_task(void *arg, long group, int worker)
{
    struct norm *j = arg;
    long C = j->t.C, width = j->t.width;
    float *m = j->m + group * width, *a = j->a + group * width, *b = j->b + group * width;
    (void)worker;
    for (long c = 0; c < C; c++) {
        m[c] = statistic(&j->t, j->mean, j->per_group, group, c);
        a[c] = statistic(&j->t, j->rstd, j->per_group, group, c) * (j->gamma ? j->gamma[c] : 1);
        b[c] = j->beta ? j->beta[c] : 0;
    }
    tile(m, C, width), tile(a, C, width), tile(b, C, width);
}

/* y = (x - mean) * (rstd * gamma) + beta + addend, and leaky_relu of it where slope is not 1. gamma, beta (C,) or None;
 * addend as large as x, or None. */
int norm_apply(const struct call *c)
{
    struct norm j = {.x = c->arrays[0].data, .mean = c->arrays[1].data, .rstd = c->arrays[2].data,
                     .gamma = c->arrays[3].data, .beta = c->arrays[4].data, .addend = c->arrays[5].data,
                     .y = c->arrays[6].data, .slope = c->f[0]};
    if (!tabulate(&j.t, c->i[0], c->i[1], c->i[2], c->arrays[0].size)) return WRONG_SIZE;
    long lines = j.t.groups * j.t.width;
    j.per_group = c->arrays[1].size != j.t.groups * j.t.C;
    NEED(1, j.t.groups);
    NEED(2, j.per_group ? j.t.groups : j.t.groups * j.t.C);
    NEED_OR_NONE(3, j.t.C);
    NEED_OR_NONE(4, j.t.C);
    NEED_OR_NONE(5, c->arrays[0].size);
    NEED(6, c->arrays[0].size);
    j.m = borrow(3 * lines);
    if (!j.m) return NO_MEMORY;
    j.a = j.m + lines, j.b = j.a + lines;
    parallel(worth(c->threads, lines), prepare_apply_task, &j, j.t.groups);
    for_each_unit(c->threads, &j.t, apply_unit, &j, NULL, 0);
    give_back(j.m);
    return DONE;
}
