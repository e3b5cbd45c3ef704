/* leaky_relu and its gate, and sums: one pass, in pieces of 64 KB. Twin: cpu/elementwise.py; of round_bf16, rounding.py. */
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

typedef uint32_t uvec __attribute__((vector_size(W * 4), aligned(4), may_alias));

static void round_bf16_task(void *arg, long i, int worker)
{
    struct job *j = arg;
    (void)worker;
    long k = i * PIECE, n = min(PIECE, j->size - k);
    const float *a = j->a + k;
    float *y = j->y + k;
    COLUMNS(n, c, {
        vec x = get(a + c, whole, left);
        uvec bits = (uvec)x, rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
        put(y + c, pick((ivec)(x != x), (vec)((bits & 0xFFFF0000u) | 0x00400000u), (vec)rounded), whole, left);
    })
}

/* y = the bf16 number nearest to x, of two the even one; NaN stays NaN, though the sum may carry into its sign. */
int round_bf16(const struct call *c)
{
    struct job j = {c->arrays[0].data, NULL, c->arrays[1].data, c->arrays[1].size, 0};
    NEED(0, j.size);
    parallel(c->threads, round_bf16_task, &j, up(j.size, PIECE));
    return DONE;
}
