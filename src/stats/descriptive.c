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

#define GRID_MOST  256  /* moments that the search uses: the rest only refines its answer */
#define GRID_FEW   64   /* and that its wide part uses */
#define GRID_RANGE 0.08 /* about the first guess */
#define GRID_NEAR  2.0  /* over n: how far the mean gap may be off where no moment was missed */
#define GRID_CLEAR 1.3  /* times as coherent: then moments were missed after all */
#define GRID_ALIKE 1.4  /* mean and median gap beyond which moments were missed */

/* How well moments lie on a grid of a period: 1 for all. */
static double coherence(const double *t, size_t n, double period)
{
    double re = 0, im = 0;
    for (size_t i = 0; i < n; i++) {
        double angle = 2 * G_PI * (t[i] - t[0]) / period;
        re += cos(angle);
        im += sin(angle);
    }
    return sqrt(re * re + im * im) / (double)n;
}

static double search_about(const double *t, size_t n, double guess, double range, double *ret_coherence)
{
    double span = t[n - 1] - t[0], step = guess * guess / span / 8, best = guess;
    *ret_coherence = 0;
    for (double p = guess * (1 - range); p <= guess * (1 + range); p += step) {
        double c = coherence(t, n, p);
        if (c > *ret_coherence) {
            *ret_coherence = c;
            best = p;
        }
    }
    return best;
}

/* Each moment is known to its noise only, which may be a good part of the period: the phases of many decide. Moments
 * seen by polls at half of their period look alike at a period and at its mirror image: the mean gap decides. */
static double search_period(const double *t, size_t n, double guess)
{
    double near_c, wide_c;
    double near = search_about(t, n, guess, GRID_NEAR / (double)n, &near_c);
    if (GRID_CLEAR * near_c >= 1)
        return near;
    size_t few = MIN(n, GRID_FEW);
    double wide = search_about(t, few, guess, GRID_RANGE, &wide_c);
    return wide_c > GRID_CLEAR * near_c ? search_about(t, n, wide, GRID_NEAR / (double)few, &near_c) : near;
}

double stats_grid_period(const double *t, size_t n)
{
    if (n < 3)
        return NAN;
    g_autofree double *gaps = g_new(double, n - 1), *index = g_new0(double, n);
    for (size_t i = 1; i < n; i++)
        gaps[i - 1] = t[i] - t[i - 1];
    double median = stats_median(gaps, n - 1), mean = (t[n - 1] - t[0]) / (double)(n - 1), sxx = 0, sxy = 0;
    if (!(median > 0))
        return NAN;
    double guess = mean < GRID_ALIKE * median && median < GRID_ALIKE * mean ? mean : median;
    double period = n >= 8 ? search_period(t, MIN(n, GRID_MOST), guess) : guess;
    for (size_t i = 1; i < n; i++)
        index[i] = index[i - 1] + MAX(1, round((t[i] - t[0]) / period - index[i - 1]));
    double mx = stats_mean(index, n), my = stats_mean(t, n);
    for (size_t i = 0; i < n; i++) {
        sxx += (index[i] - mx) * (index[i] - mx);
        sxy += (index[i] - mx) * (t[i] - my);
    }
    return sxy / sxx;
}
