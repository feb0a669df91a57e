/* SPDX-License-Identifier: MIT */
/* What the facts about a channel imply for its estimators, and the quiet time it needs. */
#include "energy/internal.h"

#include <math.h>
#include <string.h>

#define UNKNOWN_PERIOD_S  1.0  /* of a channel that states none and was not watched: the slowest that drivers set */
#define UNKNOWN_SHARE     0.25 /* of T that is seen, where nobody knows: the least published (Yang et al., SC'24) */
#define MODELLED_PERIOD_S 1e-5 /* choice: as good as none */
#define AVERAGE_S         1.0  /* of a channel that states none: drivers say "averaged over the last second" */
#define LONG_S            1.0  /* and two periods: only an average's steps take longer to show (lag.c: 1.4 s) */
#define USUAL_DELAY_S     0.1  /* of a sensor whose lag nobody measured: nine of ten boards are below (SC'24) */
#define SAME              0.05 /* choice: T and W that differ by less are one, for published figures are round ones */

static bool fast_counter(const struct energy_channel *channel)
{
    const struct meter_class *class = meter_class_find(channel->info->sensor_class);
    return channel->info->kind == METER_ENERGY && class && class->sees_all;
}

/* What a self-test said: all of it, or, of a sensor that failed, the least that anybody knows of such. */
static double proven_part(const struct meter_proof *proof, double worst, double period)
{
    if (!strcmp(proof->verdict, METER_SEES_ALL))
        return period;
    return isfinite(proof->share) ? MIN(worst, proof->share * period) : worst;
}

/* How much of each period the values see. */
static void set_window(const struct energy_channel *channel, double refresh, struct sensor *s)
{
    const struct meter_channel *info = channel->info;
    double part = clock_seconds(s->average > 0 ? info->part_ns : info->window_ns);
    double worst = UNKNOWN_SHARE * MIN(refresh, s->period);
    s->coverage = part > 0 ? ENERGY_COVERAGE_ROW : ENERGY_COVERAGE_ASSUMED;
    if (channel->proof.verdict[0]) {
        s->coverage = ENERGY_COVERAGE_SELFTEST;
        part = proven_part(&channel->proof, worst, s->period);
    }
    if (s->modelled || s->sees_all) { /* a register: whatever else is wrong with it, it hides nothing */
        s->coverage = ENERGY_COVERAGE_ROW;
        part = s->period;
    }
    s->window = part > 0 ? MIN(part, s->period) : worst;
    if (s->window > s->period * (1 - SAME))
        s->window = s->period;
    s->unseen = 1 - s->window / s->period;
}

static bool lag_is_known(const struct meter_lag *lag)
{
    return lag->downs >= ENERGY_LAG_STEPS; /* a step up only narrows the delay */
}

static void set_average(const struct energy_channel *channel, struct sensor *s)
{
    double window = clock_seconds(channel->info->window_ns);
    if (window >= 2 * s->period)
        s->average = window;
    else if (channel->info->kind == METER_POWER_AVERAGE || channel->follows_average ||
             !strcmp(channel->proof.verdict, METER_CHECK_AVERAGE))
        s->average = AVERAGE_S;
    else if (lag_is_known(&channel->lag) && channel->lag.extent_s - channel->lag.delay_lo_s > LONG_S + 2 * s->period)
        s->average = AVERAGE_S; /* it rises as long as averages do */
}

/* A reading that rises at once and then ever more slowly, or evenly, has its centre no later than half-way between
 * where it begins and where it has shown all. */
static double latest_centre(const struct meter_lag *lag)
{
    return lag->ups ? (MAX(lag->delay_lo_s, lag->delay_hi_s) + lag->extent_s) / 2 : lag->extent_s;
}

static void set_lag(const struct energy_channel *channel, struct sensor *s)
{
    const struct meter_lag *lag = &channel->lag;
    double latest = latest_centre(lag);
    s->lag_known = lag_is_known(lag);
    s->delay_hi = s->lag_known ? lag->extent_s : clock_seconds(ENERGY_DELAY_HI_NS);
    s->delay_mid = s->lag_known ? (lag->delay_lo_s + latest) / 2 : USUAL_DELAY_S;
    s->delay_half = s->lag_known ? (latest - lag->delay_lo_s) / 2 : s->delay_hi - USUAL_DELAY_S;
    if (s->sees_all || s->modelled) { /* registers are updated about every ms and hold what was used until then */
        s->delay_hi = s->period;
        s->delay_mid = s->delay_half = s->delay_hi / 2;
    }
    if (s->average > 0) { /* a mean over A stands for its middle; A itself is known to a quarter or so */
        s->delay_mid += s->average / 2;
        s->delay_half += s->average / 4;
        s->delay_hi += MAX(clock_seconds(ENERGY_AVERAGE_DELAY_NS), 1.5 * s->average);
    }
}

static struct sensor sensor_with(const struct energy_channel *channel, double period)
{
    const struct meter_channel *info = channel->info;
    struct sensor s = {.counter = info->kind == METER_ENERGY,
                       .modelled = info->status == QUANTITY_MODELLED,
                       .characterised = channel->period_ns > 0,
                       .period = period};
    if (s.modelled) /* nothing is refreshed: CPU time is read as it is now */
        s.period = MODELLED_PERIOD_S;
    s.sees_all = fast_counter(channel);
    if (info->rate == METER_SLOW)
        s.step = clock_seconds(METER_SLOW_STEP_NS);
    if (s.sees_all) /* a period seen by watching may be the watcher's own step; the register is refreshed always */
        s.period = info->refresh_ns > 0 ? MIN(s.period, clock_seconds(info->refresh_ns)) : s.period;
    else if (!s.modelled) /* watching is faster than sampling: refreshes show no faster than reads */
        s.period = MAX(s.period, s.step);
    set_average(channel, &s);
    set_window(channel, period, &s);
    set_lag(channel, &s);
    return s;
}

struct sensor sensor_of(const struct energy_channel *channel)
{
    int64_t period_ns = channel->period_ns > 0 ? channel->period_ns : channel->info->refresh_ns;
    return sensor_with(channel, period_ns > 0 ? clock_seconds(period_ns) : UNKNOWN_PERIOD_S);
}

/* A counter moves with each refresh, so its trace tells T; readings of power may repeat, and tell what is much
 * longer. */
struct sensor sensor_seen(const struct energy_channel *channel, const struct edges *edges)
{
    struct sensor s = sensor_of(channel);
    bool slower = edges->period > s.period && edges->period > 3 * edges->step;
    bool told = s.counter ? slower : edges->slower;
    return !s.sees_all && !s.modelled && told ? sensor_with(channel, edges->period) : s;
}

static int64_t ns(double seconds)
{
    return (int64_t)llround(seconds * 1e9);
}

struct energy_guard_plan energy_plan_guard(const struct energy_channel *channels, size_t n)
{
    struct energy_guard_plan plan = {.limit_ns = ENERGY_GUARD_LIMIT_NS};
    for (size_t i = 0; i < n; i++) {
        struct sensor s = sensor_of(&channels[i]);
        double hold = MAX(clock_seconds(ENERGY_GUARD_HOLD_NS), MAX(4 * s.period, 2 * s.average));
        double forget = s.delay_hi + s.period; /* until the sensor no longer shows what came before */
        plan.hold_ns = MAX(plan.hold_ns, ns(hold));
        plan.period_ns = MAX(plan.period_ns, ns(s.period));
        plan.delay_hi_ns = MAX(plan.delay_hi_ns, ns(s.delay_hi));
        plan.pre_ns = MAX(plan.pre_ns, ns(forget + hold));
        plan.post_ns = MAX(plan.post_ns, ns(forget + hold));
    }
    plan.limit_ns = MAX(plan.limit_ns, plan.post_ns);
    return plan;
}

#define SHELF_S 2.0 /* recorded boards hold 15 to 26 W for 1.8 s after every load, and cool behind that */

int64_t energy_rest_ns(const struct energy_channel *channels, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        struct sensor s = sensor_of(&channels[i]);
        most = MAX(most, SHELF_S + s.delay_hi + s.period);
    }
    return ns(most);
}

int64_t energy_dither_ns(const struct energy_channel *channel)
{
    struct sensor s = sensor_of(channel);
    return s.unseen > 0 ? ns(s.period) : 0;
}
