/* SPDX-License-Identifier: MIT */
/* The energy of the run: what its record says beside what room account makes of its stretches. */
#include "experiment/internal.h"

#include <string.h>

#define MARGIN_NS NS_PER_S /* the edges around the window, to interpolate between */

/* --- the run as room account sees it ----------------------------------------------------------------------------- */

static struct account_stretch stretch_of(const struct stretch *at, const char *reason)
{
    return (struct account_stretch){
        .t0_ns = at->t0_ns, .t1_ns = at->t1_ns, .ticks = {at->tick0, at->tick1}, .reason = reason};
}

static struct account_run run_of(const struct experiment *x)
{
    const struct block *block = &x->block;
    struct account_stretch warmup = stretch_of(&x->warmup.at, NULL);
    if (x->warmup.stamps) {
        warmup.stamps_ns = (const int64_t *)(const void *)x->warmup.stamps->data;
        warmup.stamp_count = x->warmup.stamps->len;
    }
    return (struct account_run){
        .window = block->window,
        .ticks = {block->at.tick0, block->at.tick1},
        .options = block_options(&x->inputs, block),
        .load = stretch_of(&x->session.load, NULL),
        .compile = {.t0_ns = x->session.loaded.compile_t0_ns, .t1_ns = x->session.loaded.compile_t1_ns,
                    .reason = NOT_SAID_WHEN_COMPILED},
        .warmup = warmup,
        .steady = {.t0_ns = x->steady.t0_ns, .t1_ns = x->steady.t1_ns, .reason = x->steady.reason},
        .idle_cold = stretch_of(&x->idle_cold.at, x->idle_cold.reason),
        .idle_context = stretch_of(&x->idle_context.at, x->idle_context.reason),
        .idle_after = stretch_of(&x->idle_after.at, x->idle_after.reason),
        .on_boards = x->session.loaded.on_gpu,
        .divided = x->session.loaded.on_gpu && x->session.loaded.on_cpu,
        .unequal = report_work_is_unequal(&x->session, block),
        .period_changed = block->period_changed,
        .guard_gave_up = block->guard_gave_up,
    };
}

/* --- sources ----------------------------------------------------------------------------------------------------- */

/* Those read here, and those that the parent reads. */
static json_t *sources_json(const struct sensors *sensors)
{
    json_t *list = account_sources(sensors->meter);
    json_array_extend(list, sensors->host_sources);
    return list;
}

static void put_guard(const struct block *block, struct result *r)
{
    const struct energy_window *w = &block->window;
    result_put_int(r, PART_ENERGY_GUARD_PRE_NS, w->t0_ns - w->guard_from_ns);
    result_put_int(r, PART_ENERGY_GUARD_POST_NS, w->guard_to_ns - w->t1_ns);
    result_put_int(r, PART_ENERGY_GUARD_PLANNED_POST_NS, block->plan.guard.post_ns);
    result_put_bool(r, PART_ENERGY_GUARD_GAVE_UP, block->guard_gave_up);
}

/* Why a source gives nothing: it is not open, or the first of its channels of joules that are absent. Borrowed. */
static const char *reason_of(const json_t *source)
{
    const char *reason = json_string_value(json_object_get(source, "reason"));
    const json_t *first = json_array_get(json_object_get(source, "absent"), 0);
    return json_is_true(json_object_get(source, "open")) ? json_string_value(json_object_get(first, "reason")) : reason;
}

/* What the source that was asked for by name lacks; NULL when none was, or nothing. Borrowed from sources. */
static const char *named_source_reason(const struct experiment *x, const json_t *sources)
{
    const char *backend = config_string(x->inputs.config, FIELD_ENERGY_BACKEND);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *source = json_array_get(sources, i);
        if (!g_strcmp0(json_string_value(json_object_get(source, "name")), backend) && reason_of(source))
            return reason_of(source);
    }
    return NULL;
}

/* A sensor that is here and does not answer unasked; NULL: there is none. */
static const struct meter_channel *unasked(const struct energy_known *known)
{
    for (size_t i = 0; i < known->channel_count; i++)
        if (energy_channel_usable(known->channels[i]) &&
            meter_scope_find(known->channels[i]->scope)->preference == METER_COUNTS_IF_NAMED)
            return known->channels[i];
    return NULL;
}

/* A model stands in for no sensor in silence: one that is here and was not taken is named with the true reason. */
static void warn_of_model(const struct energy_known *known, struct result *r)
{
    const struct meter_channel *there = unasked(known);
    if (there && result_get(r, METRIC_ENERGY).status == QUANTITY_MODELLED)
        result_warn(r, "the energy is modelled: %s is here, and what it covers is not known; energy.backend: %s takes it",
                    there->id, there->source);
}

static bool is_contested(const struct energy_known *known)
{
    g_autoptr(owned_scopes) scopes = energy_scopes_new(known, NULL);
    return scopes->contested;
}

/* Why there is no energy at all. New string. */
static char *no_energy_reason(const struct experiment *x, const json_t *sources)
{
    const char *named = named_source_reason(x, sources);
    const struct energy_known *known = &x->sensors.own.energy;
    bool on_gpu = x->session.loaded.on_gpu, boards = false;
    const char *scope = config_string(x->inputs.config, FIELD_ENERGY_SCOPE);
    if (is_contested(known))
        return g_strdup("the driver has an energy of the GPU's board and one of its module (GPU, CPU and memory), and neither "
                        "stands in for the other: say which is the run's by energy.scope: board or module; both are in "
                        "energy.scopes");
    if (on_gpu && strcmp(scope, "auto") != 0)
        return g_strdup_printf("energy.scope is %s, and no sensor of this GPU counts that", scope);
    if (account_known_serves(&x->sensors.host, false))
        return g_strdup("its sensors are read beside the worker: the figures are in host_energy.json");
    if (named)
        return g_strdup(named);
    if (!strcmp(config_string(x->inputs.config, FIELD_ENERGY_BACKEND), SOURCE_NONE))
        return g_strdup("energy.backend is none");
    for (size_t i = 0; i < known->channel_count; i++) {
        const struct meter_channel *c = known->channels[i];
        bool ours = energy_channel_is_ours(known, c);
        boards = boards || (!on_gpu && energy_channel_usable(c) && !ours);
        if (on_gpu && ours && meter_channel_of_board(c) && energy_kind_gives_joules(c->kind))
            return g_strdup_printf("%s: %s", c->device, c->reason ? c->reason : "no channel of it can be used");
    }
    const struct meter_channel *there = unasked(known);
    if (there)
        return g_strdup_printf("%s is here, and what it covers is not known: energy.backend: %s takes it all the same",
                               there->id, there->source);
    return g_strdup_printf(
        "%s and no model: 'llem meter' says what each source lacks; energy.modelled: true adds a modelled value",
        boards ? "the engine works on the CPU, whose energy no sensor here counts (a GPU's is not its),"
               : "no sensor");
}

/* --- the part ---------------------------------------------------------------------------------------------------- */

static struct quantity throttle(const struct experiment *x)
{
    struct quantity worst = quantity_absent("no device of this run that counts throttled time");
    int64_t t0_ns = x->block.window.t0_ns, t1_ns = x->block.window.t1_ns;
    for (size_t i = 0; i < x->sensors.own.energy.channel_count; i++) {
        g_autoptr(GArray) points =
            sensors_series(&x->sensors, i, METER_THROTTLE, t0_ns - MARGIN_NS, t1_ns + MARGIN_NS);
        if (!points)
            continue;
        struct energy_channel channel = {.info = x->sensors.own.channels[i],
                                         .points = (const struct meter_point *)(const void *)points->data,
                                         .count = points->len};
        struct quantity q = energy_cumulative(&channel, t0_ns, t1_ns);
        if (worst.status == QUANTITY_ABSENT || (q.status != QUANTITY_ABSENT && q.value > worst.value))
            worst = q;
    }
    return worst;
}

void report_energy(const struct experiment *x, struct result *r)
{
    struct account_source source = sensors_source(&x->sensors);
    struct account_run run = run_of(x);
    g_autoptr(json_t) sources = sources_json(&x->sensors);
    account_energy(&source, &run, r);
    warn_of_model(&x->sensors.own.energy, r);
    result_put_json(r, PART_ENERGY_SOURCES, json_incref(sources));
    if (account_known_serves(&x->sensors.host, true))
        result_put_bool(r, PART_ENERGY_BESIDE, true);
    put_guard(&x->block, r);
    result_put_json(r, PART_ENERGY_CHARACTERISATION, json_incref(x->sensors.own.characterisation));
    result_set(r, METRIC_THROTTLE, throttle(x));
    g_autofree char *reason = no_energy_reason(x, sources);
    result_absent_group(r, "energy", reason);
}
