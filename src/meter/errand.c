/* SPDX-License-Identifier: MIT */
#include "meter/errand.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 1u /* in done: no thread comes */
#define ONE    2u /* errand more */

void errand_init(struct errand *errand)
{
    pthread_mutex_init(&errand->one, NULL);
    atomic_store(&errand->done, NOBODY);
}

void errand_clear(struct errand *errand)
{
    pthread_mutex_destroy(&errand->one);
    g_free(errand->ticks);
}

/* Sleeps while the word has this value, at most until the deadline; it may return for no reason. */
static void sleep_on(atomic_uint *word, unsigned value, int64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void wake(atomic_uint *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void count_up(atomic_uint *word)
{
    atomic_fetch_add_explicit(word, ONE, memory_order_release);
    wake(word);
}

/* Until the errand that was the `asked`th is done. */
static bool wait_done(struct errand *errand, unsigned asked, int64_t deadline_ns)
{
    unsigned done;
    while ((done = atomic_load_explicit(&errand->done, memory_order_acquire)) == asked - ONE) {
        if (clock_mono_ns() >= deadline_ns)
            return false;
        sleep_on(&errand->done, done, deadline_ns);
    }
    return (done & ~NOBODY) == asked;
}

bool errand_ask(struct errand *errand, struct sampler_tick *ticks, size_t count, int64_t deadline_ns)
{
    pthread_mutex_lock(&errand->one);
    unsigned asked = atomic_load_explicit(&errand->asked, memory_order_relaxed);
    /* behind one that was given up, too: its thread has not come back */
    bool fine = atomic_load_explicit(&errand->done, memory_order_acquire) == asked;
    if (fine) {
        g_free(errand->ticks);
        errand->ticks = g_memdup2(ticks, count * sizeof *ticks);
        errand->count = count;
        errand->asked_ns = clock_mono_ns();
        count_up(&errand->asked);
        fine = wait_done(errand, asked + ONE, deadline_ns);
    }
    if (fine)
        memcpy(ticks, errand->ticks, count * sizeof *ticks);
    pthread_mutex_unlock(&errand->one);
    return fine;
}

void errand_open(struct errand *errand)
{
    atomic_fetch_and_explicit(&errand->done, ~NOBODY, memory_order_release);
}

void errand_close(struct errand *errand)
{
    atomic_fetch_or_explicit(&errand->done, NOBODY, memory_order_release);
    wake(&errand->done);
}

bool errand_wait(struct errand *errand, int64_t deadline_ns)
{
    unsigned done = atomic_load_explicit(&errand->done, memory_order_relaxed); /* nobody else changes it */
    while (atomic_load_explicit(&errand->asked, memory_order_acquire) == done) {
        if (clock_mono_ns() >= deadline_ns)
            return false;
        sleep_on(&errand->asked, done, deadline_ns);
    }
    return true;
}

void errand_done(struct errand *errand)
{
    count_up(&errand->done);
}
