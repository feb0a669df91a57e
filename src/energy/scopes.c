/* SPDX-License-Identifier: MIT */
#include "energy/scopes.h"

#include "energy/internal.h"

#include <math.h>
#include <string.h>

/* --- what is known beforehand ------------------------------------------------------------------------------------ */

const struct meter_channel **energy_known_channels(const struct meter *meter)
{
    size_t n = meter_channel_count(meter);
    const struct meter_channel **channels = g_new0(const struct meter_channel *, n + 1);
    for (size_t i = 0; i < n; i++)
        channels[i] = meter_channel_at(meter, i);
    return channels;
}

void energy_known_sensors(const struct meter *meter, const json_t *characterisation, struct meter_sensor *ret)
{
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        ret[i] = (struct meter_sensor){.usable = true};
        meter_characterisation_get(characterisation, meter_channel_at(meter, i)->id, &ret[i]);
    }
}

bool energy_kind_gives_joules(enum meter_kind kind)
{
    return kind == METER_ENERGY || kind == METER_POWER_INSTANT || kind == METER_POWER_AVERAGE;
}

bool energy_channel_usable(const struct meter_channel *channel)
{
    return energy_kind_gives_joules(channel->kind) && channel->status != QUANTITY_ABSENT;
}

bool energy_channel_is_ours(const struct energy_known *known, const struct meter_channel *channel)
{
    if (!meter_channel_of_board(channel))
        return true;
    return known->on_boards && (!known->boards || g_strv_contains(known->boards, channel->device));
}

/* What watching showed of a channel; usable, with nothing known, where nobody watched. CPU time of an engine that was
 * not there yet stood still when it was watched: that says nothing of a model. */
static struct meter_sensor seen_of(const struct energy_known *known, size_t index)
{
    bool modelled = known->channels[index]->status == QUANTITY_MODELLED;
    return known->sensors && !modelled ? known->sensors[index] : (struct meter_sensor){.usable = true};
}

static const char *fault_of(const struct meter_sensor *seen)
{
    return seen->stuck        ? "the counter stands still"
           : seen->decreasing ? "the counter went back"
                              : "its readings are implausible";
}

/* --- what was read ----------------------------------------------------------------------------------------------- */

/* What one channel showed. */
struct series {
    const struct meter_channel *channel;
    GArray *points;
    struct meter_reading tick0, tick1;
    bool ticked;
};

struct energy_readings {
    GPtrArray *all; /* struct series * */
};

static void series_free(gpointer data)
{
    struct series *s = data;
    g_array_unref(s->points);
    g_free(s);
}

struct energy_readings *energy_readings_new(void)
{
    struct energy_readings *readings = g_new0(struct energy_readings, 1);
    readings->all = g_ptr_array_new_with_free_func(series_free);
    return readings;
}

void energy_readings_free(struct energy_readings *readings)
{
    if (!readings)
        return;
    g_ptr_array_unref(readings->all);
    g_free(readings);
}

void energy_readings_add(struct energy_readings *readings, const struct meter_channel *channel, GArray *points,
                         const struct meter_reading *tick0, const struct meter_reading *tick1)
{
    struct series *s = g_new0(struct series, 1);
    s->channel = channel;
    s->points = points;
    s->ticked = tick0 && tick1 && tick0->status == METER_READ_OK && tick1->status == METER_READ_OK;
    if (s->ticked) {
        s->tick0 = *tick0;
        s->tick1 = *tick1;
    }
    g_ptr_array_add(readings->all, s);
}

struct energy_readings *energy_readings_take(const struct energy_known *known, struct sampler *sampler,
                                             int64_t from_ns, int64_t to_ns, const struct energy_ticks *ticks)
{
    struct energy_readings *readings = energy_readings_new();
    for (size_t i = 0; i < known->channel_count; i++) {
        const struct meter_channel *c = known->channels[i];
        if (!energy_channel_usable(c) || !energy_channel_is_ours(known, c))
            continue;
        const struct meter_reading *before = ticks && ticks->before ? &ticks->before[i] : NULL;
        const struct meter_reading *after = ticks && ticks->after ? &ticks->after[i] : NULL;
        energy_readings_add(readings, c, sampler_series(sampler, i, from_ns, to_ns), before, after);
    }
    return readings;
}

struct energy_readings *energy_readings_replay(const struct energy_known *known, const struct meter_trace *trace,
                                               int64_t from_ns, int64_t to_ns)
{
    struct energy_readings *readings = energy_readings_new();
    for (size_t i = 0; i < known->channel_count; i++)
        if (energy_channel_usable(known->channels[i]) && energy_channel_is_ours(known, known->channels[i]))
            energy_readings_add(readings, known->channels[i], meter_trace_series(trace, i, from_ns, to_ns), NULL, NULL);
    return readings;
}

static void show(const struct energy_readings *readings, struct energy_channel *channel)
{
    for (guint i = 0; readings && i < readings->all->len; i++) {
        const struct series *s = g_ptr_array_index(readings->all, i);
        if (s->channel != channel->info)
            continue;
        channel->points = (const struct meter_point *)(const void *)s->points->data;
        channel->count = s->points->len;
        channel->tick0 = s->ticked ? &s->tick0 : NULL;
        channel->tick1 = s->ticked ? &s->tick1 : NULL;
        return;
    }
}

/* --- which channels make which board of which scope -------------------------------------------------------------- */

static void scope_free(gpointer data)
{
    struct energy_scope *s = data;
    g_ptr_array_unref(s->boards);
    g_free(s);
}

/* NULL: no scope of that name yet. */
static struct energy_scope *scope_named(const struct energy_scopes *scopes, const char *name)
{
    for (guint i = 0; i < scopes->all->len; i++) {
        struct energy_scope *s = g_ptr_array_index(scopes->all, i);
        if (!strcmp(s->name, name))
            return s;
    }
    return NULL;
}

static struct energy_scope *scope_of(struct energy_scopes *scopes, const char *name)
{
    struct energy_scope *s = scope_named(scopes, name);
    if (s)
        return s;
    s = g_new0(struct energy_scope, 1);
    s->name = name;
    s->row = meter_scope_find(name);
    s->boards = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(scopes->all, s);
    return s;
}

static double level_of(const struct energy_known *known, const char *scope, const char *device)
{
    for (size_t i = 0; i < known->level_count; i++)
        if (!strcmp(known->levels[i].scope, scope) && !strcmp(known->levels[i].device, device))
            return known->levels[i].watts;
    return NAN;
}

static const struct energy_calibration *calibration_of(const struct energy_known *known, const char *device)
{
    for (size_t i = 0; i < known->calibration_count; i++)
        if (!strcmp(known->calibrations[i].uuid, device))
            return &known->calibrations[i];
    return NULL;
}

static struct energy_scope_board *board_of(const struct energy_known *known, struct energy_scope *scope,
                                           const char *device)
{
    for (guint i = 0; i < scope->boards->len; i++) {
        struct energy_scope_board *b = g_ptr_array_index(scope->boards, i);
        if (!strcmp(b->device, device))
            return b;
    }
    struct energy_scope_board *b = g_new0(struct energy_scope_board, 1);
    b->scope = scope->name;
    b->device = device;
    b->board.idle_w = level_of(known, scope->name, device);
    b->board.limit_w = NAN;
    b->board.calibration = calibration_of(known, device);
    g_ptr_array_add(scope->boards, b);
    return b;
}

/* NULL: it has none. */
static const struct energy_channel *first_channel(const struct energy_scope_board *b)
{
    for (size_t i = 0; i < ENERGY_SLOT_COUNT; i++)
        if (b->channels[i].info)
            return &b->channels[i];
    return NULL;
}

static enum energy_slot slot_of(enum meter_kind kind)
{
    return kind == METER_ENERGY ? ENERGY_COUNTER : kind == METER_POWER_AVERAGE ? ENERGY_AVERAGE : ENERGY_INSTANT;
}

/* The first channel of a kind is the board's. */
static void board_add(struct energy_scope_board *b, const struct meter_channel *c, const struct meter_sensor *seen,
                      const struct energy_readings *readings)
{
    enum energy_slot slot = slot_of(c->kind);
    struct energy_channel *channel = &b->channels[slot];
    const struct energy_channel **places[] = {&b->board.counter, &b->board.average, &b->board.instant};
    if (c->max_power_w > 0)
        b->board.limit_w = c->max_power_w / METER_PLAUSIBLE_SHARE;
    if (channel->info)
        return;
    *channel =
        (struct energy_channel){.info = c, .period_ns = seen->period_ns, .follows_average = seen->follows_average,
                                .lag = seen->lag, .proof = seen->proof};
    show(readings, channel);
    *places[slot] = channel;
}

static void add_channels(const struct energy_known *known, struct energy_scopes *scopes)
{
    for (size_t i = 0; i < known->channel_count; i++) {
        const struct meter_channel *c = known->channels[i];
        struct meter_sensor seen = seen_of(known, i);
        if (energy_channel_usable(c) && energy_channel_is_ours(known, c) && seen.usable)
            board_add(board_of(known, scope_of(scopes, c->scope), c->device), c, &seen, scopes->readings);
    }
}

/* Why a channel that could give joules does not. */
static const char *why_unused(const struct energy_known *known, size_t index)
{
    bool faulty = known->sensors && !known->sensors[index].usable;
    const char *reason = known->channels[index]->reason;
    return reason ? reason : faulty ? fault_of(&known->sensors[index]) : "no channel of it can be used";
}

/* The scope that a channel without readings is missing in; NULL: none. What can never be measured keeps its place: no
 * other scope stands in for it. */
static struct energy_scope *scope_lacking(struct energy_scopes *scopes, const struct meter_channel *c)
{
    bool never = meter_scope_find(c->scope)->device == METER_DEVICE_INSTANCE;
    return never ? scope_of(scopes, c->scope) : scope_named(scopes, c->scope);
}

/* Boards and packages of ours that belong to a scope and have no channel there: the sum over the scope needs them, so
 * they are in it, and say why it is absent. */
static void add_missing_boards(const struct energy_known *known, struct energy_scopes *scopes)
{
    for (size_t i = 0; i < known->channel_count; i++) {
        const struct meter_channel *c = known->channels[i];
        if (!energy_kind_gives_joules(c->kind) || !energy_channel_is_ours(known, c))
            continue;
        struct energy_scope *scope = scope_lacking(scopes, c);
        if (!scope || g_ptr_array_find_with_equal_func(scopes->mirrors, c->device, g_str_equal, NULL))
            continue;
        struct energy_scope_board *b = board_of(known, scope, c->device);
        if (!first_channel(b) && !b->why)
            b->why = why_unused(known, i);
    }
}

static bool has_channels(const struct energy_known *known, const char *device)
{
    for (size_t i = 0; i < known->channel_count; i++)
        if (!strcmp(known->channels[i]->device, device))
            return true;
    return false;
}

/* Boards of ours that the driver does not open here: the sum over those it opens is not the run's. */
static void add_unseen_boards(const struct energy_known *known, struct energy_scopes *scopes)
{
    for (guint i = 0; i < scopes->all->len; i++) {
        struct energy_scope *s = g_ptr_array_index(scopes->all, i);
        for (const char *const *b = known->boards; b && *b && known->on_boards; b++)
            if (meter_scope_of_boards(s->row) && !has_channels(known, *b))
                board_of(known, s, *b)->why = "the driver does not open it here";
    }
}

static void list_boards(struct energy_scopes *scopes)
{
    for (guint i = 0; i < scopes->all->len; i++) {
        const struct energy_scope *s = g_ptr_array_index(scopes->all, i);
        for (guint k = 0; k < s->boards->len; k++)
            g_ptr_array_add(scopes->boards, g_ptr_array_index(s->boards, k));
    }
}

/* Counters that watching showed to stand still or go back: of any board, for they say something of the machine. */
static void add_warnings(const struct energy_known *known, struct energy_scopes *scopes)
{
    for (size_t i = 0; i < known->channel_count; i++) {
        const struct meter_channel *c = known->channels[i];
        struct meter_sensor seen = seen_of(known, i);
        if (c->kind == METER_ENERGY && c->status != QUANTITY_ABSENT && !seen.usable)
            g_ptr_array_add(scopes->warnings, g_strdup_printf("%s was not used: %s", c->id, fault_of(&seen)));
        if (energy_channel_usable(c) && energy_channel_is_ours(known, c) && seen.proof.verdict[0] &&
            strcmp(seen.proof.verdict, METER_SEES_ALL) != 0)
            g_ptr_array_add(scopes->warnings,
                            g_strdup_printf("%s: the self-test of %s (load: %s) found it %s", c->id, seen.proof.date,
                                            seen.proof.load, seen.proof.verdict));
    }
}

/* --- the scope that counts --------------------------------------------------------------------------------------- */

/* A scope begins with a channel. */
static const struct meter_channel *channel_of(const struct energy_scope *scope)
{
    const struct energy_channel *found = NULL;
    for (guint i = 0; !found && i < scope->boards->len; i++)
        found = first_channel(g_ptr_array_index(scope->boards, i));
    return found ? found->info : NULL;
}

enum quantity_status energy_scope_status(const struct energy_scope *scope)
{
    const struct meter_channel *c = channel_of(scope);
    return c ? c->status : QUANTITY_ABSENT;
}

/* Least first; METER_COUNTS_NEVER and more: not at all. */
static int rank_of(const struct energy_known *known, const struct energy_scope *scope)
{
    const struct meter_channel *c = channel_of(scope);
    if (meter_scope_of_boards(scope->row) && !known->on_boards)
        return METER_COUNTS_NEVER;
    bool named = c && !g_strcmp0(known->named_source, c->source);
    return scope->row->preference == METER_COUNTS_IF_NAMED && !named ? METER_COUNTS_NEVER : scope->row->preference;
}

/* A board's energy and its module's are two figures of one GPU, and neither stands in for the other. */
static bool is_contested(const struct energy_known *known, const struct energy_scopes *scopes)
{
    bool board = false, module = false;
    for (guint i = 0; i < scopes->all->len; i++) {
        const struct energy_scope *s = g_ptr_array_index(scopes->all, i);
        board |= s->row->device == METER_DEVICE_BOARD;
        module |= s->row->device == METER_DEVICE_MODULE && s->row->preference < METER_COUNTS_NEVER;
    }
    return known->on_boards && known->wanted == METER_DEVICE_OTHER && board && module;
}

static const struct energy_scope *primary_of(const struct energy_known *known, const struct energy_scopes *scopes)
{
    const struct energy_scope *best = NULL;
    int best_rank = METER_COUNTS_NEVER;
    bool asked = known->on_boards && known->wanted != METER_DEVICE_OTHER;
    if (scopes->contested)
        return NULL;
    for (guint i = 0; i < scopes->all->len; i++) {
        const struct energy_scope *s = g_ptr_array_index(scopes->all, i);
        int rank = rank_of(known, s);
        if (rank >= best_rank || (asked && s->row->device != known->wanted))
            continue;
        best = s;
        best_rank = rank;
    }
    return best;
}

struct energy_scopes *energy_scopes_new(const struct energy_known *known, struct energy_readings *readings)
{
    struct energy_scopes *scopes = g_new0(struct energy_scopes, 1);
    scopes->all = g_ptr_array_new_with_free_func(scope_free);
    scopes->boards = g_ptr_array_new();
    scopes->warnings = g_ptr_array_new_with_free_func(g_free);
    scopes->mirrors = g_ptr_array_new();
    scopes->readings = readings;
    add_channels(known, scopes);
    scopes_drop_mirrors(scopes);
    add_missing_boards(known, scopes);
    add_unseen_boards(known, scopes);
    list_boards(scopes);
    add_warnings(known, scopes);
    scopes->contested = is_contested(known, scopes);
    scopes->primary = primary_of(known, scopes);
    return scopes;
}

void energy_scopes_free(struct energy_scopes *scopes)
{
    if (!scopes)
        return;
    g_ptr_array_unref(scopes->boards);
    g_ptr_array_unref(scopes->all);
    g_ptr_array_unref(scopes->warnings);
    g_ptr_array_unref(scopes->mirrors);
    energy_readings_free(scopes->readings);
    g_free(scopes);
}

/* --- joules and levels ------------------------------------------------------------------------------------------- */

void energy_scope_estimate(const struct energy_scope *scope, const struct energy_window *window,
                           const struct energy_options *options, struct energy_estimate *ret,
                           struct energy_estimate *ret_boards)
{
    guint n = scope->boards->len;
    g_autofree struct energy_estimate *own = ret_boards ? NULL : g_new0(struct energy_estimate, n);
    struct energy_estimate *boards = ret_boards ? ret_boards : own;
    for (guint i = 0; i < n; i++) {
        const struct energy_scope_board *b = g_ptr_array_index(scope->boards, i);
        energy_estimate_board(&b->board, window, options, &boards[i]);
        if (b->mirrored)
            boards[i].flags |= ENERGY_FLAG(COUNTER_MIRRORED);
        if (b->why)
            energy_estimate_missing(b->device, scope->name, b->why, &boards[i]);
    }
    energy_sum(boards, n, ret);
    for (guint i = 0; own && i < n; i++)
        energy_estimate_clear(&own[i]);
}

static const struct energy_board *board_at(const struct energy_scope *scope, guint index)
{
    return &((const struct energy_scope_board *)g_ptr_array_index(scope->boards, index))->board;
}

void energy_scope_idle(const struct energy_scope *scope, int64_t from_ns, int64_t to_ns, struct energy_baseline *ret)
{
    struct energy_baseline sum = {.watts = quantity_absent("no board is bound"), .u_w = NAN, .df = NAN};
    double half2 = 0, u2 = 0;
    for (guint i = 0; i < scope->boards->len; i++) {
        struct energy_baseline one;
        energy_baseline_measure(board_at(scope, i), from_ns, to_ns, &one);
        if (one.watts.status == QUANTITY_ABSENT) {
            *ret = one;
            return;
        }
        half2 += pow((one.watts.high - one.watts.low) / 2, 2) - one.cooling_w * one.cooling_w;
        u2 += one.u_w * one.u_w;
        double watts = one.watts.value + (i ? sum.watts.value : 0);
        double df = i ? MIN(one.df, sum.df) : one.df, cooling_w = one.cooling_w + sum.cooling_w;
        sum = one;
        sum.watts.value = watts;
        sum.df = df;
        sum.cooling_w = cooling_w; /* linearly: boards that did the same cool alike */
    }
    double half_width = sqrt(half2 + sum.cooling_w * sum.cooling_w);
    sum.watts.low = sum.watts.value - half_width;
    sum.watts.high = sum.watts.value + half_width;
    sum.u_w = sqrt(u2);
    *ret = sum;
}

json_t *energy_scope_json(const struct energy_scope *scope, const struct energy_estimate *sum,
                          const struct energy_estimate *boards)
{
    json_t *tree = energy_estimate_json(sum);
    json_object_set_new(tree, "scope", json_string(scope->name));
    json_object_set_new(tree, "outside", json_string(scope->row->outside));
    if (scope->boards->len < 2)
        return tree;
    json_t *list = json_array();
    for (guint i = 0; i < scope->boards->len; i++)
        json_array_append_new(list, energy_estimate_json(&boards[i]));
    json_object_set_new(tree, "per_board", list);
    return tree;
}

static bool is_listed(const GArray *absences, const char *scope)
{
    for (guint i = 0; i < absences->len; i++)
        if (!strcmp(g_array_index(absences, struct energy_absence, i).scope, scope))
            return true;
    return false;
}

GArray *energy_scopes_absent(const struct energy_known *known, const struct energy_scopes *scopes)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_absence));
    for (size_t i = 0; i < known->channel_count; i++) {
        const struct meter_channel *c = known->channels[i];
        if (!energy_kind_gives_joules(c->kind) || !energy_channel_is_ours(known, c) || scope_named(scopes, c->scope) ||
            is_listed(list, c->scope))
            continue;
        struct energy_absence absence = {c->scope, c->device, why_unused(known, i)};
        g_array_append_val(list, absence);
    }
    return list;
}

/* --- the ends of a stretch without guards ------------------------------------------------------------------------ */

/* When a sensor shows what held at a moment. A reading of power stands for the middle of the period before it. */
static int64_t shown_at(const struct energy_channel *channel, int64_t t_ns)
{
    struct sensor s = sensor_of(channel);
    double later = s.delay_mid + (s.counter ? 0 : s.period / 2);
    return t_ns + (int64_t)llround(later * (double)NS_PER_S);
}

/* A counter is known where it changes; power, and a model, wherever it is read. */
static bool is_known_where_read(const struct energy_channel *channel)
{
    return channel->info->kind != METER_ENERGY || channel->info->status == QUANTITY_MODELLED;
}

static bool is_lost(const struct energy_channel *channel)
{
    return channel->count > 0 && channel->points[channel->count - 1].status != METER_READ_OK;
}

/* The first value is no change: it was there for an unknown time. */
static bool shows_begin(const struct energy_channel *channel, int64_t t_ns)
{
    size_t needed = is_known_where_read(channel) ? 0 : 1;
    return channel->count > needed && channel->points[needed].first_ns <= shown_at(channel, t_ns);
}

static bool shows_end(const struct energy_channel *channel, int64_t t_ns)
{
    if (channel->count == 0)
        return false;
    const struct meter_point *last = &channel->points[channel->count - 1];
    int64_t known_ns = is_known_where_read(channel) ? last->last_ns : channel->count > 1 ? last->lo_ns : INT64_MIN;
    return known_ns >= shown_at(channel, t_ns);
}

static bool all_show(const struct energy_scopes *scopes, bool (*shows)(const struct energy_channel *, int64_t),
                     int64_t t_ns)
{
    for (guint n = 0; n < scopes->boards->len; n++) {
        const struct energy_channel *c = first_channel(g_ptr_array_index(scopes->boards, n));
        if (c && !is_lost(c) && !shows(c, t_ns))
            return false;
    }
    return true;
}

bool energy_scopes_may_begin(const struct energy_scopes *scopes, int64_t t_ns)
{
    return all_show(scopes, shows_begin, t_ns);
}

bool energy_scopes_may_end(const struct energy_scopes *scopes, int64_t t_ns)
{
    return all_show(scopes, shows_end, t_ns);
}

/* --- over all boards of all scopes ------------------------------------------------------------------------------- */

GArray *energy_scopes_channels(const struct energy_scopes *scopes)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_channel));
    for (guint n = 0; n < scopes->boards->len; n++) {
        const struct energy_scope_board *b = g_ptr_array_index(scopes->boards, n);
        for (size_t k = 0; k < ENERGY_SLOT_COUNT; k++)
            if (b->channels[k].info && b->channels[k].info->status != QUANTITY_MODELLED)
                g_array_append_val(list, b->channels[k]);
    }
    return list;
}

GArray *energy_scopes_levels(const struct energy_scopes *scopes, int64_t from_ns, int64_t to_ns)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_level));
    for (guint n = 0; n < scopes->boards->len; n++) {
        const struct energy_scope_board *b = g_ptr_array_index(scopes->boards, n);
        struct energy_board raw = b->board; /* the phase check that uses it compares raw watts */
        struct energy_baseline level;
        raw.calibration = NULL;
        energy_baseline_measure(&raw, from_ns, to_ns, &level);
        struct energy_level found = {b->scope, b->device, level.watts.value};
        if (level.watts.status != QUANTITY_ABSENT)
            g_array_append_val(list, found);
    }
    return list;
}

/* One device may stand in several scopes. */
static bool stood_before(const struct energy_scopes *scopes, guint number, const char *device)
{
    for (guint n = 0; n < number; n++)
        if (!strcmp(((const struct energy_scope_board *)g_ptr_array_index(scopes->boards, n))->device, device))
            return true;
    return false;
}

GArray *energy_scopes_calibrations(const struct energy_scopes *scopes, const char *place, GPtrArray *warnings)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_calibration));
    for (guint n = 0; n < scopes->boards->len; n++) {
        const struct energy_scope_board *b = g_ptr_array_index(scopes->boards, n);
        g_autoptr(GError) error = NULL;
        struct energy_calibration found;
        if (stood_before(scopes, n, b->device))
            continue;
        if (energy_calibration_load(place, b->device, &found, &error))
            g_array_append_val(list, found);
        else if (error)
            g_ptr_array_add(warnings, g_strdup_printf("calibration of %s not used: %s", b->device, error->message));
    }
    return list;
}

/* --- what readings show of sensors ------------------------------------------------------------------------------- */

static bool follows(const struct energy_scope_board *b)
{
    const struct energy_board *all = &b->board;
    return all->counter && all->average && all->instant && !all->counter->follows_average &&
           energy_follows_average(all->counter, all->average, all->instant);
}

static void add_finding(GArray *list, const struct energy_channel *c, int64_t period_ns, bool follows_average,
                        const struct meter_lag *lag)
{
    struct energy_finding found = {
        c->info->id, {.period_ns = period_ns, .follows_average = follows_average, .lag = *lag}};
    g_array_append_val(list, found);
}

GArray *energy_scopes_lags(const struct energy_scopes *scopes, const struct energy_window *window)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_finding));
    for (guint n = 0; n < scopes->boards->len; n++) {
        const struct energy_scope_board *b = g_ptr_array_index(scopes->boards, n);
        for (size_t i = 0; i < ENERGY_SLOT_COUNT; i++) {
            const struct energy_channel *c = &b->channels[i];
            struct meter_lag lag = c->lag;
            if (!c->info)
                continue;
            energy_lag_learn(c, window, &lag);
            if (lag.ups > c->lag.ups || lag.downs > c->lag.downs)
                add_finding(list, c, c->period_ns, c->follows_average, &lag);
        }
    }
    return list;
}

GArray *energy_scopes_following(const struct energy_scopes *scopes)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_finding));
    for (guint n = 0; n < scopes->boards->len; n++) {
        const struct energy_scope_board *b = g_ptr_array_index(scopes->boards, n);
        if (!follows(b))
            continue;
        add_finding(list, b->board.counter, b->board.counter->period_ns, true, &b->board.counter->lag);
    }
    return list;
}

/* A board's counter tells for all of its channels; where there is none, each of power tells for itself. */
static void add_slower(GArray *list, const struct energy_channel *c, const struct energy_window *window)
{
    int64_t period_ns = c ? energy_period_changed(c, window) : 0;
    if (period_ns != 0)
        add_finding(list, c, period_ns, c->follows_average, &c->lag);
}

GArray *energy_scopes_slower(const struct energy_scopes *scopes, const struct energy_window *window)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_finding));
    for (guint n = 0; n < scopes->boards->len; n++) {
        const struct energy_board *b = &((const struct energy_scope_board *)scopes->boards->pdata[n])->board;
        add_slower(list, b->counter ? b->counter : b->average, window);
        if (!b->counter)
            add_slower(list, b->instant, window);
    }
    return list;
}
