/* SPDX-License-Identifier: MIT */
/* Time. Internal time is CLOCK_MONOTONIC in int64 nanoseconds; wall time appears only in records. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

/* A pair of readings of the two clocks, taken close together. */
struct clock_anchor {
    int64_t mono_ns; /* CLOCK_MONOTONIC */
    int64_t wall_ns; /* CLOCK_REALTIME, since 1970 */
    int64_t gap_ns;  /* bracket of the two monotonic readings around the wall reading */
};

/* A duration in seconds. A product, not a quotient: joules are held to their last digit. */
static inline double clock_seconds(int64_t ns)
{
    return (double)ns * 1e-9;
}

int64_t clock_mono_ns(void);
int64_t clock_wall_ns(void);
/* Reads mono, wall, mono a few times and keeps the tightest bracket. */
struct clock_anchor clock_anchor_take(void);
/* The wall time of a monotonic stamp by an anchor. */
int64_t clock_anchor_wall_ns(const struct clock_anchor *anchor, int64_t mono_ns);
/* Sleeps until an absolute monotonic time; restarts after signals. */
void clock_sleep_until_ns(int64_t deadline_ns);
/* CPU time of the calling thread (CLOCK_THREAD_CPUTIME_ID) and of the process. */
int64_t clock_thread_cpu_ns(void);
int64_t clock_process_cpu_ns(void);
/* "2026-11-25T02:44:37.123Z" (UTC, milliseconds). New string. */
char *clock_format_utc(int64_t wall_ns);
