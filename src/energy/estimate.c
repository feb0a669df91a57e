/* SPDX-License-Identifier: MIT */
/* One board, one window: every estimator that can answer is asked, the best answer is published, the others beside
 * it. */
#include "energy/internal.h"

#include <math.h>
#include <string.h>

#define RESOLUTION 0.01 /* choice, where nobody asks for another */
#define DISAGREE   0.01 /* counter against integrated power: below 1 % on good boards (arXiv 2603.26435) */
#define CLEAR2     4.0  /* over N: a miss (squared) that random phases reach in e⁻⁴ of the cases (Rayleigh) */
#define STILL_WORK 0.8  /* choice: of the work's power above idle, right after it; recorded boards fall below 0.2 */
#define WORK_SHARE 0.1  /* choice: of the idle level, that the work must stand out by for this to be told */
#define GAP_SHARE  0.02 /* choice: of the window between repeats; less of it is within the interval of most sensors */

struct pair {
    const struct energy_channel *channel;
    struct edges edges;
};

typedef void estimator(const struct energy_channel *channel, const struct edges *edges,
                       const struct energy_window *window, struct answer *ret);

struct asked {
    struct pair counter, average, instant;
    struct answer answers[ENERGY_CHECKS_MAX];
    size_t n;
};

static void ask(struct asked *asked, estimator *estimate, const struct pair *pair, const struct energy_window *window)
{
    if (!pair->channel || pair->channel->info->status == QUANTITY_ABSENT)
        return;
    g_assert(asked->n < ENERGY_CHECKS_MAX);
    estimate(pair->channel, &pair->edges, window, &asked->answers[asked->n++]);
}

/* In the order of preference. An instant channel with gaps in its sight ranks behind the average one. */
static void ask_all(struct asked *asked, const struct energy_window *window, bool unguarded)
{
    bool instant_first = asked->instant.channel && sensor_of(asked->instant.channel).unseen <= 0;
    const struct pair *power = instant_first || !asked->average.channel ? &asked->instant : &asked->average;
    const struct pair *other = power == &asked->instant ? &asked->average : &asked->instant;
    if (!unguarded) {
        ask(asked, direct_estimate, &asked->counter, window);
        ask(asked, padded_estimate, &asked->counter, window);
        ask(asked, padded_estimate, power, window);
        ask(asked, padded_estimate, other, window);
    }
    ask(asked, edge_counter_estimate, &asked->counter, window);
    ask(asked, trapezoid_estimate, power, window);
}

static void open_pair(struct pair *pair, const struct energy_channel *channel, const struct energy_window *window)
{
    pair->channel = channel;
    if (channel)
        edges_extract(channel, window, &pair->edges);
}

static const struct answer *best(const struct asked *asked, enum energy_method force)
{
    for (size_t i = 0; i < asked->n; i++) {
        const struct answer *a = &asked->answers[i];
        if (isfinite(a->joules) && (force == ENERGY_METHOD_NONE || a->method == force))
            return a;
    }
    return NULL;
}

/* --- the quiet before -------------------------------------------------------------------------------------------- */

/* Shelves as a share of the step of the work: recorded ones are 15 to 26 W behind steps of some 250 W. What stands out
 * by less than half of the least is drift, or a decay, which does not end at once. */
#define SHELF_LEAST 0.03

/* A shelf that the guard shows after the warm-up may end at any moment between the last reading and the work; one of
 * 1.8 s does so in one of three of such guards. (An average is uncertain by more already.) */
static void allow_for_end_before(const struct energy_board *board, double duration_s, struct answer *a)
{
    double idle_w = isfinite(board->idle_w) ? board->idle_w : a->post.known ? a->post.far : NAN;
    double shelf_w = a->pre.known ? a->pre.watts - idle_w : NAN;
    if (shelf_w > SHELF_LEAST * (a->joules / duration_s - a->pre.watts))
        answer_add_shared(a, STATS_RECTANGULAR, shelf_w * a->before_s);
}

/* --- the meter's own pauses -------------------------------------------------------------------------------------- */

/* In a pause the board draws between its level before the work and the one after it; without guards, between the least
 * it draws and the mean. ret_half_w: half of that span; the levels' own uncertainty. */
static double pause_level(const struct energy_board *board, const struct answer *a, double mean_w, double *ret_half_w,
                          double *ret_u_w)
{
    double low = isfinite(board->idle_w) ? MIN(board->idle_w, mean_w) : 0, high = mean_w;
    *ret_u_w = 0;
    if (a->pre.known && a->post.known) {
        low = MIN(a->pre.watts, a->post.watts);
        high = MAX(a->pre.watts, a->post.watts);
        double pre = level_u(&a->pre, a->pre.block_s), post = level_u(&a->post, a->post.block_s);
        *ret_u_w = sqrt(pre * pre + post * post) / 2;
    }
    *ret_half_w = (high - low) / 2;
    return (low + high) / 2;
}

/* What decays into a pause stays with the work, as host gaps do. */
static void take_pauses_out(const struct energy_board *board, const struct energy_window *window, struct answer *a)
{
    double pause_s = clock_seconds(window->pause_ns), half_w, u_w;
    if (window->pause_ns == 0)
        return;
    double level_w = pause_level(board, a, a->joules / clock_seconds(window->t1_ns - window->t0_ns), &half_w, &u_w);
    a->joules -= level_w * pause_s;
    answer_add_shared(a, STATS_RECTANGULAR, half_w * pause_s);
    parts_add(&a->parts, STATS_NORMAL, u_w * pause_s, 0);
}

/* --- phase lock -------------------------------------------------------------------------------------------------- */

/* The highest limit that a data sheet gives a board (NVIDIA GB300: 1.4 kW): nobody knows the limit of this one, and
 * readings that lock may show the least of what it draws. */
#define LIMIT_HIGHEST_W 1400

static double board_limit(const struct energy_board *board, struct answer *a)
{
    if (isfinite(board->limit_w) && board->limit_w > 0)
        return board->limit_w;
    if (a->channel->info->max_power_w > 0)
        return a->channel->info->max_power_w / METER_PLAUSIBLE_SHARE;
    a->flags |= ENERGY_FLAG(LIMIT_UNKNOWN);
    return fmax(LIMIT_HIGHEST_W, 1.5 * a->peak);
}

/* What the readings show of a pattern that they met at like phases is its scatter about them, which is the smaller the
 * more alike the phases were; what lies outside of all their windows is between idle and the limit of the board, for
 * nothing else bounds it. So is all that they did not see where nothing tells of steps: readings in step with them
 * would look the same. */
static void check_phase(const struct energy_board *board, const struct energy_window *window,
                        const struct energy_options *options, const struct edges *edges, struct answer *a,
                        struct energy_estimate *ret)
{
    struct sensor s = sensor_seen(a->channel, edges);
    double idle = a->pre.known ? a->pre.watts : board->idle_w, d = ret->duration_s;
    ret->phase = phase_check(options, window, &s, edges);
    bool untold = !(ret->phase.step_s > 0) && s.unseen > 0 && !s.sees_all && !s.modelled;
    double pattern = ret->phase.u_w * d, scatter = ret->phase.miss2 > CLEAR2 * s.period / d ? 0 : a->duty_u;
    if (pattern > scatter) /* what the scatter of the readings stands for already is not counted twice */
        answer_add_shared(a, STATS_NORMAL, sqrt(pattern * pattern - scatter * scatter));
    /* but it is no chance: boards that work in step miss alike what of the pattern lies within it */
    parts_add(&a->shared, STATS_NORMAL, fmin(pattern, scatter), 0);
    if (!ret->phase.locked && !untold)
        return;
    a->flags |= untold ? ENERGY_FLAG(PHASE_UNTOLD) : ENERGY_FLAG(PHASE_LOCKED);
    double mean = a->joules / d, above = board_limit(board, a) - mean, below = mean - (isfinite(idle) ? idle : 0);
    double unseen = ret->phase.locked ? fmin(ret->phase.unseen, s.unseen) : s.unseen;
    answer_add_shared(a, STATS_RECTANGULAR, unseen * fmax(0, fmax(above, below)) * d);
}

/* --- the record -------------------------------------------------------------------------------------------------- */

static void add_checks(const struct asked *asked, size_t draws, uint32_t seed, struct energy_estimate *ret)
{
    for (size_t i = 0; i < asked->n; i++) {
        const struct answer *a = &asked->answers[i];
        if (!isfinite(a->joules))
            continue;
        ret->checks[ret->check_count++] = (struct energy_check){a->method, a->channel->info->id, a->joules,
                                                                parts_half_width(&a->parts, draws, seed)};
    }
}

/* Counter ÷ power − 1, idle from the levels before the work, busy from the padded totals. */
static void add_agreement(const struct asked *asked, struct energy_estimate *ret)
{
    const struct answer *counter = NULL, *power = NULL;
    for (size_t i = 0; i < asked->n; i++) {
        const struct answer *a = &asked->answers[i];
        if (!counter && a->method == ENERGY_METHOD_PADDED_COUNTER && isfinite(a->joules))
            counter = a;
        if (!power && a->method == ENERGY_METHOD_PADDED_POWER && isfinite(a->joules))
            power = a;
    }
    ret->agreement_idle = ret->agreement_busy = NAN;
    if (!counter || !power)
        return;
    if (power->pre.watts > 0)
        ret->agreement_idle = counter->pre.watts / power->pre.watts - 1;
    if (power->joules > 0)
        ret->agreement_busy = counter->joules / power->joules - 1;
}

static void check_agreement(struct energy_estimate *ret)
{
    const struct energy_check *counter = NULL, *power = NULL;
    for (size_t i = 0; i < ret->check_count; i++) {
        if (!counter && ret->checks[i].method == ENERGY_METHOD_PADDED_COUNTER)
            counter = &ret->checks[i];
        if (!power && ret->checks[i].method == ENERGY_METHOD_PADDED_POWER)
            power = &ret->checks[i];
    }
    if (counter && power && fabs(ret->agreement_busy) > DISAGREE &&
        fabs(counter->joules - power->joules) > counter->half_width_j + power->half_width_j)
        ret->flags |= ENERGY_FLAG(CHANNELS_DISAGREE);
}

/* A level after the work that is nearly the work's own is no tail: boards fall to a fraction of it within milliseconds,
 * and what they hold afterwards is some 20 W above idle. Only where the work stands out of the level before it. */
static void check_after(const struct answer *a, struct energy_estimate *ret)
{
    if (!a->pre.known || !a->post.known || a->channel->info->status == QUANTITY_MODELLED)
        return;
    double work_w = a->joules / ret->duration_s - a->pre.watts, after_w = a->post.watts - a->pre.watts;
    double u_w = level_u(&a->pre, a->pre.block_s);
    if (work_w > WORK_SHARE * a->pre.watts && work_w > 6 * u_w && after_w > STILL_WORK * work_w)
        ret->flags |= ENERGY_FLAG(WORK_AFTER_WINDOW);
}

/* k so that the half-width of k·E is `resolution`: edges stay, what the sensor did not see grows with the root of k. */
static int64_t repeats_for(double joules, double half, double duty_u, double resolution)
{
    double duty = MIN(half, STATS_NORMAL_95 * duty_u), duty2 = duty * duty, edge2 = half * half - duty2;
    double want2 = joules * joules * resolution * resolution;
    return (int64_t)ceil((duty2 + sqrt(duty2 * duty2 + 4 * want2 * edge2)) / (2 * want2));
}

static void check_resolution(const struct answer *a, double resolution, struct energy_estimate *ret)
{
    double joules = fabs(ret->joules.value);
    if (ret->statistical_j <= resolution * joules)
        return;
    ret->flags |= ENERGY_FLAG(BELOW_RESOLUTION);
    if (joules > 0)
        ret->recommended_repeats =
            ret->repeats * MIN(1000000, repeats_for(joules, ret->statistical_j, a->duty_u, resolution));
}

/* watts: as the sensor read them, as a calibration's range is. */
static void check_range(const struct energy_calibration *c, double watts, struct energy_estimate *ret)
{
    if (c && (watts < c->range_low_w || watts > c->range_high_w))
        ret->flags |= ENERGY_FLAG(OUT_OF_CALIBRATION);
}

static void set_systematic(const struct energy_board *board, const struct answer *a, size_t draws, uint32_t seed,
                           struct energy_estimate *ret)
{
    const struct energy_calibration *c = board->calibration;
    const struct meter_class *prior = energy_prior_find(a->channel->info->sensor_class);
    struct response response = {1, prior->gain_u, 0, prior->offset_u_w, 0};
    if (c)
        response = (struct response){c->gain, c->u_gain, c->offset_w,
                                     isfinite(c->u_offset_w) ? c->u_offset_w : prior->offset_u_w, c->correlation};
    ret->prior = c ? NULL : prior;
    ret->gain_rel_u = response.gain_rel_u;
    ret->offset_w_u = response.offset_w_u;
    ret->gain_offset_correlation = response.correlation;
    if (c)
        ret->calibration = *c;
    else
        ret->flags |= ENERGY_FLAG(UNCALIBRATED);
    double value = (a->joules - response.offset_w * ret->duration_s) / response.gain;
    check_range(c, a->joules / ret->duration_s, ret);
    struct stats_interval all = energy_combine(a->joules, ret->duration_s, &a->parts, &response, draws, seed);
    struct stats_interval alone = energy_combine(a->joules, ret->duration_s, NULL, &response, draws, seed);
    ret->statistical_j = parts_half_width(&a->parts, draws, seed) / response.gain;
    ret->shared_j = parts_half_width(&a->shared, draws, seed) / response.gain;
    ret->systematic_j = (alone.high - alone.low) / 2;
    ret->joules = quantity_of(a->channel->info->status, value, energy_method_name(a->method), a->channel->info->id);
    ret->joules.low = all.low;
    ret->joules.high = all.high;
}

/* Modelled channels state a range instead of gain and offset. */
static void set_range(const struct answer *a, size_t draws, uint32_t seed, struct energy_estimate *ret)
{
    const struct meter_channel *info = a->channel->info;
    ret->statistical_j = parts_half_width(&a->parts, draws, seed);
    ret->systematic_j = a->joules * fmax(info->high_ratio - 1, 1 - info->low_ratio);
    ret->joules = quantity_of(info->status, a->joules, energy_method_name(a->method), info->id);
    ret->joules.low = a->joules * info->low_ratio - ret->statistical_j;
    ret->joules.high = a->joules * info->high_ratio + ret->statistical_j;
    ret->joules.reason = info->reason;
    ret->gain_rel_u = ret->offset_w_u = 0; /* its range stands for both */
}

static void set_derived(const struct answer *a, const struct energy_window *window, struct energy_estimate *ret)
{
    const struct meter_channel *info = a->channel->info;
    bool calibrated = ret->calibration.uuid[0];
    double gain = calibrated ? ret->calibration.gain : 1, offset = calibrated ? ret->calibration.offset_w : 0;
    ret->average_w = quantity_of(info->status, ret->joules.value / ret->duration_s, ret->joules.method, info->id);
    ret->average_w.low = ret->joules.low / ret->duration_s;
    ret->average_w.high = ret->joules.high / ret->duration_s;
    ret->peak_w = isfinite(a->peak) ? quantity_of(info->status, (a->peak - offset) / gain,
                                                  "largest mean over one sensor period", info->id)
                                    : quantity_absent("the sensor changed too seldom during the work");
    if (isfinite(a->tail)) {
        ret->tail_j = quantity_of(info->status, a->tail / gain, "guard energy above the settled level", info->id);
        ret->tail_j.low = (a->tail - a->tail_half) / gain; /* a difference: the offset is not in it */
        ret->tail_j.high = (a->tail + a->tail_half) / gain;
    } else {
        ret->tail_j = quantity_absent("no guard after the work to follow the power in");
    }
    ret->pre_w = a->pre.known ? (a->pre.watts - offset) / gain : NAN;
    ret->post_w = a->post.known ? (a->post.watts - offset) / gain : NAN;
    ret->pre_u_w = a->pre.known ? level_u(&a->pre, a->pre.block_s) / gain : NAN;
    ret->post_u_w = a->post.known ? level_u(&a->post, a->post.block_s) / gain : NAN;
    if ((double)window->gap_ns > GAP_SHARE * (double)energy_window_work_ns(window))
        ret->flags |= ENERGY_FLAG(HOST_GAPS);
}

static void set_absent(const struct asked *asked, struct energy_estimate *ret)
{
    GString *why = g_string_new(NULL);
    for (size_t i = 0; i < asked->n; i++) {
        const struct answer *a = &asked->answers[i];
        ret->flags |= a->flags;
        if (a->why && !strstr(why->str, a->why))
            g_string_append_printf(why, "%s%s: %s", why->len ? "; " : "", a->channel->info->id, a->why);
    }
    if (asked->n == 0)
        g_string_append(why, ret->duration_s > 0 ? "no energy or power channel; `llem meter` says why"
                                                 : "the window has no length");
    ret->reason = g_string_free(why, FALSE);
    ret->joules = quantity_absent(ret->reason);
    ret->average_w = ret->peak_w = ret->tail_j = quantity_absent("no energy of the window");
}

static void start(const struct energy_board *board, const struct energy_window *window, struct energy_estimate *ret)
{
    const struct energy_channel *any = board->counter   ? board->counter
                                       : board->average ? board->average
                                                        : board->instant;
    memset(ret, 0, sizeof *ret);
    ret->duration_s = clock_seconds(energy_window_work_ns(window));
    ret->repeats = MAX(1, window->repeats);
    ret->boards = 1;
    ret->statistical_j = ret->systematic_j = ret->raw_j = NAN;
    ret->pre_w = ret->post_w = ret->pre_u_w = ret->post_u_w = ret->period_s = NAN;
    ret->agreement_idle = ret->agreement_busy = ret->gain_rel_u = ret->offset_w_u = NAN;
    ret->coverage_share = NAN;
    ret->phase = (struct energy_phase){false, NAN, NAN, 0, NAN};
    if (any) {
        ret->device = any->info->device;
        ret->scope = any->info->scope;
    }
}

/* Flags of a channel that was passed over still tell the reader why. */
static uint32_t fault_flags(const struct asked *asked)
{
    const uint32_t faults = ENERGY_FLAG(COUNTER_RESET) | ENERGY_FLAG(COUNTER_STUCK) | ENERGY_FLAG(GAP) |
                            ENERGY_FLAG(SENSOR_LOST) | ENERGY_FLAG(PERIOD_CHANGED) | ENERGY_FLAG(GUARD_SHORT);
    uint32_t flags = 0;
    for (size_t i = 0; i < asked->n; i++) {
        if (isfinite(asked->answers[i].joules))
            break;
        flags |= asked->answers[i].flags & faults;
    }
    return flags;
}

static bool fell_back(const struct energy_board *board, bool unguarded, const struct answer *a)
{
    if (unguarded)
        return board->counter && a->channel != board->counter;
    if (a->method == ENERGY_METHOD_EDGE_COUNTER || a->method == ENERGY_METHOD_TRAPEZOID)
        return a->channel->info->status != QUANTITY_MODELLED;
    return board->counter && a->channel != board->counter;
}

static void set_coverage(const struct answer *a, const struct edges *edges, struct energy_estimate *ret)
{
    struct sensor s = sensor_seen(a->channel, edges);
    if (s.modelled)
        return;
    ret->coverage = s.coverage;
    ret->coverage_share = s.window / s.period;
    ret->proof = a->channel->proof;
    if (ret->proof.verdict[0] && strcmp(ret->proof.verdict, METER_SEES_ALL) != 0)
        ret->flags |= ENERGY_FLAG(SELFTEST_FAILED);
}

static void publish(const struct energy_board *board, const struct energy_window *window,
                    const struct energy_options *options, const struct asked *asked, const struct answer *chosen,
                    struct energy_estimate *ret)
{
    struct answer a = *chosen;
    const struct edges *edges = a.channel == asked->counter.channel   ? &asked->counter.edges
                                : a.channel == asked->average.channel ? &asked->average.edges
                                                                      : &asked->instant.edges;
    size_t draws = options->draws ? options->draws : ENERGY_DRAWS;
    double resolution = options->resolution > 0 ? options->resolution : RESOLUTION;
    ret->period_s = edges->period;
    ret->method = a.method;
    ret->raw_j = a.joules;
    check_phase(board, window, options, edges, &a, ret);
    ret->flags |= a.flags | fault_flags(asked);
    ret->dropped = asked->counter.edges.dropped + asked->average.edges.dropped + asked->instant.edges.dropped;
    if (ret->dropped > 0)
        ret->flags |= ENERGY_FLAG(READINGS_DROPPED);
    if (fell_back(board, options->unguarded, &a))
        ret->flags |= ENERGY_FLAG(FALLBACK);
    if (a.channel->info->status == QUANTITY_MODELLED)
        set_range(&a, draws, options->seed, ret);
    else
        set_systematic(board, &a, draws, options->seed, ret);
    set_derived(&a, window, ret);
    set_coverage(&a, edges, ret);
    add_checks(asked, draws, options->seed, ret);
    add_agreement(asked, ret);
    check_agreement(ret);
    check_after(&a, ret);
    check_resolution(&a, resolution, ret);
}

void energy_estimate_board(const struct energy_board *board, const struct energy_window *window,
                           const struct energy_options *options, struct energy_estimate *ret)
{
    static const struct energy_options none;
    struct asked asked = {0};
    options = options ? options : &none;
    start(board, window, ret);
    open_pair(&asked.counter, board->counter, window);
    open_pair(&asked.average, board->average, window);
    open_pair(&asked.instant, board->instant, window);
    if (energy_window_work_ns(window) > 0)
        ask_all(&asked, window, options->unguarded);
    const struct answer *chosen = best(&asked, options->force);
    for (size_t i = 0; i < asked.n; i++) {
        if (!isfinite(asked.answers[i].joules))
            continue;
        allow_for_end_before(board, clock_seconds(window->t1_ns - window->t0_ns), &asked.answers[i]);
        take_pauses_out(board, window, &asked.answers[i]);
    }
    if (chosen)
        publish(board, window, options, &asked, chosen, ret);
    else
        set_absent(&asked, ret);
    edges_clear(&asked.counter.edges);
    edges_clear(&asked.average.edges);
    edges_clear(&asked.instant.edges);
}

void energy_estimate_missing(const char *device, const char *scope, const char *why, struct energy_estimate *ret)
{
    g_free(ret->reason);
    ret->reason = g_strdup(why);
    ret->joules = quantity_absent(ret->reason);
    ret->device = device;
    ret->scope = scope;
}

void energy_estimate_clear(struct energy_estimate *estimate)
{
    g_clear_pointer(&estimate->reason, g_free);
    memset(estimate, 0, sizeof *estimate);
}

struct quantity energy_per_repeat(const struct energy_estimate *estimate)
{
    struct quantity q = estimate->joules;
    double k = (double)MAX(1, estimate->repeats);
    if (q.status == QUANTITY_ABSENT)
        return q;
    q.value /= k;
    q.low /= k;
    q.high /= k;
    return q;
}
