/* Images as tables, for norm.c and reduce.c: (groups, pixels, C), cut in units of about 64 KB.
 *
 * A line is `side` pixels side by side, so that few channels, or an odd number of them, still fill whole vectors; a group's
 * last line may be shorter. What belongs to a channel is repeated to go with a line (tile); sums over lines are folded
 * back to channels, in double. Units, and what a task is, depend on the sizes alone.
 */
#ifndef MINIGAN_TABLE_H
#define MINIGAN_TABLE_H
#include "threads.h"
#include "vec.h"

enum {
    UNIT = 16384, /* numbers in a unit */
    FEWEST = 32,  /* pixels in a unit, at least: each unit leaves a few numbers per channel to be combined */
    LONG = 128,   /* numbers in a line, at least */
    FOLDED = 256, /* channels above which a line is one pixel */
    CHUNK = 64    /* channels that one task combines */
};

struct table { long groups, pixels, C, side, width, step, blocks, units, together; };
struct unit { long number, group, at, pixels, lines, rest; }; /* from number `at` on: whole lines, then one of `rest` numbers */

/* False if `size` numbers are not groups x pixels x C. */
static inline int tabulate(struct table *t, long groups, long pixels, long C, long size)
{
    long all;
    if (groups < 1 || pixels < 1 || C < 1 || __builtin_mul_overflow(groups, pixels, &all) ||
        __builtin_mul_overflow(all, C, &all) || all != size)
        return 0;
    long even = C & -C, side = C > FOLDED || even >= LINE ? 1 : LINE / even;
    while (side * C < LONG && side < pixels) side *= 2;
    side = min(side, pixels);
    long step = min(pixels, up(max(FEWEST, UNIT / C), side) * side), blocks = up(pixels, step);
    *t = (struct table){groups, pixels, C, side, side * C, step, blocks, groups * blocks, max(1, UNIT / (step * C))};
    return 1;
}

static inline struct unit unit_of(const struct table *t, long number)
{
    long group = number / t->blocks, first = number % t->blocks * t->step, pixels = min(t->step, t->pixels - first);
    return (struct unit){number, group, (group * t->pixels + first) * t->C, pixels, pixels / t->side,
                         pixels % t->side * t->C};
}

/* work(job, unit, room) for every unit; room: `each` numbers of the worker's own. */
typedef void unit_fn(const void *job, const struct unit *u, float *room);
struct each_unit { const struct table *t; unit_fn *work; const void *job; float *rooms; long each; };

static void units_task(void *arg, long i, int worker)
{
    struct each_unit *e = arg;
    for (long k = i * e->t->together, end = min(k + e->t->together, e->t->units); k < end; k++) {
        struct unit u = unit_of(e->t, k);
        e->work(e->job, &u, e->rooms + worker * e->each);
    }
}

static inline long unit_tasks(const struct table *t) { return up(t->units, t->together); }

static inline void for_each_unit(int threads, const struct table *t, unit_fn *work, const void *job, float *rooms, long each)
{
    struct each_unit e = {t, work, job, rooms, each};
    parallel(threads, units_task, &e, unit_tasks(t));
}

/* What is combined or prepared per group and CHUNK of channels; threads are not worth waking for a few numbers. */
static inline long chunks(const struct table *t) { return up(t->C, CHUNK); }
static inline int worth(int threads, long numbers) { return numbers < UNIT ? 1 : threads; }

/* f(at, n, ...) for a unit, a line of n numbers at a time. Not several lines side by side: that saves loads of what belongs
 * to a channel, but a line is too short for the processor to see ahead, and from memory the passes took twice the time. */
#define BY_LINES(u, width, f, ...)                                              \
    {                                                                           \
        long line = 0;                                                          \
        for (; line < (u)->lines; line++) f(line * (width), (width), __VA_ARGS__); \
        if ((u)->rest) f(line * (width), (u)->rest, __VA_ARGS__);               \
    }

/* Ask for what comes 2 KB later; beyond an array's end nothing happens. */
#define AHEAD(p) __builtin_prefetch((p) + 512)

static inline void tile(float *line, long C, long width)
{
    for (long k = C; k < width; k++) line[k] = line[k - C];
}

/* A mean or rstd of a group's channel; layer norm has one per group. */
static inline float statistic(const struct table *t, const float *numbers, int per_group, long group, long c)
{
    return numbers[per_group ? group : group * t->C + c];
}

/* sums[c] = the sum over a line's pixels of channel c; four at a time, for an addition waits for the one before. */
static inline void fold_line(const float *line, long C, long width, double *sums)
{
    long at = 0;
    for (long c = 0; c < C; c++) sums[c] = 0;
    for (; at + 4 * C <= width; at += 4 * C) {
        const float *p = line + at, *q = p + C, *r = q + C, *s = r + C;
        for (long c = 0; c < C; c++) sums[c] += ((double)p[c] + q[c]) + ((double)r[c] + s[c]);
    }
    for (; at < width; at += C)
        for (long c = 0; c < C; c++) sums[c] += line[at + c];
}

/* sums += a line of x */
INLINE void add_line(long at, long n, const float *x, float *sums)
{
    x += at;
    COLUMNS(n, c, {
        AHEAD(x + c);
        put(sums + c, get(sums + c, whole, left) + get(x + c, whole, left), whole, left);
    })
}
#endif
