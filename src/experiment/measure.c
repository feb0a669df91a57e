/* SPDX-License-Identifier: MIT */
/* The measured block: the work, between two guards, as often in one window as its sensors need. */
#include "experiment/internal.h"
#include "experiment/machine.h"
#include "experiment/state.h"
#include "experiment/steps.h"
#include "experiment/watch.h"
#include "workload/workload.h"

#include <math.h>
#include <string.h>

#define REPEATS_WHEN_LOCKED 4 /* dithered: docs/methodology.md */
#define TEARDOWN_NS         (10 * NS_PER_S)
#define GUARD_POLL_NS       (100 * NS_PER_MS)
#define RESTED_NS           (2 * NS_PER_S) /* after this an engine is warmed up once more */
#define AGAIN_FIRST         1000000        /* numbers of these iterations */
#define JOINED_IDS_MAX      (4u << 20)     /* of 11 bytes at most, below LIMIT_ENGINE_LINE_BYTES */
#define HALF_WIDTH_OF_ENDS  0.8 /* 95 % of two rectangular parts of width 1: 1.96·√(2/12) */

/* What the functions of this file share: all that a block needs, and nothing that one fills. */
struct setting {
    const struct inputs *in;
    const struct pace *pace;
    const struct session *session;
    const struct warmup *warmup;
    struct sensors *sensors;
};

void block_clear(struct block *block)
{
    engine_generation_clear(&block->generation);
    g_clear_pointer(&block->steps, g_array_unref);
    stretch_clear(&block->at);
    watch_free(block->watch);
    *block = (struct block){0};
}

/* --- how it is to be measured ------------------------------------------------------------------------------------ */

/* The longest period of a sensor that sees only a part of it; 0: none. */
static int64_t dither(const GArray *channels)
{
    int64_t longest = 0;
    for (guint i = 0; i < channels->len; i++) {
        const struct energy_channel *c = &g_array_index(channels, struct energy_channel, i);
        longest = MAX(longest, energy_dither_ns(c));
    }
    return longest;
}

/* Quiet time and pauses for the sensors as they are known by now. */
static struct block_plan plan_for(const struct setting *s, int64_t repeats)
{
    g_autoptr(GArray) channels = sensors_channels(s->sensors);
    /* Requests that are kept in flight know no pause between repeats. */
    struct block_plan plan = {.repeats = repeats, .dither_ns = inputs_in_flight(s->in) ? 0 : dither(channels)};
    plan.guard = energy_plan_guard((const struct energy_channel *)(const void *)channels->data, channels->len);
    if (config_has(s->in->config, FIELD_ENERGY_GUARD_MS))
        plan.guard.pre_ns = plan.guard.post_ns = config_ns(s->in->config, FIELD_ENERGY_GUARD_MS);
    return plan;
}

/* --- guards ------------------------------------------------------------------------------------------------------ */

static enum energy_guard_state guard_state(const struct sensors *sensors, const struct block *block)
{
    enum energy_guard_state worst = ENERGY_GUARD_SETTLED;
    int64_t now = clock_mono_ns();
    g_autoptr(owned_scopes) scopes = sensors_scopes(sensors, block->window.guard_from_ns, now, NULL);
    g_autoptr(GArray) channels = energy_scopes_channels(scopes);
    for (guint i = 0; i < channels->len; i++) {
        const struct energy_channel *c = &g_array_index(channels, struct energy_channel, i);
        enum energy_guard_state state = energy_guard_settled(c, &block->plan.guard, &block->window, now);
        if (state == ENERGY_GUARD_WAIT || state == ENERGY_GUARD_EXTEND)
            return state;
        if (state == ENERGY_GUARD_GIVE_UP)
            worst = state;
    }
    return worst;
}

static bool keep_quiet_after(const struct setting *s, struct block *block, GError **error)
{
    const struct energy_guard_plan *plan = &block->plan.guard;
    int64_t t1 = block->window.t1_ns;
    if (!pace_wait_until(s->pace, t1 + plan->post_ns, error))
        return false;
    for (;;) {
        enum energy_guard_state state = guard_state(s->sensors, block);
        bool late = clock_mono_ns() > t1 + plan->limit_ns + plan->post_ns;
        block->guard_gave_up = state == ENERGY_GUARD_GIVE_UP || late;
        if (state == ENERGY_GUARD_SETTLED || block->guard_gave_up)
            return true;
        int64_t more = state == ENERGY_GUARD_EXTEND ? plan->hold_ns : GUARD_POLL_NS;
        if (!pace_wait_until(s->pace, clock_mono_ns() + more, error))
            return false;
    }
}

/* --- batches ----------------------------------------------------------------------------------------------------- */

/* Between batches nothing worked; what the meter put there itself is no gap of the host's. */
static int64_t gaps_of(const struct block *block)
{
    const struct engine_generation *g = &block->generation;
    int64_t gap = 0;
    for (size_t i = 1; i < g->n_batches; i++)
        gap += MAX(0, g->batches[i].t0_ns - g->batches[i - 1].t1_ns);
    return MAX(0, gap - block->window.pause_ns);
}

static bool generate(const struct setting *s, const int64_t *batches, size_t n, struct energy_window *w,
                     GError **error)
{
    struct engine_work work;
    if (!engine_generate(s->session->engine, batches, n, (int64_t)inputs_in_flight(s->in), s->pace->deadline_ns, &work,
                         error))
        return false;
    if (w->t1_ns == 0)
        w->t0_ns = work.t0_ns;
    else
        w->pause_ns += MAX(0, work.t0_ns - w->t1_ns);
    w->t1_ns = work.t1_ns;
    return true;
}

/* Releases the batches back to back; where a sensor sees only a part of each period, each repeat after a seeded pause
 * of up to one period, so that the work does not meet the sensor always in the same phase. Not each batch: the pauses
 * would then weigh on small batches alone, and a sweep over their size would compare pauses. */
static bool release(const struct setting *s, const GArray *batches, struct block *block, GError **error)
{
    const int64_t *numbers = (const int64_t *)(const void *)batches->data;
    const struct block_plan *plan = &block->plan;
    struct energy_window *w = &block->window;
    size_t per_repeat = batches->len / (size_t)plan->repeats;
    if (plan->dither_ns == 0 || plan->repeats == 1)
        return generate(s, numbers, batches->len, w, error);
    g_autoptr(GRand) rng = g_rand_new_with_seed((guint32)config_int(s->in->config, FIELD_RANDOM_SEED));
    for (size_t i = 0; i < batches->len; i += per_repeat) {
        int64_t pause_ns = (int64_t)(g_rand_double(rng) * (double)plan->dither_ns);
        if (!pace_wait_until(s->pace, clock_mono_ns() + pause_ns, error) ||
            !generate(s, &numbers[i], per_repeat, w, error))
            return false;
    }
    return true;
}

/* The prompts of a repeat. With a prefix cache the later ones would not be computed again, so each repeat then has a
 * set of its own, of the same lengths. New array, freed with engine_tokens_free(…, session->n_prompts). */
static struct engine_tokens *set_of_repeat(const struct session *session, int64_t repeat)
{
    struct engine_tokens *set = g_new0(struct engine_tokens, session->n_prompts);
    for (size_t i = 0; i < session->n_prompts; i++) {
        const struct engine_tokens *t = &session->tokens[i];
        set[i] = (struct engine_tokens){.ids = g_new(int32_t, t->n), .n = t->n};
        workload_ids_turn(t->ids, t->n, session->loaded.prefix_cache ? (size_t)repeat : 0, set[i].ids);
    }
    return set;
}

/* Hands one batch over; its number is added to the list. */
static bool prepare_batch(const struct setting *s, const struct engine_tokens *tokens, size_t n, GArray *batches,
                          struct block *block, GError **error)
{
    int64_t number = (int64_t)batches->len + 1;
    bool quiescent = true;
    if (!session_prepare(s->in, s->pace, s->session, number, tokens, n, &quiescent, error))
        return false;
    g_array_append_val(batches, number);
    block->not_quiescent = block->not_quiescent || !quiescent;
    return true;
}

/* A set in batches. */
static bool prepare_set(const struct setting *s, const struct engine_tokens *set, GArray *batches,
                        struct block *block, GError **error)
{
    size_t size = inputs_batch_size(s->in), n = s->session->n_prompts;
    for (size_t at = 0; at < n; at += size)
        if (!prepare_batch(s, &set[at], MIN(size, n - at), batches, block, error))
            return false;
    return true;
}

/* Of requests that are kept in flight the repeats are one batch, as far as a line holds them: between two batches the
 * load would run dry. */
static bool prepare_joined(const struct setting *s, GArray *batches, struct block *block, GError **error)
{
    size_t n = s->session->n_prompts, per_batch = 0, ids = 0;
    for (size_t i = 0; i < n; i++)
        ids += s->session->tokens[i].n;
    size_t sets = MAX(1, JOINED_IDS_MAX / MAX(ids, 1)), repeats = (size_t)block->plan.repeats;
    g_autofree struct engine_tokens *joined = g_new0(struct engine_tokens, n * MIN(sets, repeats));
    bool ok = true;
    for (size_t from = 0; ok && from < repeats; from += per_batch) {
        per_batch = MIN(sets, repeats - from);
        for (size_t k = 0; k < per_batch; k++) {
            g_autofree struct engine_tokens *set = set_of_repeat(s->session, (int64_t)(from + k));
            memcpy(&joined[k * n], set, n * sizeof *set);
        }
        ok = prepare_batch(s, joined, per_batch * n, batches, block, error);
        for (size_t i = 0; i < per_batch * n; i++)
            g_free(joined[i].ids);
    }
    return ok;
}

/* Hands over the prompts in batches, as often as they are repeated. New array of batch numbers, NULL after an error. */
static GArray *prepare_all(const struct setting *s, struct block *block, GError **error)
{
    g_autoptr(GArray) batches = g_array_new(FALSE, FALSE, sizeof(int64_t));
    if (inputs_in_flight(s->in))
        return prepare_joined(s, batches, block, error) ? g_steal_pointer(&batches) : NULL;
    for (int64_t repeat = 0; repeat < block->plan.repeats; repeat++) {
        struct engine_tokens *set = set_of_repeat(s->session, repeat);
        bool ok = prepare_set(s, set, batches, block, error);
        engine_tokens_free(set, s->session->n_prompts);
        if (!ok)
            return NULL;
    }
    return g_steal_pointer(&batches);
}

/* --- one block --------------------------------------------------------------------------------------------------- */

/* What the end of the warm-up shows of the sensors, seen in the quiet behind it: a counter that follows the 1-s
 * average, how late readings are. */
static void learn_of_warmup(const struct setting *s, const struct block *block)
{
    const struct stretch *at = &s->warmup->at;
    if (!at->t1_ns || block->rests_from_ns != at->t1_ns) /* other work lies between: its steps are not the warm-up's */
        return;
    const struct energy_window w = {at->t0_ns - NS_PER_S, at->t0_ns, at->t1_ns, clock_mono_ns(), 1, 0, 0};
    g_autoptr(owned_scopes) scopes = sensors_scopes(s->sensors, w.guard_from_ns, w.guard_to_ns, NULL);
    g_autoptr(GArray) following = energy_scopes_following(scopes), lags = energy_scopes_lags(scopes, &w);
    sensors_learn(s->sensors, following);
    sensors_learn(s->sensors, lags);
}

/* The quiet before the work: as long as planned, and as long as what it shows of the sensors asks for. */
static bool keep_quiet_before(const struct setting *s, struct block *block, GError **error)
{
    int64_t from_ns = block->window.guard_from_ns;
    if (!pace_wait_until(s->pace, from_ns + block->plan.guard.pre_ns, error))
        return false;
    learn_of_warmup(s, block);
    struct block_plan now = plan_for(s, block->plan.repeats);
    block->plan.guard = now.guard;
    return pace_wait_until(s->pace, from_ns + now.guard.pre_ns, error);
}

/* The quiet before, the work, the quiet after: their order is all that matters here. */
static bool work_between_guards(const struct setting *s, const GArray *batches, struct block *block, GError **error)
{
    struct energy_window *w = &block->window;
    const struct engine_loaded *loaded = &s->session->loaded;
    bool quiet = s->sensors->need_quiet;
    cpu_state_take(loaded, &block->cpu_start);
    int64_t from_ns = w->guard_from_ns = clock_mono_ns();
    block->watch = watch_begin(loaded);
    block->use_pre = machine_use_now(loaded);
    if (quiet && !keep_quiet_before(s, block, error))
        return false;
    block->use_before = machine_use_now(loaded);
    block->began = clock_anchor_take();
    block->at.tick0 = sensors_ticks(s->sensors, 1);
    if (!release(s, batches, block, error))
        return false;
    block->at.tick1 = sensors_ticks(s->sensors, 2);
    cpu_state_take(loaded, &block->cpu_end);
    block->use_after = machine_use_now(loaded);
    block->at.t0_ns = w->t0_ns;
    block->at.t1_ns = w->t1_ns;
    w->repeats = block->plan.repeats;
    if (quiet && !keep_quiet_after(s, block, error))
        return false;
    w->guard_from_ns = quiet ? from_ns : w->t0_ns;
    w->guard_to_ns = quiet ? clock_mono_ns() : w->t1_ns;
    block->use_post = machine_use_now(loaded);
    watch_end(block->watch);
    return true;
}

/* An engine that has rested since the warm-up, or since the block before, has cooled and lowered its clocks. */
static bool warm_again(const struct setting *s, int64_t last_work_ns, struct block *block, GError **error)
{
    block->rests_from_ns = last_work_ns;
    if (!s->warmup->at.t1_ns || clock_mono_ns() - last_work_ns < RESTED_NS)
        return true;
    block->rewarmed = true;
    bool ok = warmup_again(s->in, s->pace, s->session, AGAIN_FIRST, error);
    block->rests_from_ns = clock_mono_ns();
    return ok;
}

/* last_work_ns: when the engine worked last. */
static bool measure_once(const struct setting *s, const struct block_plan *plan, int64_t last_work_ns,
                         struct machine *machine, struct block *ret, GError **error)
{
    bool emptied = false;
    *ret = (struct block){.plan = *plan};
    g_autoptr(GArray) batches = prepare_all(s, ret, error);
    if (!batches || !warm_again(s, last_work_ns, ret, error) ||
        !engine_reset(s->session->engine, true, true, s->pace->deadline_ns, &emptied, &ret->peak_restarted, error))
        return false;
    ret->resident_restarted = resident_restart_peaks(&s->session->loaded);
    ret->cache_kept = s->session->loaded.prefix_cache && !emptied;
    machine_see_strangers(machine, s->sensors->meter, &s->session->loaded);
    if (!work_between_guards(s, batches, ret, error) ||
        !engine_collect(s->session->engine, s->pace->deadline_ns, &ret->generation, error))
        return false;
    ret->window.gap_ns = gaps_of(ret);
    ret->steps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    steps_append(ret->steps, &ret->generation);
    machine_see_strangers(machine, s->sensors->meter, &s->session->loaded);
    sensors_mark(s->sensors, "window.begin", ret->window.t0_ns);
    sensors_mark(s->sensors, "window.end", ret->window.t1_ns);
    return true;
}

/* --- how often ----------------------------------------------------------------------------------------------- */

/* How many repeats, with their guards, the time that is left allows. A block that could not end would cost the one
 * that is there. */
static int64_t affordable_repeats(const struct pace *pace, const struct block_plan *plan, const struct block *block)
{
    int64_t guards_ns = plan->guard.pre_ns + plan->guard.post_ns + plan->guard.limit_ns + TEARDOWN_NS;
    int64_t work_ns = energy_window_work_ns(&block->window);
    int64_t one_ns = MAX(1, work_ns / block->plan.repeats + plan->dither_ns);
    return (pace->deadline_ns - suspend_clock_ns() - guards_ns) / one_ns;
}

struct energy_options block_options(const struct inputs *in, const struct block *block)
{
    return (struct energy_options){.resolution = config_real(in->config, FIELD_ENERGY_TARGET_UNCERTAINTY),
                                   .stamps_ns = (const int64_t *)(const void *)block->steps->data,
                                   .stamp_count = block->steps->len};
}

/* By what the energy of the block has shown. */
static int64_t repeats_by_estimate(const struct setting *s, const struct energy_scopes *scopes,
                                   const struct block *block)
{
    struct energy_options options = block_options(s->in, block);
    g_auto(owned_estimate) e = {0};
    energy_scope_estimate(scopes->primary, &block->window, &options, &e, NULL);
    int64_t wanted = e.flags & ENERGY_FLAG(BELOW_RESOLUTION) ? e.recommended_repeats : 1;
    return e.flags & ENERGY_FLAG(PHASE_LOCKED) ? MAX(wanted, REPEATS_WHEN_LOCKED) : wanted;
}

/* By what is known of the sensors that somebody else reads: each end of the window is known to a period and a step of
 * sampling, as two rectangular parts. */
static int64_t repeats_for_host(const struct setting *s, const struct block *block)
{
    g_autoptr(GArray) channels = sensors_host_channels(s->sensors);
    struct energy_guard_plan guard =
        energy_plan_guard((const struct energy_channel *)(const void *)channels->data, channels->len);
    double ends_ns = HALF_WIDTH_OF_ENDS *
                     (double)(guard.period_ns + config_ns(s->in->config, FIELD_ENERGY_SAMPLE_PERIOD_MS));
    double one_ns = (double)MAX(1, energy_window_work_ns(&block->window)) / (double)block->plan.repeats;
    return (int64_t)ceil(ends_ns / config_real(s->in->config, FIELD_ENERGY_TARGET_UNCERTAINTY) / one_ns);
}

/* How many repeats the block should hold for the uncertainty asked for; its own number when it suffices. */
static int64_t wanted_repeats(const struct setting *s, const struct block_plan *plan, const struct block *block)
{
    const struct energy_window *w = &block->window;
    g_autoptr(owned_scopes) scopes = sensors_scopes(s->sensors, w->guard_from_ns, w->guard_to_ns, &block->at);
    bool measured = scopes->primary && energy_scope_status(scopes->primary) != QUANTITY_MODELLED;
    int64_t wanted = 1;
    if (!s->sensors->need_quiet)
        return block->plan.repeats;
    if (!measured && account_known_serves(&s->sensors->host, false))
        wanted = repeats_for_host(s, block);
    else if (scopes->primary)
        wanted = repeats_by_estimate(s, scopes, block);
    int64_t most = MIN(config_int(s->in->config, FIELD_ENERGY_MAX_REPEATS), affordable_repeats(s->pace, plan, block));
    return CLAMP(wanted, block->plan.repeats, MAX(most, block->plan.repeats));
}

/* A sensor that is slower than was known; what the steps at both ends of the work say of its lag. */
static bool learn_of_block(const struct block *block, struct sensors *sensors)
{
    const struct energy_window *w = &block->window;
    g_autoptr(owned_scopes) scopes = sensors_scopes(sensors, w->guard_from_ns, w->guard_to_ns, NULL);
    g_autoptr(GArray) slower = energy_scopes_slower(scopes, w), lags = energy_scopes_lags(scopes, w);
    sensors_learn(sensors, lags);
    return sensors_learn(sensors, slower);
}

bool block_measure(const struct inputs *in, const struct pace *pace, const struct session *session,
                   const struct warmup *warmup, struct sensors *sensors, struct machine *machine, struct block *ret,
                   GError **error)
{
    const struct setting s = {in, pace, session, warmup, sensors};
    struct block_plan plan = plan_for(&s, 1);
    if (!measure_once(&s, &plan, warmup->at.t1_ns, machine, ret, error))
        return false;
    plan = ret->plan; /* its guards as they were kept */
    ret->period_changed = sensors->need_quiet && learn_of_block(ret, sensors);
    /* A sensor slower than was known wants longer guards: once more with them, where there is time. */
    struct block_plan longer = plan_for(&s, 1);
    bool again = ret->period_changed && longer.guard.post_ns > plan.guard.post_ns &&
                 affordable_repeats(pace, &longer, ret) >= plan.repeats;
    plan = ret->period_changed ? longer : plan;
    plan.repeats = wanted_repeats(&s, &plan, ret);
    if (!again && plan.repeats <= ret->plan.repeats)
        return true;
    bool changed = ret->period_changed && !again;
    g_autofree char *text =
        again ? g_strdup("a sensor is slower than was known: once more with longer guards")
              : g_strdup_printf("too short for the sensor: %" G_GINT64_FORMAT " repeats in one window", plan.repeats);
    pace_say(pace, text);
    int64_t worked_ns = ret->window.t1_ns;
    block_clear(ret);
    if (!measure_once(&s, &plan, worked_ns, machine, ret, error))
        return false;
    learn_of_block(ret, sensors);
    ret->period_changed = changed;
    return true;
}
