/* SPDX-License-Identifier: MIT */
/*
 * Inside of the room: what one thread asks another to do at once. Who asks sleeps until it is done; the other sleeps
 * until it is asked or its time has come, on one futex, so that being asked costs no more than a wake-up. Who asks does
 * not wait for a thread that is not there, nor for ever: what is asked for is the errand's own copy, so that a thread
 * that comes back late writes into nobody's memory.
 */
#pragma once

#include "meter/meter.h"

#include <pthread.h>
#include <stdatomic.h>

struct errand {
    pthread_mutex_t one;        /* one asks at a time */
    atomic_uint asked, done;    /* how often so far, twice; apart while one is under way; done: odd, nobody comes */
    struct sampler_tick *ticks; /* of the one under way: the other thread's until it is done */
    size_t count;
    int64_t asked_ns;
};

void errand_init(struct errand *errand);
void errand_clear(struct errand *errand);
/* Asks, and waits until it is done; false, and nothing is changed: no thread comes, it ended meanwhile, or it was not
 * done by the deadline (monotonic). */
bool errand_ask(struct errand *errand, struct sampler_tick *ticks, size_t count, int64_t deadline_ns);
/* Of the other thread: it will come from now on, and no more. */
void errand_open(struct errand *errand);
void errand_close(struct errand *errand);
/* The other thread's: sleeps until the deadline (monotonic) or until it is asked; true: there is something to do. */
bool errand_wait(struct errand *errand, int64_t deadline_ns);
void errand_done(struct errand *errand);
