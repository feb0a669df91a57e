/* SPDX-License-Identifier: MIT */
/* Estimators without guards: fall-backs with honest, wide intervals. */
#include "energy/internal.h"

#include <math.h>
#include <stdio.h>

static double duration(const struct energy_window *window)
{
    return clock_seconds(window->t1_ns - window->t0_ns);
}

static double power_of(const struct edges *e, size_t i)
{
    return (e->at[i + 1].c - e->at[i].c) / (e->at[i + 1].t - e->at[i].t);
}

/* Largest difference of the power of increments that lie within reach of t. */
static double range_near(const struct edges *e, double t, double reach)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i + 1 < e->n; i++) {
        double p = power_of(e, i);
        if (e->at[i + 1].t < t - reach || e->at[i].t > t + reach)
            continue;
        low = MIN(low, p);
        high = MAX(high, p);
    }
    return high >= low ? high - low : 0;
}

/* By the same budget as with guards; the step of power at the ends is the range of what was read around the work. */
static void add_unseen(struct answer *ret, const struct edges *e, const struct sensor *sensor, double d)
{
    double reach = 2 * sensor->period + sensor->delay_hi + sensor->average;
    if (sensor->unseen > 0)
        answer_add_duty(ret, e, sensor, d, range_near(e, d / 2, d / 2 + reach));
}

static double peak_of(const struct edges *e, double d)
{
    double peak = NAN;
    for (size_t i = 0; i + 1 < e->n; i++) {
        double p = power_of(e, i);
        if (e->at[i].t >= 0 && e->at[i + 1].t <= d)
            peak = isfinite(peak) ? MAX(peak, p) : p;
    }
    return peak;
}

/* Both ends: a quarter period of the step for the shape inside the straddling interval, the delay, the average. Boards
 * of one make that begin and end together miss alike. */
static void add_ends(struct answer *ret, const struct edges *e, const struct sensor *sensor, double d, double shape)
{
    double blur = shape * sensor->period + sensor->delay_half + sensor->average / 2;
    double reach = 2 * sensor->period + sensor->delay_hi + sensor->average;
    answer_add_shared(ret, STATS_RECTANGULAR, blur * range_near(e, 0, reach));
    answer_add_shared(ret, STATS_RECTANGULAR, blur * range_near(e, d, reach));
}

/* Beyond the first and the last change of a counter nothing is known but that no more was drawn than at the most: the
 * power next to it is the best guess, and as much as the most lies in the interval. */
static bool reaches(const struct edges *e, const struct sensor *sensor, double d, double *ret_beyond_j,
                    struct answer *ret)
{
    double early = MAX(0, e->at[0].t - sensor->delay_mid);
    double late = MAX(0, d + sensor->delay_mid - e->at[e->n - 1].t);
    double most = MAX(1.5 * sensor->period, reading_slack(sensor)), highest = 0;
    *ret_beyond_j = 0;
    if (sensor->modelled)
        return true;
    if (early > most || late > most) {
        snprintf(ret->text, sizeof ret->text, "the counter showed no change from %.2f s to %.2f s of the work's %.2f s",
                 early > most ? 0 : e->at[e->n - 1].t, early > most ? e->at[0].t : d, d);
        ret->why = ret->text;
        return false;
    }
    for (size_t i = 0; i + 1 < e->n; i++)
        highest = MAX(highest, power_of(e, i));
    *ret_beyond_j = early * power_of(e, 0) + late * power_of(e, e->n - 2);
    parts_add(&ret->parts, STATS_RECTANGULAR, (early + late) * highest, 0);
    return true;
}

static bool usable(const struct edges *edges, double d, struct answer *ret)
{
    ret->joules = ret->peak = ret->tail = NAN;
    ret->pre.watts = ret->post.watts = NAN;
    ret->flags |= edges->flags;
    ret->why = edges->broken;
    if (!ret->why && (edges->n < 2 || edges->at[0].t > d || edges->at[edges->n - 1].t < 0))
        ret->why = "the sensor showed fewer than two changes around the work";
    return !ret->why;
}

void edge_counter_estimate(const struct energy_channel *channel, const struct edges *edges,
                           const struct energy_window *window, struct answer *ret)
{
    struct sensor sensor = sensor_seen(channel, edges);
    double d = duration(window), shift = sensor.delay_mid, beyond_j;
    *ret = (struct answer){.method = ENERGY_METHOD_EDGE_COUNTER, .channel = channel};
    if (!usable(edges, d, ret) || !ends_are_read(channel, edges, window, &sensor, ret) ||
        !reaches(edges, &sensor, d, &beyond_j, ret))
        return;
    ret->joules = edges_at(edges, d + shift) - edges_at(edges, shift) + beyond_j;
    answer_add_unit(ret, d, 0);
    add_ends(ret, edges, &sensor, d, 0.25);
    add_unseen(ret, edges, &sensor, d);
    ret->peak = peak_of(edges, d);
}

/* Readings stand for the period before them: the middle of each is half a period before its edge. */
void trapezoid_estimate(const struct energy_channel *channel, const struct edges *edges,
                        const struct energy_window *window, struct answer *ret)
{
    struct sensor sensor = sensor_seen(channel, edges);
    double d = duration(window), shift = sensor.delay_mid, sum = 0, before_t = 0, before_p = NAN;
    *ret = (struct answer){.method = ENERGY_METHOD_TRAPEZOID, .channel = channel};
    if (!usable(edges, d, ret) || !ends_are_read(channel, edges, window, &sensor, ret))
        return;
    for (size_t i = 0; i < edges->n; i++) {
        double t = edges->at[i].t + sensor.period / 2 - shift, p = edges->at[i].p;
        double a = MAX(before_t, 0);
        double b = MIN(t, d);
        if (isfinite(before_p) && b > a && t > before_t) {
            double slope = (p - before_p) / (t - before_t);
            sum += (before_p + slope * ((a + b) / 2 - before_t)) * (b - a);
        } else if (!isfinite(before_p) && t > 0) {
            sum += p * MIN(t, d);
        }
        before_t = t;
        before_p = p;
    }
    if (before_t < d)
        sum += before_p * (d - MAX(before_t, 0));
    ret->joules = sum;
    answer_add_unit(ret, d, 0);
    add_ends(ret, edges, &sensor, d, 0.5);
    add_unseen(ret, edges, &sensor, d);
    parts_add(&ret->parts, STATS_RECTANGULAR, edges->spread * MIN(edges->gap, d) / 2, 0);
    ret->peak = peak_of(edges, d);
}
