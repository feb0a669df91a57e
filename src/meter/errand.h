/* SPDX-License-Identifier: MIT */
/*
 * Inside of the room: what one thread asks another to do at once. Who asks sleeps until it is done; the other sleeps
 * until it is asked or its time has come, on one futex, so that being asked costs no more than a wake-up.
 */
#pragma once

#include "meter/meter.h"

#include <pthread.h>
#include <stdatomic.h>

struct errand {
    pthread_mutex_t one;      /* one asks at a time */
    atomic_uint asked, done;  /* how often so far; apart while one is under way */
    struct sampler_tick *ticks; /* of the one under way: the other thread's until it is done */
    size_t count;
    int64_t asked_ns;
};

void errand_init(struct errand *errand);
void errand_clear(struct errand *errand);
/* Asks, and waits until it is done. */
void errand_ask(struct errand *errand, struct sampler_tick *ticks, size_t count);
/* The other thread's: sleeps until the deadline (monotonic) or until it is asked; true: there is something to do. */
bool errand_wait(struct errand *errand, int64_t deadline_ns);
void errand_done(struct errand *errand);
