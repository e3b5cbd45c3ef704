/* Max pooling: the largest number under each window and its tap; values taken from there, and put back there.
 *
 * All channels of a pixel go together, W at a time, through the taps that lie inside the image: what is in the border is
 * -infinity, which nothing is smaller than. Taps are bytes.
 * Tasks: some windows, about 64 KB; to put back, an image's CHUNK of channels, for windows may overlap. Twin: cpu/pool.py.
 */
#include "kernels.h"
#include "vec.h"

enum { PIECE = 16384, CHUNK = 64, TAPS = 256 };
struct job {
    const float *x;
    float *y;
    unsigned char *index;
    long N, H, wide, C, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW; /* wide: W of the image */
    long each, chunks;
};

static int job_of(const struct call *c, struct job *j)
{
    const long *s = c->i;
    for (int k = 0; k < 14; k++)
        if (s[k] < (k == 10 || k == 11 ? 0 : 1) || s[k] > INT_MAX) return 0;
    *j = (struct job){.N = s[0], .H = s[1], .wide = s[2], .C = s[3], .OH = s[4], .OW = s[5], .KH = s[6], .KW = s[7], .SH = s[8],
                      .SW = s[9], .PH = s[10], .PW = s[11], .DH = s[12], .DW = s[13]};
    j->each = max(1, PIECE / j->C), j->chunks = up(j->C, CHUNK);
    return SIZE(j->KH, j->KW) <= TAPS;
}

/* Where the taps of window w (of all images' windows) are in x, -1 in the border; the taps. */
static long list_taps(const struct job *j, long w, long *at)
{
    long n = w / j->OW / j->OH, top = w / j->OW % j->OH * j->SH - j->PH, left = w % j->OW * j->SW - j->PW, count = 0;
    for (long k = 0; k < j->KH; k++)
        for (long l = 0; l < j->KW; l++) {
            long h = top + k * j->DH, q = left + l * j->DW, inside = h >= 0 && h < j->H && q >= 0 && q < j->wide;
            at[count++] = inside ? ((n * j->H + h) * j->wide + q) * j->C : -1;
        }
    return count;
}

/* W channels, or `left` of them where they are the last. */
INLINE void largest(const float *x, const long *at, long taps, float *y, unsigned char *index, const int whole, long left)
{
    vec best = (vec){0} - INFINITY;
    ivec tap = {0};
    for (long t = 0; t < taps; t++) {
        if (at[t] < 0) continue;
        vec v = whole ? VEC(x + at[t]) : load_first(x + at[t], left);
        ivec better = ~(ivec)(v <= best) & (ivec)(best == best); /* larger, or the first NaN */
        best = pick(better, v, best);
        tap = (tap & ~better) | ((int32_t)t & better);
    }
    if (whole) STORE(y, best);
    else store_first(y, best, left);
    for (long c = 0; c < left; c++) index[c] = tap[c];
}

static void max_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long at[TAPS], C = j->C;
    for (long w = i * j->each, last = min(j->N * j->OH * j->OW, w + j->each); w < last; w++) {
        long taps = list_taps(j, w, at), c = 0;
        float *y = j->y + w * C;
        unsigned char *index = j->index + w * C;
        for (; c + W <= C; c += W) largest(j->x + c, at, taps, y + c, index + c, 1, W);
        if (c < C) largest(j->x + c, at, taps, y + c, index + c, 0, C - c);
    }
}

static void take_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long at[TAPS], C = j->C;
    for (int t = 0; t < TAPS; t++) at[t] = -1; /* no window has so many taps */
    for (long w = i * j->each, last = min(j->N * j->OH * j->OW, w + j->each); w < last; w++) {
        list_taps(j, w, at);
        for (long c = 0; c < C; c++) {
            long k = at[j->index[w * C + c]];
            j->y[w * C + c] = k < 0 ? 0 : j->x[k + c];
        }
    }
}

/* Here x is g, (N, OH, OW, C), and y the image. */
static void put_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long at[TAPS], C = j->C, n = i / j->chunks, first = i % j->chunks * CHUNK, wide = min(CHUNK, C - first);
    for (int t = 0; t < TAPS; t++) at[t] = -1;
    for (long p = n * j->H * j->wide; p < (n + 1) * j->H * j->wide; p++) memset(j->y + p * C + first, 0, wide * sizeof(float));
    for (long w = n * j->OH * j->OW; w < (n + 1) * j->OH * j->OW; w++) {
        list_taps(j, w, at);
        for (long c = first; c < first + wide; c++) {
            long k = at[j->index[w * C + c]];
            if (k >= 0) j->y[k + c] += j->x[w * C + c];
        }
    }
}

/* x (N, H, W, C) -> y, index (N, OH, OW, C); sizes N H W C OH OW, then kernel, stride, padding, dilation. */
int max_pool2d(const struct call *c)
{
    struct job j;
    if (!job_of(c, &j)) return WRONG_SIZE;
    NEED(0, SIZE(j.N, j.H, j.wide, j.C));
    for (int k = 1; k <= 2; k++) NEED(k, SIZE(j.N, j.OH, j.OW, j.C));
    j.x = c->arrays[0].data, j.y = c->arrays[1].data, j.index = (unsigned char *)c->arrays[2].data;
    parallel(c->threads, max_task, &j, up(j.N * j.OH * j.OW, j.each));
    return DONE;
}

/* x (N, H, W, C), index -> y (N, OH, OW, C): x at those taps, 0 where they are in the border. */
int pool_take(const struct call *c)
{
    struct job j;
    if (!job_of(c, &j)) return WRONG_SIZE;
    NEED(0, SIZE(j.N, j.H, j.wide, j.C));
    for (int k = 1; k <= 2; k++) NEED(k, SIZE(j.N, j.OH, j.OW, j.C));
    j.x = c->arrays[0].data, j.index = (unsigned char *)c->arrays[1].data, j.y = c->arrays[2].data;
    parallel(c->threads, take_task, &j, up(j.N * j.OH * j.OW, j.each));
    return DONE;
}

/* g, index (N, OH, OW, C) -> gx (N, H, W, C): the adjoint. */
int pool_put(const struct call *c)
{
    struct job j;
    if (!job_of(c, &j)) return WRONG_SIZE;
    for (int k = 0; k <= 1; k++) NEED(k, SIZE(j.N, j.OH, j.OW, j.C));
    NEED(2, SIZE(j.N, j.H, j.wide, j.C));
    j.x = c->arrays[0].data, j.index = (unsigned char *)c->arrays[1].data, j.y = c->arrays[2].data;
    parallel(c->threads, put_task, &j, j.N * j.chunks);
    return DONE;
}
