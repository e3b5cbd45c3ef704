/* The kernels of this wing: one list, from which the module's functions are made (module.c), and how they are called.
 *
 * X(name, what it takes): r an array that is read, w one that is written (None: NULL, where the kernel allows it), R and W
 * lists of such arrays, i a whole number, f a real number. In Python: name(threads, ...) in this order.
 */
#ifndef MINIGAN_KERNELS_H
#define MINIGAN_KERNELS_H
#include "threads.h"

#define KERNELS(X)                \
    X(leaky_relu, "rwf")          \
    X(gate, "rrwf")               \
    X(norm_stats, "rwwwiiif")     \
    X(norm_apply, "rrrrrwiiif")   \
    X(norm_grad, "rrrrrrwwwiiif")

/* One call. Arrays are contiguous and float32; a list's arrays follow one another. */
struct array { float *data; long size; }; /* size: how many numbers there are */
struct call {
    int threads;
    struct array *arrays;
    long lists[8]; /* how many arrays each argument r, w, R, W has */
    long i[24];
    double f[8];
};

enum { DONE, NO_MEMORY, WRONG_SIZE }; /* what a kernel returns */
typedef int kernel_fn(const struct call *);
#define DECLARE(name, takes) kernel_fn name;
KERNELS(DECLARE)

/* Arrays are what their sizes say, or nothing is read or written. */
#define NEED(k, count) \
    if (c->arrays[k].data && c->arrays[k].size < (count)) return WRONG_SIZE
#define REQUIRE(k, count) /* the same, and None will not do */ \
    if (c->arrays[k].size < (count)) return WRONG_SIZE
#endif
