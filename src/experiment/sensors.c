/* SPDX-License-Identifier: MIT */
/* The meter of a run, its sampler, and what is known of the sensors. */
#include "experiment/internal.h"

#include <string.h>

/* Long enough for a dozen refreshes of the slowest common sensor (100 ms), docs/methodology.md. */
#define CHARACTERISE_NS (1500 * NS_PER_MS)
#define TICK_TIMEOUT_NS (20 * NS_PER_MS) /* fast counters tick every ms or so */
#define FAST_PERIOD_NS  (2 * NS_PER_MS)

/* --- opening ----------------------------------------------------------------------------------------------------- */

static bool open_meter(const struct inputs *in, struct sensors *ret, GError **error)
{
    const struct config *config = in->config;
    bool modelled = config_has(config, FIELD_ENERGY_MODELLED) && config_bool(config, FIELD_ENERGY_MODELLED);
    g_autofree const char **sources =
        meter_sources_asked(config_string(config, FIELD_ENERGY_BACKEND), modelled ? SOURCE_MODEL : 0);
    if (in->exchange.host_meter) /* those are read beside this process */
        meter_sources_drop(sources, SOURCE_HOST_ONLY);
    struct meter_options options = {.sources = sources};
    if (config_has(config, FIELD_ENERGY_MODELLED_WATTS_PER_CORE))
        config_span(config, FIELD_ENERGY_MODELLED_WATTS_PER_CORE, &options.modelled_low_w, &options.modelled_high_w);
    ret->meter = meter_open(&options, error);
    return ret->meter != NULL;
}

/* What the parent says of a sensor it reads: the channel as its meter has it. Borrows from the tree. */
static bool add_host_channel(const json_t *tree, GArray *channels, GError **error)
{
    struct meter_channel channel;
    if (!meter_channel_parse(tree, &channel, error)) {
        g_prefix_error(error, "exchange file, host.meter.channels[%u]: ", channels->len);
        return false;
    }
    g_array_append_val(channels, channel);
    return true;
}

static bool list_host_channels(const struct inputs *in, struct sensors *ret, GError **error)
{
    const json_t *host = in->exchange.host_meter, *list = json_object_get(host, "channels");
    if (!host)
        return true;
    ret->host_sources = json_object_get(host, "sources");
    ret->host_channels = g_array_new(FALSE, FALSE, sizeof(struct meter_channel));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!add_host_channel(json_array_get(list, i), ret->host_channels, error))
            return false;
    const struct meter_channel **channels = g_new0(const struct meter_channel *, ret->host_channels->len + 1);
    for (guint i = 0; i < ret->host_channels->len; i++)
        channels[i] = &g_array_index(ret->host_channels, struct meter_channel, i);
    account_known_init(&ret->host, channels, config_string(in->config, FIELD_ENERGY_BACKEND));
    account_known_watch(&ret->host, json_incref(json_object_get(host, "characterisation")));
    return true;
}

/* bound: it is known what the engine works on; before, boards of any kind may be the run's. */
static void judge_need(struct sensors *sensors, bool bound)
{
    sensors->need_quiet =
        account_known_serves(&sensors->own, !bound) || account_known_serves(&sensors->host, !bound);
}

/* Watches the sensors once per host, set of boards and driver: periods, read costs, counters that stand still. */
static void characterise(const struct pace *pace, struct sensors *ret)
{
    json_t *found = meter_characterisation_load(ret->meter);
    if (!found) {
        pace_say(pace, "watching the sensors");
        found = meter_characterise(ret->meter, CHARACTERISE_NS);
        meter_characterisation_save(ret->meter, found, NULL);
    }
    account_known_watch(&ret->own, found);
}

static enum meter_device wanted_scope(const struct config *config)
{
    const char *scope = config_string(config, FIELD_ENERGY_SCOPE);
    return !strcmp(scope, "board") ? METER_DEVICE_BOARD : !strcmp(scope, "module") ? METER_DEVICE_MODULE
                                                                                  : METER_DEVICE_OTHER;
}

static bool any_to_read(const struct sensors *sensors)
{
    for (size_t i = 0; i < sensors->own.energy.channel_count; i++)
        if (sensors->own.channels[i]->status != QUANTITY_ABSENT)
            return true;
    return false;
}

bool sensors_open(const struct inputs *in, const struct pace *pace, struct sensors *ret, GError **error)
{
    if (!open_meter(in, ret, error) || !list_host_channels(in, ret, error))
        return false;
    account_known_init(&ret->own, energy_known_channels(ret->meter), config_string(in->config, FIELD_ENERGY_BACKEND));
    ret->own.energy.wanted = wanted_scope(in->config);
    judge_need(ret, false);
    if (account_known_serves(&ret->own, true))
        characterise(pace, ret);
    if (!any_to_read(ret)) /* no trace either */
        return true;
    g_autofree char *trace = g_build_filename(in->dir, result_files[RESULT_FILE_TRACE].name, NULL);
    struct sampler_options options = {.step_ns = config_ns(in->config, FIELD_ENERGY_SAMPLE_PERIOD_MS),
                                      .trace_path = trace};
    ret->sampler = sampler_new(ret->meter, &options, error);
    return ret->sampler && sampler_start(ret->sampler, error);
}

void sensors_clear(struct sensors *sensors)
{
    sampler_free(sensors->sampler);
    account_known_clear(&sensors->own);
    account_known_clear(&sensors->host);
    g_clear_pointer(&sensors->host_channels, g_array_unref);
    meter_close(sensors->meter);
}

/* --- what is known ----------------------------------------------------------------------------------------------- */

void sensors_bind(struct sensors *sensors, bool on_boards, const char *const *boards)
{
    account_known_bind(&sensors->own, on_boards, boards);
    account_known_bind(&sensors->host, on_boards, boards);
    judge_need(sensors, true);
}

void sensors_calibrate(struct sensors *sensors, const char *place)
{
    account_known_calibrate(&sensors->own, place);
}

void sensors_set_levels(struct sensors *sensors, const struct stretch *quiet)
{
    g_autoptr(owned_scopes) scopes = sensors_scopes(sensors, quiet->t0_ns, quiet->t1_ns, NULL);
    account_known_set_levels(&sensors->own, scopes, quiet->t0_ns, quiet->t1_ns);
}

bool sensors_learn(struct sensors *sensors, const GArray *findings)
{
    if (!account_known_learn(&sensors->own, findings))
        return false;
    /* What cannot be kept the next run may learn again. */
    meter_characterisation_save(sensors->meter, sensors->own.characterisation, NULL);
    return true;
}

/* --- what was read ----------------------------------------------------------------------------------------------- */

struct account_source sensors_source(const struct sensors *sensors)
{
    return account_source_sampler(&sensors->own, sensors->sampler);
}

struct energy_scopes *sensors_scopes(const struct sensors *sensors, int64_t from_ns, int64_t to_ns,
                                     const struct stretch *ticks)
{
    struct account_source source = sensors_source(sensors);
    struct energy_ticks both = {ticks ? ticks->tick0 : NULL, ticks ? ticks->tick1 : NULL};
    return account_scopes(&source, from_ns, to_ns, &both);
}

static void add_channels(const struct account_known *known, GArray *list)
{
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&known->energy, NULL);
    g_autoptr(GArray) channels = energy_scopes_channels(scopes);
    if (channels->len)
        g_array_append_vals(list, channels->data, channels->len);
}

GArray *sensors_host_channels(const struct sensors *sensors)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct energy_channel));
    add_channels(&sensors->host, list);
    return list;
}

GArray *sensors_channels(const struct sensors *sensors)
{
    GArray *list = sensors_host_channels(sensors);
    add_channels(&sensors->own, list);
    return list;
}

/* A model has a value at any time; other counters only where they tick fast. */
static bool is_ticked(const struct meter_channel *c)
{
    bool fast = c->status == QUANTITY_MODELLED || (c->refresh_ns > 0 && c->refresh_ns <= FAST_PERIOD_NS);
    return c->kind == METER_ENERGY && c->status != QUANTITY_ABSENT && fast;
}

struct meter_reading *sensors_ticks(const struct sensors *sensors, int n)
{
    size_t count = sensors->own.energy.channel_count, wanted = 0;
    struct meter_reading *readings = g_new0(struct meter_reading, count + 1);
    g_autofree struct sampler_tick *ticks = g_new0(struct sampler_tick, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct meter_channel *c = sensors->own.channels[i];
        if (is_ticked(c))
            ticks[wanted++] = (struct sampler_tick){
                .channel = i, .changes = c->status == QUANTITY_MODELLED ? 0 : n, .timeout_ns = TICK_TIMEOUT_NS};
    }
    if (wanted)
        sampler_ticks(sensors->sampler, ticks, wanted);
    for (size_t i = 0; i < wanted; i++)
        readings[ticks[i].channel] = ticks[i].reading;
    return readings;
}

GArray *sensors_series(const struct sensors *sensors, size_t index, enum meter_kind kind, int64_t from_ns,
                       int64_t to_ns)
{
    const struct meter_channel *c = sensors->own.channels[index];
    if (!sensors->sampler || c->kind != kind || c->status == QUANTITY_ABSENT ||
        !energy_channel_is_ours(&sensors->own.energy, c))
        return NULL;
    return sampler_series(sensors->sampler, index, from_ns, to_ns);
}

void sensors_mark(const struct sensors *sensors, const char *name, int64_t t_ns)
{
    if (sensors->sampler)
        sampler_mark(sensors->sampler, name, t_ns);
}
