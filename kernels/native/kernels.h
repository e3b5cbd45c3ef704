/* The kernels of this wing: one list, from which the module's functions are made (module.c), and how they are called.
 *
 * X(name, what it takes): r an array that is read, w one that is written (None: NULL, where the kernel allows it), R and W
 * lists of such arrays, b and B an array of bytes that is read or written, i a whole number, f a real number. In Python: name(threads, ...) in this order.
 *
 * library.py reads this list, too, and compares it with what a module says it was compiled from.
 */
#ifndef MINIGAN_KERNELS_H
#define MINIGAN_KERNELS_H
#include <limits.h>

#include "threads.h"

#define KERNELS(X)                \
    X(leaky_relu, "rwf")          \
    X(gate, "rrwf")               \
    X(add_arrays, "rrw")          \
    X(round_bf16, "rw")           \
    X(direct_forward, "rrrwiiiiiiiiiiiiiii") \
    X(direct_adjoint, "rrrwiiiiiiiiiiiiiii") \
    X(direct_weights, "rrwiiiiiiiiiiiiiii") \
    X(winograd_forward, "rrrwiiiiiiiiiiiii") \
    X(winograd_adjoint, "rrrwiiiiiiiiiiiii") \
    X(winograd_weights, "rrwiiiiiiiiiiiii") \
    X(shifted_filters, "rwiiiiiiiiii") \
    X(sgd, "WRWfffi")             \
    X(rmsprop, "WRWWWffffff")     \
    X(adam, "WRWWffffffff")       \
    X(ema, "WRf")                 \
    X(pad, "rwiiiiiiiiif")        \
    X(fold, "rrwiiiiiiiii")       \
    X(upsample_nearest, "rwiiiii") \
    X(block_sum, "rwiiiii")       \
    X(resample, "rrrwiiiiii")     \
    X(max_pool2d, "rwBiiiiiiiiiiiiii") \
    X(pool_take, "rbwiiiiiiiiiiiiii") \
    X(pool_put, "rbwiiiiiiiiiiiiii") \
    X(reduce_sum, "rwiii")        \
    X(norm_stats, "rwwwiiif")     \
    X(norm_apply, "rrrrrrwiiif")  \
    X(norm_grad, "rrrrrrrwwwiiif")

/* One call. Arrays are contiguous and float32 (or, for b and B, bytes, of which `size` counts); a list's arrays follow one
 * another. */
enum { MOST_ARGUMENTS = 32 }; /* arguments of a kernel */
struct array { float *data; long size; }; /* size: how many numbers there are */
struct call {
    int threads;
    struct array *arrays;
    long lists[MOST_ARGUMENTS]; /* how many arrays each argument r, w, R, W has */
    long i[MOST_ARGUMENTS];
    double f[MOST_ARGUMENTS];
};

enum { DONE, NO_MEMORY, WRONG_SIZE }; /* what a kernel returns */
typedef int kernel_fn(const struct call *);
#define DECLARE(name, takes) \
    kernel_fn name;          \
    _Static_assert(sizeof takes <= MOST_ARGUMENTS + 1, "too many arguments");
KERNELS(DECLARE)

/* The product of some sizes; larger than any array if it overflows or a size is negative. */
static inline long product(long count, const long *sizes)
{
    long all = 1;
    for (long k = 0; k < count; k++)
        if (sizes[k] < 0 || __builtin_mul_overflow(all, sizes[k], &all)) return LONG_MAX;
    return all;
}
#define SIZE(...) product(sizeof (long[]){__VA_ARGS__} / sizeof(long), (long[]){__VA_ARGS__})

/* Arrays are there and as large as their sizes say, or nothing is read or written. */
#define NEED(k, count) \
    if (!c->arrays[k].data || c->arrays[k].size < (count)) return WRONG_SIZE
/* The same for an array that may be None. */
#define NEED_OR_NONE(k, count) \
    if (c->arrays[k].data && c->arrays[k].size < (count)) return WRONG_SIZE
#endif
