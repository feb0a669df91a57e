/* SPDX-License-Identifier: MIT */
#include "meter/errand.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void errand_init(struct errand *errand)
{
    pthread_mutex_init(&errand->one, NULL);
}

void errand_clear(struct errand *errand)
{
    pthread_mutex_destroy(&errand->one);
}

/* Sleeps while the word has this value, at most until the deadline; it may return for no reason. */
static void sleep_on(atomic_uint *word, unsigned value, const struct timespec *deadline)
{
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void count_up(atomic_uint *word)
{
    atomic_fetch_add_explicit(word, 1, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void errand_ask(struct errand *errand, struct sampler_tick *ticks, size_t count)
{
    pthread_mutex_lock(&errand->one);
    unsigned before = atomic_load_explicit(&errand->done, memory_order_relaxed);
    errand->ticks = ticks;
    errand->count = count;
    errand->asked_ns = clock_mono_ns();
    count_up(&errand->asked);
    while (atomic_load_explicit(&errand->done, memory_order_acquire) == before)
        sleep_on(&errand->done, before, NULL);
    pthread_mutex_unlock(&errand->one);
}

bool errand_wait(struct errand *errand, int64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};
    unsigned done = atomic_load_explicit(&errand->done, memory_order_relaxed); /* nobody else changes it */
    while (atomic_load_explicit(&errand->asked, memory_order_acquire) == done) {
        if (clock_mono_ns() >= deadline_ns)
            return false;
        sleep_on(&errand->asked, done, &deadline);
    }
    return true;
}

void errand_done(struct errand *errand)
{
    count_up(&errand->done);
}
