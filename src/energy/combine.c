/* SPDX-License-Identifier: MIT */
/* Sums over boards, energy above a baseline, baselines, other cumulative channels. */
#include "energy/internal.h"

#include <math.h>
#include <string.h>

/* --- sums over boards -------------------------------------------------------------------------------------------- */

static void sum_absent(const struct energy_estimate *board, struct energy_estimate *ret)
{
    g_free(ret->reason);
    ret->reason = g_strdup_printf("%s: %s", board->device ? board->device : "a board",
                                  board->joules.reason ? board->joules.reason : "no energy");
    ret->joules = quantity_absent(ret->reason);
    ret->check_count = 0;
    ret->statistical_j = ret->systematic_j = ret->raw_j = NAN;
    ret->pre_w = ret->post_w = ret->pre_u_w = ret->post_u_w = ret->period_s = NAN;
    ret->agreement_idle = ret->agreement_busy = ret->gain_rel_u = ret->offset_w_u = NAN;
    ret->average_w = ret->peak_w = ret->tail_j = quantity_absent("the energy of a board is absent");
}

static enum quantity_status worst(enum quantity_status a, enum quantity_status b)
{
    return a == QUANTITY_ABSENT || b == QUANTITY_ABSENT ? QUANTITY_ABSENT : MAX(a, b);
}

static void add_quantity(struct quantity *sum, const struct quantity *q, const char *what)
{
    if (sum->status == QUANTITY_ABSENT || q->status == QUANTITY_ABSENT) {
        *sum = quantity_absent(what);
        return;
    }
    sum->status = worst(sum->status, q->status);
    sum->value += q->value;
    sum->low = sum->high = NAN;
}

/* Square of the statistical half-width without what boards share. */
static double own_squared(const struct energy_estimate *e)
{
    return MAX(0, e->statistical_j * e->statistical_j - e->shared_j * e->shared_j);
}

static void add_board(struct energy_estimate *sum, const struct energy_estimate *b)
{
    sum->flags |= b->flags;
    sum->dropped += b->dropped;
    sum->boards += b->boards;
    sum->raw_j += b->raw_j;
    sum->joules.status = worst(sum->joules.status, b->joules.status);
    sum->joules.value += b->joules.value;
    sum->joules.method = sum->method == b->method ? sum->joules.method : "mixed";
    sum->joules.sensor = NULL;
    sum->method = sum->method == b->method ? sum->method : ENERGY_METHOD_NONE;
    double own2 = own_squared(sum) + own_squared(b);
    sum->shared_j += b->shared_j;
    sum->statistical_j = sqrt(own2 + sum->shared_j * sum->shared_j);
    sum->phase.locked = sum->phase.locked || b->phase.locked;
    sum->recommended_repeats = MAX(sum->recommended_repeats, b->recommended_repeats);
    sum->prior = sum->prior == b->prior ? sum->prior : NULL;
    sum->device = NULL;
    sum->pre_w += b->pre_w;
    sum->post_w += b->post_w;
    double low = sum->tail_j.low + b->tail_j.low, high = sum->tail_j.high + b->tail_j.high;
    add_quantity(&sum->tail_j, &b->tail_j, "the tail of a board is absent");
    if (sum->tail_j.status != QUANTITY_ABSENT) { /* linearly: boards that did the same cool alike */
        sum->tail_j.low = low;
        sum->tail_j.high = high;
    }
    add_quantity(&sum->average_w, &b->average_w, "the power of a board is absent");
    add_quantity(&sum->peak_w, &b->peak_w, "the peak of a board is absent");
}

/* Errors of gain or offset over boards: what nobody calibrated may have one cause that pushes all the same way and is
 * added linearly; calibrations are taken board by board and add in quadrature. */
struct systematic {
    double linear, squares;
};

static void systematic_add(struct systematic *sum, const struct energy_estimate *board, double part)
{
    if (board->calibration.uuid[0])
        sum->squares += part * part;
    else
        sum->linear += part;
}

static double systematic_total(const struct systematic *sum)
{
    return sqrt(sum->linear * sum->linear + sum->squares);
}

/* The boards' arms without their statistical part. Both near normal by then. */
static double arm(double length, double statistical_j)
{
    return sqrt(MAX(0, length * length - statistical_j * statistical_j));
}

static void set_sum_interval(const struct energy_estimate *boards, size_t n, struct energy_estimate *ret)
{
    struct systematic low = {0}, high = {0}, half = {0}, gain_j = {0}, offset_w = {0};
    for (size_t i = 0; i < n; i++) {
        const struct energy_estimate *b = &boards[i];
        systematic_add(&low, b, arm(b->joules.value - b->joules.low, b->statistical_j));
        systematic_add(&high, b, arm(b->joules.high - b->joules.value, b->statistical_j));
        systematic_add(&half, b, b->systematic_j);
        systematic_add(&gain_j, b, b->gain_rel_u * b->joules.value);
        systematic_add(&offset_w, b, b->offset_w_u);
    }
    ret->systematic_j = systematic_total(&half);
    ret->gain_rel_u = ret->joules.value > 0 ? systematic_total(&gain_j) / ret->joules.value : NAN;
    ret->offset_w_u = systematic_total(&offset_w);
    ret->calibration.uuid[0] = '\0'; /* of one board; each board's own says it */
    low.squares += ret->statistical_j * ret->statistical_j;
    high.squares += ret->statistical_j * ret->statistical_j;
    ret->joules.low = ret->joules.value - systematic_total(&low);
    ret->joules.high = ret->joules.value + systematic_total(&high);
}

void energy_sum(const struct energy_estimate *boards, size_t n, struct energy_estimate *ret)
{
    memset(ret, 0, sizeof *ret);
    if (n == 0) {
        ret->reason = g_strdup("no board is bound");
        ret->joules = quantity_absent(ret->reason);
        ret->average_w = ret->peak_w = ret->tail_j = quantity_absent("no board is bound");
        return;
    }
    *ret = boards[0];
    ret->reason = NULL;
    for (size_t i = 0; i < n; i++) {
        if (boards[i].joules.status == QUANTITY_ABSENT || g_strcmp0(boards[i].scope, boards[0].scope) != 0) {
            struct energy_estimate unlike = boards[i];
            if (boards[i].joules.status != QUANTITY_ABSENT)
                unlike.joules.reason = "its scope is another one: unlike scopes are never added";
            sum_absent(&unlike, ret);
            return;
        }
        if (i > 0)
            add_board(ret, &boards[i]);
    }
    if (n == 1)
        return;
    ret->check_count = 0;
    ret->agreement_idle = ret->agreement_busy = ret->pre_u_w = ret->post_u_w = ret->period_s = NAN;
    ret->average_w.sensor = ret->peak_w.sensor = ret->tail_j.sensor = NULL;
    ret->peak_w.method = "sum of the boards' largest means, which need not coincide";
    set_sum_interval(boards, n, ret);
}

/* --- baselines --------------------------------------------------------------------------------------------------- */

/* Choices: a block is longer than idle power remembers (100 to 250 ms on recorded boards), and 30 of them know their
 * scatter to 13 %, beyond which more say little. */
#define BASELINE_BLOCKS_MAX 30
#define BASELINE_BLOCK_S    1.0

static void baseline_absent(const char *reason, struct energy_baseline *ret)
{
    ret->watts = quantity_absent(reason);
    ret->u_w = ret->df = NAN;
}

static const struct energy_channel *baseline_channel(const struct energy_board *board)
{
    return board->counter ? board->counter : board->instant ? board->instant : board->average;
}

#define GRID_MOST_W 1.0 /* choice: sensors that show less than whole watts are not known to llem */

/* How finely a sensor of power shows it: the largest power of ten of its unit that all readings between two moments are
 * multiples of. A reading that stays is no finer than it shows. */
static double grid_w(const struct energy_channel *channel, int64_t from_ns, int64_t to_ns)
{
    int64_t grid = 1;
    bool finer = false;
    while (!finer && (double)(10 * grid) * channel->info->scale <= GRID_MOST_W) {
        for (size_t i = 0; i < channel->count; i++) {
            const struct meter_point *p = &channel->points[i];
            bool within = p->status == METER_READ_OK && p->first_ns <= to_ns && p->last_ns >= from_ns;
            finer |= within && p->raw % (10 * grid) != 0;
        }
        grid *= finer ? 1 : 10;
    }
    return (double)grid * channel->info->scale;
}

/* Standard uncertainty of a level that no scatter of readings shows: their grid of power; of a counter its unit, and
 * where its first and last change lie in their brackets. */
static double floor_u(const struct energy_channel *channel, const struct edges *e, double watts,
                      const struct energy_baseline *at)
{
    const struct edge *first = &e->at[0], *last = &e->at[e->n - 1];
    double length = last->t - first->t, unit_j = channel->info->scale;
    if (channel->info->kind != METER_ENERGY)
        return grid_w(channel, at->from_ns, at->to_ns) / sqrt(12);
    double ends2 = watts * watts * (first->u_t * first->u_t + last->u_t * last->u_t);
    return sqrt(ends2 + unit_j * unit_j / 6) / length;
}

/* Choices: cooling with more than SLOW_S is taken for drift (recorded boards take 0.7 to 2.8 s); what chance leaves
 * between two halves is less than FALLING times its standard uncertainty; and never more than
 * FACTOR_MOST times the fall is allowed for. */
#define SLOW_S      15.0
#define FALLING     2.0
#define FACTOR_MOST 4.0

/* A board that still cools holds more than its idle level, which shows as a fall between the halves of a stretch: of an
 * exponential with a time constant of τ the mean of both holds (1 + r)/(1 − r)/2 times that, r = exp(−half/τ). A fall
 * may be a drift as well, which is of the level. So what may be held lies between nothing and SLOW_S. */
static void allow_for_cooling(const struct edges *e, const double *means, size_t m, double gain,
                              struct energy_baseline *ret)
{
    double halves[2], sum = 0, half = (e->at[e->n - 1].t - e->at[0].t) / 2;
    if (!level_blocks(e, 0, e->n - 1, 2, halves))
        return;
    for (size_t b = 1; b < m; b++)
        sum += (means[b] - means[b - 1]) * (means[b] - means[b - 1]);
    double u = 2 * sqrt(sum / 2 / (double)(m - 1) * LEVEL_CORRELATION / (double)m);
    double r = exp(-half / SLOW_S), factor = MIN(FACTOR_MOST, (1 + r) / (1 - r) / 2);
    double held_w = factor * MAX(0, halves[0] - halves[1]) / gain;
    bool sure = halves[0] - halves[1] > FALLING * u;
    ret->watts.value -= sure ? held_w / 2 : 0;
    ret->cooling_w = sure ? held_w / 2 : held_w;
}

static double baseline_half(const struct energy_baseline *b)
{
    double half = stats_t_quantile(0.5 + STATS_LEVEL / 2, b->df) * b->u_w;
    return sqrt(half * half + b->cooling_w * b->cooling_w);
}

static void set_interval(struct energy_baseline *b)
{
    double half = baseline_half(b);
    b->watts.low = b->watts.value - half;
    b->watts.high = b->watts.value + half;
}

static void baseline_level(const struct energy_channel *channel, const struct edges *e, const struct sensor *s,
                           const struct energy_calibration *calibration, struct energy_baseline *ret)
{
    double gain = calibration ? calibration->gain : 1;
    double block = MAX(BASELINE_BLOCK_S, MAX(2 * s->average, 2 * s->period));
    double length = e->n > 1 ? e->at[e->n - 1].t - e->at[0].t : 0;
    size_t m = MIN(BASELINE_BLOCKS_MAX, (size_t)(length / block));
    m = MAX(m, LEVEL_BLOCKS_MIN); /* shorter blocks rather than fewer, down to one increment each */
    double means[BASELINE_BLOCKS_MAX];
    if (!level_blocks(e, 0, e->n ? e->n - 1 : 0, m, means) || length < 4 * s->average) {
        baseline_absent("too short for four blocks of the sensor's period: measure the baseline for longer", ret);
        return;
    }
    double watts = stats_mean(means, m);
    double scatter = stats_sd(means, m) * sqrt(LEVEL_CORRELATION / (double)m), least = floor_u(channel, e, watts, ret);
    /* what the brackets leave open is in the scatter of a counter's blocks already */
    bool counted = channel->info->kind == METER_ENERGY;
    ret->u_w = (counted ? MAX(scatter, least) : sqrt(scatter * scatter + least * least)) / gain;
    ret->df = (double)(m - 1);
    watts = (watts - (calibration ? calibration->offset_w : 0)) / gain;
    ret->watts = quantity_of(channel->info->status, watts, "block means", channel->info->id);
    allow_for_cooling(e, means, m, gain, ret);
    set_interval(ret);
}

void energy_baseline_measure(const struct energy_board *board, int64_t from_ns, int64_t to_ns,
                             struct energy_baseline *ret)
{
    struct energy_window window = {.guard_from_ns = from_ns, .t0_ns = from_ns, .t1_ns = to_ns, .guard_to_ns = to_ns};
    const struct energy_channel *channel = baseline_channel(board);
    *ret = (struct energy_baseline){.from_ns = from_ns, .to_ns = to_ns};
    if (!channel || channel->info->status == QUANTITY_ABSENT) {
        baseline_absent("no energy or power channel; `llem meter` says why", ret);
        return;
    }
    ret->sensor = channel->info->id;
    struct sensor sensor = sensor_of(channel);
    struct edges edges;
    edges_extract(channel, &window, &edges);
    size_t first = edges_first_after(&edges, 0);
    struct edges inner = edges;
    inner.at += first;
    inner.n = (size_t)MAX(0, edges_last_before(&edges, clock_seconds(to_ns - from_ns)) + 1 - (ssize_t)first);
    if (sensor.modelled && !edges.broken)
        baseline_absent("a modelled channel counts only the engine's own CPU time: its idle level "
                        "is 0 by construction",
                        ret);
    else if (edges.broken)
        baseline_absent(edges.broken, ret);
    else
        baseline_level(channel, &inner, &sensor, board->calibration, ret);
    edges_clear(&edges);
}

#define DRIFT_SHARE 0.10 /* of the idle level between two baselines (measurement practice: reject beyond 10 %) */

void energy_baseline_between(const struct energy_baseline *before, const struct energy_baseline *after, int64_t at_ns,
                             struct energy_baseline *ret, bool *ret_drift)
{
    *ret = *before;
    *ret_drift = false;
    if (!after || before->watts.status == QUANTITY_ABSENT || after->watts.status == QUANTITY_ABSENT) {
        if (after && before->watts.status == QUANTITY_ABSENT)
            *ret = *after;
        return;
    }
    double t0 = (double)(before->to_ns - before->from_ns) / 2 + (double)before->from_ns;
    double t1 = (double)(after->to_ns - after->from_ns) / 2 + (double)after->from_ns;
    double w = t1 > t0 ? CLAMP(((double)at_ns - t0) / (t1 - t0), 0, 1) : 0.5;
    double change = after->watts.value - before->watts.value;
    ret->watts.value = before->watts.value + w * change;
    ret->u_w =
        sqrt((1 - w) * (1 - w) * before->u_w * before->u_w + w * w * after->u_w * after->u_w + change * change / 12);
    ret->df = before->df + after->df;
    ret->cooling_w = (1 - w) * before->cooling_w + w * after->cooling_w; /* the same board cools alike behind both */
    set_interval(ret);
    ret->to_ns = after->to_ns;
    *ret_drift = fabs(change) > DRIFT_SHARE * fabs(before->watts.value) &&
                 (before->watts.high < after->watts.low || after->watts.high < before->watts.low);
}

void energy_net(const struct energy_estimate *gross, const struct energy_baseline *baseline,
                struct energy_estimate *ret)
{
    *ret = *gross;
    ret->reason = NULL;
    ret->check_count = 0;
    if (gross->joules.status == QUANTITY_ABSENT || baseline->watts.status == QUANTITY_ABSENT) {
        const struct quantity *why = gross->joules.status == QUANTITY_ABSENT ? &gross->joules : &baseline->watts;
        ret->reason = g_strdup_printf("%s: %s", why == &gross->joules ? "gross energy" : "baseline",
                                      why->reason ? why->reason : "absent");
        ret->joules = quantity_absent(ret->reason);
        ret->statistical_j = ret->systematic_j = ret->raw_j = NAN;
        ret->average_w = quantity_absent("no net energy");
        return;
    }
    double idle_j = baseline->watts.value * gross->duration_s;
    double idle_half = baseline_half(baseline) * gross->duration_s;
    ret->joules.value -= idle_j;
    ret->raw_j = NAN;
    ret->joules.status = worst(gross->joules.status, baseline->watts.status);
    ret->joules.method = "gross minus idle level × duration";
    ret->statistical_j = sqrt(gross->statistical_j * gross->statistical_j + idle_half * idle_half);
    if (gross->offset_w_u > 0 || gross->gain_rel_u > 0) /* the offset is in both and cancels */
        ret->systematic_j = STATS_NORMAL_95 * gross->gain_rel_u * fabs(ret->joules.value);
    double half = sqrt(ret->statistical_j * ret->statistical_j + ret->systematic_j * ret->systematic_j);
    ret->joules.low = ret->joules.value - half;
    ret->joules.high = ret->joules.value + half;
    ret->average_w = quantity_of(ret->joules.status, ret->joules.value / gross->duration_s, ret->joules.method, NULL);
}

/* --- other cumulative channels ----------------------------------------------------------------------------------- */

static const struct meter_point *point_at(const struct energy_channel *channel, int64_t t_ns)
{
    const struct meter_point *found = NULL;
    for (size_t i = 0; i < channel->count && channel->points[i].first_ns <= t_ns; i++)
        found = &channel->points[i];
    return found ? found : channel->count ? &channel->points[0] : NULL;
}

struct quantity energy_cumulative(const struct energy_channel *channel, int64_t t0_ns, int64_t t1_ns)
{
    const struct meter_point *a = point_at(channel, t0_ns), *b = point_at(channel, t1_ns);
    if (channel->info->status == QUANTITY_ABSENT)
        return quantity_absent(channel->info->reason ? channel->info->reason : "the channel is absent");
    if (!a || !b)
        return quantity_absent("no readings during the work");
    for (const struct meter_point *p = a; p <= b; p++) {
        if (p->status != METER_READ_OK)
            return quantity_absent("a reading during the work failed or the counter was reset");
    }
    return quantity_of(channel->info->status, (double)(b->raw - a->raw) * channel->info->scale, "counter difference",
                       channel->info->id);
}
