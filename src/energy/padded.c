/* SPDX-License-Identifier: MIT */
/*
 * Padded estimators: the energy between two edges that lie in the quiet before and after the work, less what the
 * quiet parts drew (docs/methodology.md, "Padded counter"):
 *
 *   E = C(e1) − C(e0) − P_pre·(t0 − e0 + d) − P_post·(e1 − t1 − d)
 *
 * d is the sensor's delay, somewhere in [0, delay_hi]; it only matters where P_pre and P_post differ. Whatever a
 * sensor does to P(t) with a kernel of area 1 cancels, because both edges see settled power.
 */
#include "energy/internal.h"

#include <math.h>

struct ends {
    double c0, t0, u0; /* cumulative energy, time and u of time of the edge before the work */
    double c1, t1, u1; /* of the one after it */
};

void parts_add(struct parts *parts, enum stats_shape shape, double scale, double df)
{
    g_assert(parts->n < PARTS_MAX);
    if (scale > 0 && isfinite(scale))
        parts->at[parts->n++] = (struct stats_component){shape, scale, df};
}

void answer_add_shared(struct answer *answer, enum stats_shape shape, double scale)
{
    parts_add(&answer->parts, shape, scale, 0);
    parts_add(&answer->shared, shape, scale, 0);
}

/* A floor under every interval: readings are whole units, of energy at both ends or of power all the time, and levels
 * are means of such readings. */
void answer_add_unit(struct answer *answer, double duration, double lever)
{
    double unit = answer->channel->info->scale;
    bool counter = answer->channel->info->kind == METER_ENERGY;
    parts_add(&answer->parts, STATS_RECTANGULAR, counter ? unit * (1 + lever) : unit / 2 * (duration + lever), 0);
}

static double duration(const struct energy_window *window)
{
    return clock_seconds(window->t1_ns - window->t0_ns);
}

/* --- what the sensor did not see --------------------------------------------------------------------------------- */

struct readings {
    double *p;
    size_t n;
    double peak;
};

/* Polls blur the moments of refreshes, which lie a whole number of periods apart. */
static double on_grid(double length, double period)
{
    double n = round(length / period);
    return n >= 1 && fabs(length / n - period) < 0.6 * period ? n * period : length;
}

static void collect_readings(const struct edges *e, double from, double to, struct readings *ret)
{
    *ret = (struct readings){.p = g_new(double, e->n + 1), .peak = NAN};
    for (size_t i = edges_first_after(e, from); i + 1 < e->n && e->at[i + 1].hi <= to; i++) {
        double n = e->at[i + 1].index - e->at[i].index;
        double length = n > 0 ? n * e->period : on_grid(e->at[i + 1].t - e->at[i].t, e->period);
        double p = (e->at[i + 1].c - e->at[i].c) / length;
        ret->peak = ret->n ? MAX(ret->peak, p) : p;
        ret->p[ret->n++] = p;
    }
}

/* Half the mean square of successive differences: the variance of one reading, were they independent (von Neumann). */
static double successive_variance(const struct readings *r)
{
    double sum = 0;
    for (size_t k = 1; k < r->n; k++)
        sum += (r->p[k] - r->p[k - 1]) * (r->p[k] - r->p[k - 1]);
    return r->n > 1 ? sum / 2 / (double)(r->n - 1) : 0;
}

/* Choices: segments resolve an eighth of the reading rate, and eleven of them, overlapping by half, know the density to
 * a third. */
#define NYQUIST_SEGMENT  8
#define NYQUIST_READINGS 48

/*
 * Spectral density of the readings at half their rate, as a variance. The error of a sum comes from what the load
 * does at multiples of the sensor's rate; loads are quieter there than at half of it, unless steps lock, which the
 * phase check tells. Steps of the load elsewhere and its slow changes do not count. Hann segments, half overlapped
 * (Welch 1967).
 */
static double nyquist_variance(const struct readings *r)
{
    double total = 0, count = 0;
    for (size_t from = 0; from + NYQUIST_SEGMENT <= r->n; from += NYQUIST_SEGMENT / 2) {
        double sum = 0, squares = 0;
        for (size_t k = 0; k < NYQUIST_SEGMENT; k++) {
            double w = sin(G_PI * ((double)k + 0.5) / NYQUIST_SEGMENT);
            sum += (k % 2 ? -1 : 1) * w * w * r->p[from + k];
            squares += w * w * w * w;
        }
        total += sum * sum / squares;
        count++;
    }
    return total / count;
}

static double reading_scatter(const struct readings *r)
{
    double plain = successive_variance(r);
    return sqrt(r->n < NYQUIST_READINGS ? plain : MIN(plain, nyquist_variance(r)));
}

/* Readings that glide: a pattern of the load that nearly keeps step with the sensor swings slowly through them, and
 * neighbours hardly differ. A sine of CYCLE·swing/scatter readings a cycle has just such neighbours (√2·π); whole
 * cycles of it cancel, so that its mean is off by the last one at most, and where there is less than one, by all. */
#define GLIDES 2.0 /* choice: white noise does so in fewer than 1 of 100 windows */
#define CYCLE  4.4

static double glide_u(const struct readings *r, double scatter, double swing)
{
    if (r->n < 4 || swing < GLIDES * scatter)
        return 0;
    return swing * MIN(1, CYCLE * swing / (scatter * (double)r->n));
}

/* A reading sees W of T: its sampling error has the variance of readings times the unseen share. Few readings: the
 * scatter is filled up by a third of the step, worth one reading: choices. */
#define DUTY_PRIOR_SHARE 0.3
#define DUTY_PRIOR_N     1.0

void answer_add_duty(struct answer *ret, const struct edges *e, const struct sensor *sensor, double d, double step_w)
{
    double count = d / sensor->period, s_prior = DUTY_PRIOR_SHARE * step_w;
    struct readings readings;
    collect_readings(e, sensor->period + sensor->delay_hi, d, &readings); /* the step itself is not scatter */
    ret->peak = readings.peak;
    double df = readings.n < NYQUIST_READINGS ? (double)readings.n : (double)readings.n / NYQUIST_SEGMENT;
    double s = reading_scatter(&readings), glide = 0;
    double swing = readings.n > 1 ? stats_sd(readings.p, readings.n) : 0;
    glide = glide_u(&readings, sqrt(successive_variance(&readings)), swing);
    g_free(readings.p);
    if (sensor->unseen <= 0)
        return;
    if (readings.n < 8) {
        s = sqrt((df * s * s + DUTY_PRIOR_N * s_prior * s_prior) / (df + DUTY_PRIOR_N));
        df = 8; /* the prior is a judgement, not a sample: it is not let widen the tails */
    }
    ret->duty_u = s * sensor->period * sqrt(MAX(1, count) * sensor->unseen);
    ret->flags |= ENERGY_FLAG(PARTIAL_COVERAGE);
    parts_add(&ret->parts, STATS_STUDENT, ret->duty_u, df);
    parts_add(&ret->parts, STATS_RECTANGULAR, 2 * glide * sqrt(sensor->unseen) * d, 0);
    /* At each end one reading speaks for up to T of which it saw W: off by up to T − W of the step, either way. */
    parts_add(&ret->parts, STATS_RECTANGULAR, step_w * sensor->period * sensor->unseen / 2, 0);
    parts_add(&ret->parts, STATS_RECTANGULAR, step_w * sensor->period * sensor->unseen / 2, 0);
}

/* --- the levels -------------------------------------------------------------------------------------------------- */

static void measure_levels(const struct edges *e, const struct sensor *sensor, const struct energy_window *window,
                           struct answer *ret)
{
    double d = duration(window), from = clock_seconds(window->guard_from_ns - window->t0_ns);
    double to = clock_seconds(window->guard_to_ns - window->t0_ns);
    ssize_t e0 = edges_last_before(e, 0), last = edges_last_before(e, to);
    size_t first = edges_first_after(e, from + sensor->delay_hi + sensor->period);
    size_t e1 = edges_first_after(e, d + sensor->delay_hi);
    if (e0 < (ssize_t)first + LEVEL_BLOCKS_MIN)
        first = edges_first_after(e, from); /* a short guard: trust that it was quiet before, too */
    ret->pre.watts = ret->post.watts = NAN;
    if (e0 >= 0)
        ret->pre = level_measure(e, sensor, first, (size_t)e0, LEVEL_BEFORE_WORK);
    if (last >= 0)
        ret->post = level_measure(e, sensor, e1, (size_t)last, LEVEL_AFTER_WORK);
}

/* What may have been drawn after the work and be over when the guard begins, so that no level shows it.
 * BEHIND: shelves and clocks that stay up, as a share of the step (15 to 40 W behind steps of some 250 W; recorded
 * shelves: 15 to 26 W for 1.8 s on GeForce and RTX boards). An average hides them all; other sensors those that end
 * between the delay and the first refresh behind it, where that is BEHIND_FROM_S and more; and where the lag is known,
 * those alone that end within it: the steps of earlier windows would have shown later ones.
 * FADED: the mean over FADED_S of the fast part of a recorded board's cooling (2 to 7 W with 0.05 to 0.6 s); less of it
 * fits into a shorter time, and a longer one hides no more joules: what goes on until then is seen in the guard.
 * What is left of a decay with a third of the lever was HIDDEN times that on the way (e³/3, of a mean over 0.2 s); over
 * levers far below HIDDEN_S it is HIDDEN_SHORT, for no recorded decay is faster than 0.05 s. Only what lies above the
 * later levels is left of one. What lies below them may be the beginning of a rise, which no recorded board shows: a
 * choice, to allow for it alike where it is more than RISEN times the noise, as it seldom is by chance. */
#define BEHIND        0.17
#define BEHIND_FROM_S 0.45
#define FADED         0.005
#define FADED_S       0.25
#define HIDDEN        8.0
#define HIDDEN_SHORT  4.0
#define HIDDEN_S      0.12
#define LEFT          0.3 /* choice: of the noise, which chance leaves in four of ten settled guards */
#define RISEN         2.0
#define SLOPE         1.2 /* choice: from the difference of two stretches of 0.2 s to the longer lever before them */

/* Shelves, as a mean over the lever. */
static double behind_share(const struct sensor *sensor, double lever)
{
    double unseen = sensor->lag_known ? MIN(lever, sensor->delay_hi - sensor->delay_mid) : lever;
    if (sensor->average > 0)
        return BEHIND;
    if (unseen <= BEHIND_FROM_S)
        return 0;
    return BEHIND * MIN(2 * (1 - BEHIND_FROM_S / unseen), 1) * unseen / lever;
}

static double hidden_w(const struct answer *a, const struct sensor *sensor, double lever, double step_w, double s_ref)
{
    double left = a->post.near - (a->post.next + a->post.far) / 2;
    double faded = sensor->average > 0 ? 0 : FADED * MIN(lever / FADED_S, FADED_S / lever);
    double times = HIDDEN_SHORT + (HIDDEN - HIDDEN_SHORT) * MIN(lever / HIDDEN_S, 1);
    double noise = level_noise(&a->post, s_ref);
    double changing_w = times * MAX(0, left > 0 ? left - noise * LEFT : -left - noise * RISEN);
    return changing_w + (behind_share(sensor, lever) + faded) * step_w;
}

/* Still changing after the work: what came between t1 and the guard is judged by how power went on. Returns the half-
 * width (J) of that judgement. */
static double settle(struct answer *ret, const struct sensor *sensor, double after, double step_w)
{
    double s_ref = ret->pre.known ? ret->pre.s : ret->post.s, lever = after - sensor->delay_mid;
    double start = after - (sensor->delay_mid - sensor->average / 2) - sensor->average; /* where near begins */
    if (!ret->post.known)
        return 0;
    if (!level_unsettled(&ret->post, s_ref)) { /* what is too small to tell from noise may be there all the same */
        level_pool(&ret->pre, &ret->post);
        if (lever <= 0)
            return 0;
        if (sensor->average <= 0) { /* the slope at its beginning, carried on over the lever: right of most decays */
            ret->post.slope_w = SLOPE * (ret->post.near - ret->post.next);
            parts_add(&ret->parts, STATS_NORMAL, SLOPE * level_noise(&ret->post, s_ref) * lever, 0);
        }
        return hidden_w(ret, sensor, lever, step_w, s_ref) * lever;
    }
    ret->flags |= ENERGY_FLAG(GUARD_NOT_SETTLED);
    double half, hidden = lever > 0 ? hidden_w(ret, sensor, lever, step_w, INFINITY) * lever : 0;
    ret->post.watts = level_extrapolate(&ret->post, MAX(lever, 1e-6), MAX(start, 0), &half);
    ret->post.blocks = 1;
    ret->post.s = s_ref;
    ret->post.df = ret->pre.known ? ret->pre.df : ret->post.df;
    return half * MAX(lever, 0) + hidden;
}

/* How far the mean of a part of the guard may be off from another one's, 95 %: both are known by the same scatter, and
 * neither is longer than the other by much. */
static double difference_half(const struct level *level, double length, double other)
{
    double blocks = MAX(1, length / level->block_s), others = MAX(1, other / level->block_s);
    double u = level->s * sqrt(LEVEL_CORRELATION_MOST * (1 / blocks + 1 / others));
    return stats_t_quantile(0.5 + STATS_LEVEL / 2, level->df) * u;
}

#define IDLE_DRIFT_W_S 0.15 /* choice: no decay, but the level itself while a board warms or cools */

/* ∫ (P − P_settled) from t1 on: from the counter behind e1, by the near level between t1 and e1. What the work may hold
 * of it, or it of the work, is as uncertain here as there: split_j. Half-widths of 95 %. */
static void follow_tail(const struct edges *e, const struct sensor *sensor, const struct energy_window *window,
                        const struct ends *ends, double split_j, struct answer *ret)
{
    double d = duration(window), to = clock_seconds(window->guard_to_ns - window->t0_ns);
    ssize_t last = edges_last_before(e, to);
    size_t e1 = edges_first_after(e, d + sensor->delay_hi);
    ret->tail = ret->tail_half = NAN;
    if (!ret->post.known || last <= (ssize_t)e1)
        return;
    const struct edge *a = &e->at[e1], *b = &e->at[last];
    double span = b->t - a->t, lever = ends->t1 - d - sensor->delay_mid;
    double near_w = ret->post.watts + ret->post.slope_w - ret->post.end;
    ret->tail = b->c - a->c - ret->post.end * span + near_w * lever;
    double levels = difference_half(&ret->post, ret->post.end_s, span) * (span + MAX(0, lever));
    double edges = STATS_NORMAL_95 * ret->post.watts * sqrt(a->u_t * a->u_t + b->u_t * b->u_t);
    double lag = near_w * sensor->delay_half, end = (ret->post.far - ret->post.end) / 2 * (span + lever);
    double drift = IDLE_DRIFT_W_S * span * (span + MAX(0, lever)) / 2;
    ret->tail_half = sqrt(levels * levels + edges * edges + lag * lag + end * end + drift * drift + split_j * split_j);
}

/* --- the sum ----------------------------------------------------------------------------------------------------- */

/* How far the levels differ beyond their own scatter. */
static double level_step(const struct level *pre, const struct level *post)
{
    double step = post->watts - pre->watts,
           u2 = 2 * pre->s * pre->s / pre->blocks + 2 * post->s * post->s / post->blocks;
    return sqrt(MAX(0, step * step - u2));
}

static void add_levels(struct answer *ret, double lever0, double lever1)
{
    double u0 = lever0 * level_u(&ret->pre, lever0), u1 = lever1 * level_u(&ret->post, lever1);
    if (ret->pre.s == ret->post.s &&
        ret->pre.df == ret->post.df) { /* one scatter for both: its own error is shared */
        parts_add(&ret->parts, STATS_STUDENT, sqrt(u0 * u0 + u1 * u1), ret->pre.df);
        return;
    }
    parts_add(&ret->parts, STATS_STUDENT, u0, ret->pre.df);
    parts_add(&ret->parts, STATS_STUDENT, u1, ret->post.df);
}

static void pad(const struct edges *e, const struct sensor *sensor, const struct energy_window *window,
                const struct ends *ends, struct answer *ret)
{
    double d = duration(window), after = ends->t1 - d;
    double step_w = fabs((ends->c1 - ends->c0) / (ends->t1 - ends->t0) - ret->pre.watts) * (ends->t1 - ends->t0) / d;
    double unsettled = settle(ret, sensor, after, step_w);
    double lever0 = -ends->t0 + sensor->delay_mid, lever1 = after - sensor->delay_mid, gap = MIN(e->gap, 2 * d);
    ret->joules = ends->c1 - ends->c0 - ret->pre.watts * lever0 - (ret->post.watts + ret->post.slope_w) * lever1;
    ret->before_s = sensor->average > 0 ? 0 : lever0 + sensor->delay_half;
    add_levels(ret, fabs(lever0), fabs(lever1));
    answer_add_unit(ret, d, fabs(lever0) + fabs(lever1));
    parts_add(&ret->parts, STATS_NORMAL, ret->pre.watts * ends->u0, 0);
    parts_add(&ret->parts, STATS_NORMAL, ret->post.watts * ends->u1, 0);
    answer_add_shared(ret, STATS_RECTANGULAR, level_step(&ret->pre, &ret->post) * sensor->delay_half);
    parts_add(&ret->parts, STATS_NORMAL, ret->pre.noise * sqrt(sensor->period * (ends->t1 - ends->t0)), 0);
    answer_add_shared(ret, STATS_RECTANGULAR, unsettled);
    if (!sensor->counter)
        parts_add(&ret->parts, STATS_RECTANGULAR, e->spread * gap / 2, 0);
    answer_add_duty(ret, e, sensor, d, fabs(ret->joules / d - ret->pre.watts));
    follow_tail(e, sensor, window, ends, unsettled, ret);
}

static bool usable(const struct edges *edges, struct answer *ret)
{
    ret->flags |= edges->flags;
    ret->joules = ret->peak = ret->tail = NAN;
    ret->why = edges->broken;
    return !edges->broken;
}

void padded_estimate(const struct energy_channel *channel, const struct edges *edges,
                     const struct energy_window *window, struct answer *ret)
{
    struct sensor sensor = sensor_seen(channel, edges);
    *ret = (struct answer){.method = sensor.counter ? ENERGY_METHOD_PADDED_COUNTER : ENERGY_METHOD_PADDED_POWER,
                           .channel = channel};
    if (!usable(edges, ret))
        return;
    measure_levels(edges, &sensor, window, ret);
    if (!ret->pre.known || !ret->post.known) {
        ret->flags |= ENERGY_FLAG(GUARD_SHORT);
        ret->why = "the quiet before or after the work is shorter than four periods of the sensor";
        return;
    }
    ssize_t e0 = edges_last_before(edges, 0);
    size_t e1 = edges_first_after(edges, duration(window) + sensor.delay_hi);
    struct ends ends = {edges->at[e0].c, edges->at[e0].t, edges->at[e0].u_t,
                        edges->at[e1].c, edges->at[e1].t, edges->at[e1].u_t};
    pad(edges, &sensor, window, &ends, ret);
}

/* --- fast counters, read at their own ticks ---------------------------------------------------------------------- */

/* Choice: 2T ≤ 0.2 % of the window, a tenth of what is aimed at by default; then the guards serve only as a
 * cross-check. */
#define DIRECT_SHARE 0.002

/* Of a reading's bracket, in seconds from t0. */
static double middle(const struct meter_reading *r, int64_t t0_ns)
{
    return ((double)(r->before_ns - t0_ns) + (double)(r->after_ns - t0_ns)) / 2 * 1e-9;
}

static bool tick_ends(const struct energy_channel *channel, const struct energy_window *window, struct ends *ret)
{
    const struct meter_reading *a = channel->tick0, *b = channel->tick1;
    enum meter_read_status status;
    int64_t raw;
    if (!a || !b || !meter_counter_delta(channel->info, a, b, &raw, &status) || a->after_ns > window->t0_ns ||
        b->before_ns < window->t1_ns)
        return false;
    ret->c0 = 0;
    ret->c1 = (double)raw * channel->info->scale;
    ret->t0 = middle(a, window->t0_ns);
    ret->t1 = middle(b, window->t0_ns);
    ret->u0 = clock_seconds(a->after_ns - a->before_ns) / sqrt(12);
    ret->u1 = clock_seconds(b->after_ns - b->before_ns) / sqrt(12);
    return true;
}

void direct_estimate(const struct energy_channel *channel, const struct edges *edges,
                     const struct energy_window *window, struct answer *ret)
{
    struct sensor sensor = sensor_of(channel);
    double d = duration(window);
    *ret = (struct answer){.method = ENERGY_METHOD_DIRECT_DIFFERENCE, .channel = channel};
    if (!usable(edges, ret))
        return;
    struct ends ends;
    if (!sensor.counter || !tick_ends(channel, window, &ends)) {
        ret->why = "the counter was not read at its ticks at both ends of the work";
        return;
    }
    if (2 * sensor.period > DIRECT_SHARE * d)
        ret->method = ENERGY_METHOD_PADDED_COUNTER;
    measure_levels(edges, &sensor, window, ret);
    double mean = ends.c1 / (ends.t1 - ends.t0);
    if (!ret->pre.known || !ret->post.known) { /* the ends are short: their power lies between 0 and the mean */
        ret->pre = ret->post = (struct level){.watts = mean / 2, .s = mean / 2, .blocks = 1, .block_s = 1, .df = 2};
        ret->flags |= ENERGY_FLAG(GUARD_SHORT);
    }
    pad(edges, &sensor, window, &ends, ret);
    double late = sensor.period - (ends.t1 - d); /* of the last period some may not have arrived in the counter yet */
    parts_add(&ret->parts, STATS_RECTANGULAR, MAX(0, late) * fabs(mean - ret->post.watts), 0);
}
