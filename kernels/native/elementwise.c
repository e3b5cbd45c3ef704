/* leaky_relu and its gate, and sums: one pass, in pieces of 64 KB. Twin: cpu/elementwise.py. */
#include "kernels.h"
#include "vec.h"

enum { PIECE = 16384 };
struct job { const float *a, *b; float *y; long size; float slope; };

static void leaky_relu_task(void *arg, long i, int worker)
{
    struct job *j = arg;
    (void)worker;
    long k = i * PIECE, end = min(j->size, k + PIECE);
    for (; k + W <= end; k += W) STORE(j->y + k, rectified(VEC(j->a + k), j->slope));
    if (k < end) store_first(j->y + k, rectified(load_first(j->a + k, end - k), j->slope), end - k);
}

/* y = a where x > 0, else slope*x; slope 0 is relu; NaN stays NaN. */
int leaky_relu(const struct call *c)
{
    struct job j = {c->arrays[0].data, NULL, c->arrays[1].data, c->arrays[1].size, (float)c->f[0]};
    NEED(0, j.size);
    NEED(1, j.size);
    parallel(c->threads, leaky_relu_task, &j, up(j.size, PIECE));
    return DONE;
}

static void gate_task(void *arg, long i, int worker)
{
    struct job *j = arg;
    (void)worker;
    long k = i * PIECE, end = min(j->size, k + PIECE);
    for (; k + W <= end; k += W) STORE(j->y + k, gated(VEC(j->a + k), VEC(j->b + k), j->slope));
    if (k < end) store_first(j->y + k, gated(load_first(j->a + k, end - k), load_first(j->b + k, end - k), j->slope), end - k);
}

/* z = g where on > 0, else slope*g; nothing passes a closed gate of slope 0, not even NaN. */
int gate(const struct call *c)
{
    struct job j = {c->arrays[0].data, c->arrays[1].data, c->arrays[2].data, c->arrays[2].size, (float)c->f[0]};
    NEED(0, j.size);
    NEED(1, j.size);
    NEED(2, j.size);
    parallel(c->threads, gate_task, &j, up(j.size, PIECE));
    return DONE;
}

static void add_task(void *arg, long i, int worker)
{
    struct job *j = arg;
    (void)worker;
    long k = i * PIECE, end = min(j->size, k + PIECE);
    for (; k + W <= end; k += W) STORE(j->y + k, VEC(j->a + k) + VEC(j->b + k));
    if (k < end) store_first(j->y + k, load_first(j->a + k, end - k) + load_first(j->b + k, end - k), end - k);
}

/* y = a + b */
int add_arrays(const struct call *c)
{
    struct job j = {c->arrays[0].data, c->arrays[1].data, c->arrays[2].data, c->arrays[2].size, 0};
    NEED(0, j.size);
    NEED(1, j.size);
    NEED(2, j.size);
    parallel(c->threads, add_task, &j, up(j.size, PIECE));
    return DONE;
}
