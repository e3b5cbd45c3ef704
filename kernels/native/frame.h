/* What the windows of a block of output pixels see: the image as it lies, or a copy of its part with zeros around it.
 *
 * An axis has windows i < count, each with `taps` taps; tap k of window i is at i*stride + first + k*step, of which
 * 0 ... size-1 are numbers of the image and all others zero. A block is as many rows of windows as a core's cache holds:
 * several small images, or a part of a large one. Only a block whose windows cross the border is copied, to the worker's
 * own scratch; where windows lie far apart, only rows that a window sees.
 */
#ifndef MINIGAN_FRAME_H
#define MINIGAN_FRAME_H
#include "vec.h"

struct axis { long size, count, taps, stride, first, step; };
struct image { const float *x; long N, C; struct axis h, w; };
struct cut { long images, rows, columns; };                    /* in one block */
struct block { long n, i, j, images, rows, columns; };
struct view { const float *x; long n, i, j, k, l; };            /* x of window (0, 0), tap (0, 0); the steps to others */

static inline long span(const struct axis *a, long count) { return (count - 1) * a->stride + (a->taps - 1) * a->step + 1; }
static inline int apart(const struct axis *a) { return a->stride > (a->taps - 1) * a->step + 1; }
static inline long tall(const struct axis *h, long rows) { return apart(h) ? rows * h->taps : span(h, rows); }
static inline long even(long total, long most) { return up(total, up(total, max(1, most))); } /* equal parts of at most */

/* Blocks of about `pixels` windows. */
static inline struct cut cut(const struct image *m, long pixels)
{
    long OH = m->h.count, OW = m->w.count, columns = OW > 2 * pixels ? even(OW, pixels) : OW;
    long rows = even(OH, pixels / columns);
    return (struct cut){rows == OH && columns == OW ? even(m->N, pixels / (OH * OW)) : 1, rows, columns};
}

static inline long blocks(const struct image *m, const struct cut *c)
{
    return up(m->N, c->images) * up(m->h.count, c->rows) * up(m->w.count, c->columns);
}

static inline struct block block(const struct image *m, const struct cut *c, long i)
{
    long across = up(m->w.count, c->columns), down = up(m->h.count, c->rows);
    struct block b = {i / across / down * c->images, i / across % down * c->rows, i % across * c->columns, 0, 0, 0};
    b.images = min(c->images, m->N - b.n), b.rows = min(c->rows, m->h.count - b.i), b.columns = min(c->columns, m->w.count - b.j);
    return b;
}

static inline long frame_size(const struct image *m, const struct cut *c, long pitch)
{
    return m->h.taps && m->w.taps ? c->images * tall(&m->h, c->rows) * span(&m->w, c->columns) * pitch : 0;
}

/* One row of a frame: `wide` pixels from column `left` of the image's row on, zero beyond its edges. */
static inline void frame_row(float *to, const float *row, long left, long wide, long size, long C, long pitch)
{
    long before = min(wide, max(0, -left)), behind = max(before, min(wide, size - left));
    memset(to, 0, before * pitch * sizeof(float));
    if (pitch == C) memcpy(to + before * C, row + (left + before) * C, (behind - before) * C * sizeof(float));
    else
        for (long q = before; q < behind; q++) memcpy(to + q * pitch, row + (left + q) * C, C * sizeof(float));
    memset(to + behind * pitch, 0, (wide - behind) * pitch * sizeof(float));
}

/* The view of a block; pitch: numbers from pixel to pixel in a copy, at least C; copied: make one in any case. */
static inline struct view look(const struct image *m, const struct block *b, float *room, long pitch, int copied)
{
    const struct axis *h = &m->h, *w = &m->w;
    long C = m->C, line = w->size * C, top = b->i * h->stride + h->first, left = b->j * w->stride + w->first;
    long wide = span(w, b->columns), high = tall(h, b->rows);
    if (!copied && top >= 0 && left >= 0 && top + span(h, b->rows) <= h->size && left + wide <= w->size)
        return (struct view){m->x + (b->n * h->size + top) * line + left * C, h->size * line, h->stride * line, w->stride * C,
                             h->step * line, w->step * C};
    for (long n = 0; n < b->images; n++)
        for (long r = 0; r < high; r++) {
            long at = top + (apart(h) ? r / h->taps * h->stride + r % h->taps * h->step : r);
            float *to = room + (n * high + r) * wide * pitch;
            if (at < 0 || at >= h->size) memset(to, 0, wide * pitch * sizeof(float));
            else frame_row(to, m->x + ((b->n + n) * h->size + at) * line, left, wide, w->size, C, pitch);
        }
    line = wide * pitch;
    return (struct view){room, high * line, (apart(h) ? h->taps : h->stride) * line, w->stride * pitch,
                         (apart(h) ? 1 : h->step) * line, w->step * pitch};
}

/* Where each pixel of a block is, if images, rows and columns lie n, i and j numbers apart; the last one MR times more. */
static inline long list_pixels(long *at, const struct block *b, long n, long i, long j)
{
    long p = 0;
    for (long image = 0; image < b->images; image++)
        for (long row = 0; row < b->rows; row++)
            for (long column = 0; column < b->columns; column++) at[p++] = image * n + row * i + column * j;
    for (long m = 0; m < LINE; m++) at[p + m] = at[p - 1];
    return p;
}
#endif
