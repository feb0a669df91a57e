/* SPDX-License-Identifier: MIT */
/*
 * Does a counter add up its board's instant power or the 1-s average? At idle both are the same, so this is asked of
 * points in which power changed: those of the warm-up. Some boards' counters follow the average (docs/methodology.md,
 * "Padded counter"); their last energy then arrives 1.5 s late.
 */
#include "energy/internal.h"

#include <math.h>

#define UNLIKE_SHARE 0.05 /* choice: of the higher one; more than two readings of one board differ by at rest */
#define UNLIKE_MIN   10   /* intervals that take sides: a step of power gives ten of 100 ms before an average has it */
#define SURE         4    /* choice: so much larger is the mean square distance to the instant power */

/* The value of a power channel that held at a time; NaN before the first and at failed readings. */
static double reading_at(const struct energy_channel *power, int64_t t_ns, size_t *at)
{
    while (*at + 1 < power->count && power->points[*at + 1].first_ns <= t_ns)
        ++*at;
    if (power->count == 0 || power->points[*at].first_ns > t_ns || power->points[*at].status != METER_READ_OK)
        return NAN;
    return (double)power->points[*at].raw * power->info->scale;
}

bool energy_follows_average(const struct energy_channel *counter, const struct energy_channel *average,
                            const struct energy_channel *instant)
{
    double to_average = 0, to_instant = 0;
    size_t n = 0, a = 0, i = 0;
    const struct meter_point *before = NULL;
    for (size_t k = 0; k < counter->count; k++) {
        const struct meter_point *p = &counter->points[k];
        if (p->status != METER_READ_OK || !before) {
            before = p->status == METER_READ_OK ? p : NULL;
            continue;
        }
        /* What the counter gained in an interval is what the power channels show in the middle of the next. */
        int64_t length_ns = p->first_ns - before->first_ns;
        double slope = (double)(p->raw - before->raw) * counter->info->scale / clock_seconds(length_ns);
        double mean = reading_at(average, p->first_ns + length_ns / 2, &a);
        double now = reading_at(instant, p->first_ns + length_ns / 2, &i);
        before = p;
        if (!(fabs(mean - now) > UNLIKE_SHARE * fmax(mean, now)))
            continue;
        to_average += (slope - mean) * (slope - mean);
        to_instant += (slope - now) * (slope - now);
        n++;
    }
    return n >= UNLIKE_MIN && to_instant > SURE * to_average;
}
