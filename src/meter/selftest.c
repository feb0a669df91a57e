/* SPDX-License-Identifier: MIT */
/*
 * Energy counters against themselves. The windows are padded (difference of two edges in the idle guards, less the
 * guards' own power), so that the refresh of the sensor does not enter. What a counter sees of the time is asked of
 * bursts of random lengths (window.c).
 */
#include "meter/meter.h"
#include "meter/observer.h"
#include "meter/window.h"

#include <math.h>
#include <string.h>

#define SCHEMA        "llem-selftest/1"
/* Choices but where a source is named. A batch is half a refresh of 100 ms, or longer where the load is an engine's; a
 * guard is six refreshes. */
#define BATCH_NS      (50 * NS_PER_MS)
#define BATCH_MAX_NS  (200 * NS_PER_MS)
#define GUARD_NS      (600 * NS_PER_MS)
#define SETTLE_NS     (300 * NS_PER_MS) /* delay and rise of the sensors there are (arXiv 2312.02741) */
#define STILL_NS      (1700 * NS_PER_MS) /* idle, and as much load: a 1-s average has forgotten what was before */
#define PROBE_NS      (2 * STILL_NS)
#define SEED          42 /* of the order of things: any */
#define STEP_NS       (2 * NS_PER_MS) /* of the sampler: finer than in a run, for short windows */
#define LACK_LIMIT    0.005 /* of E(16): a quarter of what is aimed at by default */
#define INTERCEPT_MIN 0.001 /* of E(16): resolution of the method itself */
#define BURST_MIN_NS  (20 * NS_PER_MS) /* sensors that refresh faster cannot be seen through bursts */
#define BURST_LEAST   0.3  /* of the period: lengths of bursts and rests, drawn between these */
#define BURST_MOST    1.7
#define BURSTS_NS     (12 * NS_PER_S) /* how long they go on, */
#define BURSTS_FEWEST 24 /* of a slow sensor, for windows to be told apart */
#define BURSTS_LONG   4    /* with so many long ones among them, which show averages */
#define LONG_NS       (1300 * NS_PER_MS) /* longer than a 1-s average */
#define EXPLAINED     0.5  /* of the variance: less says nothing of windows */
#define SHARE_LEAST   0.85 /* of a period: less of it is a part */
#define AVERAGE_TIMES 1.7  /* periods, and */
#define AVERAGE_S     0.6  /* longer windows are those of the 1-s average */
#define SCALE_MOST    0.05 /* counter against power, idle and busy alike: good boards keep to 1 % (arXiv 2603.26435) */
#define QUIET_SHARE   0.9  /* of a CPU that the load must get: with less, guards and windows belong to others too */
#define STEP_SHARE    0.25 /* the positive control: a quarter more work */
#define T_10          3.169 /* Student's t, 99.5 %, 8 + 4 − 2 degrees of freedom */
#define OBSERVER_MAX  0.01 /* of the power or energy: what the sampler may cost */
#define OBSERVER_NS   (1 * NS_PER_S) /* of each stretch with and without the sampler: ten refreshes */
#define SWING_LEAST   0.05 /* of the mean: less says that the load does not reach the sensor */

/* Numbers of batches, in an order that keeps drift apart from k; then the pieces of the other checks. */
static const unsigned fit_k[] = {4, 16, 1, 8, 2, 12, 3, 6};
#define FITS G_N_ELEMENTS(fit_k)
/* Student's t, 99.5 %, FITS − 2 degrees of freedom and A/A's 4 + 4 − 2: ten checks, few false alarms. */
#define T_6 3.707 /* Student's t, 99.5 %, 6 degrees of freedom */
enum { ADD_A = FITS, ADD_B, ADD_AB, PAIRS, STEPS = PAIRS + 8, WINDOWS = STEPS + 4 };

struct window {
    unsigned batches;
    int64_t t0_ns, t1_ns;
};

struct test {
    struct meter *meter;
    struct meter_load *load;
    struct sampler *sampler;
    int64_t batch_ns, guard_ns;
    struct window windows[WINDOWS];
    double cpu_share; /* of a CPU that the load got in its windows; NaN: it is no load of CPU time */
    int64_t idle_ns, busy_ns; /* ends of stretches of STILL_NS */
    GRand *random;
    json_t *rows;
};

static void add_row(struct test *test, const struct meter_channel *channel, const char *check, const char *verdict,
                    double value, double limit, const char *words)
{
    json_t *row = json_object();
    json_object_set_new(row, "channel", json_string(channel->id));
    json_object_set_new(row, "status", json_string(quantity_status_name(channel->status)));
    json_object_set_new(row, "check", json_string(check));
    json_object_set_new(row, "verdict", json_string(verdict));
    json_object_set_new(row, "value", jsonx_real(value));
    json_object_set_new(row, "limit", jsonx_real(limit));
    json_object_set_new(row, "words", json_string(words));
    json_array_append_new(test->rows, row);
}

/* A check that passed at first has failed since. */
static void fail_row(struct test *test, const struct meter_channel *channel, const char *check, const char *words)
{
    for (size_t i = 0; i < json_array_size(test->rows); i++) {
        const json_t *row = json_array_get(test->rows, i);
        if (!strcmp(json_string_value(json_object_get(row, "channel")), channel->id) &&
            !strcmp(json_string_value(json_object_get(row, "check")), check)) {
            json_array_remove(test->rows, i);
            break;
        }
    }
    add_row(test, channel, check, "fail", NAN, NAN, words);
}

/* --- energy of a window ----------------------------------------------------------------------------------------------------- */

static const struct meter_point *points_of(const GArray *points)
{
    return (const struct meter_point *)(const void *)points->data;
}

/* Middle of the bracket in which a run began. */
static int64_t edge_ns(const struct meter_point *p)
{
    return p->lo_ns + (p->first_ns - p->lo_ns) / 2;
}

/* Power of an idle stretch, from its own edges, and how far the width of their brackets may move it; 0 for a counter
 * that stands still in idle (CPU time does). */
static bool idle_power_w(struct test *test, size_t channel, int64_t from_ns, int64_t to_ns, double *ret, double *ret_u)
{
    const struct meter_channel *c = meter_channel_at(test->meter, channel);
    g_autoptr(GArray) points = sampler_series(test->sampler, channel, from_ns, to_ns);
    if (points->len == 0 || points_of(points)[0].status != METER_READ_OK)
        return false;
    *ret_u = 0;
    if (meter_points_rate(c, points, ret)) {
        const struct meter_point *first = points_of(points), *last = first + points->len - 1;
        *ret_u = *ret * (double)(first->first_ns - first->lo_ns + last->first_ns - last->lo_ns) / sqrt(12) /
                 (double)(last->first_ns - first->first_ns);
        return true;
    }
    *ret = 0;
    for (unsigned i = 0; i < points->len; i++)
        if (points_of(points)[i].status != METER_READ_OK)
            return false;
    return true;
}

/* Energy above idle: a batch is an amount of CPU time, and how long it takes depends on who else computes. NaN where
 * the counter had a fault. */
static double window_j(struct test *test, size_t channel, const struct window *w, double *ret_u)
{
    const struct meter_channel *c = meter_channel_at(test->meter, channel);
    double pre_w, post_w, pre_u, post_u;
    int64_t settled_ns = w->t1_ns + SETTLE_NS;
    g_autoptr(GArray) points = sampler_series(test->sampler, channel, w->t0_ns, settled_ns);
    unsigned n = points->len;
    const struct meter_point *p = points_of(points);
    if (n < 2 || !idle_power_w(test, channel, w->t0_ns - test->guard_ns, w->t0_ns, &pre_w, &pre_u) ||
        !idle_power_w(test, channel, settled_ns, settled_ns + test->guard_ns, &post_w, &post_u))
        return NAN;
    for (unsigned i = 0; i < n; i++)
        if (p[i].status != METER_READ_OK)
            return NAN;
    int64_t e0_ns = edge_ns(&p[0]), e1_ns = edge_ns(&p[n - 1]);
    *ret_u = 0.5 * sqrt(pre_u * pre_u + post_u * post_u) * clock_seconds(e1_ns - e0_ns);
    return (double)(p[n - 1].raw - p[0].raw) * c->scale - pre_w * clock_seconds(w->t0_ns - e0_ns) -
           post_w * clock_seconds(e1_ns - w->t1_ns) - 0.5 * (pre_w + post_w) * clock_seconds(w->t1_ns - w->t0_ns);
}

/* --- checks ------------------------------------------------------------------------------------------------------------------ */

/* What a value over its limit says: nothing, on a busy machine, or where equal batches need not be equal work. */
static const char *verdict_of(const struct test *test, bool within)
{
    return within ? "pass" : test->cpu_share >= QUIET_SHARE ? "fail" : "undetermined";
}

static void check_fit(struct test *test, const struct meter_channel *c, const double *energy_j, double u_j)
{
    double n = FITS, sk = 0, skk = 0, se = 0, ske = 0;
    for (size_t i = 0; i < FITS; i++) {
        double k = fit_k[i];
        sk += k;
        skk += k * k;
        se += energy_j[i];
        ske += k * energy_j[i];
    }
    double spread = skk - sk * sk / n;
    double slope = (ske - sk * se / n) / spread, intercept = (se - slope * sk) / n;
    double full = fabs(intercept + 16 * slope), worst = 0, squares = 0;
    for (size_t i = 0; i < FITS; i++) {
        double residual = energy_j[i] - intercept - slope * fit_k[i];
        worst = fmax(worst, fabs(residual));
        squares += residual * residual;
    }
    double u = sqrt(squares / (n - 2) * (1 / n + sk * sk / (n * n) / spread));
    double limit = fmax(T_6 * u, INTERCEPT_MIN * full), lack = fmax(LACK_LIMIT, 2 * u_j / full);
    add_row(test, c, "intercept", verdict_of(test, fabs(intercept) <= limit), intercept / full, limit / full,
            "E(0) as a share of E(16): what a window gains or loses at its ends");
    add_row(test, c, "lack_of_fit", verdict_of(test, worst / full <= lack), worst / full, lack,
            "largest distance of E(k), k = 1…16, from its line, as a share of E(16)");
}

static void check_sums(struct test *test, const struct meter_channel *c, const double *energy_j, double u_j)
{
    double parts = energy_j[ADD_A] + energy_j[ADD_B], sum = energy_j[ADD_AB];
    double share = (sum - parts) / sum, most = fmax(2 * LACK_LIMIT, 2 * sqrt(3) * u_j / sum);
    add_row(test, c, "additivity", verdict_of(test, fabs(share) <= most), share, most,
            "E(AB) less E(A) + E(B), as a share of E(AB)");
    double mean[2] = {0, 0}, squares = 0;
    for (int i = 0; i < 8; i++)
        mean[i % 2] += energy_j[PAIRS + i] / 4;
    for (int i = 0; i < 8; i++)
        squares += pow(energy_j[PAIRS + i] - mean[i % 2], 2);
    double difference = (mean[0] - mean[1]) / mean[0];
    double limit = fmax(T_6 * sqrt(squares / 6 * 2 / 4), 2 * u_j * sqrt(0.5)) / fabs(mean[0]);
    limit = fmax(limit, LACK_LIMIT);
    add_row(test, c, "a_a", verdict_of(test, fabs(difference) <= limit), difference, limit,
            "two groups of equal windows, interleaved: their difference, within its 99 % interval");
}

/* What is there must be found: a quarter more work is a quarter more energy. */
static void check_step(struct test *test, const struct meter_channel *c, const double *energy_j, double u_j)
{
    double mean = 0, more = 0, squares = 0;
    for (int i = 0; i < 8; i++)
        mean += energy_j[PAIRS + i] / 8;
    for (int i = 0; i < 4; i++)
        more += energy_j[STEPS + i] / 4;
    for (int i = 0; i < 12; i++)
        squares += pow(energy_j[PAIRS + i] - (i < 8 ? mean : more), 2);
    double share = more / mean - 1;
    double half = fmax(T_10 * sqrt(squares / 10 * (1. / 8 + 1. / 4)), 2 * u_j * sqrt(1. / 8 + 1. / 4)) / fabs(mean);
    half = fmax(half, 2 * LACK_LIMIT);
    bool found = share > half && fabs(share - STEP_SHARE) <= half;
    add_row(test, c, "positive_control", verdict_of(test, found), share, half,
            "a quarter more work: how much more energy it shows; it must be 25 % within the limit, and more than the limit");
}

static void add_observer_row(struct test *test, const struct meter_channel *c, const char *check, double more,
                             double off,
                             double half, const char *unit, const char *state)
{
    if (!(off > 0)) {
        add_row(test, c, check, "not_run", NAN, NAN,
                c->status == QUANTITY_MODELLED ? "the model counts the load's CPU time alone: the sampler is not in it"
                                               : "the counter stands still there: nothing to compare");
        return;
    }
    bool within = fabs(more) <= OBSERVER_MAX * off, unclear = fabs(more) <= half;
    g_autofree char *words = g_strdup_printf("sampler on less off, %s: %+.3g ± %.2g %s of %.4g %s", state, more, half,
                                             unit, off,
                                             unit);
    add_row(test, c, check, within ? "pass" : unclear ? "undetermined" : verdict_of(test, false), more / off,
            OBSERVER_MAX, words);
}

/* What measuring adds to what is measured. */
static bool check_observer(struct test *test, const size_t *counters, size_t count, int64_t stretch_ns, GError **error)
{
    g_autofree struct observer *seen = g_new0(struct observer, count);
    if (!observer_run(test->meter, test->load, counters, count, stretch_ns, seen, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct meter_channel *c = meter_channel_at(test->meter, counters[i]);
        if (!seen[i].read_ok) {
            add_row(test, c, METER_CHECK_OBSERVER, "fail", NAN, NAN, "the counter could not be read");
            continue;
        }
        bool modelled = c->status == QUANTITY_MODELLED;
        bool reached = seen[i].busy_off_j > OBSERVER_MAX * seen[i].idle_off_w * clock_seconds(stretch_ns);
        add_observer_row(test, c, "observer_idle", seen[i].idle_w, seen[i].idle_off_w, seen[i].idle_u_w, "W", "idle");
        add_observer_row(test, c, "observer_busy", seen[i].busy_j, reached && !modelled ? seen[i].busy_off_j : 0,
                         seen[i].busy_u_j, "J", "a fixed amount of work");
    }
    return true;
}

/* A window without an energy: all of it could be read and nothing ran backwards, so that the counter stood still. */
static void name_fault(struct test *test, size_t channel, const struct window *w)
{
    const struct meter_channel *c = meter_channel_at(test->meter, channel);
    int64_t until_ns = w->t1_ns + SETTLE_NS + test->guard_ns;
    g_autoptr(GArray) points = sampler_series(test->sampler, channel, w->t0_ns - test->guard_ns, until_ns);
    const struct meter_point *p = points_of(points);
    bool lost = points->len == 0;
    for (unsigned i = 0; i < points->len; i++)
        lost |= p[i].status != METER_READ_OK || (i > 0 && p[i].raw < p[i - 1].raw);
    fail_row(test, c, lost ? METER_CHECK_LOST : METER_CHECK_STUCK,
             lost ? "the counter ran backwards or could not be read in a window" : "it stood still in a window");
}

static void check_channel(struct test *test, size_t channel)
{
    const struct meter_channel *c = meter_channel_at(test->meter, channel);
    double energy_j[WINDOWS], u_j = 0; /* the largest: what the guards of a busy machine leave open */
    for (size_t i = 0; i < WINDOWS; i++) {
        double u = 0;
        energy_j[i] = window_j(test, channel, &test->windows[i], &u);
        u_j = fmax(u_j, u);
        if (!isfinite(energy_j[i])) {
            name_fault(test, channel, &test->windows[i]);
            return;
        }
    }
    if (energy_j[1] <= 0) { /* k = 16 */
        add_row(test, c, "all", "not_run", energy_j[1], 0,
                "the load does not reach this sensor; it needs one of its own (--engine)");
        return;
    }
    check_fit(test, c, energy_j, u_j);
    check_sums(test, c, energy_j, u_j);
    check_step(test, c, energy_j, u_j);
}

/* --- does it move, by how much, and does it see all of the time? --------------------------------------------------------------- */

static ssize_t sibling(struct meter *meter, const struct meter_channel *c, enum meter_kind kind)
{
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *other = meter_channel_at(meter, i);
        if (other->kind == kind && other->status != QUANTITY_ABSENT && !strcmp(other->device, c->device))
            return (ssize_t)i;
    }
    return -1;
}

static bool is_counter(const struct test *test, size_t channel)
{
    return meter_channel_at(test->meter, channel)->kind == METER_ENERGY;
}

/* Mean of a power channel over a stretch, each reading held until the next; NaN: none. */
static double mean_w(struct test *test, size_t channel, int64_t from_ns, int64_t to_ns)
{
    g_autoptr(GArray) points = sampler_series(test->sampler, channel, from_ns, to_ns);
    const struct meter_point *p = points_of(points);
    double sum = 0, seconds = 0;
    for (unsigned i = 0; i < points->len; i++) {
        int64_t until_ns = i + 1 < points->len ? MIN(p[i + 1].first_ns, to_ns) : to_ns;
        int64_t since_ns = MAX(p[i].first_ns, from_ns);
        if (p[i].status != METER_READ_OK || until_ns <= since_ns)
            continue;
        sum += (double)p[i].raw * meter_channel_at(test->meter, channel)->scale * clock_seconds(until_ns - since_ns);
        seconds += clock_seconds(until_ns - since_ns);
    }
    return seconds > 0 ? sum / seconds : NAN;
}

/* Counter over power, less 1, in a stretch in which power stays, between the counter's edges in it; NaN: one of them
 * shows nothing. */
static double scale_in(struct test *test, size_t counter, size_t power, int64_t end_ns)
{
    g_autoptr(GArray) points = sampler_series(test->sampler, counter, end_ns - STILL_NS, end_ns);
    const struct meter_point *p = points_of(points), *first = NULL, *last = NULL;
    for (unsigned i = 1; i < points->len; i++) {
        if (p[i].status != METER_READ_OK)
            return NAN;
        bool inside = edge_ns(&p[i]) >= end_ns - STILL_NS && edge_ns(&p[i]) <= end_ns;
        first = inside && !first ? &p[i] : first;
        last = inside ? &p[i] : last;
    }
    if (first == last)
        return NAN;
    double joules = (double)(last->raw - first->raw) * meter_channel_at(test->meter, counter)->scale;
    double watts = mean_w(test, power, edge_ns(first), edge_ns(last));
    return watts > 0 ? joules / clock_seconds(edge_ns(last) - edge_ns(first)) / watts - 1 : NAN;
}

/* Power that stays is the same to every window: what differs there is the scale. */
static void check_scale(struct test *test, size_t channel)
{
    const struct meter_channel *c = meter_channel_at(test->meter, channel);
    ssize_t power = sibling(test->meter, c, METER_POWER_INSTANT);
    power = power < 0 ? sibling(test->meter, c, METER_POWER_AVERAGE) : power;
    if (power < 0) {
        add_row(test, c, METER_CHECK_SCALE, "not_run", NAN, NAN, "there is no power sensor beside the counter");
        return;
    }
    double idle = scale_in(test, channel, (size_t)power, test->idle_ns);
    double busy = scale_in(test, channel, (size_t)power, test->busy_ns);
    double least = fabs(idle) < fabs(busy) || isnan(busy) ? idle : busy;
    double most = isnan(idle) || isnan(busy) ? least : MAX(fabs(idle), fabs(busy)) == fabs(idle) ? idle : busy;
    bool near = fabs(most) <= SCALE_MOST, apart = fabs(least) > SCALE_MOST;
    add_row(test, c, METER_CHECK_SCALE, near ? "pass" : apart ? "fail" : "undetermined", near || apart ? least : most,
            SCALE_MOST,
            near || apart ? "counter against the power beside it, while power stays: idle or busy, whichever differs less"
                          : "counter against the power beside it, while power stays: idle and busy do not say the same");
}

/* It must change while the load goes on. False: it did not. */
static bool check_moves(struct test *test, size_t channel, int64_t from_ns, int64_t to_ns)
{
    const struct meter_channel *c = meter_channel_at(test->meter, channel);
    g_autoptr(GArray) points = sampler_series(test->sampler, channel, from_ns, to_ns);
    const struct meter_point *p = points_of(points);
    bool moves = false;
    for (unsigned i = 1; i < points->len; i++)
        moves |= p[i].status == METER_READ_OK && p[i - 1].status == METER_READ_OK && p[i].raw != p[i - 1].raw;
    add_row(test, c, METER_CHECK_STUCK, moves ? "pass" : "fail", NAN, NAN,
            moves ? "it moves" : "it stood still, or could not be read, while the load went on");
    return moves;
}

static void add_sight(struct test *test, const struct meter_channel *c, const char *duty, const char *average,
                      double value, const char *words)
{
    add_row(test, c, METER_CHECK_DUTY, duty, value, SHARE_LEAST, words);
    add_row(test, c, METER_CHECK_AVERAGE, average, value, AVERAGE_TIMES, words);
}

static void check_sight(struct test *test, size_t channel, int64_t period_ns, const GArray *bursts)
{
    const struct meter_channel *c = meter_channel_at(test->meter, channel);
    if (period_ns < BURST_MIN_NS) {
        add_sight(test, c, "not_run", "not_run", NAN,
                  "the sensor refreshes faster than a load can be switched: nothing can hide between updates");
        return;
    }
    const struct window_burst *first = &g_array_index(bursts, struct window_burst, 0);
    const struct window_burst *last = &g_array_index(bursts, struct window_burst, bursts->len - 1);
    g_autoptr(GArray) points = sampler_series(test->sampler, channel, first->t0_ns, last->t1_ns + SETTLE_NS);
    struct window_fit fit = window_fit(c, points, period_ns, bursts);
    double period_s = clock_seconds(period_ns), share = fit.seconds / period_s;
    if (!(fit.swing_w >= SWING_LEAST * fit.mean_w) || !(fit.explained >= EXPLAINED)) {
        bool reached = fit.explained >= EXPLAINED / 5;
        add_sight(test, c, reached ? "undetermined" : "not_run", reached ? "undetermined" : "not_run", NAN,
                  "the load does not show in this sensor clearly enough: what it sees stays unknown");
        return;
    }
    bool average = fit.low_s > AVERAGE_TIMES * period_s && fit.seconds > AVERAGE_S;
    bool part = fit.high_s < SHARE_LEAST * period_s, whole = !average && fit.low_s >= SHARE_LEAST * period_s;
    const char *otherwise = average || part || whole ? "pass" : "undetermined";
    g_autofree char *words = g_strdup_printf("bursts of load: each value stands for %.0f ms (%.0f to %.0f) of %.0f",
                                             fit.seconds * 1e3, fit.low_s * 1e3, fit.high_s * 1e3, period_s * 1e3);
    add_sight(test, c, part ? "fail" : otherwise, average ? "fail" : otherwise, share, words);
}

static bool burst(struct test *test, int64_t on_ns, int64_t off_ns, GArray *bursts, GError **error)
{
    struct window_burst b;
    if (!meter_load_work(test->load, 1, on_ns, &b.t0_ns, &b.t1_ns, error))
        return false;
    g_array_append_val(bursts, b);
    clock_sleep_until_ns(b.t1_ns + off_ns);
    return true;
}

/* Lengths that keep no step with anything, so that windows begin everywhere in them. */
static bool run_bursts(struct test *test, int64_t period_ns, GArray *bursts, GError **error)
{
    int count = (int)MAX(BURSTS_FEWEST, BURSTS_NS / (2 * period_ns));
    for (int i = 0; i < count; i++) {
        int64_t on_ns = (int64_t)((double)period_ns * g_rand_double_range(test->random, BURST_LEAST, BURST_MOST));
        int64_t off_ns = (int64_t)((double)period_ns * g_rand_double_range(test->random, BURST_LEAST, BURST_MOST));
        bool is_long = i % (count / BURSTS_LONG) == 0;
        if (!burst(test, is_long ? LONG_NS : on_ns, is_long ? LONG_NS : off_ns, bursts, error))
            return false;
    }
    clock_sleep_until_ns(clock_mono_ns() + SETTLE_NS);
    return true;
}

/* Sensors of like periods are looked at through the same bursts. */
static bool check_sights(struct test *test, const size_t *counters, const int64_t *periods, const bool *moves,
                         size_t count, GError **error)
{
    g_autofree bool *done = g_new0(bool, count);
    for (size_t i = 0; i < count; i++) {
        g_autoptr(GArray) bursts = g_array_new(FALSE, FALSE, sizeof(struct window_burst));
        if (done[i] || !moves[i])
            continue;
        if (periods[i] >= BURST_MIN_NS && !run_bursts(test, periods[i], bursts, error))
            return false;
        for (size_t k = i; k < count; k++) {
            bool like = periods[k] == periods[i] || (periods[i] >= BURST_MIN_NS && periods[k] > periods[i] * 4 / 5 &&
                                                      periods[k] < periods[i] * 5 / 4);
            if (done[k] || !moves[k] || !like)
                continue;
            check_sight(test, counters[k], periods[k], bursts);
            done[k] = true;
        }
    }
    return true;
}

/* --- the whole ----------------------------------------------------------------------------------------------------------------- */

/* Median gap of a counter's edges under load. */
static int64_t period_of(struct test *test, size_t channel, int64_t from_ns, int64_t to_ns)
{
    g_autoptr(GArray) points = sampler_series(test->sampler, channel, from_ns, to_ns);
    g_autoptr(GArray) gaps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    const struct meter_point *p = points_of(points);
    for (unsigned i = 2; i + 1 < points->len; i++) {
        int64_t gap = edge_ns(&p[i]) - edge_ns(&p[i - 1]);
        unsigned at = 0;
        while (at < gaps->len && g_array_index(gaps, int64_t, at) < gap)
            at++;
        g_array_insert_val(gaps, at, gap);
    }
    return gaps->len ? g_array_index(gaps, int64_t, gaps->len / 2) : 0;
}

static bool run_window(struct test *test, size_t index, unsigned batches, GError **error)
{
    struct window *w = &test->windows[index];
    w->batches = batches;
    if (!meter_load_work(test->load, batches, test->batch_ns, &w->t0_ns, &w->t1_ns, error))
        return false;
    clock_sleep_until_ns(w->t1_ns + SETTLE_NS + test->guard_ns);
    return true;
}

static bool run_windows(struct test *test, GError **error)
{
    clock_sleep_until_ns(clock_mono_ns() + SETTLE_NS + test->guard_ns);
    for (size_t i = 0; i < FITS; i++)
        if (!run_window(test, i, fit_k[i], error))
            return false;
    if (!run_window(test, ADD_A, 5, error) || !run_window(test, ADD_B, 3, error) ||
        !run_window(test, ADD_AB, 8, error))
        return false;
    for (size_t i = 0; i < 8; i++)
        if (!run_window(test, PAIRS + i, 4, error) || (i % 2 && !run_window(test, STEPS + i / 2, 5, error)))
            return false;
    return true;
}

/* Of what the load asked for in the windows. */
static double share_of_cpu(const struct test *test)
{
    double cpu = 0, wall = 0;
    for (size_t i = 0; i < WINDOWS; i++) {
        cpu += (double)(test->windows[i].batches * test->batch_ns);
        wall += (double)(test->windows[i].t1_ns - test->windows[i].t0_ns);
    }
    return test->load->cpu_time ? cpu / wall : NAN;
}

/* A stretch of idle, then one of load; ret: what moved in it, and how often it refreshes. */
static bool probe(struct test *test, const size_t *counters, size_t count, int64_t *ret_periods, bool *ret_moves,
                  GError **error)
{
    int64_t t0_ns;
    clock_sleep_until_ns(clock_mono_ns() + PROBE_NS);
    test->idle_ns = clock_mono_ns();
    if (!meter_load_work(test->load, 1, PROBE_NS, &t0_ns, &test->busy_ns, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        ret_periods[i] = period_of(test, counters[i], t0_ns, test->busy_ns);
        ret_moves[i] = check_moves(test, counters[i], t0_ns, test->busy_ns);
        test->guard_ns = MAX(test->guard_ns, 10 * ret_periods[i]);
        test->batch_ns = MAX(test->batch_ns, MIN(ret_periods[i], BATCH_MAX_NS));
    }
    return true;
}

static bool run_all(struct test *test, const size_t *counters, size_t count, GError **error)
{
    g_autofree int64_t *periods = g_new0(int64_t, count);
    g_autofree bool *moves = g_new0(bool, count);
    if (!probe(test, counters, count, periods, moves, error) || !run_windows(test, error))
        return false;
    test->cpu_share = share_of_cpu(test);
    for (size_t i = 0; i < count; i++)
        if (moves[i] && is_counter(test, counters[i])) {
            check_scale(test, counters[i]);
            check_channel(test, counters[i]);
        }
    return check_sights(test, counters, periods, moves, count, error);
}

/* Those that are tested, into ret: every counter; where a device has none, power that nobody knows the window of.
 * Returns how many. */
static size_t sensors_of(struct meter *meter, bool counters, size_t *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        bool counter = c->kind == METER_ENERGY, power = c->kind == METER_POWER_INSTANT && c->window_ns == 0;
        if (c->status == QUANTITY_ABSENT || !(counters ? counter : power))
            continue;
        if (counters || sibling(meter, c, METER_ENERGY) < 0)
            ret[count++] = i;
    }
    return count;
}

json_t *meter_selftest(struct meter *meter, struct meter_load *load, const struct meter_selftest_options *options,
                       GError **error)
{
    g_autofree size_t *tested = g_new(size_t, meter_channel_count(meter) + 1);
    size_t counters = sensors_of(meter, true, tested), count = counters + sensors_of(meter, false, tested + counters);
    if (!count) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_UNSUPPORTED,
                    "there is no energy counter to test; 'llem meter list' says why, and '-s modelled' tests the CPU-time model");
        return NULL;
    }
    meter_set_engine_pids(meter, load->pids, load->n_pids);
    g_autoptr(GRand) random = g_rand_new_with_seed(SEED);
    struct test test = {
        .meter = meter, .load = load, .batch_ns = BATCH_NS, .guard_ns = GUARD_NS, .random = random};
    if (options && options->batch_ns)
        test.batch_ns = options->batch_ns;
    if (options && options->guard_ns)
        test.guard_ns = options->guard_ns;
    g_autoptr(owned_sampler) sampler =
        sampler_new(meter, &(struct sampler_options){.step_ns = STEP_NS, .slow_step_ns = 5 * STEP_NS}, error);
    if (!sampler || !sampler_start(sampler, error))
        return NULL;
    test.sampler = sampler;
    test.rows = json_array();
    int64_t stretch_ns = options && options->observer_ns ? options->observer_ns : OBSERVER_NS;
    bool ok = run_all(&test, tested, count, error);
    if (!sampler_stop(sampler, ok ? error : NULL) || !ok ||
        (counters && !check_observer(&test, tested, counters, stretch_ns, error))) {
        json_decref(test.rows);
        return NULL;
    }
    json_t *tree = json_object();
    json_object_set_new(tree, "schema", json_string(SCHEMA));
    json_object_set_new(tree, "load", json_string(load->name));
    json_object_set_new(tree, "load_cpu_share", jsonx_real(test.cpu_share));
    json_object_set_new(tree, "quiet", load->cpu_time ? json_boolean(test.cpu_share >= QUIET_SHARE) : json_null());
    json_object_set_new(tree, "rows", test.rows);
    return tree;
}
