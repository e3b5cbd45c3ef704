/* A small pool of POSIX threads, and memory that is used again.
 *
 * Helpers spin for some microseconds after their last task, then sleep: a network's kernels follow one another closely,
 * and waking a thread costs as much as 100,000 additions. A helper that comes late finds the door closed and holds nobody
 * up. There is one region at a time; a second caller does all its tasks itself, with the same result.
 */
#define _GNU_SOURCE
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

enum { SPINS = 4000 }; /* some microseconds */

static struct {
    pthread_mutex_t region, lock; /* region: held by the caller whose tasks are shared */
    pthread_cond_t wake;
    task_fn *task;
    void *arg;
    long n;
    int started, cores, prepared;
    atomic_int threads, inside, closed, sleeping;
    atomic_long next, epoch;
} pool = {.region = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER,
          .started = 1, .closed = 1};

static void take_tasks(int worker)
{
    for (long i; (i = atomic_fetch_add(&pool.next, 1)) < pool.n;) pool.task(pool.arg, i, worker);
}

static void *serve(void *number)
{
    int worker = (int)(intptr_t)number;
    for (long seen = 0;;) {
        int spins = pool.threads <= pool.cores ? SPINS : 0; /* more threads than cores: spinning would take one from a task */
        while (atomic_load(&pool.epoch) == seen && spins-- > 0) PAUSE();
        if (atomic_load(&pool.epoch) == seen) {
            pthread_mutex_lock(&pool.lock);
            atomic_fetch_add(&pool.sleeping, 1);
            while (atomic_load(&pool.epoch) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
            atomic_fetch_sub(&pool.sleeping, 1);
            pthread_mutex_unlock(&pool.lock);
        }
        seen = atomic_load(&pool.epoch);
        atomic_fetch_add(&pool.inside, 1); /* from here on the caller waits for this thread, if the door was open */
        if (!atomic_load(&pool.closed) && worker < pool.threads) take_tasks(worker);
        atomic_fetch_sub(&pool.inside, 1);
    }
    return NULL;
}

/* In a forked child only the forking thread lives on. */
static void after_fork(void)
{
    pthread_mutex_init(&pool.region, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.started = 1;
    atomic_store(&pool.inside, 0);
    atomic_store(&pool.sleeping, 0);
    atomic_store(&pool.closed, 1);
}

static int usable_cores(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* Signals are for Python's main thread; except those of a fault in the thread itself, which faulthandler reports. */
static sigset_t all_but_faults(void)
{
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, SIGSEGV), sigdelset(&set, SIGBUS), sigdelset(&set, SIGFPE), sigdelset(&set, SIGILL);
    return set;
}

static void start(int threads)
{
    if (!pool.prepared) {
        pthread_atfork(NULL, NULL, after_fork);
        pool.cores = usable_cores();
        pool.prepared = 1;
    }
    sigset_t others = all_but_faults(), before; /* a new thread inherits the mask */
    pthread_sigmask(SIG_SETMASK, &others, &before);
    for (pthread_t thread; pool.started < threads; pool.started++) {
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)pool.started)) break; /* no more to be had: fewer helpers */
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int workers(int threads, long n)
{
    int most = threads > MAX_WORKERS ? MAX_WORKERS : threads < 1 ? 1 : threads;
    return n > most ? most : n < 1 ? 1 : (int)n;
}

void parallel(int threads, task_fn *task, void *arg, long n)
{
    threads = workers(threads, n);
    if (threads <= 1 || pthread_mutex_trylock(&pool.region)) {
        for (long i = 0; i < n; i++) task(arg, i, 0);
        return;
    }
    if (pool.started < threads) start(threads);
    pool.task = task, pool.arg = arg, pool.n = n;
    atomic_store(&pool.threads, threads);
    atomic_store(&pool.next, 0);
    atomic_store(&pool.closed, 0);
    atomic_fetch_add(&pool.epoch, 1);
    if (atomic_load(&pool.sleeping)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
    take_tasks(0);
    atomic_store(&pool.closed, 1);
    for (int spins = SPINS; atomic_load(&pool.inside);)
        if (spins-- > 0) PAUSE();
        else sched_yield(), spins = 0; /* a helper waits for this core */
    pthread_mutex_unlock(&pool.region);
}

/* ------------------------------------------------------------------------------------------------------- memory */

/* Blocks that were given back and wait for the next call: a network's calls ask for the same sizes again and again, and
 * fresh memory costs as much as a pass over it. Each slot is exchanged atomically, so no lock can be left behind by a fork. */
enum { SLOTS = 4, HUGE_PAGE = 1 << 21 };
static const size_t LARGEST = (size_t)1 << 27; /* bytes above which a block is not kept */
struct block { size_t bytes; char before[64 - sizeof(size_t)]; };
static struct block *_Atomic slots[SLOTS];

/* Put a block into an empty slot, or free it. */
static void keep(struct block *block)
{
    for (int i = 0; block && i < SLOTS; i++) {
        struct block *none = NULL;
        if (atomic_compare_exchange_strong(&slots[i], &none, block)) return;
    }
    free(block);
}

int poisoned;

static float *ready(struct block *block)
{
    float *memory = (float *)(block + 1);
    if (poisoned) memset(memory, 0xff, block->bytes - sizeof *block); /* all bits set: NaN */
    return memory;
}

static struct block *allocated(size_t bytes)
{
    size_t unit = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    bytes = (bytes + unit - 1) / unit * unit;
    struct block *block = aligned_alloc(unit, bytes);
    if (!block) return NULL;
#if defined(__linux__)
    if (unit == HUGE_PAGE) madvise(block, bytes, MADV_HUGEPAGE);
#endif
    block->bytes = bytes;
    return block;
}

float *borrow(size_t floats)
{
    if (floats > (SIZE_MAX >> 3)) return NULL;
    size_t bytes = sizeof(struct block) + floats * sizeof(float);
    struct block *small = NULL;
    for (int i = 0; i < SLOTS; i++) {
        struct block *block = atomic_exchange(&slots[i], NULL);
        if (block && block->bytes >= bytes) {
            keep(small);
            return ready(block);
        }
        keep(small);
        small = block;
    }
    free(small); /* the new block takes its place: one caller keeps one block, as large as the largest it needed */
    struct block *block = allocated(bytes);
    if (block) return ready(block);
    for (int i = 0; i < SLOTS; i++) free(atomic_exchange(&slots[i], NULL));
    return (block = allocated(bytes)) ? ready(block) : NULL;
}

void give_back(float *memory)
{
    if (!memory) return;
    struct block *block = (struct block *)memory - 1;
    if (block->bytes > LARGEST) free(block);
    else keep(block);
}
