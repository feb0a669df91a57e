/* SPDX-License-Identifier: MIT */
/* Checks of the sensors: the rows of the sources, and what they are calibrated by. */
#include "preflight/rows.h"

#include "base/sources.h"
#include "energy/energy.h"
#include "meter/meter.h"

#include <string.h>

/* Why a meter that was asked for some sources shows no energy, or NULL when one of them does. Borrowed. */
static const char *without_energy(const struct meter *meter)
{
    const char *reason = "it offers nothing";
    for (size_t i = 0; i < meter_source_count(meter); i++)
        if (meter_source_at(meter, i)->asked && meter_source_at(meter, i)->reason)
            reason = meter_source_at(meter, i)->reason;
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        if (c->kind != METER_ENERGY && c->kind != METER_POWER_INSTANT && c->kind != METER_POWER_AVERAGE)
            continue;
        if (c->status != QUANTITY_ABSENT)
            return NULL;
        reason = c->reason ? c->reason : reason;
    }
    return reason;
}

/* Why no source of a list shows energy here, or NULL. New string. */
static char *lack_of(const char *const *sources)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_meter) meter = meter_open(&(struct meter_options){.sources = sources}, &error);
    return g_strdup(meter ? without_energy(meter) : error->message);
}

static bool is_modelled(const struct config *config)
{
    return config && config_has(config, FIELD_ENERGY_MODELLED) && config_bool(config, FIELD_ENERGY_MODELLED);
}

/* --- One that was named ---------------------------------------------------------------------------------------------- */

/* The source that a cell names; of the machine the nth that llem asks for unasked. */
static char *source_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    const char *source = config ? config_string(config, FIELD_ENERGY_BACKEND) : NULL;
    if (source)
        return nth > 0 || !strcmp(source, SOURCE_NONE) || !strcmp(source, SOURCE_AUTO)
                   ? NULL
                   : g_strdup_printf("%s%s", source, is_modelled(config) ? ", or modelled" : "");
    g_autofree const char **names = meter_sources_asked(NULL, SOURCE_BY_AUTO);
    const char **name = names;
    while (*name && nth > 0)
        name++, nth--;
    return g_strdup(*name);
}

static void probe_source(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autofree char *source = g_strndup(q->about, strcspn(q->about, ","));
    const char *const sources[] = {source, NULL};
    g_autofree char *reason = lack_of(sources);
    if (!reason) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "shows energy");
    } else if (!q->config) {
        preflight_find(ret, PREFLIGHT_ABSENT, NULL, "%s", reason);
    } else {
        preflight_find(ret, PREFLIGHT_LACKS, config_place(q->config, FIELD_ENERGY_BACKEND),
                       "energy.backend: %s measures nothing here (%s): energy will be %s", source, reason,
                       quantity_status_name(is_modelled(q->config) ? QUANTITY_MODELLED : QUANTITY_ABSENT));
        ret->hint = g_strdup("`llem meter list` lists the sensors; energy.backend: auto takes those that are here");
    }
}

/* --- Any at all ------------------------------------------------------------------------------------------------------ */

static char *any_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    bool asks = !config || (!strcmp(config_string(config, FIELD_ENERGY_BACKEND), SOURCE_AUTO) && !is_modelled(config));
    return asks && nth == 0 ? g_strdup(SOURCE_AUTO) : NULL;
}

static bool gives_joules(const struct meter_channel *c)
{
    return c->kind == METER_ENERGY || c->kind == METER_POWER_INSTANT || c->kind == METER_POWER_AVERAGE;
}

/* A channel that a run may quote unasked: ret_unknown is one of those that it may not, because nobody knows what they
 * cover. */
static bool any_answers(const struct meter *meter, const struct meter_channel **ret_unknown)
{
    bool any = false;
    for (size_t i = 0; meter && i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        int preference = meter_scope_find(c->scope)->preference;
        if (!gives_joules(c) || c->status == QUANTITY_ABSENT)
            continue;
        any = any || preference < METER_COUNTS_IF_NAMED;
        *ret_unknown = preference == METER_COUNTS_IF_NAMED ? c : *ret_unknown;
    }
    return any;
}

/* A GPU with an energy of its board and one of its module, and a cell that does not say which is the run's. */
static bool is_contested(const struct meter *meter, const struct config *config)
{
    bool board = false, module = false;
    for (size_t i = 0; meter && i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        const struct meter_scope *scope = meter_scope_find(c->scope);
        bool counts = gives_joules(c) && c->status != QUANTITY_ABSENT && scope->preference < METER_COUNTS_NEVER;
        board |= counts && scope->device == METER_DEVICE_BOARD;
        module |= counts && scope->device == METER_DEVICE_MODULE;
    }
    return board && module && config && config_gpu_need(config) == CONFIG_GPU_NEEDS &&
           !strcmp(config_string(config, FIELD_ENERGY_SCOPE), "auto");
}

/* A sensor whose coverage is not known never answers for a run unasked. */
static void probe_any(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autofree const char **sources = meter_sources_asked(NULL, SOURCE_BY_AUTO);
    g_autoptr(owned_meter) meter = meter_open(&(struct meter_options){.sources = sources}, NULL);
    const struct meter_channel *unknown = NULL;
    if (is_contested(meter, q->config)) {
        preflight_find(ret, PREFLIGHT_LACKS, config_place(q->config, FIELD_ENERGY_SCOPE),
                       "the GPU has an energy of its board and one of its module (GPU, CPU and memory): energy will be "
                       "absent");
        ret->hint = g_strdup("energy.scope: board or module says which is the run's; both are in each record");
        return;
    }
    if (any_answers(meter, &unknown)) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "energy can be measured");
        return;
    }
    if (unknown) {
        preflight_find(ret, PREFLIGHT_LACKS, q->config ? config_place(q->config, FIELD_ENERGY_BACKEND) : NULL,
                       "%s (%s) shows energy or power, and what it covers is not known to llem: energy will be absent",
                       unknown->id, unknown->label);
        ret->hint = g_strdup_printf("energy.backend: %s takes it, if you know what it covers", unknown->source);
        return;
    }
    preflight_find(ret, PREFLIGHT_LACKS, q->config ? config_place(q->config, FIELD_ENERGY_BACKEND) : NULL,
                   "no energy sensor was found on this machine: energy will be absent");
    ret->hint = g_strdup("`llem meter list` says what each source lacks; energy.modelled: true adds a modelled value");
}

/* --- Their calibration ------------------------------------------------------------------------------------------------ */

static char *calibration_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    if (nth > 0 || !config || !config_has(config, FIELD_ENERGY_CALIBRATION))
        return NULL;
    return g_strdup_printf("%s for %s", config_string(config, FIELD_ENERGY_CALIBRATION),
                           config_string(config, FIELD_ENERGY_BACKEND));
}

/* How many channels a file was read for, of those that could have one. */
struct calibrated {
    size_t fit, asked;
    GError *error; /* the first, or NULL */
};

static struct calibrated read_calibrations(const char *place, const char *source)
{
    struct calibrated read = {0};
    const char *const named[] = {source, NULL};
    g_autofree const char **usual = meter_sources_asked(NULL, SOURCE_BY_AUTO);
    g_autoptr(owned_meter) meter =
        meter_open(&(struct meter_options){.sources = strcmp(source, SOURCE_AUTO) != 0 ? named : usual}, NULL);
    for (size_t i = 0; meter && i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        struct energy_calibration found;
        if (!gives_joules(c) || c->status == QUANTITY_ABSENT || c->status == QUANTITY_MODELLED)
            continue;
        read.asked++;
        read.fit += energy_calibration_load(place, c->device, &found, read.error ? NULL : &read.error);
    }
    return read;
}

/* One file is of one board, and the others here need none; a file in a folder is of the board that it is named
 * after. */
static void probe_calibration(const struct preflight_question *q, struct preflight_finding *ret)
{
    const char *place = config_string(q->config, FIELD_ENERGY_CALIBRATION);
    const struct diag_span *at = config_place(q->config, FIELD_ENERGY_CALIBRATION);
    struct calibrated read = read_calibrations(place, config_string(q->config, FIELD_ENERGY_BACKEND));
    g_autoptr(GError) error = read.error;
    if (error && (read.fit == 0 || g_file_test(place, G_FILE_TEST_IS_DIR)))
        preflight_find(ret, PREFLIGHT_FAILS, at, "energy.calibration: %s", error->message);
    else if (read.fit > 0)
        preflight_find(ret, PREFLIGHT_OK, NULL, "is of a sensor that is here");
    else if (read.asked > 0)
        preflight_find(ret, PREFLIGHT_LACKS, at, "energy.calibration: %s has no file of a sensor that is here: energy "
                       "will be uncalibrated", place);
    else
        preflight_find(ret, PREFLIGHT_ABSENT, NULL, "no sensor is here that it could be of");
}

const struct preflight_check preflight_sensor_rows[] = {
    {.id = "sensor.source",
     .why = "energy is what a sensor measured, or it is absent",
     .remedy = "`llem meter list` says what each source lacks",
     .key = source_key,
     .probe = probe_source},
    {.id = "sensor.any",
     .why = "without a sensor energy is absent",
     .remedy = "`llem meter list` says what each source lacks; energy.modelled: true adds a modelled value",
     .key = any_key,
     .probe = probe_any},
    {.id = "sensor.calibration",
     .why = "a file of another board, or one that cannot be, would leave energy uncalibrated",
     .remedy = "the file of this board; `llem meter list` has the names of boards",
     .key = calibration_key,
     .probe = probe_calibration},
    {0},
};
