/* SPDX-License-Identifier: MIT */
/* Readings that reach over both ends of a window, or do not; and those that nothing can have drawn. */
#include "energy/internal.h"

#include <math.h>
#include <stdio.h>

#define LATE_S 0.05 /* choice: five steps of the sampler; ticks that come late do not make a gap */

double reading_slack(const struct sensor *sensor)
{
    return MAX(MAX(LATE_S, 2.5 * sensor->step), MIN(sensor->period, 0.5));
}

/* --- ends -------------------------------------------------------------------------------------------------------- */

/* The readings next to a moment, and why there is none between them. Seconds from t0. */
struct around {
    double before, after; /* infinite: none */
    const char *why;
};

static bool counts(const struct meter_point *p, const struct energy_channel *channel, const struct edges *edges)
{
    return p->status == METER_READ_OK && (double)p->raw * channel->info->scale <= edges->bound;
}

static struct around readings_around(const struct energy_channel *channel, const struct edges *edges,
                                     const struct energy_window *window, double t)
{
    struct around a = {-INFINITY, INFINITY, "nothing was read"};
    for (size_t i = 0; i < channel->count; i++) {
        const struct meter_point *p = &channel->points[i];
        double first = clock_seconds(p->first_ns - window->t0_ns), last = clock_seconds(p->last_ns - window->t0_ns);
        if (!counts(p, channel, edges)) {
            bool near = first <= t + LATE_S || isinf(a.before);
            a.why = near && isinf(a.after) ? meter_read_name(p->status) : a.why;
            continue;
        }
        if (first <= t)
            a.before = fmax(a.before, fmin(MAX(first, last), t));
        if (MAX(first, last) >= t)
            a.after = fmin(a.after, fmax(first, t));
    }
    return a;
}

/* Readings reach over t. Where not, says so in ret. */
static bool is_read_at(const struct energy_channel *channel, const struct edges *edges,
                       const struct energy_window *window, const struct sensor *sensor, double t, struct answer *ret)
{
    struct around a = readings_around(channel, edges, window, t);
    double d = clock_seconds(window->t1_ns - window->t0_ns), slack = reading_slack(sensor);
    double from = isinf(a.before) ? fmin(0, t) : a.before, to = isinf(a.after) ? fmax(d, t) : a.after;
    double missing = isinf(a.before) ? a.after - t : isinf(a.after) ? t - a.before : a.after - a.before;
    if (missing <= slack)
        return true;
    snprintf(ret->text, sizeof ret->text, "no reading from %.2f s to %.2f s of the work's %.2f s (%s)", from, to, d,
             a.why);
    ret->why = ret->text;
    ret->flags |= ENERGY_FLAG(GAP);
    return false;
}

bool ends_are_read(const struct energy_channel *channel, const struct edges *edges, const struct energy_window *window,
                   const struct sensor *sensor, struct answer *ret)
{
    double d = clock_seconds(window->t1_ns - window->t0_ns), shift = sensor->delay_mid;
    return is_read_at(channel, edges, window, sensor, shift, ret) &&
           is_read_at(channel, edges, window, sensor, d + shift, ret);
}

/* --- plausibility ------------------------------------------------------------------------------------------------ */

/* Choices, where no device states a limit: WILD times the largest of the other readings was not drawn, for less lies
 * between idle and limit of most boards; what holds for BRIEF_S, and two periods, was; one run in ASIDE_SHARE may be a
 * bad reading, and one always; of fewer than RUNS_MIN none can be told. */
#define WILD        30.0
#define BRIEF_S     0.25
#define ASIDE_SHARE 20
#define RUNS_MIN    4

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

double plausible_bound(const struct energy_channel *channel, const struct sensor *sensor)
{
    bool stated = channel->info->max_power_w > 0; /* the meter has judged them already */
    if (sensor->counter || sensor->modelled || stated || channel->count < RUNS_MIN)
        return INFINITY;
    g_autofree double *brief = g_new(double, channel->count);
    size_t n = 0, runs = 0;
    double largest = 0; /* of those that held */
    for (size_t i = 0; i < channel->count; i++) {
        const struct meter_point *p = &channel->points[i];
        double value = (double)p->raw * channel->info->scale;
        if (p->status != METER_READ_OK)
            continue;
        runs++;
        if (clock_seconds(p->last_ns - p->first_ns) > MAX(BRIEF_S, 2 * sensor->period))
            largest = MAX(largest, value);
        else
            brief[n++] = value;
    }
    size_t aside = 1 + runs / ASIDE_SHARE;
    qsort(brief, n, sizeof *brief, falling);
    if (n > aside)
        largest = MAX(largest, brief[aside]);
    return runs >= RUNS_MIN && largest > 0 ? WILD * largest : INFINITY;
}
