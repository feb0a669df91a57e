/* SPDX-License-Identifier: MIT */
/*
 * How the steps of the work meet a sensor that sees W of every T. Power has a pattern that repeats with the steps, or
 * with two or four of them: harmonic h of it is exp(2πi·h·φ), φ the number of the step with its fraction. A reading
 * shows the mean of that over W where it stands for the mean over T, so the sum over the readings misses by
 * |mean(over W) − mean(over T)| of the pattern's amplitude, of which the readings show as much as their means over W
 * scatter. Met at random phases the miss is 1/√N of what shows; under lock nothing shows. Jitter, drift and pauses of
 * the steps are in the stamps, so they are in both.
 */
#include "energy/internal.h"

#include <math.h>

#define PASSES  0.3 /* choice: a harmonic that the sensor's window weakens to less does a tenth of the harm (squared) */
#define LOCKED2 4.0 /* square of miss over what shows: beyond it readings show less than half of what they miss */
#define CHANCE2 7.0 /* over N: random phases reach that in 1 of 1,000 cases (Rayleigh) */
#define LEAST   5   /* choice: readings below which no lock is told, two more than a pattern has unknowns */
#define NEARLY  0.1 /* choice: of T; further apart the trace shows another grid, or half of the refreshes */
#define PARTS   4   /* choice: of each cycle in a mean, and of a mean that is shorter than one */
#define CYCLES  8   /* choice: in a mean, from which on less than a tenth of PASSES is left of it */

/* Loads alternate over two or four steps (drafts and their check, sets in turn); beyond the third nothing passes. */
static const double harmonics[] = {0.25, 0.5, 1, 2, 3};

/* Number of the step at t, with the fraction of it that has passed; NaN outside of all steps. */
static double step_at(const int64_t *stamps_ns, size_t n, int64_t t_ns)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (stamps_ns[middle] <= t_ns)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || low >= n || stamps_ns[low] <= stamps_ns[low - 1])
        return NAN;
    return (double)low + (double)(t_ns - stamps_ns[low - 1]) / (double)(stamps_ns[low] - stamps_ns[low - 1]);
}

static double median_step(const int64_t *stamps_ns, size_t n)
{
    if (n < 2)
        return NAN;
    g_autofree double *steps = g_new(double, n - 1);
    for (size_t i = 1; i < n; i++)
        steps[i - 1] = clock_seconds(stamps_ns[i] - stamps_ns[i - 1]);
    return stats_median(steps, n - 1);
}

/* One reading: its power, and the means of a harmonic over what it saw and over what it stands for. */
struct met {
    double watts, seen[2], all[2];
};

/* Mean of a harmonic, of so many cycles, between two moments before t; false outside of the steps. */
static bool mean_over(const struct energy_options *options, int64_t t_ns, double from, double to, double harmonic,
                      double cycles, double *ret)
{
    int parts = PARTS * (int)ceil(CLAMP(cycles, 1, CYCLES));
    ret[0] = ret[1] = 0;
    for (int k = 0; k < parts; k++) {
        double before = from + (to - from) * (k + 0.5) / parts;
        double step = step_at(options->stamps_ns, options->stamp_count, t_ns - llround(before * 1e9));
        if (!isfinite(step))
            return false;
        if (cycles > CYCLES)
            continue;
        ret[0] += cos(2 * G_PI * harmonic * step) / parts;
        ret[1] += sin(2 * G_PI * harmonic * step) / parts;
    }
    return true;
}

/* The distance of readings, by the trace where it shows them all. */
static double grid_of(const struct sensor *sensor, const struct edges *e)
{
    return fabs(e->period / sensor->period - 1) < NEARLY ? e->period : sensor->period;
}

/* The readings of the work, on the sensor's grid: single edges are known to a poll only. New array of struct met. */
static GArray *meetings(const struct energy_options *options, const struct energy_window *window,
                        const struct sensor *sensor, const struct edges *e, double harmonic, double step_s)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct met));
    double end = clock_seconds(window->t1_ns - window->t0_ns) + sensor->delay_hi;
    double period = grid_of(sensor, e);
    double seen_cycles = sensor->window * harmonic / step_s, cycles = (period - sensor->window) * harmonic / step_s;
    for (double t = e->n ? e->at[0].t + period : INFINITY; t < end; t += period) {
        struct met m = {.watts = (edges_at(e, t) - edges_at(e, t - period)) / period};
        int64_t t_ns = window->t0_ns + llround((t - sensor->delay_mid) * 1e9);
        double unseen[2];
        if (!mean_over(options, t_ns, 0, sensor->window, harmonic, seen_cycles, m.seen) ||
            !mean_over(options, t_ns, sensor->window, period, harmonic, cycles, unseen))
            continue;
        for (int i = 0; i < 2; i++)
            m.all[i] = (1 - sensor->unseen) * m.seen[i] + sensor->unseen * unseen[i];
        g_array_append_val(all, m);
    }
    return all;
}

struct pattern {
    double n, miss2; /* square of the miss over what shows; NaN: the harmonic does no harm, or too few readings */
    double u_w;      /* of the mean power by it: its amplitude in the readings, and what they leave open of it */
};

static struct pattern pattern_of(const GArray *all)
{
    double n = all->len, watts = 0, seen[2] = {0}, miss[2] = {0}, squares = 0, shown = 0, re = 0, im = 0, rest = 0;
    struct pattern p = {n, NAN, 0};
    for (guint i = 0; i < all->len; i++) {
        const struct met *m = &g_array_index(all, struct met, i);
        watts += m->watts / n;
        for (int k = 0; k < 2; k++) {
            seen[k] += m->seen[k] / n;
            miss[k] += (m->seen[k] - m->all[k]) / n;
            squares += m->seen[k] * m->seen[k] / n;
        }
    }
    if (n < LEAST || squares < PASSES * PASSES)
        return p;
    for (guint i = 0; i < all->len; i++) {
        const struct met *m = &g_array_index(all, struct met, i);
        double a = m->seen[0] - seen[0], b = m->seen[1] - seen[1], w = m->watts - watts;
        shown += (a * a + b * b) / n;
        re += a * w / n;
        im += b * w / n;
        rest += w * w / (n - 1);
    }
    shown = MAX(shown, 1e-6);
    double amplitude2 = 4 * (re * re + im * im) / (shown * shown), miss2 = miss[0] * miss[0] + miss[1] * miss[1];
    p.miss2 = miss2 / shown;
    rest = MAX(0, rest - amplitude2 * shown / 2);
    p.u_w = sqrt(miss2 * (amplitude2 + 4 * rest / (n * shown)) / 2);
    return p;
}

/* --- what no reading saw of the pattern --------------------------------------------------------------------------- */

#define CIRCLE_STEPS 4   /* the longest pattern there is (harmonics[0]) */
#define CIRCLE_BINS  240 /* choice: of the pattern; a step of the circle is told to a sixtieth */
#define SURELY_SEEN  0.85 /* choice: of W; windows are published to some 15 % */

/* The share of the longest pattern that lies outside of every window in which the work was read. */
static double unseen_of(const struct energy_options *options, const struct energy_window *window,
                        const struct sensor *sensor, const struct edges *e)
{
    bool seen[CIRCLE_BINS] = {false};
    int left = CIRCLE_BINS, parts = CIRCLE_BINS;
    double end = clock_seconds(window->t1_ns - window->t0_ns) + sensor->delay_hi, period = grid_of(sensor, e);
    for (double t = e->n ? e->at[0].t + period : INFINITY; t < end; t += period) {
        int64_t t_ns = window->t0_ns + llround((t - sensor->delay_mid) * 1e9);
        for (int k = 0; k < parts; k++) {
            double before = sensor->window * (0.5 + SURELY_SEEN * ((k + 0.5) / parts - 0.5));
            double step = step_at(options->stamps_ns, options->stamp_count, t_ns - llround(before * 1e9));
            if (!isfinite(step))
                continue;
            int bin = (int)(fmod(step, CIRCLE_STEPS) / CIRCLE_STEPS * CIRCLE_BINS) % CIRCLE_BINS;
            left -= !seen[bin];
            seen[bin] = true;
        }
    }
    return (double)left / CIRCLE_BINS;
}

struct energy_phase phase_check(const struct energy_options *options, const struct energy_window *window,
                                const struct sensor *sensor, const struct edges *edges)
{
    struct energy_phase phase = {false, median_step(options->stamps_ns, options->stamp_count), NAN, 0, NAN};
    if (!(phase.step_s > 0) || sensor->unseen <= 0 || sensor->sees_all || sensor->modelled)
        return phase;
    for (size_t h = 0; h < G_N_ELEMENTS(harmonics); h++) {
        g_autoptr(GArray) all = meetings(options, window, sensor, edges, harmonics[h], phase.step_s);
        struct pattern p = pattern_of(all);
        phase.miss2 = fmax(phase.miss2, p.miss2);
        phase.u_w = MAX(phase.u_w, p.u_w);
        phase.locked = phase.locked || p.miss2 > fmax(LOCKED2, CHANCE2 / p.n);
    }
    if (phase.locked)
        phase.unseen = unseen_of(options, window, sensor, edges);
    return phase;
}
