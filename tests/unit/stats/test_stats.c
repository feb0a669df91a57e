/* SPDX-License-Identifier: MIT */
/* stats against mpmath, NumPy and SciPy (tests/data/stats_oracle.json), and against what must hold for any data. */
#include "base/base.h"
#include "stats/stats.h"

#include <math.h>

static json_t *oracle;

static void assert_close(double found, double expected, double relative)
{
    double tolerance = relative * MAX(fabs(expected), 1e-12);
    if (!(fabs(found - expected) <= tolerance))
        g_error("expected %.17g, found %.17g", expected, found);
}

static double real_of(const json_t *object, const char *key)
{
    double value = NAN;
    g_autoptr(GError) error = NULL;
    if (!jsonx_get_real(object, key, false, &value, &error))
        g_error("%s", error->message);
    return value;
}

static double *array_of(const json_t *object, const char *key, size_t *n)
{
    json_t *array = json_object_get(object, key);
    *n = json_array_size(array);
    g_assert_cmpuint(*n, >, 0);
    double *values = g_new(double, *n);
    for (size_t i = 0; i < *n; i++)
        values[i] = json_number_value(json_array_get(array, i));
    return values;
}

static double cdf_of(const char *dist, const json_t *row, double x)
{
    if (g_str_equal(dist, "normal"))
        return stats_normal_cdf(x);
    if (g_str_equal(dist, "t"))
        return stats_t_cdf(x, real_of(row, "df"));
    return stats_f_cdf(x, real_of(row, "df1"), real_of(row, "df2"));
}

static double quantile_of(const char *dist, const json_t *row, double p)
{
    if (g_str_equal(dist, "normal"))
        return stats_normal_quantile(p);
    if (g_str_equal(dist, "t"))
        return stats_t_quantile(p, real_of(row, "df"));
    return stats_f_quantile(p, real_of(row, "df1"), real_of(row, "df2"));
}

static void test_distributions(void)
{
    json_t *rows = json_object_get(oracle, "distributions");
    g_assert_cmpuint(json_array_size(rows), >, 80);
    json_t *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *dist = json_string_value(json_object_get(row, "dist"));
        double p = real_of(row, "p"), x = real_of(row, "x");
        assert_close(quantile_of(dist, row, p), x, 1e-12);
        assert_close(cdf_of(dist, row, x), p, 1e-12);
    }
}

static void test_no_answer_is_nan(void)
{
    double one = 1;
    struct stats_interval interval = stats_t_interval(&one, 1, 0.95);
    g_assert_true(isnan(stats_t_quantile(0.975, 0)));
    g_assert_true(isnan(stats_t_quantile(1, 5)));
    g_assert_true(isnan(stats_normal_quantile(-0.1)));
    g_assert_true(isnan(stats_f_cdf(-1, 2, 2)));
    g_assert_true(isnan(stats_mean(NULL, 0)));
    g_assert_true(isnan(stats_sd(&one, 1)));
    g_assert_true(isnan(stats_median(NULL, 0)));
    g_assert_true(isnan(stats_theil_sen(&one, &one, 1)));
    g_assert_true(isnan(interval.low) && isnan(interval.estimate));
    /* infinite degrees of freedom are the normal */
    g_assert_cmpfloat(stats_t_quantile(0.975, INFINITY), ==, stats_normal_quantile(0.975));
}

static void test_descriptive(void)
{
    json_t *samples = json_object_get(oracle, "samples");
    size_t n;
    g_autofree double *a = array_of(samples, "a", &n), *x = g_new(double, n);
    size_t i;
    for (i = 0; i < n; i++)
        x[i] = (double)i;
    assert_close(stats_mean(a, n), real_of(samples, "mean"), 1e-14);
    assert_close(stats_sd(a, n), real_of(samples, "sd"), 1e-13);
    assert_close(stats_cv(a, n), real_of(samples, "sd") / real_of(samples, "mean"), 1e-13);
    assert_close(stats_median(a, n), real_of(samples, "median"), 1e-14);
    assert_close(stats_mad(a, n), real_of(samples, "mad"), 1e-13);
    assert_close(stats_theil_sen(x, a, n), real_of(samples, "theil_sen"), 1e-12);
    json_t *pair;
    json_array_foreach(json_object_get(samples, "quantiles"), i, pair)
    {
        double p = json_number_value(json_array_get(pair, 0));
        assert_close(stats_quantile(a, n, p), json_number_value(json_array_get(pair, 1)), 1e-14);
    }
}

static void assert_interval(struct stats_interval found, const json_t *expected)
{
    assert_close(found.estimate, real_of(expected, "estimate"), 1e-12);
    assert_close(found.low, real_of(expected, "low"), 1e-11);
    assert_close(found.high, real_of(expected, "high"), 1e-11);
    assert_close(found.p, real_of(expected, "p"), 1e-10);
}

static void test_inference(void)
{
    json_t *samples = json_object_get(oracle, "samples");
    size_t na, nb;
    g_autofree double *a = array_of(samples, "a", &na), *b = array_of(samples, "b", &nb);
    struct stats_interval welch = stats_welch(a, na, b, nb, 0.95);
    assert_interval(welch, json_object_get(samples, "welch"));
    assert_close(welch.df, real_of(json_object_get(samples, "welch"), "df"), 1e-12);
    assert_interval(stats_paired_ratio(a, b, nb, 0.95), json_object_get(samples, "ratio"));
    double same[] = {1, 2, 3, 4, 5, 6}, near[] = {1.001, 1.998, 3.001, 4.002, 4.999, 6.001};
    double scattered[] = {1.02, 1.97, 3.05, 3.9, 5.1, 5.97}, other[] = {1.021, 2.039, 3.06, 4.081, 5.1, 6.122};
    double slightly[] = {1.002, 2.004, 3.0061, 4.008, 5.01, 6.012};
    g_assert_cmpint(stats_paired_equivalence(same, near, 6, 0.005), ==, STATS_EQUAL);
    g_assert_cmpint(stats_paired_equivalence(same, scattered, 6, 0.005), ==, STATS_UNDECIDED);
    g_assert_cmpint(stats_paired_equivalence(same, other, 6, 0.005), ==, STATS_DIFFERENT);
    g_assert_cmpint(stats_paired_equivalence(same, slightly, 6, 0.005), ==, STATS_EQUAL); /* and not 1 */
    g_assert_cmpint(stats_paired_equivalence(same, slightly, 6, 0.001), ==, STATS_DIFFERENT);
    g_assert_cmpint(stats_paired_equivalence(same, near, 1, 0.005), ==, STATS_UNDECIDED);
    a[2] = 0; /* a ratio with 0 has no answer */
    g_assert_true(isnan(stats_paired_ratio(a, b, nb, 0.95).estimate));
}

static double mean_of(const double *x, size_t n, void *user)
{
    (void)user;
    return stats_mean(x, n);
}

static void test_bootstrap(void)
{
    static const char *const names[] = {"percentile", "BCa"};
    json_t *samples = json_object_get(oracle, "samples");
    size_t n;
    g_autofree double *b = array_of(samples, "b", &n);
    for (int kind = STATS_PERCENTILE; kind <= STATS_BCA; kind++) {
        json_t *expected = json_object_get(json_object_get(samples, "bootstrap"), names[kind]);
        GRand *rng = g_rand_new_with_seed(7), *again = g_rand_new_with_seed(7);
        struct stats_interval i = stats_bootstrap(b, n, mean_of, NULL, kind, 40000, rng, 0.95);
        struct stats_interval j = stats_bootstrap(b, n, mean_of, NULL, kind, 40000, again, 0.95);
        /* two Monte-Carlo answers of the same interval: within 2 % of its width */
        g_assert_cmpfloat(fabs(i.low - json_number_value(json_array_get(expected, 0))), <, 0.02 * (i.high - i.low));
        g_assert_cmpfloat(fabs(i.high - json_number_value(json_array_get(expected, 1))), <, 0.02 * (i.high - i.low));
        g_assert_true(i.low == j.low && i.high == j.high); /* the same seed gives the same answer */
        g_rand_free(rng);
        g_rand_free(again);
    }
}

static void test_least_squares(void)
{
    json_t *expected = json_object_get(oracle, "fit");
    size_t nx, ny, nc, ncov;
    g_autofree double *x = array_of(expected, "x", &nx), *y = array_of(expected, "y", &ny);
    g_autofree double *coef = array_of(expected, "coef", &nc), *cov = array_of(expected, "cov", &ncov);
    double found[3], found_cov[9];
    struct stats_fit fit;
    g_assert_true(stats_least_squares(x, ny, 3, y, found, found_cov, &fit));
    g_assert_cmpuint(fit.rank, ==, 3);
    assert_close(fit.rss, real_of(expected, "rss"), 1e-10);
    for (size_t i = 0; i < nc; i++)
        assert_close(found[i], coef[i], 1e-10);
    for (size_t i = 0; i < ncov; i++)
        assert_close(found_cov[i], cov[i], 1e-9);
    y[3] = NAN;
    g_assert_false(stats_least_squares(x, ny, 3, y, found, found_cov, &fit));
}

/* A column that is the sum of two others is aliased: rank 3 of 4, one coefficient NaN, the fit still right. */
static void test_least_squares_aliased(void)
{
    double x[8 * 4], y[8];
    int aliased = 0;
    for (int i = 0; i < 8; i++) {
        double a = i % 2, b = i / 4;
        double row[4] = {1, a, b, a + b};
        memcpy(x + 4 * i, row, sizeof row);
        y[i] = 1 + 2 * a + 3 * b;
    }
    double coef[4], cov[16];
    struct stats_fit fit;
    g_assert_true(stats_least_squares(x, 8, 4, y, coef, cov, &fit));
    g_assert_cmpuint(fit.rank, ==, 3);
    g_assert_cmpfloat(fit.rss, <, 1e-20);
    for (int j = 0; j < 4; j++) {
        aliased += isnan(coef[j]);
        g_assert_true(isnan(coef[j]) == isnan(cov[5 * j]));
    }
    g_assert_cmpint(aliased, ==, 1);
}

static void test_blocks_and_correlation(void)
{
    enum { N = 4000 };
    g_autofree double *x = g_new(double, N);
    GRand *rng = g_rand_new_with_seed(11);
    double means[4], rho = 0.8, n_eff;

    for (int i = 0; i < 11; i++)
        x[i] = i < 3 ? 100 : (i - 3) / 2;
    g_assert_cmpuint(stats_block_means(x, 11, 4, means), ==, 4); /* blocks of 2; the 3 at the front are left out */
    for (int b = 0; b < 4; b++)
        g_assert_cmpfloat(means[b], ==, b);
    g_assert_cmpuint(stats_block_means(x, 3, 4, means), ==, 0);

    x[0] = 0;
    for (int i = 1; i < N; i++)
        x[i] = rho * x[i - 1] + sqrt(1 - rho * rho) * stats_draw_normal(rng);
    assert_close(stats_autocorrelation(x, N, 1), rho, 0.05);
    n_eff = stats_effective_n(x, N); /* AR(1): n (1 − rho) / (1 + rho) = n / 9 */
    g_assert_cmpfloat(n_eff, >, N / 9.0 * 0.7);
    g_assert_cmpfloat(n_eff, <, N / 9.0 * 1.4);
    for (int i = 0; i < N; i++)
        x[i] = stats_draw_normal(rng);
    g_assert_cmpfloat(stats_effective_n(x, N), >, 0.7 * N);
    g_rand_free(rng);
}

static double ratio_of(const double *d, size_t n, void *user)
{
    (void)n;
    (void)user;
    return (100 + d[0]) / (1 + d[1]);
}

/* Known answers: N + N is normal with variances added; rectangular + rectangular is a triangle; Student alone. */
static void test_propagate(void)
{
    static const struct {
        struct stats_component parts[2];
        size_t n;
        double half;
    } cases[] = {
        {{{STATS_NORMAL, 3, 0}, {STATS_NORMAL, 4, 0}}, 2, 1.95996 * 5},
        {{{STATS_RECTANGULAR, 1, 0}}, 1, 0.95},
        {{{STATS_RECTANGULAR, 1, 0}, {STATS_RECTANGULAR, 1, 0}}, 2, 2 * (1 - 0.223607)},
        {{{STATS_STUDENT, 2, 3}}, 1, 2 * 3.18245},
        {{{STATS_STUDENT, 2, 1.5}}, 1, 2 * 6.10145},
    };
    struct stats_component parts[2] = {{STATS_NORMAL, 1, 0}, {STATS_NORMAL, 0.05, 0}};
    struct stats_interval i;
    GRand *rng = g_rand_new_with_seed(5);

    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
        double exact = cases[c].half;
        if (c == 4) /* a df that is not an integer, by the quantile itself */
            exact = 2 * stats_t_quantile(0.975, 1.5);
        i = stats_propagate(cases[c].parts, cases[c].n, NULL, NULL, 200000, rng, 0.95);
        assert_close(i.high, exact, 0.02);
        assert_close(i.low, -exact, 0.02);
    }
    i = stats_propagate(parts, 2, ratio_of, NULL, 200000, rng, 0.95); /* 1/g is skew: the upper arm is longer */
    g_assert_cmpfloat(i.high - 100, >, 100 - i.low);
    assert_close(i.low, 100 / 1.098, 0.01);
    g_rand_free(rng);
}

static void test_satterthwaite(void)
{
    double u[2] = {1, 1}, df[2] = {4, 4}, mixed[2] = {4, INFINITY};
    assert_close(stats_satterthwaite(u, df, 2), 8, 1e-12);
    assert_close(stats_satterthwaite(u, mixed, 2), 16, 1e-12);
    df[0] = df[1] = INFINITY;
    g_assert_true(isinf(stats_satterthwaite(u, df, 2)));
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_test_init(&argc, &argv, NULL);
    oracle = jsonx_load(LLEM_SOURCE_DIR "/tests/data/stats_oracle.json", LIMIT_CONFIG_BYTES, &error);
    if (!oracle)
        g_error("%s", error->message);
    g_test_add_func("/stats/distributions", test_distributions);
    g_test_add_func("/stats/no_answer_is_nan", test_no_answer_is_nan);
    g_test_add_func("/stats/descriptive", test_descriptive);
    g_test_add_func("/stats/inference", test_inference);
    g_test_add_func("/stats/bootstrap", test_bootstrap);
    g_test_add_func("/stats/least_squares", test_least_squares);
    g_test_add_func("/stats/least_squares_aliased", test_least_squares_aliased);
    g_test_add_func("/stats/blocks_and_correlation", test_blocks_and_correlation);
    g_test_add_func("/stats/propagate", test_propagate);
    g_test_add_func("/stats/satterthwaite", test_satterthwaite);
    int status = g_test_run();
    json_decref(oracle);
    return status;
}
