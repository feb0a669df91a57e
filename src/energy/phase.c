/* SPDX-License-Identifier: MIT */
/*
 * The beat of token steps with a sensor that sees W of every T. Harmonic k of the steps (k/τ) and multiple m of the
 * sensor's rate (m/T) beat at |k/τ − m/T|; fewer than three beats in the window do not average out. Only harmonics
 * with τ/k > W/2 pass the sensor's own window. Under lock the readings scatter less, not more: this is predicted from
 * the stamps, never from samples.
 */
#include "energy/energy.h"

#include <math.h>
#include <stdlib.h>

#define BEATS_MIN 3

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Mean of the step lengths within a quarter of their median: prefills and pauses between batches are not steps. */
static double step_period(const int64_t *stamps_ns, size_t n)
{
    double sum = 0, count = 0;
    if (n < 2)
        return NAN;
    g_autofree int64_t *steps = g_new(int64_t, n - 1);
    for (size_t i = 1; i < n; i++)
        steps[i - 1] = stamps_ns[i] - stamps_ns[i - 1];
    qsort(steps, n - 1, sizeof *steps, compare);
    double median = (double)steps[(n - 1) / 2];
    for (size_t i = 0; i < n - 1; i++) {
        if (fabs((double)steps[i] - median) <= median / 4) {
            sum += (double)steps[i];
            count++;
        }
    }
    return median > 0 ? sum / count * 1e-9 : NAN;
}

struct energy_phase energy_phase_check(const int64_t *stamps_ns, size_t n, int64_t window_ns, int64_t period_ns,
                                       int64_t duration_ns)
{
    struct energy_phase phase = {false, step_period(stamps_ns, n), NAN};
    double w = clock_seconds(window_ns), t = clock_seconds(period_ns), d = clock_seconds(duration_ns);
    if (!isfinite(phase.step_s) || w <= 0 || w >= t)
        return phase;
    for (double k = 1; phase.step_s / k > w / 2; k++) {
        double rate = k / phase.step_s, m = MAX(1, round(rate * t)), alias = fabs(rate - m / t);
        if (!(alias >= phase.alias_hz))
            phase.alias_hz = alias;
    }
    phase.locked = isfinite(phase.alias_hz) && phase.alias_hz * d < BEATS_MIN;
    return phase;
}
