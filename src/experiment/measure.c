/* SPDX-License-Identifier: MIT */
/* The phases in which the engine works: warm-up, idle levels, the measured window between its guards. */
#include "experiment/flags.h"
#include "experiment/internal.h"
#include "experiment/machine.h"

#include <math.h>
#include <string.h>

#define WARMUP_BATCH_FIRST INT64_C(1000000) /* batch numbers of the warm-up; the measured ones count from 1 */
#define REPEATS_WHEN_LOCKED 4 /* dithered: docs/methodology.md */
#define TEARDOWN_NS        (10 * NS_PER_S)
#define GUARD_POLL_NS      (100 * NS_PER_MS)

/* --- idle levels --------------------------------------------------------------------------------------------------- */

/* share: of baseline.duration_seconds. */
static bool take_idle(struct experiment *x, struct idle *idle, double share, const char *mark, GError **error)
{
    if (!config_bool(x->config, FIELD_BASELINE_ENABLED)) {
        idle->reason = "baseline.enabled is false";
        return true;
    }
    if (!x->sensors_need_quiet) {
        idle->reason = NO_IDLE_LEVEL;
        return true;
    }
    int64_t duration_ns = (int64_t)(share * (double)config_ns(x->config, FIELD_BASELINE_DURATION_SECONDS));
    idle->at.t0_ns = clock_mono_ns();
    if (!experiment_wait_until(x, idle->at.t0_ns + duration_ns, error))
        return false;
    idle->at.t1_ns = clock_mono_ns();
    g_autofree char *begin = g_strdup_printf("%s.begin", mark), *end = g_strdup_printf("%s.end", mark);
    experiment_mark(x, begin, idle->at.t0_ns);
    experiment_mark(x, end, idle->at.t1_ns);
    return true;
}

bool phase_idle_cold(struct experiment *x, GError **error)
{
    return take_idle(x, &x->idle_cold, 1, "idle_cold", error);
}

bool phase_idle_context(struct experiment *x, GError **error)
{
    return take_idle(x, &x->idle_context, 0.5, "idle_context", error);
}

/* The other half: the level during the work lies between the two, and a drift shows. */
bool phase_idle_after(struct experiment *x, GError **error)
{
    return take_idle(x, &x->idle_after, 0.5, "idle_after", error);
}

/* How many requests are one batch: the backend's batch_size, else all of them. */
static size_t batch_size(const struct experiment *x)
{
    g_autofree char *path = g_strdup_printf("%s.batch_size", config_string(x->config, FIELD_BACKEND));
    const json_t *given = config_value_at(x->config, path); /* not every backend has such a row */
    return given ? (size_t)json_integer_value(given) : x->prompts.n;
}

/* How many requests the engine works on at once. */
static size_t concurrency(const struct experiment *x)
{
    const json_t *parallel = config_value_at(x->config, "llamacpp.n_parallel");
    if (parallel) /* never more than there are requests */
        return MIN((size_t)json_integer_value(parallel), x->prompts.n);
    return MIN(batch_size(x), x->prompts.n);
}

/* --- batches ------------------------------------------------------------------------------------------------------- */

static bool prepare(struct experiment *x, int64_t batch, const struct engine_tokens *tokens, size_t n, bool *ret_quiescent,
                    GError **error)
{
    g_autofree struct engine_prompt *prompts = g_new0(struct engine_prompt, n);
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    bool ignore_eos = config_bool(x->config, FIELD_DECODER_IGNORE_EOS);
    for (size_t i = 0; i < n; i++) {
        char *id = g_strdup_printf("b%" G_GINT64_FORMAT ".r%zu", batch, i);
        g_ptr_array_add(ids, id);
        prompts[i] = (struct engine_prompt){.id = id,
                                            .token_ids = tokens[i].ids,
                                            .n_tokens = tokens[i].n,
                                            .max_tokens = config_int(x->config, FIELD_MAX_OUTPUT_TOKENS),
                                            .ignore_eos = ignore_eos};
    }
    return engine_prepare(x->engine, batch, prompts, n, experiment_deadline(x), ret_quiescent, error);
}

/* --- warm-up ------------------------------------------------------------------------------------------------------- */

/* Temperatures of the boards since the warm-up began; empty where no sensor exists, which skips that condition. */
static GArray *temperatures(struct experiment *x)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_temperature));
    if (!x->sampler)
        return list;
    for (size_t i = 0; i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        if (c->kind != METER_TEMPERATURE || c->status == QUANTITY_ABSENT || !channel_is_ours(x, c))
            continue;
        g_autoptr(GArray) points = sampler_series(x->sampler, i, x->warmup.t0_ns, clock_mono_ns());
        for (guint k = 0; k < points->len; k++) {
            const struct meter_point *p = &g_array_index(points, struct meter_point, k);
            struct energy_temperature t = {p->first_ns, (double)p->raw * c->scale};
            /* A temperature that stays is one run of equal readings: once a second is often enough to say so. */
            for (; p->status == METER_READ_OK && t.t_ns <= p->last_ns; t.t_ns += NS_PER_S)
                g_array_append_val(list, t);
        }
        break; /* one board is enough for a gate: the first */
    }
    return list;
}

/* One warm-up iteration: as many prompts of the warm-up set, in turn, as the engine will work on at once. Its measure is
 * the time of a decode step (prompts differ in length, steps do not). */
static bool iterate(struct experiment *x, size_t iteration, double *ret_per_token_s, GError **error)
{
    int64_t batch = WARMUP_BATCH_FIRST + (int64_t)iteration;
    size_t n = concurrency(x);
    g_autofree struct engine_tokens *turn = g_new0(struct engine_tokens, n);
    for (size_t i = 0; i < n; i++)
        turn[i] = x->warm_tokens[(iteration * n + i) % x->warm_prompts.n]; /* borrowed ids */
    struct engine_generation g = {0};
    bool ok = prepare(x, batch, turn, n, NULL, error) &&
              engine_generate(x->engine, &batch, 1, experiment_deadline(x), &g, error);
    if (ok) {
        const struct engine_request *q = &g.requests[0];
        int64_t from_ns = q->n_out > 1 ? q->stamps_ns[0] : g.t0_ns;
        size_t tokens = q->n_out > 1 ? q->n_out - 1 : 1;
        *ret_per_token_s = (double)(g.t1_ns - from_ns) / (double)NS_PER_S / (double)tokens;
    }
    engine_generation_clear(&g);
    return ok;
}

static struct energy_steady_rule steady_rule(const struct config *config)
{
    struct energy_steady_rule rule = energy_steady_default;
    rule.cv_max = config_real(config, FIELD_WARMUP_CV_THRESHOLD);
    rule.slope_max = config_real(config, FIELD_WARMUP_SLOPE_THRESHOLD);
    rule.last = MAX(rule.last, (size_t)config_int(config, FIELD_WARMUP_N_WARMUP));
    rule.iterations_max = (size_t)config_int(config, FIELD_WARMUP_MAX_PROMPTS);
    return rule;
}

bool phase_warmup(struct experiment *x, GError **error)
{
    if (!config_bool(x->config, FIELD_WARMUP_ENABLED))
        return true;
    struct energy_steady_rule rule = steady_rule(x->config);
    int64_t thermal_ns = config_ns(x->config, FIELD_WARMUP_THERMAL_FLOOR_SECONDS);
    size_t at_least = (size_t)config_int(x->config, FIELD_WARMUP_N_WARMUP);
    g_autoptr(GArray) latencies = g_array_new(FALSE, FALSE, sizeof(double));
    x->warmup.tick0 = ticks_read(x, 1);
    x->warmup.t0_ns = clock_mono_ns();
    experiment_mark(x, "warmup.begin", x->warmup.t0_ns);
    for (;;) {
        double latency;
        if (!experiment_check(x, error) || !iterate(x, latencies->len, &latency, error))
            return false;
        g_array_append_val(latencies, latency);
        /* The thermal floor is a maximum: past it the temperature is no longer waited for. */
        g_autoptr(GArray) heat = temperatures(x);
        if (clock_mono_ns() - x->warmup.t0_ns > thermal_ns)
            g_array_set_size(heat, 0);
        x->steady = energy_steady(&rule, (const double *)(const void *)latencies->data, latencies->len,
                                  (const struct energy_temperature *)(const void *)heat->data, heat->len,
                                  clock_mono_ns() - x->warmup.t0_ns);
        if (latencies->len >= at_least && (x->steady.steady || x->steady.timed_out))
            break;
    }
    x->warmup.t1_ns = clock_mono_ns();
    x->warmup.tick1 = ticks_read(x, 2);
    x->warmup_iterations = latencies->len;
    experiment_mark(x, "warmup.end", x->warmup.t1_ns);
    if (!x->steady.steady)
        flag_raise(x->result, FLAG_NOT_STEADY);
    return true;
}

/* --- the measured window ------------------------------------------------------------------------------------------- */

static enum energy_guard_state guard_state(struct experiment *x, GPtrArray *scopes)
{
    enum energy_guard_state worst = ENERGY_GUARD_SETTLED;
    int64_t now = clock_mono_ns();
    for (guint i = 0; i < scopes->len; i++)
        scope_load(x, g_ptr_array_index(scopes, i), x->window.guard_from_ns, now, NULL);
    g_autoptr(GArray) channels = scope_channels(scopes);
    for (guint i = 0; i < channels->len; i++) {
        const struct energy_channel *c = &g_array_index(channels, struct energy_channel, i);
        enum energy_guard_state state = energy_guard_settled(c, &x->guard, &x->window, now);
        if (state == ENERGY_GUARD_WAIT || state == ENERGY_GUARD_EXTEND)
            return state;
        if (state == ENERGY_GUARD_GIVE_UP)
            worst = state;
    }
    return worst;
}

static bool guard_after(struct experiment *x, GPtrArray *scopes, GError **error)
{
    int64_t t1 = x->window.t1_ns;
    if (!experiment_wait_until(x, t1 + x->guard.post_ns, error))
        return false;
    for (;;) {
        enum energy_guard_state state = guard_state(x, scopes);
        bool late = clock_mono_ns() > t1 + x->guard.limit_ns + x->guard.post_ns;
        x->guard_gave_up = state == ENERGY_GUARD_GIVE_UP || late;
        if (state == ENERGY_GUARD_SETTLED || x->guard_gave_up)
            break;
        int64_t more = state == ENERGY_GUARD_EXTEND ? x->guard.hold_ns : GUARD_POLL_NS;
        if (!experiment_wait_until(x, clock_mono_ns() + more, error))
            return false;
    }
    return true;
}

static int64_t gaps_of(const struct engine_generation *g)
{
    int64_t gap = 0;
    for (size_t i = 1; i < g->n_batches; i++)
        gap += MAX(0, g->batches[i].t0_ns - g->batches[i - 1].t1_ns);
    return gap;
}

/* Releases the batches back to back; where a sensor sees only a part of each period, each repeat after a seeded pause of up
 * to one period, so that the work does not meet the sensor always in the same phase. Not each batch: the pauses would then
 * weigh on small batches alone, and a sweep over their size would compare pauses. */
static bool release(struct experiment *x, const GArray *batches, GError **error)
{
    const int64_t *numbers = (const int64_t *)(const void *)batches->data;
    size_t per_repeat = batches->len / (size_t)x->repeats;
    if (x->dither_ns == 0 || x->repeats == 1)
        return engine_generate(x->engine, numbers, batches->len, experiment_deadline(x), &x->generation, error);
    g_autoptr(GRand) rng = g_rand_new_with_seed((guint32)config_int(x->config, FIELD_RANDOM_SEED));
    for (size_t i = 0; i < batches->len; i += per_repeat) {
        struct engine_generation one = {0};
        int64_t pause_ns = (int64_t)(g_rand_double(rng) * (double)x->dither_ns);
        if (!experiment_wait_until(x, clock_mono_ns() + pause_ns, error) ||
            !engine_generate(x->engine, &numbers[i], per_repeat, experiment_deadline(x), &one, error))
            return false;
        engine_generation_append(&x->generation, &one);
    }
    return true;
}

/* The prompts of a repeat. With a prefix cache the later ones would not be computed again, so each repeat then has a set
 * of its own, of the same lengths. New array, freed with engine_tokens_free(…, x->prompts.n). */
static struct engine_tokens *set_of_repeat(const struct experiment *x, int64_t repeat)
{
    struct engine_tokens *set = g_new0(struct engine_tokens, x->prompts.n);
    for (size_t i = 0; i < x->prompts.n; i++) {
        const struct engine_tokens *t = &x->tokens[i];
        set[i] = (struct engine_tokens){.ids = g_new(int32_t, t->n), .n = t->n};
        workload_ids_turn(t->ids, t->n, x->loaded.prefix_cache ? (size_t)repeat : 0, set[i].ids);
    }
    return set;
}

/* Hands the set over in batches, whose numbers are added to the list. */
static bool prepare_set(struct experiment *x, const struct engine_tokens *set, GArray *batches, bool *all_quiescent,
                        GError **error)
{
    size_t size = batch_size(x);
    for (size_t at = 0; at < x->prompts.n; at += size) {
        int64_t number = (int64_t)batches->len + 1;
        bool quiescent = true;
        if (!prepare(x, number, &set[at], MIN(size, x->prompts.n - at), &quiescent, error))
            return false;
        g_array_append_val(batches, number);
        *all_quiescent = *all_quiescent && quiescent;
    }
    return true;
}

/* Hands over the prompts in batches, as often as they are repeated. New array of batch numbers, NULL after an error. */
static GArray *prepare_block(struct experiment *x, GError **error)
{
    g_autoptr(GArray) batches = g_array_new(FALSE, FALSE, sizeof(int64_t));
    bool all_quiescent = true;
    for (int64_t repeat = 0; repeat < x->repeats; repeat++) {
        struct engine_tokens *set = set_of_repeat(x, repeat);
        bool ok = prepare_set(x, set, batches, &all_quiescent, error);
        engine_tokens_free(set, x->prompts.n);
        if (!ok)
            return NULL;
    }
    if (!all_quiescent)
        flag_raise(x->result, FLAG_NOT_QUIESCENT);
    return g_steal_pointer(&batches);
}

/* One block: the prompts, x->repeats times back to back, between two guards. */
static bool measure_block(struct experiment *x, GPtrArray *scopes, GError **error)
{
    engine_generation_clear(&x->generation);
    g_clear_pointer(&x->block.tick0, g_free);
    g_clear_pointer(&x->block.tick1, g_free);
    if (!engine_reset(x->engine, true, true, experiment_deadline(x), NULL, NULL, error))
        return false;
    g_autoptr(GArray) batches = prepare_block(x, error);
    if (!batches)
        return false;
    machine_see_strangers(x);
    x->window.guard_from_ns = clock_mono_ns();
    x->use_pre = machine_use_now(x);
    if (x->sensors_need_quiet &&
        !experiment_wait_until(x, x->window.guard_from_ns + x->guard.pre_ns, error))
        return false;
    x->use_before = machine_use_now(x);
    x->block.tick0 = ticks_read(x, 1);
    if (!release(x, batches, error))
        return false;
    x->block.tick1 = ticks_read(x, 2);
    x->use_after = machine_use_now(x);
    x->window.t0_ns = x->generation.t0_ns;
    x->window.t1_ns = x->generation.t1_ns;
    x->block.t0_ns = x->window.t0_ns;
    x->block.t1_ns = x->window.t1_ns;
    x->window.repeats = x->repeats;
    x->window.gap_ns = gaps_of(&x->generation);
    if (x->sensors_need_quiet && !guard_after(x, scopes, error))
        return false;
    x->window.guard_to_ns = clock_mono_ns();
    x->use_post = machine_use_now(x);
    machine_see_strangers(x);
    if (!x->sensors_need_quiet) {
        x->window.guard_from_ns = x->window.t0_ns;
        x->window.guard_to_ns = x->window.t1_ns;
    }
    experiment_mark(x, "window.begin", x->window.t0_ns);
    experiment_mark(x, "window.end", x->window.t1_ns);
    return true;
}

/* How many repeats, with their guards, the time that is left allows. A block that could not end would cost the one that
 * is there. */
static int64_t affordable_repeats(const struct experiment *x)
{
    int64_t guards_ns = x->guard.pre_ns + x->guard.post_ns + x->guard.limit_ns + TEARDOWN_NS;
    int64_t one_ns = MAX(1, (x->window.t1_ns - x->window.t0_ns) / x->repeats + x->dither_ns);
    return (x->deadline_ns - clock_mono_ns() - guards_ns) / one_ns;
}

/* How many repeats the block should hold for the uncertainty asked for; the current number when it suffices. */
static int64_t wanted_repeats(struct experiment *x, GPtrArray *scopes)
{
    struct scope *scope = scope_primary(x, scopes);
    if (!scope || !x->sensors_need_quiet)
        return x->repeats;
    int64_t most = config_int(x->config, FIELD_ENERGY_MAX_REPEATS);
    scope_load(x, scope, x->window.guard_from_ns, x->window.guard_to_ns, &x->block);
    g_auto(owned_estimate) e = {0};
    scope_estimate(x, scope, &x->window, &e, NULL);
    int64_t wanted = e.flags & ENERGY_FLAG(BELOW_RESOLUTION) ? e.recommended_repeats : 1;
    if (e.flags & ENERGY_FLAG(PHASE_LOCKED))
        wanted = MAX(wanted, REPEATS_WHEN_LOCKED);
    most = MIN(most, affordable_repeats(x));
    return CLAMP(wanted, x->repeats, MAX(most, x->repeats));
}

/* The longest period of a sensor that sees only a part of it; 0: none. */
static int64_t dither(const GArray *channels)
{
    int64_t longest = 0;
    for (guint i = 0; i < channels->len; i++) {
        const struct energy_channel *c = &g_array_index(channels, struct energy_channel, i);
        int64_t period_ns = c->period_ns > 0 ? c->period_ns : c->info->refresh_ns;
        if (c->info->window_ns > 0 && c->info->window_ns < period_ns)
            longest = MAX(longest, period_ns);
    }
    return longest;
}

/* Quiet time and pauses for the sensors as they are known by now. */
static void plan(struct experiment *x, GPtrArray *scopes)
{
    g_autoptr(GArray) channels = scope_channels(scopes);
    x->guard = energy_plan_guard((const struct energy_channel *)(const void *)channels->data, channels->len);
    if (config_has(x->config, FIELD_ENERGY_GUARD_MS))
        x->guard.pre_ns = x->guard.post_ns = config_ns(x->config, FIELD_ENERGY_GUARD_MS);
    x->dither_ns = dither(channels);
}

/* A sensor slower than was known wants longer guards: whether the block is to be measured once more with them. */
static bool replan(struct experiment *x, GPtrArray *scopes)
{
    int64_t before_ns = x->guard.post_ns;
    plan(x, scopes);
    return x->guard.post_ns > before_ns && affordable_repeats(x) >= x->repeats;
}

bool phase_measure(struct experiment *x, GError **error)
{
    g_autoptr(GPtrArray) scopes = scopes_find(x);
    scopes_learn_follow(x, scopes);
    plan(x, scopes);
    x->repeats = 1;
    if (!measure_block(x, scopes, error))
        return false;
    x->period_changed = x->sensors_need_quiet && scopes_learn_periods(x, scopes);
    bool again = x->period_changed && replan(x, scopes);
    int64_t wanted = wanted_repeats(x, scopes);
    if (!again && wanted <= x->repeats)
        return true;
    x->period_changed = x->period_changed && !again;
    g_autofree char *text =
        again ? g_strdup("a sensor is slower than was known: once more with longer guards")
              : g_strdup_printf("too short for the sensor: %" G_GINT64_FORMAT " repeats in one window", wanted);
    experiment_say(x, text);
    x->repeats = wanted;
    return measure_block(x, scopes, error);
}
