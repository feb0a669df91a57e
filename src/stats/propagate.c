/* SPDX-License-Identifier: MIT */
/* Monte-Carlo propagation of distributions (JCGM 101:2008): no linearisation, no assumption that the sum is normal. */
#include "stats/stats.h"

#include <math.h>
#include <stddef.h>

/* Box–Muller (1958). One of the pair is thrown away: no state between calls. */
double stats_draw_normal(GRand *rng)
{
    double u = 1 - g_rand_double(rng); /* (0, 1] */
    return sqrt(-2 * log(u)) * cos(2 * G_PI * g_rand_double(rng));
}

/* Gamma(shape, 1), shape >= 1/3 (Marsaglia and Tsang 2000); below 1 by the power of a uniform. */
static double draw_gamma(GRand *rng, double shape)
{
    double boost = 1;
    if (shape < 1) {
        boost = pow(1 - g_rand_double(rng), 1 / shape);
        shape += 1;
    }
    double d = shape - 1.0 / 3;
    double c = 1 / sqrt(9 * d);
    for (;;) {
        double x = stats_draw_normal(rng), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(1 - g_rand_double(rng)) < 0.5 * x * x + d - d * v + d * log(v))
            return boost * d * v;
    }
}

double stats_draw(const struct stats_component *component, GRand *rng)
{
    switch (component->shape) {
    case STATS_RECTANGULAR:
        return component->scale * (2 * g_rand_double(rng) - 1);
    case STATS_STUDENT:
        if (component->df > 0 && isfinite(component->df)) {
            double chi2 = 2 * draw_gamma(rng, component->df / 2);
            return component->scale * stats_draw_normal(rng) / sqrt(chi2 / component->df);
        }
        return component->scale * stats_draw_normal(rng);
    case STATS_NORMAL:
    default:
        return component->scale * stats_draw_normal(rng);
    }
}

/* Hoare's selection: the k-th in order comes to x[k], with none greater before it and none smaller behind. */
static void put_rank(double *x, ptrdiff_t low, ptrdiff_t high, ptrdiff_t k)
{
    while (low < high) {
        double pivot = x[low + (high - low) / 2];
        ptrdiff_t i = low, j = high;
        do {
            while (x[i] < pivot)
                i++;
            while (pivot < x[j])
                j--;
            if (i <= j) {
                double swapped = x[i];
                x[i++] = x[j];
                x[j--] = swapped;
            }
        } while (i <= j);
        low = j < k ? i : low;
        high = k < i ? j : high;
    }
}

/* The same as of sorted values, which a sum of draws need not be for three of its quantiles. */
static double quantile_of(double *x, size_t n, double p)
{
    ptrdiff_t k = (ptrdiff_t)floor(p * (double)(n - 1)), last = (ptrdiff_t)n - 1;
    put_rank(x, 0, last, k);
    put_rank(x, MIN(k + 1, last), last, k + 1); /* the least of those behind */
    return stats_quantile_sorted(x, n, p);
}

static double one_draw(const struct stats_component *components, size_t n, stats_model *model, void *user,
                       double *draw, GRand *rng)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        draw[i] = stats_draw(&components[i], rng);
        sum += draw[i];
    }
    return model ? model(draw, n, user) : sum;
}

struct stats_interval stats_propagate(const struct stats_component *components, size_t n, stats_model *model,
                                      void *user, size_t draws, GRand *rng, double level)
{
    struct stats_interval interval = {NAN, NAN, NAN, NAN, NAN, NAN};
    g_autofree double *values = g_new(double, draws + 1), *draw = g_new(double, n + 1);
    if (draws < 2)
        return interval;
    for (size_t i = 0; i < draws; i++)
        values[i] = one_draw(components, n, model, user, draw, rng);
    interval.u = stats_sd(values, draws);
    interval.estimate = quantile_of(values, draws, 0.5);
    interval.low = quantile_of(values, draws, 0.5 - level / 2);
    interval.high = quantile_of(values, draws, 0.5 + level / 2);
    return interval;
}
