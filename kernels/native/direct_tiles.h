/* The products of a direct convolution, a tile at a time: sums are in registers while all terms pass. For direct.c.
 *
 * Pixels' windows are read where they lie; filters come from a packed panel, one part of the terms after another. The sums
 * of all parts but the last wait in `sums`; with the last one, the bias is added and the result goes to its place in y.
 */
#ifndef MINIGAN_DIRECT_TILES_H
#define MINIGAN_DIRECT_TILES_H
#include "vec.h"

enum { DOTS = 4 }; /* up to this many columns are dot products, with vectors along the window */

/* What a tile needs to know: some runs of the windows, one panel's part for them, and which part of the sum it is. */
struct part {
    const float *x, *b;
    const struct run *run, *end;
    const long *at, *to;
    float *sums, *y;
    const float *bias;
    long terms, wide;                                   /* of a whole window; columns */
    int first, last;
};

/* MR pixels x NR columns, from pixel p on. Here is the place for what is done with results while they are in registers. */
INLINE void tile(const struct part *t, const int rows, long p)
{
    const float *a[MR];
    vec acc[MR][NV];
    UNROLL for (int m = 0; m < rows; m++) {
        a[m] = t->x + t->at[p + m];
        UNROLL for (int n = 0; n < NV; n++) acc[m][n] = (vec){0};
    }
    multiply_runs(rows, t->run, t->end, a, t->b, acc);
    float *sums = t->sums + p * NR;
    if (!t->first)
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int n = 0; n < NV; n++) acc[m][n] += VEC(sums + m * NR + n * W);
    if (!t->last) {
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int n = 0; n < NV; n++) STORE(sums + m * NR + n * W, acc[m][n]);
        return;
    }
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int n = 0; n < NV; n++) {
            vec y = acc[m][n] + VEC(t->bias + n * W);
            if (t->wide == NR) STORE(t->y + t->to[p + m] + n * W, y);
            else if (t->wide > n * W) store_first(t->y + t->to[p + m] + n * W, y, min(W, t->wide - n * W));
        }
}

/* The same for few columns: `columns` dot products of each of `rows` windows; b is (columns, terms of a window). */
INLINE void dot_tile(const struct part *t, const int rows, const int columns, long p)
{
    enum { MOST = 16 };
    const float *a[MOST], *b = t->b;
    vec acc[MOST];
    UNROLL for (int m = 0; m < rows; m++) a[m] = t->x + t->at[p + m];
    UNROLL for (int m = 0; m < MOST; m++) acc[m] = (vec){0};
    for (const struct run *run = t->run; run < t->end; b += run->terms, run++) {
        long c = 0;
        vec v[DOTS];
        for (; c + W <= run->terms; c += W) {
            UNROLL for (int o = 0; o < columns; o++) v[o] = VEC(b + o * t->terms + c);
            UNROLL for (int m = 0; m < rows; m++)
                UNROLL for (int o = 0; o < columns; o++) acc[m * columns + o] += VEC(a[m] + run->at + c) * v[o];
        }
        if (c == run->terms) continue;
        UNROLL for (int o = 0; o < columns; o++) v[o] = load_first(b + o * t->terms + c, run->terms - c);
        UNROLL for (int m = 0; m < rows; m++) {
            vec u = load_first(a[m] + run->at + c, run->terms - c);
            UNROLL for (int o = 0; o < columns; o++) acc[m * columns + o] += u * v[o];
        }
    }
    float *sums = t->sums + p * columns;
    UNROLL for (int m = 0; m < rows * columns; m += W) {
        vec s = totals(acc + m);
        if (!t->first) s += load_first(sums + m, min(W, rows * columns - m));
        store_first(sums + m, s, min(W, rows * columns - m));
    }
    if (t->last)
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int o = 0; o < columns; o++) t->y[t->to[p + m] + o] = sums[m * columns + o] + t->bias[o];
}

/* Functions of their own, so that GCC has registers for the places of all rows: inlined into a task, it loaded them from
 * the stack for every term, and took 5 to 8 % longer. */
static __attribute__((noinline)) void whole_tile(const struct part *t, long p) { tile(t, MR, p); }
static __attribute__((noinline)) void half_tile(const struct part *t, long p) { tile(t, MR / 2, p); }

static void tiles(const struct part *t, long pixels)
{
    long p = 0;
    for (; pixels - p > MR / 2; p += MR) whole_tile(t, p);
    if (p < pixels) half_tile(t, p);
}

static void dot_tiles(const struct part *t, long pixels)
{
    switch (t->wide) {
    case 1: for (long p = 0; p < pixels; p += 8) dot_tile(t, 8, 1, p); break;
    case 2: for (long p = 0; p < pixels; p += 4) dot_tile(t, 4, 2, p); break;
    case 3: for (long p = 0; p < pixels; p += 4) dot_tile(t, 4, 3, p); break;
    default: for (long p = 0; p < pixels; p += 2) dot_tile(t, 2, 4, p);
    }
}
#endif
