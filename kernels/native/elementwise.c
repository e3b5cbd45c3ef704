/* leaky_relu and its gate, and sums: one pass, in pieces of 64 KB. Twin: cpu/elementwise.py. */
#include "kernels.h"
#include "vec.h"

enum { PIECE = 16384 };
struct job { const float *a, *b; float *y; long size; float slope; };

static void leaky_relu_task(void *arg, long i, int worker)
{
    struct job *j = arg;
    (void)worker;
    long k = i * PIECE, n = min(PIECE, j->size - k);
    const float *a = j->a + k, slope = j->slope;
    float *y = j->y + k;
    COLUMNS(n, c, { put(y + c, rectified(get(a + c, whole, left), slope), whole, left); })
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
    long k = i * PIECE, n = min(PIECE, j->size - k);
    const float *a = j->a + k, *b = j->b + k, slope = j->slope;
    float *y = j->y + k;
    COLUMNS(n, c, { put(y + c, gated(get(a + c, whole, left), get(b + c, whole, left), slope), whole, left); })
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
    long k = i * PIECE, n = min(PIECE, j->size - k);
    const float *a = j->a + k, *b = j->b + k;
    float *y = j->y + k;
    COLUMNS(n, c, { put(y + c, get(a + c, whole, left) + get(b + c, whole, left), whole, left); })
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
