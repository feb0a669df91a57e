/* SPDX-License-Identifier: MIT */
/* What the facts about a channel imply for its estimators, and the quiet time it needs. */
#include "energy/internal.h"

#include <math.h>

#define DEFAULT_PERIOD_S  0.1 /* of a channel that states none: data-centre boards (Yang et al., SC'24) */
#define MODELLED_PERIOD_S 1e-5
#define AVERAGE_S         1.0 /* of a channel that states none: drivers say "averaged over the last second" */

static bool fast_counter(const struct energy_channel *channel)
{
    const struct meter_class *class = meter_class_find(channel->info->sensor_class);
    return channel->info->kind == METER_ENERGY && class && class->sees_all;
}

struct sensor sensor_of(const struct energy_channel *channel)
{
    const struct meter_channel *info = channel->info;
    int64_t period_ns = channel->period_ns > 0 ? channel->period_ns : info->refresh_ns;
    struct sensor s = {.counter = info->kind == METER_ENERGY,
                       .modelled = info->status == QUANTITY_MODELLED,
                       .characterised = channel->period_ns > 0};
    s.period = period_ns > 0 ? clock_seconds(period_ns) : DEFAULT_PERIOD_S;
    if (s.modelled) /* nothing is refreshed: CPU time is read as it is now */
        s.period = MODELLED_PERIOD_S;
    s.sees_all = fast_counter(channel);
    if (info->rate == METER_SLOW)
        s.step = clock_seconds(METER_SLOW_STEP_NS);
    if (!s.modelled && !s.sees_all) /* watching is faster than sampling: refreshes show no faster than reads */
        s.period = MAX(s.period, s.step);
    s.window = info->window_ns > 0 ? clock_seconds(info->window_ns) : s.period;
    if (s.sees_all) /* a period seen by watching may be the watcher's own step; the register is refreshed always */
        s.period = s.window = MIN(s.period, s.window);
    s.unseen = s.window < s.period ? 1 - s.window / s.period : 0;
    if (info->kind == METER_POWER_AVERAGE || channel->follows_average)
        s.average = s.window >= 2 * s.period ? s.window : AVERAGE_S;
    else if (s.window >= 2 * s.period)
        s.average = s.window;
    /* Registers are updated about every ms and hold what was used until then: one tick covers it. */
    s.delay_hi = fast_counter(channel) || s.modelled ? s.period : clock_seconds(ENERGY_DELAY_HI_NS);
    s.delay_mid = s.delay_half = s.delay_hi / 2;
    if (s.average > 0) { /* a mean over A stands for its middle; A itself is known to a quarter or so */
        s.delay_mid += s.average / 2;
        s.delay_half += s.average / 4;
        s.delay_hi += MAX(clock_seconds(ENERGY_AVERAGE_DELAY_NS), 1.5 * s.average);
    }
    return s;
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
