/* SPDX-License-Identifier: MIT */
/* The energy of every scope, and the figures of the one that counts. */
#include "account/account.h"

#include <math.h>
#include <string.h>

#define MARGIN_NS NS_PER_S /* the edges around a stretch, to interpolate between */

static const struct {
    const char *flag, *meaning;
} flag_rows[] = {
#define X(code, flag, meaning) {flag, meaning},
    ACCOUNT_FLAG_ROWS(X)
#undef X
};
enum {
#define X(code, flag, meaning) FLAG_##code,
    ACCOUNT_FLAG_ROWS(X)
#undef X
};

/* What the functions of this file share. */
struct setting {
    const struct account_source *source;
    const struct account_run *run;
    struct result *r;
    json_t *stretch_flags; /* by the name of the figure */
};

/* --- what was read --------------------------------------------------------------------------------------------------- */

static struct energy_readings *read_sampler(void *from, const struct energy_known *known, int64_t from_ns,
                                            int64_t to_ns, const struct energy_ticks *ticks)
{
    return from ? energy_readings_take(known, from, from_ns, to_ns, ticks) : NULL;
}

struct account_source account_source_sampler(const struct account_known *known, struct sampler *sampler)
{
    return (struct account_source){.known = &known->energy, .read = read_sampler, .from = sampler};
}

struct energy_scopes *account_scopes(const struct account_source *source, int64_t from_ns, int64_t to_ns,
                                     const struct energy_ticks *ticks)
{
    static const struct energy_ticks none;
    return energy_scopes_new(source->known,
                             source->read(source->from, source->known, from_ns, to_ns, ticks ? ticks : &none));
}

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
static struct quantity per_work(const struct setting *s, struct quantity q, double by, const char *zero)
{
    if (q.status != QUANTITY_ABSENT && s->run->unequal)
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

static struct quantity flops_per_joule(const struct result *r, const struct energy_estimate *e)
{
    double flops = value_of(r, METRIC_FLOPS), joules = value_of(r, METRIC_ENERGY);
    return isfinite(flops) && joules > 0
               ? quantity_of(MAX(e->joules.status, QUANTITY_MODELLED), flops / joules, "matrix_shapes", NULL)
               : quantity_absent("needs both the operations and the energy of the window");
}

static void set_energy(const struct setting *s, const struct energy_estimate *e)
{
    struct result *r = s->r;
    double window_s = clock_seconds(energy_window_work_ns(&s->run->window));
    double in = value_of(r, METRIC_TOKENS_IN), out = value_of(r, METRIC_TOKENS_OUT);
    bool modelled = e->joules.status == QUANTITY_MODELLED;
    result_set(r, METRIC_ENERGY, e->joules);
    result_set(r, METRIC_J_OUTPUT, per_work(s, e->joules, out, "no output tokens"));
    result_set(r, METRIC_J_TOTAL, per_work(s, e->joules, in + out, "no tokens"));
    result_set(r, METRIC_J_REQUEST, per_work(s, e->joules, value_of(r, METRIC_REQUESTS), "no requests"));
    result_set(r, METRIC_POWER_MEAN, over(e->joules, window_s, "the window has no length"));
    result_set(r, METRIC_POWER_PEAK,
               modelled ? quantity_absent("a model of CPU time has no power peaks") : e->peak_w);
    result_set(r, METRIC_TAIL, e->tail_j);
    result_set(r, METRIC_FLOPS_PER_J, flops_per_joule(r, e));
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
static struct energy_baseline idle_of(const struct setting *s, const struct energy_scope *scope,
                                      const struct account_stretch *idle)
{
    bool modelled = energy_scope_status(scope) == QUANTITY_MODELLED;
    struct energy_baseline level = {
        .watts = quantity_absent(idle->reason ? idle->reason : "not taken"), .u_w = NAN, .df = NAN};
    if (modelled && idle->t1_ns)
        level.watts = quantity_absent(ACCOUNT_NO_IDLE_LEVEL);
    if (modelled || idle->t1_ns == 0)
        return level;
    g_autoptr(owned_scopes) scopes = account_scopes(s->source, idle->t0_ns, idle->t1_ns, NULL);
    energy_scope_idle(same_scope(scopes, scope), idle->t0_ns, idle->t1_ns, &level);
    return level;
}

/* With the engine loaded: the level in the middle of the work, from the one before and the one after it. */
static struct energy_baseline idle_context_of(const struct setting *s, const struct energy_scope *scope)
{
    const struct energy_window *w = &s->run->window;
    struct energy_baseline before = idle_of(s, scope, &s->run->idle_context);
    struct energy_baseline after = idle_of(s, scope, &s->run->idle_after), level;
    bool drift;
    energy_baseline_between(&before, &after, w->t0_ns + (w->t1_ns - w->t0_ns) / 2, &level, &drift);
    raise_sensor_flag(s->r, ENERGY_FLAG_BASELINE_DRIFT, drift);
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

/* Doubts about a stretch without guards. Others (fallback, below_resolution, …) are so of every such stretch. */
#define STRETCH_FLAGS                                                                                                  \
    (ENERGY_FLAG(PHASE_LOCKED) | ENERGY_FLAG(PHASE_UNTOLD) | ENERGY_FLAG(LIMIT_UNKNOWN) |                              \
     ENERGY_FLAG(PARTIAL_COVERAGE) | ENERGY_FLAG(READINGS_DROPPED) | ENERGY_FLAG(GAP) | ENERGY_FLAG(SENSOR_LOST) |     \
     ENERGY_FLAG(COUNTER_RESET) | ENERGY_FLAG(COUNTER_STUCK) | ENERGY_FLAG(COUNTER_MIRRORED) |                         \
     ENERGY_FLAG(SELFTEST_FAILED))

/* Loading is often too short for the channel of the work: what another one misses is no doubt about the work. */
#define OF_THE_FIGURE_ALONE ENERGY_FLAG(PARTIAL_COVERAGE)

/* An idle board has no steps that readings could be locked to, and no pulse that a limit bounds. */
#define IDLE_FLAGS                                                                                                     \
    (STRETCH_FLAGS & ~(ENERGY_FLAG(PHASE_LOCKED) | ENERGY_FLAG(PHASE_UNTOLD) | ENERGY_FLAG(LIMIT_UNKNOWN)))

/* Raised for the run as the work's are, but for those of the figure alone; whose they are stands in
 * energy.stretch_flags. */
static void raise_stretch_flags(const struct setting *s, uint32_t flags, enum result_metric metric)
{
    json_t *list = json_array();
    for (int i = 0; i < ENERGY_FLAG_COUNT; i++) {
        bool raised = flags & (UINT32_C(1) << i);
        raise_sensor_flag(s->r, i, raised && !(OF_THE_FIGURE_ALONE & (UINT32_C(1) << i)));
        if (raised)
            json_array_append_new(list, json_string(energy_flag_name(i)));
    }
    json_object_set_new(s->stretch_flags, result_metric_row(metric)->id, list);
}

/* The energy of a stretch without guards. */
static void estimate_stretch(const struct setting *s, const struct energy_scope *scope,
                             const struct account_stretch *at, struct energy_estimate *ret)
{
    struct energy_window window = {at->t0_ns, at->t0_ns, at->t1_ns, at->t1_ns, 1, 0, 0};
    struct energy_options options = {.draws = s->run->options.draws, .resolution = s->run->options.resolution,
                                     .stamps_ns = at->stamps_ns, .stamp_count = at->stamp_count};
    g_autoptr(owned_scopes) scopes =
        account_scopes(s->source, at->t0_ns - MARGIN_NS, at->t1_ns + MARGIN_NS, &at->ticks);
    energy_scope_estimate(same_scope(scopes, scope), &window, &options, ret, NULL);
}

/* What is to be doubted of the readings in two idle stretches that one level is of. */
static void raise_idle_flags(const struct setting *s, const struct energy_scope *scope,
                             const struct account_stretch *first, const struct account_stretch *second,
                             enum result_metric level)
{
    const struct account_stretch *const both[] = {first, second};
    uint32_t flags = 0;
    if (result_get(s->r, level).status == QUANTITY_ABSENT)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
        g_auto(owned_estimate) e = {0};
        if (!both[i] || both[i]->t1_ns == 0)
            continue;
        estimate_stretch(s, scope, both[i], &e);
        flags |= e.flags & IDLE_FLAGS;
    }
    raise_stretch_flags(s, flags, level);
}

static void set_stretch(const struct setting *s, const struct energy_scope *scope, const struct account_stretch *at,
                        enum result_metric metric, const char *reason)
{
    if (at->t1_ns == 0) {
        result_set(s->r, metric, quantity_absent(reason ? reason : "it did not take place"));
        return;
    }
    g_auto(owned_estimate) e = {0};
    estimate_stretch(s, scope, at, &e);
    result_set(s->r, metric, e.joules);
    if (energy_scope_status(scope) != QUANTITY_MODELLED)
        raise_stretch_flags(s, e.flags & STRETCH_FLAGS, metric);
}

static void report_primary(const struct setting *s, const struct energy_scope *scope,
                           const struct energy_estimate *e)
{
    set_energy(s, e);
    struct energy_baseline context = idle_context_of(s, scope), cold = idle_of(s, scope, &s->run->idle_cold);
    struct quantity net = set_net(e, &context, METRIC_IDLE_CONTEXT, METRIC_NET_CONTEXT, s->r);
    result_set(s->r, METRIC_J_OUTPUT_NET, per_work(s, net, value_of(s->r, METRIC_TOKENS_OUT), "no output tokens"));
    set_net(e, &cold, METRIC_IDLE_COLD, METRIC_NET_COLD, s->r);
    raise_idle_flags(s, scope, &s->run->idle_context, &s->run->idle_after, METRIC_IDLE_CONTEXT);
    raise_idle_flags(s, scope, &s->run->idle_cold, NULL, METRIC_IDLE_COLD);
    set_stretch(s, scope, &s->run->load, METRIC_LOAD_ENERGY, NULL);
    set_stretch(s, scope, &s->run->compile, METRIC_COMPILE_ENERGY, s->run->compile.reason);
    set_stretch(s, scope, &s->run->warmup, METRIC_WARMUP_ENERGY, NULL);
    struct account_stretch steady = s->run->steady; /* a part of the work */
    steady.stamps_ns = s->run->options.stamps_ns;
    steady.stamp_count = s->run->options.stamp_count;
    set_stretch(s, scope, &steady, METRIC_STEADY_ENERGY, steady.reason);
    result_set(s->r, METRIC_STEADY_J_OUTPUT,
               over(result_get(s->r, METRIC_STEADY_ENERGY), value_of(s->r, METRIC_STEADY_TOKENS), "no output tokens"));
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

static void report_scope(const struct setting *s, const struct energy_scope *scope, bool primary, json_t *all)
{
    g_autofree struct energy_estimate *boards = g_new0(struct energy_estimate, scope->boards->len);
    g_auto(owned_estimate) e = {0};
    energy_scope_estimate(scope, &s->run->window, &s->run->options, &e, boards);
    json_array_append_new(all, energy_scope_json(scope, &e, boards));
    if (primary)
        report_primary(s, scope, &e);
    else if (!s->run->rival)
        mention_other_scope(scope, &e, s->r);
    for (guint i = 0; i < scope->boards->len; i++)
        energy_estimate_clear(&boards[i]);
}

/* primary: NULL where none counts. */
static json_t *report_scopes(const struct setting *s, const struct energy_scopes *scopes,
                             const struct energy_scope *primary)
{
    json_t *all = json_array();
    if (primary) {
        report_scope(s, primary, true, all);
        if (s->run->on_boards && !meter_scope_of_boards(primary->row))
            result_flag(s->r, flag_rows[FLAG_GPU_NOT_IN_SCOPE].flag, flag_rows[FLAG_GPU_NOT_IN_SCOPE].meaning);
        if (s->run->divided && primary->row->device == METER_DEVICE_BOARD)
            result_flag(s->r, flag_rows[FLAG_GPU_ONLY].flag, flag_rows[FLAG_GPU_ONLY].meaning);
        raise_sensor_flag(s->r, ENERGY_FLAG_PERIOD_CHANGED, s->run->period_changed);
        raise_sensor_flag(s->r, ENERGY_FLAG_GUARD_NOT_SETTLED, s->run->guard_gave_up);
    }
    for (guint i = 0; i < scopes->all->len; i++)
        if (g_ptr_array_index(scopes->all, i) != primary)
            report_scope(s, g_ptr_array_index(scopes->all, i), false, all);
    return all;
}

/* The scope that is the energy of the run. */
static const struct energy_scope *counting(const struct energy_scopes *scopes, const char *rival)
{
    bool beaten = scopes->primary && rival &&
                  meter_scope_find(rival)->preference <= scopes->primary->row->preference;
    return beaten ? NULL : scopes->primary;
}

bool account_energy(const struct account_source *source, const struct account_run *run, struct result *r)
{
    const struct setting s = {source, run, r, json_object()};
    const struct energy_window *w = &run->window;
    g_autoptr(owned_scopes) scopes = account_scopes(source, w->guard_from_ns, w->guard_to_ns, &run->ticks);
    const struct energy_scope *primary = counting(scopes, run->rival);
    result_put_text(r, PART_ENERGY_SCOPE, primary ? primary->name : NULL);
    result_put_int(r, PART_ENERGY_ESTIMATOR_VERSION, ENERGY_ESTIMATOR_VERSION);
    result_put_json(r, PART_ENERGY_SCOPES, report_scopes(&s, scopes, primary));
    result_put_json(r, PART_ENERGY_STRETCH_FLAGS, s.stretch_flags);
    for (guint i = 0; i < scopes->warnings->len; i++)
        result_warn(r, "%s", (const char *)g_ptr_array_index(scopes->warnings, i));
    return primary != NULL;
}
