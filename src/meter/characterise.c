/* SPDX-License-Identifier: MIT */
/* Start-up characterisation: how often each sensor really refreshes, what a read costs, whether counter and power
 * agree. */
#include "meter/source.h"
#include "meter/watch.h"
#include "stats/stats.h"

#include <math.h>
#include <string.h>

#define POLL_NS      NS_PER_MS /* choice: a twentieth of the fastest refresh of a board (20 ms, SC'24) */
#define SCHEMA       "llem-characterisation/1"
#define LASTS_NS     (INT64_C(30) * 24 * 3600 * NS_PER_S) /* choice: drivers, firmware and boards change */
#define MIN_CHANGES  3         /* choice: two gaps, which one another confirm */
#define ENOUGH_CHANGES 5       /* choice: for a period by the line through them */
#define MIN_SPAN_NS  (NS_PER_S / 2) /* choice: five refreshes of 100 ms; shorter spans say little about a slope */

void watch_init(struct watch *w, const struct meter_channel *channel)
{
    *w = (struct watch){.channel = channel,
                        .changes = g_array_new(FALSE, FALSE, sizeof(int64_t)),
                        .costs = g_array_new(FALSE, FALSE, sizeof(int64_t))};
}

void watch_clear(struct watch *w)
{
    g_array_unref(w->changes);
    g_array_unref(w->costs);
}

void watch_see(struct watch *w, const struct meter_reading *r)
{
    int64_t cost = r->after_ns - r->before_ns;
    g_array_append_val(w->costs, cost);
    if (r->status != METER_READ_OK) {
        w->bad++;
        w->bad_status = r->status;
        return;
    }
    w->sum += (double)r->raw * w->channel->scale;
    if (w->good++ == 0) {
        w->first = w->last = w->changed = *r;
        return;
    }
    if (meter_kind_cumulative(w->channel->kind)) {
        int64_t delta;
        enum meter_read_status status;
        struct meter_reading from = w->last;
        from.before_ns = w->changed.before_ns;
        if (w->channel->wrap)
            from.before_ns = w->last.before_ns;
        meter_counter_delta(w->channel, &from, r, &delta, &status);
        w->decreasing |= status == METER_READ_BACKWARDS;
        w->implausible |= status == METER_READ_IMPLAUSIBLE || status == METER_READ_WRAP_AMBIGUOUS;
    }
    if (r->raw != w->last.raw) {
        int64_t t_ns = (w->last.before_ns + r->after_ns) / 2;
        if (w->changes->len == 0)
            w->first_change_raw = r->raw;
        g_array_append_val(w->changes, t_ns);
        w->changed = *r;
        w->changed.after_ns = t_ns; /* the moment of the change, best known */
    }
    w->last = *r;
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t quantile(GArray *values, double share)
{
    if (!values->len)
        return 0;
    g_array_sort(values, compare_int64);
    return g_array_index(values, int64_t, (unsigned)(share * (values->len - 1) + 0.5));
}

static int64_t change_at(const struct watch *w, guint i)
{
    return g_array_index(w->changes, int64_t, i);
}

/* Distances of changes. New array. */
static GArray *gaps_of(const struct watch *w)
{
    GArray *gaps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (guint i = 1; i < w->changes->len; i++) {
        int64_t gap = change_at(w, i) - change_at(w, i - 1);
        g_array_append_val(gaps, gap);
    }
    return gaps;
}

/* By the line through all changes: each is known only to a poll, and the distance of two of them to no better. */
static int64_t period_ns(const struct watch *w)
{
    g_autofree double *t = g_new(double, w->changes->len + 1);
    for (guint i = 0; i < w->changes->len; i++)
        t[i] = (double)(change_at(w, i) - change_at(w, 0));
    double period = stats_grid_period(t, w->changes->len);
    return isfinite(period) ? llround(period) : 0;
}

/* Counter slope between its first and last change, in W; NaN where the span is too short. */
static double slope_w(const struct watch *w)
{
    int64_t span_ns = w->changes->len ? w->changed.after_ns - change_at(w, 0) : 0;
    if (span_ns < MIN_SPAN_NS || w->decreasing || w->implausible)
        return NAN;
    int64_t delta = w->changed.raw - w->first_change_raw;
    if (delta < 0)
        delta += w->channel->wrap;
    return (double)delta * w->channel->scale / clock_seconds(span_ns);
}

static double power_ratio(const struct watch *watches, size_t count, const struct watch *counter)
{
    static const enum meter_kind order[] = {METER_POWER_AVERAGE, METER_POWER_INSTANT};
    for (size_t k = 0; k < G_N_ELEMENTS(order); k++)
        for (size_t i = 0; i < count; i++) {
            const struct watch *w = &watches[i];
            if (w->channel->kind == order[k] && w->good && !strcmp(w->channel->device, counter->channel->device) &&
                w->sum > 0)
                return slope_w(counter) / (w->sum / (double)w->good);
        }
    return NAN;
}

/* What watching finds of a channel, as it is kept. follows_average is what a run adds
 * (meter_characterisation_learn()). */
static const struct member_row sensor_rows[] = {
    MEMBER(struct meter_sensor, period_ns, "period_ns", MEMBER_REQUIRED),
    MEMBER(struct meter_sensor, period_p95_ns, "period_p95_ns", MEMBER_REQUIRED),
    MEMBER(struct meter_sensor, read_p50_ns, "read_p50_ns", MEMBER_REQUIRED),
    MEMBER(struct meter_sensor, read_p99_ns, "read_p99_ns", MEMBER_REQUIRED),
    MEMBER(struct meter_sensor, power_ratio, "power_ratio", MEMBER_OPTIONAL),
    MEMBER(struct meter_sensor, stuck, "stuck", MEMBER_REQUIRED),
    MEMBER(struct meter_sensor, decreasing, "decreasing", MEMBER_REQUIRED),
    MEMBER(struct meter_sensor, implausible, "implausible", MEMBER_REQUIRED),
    MEMBER(struct meter_sensor, usable, "usable", MEMBER_REQUIRED),
};

/* What runs add: bounds of the lag. */
static const struct member_row lag_rows[] = {
    MEMBER(struct meter_sensor, lag.ups, "lag_steps_up", MEMBER_OPTIONAL),
    MEMBER(struct meter_sensor, lag.downs, "lag_steps_down", MEMBER_OPTIONAL),
    MEMBER(struct meter_sensor, lag.delay_lo_s, "lag_delay_low_s", MEMBER_OPTIONAL),
    MEMBER(struct meter_sensor, lag.delay_hi_s, "lag_delay_high_s", MEMBER_OPTIONAL),
    MEMBER(struct meter_sensor, lag.extent_s, "lag_extent_s", MEMBER_OPTIONAL),
};

#define REGULAR_MIN   6   /* choices: changes of power that are known to be refreshes, for readings may repeat, */
#define REGULAR_GAP   0.7 /* and how much of a period lies between any two of them */
#define SLOWER_TIMES  1.5

/* Readings of power that repeat hide refreshes: a period that is much longer than the one that is told is believed
 * where no two changes are closer. */
static bool is_believed(const struct watch *w, int64_t period)
{
    bool told = w->channel->refresh_ns > 0 && (double)period > SLOWER_TIMES * (double)w->channel->refresh_ns;
    if (meter_kind_cumulative(w->channel->kind) || !told)
        return true;
    bool regular = w->changes->len >= REGULAR_MIN;
    for (guint i = 1; i < w->changes->len; i++)
        regular &= (double)(change_at(w, i) - change_at(w, i - 1)) >= REGULAR_GAP * (double)period;
    return regular;
}

bool watch_is_enough(const struct watch *w)
{
    bool must = w->channel->kind == METER_ENERGY && w->channel->status != QUANTITY_MODELLED;
    bool broken = w->good == 0 || w->decreasing || w->implausible;
    return !must || broken || w->changes->len >= ENOUGH_CHANGES;
}

struct meter_sensor watch_found(const struct watch *w)
{
    g_autoptr(GArray) gaps = gaps_of(w);
    bool counter = w->channel->kind == METER_ENERGY;
    int64_t period = w->changes->len >= MIN_CHANGES ? period_ns(w) : 0;
    bool enough = period > 0 && is_believed(w, period);
    struct meter_sensor s = {.period_ns = enough ? period : 0,
                             .period_p95_ns = enough ? quantile(gaps, 0.95) : 0,
                             .read_p50_ns = quantile(w->costs, 0.5),
                             .read_p99_ns = quantile(w->costs, 0.99),
                             .power_ratio = NAN,
                             .stuck = counter && w->good > 1 && w->changes->len == 0,
                             .decreasing = w->decreasing,
                             .implausible = w->implausible};
    s.usable = w->good && !s.stuck && !s.decreasing && !s.implausible;
    return s;
}

static json_t *watch_json(const struct watch *watches, size_t count, const struct watch *w)
{
    json_t *tree = json_object();
    struct meter_sensor found = watch_found(w);
    found.power_ratio = w->channel->kind == METER_ENERGY ? power_ratio(watches, count, w) : NAN;
    members_write(tree, &found, sensor_rows, G_N_ELEMENTS(sensor_rows));
    json_object_set_new(tree, "failed_reads", json_integer(w->bad));
    if (w->bad)
        json_object_set_new(tree, "failed_with", json_string(meter_read_name(w->bad_status)));
    return tree;
}

#define REST_NS (2500 * NS_PER_MS) /* longer than any refresh (up to 1 s): a reading that stays is not slow, it stays */

static bool has_counter(const struct watch *watches, size_t count, const char *device)
{
    for (size_t i = 0; i < count; i++)
        if (watches[i].channel->kind == METER_ENERGY && watches[i].channel->status != QUANTITY_ABSENT &&
            !strcmp(watches[i].channel->device, device))
            return true;
    return false;
}

/* Power is all that its device shows, and it has changed too seldom for its period to be known. */
static bool is_slow_power(const struct watch *watches, size_t count, const struct watch *w, int64_t elapsed_ns)
{
    bool power = w->channel->kind == METER_POWER_INSTANT || w->channel->kind == METER_POWER_AVERAGE;
    return power && w->good && w->changes->len < ENOUGH_CHANGES && (w->changes->len > 0 || elapsed_ns < REST_NS) &&
           !has_counter(watches, count, w->channel->device);
}

/* A sensor that is slower than the duration allows for is watched for longer. */
static bool goes_on(const struct watch *watches, size_t count, int64_t elapsed_ns, int64_t duration_ns)
{
    if (elapsed_ns < duration_ns)
        return true;
    for (size_t i = 0; i < count && elapsed_ns < METER_WATCH_LONGER * duration_ns; i++)
        if (!watch_is_enough(&watches[i]) || is_slow_power(watches, count, &watches[i], elapsed_ns))
            return true;
    return false;
}

json_t *meter_characterise(struct meter *meter, int64_t duration_ns)
{
    size_t count = meter_channel_count(meter);
    g_autofree struct watch *watches = g_new0(struct watch, count + 1);
    g_autofree struct meter_reading *readings = g_new0(struct meter_reading, count + 1);
    for (size_t i = 0; i < count; i++)
        watch_init(&watches[i], meter_channel_at(meter, i));
    int64_t begun_ns = clock_mono_ns(), next_ns = begun_ns;
    for (int tick = 0; goes_on(watches, count, next_ns - begun_ns, duration_ns); tick++) {
        /* Slow channels at a tenth of the rate: reading them must not blur the fast ones. */
        meter_read(meter, tick % 10 ? METER_FAST : METER_ALL_RATES, readings);
        for (size_t i = 0; i < count; i++)
            if (readings[i].status != METER_READ_NONE)
                watch_see(&watches[i], &readings[i]);
        next_ns = MAX(next_ns + POLL_NS, clock_mono_ns());
        clock_sleep_until_ns(next_ns);
    }
    json_t *channels = json_object(), *tree = json_object();
    for (size_t i = 0; i < count; i++)
        if (watches[i].channel->status != QUANTITY_ABSENT)
            json_object_set_new(channels, watches[i].channel->id, watch_json(watches, count, &watches[i]));
    for (size_t i = 0; i < count; i++)
        watch_clear(&watches[i]);
    g_autofree char *key = meter_characterisation_key(meter);
    json_object_set_new(tree, "schema", json_string(SCHEMA));
    json_object_set_new(tree, "key", json_string(key));
    json_object_set_new(tree, "duration_ns", json_integer(duration_ns));
    json_object_set_new(tree, "t_wall_ns", json_integer(clock_wall_ns()));
    json_object_set_new(tree, "channels", channels);
    meter_selftest_recall(meter, tree);
    return tree;
}

bool meter_characterisation_get(const json_t *tree, const char *channel_id, struct meter_sensor *ret)
{
    json_t *channels = json_object_get(tree, "channels");
    json_t *c = json_object_get(channels, channel_id);
    struct meter_sensor s = {.power_ratio = NAN};
    const char *schema = NULL;
    if (!jsonx_get_string(tree, "schema", true, &schema, NULL) || strcmp(schema, SCHEMA) != 0 || !json_is_object(c) ||
        !members_read(c, &s, sensor_rows, G_N_ELEMENTS(sensor_rows), NULL) ||
        !members_read(c, &s, lag_rows, G_N_ELEMENTS(lag_rows), NULL) ||
        !jsonx_get_bool(c, "follows_average", false, &s.follows_average, NULL))
        return false;
    meter_proof_read(c, &s.proof);
    *ret = s;
    return true;
}

void meter_characterisation_learn(json_t *tree, const char *channel_id, const struct meter_sensor *learnt)
{
    json_t *c = json_object_get(json_object_get(tree, "channels"), channel_id);
    if (!c)
        return;
    if (learnt->period_ns > 0)
        json_object_set_new(c, "period_ns", json_integer(learnt->period_ns));
    if (learnt->follows_average)
        json_object_set_new(c, "follows_average", json_true());
    if (learnt->lag.ups + learnt->lag.downs > 0)
        members_write(c, learnt, lag_rows, G_N_ELEMENTS(lag_rows));
}

char *meter_characterisation_key(struct meter *meter)
{
    g_autoptr(json_t) facts = meter_gpu_facts(meter);
    g_autoptr(GString) key = g_string_new(g_get_host_name()); /* a home may be shared by hosts */
    json_t *device;
    size_t index;
    json_array_foreach(json_object_get(facts, "devices"), index, device)
        g_string_append_printf(key, "+%s", json_string_value(json_object_get(device, "uuid")));
    const char *driver = json_string_value(json_object_get(facts, "driver_version"));
    if (driver)
        g_string_append_printf(key, "+%s", driver);
    for (size_t i = 0; i < meter_source_count(meter); i++) {
        const struct meter_source_state *state = meter_source_at(meter, i);
        if (state->open && (state->row->flags & SOURCE_BY_AUTO) && !meter_source_has_facts(meter, i))
            g_string_append_printf(key, "+%s", state->row->name);
    }
    if (*meter_sysroot(meter))
        g_string_append_printf(key, "+%s", meter_sysroot(meter));
    return g_string_free(g_steal_pointer(&key), FALSE);
}

/* --- what was found before ------------------------------------------------------------------------------------------- */

/* New string; NULL for simulated sensors. */
static char *cache_path(struct meter *meter)
{
    for (size_t i = 0; i < meter_channel_count(meter); i++)
        if (meter_channel_at(meter, i)->status == QUANTITY_SIMULATED)
            return NULL;
    g_autofree char *key = meter_characterisation_key(meter);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);
    g_autofree char *name = g_strdup_printf("%.16s.json", digest);
    return g_build_filename(g_get_user_cache_dir(), "llem", "sensors", name, NULL);
}

/* A channel that can be read by now, and could not when the others were watched, is not in it. */
static bool covers(struct meter *meter, const json_t *tree)
{
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        struct meter_sensor seen;
        if (c->kind == METER_ENERGY && c->status == QUANTITY_MEASURED &&
            !meter_characterisation_get(tree, c->id, &seen))
            return false;
    }
    return true;
}

json_t *meter_characterisation_load(struct meter *meter)
{
    g_autofree char *path = cache_path(meter);
    json_t *tree = path ? jsonx_load(path, LIMIT_RESULT_BYTES, NULL) : NULL;
    int64_t taken_ns = 0;
    jsonx_get_int(tree, "t_wall_ns", false, &taken_ns, NULL);
    int64_t age_ns = clock_wall_ns() - taken_ns;
    if (!tree || age_ns < 0 || age_ns > LASTS_NS || !covers(meter, tree)) {
        json_decref(tree);
        return NULL;
    }
    meter_selftest_recall(meter, tree);
    return tree;
}

/* A counter that can be read and cannot be used. */
static bool costs_a_counter(struct meter *meter, const json_t *tree)
{
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        struct meter_sensor seen;
        if (c->kind == METER_ENERGY && c->status == QUANTITY_MEASURED &&
            meter_characterisation_get(tree, c->id, &seen) && !seen.usable)
            return true;
    }
    return false;
}

bool meter_characterisation_save(struct meter *meter, const json_t *tree, GError **error)
{
    g_autofree char *path = cache_path(meter);
    if (!path || costs_a_counter(meter, tree))
        return true;
    g_autofree char *folder = g_path_get_dirname(path);
    return file_make_dirs(folder, error) && jsonx_save(path, tree, error);
}
