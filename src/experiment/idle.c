/* SPDX-License-Identifier: MIT */
/* Stretches in which nothing works. */
#include "experiment/internal.h"

#include <math.h>

void stretch_clear(struct stretch *stretch)
{
    g_clear_pointer(&stretch->tick0, g_free);
    g_clear_pointer(&stretch->tick1, g_free);
}

/* When a level may begin; of a short one the wait is no longer than the level itself. */
static int64_t rested_at(const struct sensors *sensors, int64_t worked_ns, int64_t duration_ns)
{
    g_autoptr(GArray) channels = sensors_channels(sensors);
    int64_t rest_ns = energy_rest_ns((const struct energy_channel *)(const void *)channels->data, channels->len);
    return worked_ns + MIN(rest_ns, duration_ns);
}

bool idle_take(const struct inputs *in, const struct pace *pace, const struct sensors *sensors, double share,
               int64_t worked_ns, const char *mark, struct idle *ret, GError **error)
{
    *ret = (struct idle){0};
    if (!config_bool(in->config, FIELD_BASELINE_ENABLED))
        ret->reason = "baseline.enabled is false";
    else if (!sensors->need_quiet)
        ret->reason = ACCOUNT_NO_IDLE_LEVEL;
    if (ret->reason)
        return true;
    int64_t duration_ns = (int64_t)(share * (double)config_ns(in->config, FIELD_BASELINE_DURATION_SECONDS));
    if (worked_ns && !pace_wait_until(pace, rested_at(sensors, worked_ns, duration_ns), error))
        return false;
    int64_t t0_ns = clock_mono_ns();
    if (!pace_wait_until(pace, t0_ns + duration_ns, error))
        return false;
    ret->at = (struct stretch){.t0_ns = t0_ns, .t1_ns = clock_mono_ns()};
    g_autofree char *begin = g_strdup_printf("%s.begin", mark), *end = g_strdup_printf("%s.end", mark);
    sensors_mark(sensors, begin, ret->at.t0_ns);
    sensors_mark(sensors, end, ret->at.t1_ns);
    return true;
}

#define RESTED_MS INT64_C(60000) /* a host that worked less long ago is not cold, where no temperature says so */
#define COOLING_C 1.0            /* a board that cools by more than this while it is watched is not cold */

/* By how much the board that cooled most did so in a stretch, °C; NaN: no board shows its temperature. */
static double cooled_by(const struct sensors *sensors, const struct stretch *at)
{
    double most = NAN;
    for (size_t i = 0; i < sensors->own.energy.channel_count; i++) {
        g_autoptr(GArray) points = sensors_series(sensors, i, METER_TEMPERATURE, at->t0_ns, at->t1_ns);
        double highest = NAN, last = NAN;
        for (guint k = 0; points && k < points->len; k++) {
            const struct meter_point *p = &g_array_index(points, struct meter_point, k);
            if (p->status != METER_READ_OK)
                continue;
            last = (double)p->raw * sensors->own.channels[i]->scale;
            highest = isnan(highest) ? last : fmax(highest, last);
        }
        if (!isnan(highest))
            most = isnan(most) ? highest - last : fmax(most, highest - last);
    }
    return most;
}

void idle_judge_cold(const struct inputs *in, const struct sensors *sensors, struct idle *ret)
{
    int64_t rested_ms = in->exchange.rested_ms;
    if (ret->reason)
        return;
    double cooled_c = cooled_by(sensors, &ret->at);
    if (cooled_c > COOLING_C)
        ret->reason = "not cold: a board still cooled by more than 1 degree while it was watched (experiment_gap_seconds "
                      "lets it rest)";
    else if (isnan(cooled_c) && rested_ms > 0 && rested_ms < RESTED_MS)
        ret->reason = "not cold: another run ended less than a minute before, and no sensor shows a temperature "
                      "(experiment_gap_seconds lets the machine rest)";
    if (ret->reason)
        ret->at = (struct stretch){0};
}
