/* SPDX-License-Identifier: MIT */
/* Descriptive statistics. Sorting works on a copy: the caller's array is never touched. */
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *sorted_copy(const double *x, size_t n)
{
    double *copy = g_new(double, n);
    memcpy(copy, x, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, compare);
    return copy;
}

double stats_mean(const double *x, size_t n)
{
    double sum = 0;
    if (n == 0)
        return NAN;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

double stats_sd(const double *x, size_t n)
{
    double mean = stats_mean(x, n), sum = 0;
    if (n < 2)
        return NAN;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)(n - 1));
}

double stats_cv(const double *x, size_t n)
{
    double mean = stats_mean(x, n);
    return mean != 0 ? stats_sd(x, n) / fabs(mean) : NAN;
}

double stats_quantile_sorted(const double *sorted, size_t n, double p)
{
    if (n == 0 || !(p >= 0 && p <= 1))
        return NAN;
    double at = p * (double)(n - 1);
    double below = floor(at);
    size_t i = (size_t)below;
    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (at - below) * (sorted[i + 1] - sorted[i]);
}

double stats_quantile(const double *x, size_t n, double p)
{
    if (n == 0)
        return NAN;
    g_autofree double *copy = sorted_copy(x, n);
    return stats_quantile_sorted(copy, n, p);
}

double stats_median(const double *x, size_t n)
{
    return stats_quantile(x, n, 0.5);
}

double stats_mad(const double *x, size_t n)
{
    double median = stats_median(x, n);
    if (n == 0)
        return NAN;
    g_autofree double *away = g_new(double, n);
    for (size_t i = 0; i < n; i++)
        away[i] = fabs(x[i] - median);
    return stats_median(away, n);
}

double stats_theil_sen(const double *x, const double *y, size_t n)
{
    size_t step = n > STATS_PAIRS_MAX ? (n + STATS_PAIRS_MAX - 1) / STATS_PAIRS_MAX : 1;
    size_t kept = n ? (n - 1) / step + 1 : 0, count = 0;
    if (kept < 2)
        return NAN;
    g_autofree double *slopes = g_new(double, kept *(kept - 1) / 2);
    for (size_t i = 0; i < n; i += step) {
        for (size_t j = i + step; j < n; j += step) {
            if (x[j] != x[i])
                slopes[count++] = (y[j] - y[i]) / (x[j] - x[i]);
        }
    }
    return stats_median(slopes, count);
}

size_t stats_block_means(const double *x, size_t n, size_t blocks, double *ret_means)
{
    if (blocks == 0 || n < blocks)
        return 0;
    size_t length = n / blocks;
    size_t skip = n - length * blocks;
    for (size_t b = 0; b < blocks; b++)
        ret_means[b] = stats_mean(x + skip + b * length, length);
    return blocks;
}

double stats_autocorrelation(const double *x, size_t n, size_t lag)
{
    double mean = stats_mean(x, n), total = 0, lagged = 0;
    if (n < 2 || lag >= n)
        return NAN;
    for (size_t i = 0; i < n; i++)
        total += (x[i] - mean) * (x[i] - mean);
    if (total <= 0)
        return NAN;
    for (size_t i = lag; i < n; i++)
        lagged += (x[i] - mean) * (x[i - lag] - mean);
    return lagged / total;
}

double stats_effective_n(const double *x, size_t n)
{
    double sum = 0;
    if (n < 3)
        return (double)n;
    for (size_t lag = 1; lag + 1 < n; lag += 2) {
        double pair = stats_autocorrelation(x, n, lag) + stats_autocorrelation(x, n, lag + 1);
        if (!(pair > 0))
            break;
        sum += pair;
    }
    double tau = 1 + 2 * sum;
    return CLAMP((double)n / tau, 1, (double)n);
}
