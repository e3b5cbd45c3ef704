/* Pixels repeated, blocks of pixels added, and any linear map along the two axes that has few numbers besides zeros.
 *
 * Bilinear weights are two a row, and average pooling's a few: so the maps are sums of the rows and pixels whose weight is
 * not zero, in order, and a zero is not multiplied, not even by NaN.
 * Tasks: some rows of the larger image, about 64 KB. Twin: cpu/resample.py.
 */
#include "kernels.h"
#include "vec.h"

enum { PIECE = 16384 };
struct entry { long from; float weight; };
struct job {
    const float *x, *rows;
    float *y, *lines;
    long H, wide, C, OH, OW, SH, SW;  /* wide: pixels of a row of the smaller image, or of x */
    long all, each;                   /* rows in all, in a task */
    const long *ends;                 /* of the entries of output columns; NULL: columns are left alone */
    const struct entry *entries;
};

static long rows_of_task(long numbers) { return max(1, PIECE / numbers); }

static void copy(float *restrict y, const float *restrict x, long n)
{
    if (n >= LINE) memcpy(y, x, n * sizeof(float));
    else
        for (long i = 0; i < n; i++) y[i] = x[i];
}

/* y = weight * x if it is the first, else y += weight * x. */
static void add(float *restrict y, const float *restrict x, float weight, long n, int first)
{
    if (first)
        for (long i = 0; i < n; i++) y[i] = weight * x[i];
    else
        for (long i = 0; i < n; i++) y[i] += weight * x[i];
}

/* ------------------------------------------------------------------------------------------------ whole factors */

static void repeat_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long C = j->C, line = j->wide * j->SW * C;
    for (long r = i * j->each, last = min(j->all, r + j->each); r < last; r++) {
        const float *x = j->x + r * j->wide * C;
        float *y = j->y + r * j->SH * line, *to = y;
        for (long q = 0; q < j->wide; q++)
            for (long l = 0; l < j->SW; l++, to += C) copy(to, x + q * C, C);
        for (long k = 1; k < j->SH; k++) memcpy(y + k * line, y, line * sizeof(float));
    }
}

static void block_sum_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long C = j->C, line = j->wide * j->SW * C;
    for (long r = i * j->each, last = min(j->all, r + j->each); r < last; r++) {
        float *y = j->y + r * j->wide * C;
        for (long k = 0; k < j->SH; k++)
            for (long q = 0; q < j->wide; q++) {
                const float *x = j->x + (r * j->SH + k) * line + q * j->SW * C;
                for (long l = 0; l < j->SW; l++) add(y + q * C, x + l * C, 1, C, k == 0 && l == 0);
            }
    }
}

/* The smaller image is (N*H, W, C), the larger one (N*H*SH, W*SW, C). */
static int by_factors(const struct call *c, task_fn *task, int larger)
{
    const long *s = c->i;
    struct job j = {.x = c->arrays[0].data, .y = c->arrays[1].data, .all = s[0], .wide = s[1], .C = s[2], .SH = s[3], .SW = s[4]};
    for (int k = 0; k < 5; k++)
        if (s[k] < 1) return WRONG_SIZE;
    NEED(larger, SIZE(j.all, j.SH, j.wide, j.SW, j.C));
    NEED(1 - larger, SIZE(j.all, j.wide, j.C));
    j.each = rows_of_task(j.SH * j.wide * j.SW * j.C);
    parallel(c->threads, task, &j, up(j.all, j.each));
    return DONE;
}

/* x (rows, W, C) -> y (rows*SH, W*SW, C). */
int upsample_nearest(const struct call *c) { return by_factors(c, repeat_task, 1); }

/* x (rows*SH, W*SW, C) -> y (rows, W, C): its adjoint. */
int block_sum(const struct call *c) { return by_factors(c, block_sum_task, 0); }

/* ------------------------------------------------------------------------------------------------- any weights */

static void map_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    long C = j->C, line = j->wide * C, out = j->OW * C;
    for (long r = i * j->each, last = min(j->all, r + j->each); r < last; r++) {
        const float *x = j->x + r / j->OH * j->H * line, *mixed = x + r % j->OH * line;
        float *y = j->y + r * out, *to = j->ends ? j->lines + worker * line : y;
        if (j->rows) {
            long terms = 0;
            for (long h = 0; h < j->H; h++) {
                float weight = j->rows[r % j->OH * j->H + h];
                if (weight != 0) add(to, x + h * line, weight, line, terms++ == 0);
            }
            if (!terms) memset(to, 0, line * sizeof(float));
            mixed = to;
        }
        for (long q = 0, e = 0; j->ends && q < j->OW; q++) {
            if (e == j->ends[q]) memset(y + q * C, 0, C * sizeof(float));
            for (long first = e; e < j->ends[q]; e++)
                add(y + q * C, mixed + j->entries[e].from * C, j->entries[e].weight, C, e == first);
        }
    }
}

/* The weights of a matrix that are not zero, row by row. */
static long list_entries(const float *matrix, long rows, long columns, long *ends, struct entry *entries)
{
    long count = 0;
    for (long r = 0; r < rows; r++) {
        for (long k = 0; k < columns; k++)
            if (matrix[r * columns + k] != 0) {
                if (entries) entries[count] = (struct entry){k, matrix[r * columns + k]};
                count++;
            }
        if (ends) ends[r] = count;
    }
    return count;
}

/* x (N, H, W, C), rows (OH, H) or None, columns (OW, W) or None -> y (N, OH, OW, C). */
int resample(const struct call *c)
{
    const long *s = c->i, N = s[0];
    struct job j = {.x = c->arrays[0].data, .rows = c->arrays[1].data, .y = c->arrays[3].data, .H = s[1], .wide = s[2],
                    .C = s[3], .OH = s[4], .OW = s[5]};
    const float *columns = c->arrays[2].data;
    for (int k = 0; k < 6; k++)
        if (s[k] < 1) return WRONG_SIZE;
    if ((!j.rows && j.OH != j.H) || (!columns && (j.OW != j.wide || !j.rows))) return WRONG_SIZE;
    NEED(0, SIZE(N, j.H, j.wide, j.C));
    NEED_OR_NONE(1, SIZE(j.OH, j.H));
    NEED_OR_NONE(2, SIZE(j.OW, j.wide));
    NEED(3, SIZE(N, j.OH, j.OW, j.C));
    j.all = N * j.OH, j.each = rows_of_task(max(j.wide, j.OW) * j.C);
    long tasks = up(j.all, j.each), line = up(j.wide * j.C, LINE) * LINE;
    long count = columns ? list_entries(columns, j.OW, j.wide, NULL, NULL) : 0;
    long lists = up(count * (long)sizeof(struct entry) + j.OW * (long)sizeof(long), LINE * 4) * LINE;
    float *room = borrow(lists + workers(c->threads, tasks) * line);
    if (!room) return NO_MEMORY;
    long *ends = (long *)room;
    struct entry *entries = (struct entry *)(ends + j.OW);
    if (columns) {
        list_entries(columns, j.OW, j.wide, ends, entries);
        j.ends = ends, j.entries = entries;
    }
    j.lines = room + lists;
    parallel(c->threads, map_task, &j, tasks);
    give_back(room);
    return DONE;
}
