/* SPDX-License-Identifier: MIT */
/* Which channels count for which scope, and the joules of a stretch. */
#include "experiment/internal.h"
#include "experiment/machine.h"

#include <math.h>
#include <string.h>

#define TICK_TIMEOUT_NS (20 * NS_PER_MS) /* fast counters tick every ms or so */
#define FAST_PERIOD_NS  (2 * NS_PER_MS)

bool channel_is_ours(const struct experiment *x, const struct meter_channel *c)
{
    return !meter_channel_of_board(c) || (x->loaded.on_gpu && machine_board_is_bound(x, c->device));
}

bool sensors_need_quiet(const struct experiment *x)
{
    for (size_t i = 0; i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        if (channel_is_energy(c) && c->status != QUANTITY_MODELLED && channel_is_ours(x, c))
            return true;
    }
    return false;
}

static void board_free(gpointer data)
{
    struct scope_board *b = data;
    g_free((void *)(uintptr_t)b->counter.points);
    g_free((void *)(uintptr_t)b->average.points);
    g_free((void *)(uintptr_t)b->instant.points);
    g_free(b);
}

static void scope_free(gpointer data)
{
    struct scope *s = data;
    g_ptr_array_unref(s->boards);
    g_free(s);
}

/* NULL: no scope of that name yet. */
static struct scope *scope_named(const GPtrArray *scopes, const char *name)
{
    for (guint i = 0; i < scopes->len; i++) {
        struct scope *s = g_ptr_array_index(scopes, i);
        if (!strcmp(s->name, name))
            return s;
    }
    return NULL;
}

static struct scope *scope_of(GPtrArray *scopes, const char *name)
{
    struct scope *s = scope_named(scopes, name);
    if (s)
        return s;
    s = g_new0(struct scope, 1);
    s->name = name;
    s->boards = g_ptr_array_new_with_free_func(board_free);
    g_ptr_array_add(scopes, s);
    return s;
}

static struct scope_board *board_of(struct scope *scope, const char *device)
{
    for (guint i = 0; i < scope->boards->len; i++) {
        struct scope_board *b = g_ptr_array_index(scope->boards, i);
        if (!strcmp(b->device, device))
            return b;
    }
    struct scope_board *b = g_new0(struct scope_board, 1);
    b->device = device;
    b->board.idle_w = b->board.limit_w = NAN;
    g_ptr_array_add(scope->boards, b);
    return b;
}

static struct energy_channel *slot_of(struct scope_board *b, enum meter_kind kind)
{
    return kind == METER_ENERGY ? &b->counter : kind == METER_POWER_AVERAGE ? &b->average : &b->instant;
}

static void calibrate(struct experiment *x, struct scope_board *b)
{
    if (!config_has(x->config, FIELD_ENERGY_CALIBRATION))
        return;
    g_autoptr(GError) error = NULL;
    if (energy_calibration_load(config_string(x->config, FIELD_ENERGY_CALIBRATION), b->device, &b->calibration, &error))
        b->board.calibration = &b->calibration;
    else if (error)
        result_warn(x->result, "calibration of %s not used: %s", b->device, error->message);
}

/* The idle level, once it was taken, is the least a board draws at work. */
static void bound_from_below(struct experiment *x, struct scope *scope)
{
    const struct stretch *at = &x->idle_context.at;
    if (at->t1_ns == 0)
        return;
    scope_load(x, scope, at->t0_ns, at->t1_ns, NULL);
    for (guint i = 0; i < scope->boards->len; i++) {
        struct scope_board *b = g_ptr_array_index(scope->boards, i);
        struct energy_baseline level;
        energy_baseline_measure(&b->board, at->t0_ns, at->t1_ns, &level);
        if (level.watts.status != QUANTITY_ABSENT)
            b->board.idle_w = level.watts.value;
    }
}

const char *sensor_fault(const struct meter_sensor *seen)
{
    return seen->stuck        ? "the counter stands still"
           : seen->decreasing ? "the counter went back"
                              : "its readings are implausible";
}

/* NULL: it has none. */
static const struct energy_channel *first_channel(const struct scope_board *b)
{
    return b->board.counter ? b->board.counter : b->board.average ? b->board.average : b->board.instant;
}

/* Boards and packages of ours that belong to a scope and have no channel there: the sum over the scope needs them, so
 * they are in it, and say why it is absent. */
static void add_missing_boards(struct experiment *x, GPtrArray *scopes)
{
    for (size_t i = 0; x->sampler && i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        struct meter_sensor seen;
        struct scope *scope = scope_named(scopes, c->scope);
        if (!scope || !channel_gives_joules(c) || !channel_is_ours(x, c))
            continue;
        struct scope_board *b = board_of(scope, c->device);
        if (first_channel(b) || b->why)
            continue;
        bool watched = meter_characterisation_get(x->characterisation, c->id, &seen) && !seen.usable;
        b->why = c->reason ? c->reason : watched ? sensor_fault(&seen) : "no channel of it can be used";
    }
}

GPtrArray *scopes_find(struct experiment *x)
{
    GPtrArray *scopes = g_ptr_array_new_with_free_func(scope_free);
    for (size_t i = 0; x->sampler && i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        struct meter_sensor seen = {.usable = true};
        if (!channel_is_energy(c) || !channel_is_ours(x, c)) /* other boards only tell of foreign work (machine.c) */
            continue;
        if (c->status != QUANTITY_MODELLED) /* CPU time of an engine that was not there yet stood still, of course */
            meter_characterisation_get(x->characterisation, c->id, &seen);
        if (!seen.usable)
            continue; /* report_sensors() says so */
        struct scope_board *b = board_of(scope_of(scopes, c->scope), c->device);
        struct energy_channel *slot = slot_of(b, c->kind);
        if (!slot->info)
            *slot = (struct energy_channel){
                .info = c, .period_ns = seen.period_ns, .follows_average = seen.follows_average};
        b->board.counter = b->counter.info ? &b->counter : NULL;
        b->board.average = b->average.info ? &b->average : NULL;
        b->board.instant = b->instant.info ? &b->instant : NULL;
        if (c->max_power_w > 0)
            b->board.limit_w = c->max_power_w / METER_PLAUSIBLE_SHARE;
    }
    add_missing_boards(x, scopes);
    for (guint i = 0; i < scopes->len; i++) {
        struct scope *s = g_ptr_array_index(scopes, i);
        bound_from_below(x, s);
        for (guint k = 0; k < s->boards->len; k++)
            calibrate(x, g_ptr_array_index(s->boards, k));
    }
    return scopes;
}

GArray *scope_channels(GPtrArray *scopes)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_channel));
    for (guint i = 0; i < scopes->len; i++) {
        struct scope *s = g_ptr_array_index(scopes, i);
        for (guint k = 0; k < s->boards->len; k++) {
            struct scope_board *b = g_ptr_array_index(s->boards, k);
            const struct energy_channel *all[] = {b->board.counter, b->board.average, b->board.instant};
            for (size_t j = 0; j < G_N_ELEMENTS(all); j++)
                if (all[j] && all[j]->info->status != QUANTITY_MODELLED)
                    g_array_append_val(list, *all[j]);
        }
    }
    return list;
}

struct meter_reading *ticks_read(struct experiment *x, int n)
{
    struct meter_reading *ticks = g_new0(struct meter_reading, meter_channel_count(x->meter));
    for (size_t i = 0; i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        bool modelled = c->status == QUANTITY_MODELLED;
        bool fast = modelled || (c->refresh_ns > 0 && c->refresh_ns <= FAST_PERIOD_NS);
        if (c->kind != METER_ENERGY || c->status == QUANTITY_ABSENT || !fast)
            continue;
        for (int k = 0; k < (modelled ? 1 : n); k++)
            meter_read_tick(x->meter, i, modelled ? 0 : TICK_TIMEOUT_NS, &ticks[i]);
    }
    return ticks;
}

static bool was_read(const struct meter_reading *ticks, size_t index)
{
    return ticks && ticks[index].status == METER_READ_OK;
}

static void load_channel(struct experiment *x, struct energy_channel *c, int64_t from_ns, int64_t to_ns,
                         const struct stretch *ticks)
{
    if (!c->info)
        return;
    size_t index = (size_t)meter_channel_find(x->meter, c->info->id);
    g_free((void *)(uintptr_t)c->points);
    GArray *points = sampler_series(x->sampler, index, from_ns, to_ns);
    c->count = points->len;
    c->points = (const struct meter_point *)(void *)g_array_free(points, FALSE);
    bool both = ticks && was_read(ticks->tick0, index) && was_read(ticks->tick1, index);
    c->tick0 = both ? &ticks->tick0[index] : NULL;
    c->tick1 = both ? &ticks->tick1[index] : NULL;
}

void scope_load(struct experiment *x, struct scope *scope, int64_t from_ns, int64_t to_ns, const struct stretch *ticks)
{
    for (guint i = 0; i < scope->boards->len; i++) {
        struct scope_board *b = g_ptr_array_index(scope->boards, i);
        load_channel(x, &b->counter, from_ns, to_ns, ticks);
        load_channel(x, &b->average, from_ns, to_ns, ticks);
        load_channel(x, &b->instant, from_ns, to_ns, ticks);
    }
}

/* --- what the run shows of its sensors -------------------------------------------------------------------------------- */

static void learn(struct experiment *x, const struct energy_channel *c)
{
    meter_characterisation_learn(x->characterisation, c->info->id, c->period_ns, c->follows_average);
}

static void keep_learned(struct experiment *x, bool learned)
{
    if (learned)
        meter_characterisation_save(x->meter, x->characterisation, NULL); /* not kept: the next run may learn it again */
}

void scopes_learn_follow(struct experiment *x, GPtrArray *scopes)
{
    bool learned = false;
    for (guint i = 0; x->warmup.t1_ns && i < scopes->len; i++) {
        struct scope *s = g_ptr_array_index(scopes, i);
        scope_load(x, s, x->warmup.t0_ns - NS_PER_S, x->warmup.t1_ns + NS_PER_S, NULL);
        for (guint k = 0; k < s->boards->len; k++) {
            struct scope_board *b = g_ptr_array_index(s->boards, k);
            if (!b->board.counter || !b->board.average || !b->board.instant || b->counter.follows_average)
                continue;
            b->counter.follows_average = energy_follows_average(&b->counter, &b->average, &b->instant);
            if (!b->counter.follows_average)
                continue;
            learn(x, &b->counter);
            learned = true;
        }
    }
    keep_learned(x, learned);
}

bool scopes_learn_periods(struct experiment *x, GPtrArray *scopes)
{
    bool learned = false;
    for (guint i = 0; i < scopes->len; i++) {
        struct scope *s = g_ptr_array_index(scopes, i);
        scope_load(x, s, x->window.guard_from_ns, x->window.guard_to_ns, NULL);
        for (guint k = 0; k < s->boards->len; k++) {
            struct scope_board *b = g_ptr_array_index(s->boards, k);
            int64_t period_ns = b->board.counter ? energy_period_changed(&b->counter, &x->window) : 0;
            if (period_ns == 0)
                continue;
            b->counter.period_ns = period_ns;
            learn(x, &b->counter);
            learned = true;
        }
    }
    keep_learned(x, learned);
    return learned;
}

/* --- the scope that counts -------------------------------------------------------------------------------------------- */

enum quantity_status scope_status(const struct scope *scope)
{
    for (guint i = 0; i < scope->boards->len; i++) {
        const struct energy_channel *c = first_channel(g_ptr_array_index(scope->boards, i));
        if (c)
            return c->info->status;
    }
    return QUANTITY_ABSENT; /* not reached: a scope begins with a channel */
}

bool scope_is_gpu(const struct scope *scope)
{
    return meter_scope_of_boards(meter_scope_find(scope->name));
}

/* The source of a scope's first channel; NULL: not reached. */
static const char *scope_source(const struct scope *scope)
{
    for (guint i = 0; i < scope->boards->len; i++) {
        const struct energy_channel *c = first_channel(g_ptr_array_index(scope->boards, i));
        if (c)
            return c->info->source;
    }
    return NULL;
}

/* Order of preference: boards the engine works on, then processor packages, other measured scopes, then the model. */
static int rank(const struct experiment *x, const struct scope *scope)
{
    const struct meter_scope *row = meter_scope_find(scope->name);
    if (meter_scope_of_boards(row) && !x->loaded.on_gpu)
        return METER_COUNTS_NEVER;
    bool named = !g_strcmp0(config_string(x->config, FIELD_ENERGY_BACKEND), scope_source(scope));
    return row->preference == METER_COUNTS_IF_NAMED && !named ? METER_COUNTS_NEVER : row->preference;
}

struct scope *scope_primary(struct experiment *x, GPtrArray *scopes)
{
    struct scope *best = NULL;
    for (guint i = 0; i < scopes->len; i++) {
        struct scope *s = g_ptr_array_index(scopes, i);
        if (rank(x, s) < METER_COUNTS_NEVER && (!best || rank(x, s) < rank(x, best)))
            best = s;
    }
    return best;
}

/* Stamps of the longest request: its steps are the engine's steps. */
static void use_stamps(const struct experiment *x, struct energy_options *options)
{
    for (size_t i = 0; i < x->generation.n_requests; i++) {
        const struct engine_request *q = &x->generation.requests[i];
        if (q->n_out > options->stamp_count) {
            options->stamps_ns = q->stamps_ns;
            options->stamp_count = q->n_out;
        }
    }
}

void scope_estimate(struct experiment *x, struct scope *scope, const struct energy_window *window,
                    struct energy_estimate *ret, json_t *per_board)
{
    struct energy_options options = {.resolution = config_real(x->config, FIELD_ENERGY_TARGET_UNCERTAINTY)};
    if (window == &x->window)
        use_stamps(x, &options);
    guint n = scope->boards->len;
    g_autofree struct energy_estimate *boards = g_new0(struct energy_estimate, n);
    for (guint i = 0; i < n; i++) {
        const struct scope_board *b = g_ptr_array_index(scope->boards, i);
        energy_estimate_board(&b->board, window, &options, &boards[i]);
        if (b->why)
            energy_estimate_missing(b->device, scope->name, b->why, &boards[i]);
    }
    energy_sum(boards, n, ret);
    for (guint i = 0; i < n; i++) {
        if (per_board)
            json_array_append_new(per_board, energy_estimate_json(&boards[i]));
        energy_estimate_clear(&boards[i]);
    }
}
