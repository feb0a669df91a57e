/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <errno.h>
#include <glib.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_process_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

struct clock_anchor clock_anchor_take(void)
{
    struct clock_anchor best = {.gap_ns = INT64_MAX};
    for (int i = 0; i < 5; i++) {
        int64_t a = clock_mono_ns();
        int64_t wall = clock_wall_ns();
        int64_t b = clock_mono_ns();
        if (b - a < best.gap_ns)
            best = (struct clock_anchor){.mono_ns = a + (b - a) / 2, .wall_ns = wall, .gap_ns = b - a};
    }
    return best;
}

int64_t clock_anchor_wall_ns(const struct clock_anchor *anchor, int64_t mono_ns)
{
    return anchor->wall_ns + (mono_ns - anchor->mono_ns);
}

void clock_sleep_until_ns(int64_t deadline_ns)
{
    struct timespec ts = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}

char *clock_format_utc(int64_t wall_ns)
{
    time_t seconds = wall_ns / NS_PER_S;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    return g_strdup_printf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                           tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                           (int)(wall_ns % NS_PER_S / NS_PER_MS));
}
