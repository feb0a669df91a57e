/* SPDX-License-Identifier: MIT */
/* Threads that use CPU time at a level: short slices of work and sleep, so that a meter sees a steady power. */
#include "sim/sim.h"

#include <stdatomic.h>

#define SLICE_NS (2 * NS_PER_MS)

struct burner {
    GMutex lock;
    GCond changed;
    _Atomic int64_t busy_ns; /* of each slice */
    _Atomic bool end;
    int64_t n_threads;
    GThread **threads;
};

static void wait_for_work(struct burner *b)
{
    g_mutex_lock(&b->lock);
    while (b->busy_ns == 0 && !b->end)
        g_cond_wait(&b->changed, &b->lock);
    g_mutex_unlock(&b->lock);
}

static gpointer burn(gpointer data)
{
    struct burner *b = data;
    while (!b->end) {
        int64_t busy = b->busy_ns;
        if (busy == 0) {
            wait_for_work(b);
            continue;
        }
        int64_t start = clock_mono_ns();
        int64_t cpu_end = clock_thread_cpu_ns() + busy;
        while (clock_thread_cpu_ns() < cpu_end && clock_mono_ns() < start + 4 * SLICE_NS && b->busy_ns > 0)
            ;
        if (busy < SLICE_NS)
            clock_sleep_until_ns(start + SLICE_NS);
    }
    return NULL;
}

struct burner *burner_new(int64_t threads)
{
    struct burner *b = g_new0(struct burner, 1);
    g_mutex_init(&b->lock);
    g_cond_init(&b->changed);
    b->n_threads = threads;
    b->threads = g_new0(GThread *, (size_t)threads);
    for (int64_t i = 0; i < threads; i++)
        b->threads[i] = g_thread_new("sim-burner", burn, b);
    return b;
}

void burner_set(struct burner *b, double level)
{
    int64_t busy = (int64_t)(level * SLICE_NS);
    if (busy == b->busy_ns)
        return;
    g_mutex_lock(&b->lock);
    b->busy_ns = busy;
    g_cond_broadcast(&b->changed);
    g_mutex_unlock(&b->lock);
}

void burner_free(struct burner *b)
{
    if (!b)
        return;
    g_mutex_lock(&b->lock);
    b->end = true;
    b->busy_ns = 0;
    g_cond_broadcast(&b->changed);
    g_mutex_unlock(&b->lock);
    for (int64_t i = 0; i < b->n_threads; i++)
        g_thread_join(b->threads[i]);
    g_mutex_clear(&b->lock);
    g_cond_clear(&b->changed);
    g_free(b->threads);
    g_free(b);
}
