/* SPDX-License-Identifier: MIT */
/* The meter of a run, its sampler, and what is known of the sensors. */
#include "experiment/internal.h"

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
    struct meter_options options = {.sources = sources};
    if (config_has(config, FIELD_ENERGY_MODELLED_WATTS_PER_CORE))
        config_span(config, FIELD_ENERGY_MODELLED_WATTS_PER_CORE, &options.modelled_low_w, &options.modelled_high_w);
    ret->meter = meter_open(&options, error);
    return ret->meter != NULL;
}

/* Before anything was watched or bound: boards of any kind may be the run's. */
static void list_channels(const struct inputs *in, struct sensors *ret)
{
    size_t n = meter_channel_count(ret->meter);
    ret->channels = energy_known_channels(ret->meter);
    ret->seen = g_new0(struct meter_sensor, n + 1);
    for (size_t i = 0; i < n; i++)
        ret->need_quiet = ret->need_quiet ||
                          (energy_channel_usable(ret->channels[i]) && ret->channels[i]->status != QUANTITY_MODELLED);
    ret->calibrations = g_array_new(FALSE, FALSE, sizeof(struct energy_calibration));
    ret->levels = g_array_new(FALSE, FALSE, sizeof(struct energy_level));
    ret->warnings = g_ptr_array_new_with_free_func(g_free);
    ret->known = (struct energy_known){.channels = ret->channels,
                                       .sensors = ret->seen,
                                       .channel_count = n,
                                       .named_source = config_string(in->config, FIELD_ENERGY_BACKEND)};
}

/* Watches the sensors once per host, set of boards and driver: periods, read costs, counters that stand still. */
static void characterise(const struct pace *pace, struct sensors *ret)
{
    ret->characterisation = meter_characterisation_load(ret->meter);
    if (ret->characterisation)
        return;
    pace_say(pace, "watching the sensors");
    ret->characterisation = meter_characterise(ret->meter, CHARACTERISE_NS);
    meter_characterisation_save(ret->meter, ret->characterisation, NULL);
}

static bool any_to_read(const struct sensors *sensors)
{
    for (size_t i = 0; i < sensors->known.channel_count; i++)
        if (sensors->channels[i]->status != QUANTITY_ABSENT)
            return true;
    return false;
}

bool sensors_open(const struct inputs *in, const struct pace *pace, struct sensors *ret, GError **error)
{
    if (!open_meter(in, ret, error))
        return false;
    list_channels(in, ret);
    if (ret->need_quiet)
        characterise(pace, ret);
    energy_known_sensors(ret->meter, ret->characterisation, ret->seen);
    if (!any_to_read(ret)) /* no trace either */
        return true;
    g_autofree char *trace = g_build_filename(in->dir, "trace.csv.gz", NULL);
    struct sampler_options options = {.step_ns = config_ns(in->config, FIELD_ENERGY_SAMPLE_PERIOD_MS),
                                      .trace_path = trace};
    ret->sampler = sampler_new(ret->meter, &options, error);
    return ret->sampler && sampler_start(ret->sampler, error);
}

void sensors_clear(struct sensors *sensors)
{
    sampler_free(sensors->sampler);
    meter_close(sensors->meter);
    json_decref(sensors->characterisation);
    g_free(sensors->channels);
    g_free(sensors->seen);
    g_clear_pointer(&sensors->calibrations, g_array_unref);
    g_clear_pointer(&sensors->levels, g_array_unref);
    g_clear_pointer(&sensors->warnings, g_ptr_array_unref);
}

/* --- what is known ----------------------------------------------------------------------------------------------- */

void sensors_bind(struct sensors *sensors, bool on_boards, const char *const *boards)
{
    sensors->known.on_boards = on_boards;
    sensors->known.boards = boards;
    sensors->need_quiet = false;
    for (size_t i = 0; i < sensors->known.channel_count; i++) {
        const struct meter_channel *c = sensors->channels[i];
        sensors->need_quiet = sensors->need_quiet || (energy_channel_usable(c) && c->status != QUANTITY_MODELLED &&
                                                      energy_channel_is_ours(&sensors->known, c));
    }
}

void sensors_calibrate(struct sensors *sensors, const char *place)
{
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&sensors->known, NULL);
    g_array_unref(sensors->calibrations);
    sensors->calibrations = energy_scopes_calibrations(scopes, place, sensors->warnings);
    sensors->known.calibrations = (const struct energy_calibration *)(const void *)sensors->calibrations->data;
    sensors->known.calibration_count = sensors->calibrations->len;
}

void sensors_set_levels(struct sensors *sensors, const struct stretch *quiet)
{
    g_autoptr(owned_scopes) scopes = sensors_scopes(sensors, quiet->t0_ns, quiet->t1_ns, NULL);
    g_array_unref(sensors->levels);
    sensors->levels = energy_scopes_levels(scopes, quiet->t0_ns, quiet->t1_ns);
    sensors->known.levels = (const struct energy_level *)(const void *)sensors->levels->data;
    sensors->known.level_count = sensors->levels->len;
}

bool sensors_learn(struct sensors *sensors, const GArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const struct energy_finding *f = &g_array_index(findings, struct energy_finding, i);
        meter_characterisation_learn(sensors->characterisation, f->channel_id, f->period_ns, f->follows_average);
    }
    if (findings->len == 0)
        return false;
    energy_known_sensors(sensors->meter, sensors->characterisation, sensors->seen);
    /* What cannot be kept the next run may learn again. */
    meter_characterisation_save(sensors->meter, sensors->characterisation, NULL);
    return true;
}

/* --- what was read ----------------------------------------------------------------------------------------------- */

struct energy_scopes *sensors_scopes(const struct sensors *sensors, int64_t from_ns, int64_t to_ns,
                                     const struct stretch *ticks)
{
    struct energy_ticks both = {ticks ? ticks->tick0 : NULL, ticks ? ticks->tick1 : NULL};
    struct energy_readings *readings = NULL;
    if (sensors->sampler)
        readings = energy_readings_take(&sensors->known, sensors->sampler, from_ns, to_ns, &both);
    return energy_scopes_new(&sensors->known, readings);
}

GArray *sensors_channels(const struct sensors *sensors)
{
    g_autoptr(owned_scopes) scopes = energy_scopes_new(&sensors->known, NULL);
    return energy_scopes_channels(scopes);
}

struct meter_reading *sensors_ticks(const struct sensors *sensors, int n)
{
    size_t count = sensors->known.channel_count;
    struct meter_reading *ticks = g_new0(struct meter_reading, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct meter_channel *c = sensors->channels[i];
        bool modelled = c->status == QUANTITY_MODELLED;
        bool fast = modelled || (c->refresh_ns > 0 && c->refresh_ns <= FAST_PERIOD_NS);
        if (c->kind != METER_ENERGY || c->status == QUANTITY_ABSENT || !fast)
            continue;
        for (int k = 0; k < (modelled ? 1 : n); k++)
            meter_read_tick(sensors->meter, i, modelled ? 0 : TICK_TIMEOUT_NS, &ticks[i]);
    }
    return ticks;
}

GArray *sensors_series(const struct sensors *sensors, size_t index, enum meter_kind kind, int64_t from_ns,
                       int64_t to_ns)
{
    const struct meter_channel *c = sensors->channels[index];
    if (!sensors->sampler || c->kind != kind || c->status == QUANTITY_ABSENT ||
        !energy_channel_is_ours(&sensors->known, c))
        return NULL;
    return sampler_series(sensors->sampler, index, from_ns, to_ns);
}

void sensors_mark(const struct sensors *sensors, const char *name, int64_t t_ns)
{
    if (sensors->sampler)
        sampler_mark(sensors->sampler, name, t_ns);
}
