/* SPDX-License-Identifier: MIT */
/*
 * The lag of a sensor, by the steps of power at the ends of windows with quiet around them. A step up tells when
 * readings begin to show it: no later than the first increment that is above the quiet before, and no earlier than
 * that increment's power allows. A step down tells when the last of it has been shown, to a refresh: of several steps
 * the one whose refresh came first tells most. What a board goes on drawing after its work makes that bound longer than
 * the sensor's own, never shorter.
 */
#include "energy/internal.h"

#include <math.h>

#define QUIET_S     0.5  /* choice: of quiet that a level is taken from, as of the level next to the work (guard.c) */
#define SETTLED_S   0.6  /* after the work: what goes on from there is not the lag of any sensor but an average */
#define STEP_MIN_W  10.0 /* choice: smaller steps drown in what idle boards do */
#define SHOWS       0.03 /* choice: of the step; an increment above that shows it */
/* Choice: power in the moment of the step against that of the increments behind it; prefill against decode. */
#define SWING_LOW   0.5
#define SWING_HIGH  1.6
#define DELAY_MAX   (1e-9 * (double)ENERGY_DELAY_HI_NS)
#define EXTENT_MAX  1.5  /* choice: of what is taken for a lag, a 1-s average and more; the rest is the board's */
#define FALLS       0.01 /* choice: of the step; increments that fall by less have stopped falling */
/* Where a reading rises exponentially, with a quarter of T to T, 3.5 % of the step may be left when increments have
 * stopped falling by FALLS of it (they are means over T); REST goes on to half a percent: ln(0.005)/ln(0.035). */
#define REST        1.58

struct quiet {
    double watts, noise; /* noise: sd of an increment */
};

static double power_of(const struct edges *e, size_t i)
{
    return (e->at[i + 1].c - e->at[i].c) / (e->at[i + 1].t - e->at[i].t);
}

/* Increments between two moments; false where there are fewer than two. */
static bool quiet_between(const struct edges *e, double from, double to, struct quiet *ret)
{
    double sum = 0, squares = 0, n = 0;
    for (size_t i = edges_first_after(e, from); i + 1 < e->n && e->at[i + 1].hi <= to; i++) {
        double p = power_of(e, i);
        sum += p;
        squares += p * p;
        n++;
    }
    if (n < 2)
        return false;
    ret->watts = sum / n;
    ret->noise = sqrt(MAX(0, squares / n - ret->watts * ret->watts));
    return true;
}

/* Where the increments after the work's begin first show it. */
static void step_up(const struct edges *e, const struct quiet *quiet, double step_w, struct meter_lag *lag)
{
    double least = MAX(SHOWS * step_w, 5 * quiet->noise);
    size_t k = (size_t)MAX(0, edges_last_before(e, 0));
    while (k + 2 < e->n && power_of(e, k) - quiet->watts < least)
        k++;
    if (k + 3 >= e->n || e->at[k + 1].hi < 0 || e->at[k].t > DELAY_MAX)
        return;
    double excess_j = e->at[k + 1].c - e->at[k].c - quiet->watts * (e->at[k + 1].t - e->at[k].t);
    double behind_w = (e->at[k + 3].c - e->at[k + 1].c) / (e->at[k + 3].t - e->at[k + 1].t) - quiet->watts;
    if (behind_w < step_w / 3)
        return;
    double low = e->at[k + 1].lo - excess_j / (SWING_LOW * behind_w);
    double high = e->at[k + 1].hi - excess_j / (SWING_HIGH * behind_w);
    low = MAX(low, e->at[k].lo - SHOWS * (e->at[k].t - (k ? e->at[k - 1].t : 0)));
    high = MIN(high, e->at[k + 1].hi);
    lag->delay_lo_s = MAX(lag->delay_lo_s, MAX(0, low));
    lag->delay_hi_s = lag->ups ? MIN(lag->delay_hi_s, high) : high;
    lag->ups++;
}

/* The last increment that shows the work. Its readings go on for the lag of the sensor, and single ones of them may be
 * low, as of a step of less power; two together, since polls blur the moment between them. */
static size_t last_of_work(const struct edges *e, const struct quiet *quiet, double step_w, double end)
{
    size_t last = edges_first_after(e, end);
    for (size_t k = last; k + 2 < e->n && e->at[k].t - end < EXTENT_MAX; k++)
        if ((e->at[k + 2].c - e->at[k].c) / (e->at[k + 2].t - e->at[k].t) - quiet->watts > step_w / 2)
            last = k;
    return last;
}

/* Where the increments after the end have stopped falling: what goes on from there is the board's, not the sensor's. */
static void step_down(const struct edges *e, const struct quiet *quiet, double step_w, double end,
                      struct meter_lag *lag)
{
    double least = MAX(FALLS * step_w, 3 * quiet->noise);
    size_t k = last_of_work(e, quiet, step_w, end);
    while (k + 2 < e->n && (power_of(e, k) - power_of(e, k + 1) > least || power_of(e, k) - quiet->watts > step_w / 2))
        k++;
    if (k + 2 >= e->n)
        return;
    double shown = e->at[k].hi - end, period = e->at[k + 1].t - e->at[k].t;
    double whole = shown + (REST - 1) * MAX(0, shown - lag->delay_lo_s) + 2 * FALLS * period;
    lag->extent_s = lag->downs ? MIN(lag->extent_s, whole) : MIN(whole, EXTENT_MAX);
    lag->downs++;
}

void energy_lag_learn(const struct energy_channel *channel, const struct energy_window *window, struct meter_lag *lag)
{
    struct edges e;
    struct sensor sensor = sensor_of(channel);
    double end = clock_seconds(window->t1_ns - window->t0_ns);
    double from = clock_seconds(window->guard_from_ns - window->t0_ns);
    double to = clock_seconds(window->guard_to_ns - window->t0_ns);
    if (sensor.average > 0 || sensor.modelled || sensor.sees_all || channel->count == 0)
        return;
    edges_extract(channel, window, &e);
    struct quiet before, after;
    double work_w = NAN;
    size_t a = edges_first_after(&e, DELAY_MAX);
    ssize_t b = edges_last_before(&e, end);
    if (!e.broken && b > (ssize_t)a)
        work_w = (e.at[b].c - e.at[a].c) / (e.at[b].t - e.at[a].t);
    double quiet = QUIET_S + 2 * sensor.period;
    if (quiet_between(&e, MAX(from, -quiet), 0, &before) && work_w - before.watts > STEP_MIN_W)
        step_up(&e, &before, work_w - before.watts, lag);
    if (quiet_between(&e, MAX(end + SETTLED_S, to - quiet), to, &after) && work_w - after.watts > STEP_MIN_W)
        step_down(&e, &after, work_w - after.watts, end, lag);
    edges_clear(&e);
}
