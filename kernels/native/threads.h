/* Who does the work, and memory while it is done.
 *
 * parallel(threads, task, arg, n) calls task(arg, i, worker) once for every i < n, on at most `threads` threads, in any
 * order, and returns when all are done. What a task is must depend on shapes alone: then one thread and sixteen give the
 * same bytes. worker < workers(threads, n) is a number of its own for each thread that takes part, for its scratch.
 */
#ifndef MINIGAN_THREADS_H
#define MINIGAN_THREADS_H
#include <stddef.h>

enum { MAX_WORKERS = 64 };
typedef void task_fn(void *arg, long i, int worker);

void parallel(int threads, task_fn *task, void *arg, long n);
int workers(int threads, long n); /* at least 1 */

float *borrow(size_t floats); /* aligned to a cache line; NULL if there is no memory. What it held before is not cleared. */
void give_back(float *memory);
extern int poisoned; /* for tests: borrowed memory is filled with NaN, so that a read before a write shows */
#endif
