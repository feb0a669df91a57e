/* SPDX-License-Identifier: MIT */
/* The record of the energy: of every scope, and the figures of the one that counts. */
#include "experiment/flags.h"
#include "experiment/internal.h"

#include <math.h>
#include <string.h>

#define MARGIN_NS NS_PER_S /* the edges around a stretch, to interpolate between */

/* --- figures of the scope that counts ---------------------------------------------------------------------------- */

/* q ÷ by, with its interval; a reason where either is missing. */
static struct quantity over(struct quantity q, double by, const char *denominator_is_zero)
{
    if (q.status == QUANTITY_ABSENT)
        return q;
    if (!(by > 0))
        return quantity_absent(denominator_is_zero);
    q.value /= by;
    q.low /= by;
    q.high /= by;
    return q;
}

static double value_of(const struct result *r, enum result_metric metric)
{
    struct quantity q = result_get(r, metric);
    return q.status == QUANTITY_ABSENT ? NAN : q.value;
}

/* Energy per unit of work, when the work was the same throughout. */
static struct quantity per_work(const struct experiment *x, struct quantity q, double by, const char *zero)
{
    if (q.status != QUANTITY_ABSENT && report_work_is_unequal(&x->session, &x->block))
        return quantity_absent(
            "the repeats in the window differ in what was computed or put out (flag unequal_work): "
            "switch the prefix cache off, keep decoder.ignore_eos, or set energy.max_repeats: 1");
    return over(q, by, zero);
}

/* A doubt about sensors or levels: a row of room energy. */
static void raise_sensor_flag(struct result *r, enum energy_flag flag, bool raised)
{
    if (raised)
        result_flag(r, energy_flag_name(flag), energy_flag_meaning(flag));
}

static void set_energy(const struct experiment *x, const struct energy_estimate *e, struct result *r)
{
    double window_s = clock_seconds(x->block.window.t1_ns - x->block.window.t0_ns);
    double in = value_of(r, METRIC_TOKENS_IN), out = value_of(r, METRIC_TOKENS_OUT);
    bool modelled = e->joules.status == QUANTITY_MODELLED;
    result_set(r, METRIC_ENERGY, e->joules);
    result_set(r, METRIC_J_OUTPUT, per_work(x, e->joules, out, "no output tokens"));
    result_set(r, METRIC_J_TOTAL, per_work(x, e->joules, in + out, "no tokens"));
    result_set(r, METRIC_J_REQUEST, per_work(x, e->joules, value_of(r, METRIC_REQUESTS), "no requests"));
    result_set(r, METRIC_POWER_MEAN, over(e->joules, window_s, "the window has no length"));
    result_set(r, METRIC_POWER_PEAK,
               modelled ? quantity_absent("a model of CPU time has no power peaks") : e->peak_w);
    result_set(r, METRIC_TAIL, e->tail_j);
    double flops = value_of(r, METRIC_FLOPS), joules = value_of(r, METRIC_ENERGY);
    result_set(r, METRIC_FLOPS_PER_J,
               isfinite(flops) && joules > 0
                   ? quantity_of(MAX(e->joules.status, QUANTITY_MODELLED), flops / joules, "matrix_shapes", NULL)
                   : quantity_absent("needs both the operations and the energy of the window"));
    /* Most doubts are about sensors; a model has its stated range instead. */
    uint32_t flags = modelled ? e->flags & ENERGY_FLAG(HOST_GAPS) : e->flags;
    for (int i = 0; i < ENERGY_FLAG_COUNT; i++)
        raise_sensor_flag(r, i, flags & (UINT32_C(1) << i));
}

/* The scope of a name in a stretch; every view of it has the same boards. */
static const struct energy_scope *same_scope(const struct energy_scopes *scopes, const struct energy_scope *scope)
{
    for (guint i = 0; i < scopes->all->len; i++) {
        const struct energy_scope *s = g_ptr_array_index(scopes->all, i);
        if (!strcmp(s->name, scope->name))
            return s;
    }
    return NULL;
}

/* The idle level of one scope: the sum over its boards. */
static struct energy_baseline idle_of(const struct experiment *x, const struct energy_scope *scope,
                                      const struct idle *idle)
{
    bool modelled = energy_scope_status(scope) == QUANTITY_MODELLED;
    struct energy_baseline level = {
        .watts = quantity_absent(idle->reason ? idle->reason : "not taken"), .u_w = NAN, .df = NAN};
    if (modelled && idle->at.t1_ns)
        level.watts = quantity_absent(NO_IDLE_LEVEL);
    if (modelled || idle->at.t1_ns == 0)
        return level;
    g_autoptr(owned_scopes) scopes = sensors_scopes(&x->sensors, idle->at.t0_ns, idle->at.t1_ns, NULL);
    energy_scope_idle(same_scope(scopes, scope), idle->at.t0_ns, idle->at.t1_ns, &level);
    return level;
}

/* With the engine loaded: the level in the middle of the work, from the one before and the one after it. */
static struct energy_baseline idle_context_of(const struct experiment *x, const struct energy_scope *scope,
                                              struct result *r)
{
    const struct energy_window *w = &x->block.window;
    struct energy_baseline before = idle_of(x, scope, &x->idle_context), after = idle_of(x, scope, &x->idle_after);
    struct energy_baseline level;
    bool drift;
    energy_baseline_between(&before, &after, w->t0_ns + (w->t1_ns - w->t0_ns) / 2, &level, &drift);
    raise_sensor_flag(r, ENERGY_FLAG_BASELINE_DRIFT, drift);
    return level;
}

/* Returns the energy above a level. */
static struct quantity set_net(const struct energy_estimate *gross, const struct energy_baseline *baseline,
                               enum result_metric level, enum result_metric net_metric, struct result *r)
{
    struct quantity net_joules = quantity_absent(baseline->watts.reason ? baseline->watts.reason : "no idle level");
    g_auto(owned_estimate) net = {0};
    result_set(r, level, baseline->watts);
    if (baseline->watts.status != QUANTITY_ABSENT && gross->joules.status != QUANTITY_ABSENT) {
        energy_net(gross, baseline, &net);
        net_joules = net.joules;
    }
    result_set(r, net_metric, net_joules);
    return result_get(r, net_metric);
}

static void set_stretch(const struct experiment *x, const struct energy_scope *scope, const struct stretch *at,
                        enum result_metric metric, struct result *r)
{
    if (at->t1_ns == 0) {
        result_set(r, metric, quantity_absent("it did not take place"));
        return;
    }
    struct energy_window window = {at->t0_ns, at->t0_ns, at->t1_ns, at->t1_ns, 1, 0};
    struct energy_options options = {.resolution = config_real(x->inputs.config, FIELD_ENERGY_TARGET_UNCERTAINTY)};
    g_autoptr(owned_scopes) scopes = sensors_scopes(&x->sensors, at->t0_ns - MARGIN_NS, at->t1_ns + MARGIN_NS, at);
    g_auto(owned_estimate) e = {0};
    energy_scope_estimate(same_scope(scopes, scope), &window, &options, &e, NULL);
    result_set(r, metric, e.joules);
}

static void report_primary(const struct experiment *x, const struct energy_scope *scope,
                           const struct energy_estimate *e, struct result *r)
{
    set_energy(x, e, r);
    struct energy_baseline context = idle_context_of(x, scope, r), cold = idle_of(x, scope, &x->idle_cold);
    struct quantity net = set_net(e, &context, METRIC_IDLE_CONTEXT, METRIC_NET_CONTEXT, r);
    result_set(r, METRIC_J_OUTPUT_NET, per_work(x, net, value_of(r, METRIC_TOKENS_OUT), "no output tokens"));
    set_net(e, &cold, METRIC_IDLE_COLD, METRIC_NET_COLD, r);
    set_stretch(x, scope, &x->session.load, METRIC_LOAD_ENERGY, r);
    set_stretch(x, scope, &x->warmup.at, METRIC_WARMUP_ENERGY, r);
}

/* --- every scope ------------------------------------------------------------------------------------------------- */

/* The scope that counts has no value, another has: say so, do not swap them. */
static void mention_other_scope(const struct energy_scope *other, const struct energy_estimate *e, struct result *r)
{
    bool missing = result_get(r, METRIC_ENERGY).status == QUANTITY_ABSENT;
    if (missing && e->joules.status != QUANTITY_ABSENT)
        result_warn(r, "%s has an energy (%s) in energy.scopes of result.json", other->name,
                    quantity_status_name(e->joules.status));
}

static void report_scope(const struct experiment *x, const struct energy_scope *scope, bool primary, json_t *all,
                         struct result *r)
{
    struct energy_options options = block_options(&x->inputs, &x->block);
    g_autofree struct energy_estimate *boards = g_new0(struct energy_estimate, scope->boards->len);
    g_auto(owned_estimate) e = {0};
    energy_scope_estimate(scope, &x->block.window, &options, &e, boards);
    json_array_append_new(all, energy_scope_json(scope, &e, boards));
    if (primary)
        report_primary(x, scope, &e, r);
    else
        mention_other_scope(scope, &e, r);
    for (guint i = 0; i < scope->boards->len; i++)
        energy_estimate_clear(&boards[i]);
}

static json_t *report_scopes(const struct experiment *x, const struct energy_scopes *scopes, struct result *r)
{
    const struct energy_scope *primary = scopes->primary;
    json_t *all = json_array();
    if (primary) {
        report_scope(x, primary, true, all, r);
        if (x->session.loaded.on_gpu && !meter_scope_of_boards(primary->row))
            flag_raise(r, FLAG_GPU_NOT_IN_SCOPE);
        raise_sensor_flag(r, ENERGY_FLAG_PERIOD_CHANGED, x->block.period_changed);
        raise_sensor_flag(r, ENERGY_FLAG_GUARD_NOT_SETTLED, x->block.guard_gave_up);
    }
    for (guint i = 0; i < scopes->all->len; i++)
        if (g_ptr_array_index(scopes->all, i) != primary)
            report_scope(x, g_ptr_array_index(scopes->all, i), false, all, r);
    return all;
}

/* --- sources ----------------------------------------------------------------------------------------------------- */

/* The channels of a source that would give joules and do not, each with its reason. */
static json_t *absent_channels(const struct sensors *sensors, const char *source)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sensors->known.channel_count; i++) {
        const struct meter_channel *c = sensors->channels[i];
        if (!strcmp(c->source, source) && energy_kind_gives_joules(c->kind) && c->status == QUANTITY_ABSENT)
            json_array_append_new(list, json_pack("{s:s, s:s}", "id", c->id, "reason", c->reason));
    }
    return list;
}

static json_t *sources_json(const struct sensors *sensors)
{
    json_t *list = json_array();
    for (size_t i = 0; i < meter_source_count(sensors->meter); i++) {
        const struct meter_source_state *s = meter_source_at(sensors->meter, i);
        if (s->asked)
            json_array_append_new(list,
                                  json_pack("{s:s, s:b, s:s*, s:o}", "name", s->row->name, "open", s->open, "reason",
                                            s->reason, "absent", absent_channels(sensors, s->row->name)));
    }
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

/* What the source that was asked for by name lacks; NULL when none was. Borrowed. */
static const char *named_source_reason(const struct experiment *x)
{
    const char *backend = config_string(x->inputs.config, FIELD_ENERGY_BACKEND);
    for (size_t i = 0; i < meter_source_count(x->sensors.meter); i++) {
        const struct meter_source_state *s = meter_source_at(x->sensors.meter, i);
        if (!strcmp(s->row->name, backend) && !s->open)
            return s->reason;
    }
    for (size_t i = 0; i < x->sensors.known.channel_count; i++) {
        const struct meter_channel *c = x->sensors.channels[i];
        if (!strcmp(c->source, backend) && energy_kind_gives_joules(c->kind) && c->status == QUANTITY_ABSENT)
            return c->reason;
    }
    return NULL;
}

/* Why there is no energy at all. New string. */
static char *no_energy_reason(const struct experiment *x)
{
    const char *named = named_source_reason(x);
    const struct energy_known *known = &x->sensors.known;
    bool on_gpu = x->session.loaded.on_gpu, boards = false;
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
    for (size_t i = 0; i < x->sensors.known.channel_count; i++) {
        g_autoptr(GArray) points =
            sensors_series(&x->sensors, i, METER_THROTTLE, t0_ns - MARGIN_NS, t1_ns + MARGIN_NS);
        if (!points)
            continue;
        struct energy_channel channel = {.info = x->sensors.channels[i],
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
    const struct energy_window *w = &x->block.window;
    g_autoptr(owned_scopes) scopes = sensors_scopes(&x->sensors, w->guard_from_ns, w->guard_to_ns, &x->block.at);
    result_put_text(r, PART_ENERGY_SCOPE, scopes->primary ? scopes->primary->name : NULL);
    result_put_int(r, PART_ENERGY_ESTIMATOR_VERSION, ENERGY_ESTIMATOR_VERSION);
    result_put_json(r, PART_ENERGY_SCOPES, report_scopes(x, scopes, r));
    result_put_json(r, PART_ENERGY_SOURCES, sources_json(&x->sensors));
    put_guard(&x->block, r);
    result_put_json(r, PART_ENERGY_CHARACTERISATION, json_incref(x->sensors.characterisation));
    for (guint i = 0; i < scopes->warnings->len; i++)
        result_warn(r, "%s", (const char *)g_ptr_array_index(scopes->warnings, i));
    result_set(r, METRIC_THROTTLE, throttle(x));
    g_autofree char *reason = no_energy_reason(x);
    result_absent_group(r, "energy", reason);
}
