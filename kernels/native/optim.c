/* The update rules and moving averages, for all parameters in one call: one pass over memory. Twin: cpu/optim.py.
 *
 * Here a product and a sum are two roundings, as in NumPy, and never one: results are the twin's to the bit.
 * Tasks: pieces of 64 KB of one parameter.
 */
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif
#include "kernels.h"
#include "vec.h"

enum { PIECE = 16384, LISTS = 5, REALS = 8 };

/* rule(j, n, a): n numbers of one parameter, a[l] of list l or NULL. */
struct job;
typedef void rule_fn(const struct job *j, long n, float *const *a);
struct job {
    rule_fn *rule;
    const struct array *lists[LISTS]; /* NULL for a list that is not given */
    long *ends, count;                /* pieces of the first parameters; parameters */
    float f[REALS];                   /* the call's real numbers */
    int nesterov;
};

static void piece_task(void *arg, long i, int worker)
{
    const struct job *j = arg;
    (void)worker;
    long k = 0, above = j->count;
    while (k < above) { /* the first parameter whose pieces end behind i */
        long middle = (k + above) / 2;
        if (j->ends[middle] > i) above = middle;
        else k = middle + 1;
    }
    long at = (i - (k ? j->ends[k - 1] : 0)) * PIECE;
    float *a[LISTS];
    for (int l = 0; l < LISTS; l++) a[l] = j->lists[l] ? j->lists[l][k].data + at : NULL;
    j->rule(j, min(PIECE, j->lists[0][k].size - at), a);
}

/* Do it for all parameters: `lists` lists, those from `needed` on may be empty. */
static int update(const struct call *c, struct job *j, int lists, int needed)
{
    long at = 0, n = c->lists[0], pieces = 0;
    for (int k = 0; k < REALS; k++) j->f[k] = c->f[k];
    for (int l = 0; l < lists; at += c->lists[l++]) {
        if (c->lists[l] == 0 && l >= needed) continue;
        if (c->lists[l] != n) return WRONG_SIZE;
        j->lists[l] = c->arrays + at;
        for (long k = 0; k < n; k++) NEED(at + k, c->arrays[k].size);
    }
    if (n == 0) return DONE;
    j->ends = (long *)borrow(n * (sizeof(long) / sizeof(float)));
    if (!j->ends) return NO_MEMORY;
    j->count = n;
    for (long k = 0; k < n; k++) j->ends[k] = pieces += up(c->arrays[k].size, PIECE);
    parallel(c->threads, piece_task, j, pieces);
    give_back((float *)j->ends);
    return DONE;
}

static void sgd_rule(const struct job *j, long n, float *const *a)
{
    float *restrict p = a[0], *restrict m = a[2];
    const float *restrict g = a[1], rate = j->f[0], momentum = j->f[1], decay = j->f[2];
    const int nesterov = j->nesterov;
    for (long i = 0; i < n; i++) {
        float d = g[i];
        if (decay != 0) d = p[i] * decay + d;
        if (m) {
            m[i] = m[i] * momentum + d;
            d = nesterov ? m[i] * momentum + d : m[i];
        }
        p[i] -= d * rate;
    }
}

/* params, grads, momenta or none; lr, momentum, weight_decay; nesterov. */
int sgd(const struct call *c)
{
    struct job j = {.rule = sgd_rule, .nesterov = c->i[0] != 0};
    return update(c, &j, 3, 2);
}

static void rmsprop_rule(const struct job *j, long n, float *const *a)
{
    float *restrict p = a[0], *restrict s = a[2], *restrict mean = a[3], *restrict b = a[4];
    const float *restrict g = a[1], rate = j->f[0], alpha = j->f[1], rest = j->f[2], eps = j->f[3], decay = j->f[4];
    const float momentum = j->f[5];
    for (long i = 0; i < n; i++) {
        float d = g[i];
        if (decay != 0) d = p[i] * decay + d;
        float square = s[i] = s[i] * alpha + d * d * rest;
        if (mean) {
            mean[i] = mean[i] * alpha + d * rest;
            square -= mean[i] * mean[i];
            square = square < 0 ? 0 : square; /* rounding may make a variance of 0 negative */
        }
        float step = d / (sqrtf(square) + eps);
        if (b) step = b[i] = b[i] * momentum + step;
        p[i] -= step * rate;
    }
}

/* params, grads, squares, means or none, momenta or none; lr, alpha, 1 - alpha, eps, weight_decay, momentum. */
int rmsprop(const struct call *c)
{
    struct job j = {.rule = rmsprop_rule};
    return update(c, &j, 5, 3);
}

static void adam_rule(const struct job *j, long n, float *const *a)
{
    float *restrict p = a[0], *restrict m = a[2], *restrict s = a[3];
    const float *restrict g = a[1], rate = j->f[0], beta1 = j->f[1], rest1 = j->f[2], beta2 = j->f[3], rest2 = j->f[4];
    const float eps = j->f[5], decay = j->f[6], kept = j->f[7];
    for (long i = 0; i < n; i++) {
        float x = p[i] * kept, d = g[i];
        if (decay != 0) d = x * decay + d;
        m[i] = m[i] * beta1 + d * rest1;
        s[i] = s[i] * beta2 + d * d * rest2;
        p[i] = x - m[i] / (sqrtf(s[i]) + eps) * rate;
    }
}

/* params, grads, means, squares; rate, beta1, 1 - beta1, beta2, 1 - beta2, eps (both corrected for the step),
 * weight_decay, what decoupled decay leaves of p. */
int adam(const struct call *c)
{
    struct job j = {.rule = adam_rule};
    return update(c, &j, 4, 4);
}

static void ema_rule(const struct job *j, long n, float *const *a)
{
    float *restrict average = a[0];
    const float *restrict p = a[1], share = j->f[0];
    for (long i = 0; i < n; i++) average[i] += (p[i] - average[i]) * share;
}

/* averages, params; 1 - decay. */
int ema(const struct call *c)
{
    struct job j = {.rule = ema_rule};
    return update(c, &j, 2, 2);
}
