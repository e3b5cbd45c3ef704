/* Sums over the middle of (groups, pixels, C): all of an array, each sample or image, all pixels of a channel.
 *
 * One pass: a unit of pixels is added up in float32 within the lanes of a line, units in double and in order.
 * Tasks: units of about 64 KB (table.h), then chunks of channels. Twin: cpu/reduce.py.
 */
#include "kernels.h"
#include "table.h"

struct reduce {
    struct table t;
    const float *x;
    float *y;
    double *parts; /* (units, C) */
};

static void sum_unit(const void *job, const struct unit *u, float *room)
{
    const struct reduce *j = job;
    const float *x = j->x + u->at;
    memset(room, 0, j->t.width * sizeof(float));
    BY_LINES(u, j->t.width, add_line, x, room)
    fold_line(room, j->t.C, j->t.width, j->parts + u->number * j->t.C);
}

static void combine_task(void *arg, long i, int worker)
{
    struct reduce *j = arg;
    const struct table *t = &j->t;
    (void)worker;
    long C = t->C, group = i / chunks(t), c0 = i % chunks(t) * CHUNK, n = min(CHUNK, C - c0);
    double sums[CHUNK] = {0};
    for (long b = 0; b < t->blocks; b++) {
        const double *part = j->parts + (group * t->blocks + b) * C + c0;
        for (long c = 0; c < n; c++) sums[c] += part[c];
    }
    for (long c = 0; c < n; c++) j->y[group * C + c0 + c] = sums[c];
}

/* x (groups, pixels, C) -> y (groups, C). */
int reduce_sum(const struct call *c)
{
    struct reduce j = {.x = c->arrays[0].data, .y = c->arrays[1].data};
    if (!tabulate(&j.t, c->i[0], c->i[1], c->i[2], c->arrays[0].size)) return WRONG_SIZE;
    NEED(0, c->arrays[0].size);
    NEED(1, j.t.groups * j.t.C);
    long parts = up(j.t.units * 2 * j.t.C, LINE) * LINE, each = up(j.t.width, LINE) * LINE; /* a double is two floats */
    float *room = borrow(parts + workers(c->threads, unit_tasks(&j.t)) * each);
    if (!room) return NO_MEMORY;
    j.parts = (double *)room;
    for_each_unit(worth(c->threads, c->arrays[0].size), &j.t, sum_unit, &j, room + parts, each);
    parallel(worth(c->threads, parts), combine_task, &j, j.t.groups * chunks(&j.t));
    give_back(room);
    return DONE;
}
