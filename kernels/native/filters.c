/* Sums of shifted filters, as an up-convolution needs to become a transposed convolution, and their adjoint.
 *
 *     y[r, q, b, a] = sum of w[first_r - r + i, first_q - q + j, a, b] over i < SH, j < SW, where inside w
 *
 * Each tap is turned by blocks in registers, after the sum. Sums are in the order of the twin, cpu/filters.py.
 * Tasks: STRIP rows of a tap.
 */
#include "kernels.h"
#include "vec.h"

enum { STRIP = 64 };
struct job {
    const float *w;
    float *y;
    long KH, KW, A, B, OH, OW, SH, SW, first_r, first_q; /* w (KH, KW, A, B), y (OH, OW, B, A) */
    long strips;
};

/* Up to W x W numbers of the sum, from (a, b) on. */
INLINE void turned_sum(const struct job *j, long r, long q, long a, long b, float *y, const int whole)
{
    long high = whole ? W : min(W, j->A - a), wide = whole ? W : min(W, j->B - b);
    vec v[W];
    UNROLL for (int n = 0; n < W; n++) v[n] = (vec){0};
    for (long k = max(0, j->first_r - r); k < min(j->KH, j->first_r - r + j->SH); k++)
        for (long l = max(0, j->first_q - q); l < min(j->KW, j->first_q - q + j->SW); l++) {
            const float *w = j->w + ((k * j->KW + l) * j->A + a) * j->B + b;
            if (whole) {
                UNROLL for (int n = 0; n < W; n++) v[n] += VEC(w + n * j->B);
            } else
                for (int n = 0; n < high; n++) v[n] += load_first(w + n * j->B, wide);
        }
    transpose(v);
    if (whole) {
        UNROLL for (int n = 0; n < W; n++) STORE(y + n * j->A, v[n]);
    } else
        for (int n = 0; n < wide; n++) store_first(y + n * j->A, v[n], high);
}

static void strip_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long tap = i / j->strips, r = tap / j->OW, q = tap % j->OW, first = i % j->strips * STRIP, last = min(j->A, first + STRIP);
    for (long b = 0; b < j->B; b += W)
        for (long a = first; a < last; a += W) {
            float *y = j->y + (tap * j->B + b) * j->A + a;
            if (a + W <= j->A && b + W <= j->B) turned_sum(j, r, q, a, b, y, 1);
            else turned_sum(j, r, q, a, b, y, 0);
        }
}

/* w (KH, KW, A, B) -> y (OH, OW, B, A); sizes KH KW A B OH OW SH SW, then first_r and first_q. */
int shifted_filters(const struct call *c)
{
    const long *s = c->i;
    struct job j = {c->arrays[0].data, c->arrays[1].data, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9],
                    up(s[2], STRIP)};
    for (int k = 0; k < 8; k++)
        if (s[k] < 1 || s[k] > INT_MAX) return WRONG_SIZE;
    if (max(s[8], s[9]) > INT_MAX || min(s[8], s[9]) < 0) return WRONG_SIZE;
    NEED(0, SIZE(j.KH, j.KW, j.A, j.B));
    NEED(1, SIZE(j.OH, j.OW, j.B, j.A));
    parallel(c->threads, strip_task, &j, j.OH * j.OW * j.strips);
    return DONE;
}
