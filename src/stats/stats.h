/* SPDX-License-Identifier: MIT */
/*
 * stats: pure mathematics over arrays of doubles. No I/O, no units, no knowledge of energy.
 *
 *   distributions   normal, Student t, Fisher F: CDF and quantile (Boost.Math; distributions.cc)
 *   least squares   column-pivoting QR with rank, coefficients, covariance (Eigen; distributions.cc)
 *   descriptive     mean, sd, CV, median, MAD, quantiles, Theil–Sen slope, block means, autocorrelation
 *   inference       one-sample t, Welch, paired t on log-ratios, percentile and BCa bootstrap
 *   propagation     Monte-Carlo propagation of distributions (JCGM 101:2008, GUM Supplement 1)
 *
 * Ownership: every array belongs to the caller and is read only unless named ret_…; nothing is kept. Threading: no
 * mutable state; a GRand belongs to one thread at a time. The same seed gives the same answer. Errors: a question
 * without an answer (too few values, bad degrees of freedom) is answered NaN, never 0.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STATS_LEVEL     0.95 /* of every interval that is told to somebody */
#define STATS_NORMAL_95 1.96 /* standard deviations in the half-width of a normal 95 % interval */

/* --- distributions: p in (0, 1), df > 0 and real; NaN for anything else ------------------------------------------ */
double stats_normal_cdf(double z);
double stats_normal_quantile(double p);
double stats_t_cdf(double t, double df);
double stats_t_quantile(double p, double df);
double stats_f_cdf(double f, double df1, double df2);
double stats_f_quantile(double p, double df1, double df2);

/* --- least squares: y = X·beta + e ------------------------------------------------------------------------------- */
struct stats_fit {
    size_t rank;      /* numerical rank of X, at most the number of columns */
    double df;        /* rows − rank */
    double rss;       /* residual sum of squares */
    double sigma2;    /* rss / df; NaN when df is 0 */
    double condition; /* ratio of the largest to the smallest kept diagonal of R */
};

/* X is rows × columns, row-major. ret_coef[columns] and ret_cov[columns × columns] (row-major, scaled by sigma2): NaN
 * at the columns that are aliased with others (those the pivoting left out). ret_cov may be NULL. False when there
 * are no rows, no columns, values that are not finite, or memory runs out. */
bool stats_least_squares(const double *x, size_t rows, size_t columns, const double *y, double *ret_coef,
                         double *ret_cov, struct stats_fit *ret_fit);

/* --- descriptive ------------------------------------------------------------------------------------------------- */
double stats_mean(const double *x, size_t n);
double stats_sd(const double *x, size_t n); /* n − 1 in the denominator; NaN below two values */
double stats_cv(const double *x, size_t n); /* sd / |mean| */
double stats_median(const double *x, size_t n);
double stats_mad(const double *x, size_t n); /* median |x − median|, unscaled; ×1.4826 estimates a normal sd */
/* Type 7 of Hyndman and Fan (1996), the default of R and NumPy: linear between order statistics. p in [0, 1]. */
double stats_quantile(const double *x, size_t n, double p);
/* The same, of values that are sorted already. */
double stats_quantile_sorted(const double *sorted, size_t n, double p);
/* Median of the slopes of all pairs with different x (Sen 1968). Quadratic: at most STATS_PAIRS_MAX values are used,
 * evenly thinned. */
double stats_theil_sen(const double *x, const double *y, size_t n);
#define STATS_PAIRS_MAX 512
/* Period of a grid whose moments t (ascending) were seen with noise, some of them not at all: slope of the
 * least-squares line through them over counted periods, which their median distance tells apart. NaN below three. */
double stats_grid_period(const double *t, size_t n);
/* Means of `blocks` equally long runs of consecutive values; the remainder at the front is left out. Returns how many
 * blocks were written (0 when n < blocks). */
size_t stats_block_means(const double *x, size_t n, size_t blocks, double *ret_means);
/* Autocorrelation at a lag (biased estimator, divisor n). NaN when the series is constant or too short. */
double stats_autocorrelation(const double *x, size_t n, size_t lag);
/* How many independent values the series is worth for its mean: n / (1 + 2·sum of rho), the sum cut off by Geyer's
 * initial positive sequence (1992). Between 1 and n. */
double stats_effective_n(const double *x, size_t n);

/* --- inference --------------------------------------------------------------------------------------------------- */
struct stats_interval {
    double estimate;
    double low, high;
    double u;  /* standard error of the estimate */
    double df; /* degrees of freedom behind u; NaN for a bootstrap */
    double p;  /* two-sided p value against 0 (ratios: against 1); NaN for a bootstrap */
};

/* level is a confidence level such as 0.95. All members NaN when there are too few values. */
struct stats_interval stats_t_interval(const double *x, size_t n, double level);
/* mean(a) − mean(b) with unequal variances (Welch 1947, Satterthwaite df). */
struct stats_interval stats_welch(const double *a, size_t na, const double *b, size_t nb, double level);
/* Geometric mean of b[i] / a[i] by a t interval on the log-ratios; u and df are those of the logarithm. Every value
 * must be > 0. */
struct stats_interval stats_paired_ratio(const double *a, const double *b, size_t n, double level);

/* What paired values tell of b[i] / a[i] being 1 within ±margin. Equal: the 90 % interval of the ratio lies inside (two
 * one-sided tests at 5 %, Schuirmann 1987); else different: its 95 % interval excludes 1; else undecided. */
enum stats_equivalence { STATS_UNDECIDED, STATS_EQUAL, STATS_DIFFERENT };
enum stats_equivalence stats_paired_equivalence(const double *a, const double *b, size_t n, double margin);

typedef double stats_statistic(const double *x, size_t n, void *user);
enum stats_bootstrap { STATS_PERCENTILE, STATS_BCA /* Efron 1987 */ };
struct stats_interval stats_bootstrap(const double *x, size_t n, stats_statistic *statistic, void *user,
                                      enum stats_bootstrap kind, size_t resamples, GRand *rng, double level);

/* --- propagation of distributions -------------------------------------------------------------------------------- */
enum stats_shape {
    STATS_NORMAL,      /* scale: standard deviation */
    STATS_RECTANGULAR, /* scale: half-width */
    STATS_STUDENT,     /* scale × t(df): a mean known from few values */
};
struct stats_component {
    enum stats_shape shape;
    double scale; /* >= 0 */
    double df;    /* STATS_STUDENT only */
};
/* The output of one draw of all components; NULL stands for their sum. */
typedef double stats_model(const double *draws, size_t n, void *user);

double stats_draw_normal(GRand *rng);
double stats_draw(const struct stats_component *component, GRand *rng); /* around 0 */
/* Probabilistically symmetric coverage interval of model(draws), JCGM 101 §7. estimate is the median, u the standard
 * deviation of the draws; df and p are NaN. */
struct stats_interval stats_propagate(const struct stats_component *components, size_t n, stats_model *model,
                                      void *user, size_t draws, GRand *rng, double level);
/* Degrees of freedom of a sum of independent parts (Welch–Satterthwaite, JCGM 100 G.4.1); infinity when no part is
 * limited. dfs of infinity are allowed. */
double stats_satterthwaite(const double *u, const double *df, size_t n);

#ifdef __cplusplus
}
#endif
