/* SPDX-License-Identifier: MIT */
/*
 * A sensor's value is the mean of power over a window that ended some delay before it appeared. With bursts of a load
 * at times that keep no step with the sensor the window shows: for each length and delay the values are regressed on
 * the share of the window in which the load was on, and the length that leaves least is the sensor's (as Yang et al.
 * found windows, SC'24, arXiv 2312.02741). No other sensor is needed.
 */
#include "meter/window.h"

#include <math.h>

#define DELAY_STEP_S 0.0025 /* choice: an eighth of the fastest refresh that is asked */
#define DELAY_MAX_S  0.45 /* the longest published, 311 ms, and its rise */
#define SHARES       40   /* choice: of two periods, in steps of a twentieth of one */
#define LIKELY       20.0 /* choice: over n; five times what independent values leave (χ², 95 %: 3.8) */
#define FLOOR        0.003 /* choice: of the variance: power in a burst is not constant, whatever the sensor */
#define VALUES_MIN   30   /* choice: fewer are explained by some window whatever the sensor */

/* Longer than two periods: moving averages. */
static const double long_s[] = {0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0};

struct value {
    double end_s, watts; /* from the first burst */
};

/* Seconds of the load up to a moment, by its bursts. */
struct busy {
    size_t n;
    double *from_s, *to_s, *before_s; /* before: of all bursts before this one */
};

static double second(int64_t t_ns, int64_t zero_ns)
{
    return (double)(t_ns - zero_ns) * 1e-9;
}

static void busy_init(struct busy *busy, const GArray *bursts, int64_t zero_ns)
{
    *busy = (struct busy){bursts->len, g_new(double, bursts->len), g_new(double, bursts->len),
                          g_new(double, bursts->len)};
    double sum = 0;
    for (guint i = 0; i < bursts->len; i++) {
        const struct window_burst *b = &g_array_index(bursts, struct window_burst, i);
        busy->from_s[i] = second(b->t0_ns, zero_ns);
        busy->to_s[i] = second(b->t1_ns, zero_ns);
        busy->before_s[i] = sum;
        sum += busy->to_s[i] - busy->from_s[i];
    }
}

static void busy_clear(struct busy *busy)
{
    g_free(busy->from_s);
    g_free(busy->to_s);
    g_free(busy->before_s);
}

static double busy_until(const struct busy *busy, double t_s)
{
    size_t low = 0, high = busy->n; /* the bursts that began by then */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (busy->from_s[middle] <= t_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? busy->before_s[low - 1] + fmin(t_s, busy->to_s[low - 1]) - busy->from_s[low - 1] : 0;
}

/* Middle of the bracket in which a value appeared. */
static int64_t appeared_ns(const struct meter_point *p)
{
    return p->lo_ns + (p->first_ns - p->lo_ns) / 2;
}

static GArray *values_of(const struct meter_channel *c, const GArray *points, int64_t period_ns, int64_t zero_ns)
{
    GArray *values = g_array_new(FALSE, FALSE, sizeof(struct value));
    const struct meter_point *p = (const struct meter_point *)(const void *)points->data;
    for (guint i = 2; i < points->len; i++) {
        int64_t length_ns = appeared_ns(&p[i]) - appeared_ns(&p[i - 1]);
        bool one = length_ns > period_ns / 2 && length_ns < period_ns + period_ns / 2;
        struct value v = {second(appeared_ns(&p[i]), zero_ns), (double)p[i].raw * c->scale};
        if (p[i].status != METER_READ_OK || p[i - 1].status != METER_READ_OK || (c->kind == METER_ENERGY && !one))
            continue;
        if (c->kind == METER_ENERGY)
            v.watts = (double)(p[i].raw - p[i - 1].raw) * c->scale / clock_seconds(length_ns);
        g_array_append_val(values, v);
    }
    return values;
}

struct sums {
    double x, y, xx, xy, yy;
};

/* What is left of the variance of the values by one window and delay; *ret_slope: from no load to all of it. */
static double left_by(const GArray *values, const struct busy *busy, double window_s, double delay_s, double *ret_slope)
{
    struct sums s = {0};
    double n = values->len;
    for (guint i = 0; i < values->len; i++) {
        const struct value *v = &g_array_index(values, struct value, i);
        double end_s = v->end_s - delay_s;
        double x = (busy_until(busy, end_s) - busy_until(busy, end_s - window_s)) / window_s, y = v->watts;
        s = (struct sums){s.x + x, s.y + y, s.xx + x * x, s.xy + x * y, s.yy + y * y};
    }
    double sxx = s.xx - s.x * s.x / n, sxy = s.xy - s.x * s.y / n, syy = s.yy - s.y * s.y / n;
    *ret_slope = sxx > 0 ? sxy / sxx : 0;
    return *ret_slope > 0 ? fmax(0, syy - sxy * sxy / sxx) : syy; /* a load does not take power away */
}

struct best {
    double left, slope, delay_s;
};

static struct best best_delay(const GArray *values, const struct busy *busy, double window_s)
{
    struct best best = {INFINITY, 0, 0};
    for (double delay_s = 0; delay_s <= DELAY_MAX_S; delay_s += DELAY_STEP_S) {
        double slope, left = left_by(values, busy, window_s, delay_s, &slope);
        if (left < best.left)
            best = (struct best){left, slope, delay_s};
    }
    return best;
}

/* The lengths that are tried, ascending. New array of double. */
static GArray *windows_of(double period_s)
{
    GArray *windows = g_array_new(FALSE, FALSE, sizeof(double));
    for (int i = 1; i <= SHARES; i++) {
        double window_s = period_s * i * 2 / SHARES;
        g_array_append_val(windows, window_s);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(long_s); i++)
        if (long_s[i] > 2 * period_s)
            g_array_append_val(windows, long_s[i]);
    return windows;
}

static double variance_of(const GArray *values, double *ret_mean)
{
    double sum = 0, squares = 0, n = values->len;
    for (guint i = 0; i < values->len; i++) {
        double watts = g_array_index(values, struct value, i).watts;
        sum += watts;
        squares += watts * watts;
    }
    *ret_mean = sum / n;
    return squares - sum * sum / n;
}

struct window_fit window_fit(const struct meter_channel *channel, const GArray *points, int64_t period_ns,
                             const GArray *bursts)
{
    struct window_fit fit = {.seconds = NAN, .low_s = NAN, .high_s = NAN, .delay_s = NAN};
    if (!bursts->len || period_ns <= 0)
        return fit;
    int64_t zero_ns = g_array_index(bursts, struct window_burst, 0).t0_ns;
    g_autoptr(GArray) values = values_of(channel, points, period_ns, zero_ns);
    g_autoptr(GArray) windows = windows_of(clock_seconds(period_ns));
    g_autofree struct best *tried = g_new(struct best, windows->len);
    fit.n = values->len;
    if (fit.n < VALUES_MIN)
        return fit;
    double all = variance_of(values, &fit.mean_w);
    struct busy busy;
    busy_init(&busy, bursts, zero_ns);
    guint at = 0;
    for (guint i = 0; i < windows->len; i++) {
        tried[i] = best_delay(values, &busy, g_array_index(windows, double, i));
        at = tried[i].left < tried[at].left ? i : at;
    }
    busy_clear(&busy);
    fit.explained = all > 0 ? 1 - tried[at].left / all : 0;
    fit.swing_w = tried[at].slope;
    fit.delay_s = tried[at].delay_s;
    fit.seconds = fit.low_s = fit.high_s = g_array_index(windows, double, at);
    double most = fmax(tried[at].left, FLOOR * all) * (1 + LIKELY / (double)fit.n);
    for (guint i = 0; i < windows->len; i++)
        if (tried[i].left <= most) {
            fit.low_s = fmin(fit.low_s, g_array_index(windows, double, i));
            fit.high_s = fmax(fit.high_s, g_array_index(windows, double, i));
        }
    return fit;
}
