/* SPDX-License-Identifier: MIT */
/* Intervals from samples: Student, Welch, paired log-ratios, bootstrap. */
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>

static const struct stats_interval unknown = {NAN, NAN, NAN, NAN, NAN, NAN};

static struct stats_interval around(double estimate, double u, double df, double level)
{
    double half = stats_t_quantile(0.5 + level / 2, df) * u;
    struct stats_interval interval = {estimate, estimate - half, estimate + half, u, df, NAN};
    if (u > 0)
        interval.p = 2 * stats_t_cdf(-fabs(estimate / u), df);
    return interval;
}

struct stats_interval stats_t_interval(const double *x, size_t n, double level)
{
    if (n < 2)
        return unknown;
    return around(stats_mean(x, n), stats_sd(x, n) / sqrt((double)n), (double)(n - 1), level);
}

double stats_satterthwaite(const double *u, const double *df, size_t n)
{
    double variance = 0, denominator = 0;
    for (size_t i = 0; i < n; i++) {
        double square = u[i] * u[i];
        variance += square;
        if (isfinite(df[i]))
            denominator += square * square / df[i];
    }
    return denominator > 0 ? variance * variance / denominator : INFINITY;
}

struct stats_interval stats_welch(const double *a, size_t na, const double *b, size_t nb, double level)
{
    if (na < 2 || nb < 2)
        return unknown;
    double u[2];
    u[0] = stats_sd(a, na) / sqrt((double)na);
    u[1] = stats_sd(b, nb) / sqrt((double)nb);
    double df[2];
    df[0] = (double)(na - 1);
    df[1] = (double)(nb - 1);
    return around(stats_mean(a, na) - stats_mean(b, nb), sqrt(u[0] * u[0] + u[1] * u[1]),
                  stats_satterthwaite(u, df, 2), level);
}

struct stats_interval stats_paired_ratio(const double *a, const double *b, size_t n, double level)
{
    g_autofree double *logs = g_new(double, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (!(a[i] > 0 && b[i] > 0))
            return unknown;
        logs[i] = log(b[i] / a[i]);
    }
    struct stats_interval interval = stats_t_interval(logs, n, level);
    interval.estimate = exp(interval.estimate);
    interval.low = exp(interval.low);
    interval.high = exp(interval.high);
    return interval;
}

enum stats_equivalence stats_paired_equivalence(const double *a, const double *b, size_t n, double margin)
{
    struct stats_interval inner = stats_paired_ratio(a, b, n, 0.90), outer = stats_paired_ratio(a, b, n, 0.95);
    if (inner.low >= 1 - margin && inner.high <= 1 + margin)
        return STATS_EQUAL;
    return outer.low > 1 || outer.high < 1 ? STATS_DIFFERENT : STATS_UNDECIDED;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Acceleration from the jackknife: sum d^3 / (6 (sum d^2)^1.5), d = mean − leave-one-out value. */
static double acceleration(const double *x, size_t n, stats_statistic *statistic, void *user)
{
    g_autofree double *left = g_new(double, n), *values = g_new(double, n);
    double squares = 0, cubes = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0, k = 0; j < n; j++) {
            if (j != i)
                left[k++] = x[j];
        }
        values[i] = statistic(left, n - 1, user);
    }
    double mean = stats_mean(values, n);
    for (size_t i = 0; i < n; i++) {
        double d = mean - values[i];
        squares += d * d;
        cubes += d * d * d;
    }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0;
}

/* Share of resamples below the estimate, ties counted half, as a normal score. */
static double bias(const double *sorted, size_t n, double estimate)
{
    double below = 0;
    for (size_t i = 0; i < n; i++)
        below += sorted[i] < estimate ? 1 : sorted[i] == estimate ? 0.5 : 0;
    return stats_normal_quantile(CLAMP(below, 0.5, (double)n - 0.5) / (double)n);
}

static double bca_probability(double z0, double a, double p)
{
    double z = z0 + stats_normal_quantile(p);
    return stats_normal_cdf(z0 + z / (1 - a * z));
}

struct stats_interval stats_bootstrap(const double *x, size_t n, stats_statistic *statistic, void *user,
                                      enum stats_bootstrap kind, size_t resamples, GRand *rng, double level)
{
    struct stats_interval interval = unknown;
    g_autofree double *draw = g_new(double, n + 1), *values = g_new(double, resamples + 1);
    double low = 0.5 - level / 2, high = 0.5 + level / 2;
    if (n < 2 || resamples < 2)
        return interval;
    for (size_t r = 0; r < resamples; r++) {
        for (size_t i = 0; i < n; i++)
            draw[i] = x[g_rand_int_range(rng, 0, (gint32)n)];
        values[r] = statistic(draw, n, user);
    }
    qsort(values, resamples, sizeof *values, compare);
    interval.estimate = statistic(x, n, user);
    interval.u = stats_sd(values, resamples);
    if (kind == STATS_BCA) {
        double z0 = bias(values, resamples, interval.estimate), a = acceleration(x, n, statistic, user);
        low = bca_probability(z0, a, low);
        high = bca_probability(z0, a, high);
    }
    interval.low = stats_quantile_sorted(values, resamples, low);
    interval.high = stats_quantile_sorted(values, resamples, high);
    return interval;
}
