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

/* Choices, where no device states a limit. A moment may show WILD times what was drawn for sure: prefill draws some
 * four times what decode does. Where the work is too short to be seen several times, WILD_SHORT: more lies between idle
 * and limit of few boards. Drawn for sure is what held for BRIEF_S, and two periods, what SUCCESSIVE values reached one
 * after the other, and what came more often than bad readings do: one in ASIDE_SHARE, and one always. Of fewer than
 * RUNS_MIN values none can be told. */
#define WILD        5.0
#define WILD_SHORT  30.0
#define BRIEF_S     0.25
#define SUCCESSIVE  3
#define SEEN_TIMES  5 /* periods: of them so many show the work whole */
#define ASIDE_SHARE 20
#define RUNS_MIN    4

struct drawn {
    double watts, held_s;
};

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double least_of_last(const struct drawn *at, size_t i)
{
    double least = i + 1 < SUCCESSIVE ? 0 : at[i].watts;
    for (size_t k = 1; i + 1 >= SUCCESSIVE && k < SUCCESSIVE; k++)
        least = MIN(least, at[i - k].watts);
    return least;
}

static double drawn_for_sure(const struct drawn *at, size_t n, double lasting_s)
{
    g_autofree double *brief = g_new(double, n + 1);
    size_t aside = 1 + n / ASIDE_SHARE, count = 0;
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        bool lasted = at[i].held_s > lasting_s;
        most = MAX(most, lasted ? at[i].watts : least_of_last(at, i));
        if (!lasted)
            brief[count++] = at[i].watts;
    }
    qsort(brief, count, sizeof *brief, falling);
    return count > aside ? MAX(most, brief[aside]) : most;
}

static double most_plausible(const struct drawn *at, size_t n, const struct sensor *sensor,
                             const struct energy_window *window)
{
    double d = clock_seconds(window->t1_ns - window->t0_ns);
    double sure = drawn_for_sure(at, n, MAX(BRIEF_S, 2 * sensor->period));
    if (n < RUNS_MIN || sure <= 0)
        return INFINITY;
    return sure * (d >= SEEN_TIMES * sensor->period ? WILD : WILD_SHORT);
}

double plausible_bound(const struct energy_channel *channel, const struct sensor *sensor,
                       const struct energy_window *window)
{
    bool stated = channel->info->max_power_w > 0; /* the meter has judged them already */
    if (sensor->counter || sensor->modelled || stated)
        return INFINITY;
    g_autofree struct drawn *all = g_new(struct drawn, channel->count + 1);
    size_t n = 0;
    for (size_t i = 0; i < channel->count; i++) {
        const struct meter_point *p = &channel->points[i];
        if (p->status == METER_READ_OK)
            all[n++] = (struct drawn){(double)p->raw * channel->info->scale, clock_seconds(p->last_ns - p->first_ns)};
    }
    return most_plausible(all, n, sensor, window);
}

bool counter_jumped(const struct energy_channel *channel, const struct sensor *sensor, const struct edges *edges,
                    const struct energy_window *window)
{
    double from = clock_seconds(window->guard_from_ns - window->t0_ns);
    double to = clock_seconds(window->guard_to_ns - window->t0_ns);
    if (!sensor->counter || sensor->modelled || channel->info->max_power_w > 0 || edges->n < 2)
        return false;
    g_autofree struct drawn *all = g_new(struct drawn, edges->n);
    for (size_t i = 1; i < edges->n; i++) {
        const struct edge *a = &edges->at[i - 1], *b = &edges->at[i];
        all[i - 1].watts = (b->c - a->c) / MAX(b->t - a->t, b->poll); /* as long as nobody saw it change */
        all[i - 1].held_s = 0;
    }
    double most = most_plausible(all, edges->n - 1, sensor, window);
    for (size_t i = 1; i < edges->n; i++)
        if (all[i - 1].watts > most && edges->at[i].hi >= from && edges->at[i].lo <= to)
            return true;
    return false;
}
