/* The gradient of batch, instance and layer norm, behind the gate of a rectifier on top.
 *
 *     g = gate(gy, y)      gx = rstd * (gamma*g - mean(gamma*g) - xhat * mean(gamma*g*xhat))      ggamma, gbeta: sums of g*xhat, g
 *
 * Two passes over gy, x and y: sums, then gx = a*g + b*(x - mean) + c. The gate is computed in both: cheaper than to keep
 * g. Sums are float32 within a unit and double over units, in order. Either pass may be left out: without gx, only the sums
 * are computed; with sums given, such as those of several processes, gx is made of these.
 * Tasks: units of about 64 KB (table.h), then chunks of channels, or groups. Twin: cpu/norm.py.
 */
#include "kernels.h"
#include "table.h"

struct grad {
    struct table t;
    const float *gy, *x, *mean, *rstd, *gamma, *on, *given;
    float *gx, *ggamma, *gbeta;
    float *m, *a, *b, *c;    /* gx = a*g + b*(x - m) + c: a line each for every group */
    double *parts, *totals; /* (units, 2, C) and (groups, 2, C): sums of g and of g*(x - mean) */
    float slope;
    int per_group; /* layer norm has one mean and rstd per group */
};

INLINE void add_grads(long at, long n, const struct grad *j, long first, long group, float *sum_g, float *sum_gx,
                      const int gate)
{
    const float *x = j->x + first + at, *gy = j->gy + first + at, *on = gate ? j->on + first + at : NULL;
    const float *m = j->m + group * j->t.width;
    COLUMNS(n, c, {
        vec g = get(gy + c, whole, left), d = get(x + c, whole, left) - get(m + c, whole, left);
        AHEAD(gy + c), AHEAD(x + c);
        if (gate) {
            g = gated(g, get(on + c, whole, left), j->slope);
            AHEAD(on + c);
        }
        put(sum_g + c, get(sum_g + c, whole, left) + g, whole, left);
        put(sum_gx + c, get(sum_gx + c, whole, left) + g * d, whole, left);
    })
}

/* A unit's sums of g and of g * (x - mean), per channel; g is gy behind the gate. */
static void sums_unit(const void *job, const struct unit *u, float *room)
{
    const struct grad *j = job;
    long C = j->t.C, width = j->t.width;
    float *sum_g = room, *sum_gx = room + width;
    double *sums = j->parts + u->number * 2 * C;
    memset(room, 0, 2 * width * sizeof(float));
    if (j->on) BY_LINES(u, width, add_grads, j, u->at, u->group, sum_g, sum_gx, 1)
    else BY_LINES(u, width, add_grads, j, u->at, u->group, sum_g, sum_gx, 0)
    fold_line(sum_g, C, width, sums), fold_line(sum_gx, C, width, sums + C);
}

/* totals (groups, 2, C): the sums over a group's units. */
static void totals_task(void *arg, long i, int worker)
{
    struct grad *j = arg;
    const struct table *t = &j->t;
    (void)worker;
    long C = t->C, group = i / chunks(t), c0 = i % chunks(t) * CHUNK, n = min(CHUNK, C - c0);
    double *totals = j->totals + group * 2 * C + c0;
    for (long c = 0; c < n; c++) totals[c] = totals[C + c] = 0;
    for (long b = 0; b < t->blocks; b++) {
        const double *sums = j->parts + (group * t->blocks + b) * 2 * C + c0;
        for (long c = 0; c < n; c++) totals[c] += sums[c], totals[C + c] += sums[C + c];
    }
}

/* totals (1, 2, C) from sums that are given: of g * xhat, then of g. */
static void given_totals(struct grad *j)
{
    for (long c = 0, C = j->t.C; c < C; c++) j->totals[c] = j->given[C + c], j->totals[C + c] = j->given[c] / j->rstd[c];
}

static void prepare_mean_task(void *arg, long group, int worker)
{
    struct grad *j = arg;
    float *m = j->m + group * j->t.width;
    (void)worker;
    for (long c = 0; c < j->t.C; c++) m[c] = statistic(&j->t, j->mean, j->per_group, group, c);
    tile(m, j->t.C, j->t.width);
}

/* gx = a*g + b*(x - mean) + c for a group: the means of g and of g*xhat, over all channels too for layer norm. */
static void prepare_grad_task(void *arg, long group, int worker)
{
    struct grad *j = arg;
    long C = j->t.C, width = j->t.width;
    float *a = j->a + group * width, *b = j->b + group * width, *shift = j->c + group * width;
    const double *sum_g = j->totals + group * 2 * C, *sum_gx = sum_g + C;
    double all_g = 0, all_gx = 0;
    (void)worker;
    for (long c = 0; c < C && j->per_group; c++) {
        double weight = j->gamma ? j->gamma[c] : 1;
        all_g += weight * sum_g[c], all_gx += weight * sum_gx[c];
    }
    for (long c = 0; c < C; c++) {
        double weight = j->gamma ? j->gamma[c] : 1, rstd = statistic(&j->t, j->rstd, j->per_group, group, c);
        double mean_g = (j->per_group ? all_g / C : weight * sum_g[c]) / j->t.pixels;
        double mean_gx = (j->per_group ? all_gx / C : weight * sum_gx[c]) / j->t.pixels;
        a[c] = rstd * weight, b[c] = -rstd * rstd * rstd * mean_gx, shift[c] = -rstd * mean_g;
    }
    tile(a, C, width), tile(b, C, width), tile(shift, C, width);
}

/* ggamma = sum over groups of g * xhat, gbeta of g. */
static void parameters_task(void *arg, long i, int worker)
{
    struct grad *j = arg;
    (void)worker;
    for (long c = i * CHUNK, C = j->t.C, end = min(C, c + CHUNK); c < end; c++) {
        double ggamma = 0, gbeta = 0;
        for (long group = 0; group < j->t.groups; group++) {
            const double *totals = j->totals + group * 2 * C;
            gbeta += totals[c], ggamma += totals[C + c] * statistic(&j->t, j->rstd, j->per_group, group, c);
        }
        j->ggamma[c] = ggamma, j->gbeta[c] = gbeta;
    }
}

INLINE void gx_line(long at, long n, const struct grad *j, long first, long group, const int gate)
{
    long row = group * j->t.width;
    const float *x = j->x + first + at, *gy = j->gy + first + at, *on = gate ? j->on + first + at : NULL;
    float *gx = j->gx + first + at;
    COLUMNS(n, c, {
        vec mean = get(j->m + row + c, whole, left), a = get(j->a + row + c, whole, left);
        vec b = get(j->b + row + c, whole, left), shift = get(j->c + row + c, whole, left);
        vec g = get(gy + c, whole, left);
        AHEAD(gy + c), AHEAD(x + c);
        if (gate) {
            g = gated(g, get(on + c, whole, left), j->slope);
            AHEAD(on + c);
        }
        put(gx + c, a * g + (b * (get(x + c, whole, left) - mean) + shift), whole, left);
    })
}

static void gx_unit(const void *job, const struct unit *u, float *room)
{
    const struct grad *j = job;
    (void)room;
    if (j->on) BY_LINES(u, j->t.width, gx_line, j, u->at, u->group, 1)
    else BY_LINES(u, j->t.width, gx_line, j, u->at, u->group, 0)
}

/* gx or None, ggamma, gbeta from gy, x, mean, rstd, gamma (C,) or None, y or None (no rectifier), and None; or gx alone,
 * with ggamma and gbeta None, from these and, for one group, the sums (2, C) of g*xhat and of g. */
int norm_grad(const struct call *c)
{
    struct grad j = {.gy = c->arrays[0].data, .x = c->arrays[1].data, .mean = c->arrays[2].data,
                     .rstd = c->arrays[3].data, .gamma = c->arrays[4].data, .on = c->arrays[5].data,
                     .given = c->arrays[6].data, .gx = c->arrays[7].data, .ggamma = c->arrays[8].data,
                     .gbeta = c->arrays[9].data, .slope = c->f[0]};
    struct table *t = &j.t;
    long size = c->arrays[1].size;
    if (!tabulate(t, c->i[0], c->i[1], c->i[2], size)) return WRONG_SIZE;
    long numbers = t->groups * t->C, lines = t->groups * t->width, parts = t->units * 4 * t->C;
    long each = up(2 * t->width, LINE) * LINE;
    j.per_group = c->arrays[2].size != numbers;
    NEED(0, size);
    NEED(2, t->groups);
    NEED(3, j.per_group ? t->groups : numbers);
    NEED_OR_NONE(4, t->C);
    NEED_OR_NONE(5, size);
    if (j.given) {
        if (t->groups != 1 || j.per_group) return WRONG_SIZE;
        NEED(6, 2 * t->C);
        NEED(7, size);
    } else {
        NEED_OR_NONE(7, size);
        NEED(8, t->C);
        NEED(9, t->C);
    }
    j.parts = (double *)borrow(parts + 4 * numbers + 4 * lines + workers(c->threads, unit_tasks(t)) * each + LINE);
    if (!j.parts) return NO_MEMORY;
    j.totals = j.parts + parts / 2;
    j.m = (float *)(j.totals + 2 * numbers), j.a = j.m + lines, j.b = j.a + lines, j.c = j.b + lines;
    parallel(worth(c->threads, lines), prepare_mean_task, &j, t->groups);
    if (j.given) {
        given_totals(&j);
    } else {
        for_each_unit(c->threads, t, sums_unit, &j, j.c + lines, each);
        parallel(worth(c->threads, parts), totals_task, &j, t->groups * chunks(t));
        parallel(worth(c->threads, numbers), parameters_task, &j, chunks(t));
    }
    if (j.gx) {
        parallel(worth(c->threads, lines), prepare_grad_task, &j, t->groups);
        for_each_unit(c->threads, t, gx_unit, &j, NULL, 0);
    }
    give_back((float *)j.parts);
    return DONE;
}
