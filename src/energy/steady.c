/* SPDX-License-Identifier: MIT */
/* When is a machine warm? Scatter, drift and temperature together: scatter alone accepts 2 % drift an iteration. */
#include "energy/internal.h"

#include <math.h>

const struct energy_steady_rule energy_steady_default = {
    .last = 5,
    .cv_max = 0.02, /* Georges et al., OOPSLA'07 use 1 to 2 % */
    .slope_max = 0.01,
    .temperature_max = 0.5,
    .temperature_span_ns = 30 * NS_PER_S,
    .iterations_max = 50,
    .time_max_ns = 600 * NS_PER_S,
};

/* °C per minute over the newest span; NaN: no sensor, or not yet a whole span of readings. */
static double temperature_slope(const struct energy_steady_rule *rule, const struct energy_temperature *t, size_t n)
{
    g_autofree double *x = g_new(double, n + 1), *y = g_new(double, n + 1);
    size_t from = n;
    if (n < 3 || t[n - 1].t_ns - t[0].t_ns < rule->temperature_span_ns)
        return NAN;
    while (from > 0 && t[n - 1].t_ns - t[from - 1].t_ns <= rule->temperature_span_ns)
        from--;
    for (size_t i = from; i < n; i++) {
        x[i - from] = (double)(t[i].t_ns - t[from].t_ns) / (60.0 * NS_PER_S);
        y[i - from] = t[i].celsius;
    }
    return stats_theil_sen(x, y, n - from);
}

static const char still_heating[] = "the temperature still changes, or was not seen for long enough";

static const char *first_failing(const struct energy_steady_rule *rule, const struct energy_steady *s,
                                 bool has_sensor)
{
    if (!(s->cv <= rule->cv_max))
        return "the latencies of the last iterations still scatter";
    if (!(fabs(s->slope) <= rule->slope_max))
        return "the latencies of the last iterations still drift";
    if (has_sensor && !(fabs(s->temperature_slope) <= rule->temperature_max))
        return still_heating;
    return NULL;
}

struct energy_steady energy_steady(const struct energy_steady_rule *rule, const double *latencies_s, size_t n,
                                   const struct energy_temperature *temperatures, size_t temperature_count,
                                   int64_t elapsed_ns)
{
    struct energy_steady s = {false, false, NAN, NAN, NAN, "too few iterations"};
    size_t last = MAX(5, rule->last);
    g_autofree double *index = g_new(double, last);
    s.temperature_slope = temperature_slope(rule, temperatures, temperature_count);
    if (n >= last) {
        const double *x = latencies_s + n - last;
        for (size_t i = 0; i < last; i++)
            index[i] = (double)i;
        s.cv = stats_cv(x, last);
        s.slope = stats_theil_sen(index, x, last) * (double)last / stats_mean(x, last);
        s.waiting_for = first_failing(rule, &s, temperature_count > 0);
        s.steady = s.waiting_for == NULL;
    }
    /* Iterations may be short: what only the temperature is waited for is bounded by time alone. */
    s.timed_out = !s.steady &&
                  (elapsed_ns >= rule->time_max_ns || (n >= rule->iterations_max && s.waiting_for != still_heating));
    return s;
}
