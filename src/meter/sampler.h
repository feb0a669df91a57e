/* SPDX-License-Identifier: MIT */
/*
 * sampler: reads the channels of a meter on absolute deadlines and keeps what it saw. Part of the room meter; include
 * meter/meter.h.
 *
 * One thread ticks (clock_nanosleep with TIMER_ABSTIME on CLOCK_MONOTONIC, timer slack 1 ns, SCHED_FIFO and locked
 * memory where allowed) and only reads sensors and fills a preallocated ring: no allocation, lock, log or I/O of its
 * own. A second thread reads the slow channels into a ring of its own. A writer thread drains both into the series and
 * into trace.csv.gz. Ticks that came too late are skipped and counted: missed ticks are data.
 *
 * At a mark (an end of the work) fast counters are read at their own ticks, by the ticking thread too: it is woken at
 * once, whatever else the machine does, and a fast counter is never read by two threads.
 *
 * sampler_mark(), sampler_series(), sampler_stats() may be called from any thread while it runs and after it stopped,
 * sampler_ticks() too; it has an answer while it runs.
 */
#pragma once

#include "meter/meter.h"

struct sampler;

struct sampler_options {
    int64_t step_ns;        /* 0: 10 ms */
    int64_t slow_step_ns;   /* 0: 100 ms */
    bool ordinary;          /* SCHED_FIFO is not asked for: to find out what it does to others */
    const char *trace_path; /* NULL: no file. Written beside it and renamed by sampler_stop() */
    /* NULL: real time, own threads. Otherwise sampler_advance() ticks in the caller's thread: for tests with simulated
     * sensors. now_ns() must not go back; sleep_until_ns() moves it. */
    const struct sampler_clock *clock;
};

struct sampler_clock {
    int64_t (*now_ns)(void *context);
    void (*sleep_until_ns)(void *context, int64_t deadline_ns);
    void *context;
};

struct sampler_stats {
    int64_t ticks, missed;        /* done, skipped because a tick came more than a step late */
    int64_t dropped;              /* readings lost because the ring was full */
    int64_t late_p50_ns, late_p99_ns, late_max_ns; /* upper bounds of histogram bins (1/16 octave) */
    int64_t tick_max_ns;          /* longest tick: a driver that stalled shows here */
    int64_t cpu_ns;               /* CPU time of the ticking thread */
    int64_t slow_cpu_ns, writer_cpu_ns;
    int64_t mark_wake_max_ns;     /* longest from asking for a reading at a mark to its beginning */
    int64_t elapsed_ns;           /* from start to stop (or now) */
    bool realtime, locked;        /* SCHED_FIFO granted; memory locked */
    const char *notice;           /* NULL, or what was not granted and what it costs. Borrowed from the sampler */
};

struct sampler_mark {
    const char *name; /* borrowed from the sampler */
    int64_t t_ns;
};

struct sampler *sampler_new(struct meter *meter, const struct sampler_options *options, GError **error);
/* Starts the threads and waits for the first complete tick. */
bool sampler_start(struct sampler *sampler, GError **error);
/* Stops, drains, closes the trace (fsync, rename). Idempotent. Errors: IO when the trace could not be written; the
 * series stay readable. */
bool sampler_stop(struct sampler *sampler, GError **error);
void sampler_free(struct sampler *sampler);
typedef struct sampler owned_sampler; /* for g_autoptr */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_sampler, sampler_free)

/* Only with options.clock: runs every tick up to and including until_ns, in this thread. */
void sampler_advance(struct sampler *sampler, int64_t until_ns);

/* Names a moment (t_ns monotonic): kept and written into the trace. */
void sampler_mark(struct sampler *sampler, const char *name, int64_t t_ns);
size_t sampler_mark_count(struct sampler *sampler);
struct sampler_mark sampler_mark_at(struct sampler *sampler, size_t index);

/* A counter that is to be read at a mark. */
struct sampler_tick {
    size_t channel;
    int changes;        /* its own ticks waited for; 0: read once */
    int64_t timeout_ns; /* how long for each of them */
    /* Filled. Behind a tick the bracket is from the last reading before it to the first after it, so that the tick lies
     * in it; a counter that stood still has its last reading. */
    struct meter_reading reading;
};
/* Has the ticking thread read these counters now, in their order, and waits for it. What it saw last and first around
 * each tick is in series and trace as well, and a reading that failed with its status, but for channels that the slow
 * thread reads; readings that fall due meanwhile are taken as ever. False, and readings of status NONE: the thread does
 * not run, or did not come back from a driver. */
bool sampler_ticks(struct sampler *sampler, struct sampler_tick *ticks, size_t count);

/* The points (struct meter_point, in order) seen so far that say something about [from_ns, to_ns]: the run that held
 * at from_ns, all that began inside, and the first that began after to_ns. New array, empty for an absent channel. */
GArray *sampler_series(struct sampler *sampler, size_t channel, int64_t from_ns, int64_t to_ns);

void sampler_stats(struct sampler *sampler, struct sampler_stats *ret);
json_t *sampler_stats_json(struct sampler *sampler);
