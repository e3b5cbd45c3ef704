/* Borders of (N, H, W, C) along H and W, and their adjoint, which adds a border to the numbers it was copied from.
 *
 * A row of the result is one copy of the row it comes from, and a few pixels at its ends. The adjoint adds up to three rows,
 * top border and bottom border after the row itself, then the columns in the same way: in the order of the twin.
 * Tasks: some rows, about 64 KB. Twin: cpu/pad.py.
 */
#include "kernels.h"
#include "vec.h"

enum { PIECE = 16384, ZERO = 0, REFLECT, EDGE };
struct job {
    const float *x, *addend;
    float *y, *lines;
    long N, H, columns, C, top, bottom, left, right, mode; /* H, columns: without borders */
    long wide, each;                                  /* pixels of a line with borders; rows in a task */
    float value;
};

static struct job job_of(const struct call *c, float *y)
{
    const long *i = c->i;
    struct job j = {.x = c->arrays[0].data, .y = y, .N = i[0], .H = i[1], .columns = i[2], .C = i[3], .top = i[4],
                    .bottom = i[5], .left = i[6], .right = i[7], .mode = i[8], .wide = i[2] + i[6] + i[7]};
    return j;
}

/* Sizes are not empty, borders not negative, and a mirrored border is shorter than what it mirrors. */
static int fits(const struct job *j)
{
    long most = 1L << 31, rows = max(j->top, j->bottom), columns = max(j->left, j->right);
    if (j->N < 1 || j->H < 1 || j->columns < 1 || j->C < 1 || min(min(j->top, j->bottom), min(j->left, j->right)) < 0) return 0;
    if (max(max(j->H, j->columns), max(rows, columns)) > most || j->mode < ZERO || j->mode > EDGE) return 0;
    return j->mode != REFLECT || (rows < j->H && columns < j->columns);
}

/* Where number i of an axis with a border comes from; -1: from nowhere. */
static long source(long i, long n, long mode)
{
    if (i >= 0 && i < n) return i;
    return mode == REFLECT ? mirror(i, n) : mode == EDGE ? (i < 0 ? 0 : n - 1) : -1;
}

/* ---------------------------------------------------------------------------------------------------------- pad */

static void fill(float *y, long n, float value)
{
    for (long i = 0; i < n; i++) y[i] = value;
}

/* `count` border pixels of a row, from column `first` on. */
static void pad_pixels(const struct job *j, const float *row, long first, long count, float *y)
{
    long C = j->C;
    for (long q = first; q < first + count; q++, y += C) {
        const float *from = row + source(q, j->columns, j->mode) * C;
        if (C >= LINE) memcpy(y, from, C * sizeof(float));
        else
            for (long c = 0; c < C; c++) y[c] = from[c];
    }
}

static void pad_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long C = j->C, high = j->H + j->top + j->bottom;
    for (long r = i * j->each, last = min(j->N * high, r + j->each); r < last; r++) {
        long from = source(r % high - j->top, j->H, j->mode);
        const float *row = j->x + (r / high * j->H + from) * j->columns * C;
        float *y = j->y + r * j->wide * C, *inside = y + j->left * C, *behind = inside + j->columns * C;
        if (from < 0) {
            fill(y, j->wide * C, j->value);
            continue;
        }
        memcpy(inside, row, j->columns * C * sizeof(float));
        if (j->mode == ZERO) fill(y, j->left * C, j->value), fill(behind, j->right * C, j->value);
        else pad_pixels(j, row, -j->left, j->left, y), pad_pixels(j, row, j->columns, j->right, behind);
    }
}

/* x (N, H, W, C) -> y with `top`, `bottom` rows and `left`, `right` columns around it; mode 0: of a value, 1: mirrored
 * without the edge, 2: of the edge. */
int pad(const struct call *c)
{
    struct job j = job_of(c, c->arrays[1].data);
    j.value = c->f[0];
    if (!fits(&j)) return WRONG_SIZE;
    long high = j.H + j.top + j.bottom;
    NEED(0, SIZE(j.N, j.H, j.columns, j.C));
    NEED(1, SIZE(j.N, high, j.wide, j.C));
    j.each = max(1, PIECE / (j.wide * j.C));
    parallel(c->threads, pad_task, &j, up(j.N * high, j.each));
    return DONE;
}

/* --------------------------------------------------------------------------------------------------------- fold */

static void add(float *restrict y, const float *restrict x, long n)
{
    for (long i = 0; i < n; i++) y[i] += x[i];
}

/* y += the sum of `count` pieces of n numbers side by side, which are added up in `sum` first. */
static void add_sum(float *y, const float *x, long count, long n, float *sum)
{
    if (count == 0) return;
    memcpy(sum, x, n * sizeof(float));
    for (long k = 1; k < count; k++) add(sum, x + k * n, n);
    add(y, sum, n);
}

/* Row i of the result before its columns are folded: where it lies, or a sum in `line`; `sum` is room for another line. */
static const float *folded_row(const struct job *j, const float *g, long i, float *line, float *sum)
{
    long n = j->wide * j->C, H = j->H, mirrored = j->mode == REFLECT;
    const float *row = g + (i + j->top) * n, *below = g + (j->top + H) * n;
    int above = mirrored ? i >= 1 && i <= j->top : i == 0 && j->top, beneath = mirrored ? i < H - 1 && i >= H - 1 - j->bottom
                                                                                   : i == H - 1 && j->bottom;
    if (!above && !beneath) return row;
    memcpy(line, row, n * sizeof(float));
    if (above && mirrored) add(line, g + (j->top - i) * n, n);
    else if (above) add_sum(line, g, j->top, n, sum);
    if (beneath && mirrored) add(line, below + (H - 2 - i) * n, n);
    else if (beneath) add_sum(line, below, j->bottom, n, sum);
    return line;
}

static void fold_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    long C = j->C, Q = j->columns, high = j->H + j->top + j->bottom;
    float *line = j->lines + worker * 2 * j->wide * C, *sum = line + j->wide * C;
    for (long r = i * j->each, last = min(j->N * j->H, r + j->each); r < last; r++) {
        const float *g = folded_row(j, j->x + r / j->H * high * j->wide * C, r % j->H, line, sum);
        const float *behind = g + (j->left + Q) * C;
        float *y = j->y + r * Q * C;
        memcpy(y, g + j->left * C, Q * C * sizeof(float));
        if (j->mode == EDGE) {
            add_sum(y, g, j->left, C, sum);
            add_sum(y + (Q - 1) * C, behind, j->right, C, sum);
        } else {
            for (long q = 1; q <= j->left; q++) add(y + q * C, g + (j->left - q) * C, C);
            for (long q = 1; q <= j->right; q++) add(y + (Q - 1 - q) * C, behind + (q - 1) * C, C);
        }
        if (j->addend) add(y, j->addend + r * Q * C, Q * C);
    }
}

/* The adjoint of pad, mode 1 or 2: g with borders -> y (N, H, W, C), plus an addend like y, or None. */
int fold(const struct call *c)
{
    struct job j = job_of(c, c->arrays[2].data);
    if (!fits(&j) || j.mode == ZERO) return WRONG_SIZE;
    NEED(0, SIZE(j.N, j.H + j.top + j.bottom, j.wide, j.C));
    NEED_OR_NONE(1, SIZE(j.N, j.H, j.columns, j.C));
    NEED(2, SIZE(j.N, j.H, j.columns, j.C));
    j.addend = c->arrays[1].data;
    j.each = max(1, PIECE / (j.wide * j.C));
    long tasks = up(j.N * j.H, j.each);
    j.lines = borrow(workers(c->threads, tasks) * 2 * j.wide * j.C);
    if (!j.lines) return NO_MEMORY;
    parallel(c->threads, fold_task, &j, tasks);
    give_back(j.lines);
    return DONE;
}
