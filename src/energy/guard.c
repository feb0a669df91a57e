/* SPDX-License-Identifier: MIT */
/*
 * Guard levels. Idle power wanders with a memory of some 100 ms, so the scatter around a straight line says far too
 * little about a level; means of blocks do (docs/methodology.md, "Guards").
 */
#include "energy/internal.h"

#include <math.h>

/* Choices but for NEAREST_S. A change below CHANGE_MIN of the level is none, however quiet the guard; near blocks of
 * two refreshes of 100 ms tell a decay from noise, of at least one increment; far ones are as long as the hold. */
#define CHANGE_MIN 0.005
#define NEAR_S     0.2
#define NEAREST_S  0.5 /* level next to the work, a period at least: on recorded boards within 0.16 % at 1 s */
#define FAR_S      1.0 /* at most 40 % of the guard */
#define END_S      0.5 /* of what is left of a decay, in which most of them hardly change */

static double mean_power(const struct edges *e, size_t from, size_t to)
{
    return (e->at[to].c - e->at[from].c) / (e->at[to].t - e->at[from].t);
}

bool level_blocks(const struct edges *edges, size_t from, size_t to, size_t m, double *ret_means)
{
    size_t n = to > from ? to - from : 0;
    if (m == 0 || n < m)
        return false;
    for (size_t b = 0; b < m; b++)
        ret_means[b] = mean_power(edges, from + b * n / m, from + (b + 1) * n / m);
    return true;
}

/* Half the mean square of p(t + lag) − p(t): the variance of either, were they independent. */
static double half_square_difference(const struct edges *e, size_t from, size_t to, size_t lag)
{
    double sum = 0;
    for (size_t i = from + 1 + lag; i <= to; i++) {
        double d = mean_power(e, i - 1, i) - mean_power(e, i - 1 - lag, i - lag);
        sum += d * d;
    }
    return sum / 2 / (double)(to - from - lag);
}

/*
 * Readings that are moving averages over A hide their blocks, but their differences do not: p(t + B) − p(t) = (mean
 * of the newest B − mean of the B that left)·B/A, and the two lie A apart. So var(block) = var(diff)·(A/B)²/2.
 */
static void averaged_scatter(const struct edges *e, const struct sensor *sensor, size_t from, size_t to,
                             struct level *level)
{
    double period = (e->at[to].t - e->at[from].t) / (double)(to - from);
    size_t lag = (size_t)MAX(2, round(0.3 * sensor->average / period));
    if (to < from + 1 + lag)
        return;
    double count = (double)(to - from - lag);
    double noise2 = half_square_difference(e, from, to, 1);
    double wide = half_square_difference(e, from, to, lag);
    level->noise = sqrt(noise2);
    level->block_s = (double)lag * period;
    /* neighbouring readings differ by their noise above all: it is taken off, but never most of what was seen */
    level->s = sqrt(MAX(wide - noise2, wide / 4)) * sensor->average / level->block_s;
    level->df = MAX(1, count / (double)lag);
    level->known = true;
}

/* By the differences of neighbouring blocks: a slow change of the level is no scatter of what lies next to the work. */
static void block_scatter(const struct edges *e, size_t from, size_t to, struct level *level)
{
    size_t m = MIN(LEVEL_BLOCKS, to - from);
    double means[LEVEL_BLOCKS], sum = 0;
    if (m < LEVEL_BLOCKS_MIN || !level_blocks(e, from, to, m, means))
        return;
    for (size_t b = 1; b < m; b++)
        sum += (means[b] - means[b - 1]) * (means[b] - means[b - 1]);
    level->block_s = (e->at[to].t - e->at[from].t) / (double)m;
    level->s = sqrt(sum / 2 / (double)(m - 1));
    level->df = (double)(m - 1);
    level->known = true;
}

/* Index of the edge that lies `length` behind edge from (at least one increment), at most to. */
static size_t edge_after(const struct edges *e, size_t from, size_t to, double length)
{
    size_t i = from + 1;
    while (i < to && e->at[i + 1].t - e->at[from].t <= length * 1.05)
        i++;
    return MIN(i, to);
}

static void near_and_far(const struct edges *e, const struct sensor *sensor, size_t from, size_t to,
                         struct level *level)
{
    double length = e->at[to].t - e->at[from].t, far = MIN(FAR_S, 0.4 * length);
    size_t near_to, next_from, next_to, far_from = to - 1;
    if (sensor->average > 0) { /* one reading is a block of that length */
        near_to = from + 1;
        next_from = edge_after(e, from, to - 1, sensor->average);
        next_to = next_from + 1;
        level->near_s = e->at[next_from].t - e->at[from].t;
    } else {
        near_to = next_from = edge_after(e, from, to - 1, NEAR_S);
        level->near_s = e->at[near_to].t - e->at[from].t;
        next_to = edge_after(e, near_to, to, level->near_s);
    }
    while (far_from > from && e->at[to].t - e->at[far_from - 1].t <= far)
        far_from--;
    level->near = mean_power(e, from, near_to);
    level->next = mean_power(e, next_from, next_to);
    level->far = mean_power(e, far_from, to);
    size_t end_from = far_from;
    while (end_from + 1 < to && e->at[to].t - e->at[end_from].t > END_S * 1.05)
        end_from++;
    level->end = mean_power(e, end_from, to);
    level->end_s = e->at[to].t - e->at[end_from].t;
}

#define RATIO_MAX 3.0  /* choice: an exponential that fast would have been over before the guard: it was a step */
#define DECAY_MIN 0.05 /* choice: left of the excess one near length on: faster decays cannot be told from noise */

double level_extrapolate(const struct level *level, double lever, double start, double *ret_half)
{
    double excess = level->near - level->far, left = (level->next - level->far) / excess;
    left = CLAMP(left, DECAY_MIN, 1);
    if (left > 0.99) { /* flat so far: a drop that comes later */
        *ret_half = 0.1 * fabs(excess);
        return level->near;
    }
    double tau = -level->near_s / log(left);
    double ahead = tau / lever * (1 - exp(-lever / tau)); /* mean over the lever, of an excess of 1 at its start */
    double ratio = ahead / (exp(-start / tau) * tau / level->near_s * (1 - exp(-level->near_s / tau)));
    double change = excess * (MIN(ratio, RATIO_MAX) - 1);
    *ret_half = 1.1 * fabs(change) + 0.1 * fabs(excess);
    return level->near + change / 2;
}

/* The nearest stretch, and what its mean is worth. */
static void nearest(const struct edges *e, const struct sensor *sensor, size_t from, size_t to, enum level_side side,
                    struct level *level)
{
    double length = MAX(NEAREST_S, sensor->period);
    size_t a = from, b = to;
    if (side == LEVEL_AFTER_WORK)
        b = edge_after(e, from, to, length);
    while (side == LEVEL_BEFORE_WORK && a + 1 < to && e->at[to].t - e->at[a].t > length * 1.05)
        a++;
    level->watts = mean_power(e, a, b);
    level->blocks = (e->at[b].t - e->at[a].t + sensor->average) / level->block_s;
}

/* Scatter is that of the hold next to the work (ENERGY_GUARD_HOLD_NS): guards that were prolonged hold more than one
 * level. */
#define HOLD_S 1.0

static void scatter(const struct edges *e, const struct sensor *sensor, size_t from, size_t to, enum level_side side,
                    struct level *level)
{
    double hold = MAX(HOLD_S, MAX(4 * sensor->period, 2 * sensor->average));
    size_t a = from, b = to;
    if (side == LEVEL_AFTER_WORK)
        b = MAX(edge_after(e, from, to, hold), from + LEVEL_BLOCKS_MIN);
    while (side == LEVEL_BEFORE_WORK && a + LEVEL_BLOCKS_MIN < to && e->at[to].t - e->at[a].t > hold * 1.05)
        a++;
    if (sensor->average > 0)
        averaged_scatter(e, sensor, a, b, level);
    else
        block_scatter(e, a, b, level);
}

struct level level_measure(const struct edges *edges, const struct sensor *sensor, size_t from, size_t to,
                           enum level_side side)
{
    struct level level = {.watts = NAN, .near = NAN, .far = NAN, .s = NAN, .blocks = 1};
    if (to >= edges->n || to < from + LEVEL_BLOCKS_MIN)
        return level;
    near_and_far(edges, sensor, from, to, &level);
    scatter(edges, sensor, from, to, side, &level);
    if (level.known)
        nearest(edges, sensor, from, to, side, &level);
    return level;
}

void level_pool(struct level *a, struct level *b)
{
    double df = a->df + b->df, ratio = (a->s * a->s) / (b->s * b->s);
    if (!a->known || !b->known || !(ratio < stats_f_quantile(0.995, a->df, b->df)) ||
        !(1 / ratio < stats_f_quantile(0.995, b->df, a->df)))
        return;
    double s = sqrt((a->df * a->s * a->s + b->df * b->s * b->s) / df);
    a->s = b->s = s;
    a->df = b->df = df;
}

/* How much the mean of a stretch scatters: more than a block where it is shorter (an instant has (1 + r)/(1 − r)
 * times the variance), less where it is longer. */
static double stretch_variance(const struct level *level, double length)
{
    double share = length / level->block_s;
    double factor = share < 1 ? 1 + (LEVEL_CORRELATION - 1) * (1 - share) : MIN(1, LEVEL_CORRELATION / share);
    return level->s * level->s * factor;
}

double level_u(const struct level *level, double length)
{
    double of_mean = level->s * level->s * MIN(1, LEVEL_CORRELATION / level->blocks);
    return sqrt(of_mean + stretch_variance(level, MAX(length, 1e-9)));
}

double level_noise(const struct level *level, double s_ref)
{
    struct level quiet = *level;
    quiet.s = s_ref;
    double length = level->near_s > 0 ? level->near_s : NEAR_S;
    return sqrt(stretch_variance(&quiet, length) + stretch_variance(&quiet, 2 * length));
}

bool level_unsettled(const struct level *level, double s_ref)
{
    return fabs(level->near - level->far) > fmax(3 * level_noise(level, s_ref), CHANGE_MIN * fabs(level->far));
}

/* sd of block means of the quiet before t0: what the quiet after t1 is compared with. */
static double quiet_scatter(const struct edges *edges, const struct sensor *sensor, double guard_from)
{
    ssize_t to = edges_last_before(edges, 0);
    size_t from = edges_first_after(edges, guard_from + sensor->delay_hi + sensor->period);
    if (to < (ssize_t)from + LEVEL_BLOCKS_MIN)
        from = edges_first_after(edges, guard_from);
    return to < 0 ? NAN : level_measure(edges, sensor, from, (size_t)to, LEVEL_BEFORE_WORK).s;
}

/* Is the newest hold of the guard level? */
static bool settled(const struct edges *edges, const struct sensor *sensor, double t1, double now, double hold,
                    double s)
{
    size_t first = edges_first_after(edges, MAX(t1 + sensor->delay_hi, now - hold));
    ssize_t last = edges_last_before(edges, now);
    if (last < (ssize_t)first + LEVEL_BLOCKS_MIN)
        return false;
    struct level level = level_measure(edges, sensor, first, (size_t)last, LEVEL_AFTER_WORK);
    return !level_unsettled(&level, isfinite(s) ? s : level.s);
}

enum energy_guard_state energy_guard_settled(const struct energy_channel *channel,
                                             const struct energy_guard_plan *plan, const struct energy_window *window,
                                             int64_t now_ns)
{
    struct energy_window seen = *window;
    struct sensor sensor = sensor_of(channel);
    int64_t quiet_ns = now_ns - window->t1_ns;
    if (quiet_ns < plan->post_ns)
        return ENERGY_GUARD_WAIT;
    seen.guard_to_ns = now_ns;
    struct edges edges;
    edges_extract(channel, &seen, &edges);
    bool level = edges.broken || /* waiting does not mend a sensor */
                 settled(&edges, &sensor, clock_seconds(window->t1_ns - window->t0_ns),
                         clock_seconds(now_ns - window->t0_ns), clock_seconds(plan->hold_ns),
                         quiet_scatter(&edges, &sensor, clock_seconds(window->guard_from_ns - window->t0_ns)));
    edges_clear(&edges);
    if (level)
        return ENERGY_GUARD_SETTLED;
    return quiet_ns < plan->limit_ns ? ENERGY_GUARD_EXTEND : ENERGY_GUARD_GIVE_UP;
}
