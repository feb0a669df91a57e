/* SPDX-License-Identifier: MIT */
/* Threads that use CPU time at a level: short slices of work and sleep, so that a meter sees a steady power. */
#include "sim/sim.h"

#include <pthread.h>
#include <stdatomic.h>

#define SLICE_NS (2 * NS_PER_MS)

struct burner {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic int64_t busy_ns; /* of each slice */
    _Atomic bool end;
    int64_t n_threads;
    pthread_t *threads;
};

static void wait_for_work(struct burner *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->busy_ns == 0 && !b->end)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void *burn(void *data)
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
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->threads = g_new0(pthread_t, (size_t)threads);
    while (b->n_threads < threads && pthread_create(&b->threads[b->n_threads], NULL, burn, b) == 0)
        b->n_threads++;
    if (b->n_threads < threads)
        g_clear_pointer(&b, burner_free);
    return b;
}

void burner_set(struct burner *b, double level)
{
    int64_t busy = (int64_t)(level * SLICE_NS);
    if (busy == b->busy_ns)
        return;
    pthread_mutex_lock(&b->lock);
    b->busy_ns = busy;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void burner_free(struct burner *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->end = true;
    b->busy_ns = 0;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    for (int64_t i = 0; i < b->n_threads; i++)
        pthread_join(b->threads[i], NULL);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
    g_free(b->threads);
    g_free(b);
}
