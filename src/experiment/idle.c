/* SPDX-License-Identifier: MIT */
/* Stretches in which nothing works. */
#include "experiment/internal.h"

void stretch_clear(struct stretch *stretch)
{
    g_clear_pointer(&stretch->tick0, g_free);
    g_clear_pointer(&stretch->tick1, g_free);
}

bool idle_take(const struct inputs *in, const struct pace *pace, const struct sensors *sensors, double share,
               const char *mark, struct idle *ret, GError **error)
{
    *ret = (struct idle){0};
    if (!config_bool(in->config, FIELD_BASELINE_ENABLED))
        ret->reason = "baseline.enabled is false";
    else if (!sensors->need_quiet)
        ret->reason = ACCOUNT_NO_IDLE_LEVEL;
    if (ret->reason)
        return true;
    int64_t duration_ns = (int64_t)(share * (double)config_ns(in->config, FIELD_BASELINE_DURATION_SECONDS));
    int64_t t0_ns = clock_mono_ns();
    if (!pace_wait_until(pace, t0_ns + duration_ns, error))
        return false;
    ret->at = (struct stretch){.t0_ns = t0_ns, .t1_ns = clock_mono_ns()};
    g_autofree char *begin = g_strdup_printf("%s.begin", mark), *end = g_strdup_printf("%s.end", mark);
    sensors_mark(sensors, begin, ret->at.t0_ns);
    sensors_mark(sensors, end, ret->at.t1_ns);
    return true;
}
