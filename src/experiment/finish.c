/* SPDX-License-Identifier: MIT */
/* The phases after the work: memory, engine stop, and everything that becomes a figure of the record. */
#include "experiment/flags.h"
#include "experiment/internal.h"
#include "experiment/machine.h"
#include "experiment/service.h"

#include <math.h>
#include <string.h>

#define MB 1e6

bool phase_memory(struct experiment *x, GError **error)
{
    return engine_memory(x->engine, experiment_deadline(x), &x->memory, error);
}

bool phase_stop(struct experiment *x, GError **error)
{
    if (!engine_stop(x->engine, NULL, &x->stopped, error))
        return false;
    if (x->stopped.stage > ENGINE_STOP_SHUTDOWN)
        result_warn(x->result, "the engine did not end by itself; it took: %s", engine_stop_stage_name(x->stopped.stage));
    return !x->sampler || sampler_stop(x->sampler, error);
}

/* What a figure of the engine's own is. */
static enum quantity_status engine_status(const struct experiment *x)
{
    return x->identity.simulated ? QUANTITY_SIMULATED : QUANTITY_MEASURED;
}

/* --- work ------------------------------------------------------------------------------------------------------------ */

static char *outputs_sha256(const struct engine_generation *g, size_t n)
{
    g_autofree const int32_t **ids = g_new0(const int32_t *, n + 1);
    g_autofree size_t *lengths = g_new0(size_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        ids[i] = g->requests[i].token_ids;
        lengths[i] = g->requests[i].n_out;
    }
    return workload_ids_sha256(ids, lengths, n);
}

/* Repeats must compute the same: the same number of input tokens not served from a cache, the same output counts. */
static void check_repeats(struct experiment *x)
{
    const struct engine_generation *g = &x->generation;
    size_t n = x->prompts.n;
    for (size_t i = n; i < g->n_requests; i++) {
        const struct engine_request *a = &g->requests[i % n], *b = &g->requests[i];
        if (a->n_in - a->n_cached != b->n_in - b->n_cached || a->n_out != b->n_out) {
            x->unequal_work = true;
            flag_raise(x->result, FLAG_UNEQUAL_WORK);
            return;
        }
    }
}

static void report_variants(struct experiment *x)
{
    int64_t variants = x->exchange.warmup_variants;
    if (variants)
        result_warn(x->result,
                    "the data set has no other prompts left for the warm-up; %" G_GINT64_FORMAT
                    " are rearranged measured ones",
                    variants);
}

static void report_work(struct experiment *x)
{
    const struct engine_generation *g = &x->generation;
    size_t n = MIN(x->prompts.n, g->n_requests), short_outputs = 0;
    x->output_sha256 = outputs_sha256(g, n);
    json_t *in = json_array(), *out = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(in, json_integer(g->requests[i].n_in));
        json_array_append_new(out, json_integer((json_int_t)g->requests[i].n_out));
        short_outputs += (int64_t)g->requests[i].n_out < config_int(x->config, FIELD_MAX_OUTPUT_TOKENS);
    }
    json_t *work = json_object();
    if (x->exchange.dataset_sha256)
        json_object_set_new(work, "dataset_sha256", json_string(x->exchange.dataset_sha256));
    json_object_set_new(work, "prompts", json_integer((json_int_t)x->prompts.n));
    json_object_set_new(work, "prompts_truncated", json_integer((json_int_t)x->n_truncated));
    json_object_set_new(work, "input_ids_sha256", json_string(x->input_sha256));
    json_object_set_new(work, "output_ids_sha256", json_string(x->output_sha256));
    json_object_set_new(work, "input_tokens", in);
    json_object_set_new(work, "output_tokens", out);
    json_object_set_new(work, "repeats", json_integer(x->repeats));
    bool turned = x->repeats > 1 && x->loaded.prefix_cache;
    json_object_set_new(work, "repeat_sets", json_string(turned ? "turned: each begins elsewhere" : "same"));
    result_part(x->result, "workload", work);
    result_set(x->result, METRIC_REPEATS, quantity_of(QUANTITY_MEASURED, (double)x->repeats, NULL, NULL));
    report_variants(x);
    if (short_outputs)
        flag_raise(x->result, FLAG_OUTPUT_LENGTH_VARIES);
    check_repeats(x);
}


static void report_flops(struct experiment *x)
{
    const char *path = x->exchange.model_path;
    struct workload_facts facts = {0};
    g_autoptr(GError) error = NULL;
    const char *reason = "the engine has no model file to read the shapes from";
    double total = 0;
    bool ok = path && workload_facts_read(path, &facts, &error);
    if (ok)
        result_part(x->result, "model", workload_facts_json(&facts));
    else if (error)
        reason = error->message;
    for (size_t i = 0; ok && i < x->generation.n_requests; i++) {
        const struct engine_request *q = &x->generation.requests[i];
        struct workload_flops flops;
        ok = workload_flops_estimate(&facts, q->n_in - q->n_cached, (int64_t)q->n_out, &flops, &reason);
        total += ok ? flops.total : 0;
    }
    result_set(x->result, METRIC_FLOPS,
               ok ? quantity_of(QUANTITY_MODELLED, total, "matrix_shapes", NULL) : quantity_absent(reason));
    workload_facts_clear(&facts);
}

/* --- memory ---------------------------------------------------------------------------------------------------------- */

/* A figure of the protocol and the row it fills. */
static const struct {
    const char *figure;
    enum result_metric metric;
} memory_rows[] = {
    {"peak_bytes", METRIC_PEAK_MEMORY},       {"reserved_bytes", METRIC_RESERVED_MEMORY},
    {"weights_bytes", METRIC_WEIGHTS_MEMORY}, {"kv_cache_bytes", METRIC_KV_MEMORY},
    {"rss_peak_bytes", METRIC_HOST_MEMORY},
};

static const struct engine_figure *figure(const struct engine_memory *memory, const char *name)
{
    for (size_t i = 0; i < memory->n_figures; i++)
        if (!strcmp(memory->figures[i].name, name))
            return &memory->figures[i];
    return NULL;
}

static struct quantity device_peak(struct experiment *x)
{
    double peak = NAN;
    const struct meter_channel *channel = NULL;
    for (size_t i = 0; x->sampler && i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        if (c->kind != METER_MEMORY_USED || c->status == QUANTITY_ABSENT || !channel_is_ours(x, c))
            continue;
        g_autoptr(GArray) points = sampler_series(x->sampler, i, x->window.t0_ns, x->window.t1_ns);
        for (guint k = 0; k < points->len; k++) {
            const struct meter_point *p = &g_array_index(points, struct meter_point, k);
            double bytes = (double)p->raw * c->scale;
            if (p->status != METER_READ_OK || (!isnan(peak) && bytes <= peak))
                continue;
            peak = bytes;
            channel = c;
        }
    }
    return channel ? quantity_of(channel->status, peak / MB, "sampled_maximum", channel->id)
                   : quantity_absent("no device of this run whose memory could be sampled");
}

static void report_memory(struct experiment *x)
{
    for (size_t i = 0; i < G_N_ELEMENTS(memory_rows); i++) {
        const struct engine_figure *f = figure(&x->memory, memory_rows[i].figure);
        struct quantity q = quantity_absent("the adapter does not report it");
        if (f && f->bytes >= 0)
            q = quantity_of(engine_status(x), (double)f->bytes / MB, "engine", NULL);
        else if (f && f->reason)
            q = quantity_absent(f->reason);
        result_set(x->result, memory_rows[i].metric, q);
    }
    int64_t loaded = -1;
    bool known = jsonx_get_int(x->loaded.memory, "peak_bytes", false, &loaded, NULL) && loaded >= 0;
    result_set(x->result, METRIC_LOAD_MEMORY,
               known ? quantity_of(engine_status(x), (double)loaded / MB, "engine", NULL)
                     : quantity_absent("the adapter does not report its memory after loading"));
    result_set(x->result, METRIC_DEVICE_MEMORY, device_peak(x));
    result_part(x->result, "memory", json_incref(x->memory.reply));
}

/* --- energy ---------------------------------------------------------------------------------------------------------- */

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

static double value_of(const struct experiment *x, enum result_metric metric)
{
    struct quantity q = result_get(x->result, metric);
    return q.status == QUANTITY_ABSENT ? NAN : q.value;
}

/* Energy per unit of work, when the work was the same throughout. */
static struct quantity per_work(const struct experiment *x, struct quantity q, double by, const char *zero)
{
    if (x->unequal_work && q.status != QUANTITY_ABSENT)
        return quantity_absent("the repeats in the window differ in what was computed or put out (flag unequal_work): "
                               "switch the prefix cache off, keep decoder.ignore_eos, or set energy.max_repeats: 1");
    return over(q, by, zero);
}

static void set_energy(struct experiment *x, const struct energy_estimate *e)
{
    struct result *r = x->result;
    double window_s = (double)(x->window.t1_ns - x->window.t0_ns) / (double)NS_PER_S;
    result_set(r, METRIC_ENERGY, e->joules);
    result_set(r, METRIC_J_OUTPUT, per_work(x, e->joules, value_of(x, METRIC_TOKENS_OUT), "no output tokens"));
    result_set(r, METRIC_J_TOTAL, per_work(x, e->joules, value_of(x, METRIC_TOKENS_IN) + value_of(x, METRIC_TOKENS_OUT),
                                       "no tokens"));
    result_set(r, METRIC_J_REQUEST, per_work(x, e->joules, value_of(x, METRIC_REQUESTS), "no requests"));
    result_set(r, METRIC_POWER_MEAN, over(e->joules, window_s, "the window has no length"));
    result_set(r, METRIC_POWER_PEAK, e->joules.status == QUANTITY_MODELLED
                                         ? quantity_absent("a model of CPU time has no power peaks")
                                         : e->peak_w);
    result_set(r, METRIC_TAIL, e->tail_j);
    double flops = value_of(x, METRIC_FLOPS), joules = value_of(x, METRIC_ENERGY);
    result_set(r, METRIC_FLOPS_PER_J,
               isfinite(flops) && joules > 0
                   ? quantity_of(MAX(e->joules.status, QUANTITY_MODELLED), flops / joules, "matrix_shapes", NULL)
                   : quantity_absent("needs both the operations and the energy of the window"));
    /* Most doubts are about sensors; a model has its stated range instead. */
    uint32_t flags = e->joules.status == QUANTITY_MODELLED ? e->flags & ENERGY_FLAG(HOST_GAPS) : e->flags;
    for (int i = 0; i < ENERGY_FLAG_COUNT; i++)
        if (flags & (UINT32_C(1) << i))
            result_flag(r, energy_flag_name(i), energy_flag_meaning(i));
}

/* The idle level of one scope: the sum over its boards. */
static struct energy_baseline scope_idle(struct experiment *x, struct scope *scope, const struct idle *idle)
{
    struct energy_baseline sum = {.watts = quantity_absent(idle->reason ? idle->reason : "not taken"), .u_w = NAN, .df = NAN};
    if (scope_status(scope) == QUANTITY_MODELLED)
        sum.watts = quantity_absent(idle->at.t1_ns ? NO_IDLE_LEVEL : sum.watts.reason);
    if (idle->at.t1_ns == 0 || scope_status(scope) == QUANTITY_MODELLED)
        return sum;
    scope_load(x, scope, idle->at.t0_ns, idle->at.t1_ns, NULL);
    double half_width = 0, u2 = 0;
    for (guint i = 0; i < scope->boards->len; i++) {
        struct energy_baseline one;
        energy_baseline_measure(&((struct scope_board *)g_ptr_array_index(scope->boards, i))->board, idle->at.t0_ns,
                                idle->at.t1_ns, &one);
        if (one.watts.status == QUANTITY_ABSENT)
            return one;
        half_width = sqrt(half_width * half_width + pow((one.watts.high - one.watts.low) / 2, 2));
        u2 += one.u_w * one.u_w;
        double watts = one.watts.value + (i ? sum.watts.value : 0);
        double df = i ? MIN(one.df, sum.df) : one.df;
        sum = one;
        sum.watts.value = watts;
        sum.df = df;
    }
    sum.watts.low = sum.watts.value - half_width;
    sum.watts.high = sum.watts.value + half_width;
    sum.u_w = sqrt(u2);
    return sum;
}

/* With the engine loaded: the level in the middle of the work, from the one before and the one after it. */
static struct energy_baseline scope_idle_context(struct experiment *x, struct scope *scope)
{
    struct energy_baseline before = scope_idle(x, scope, &x->idle_context), after = scope_idle(x, scope, &x->idle_after), level;
    bool drift;
    energy_baseline_between(&before, &after, x->window.t0_ns + (x->window.t1_ns - x->window.t0_ns) / 2, &level, &drift);
    if (drift)
        result_flag(x->result, energy_flag_name(ENERGY_FLAG_BASELINE_DRIFT), energy_flag_meaning(ENERGY_FLAG_BASELINE_DRIFT));
    return level;
}

static void set_net(struct experiment *x, const struct energy_estimate *gross, struct energy_baseline baseline,
                    enum result_metric level, enum result_metric net_metric, enum result_metric per_token)
{
    result_set(x->result, level, baseline.watts);
    struct quantity net_joules = quantity_absent(baseline.watts.reason ? baseline.watts.reason : "no idle level");
    g_auto(owned_estimate) net = {0};
    if (baseline.watts.status != QUANTITY_ABSENT && gross->joules.status != QUANTITY_ABSENT) {
        energy_net(gross, &baseline, &net);
        net_joules = net.joules;
    }
    result_set(x->result, net_metric, net_joules);
    if (per_token < METRIC_COUNT)
        result_set(x->result, per_token, per_work(x, net_joules, value_of(x, METRIC_TOKENS_OUT), "no output tokens"));
}

static void set_stretch(struct experiment *x, struct scope *scope, const struct stretch *at, enum result_metric metric)
{
    if (at->t1_ns == 0) {
        result_set(x->result, metric, quantity_absent("it did not take place"));
        return;
    }
    struct energy_window window = {at->t0_ns, at->t0_ns, at->t1_ns, at->t1_ns, 1, 0};
    int64_t margin_ns = NS_PER_S; /* the edges around the stretch, to interpolate between */
    scope_load(x, scope, at->t0_ns - margin_ns, at->t1_ns + margin_ns, at);
    g_auto(owned_estimate) e = {0};
    scope_estimate(x, scope, &window, &e, NULL);
    result_set(x->result, metric, e.joules);
}

static struct quantity throttle(struct experiment *x)
{
    struct quantity worst = quantity_absent("no device of this run that counts throttled time");
    for (size_t i = 0; x->sampler && i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        if (c->kind != METER_THROTTLE || c->status == QUANTITY_ABSENT || !channel_is_ours(x, c))
            continue;
        g_autoptr(GArray) points = sampler_series(x->sampler, i, x->window.t0_ns - NS_PER_S, x->window.t1_ns + NS_PER_S);
        struct energy_channel channel = {
            .info = c, .points = (const struct meter_point *)(const void *)points->data, .count = points->len};
        struct quantity q = energy_cumulative(&channel, x->window.t0_ns, x->window.t1_ns);
        if (worst.status == QUANTITY_ABSENT || (q.status != QUANTITY_ABSENT && q.value > worst.value))
            worst = q;
    }
    return worst;
}

/* The channels of a source that would give joules and do not, each with its reason. */
static json_t *absent_channels(const struct experiment *x, const char *source)
{
    json_t *list = json_array();
    for (size_t i = 0; i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        if (!strcmp(c->source, source) && channel_gives_joules(c) && c->status == QUANTITY_ABSENT)
            json_array_append_new(list, json_pack("{s:s, s:s}", "id", c->id, "reason", c->reason));
    }
    return list;
}

static json_t *sources_json(const struct experiment *x)
{
    json_t *list = json_array();
    for (size_t i = 0; i < meter_source_count(x->meter); i++) {
        const struct meter_source_state *s = meter_source_at(x->meter, i);
        if (s->asked)
            json_array_append_new(list, json_pack("{s:s, s:b, s:s*, s:o}", "name", s->row->name, "open", s->open, "reason",
                                                  s->reason, "absent", absent_channels(x, s->row->name)));
    }
    return list;
}

/* Channels that were left out because watching them showed a counter that stands still or goes back. */
static void report_unusable(struct experiment *x)
{
    for (size_t i = 0; x->characterisation && i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        struct meter_sensor seen;
        bool energy = c->kind == METER_ENERGY && c->status != QUANTITY_ABSENT && c->status != QUANTITY_MODELLED;
        if (energy && meter_characterisation_get(x->characterisation, c->id, &seen) && !seen.usable)
            result_warn(x->result, "%s was not used: %s", c->id,
                        sensor_fault(&seen));
    }
}

static json_t *guard_json(const struct experiment *x)
{
    return json_pack("{s:I, s:I, s:I, s:b}", "pre_ns", (json_int_t)(x->window.t0_ns - x->window.guard_from_ns), "post_ns",
                     (json_int_t)(x->window.guard_to_ns - x->window.t1_ns), "planned_post_ns",
                     (json_int_t)x->guard.post_ns, "gave_up", x->guard_gave_up);
}

/* What the source that was asked for by name lacks; NULL when none was. Borrowed. */
static const char *named_source_reason(const struct experiment *x)
{
    const char *backend = config_string(x->config, FIELD_ENERGY_BACKEND);
    for (size_t i = 0; i < meter_source_count(x->meter); i++) {
        const struct meter_source_state *s = meter_source_at(x->meter, i);
        if (!strcmp(s->row->name, backend) && !s->open)
            return s->reason;
    }
    for (size_t i = 0; i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        if (!strcmp(c->source, backend) && channel_gives_joules(c) && c->status == QUANTITY_ABSENT)
            return c->reason;
    }
    return NULL;
}

/* Why there is no energy at all. New string. */
static char *no_energy_reason(const struct experiment *x)
{
    const char *named = named_source_reason(x);
    if (named)
        return g_strdup(named);
    if (!strcmp(config_string(x->config, FIELD_ENERGY_BACKEND), SOURCE_NONE))
        return g_strdup("energy.backend is none");
    bool boards = false;
    for (size_t i = 0; i < meter_channel_count(x->meter); i++) {
        const struct meter_channel *c = meter_channel_at(x->meter, i);
        boards = boards || (!x->loaded.on_gpu && channel_is_energy(c) && !channel_is_ours(x, c));
        if (x->loaded.on_gpu && meter_channel_of_board(c) && channel_gives_joules(c) && channel_is_ours(x, c))
            return g_strdup_printf("%s: %s", c->device, c->reason ? c->reason : "no channel of it can be used");
    }
    return g_strdup_printf("%s and no model: 'llem meter' says what each source lacks; energy.modelled: true adds a modelled "
                           "value",
                           boards ? "the engine works on the CPU, whose energy no sensor here counts (a GPU's is not its),"
                                  : "no sensor");
}

/* The scope that counts has no value, another has: say so, do not swap them. */
static void mention_other_scope(struct experiment *x, const struct scope *other, const struct energy_estimate *e)
{
    bool missing = result_get(x->result, METRIC_ENERGY).status == QUANTITY_ABSENT;
    if (missing && e->joules.status != QUANTITY_ABSENT)
        result_warn(x->result, "%s has an energy (%s) in energy.scopes of result.json", other->name,
                    quantity_status_name(e->joules.status));
}

static void report_scope(struct experiment *x, struct scope *scope, bool primary, json_t *all)
{
    g_auto(owned_estimate) e = {0};
    scope_load(x, scope, x->window.guard_from_ns, x->window.guard_to_ns, &x->block);
    json_t *per_board = scope->boards->len > 1 ? json_array() : NULL;
    scope_estimate(x, scope, &x->window, &e, per_board);
    json_t *tree = energy_estimate_json(&e);
    json_object_set_new(tree, "scope", json_string(scope->name));
    json_object_set_new(tree, "outside", json_string(meter_scope_find(scope->name)->outside));
    if (per_board)
        json_object_set_new(tree, "per_board", per_board);
    json_array_append_new(all, tree);
    if (!primary) {
        mention_other_scope(x, scope, &e);
        return;
    }
    set_energy(x, &e);
    set_net(x, &e, scope_idle_context(x, scope), METRIC_IDLE_CONTEXT, METRIC_NET_CONTEXT, METRIC_J_OUTPUT_NET);
    set_net(x, &e, scope_idle(x, scope, &x->idle_cold), METRIC_IDLE_COLD, METRIC_NET_COLD, METRIC_COUNT);
    set_stretch(x, scope, &x->load, METRIC_LOAD_ENERGY);
    set_stretch(x, scope, &x->warmup, METRIC_WARMUP_ENERGY);
}

/* A doubt of the whole block, which no single estimate knows of. */
static void raise_sensor_flag(struct experiment *x, enum energy_flag flag, bool raised)
{
    if (raised)
        result_flag(x->result, energy_flag_name(flag), energy_flag_meaning(flag));
}

static void report_energy(struct experiment *x)
{
    g_autoptr(GPtrArray) scopes = scopes_find(x);
    struct scope *primary = scope_primary(x, scopes);
    json_t *energy = json_object(), *all = json_array();
    json_object_set_new(energy, "scope", primary ? json_string(primary->name) : json_null());
    json_object_set_new(energy, "estimator_version", json_integer(ENERGY_ESTIMATOR_VERSION));
    if (primary)
        report_scope(x, primary, true, all);
    if (primary && x->loaded.on_gpu && !scope_is_gpu(primary))
        flag_raise(x->result, FLAG_GPU_NOT_IN_SCOPE);
    raise_sensor_flag(x, ENERGY_FLAG_PERIOD_CHANGED, primary && x->period_changed);
    raise_sensor_flag(x, ENERGY_FLAG_GUARD_NOT_SETTLED, primary && x->guard_gave_up);
    for (guint i = 0; i < scopes->len; i++)
        if (g_ptr_array_index(scopes, i) != primary)
            report_scope(x, g_ptr_array_index(scopes, i), false, all);
    json_object_set_new(energy, "scopes", all);
    json_object_set_new(energy, "sources", sources_json(x));
    json_object_set_new(energy, "guard", guard_json(x));
    if (x->characterisation)
        json_object_set(energy, "characterisation", x->characterisation);
    report_unusable(x);
    result_part(x->result, "energy", energy);
    result_set(x->result, METRIC_THROTTLE, throttle(x));
    g_autofree char *reason = no_energy_reason(x);
    result_absent_group(x->result, "energy", reason);
}

/* --- the rest -------------------------------------------------------------------------------------------------------- */

/* Null with the reason where it did not take place. */
static void put_stretch(json_t *timing, const char *name, const struct stretch *s, const char *reason)
{
    if (s->t1_ns)
        json_object_set_new(timing, name,
                            json_pack("{s:I, s:I}", "t0_ns", (json_int_t)s->t0_ns, "t1_ns", (json_int_t)s->t1_ns));
    else
        jsonx_set_null(timing, name, reason ? reason : "not taken");
}

#define NO_WARMUP "warmup.enabled is false"

static void report_timing(struct experiment *x)
{
    struct clock_anchor anchor = clock_anchor_take();
    g_autofree char *utc = clock_format_utc(clock_anchor_wall_ns(&anchor, x->window.t0_ns));
    json_t *window = json_pack("{s:I, s:I, s:I, s:I, s:s}", "guard_from_ns", (json_int_t)x->window.guard_from_ns, "t0_ns",
                               (json_int_t)x->window.t0_ns, "t1_ns", (json_int_t)x->window.t1_ns, "guard_to_ns",
                               (json_int_t)x->window.guard_to_ns, "t0_utc", utc);
    jsonx_set_real(window, "host_gap_share",
                   (double)x->window.gap_ns / (double)(x->window.t1_ns - x->window.t0_ns), "the window has no length");
    json_t *timing = json_object();
    json_object_set_new(timing, "window", window);
    put_stretch(timing, "load", &x->load, "the adapter gave no times");
    put_stretch(timing, "warmup", &x->warmup, NO_WARMUP);
    put_stretch(timing, "idle_cold", &x->idle_cold.at, x->idle_cold.reason);
    put_stretch(timing, "idle_context", &x->idle_context.at, x->idle_context.reason);
    put_stretch(timing, "idle_after", &x->idle_after.at, x->idle_after.reason);
    json_object_set_new(timing, "engine_stop_ns", json_integer(x->stopped.wall_ns));
    json_object_set_new(timing, "engine_stop_stage", json_string(engine_stop_stage_name(x->stopped.stage)));
    result_part(x->result, "timing", timing);
    double load_s = (double)(x->load.t1_ns - x->load.t0_ns) / (double)NS_PER_S;
    double warmup_s = (double)(x->warmup.t1_ns - x->warmup.t0_ns) / (double)NS_PER_S;
    result_set(x->result, METRIC_LOAD_TIME, quantity_of(engine_status(x), load_s, "engine_stamps", NULL));
    result_set(x->result, METRIC_WARMUP_TIME,
               x->warmup.t1_ns ? quantity_of(QUANTITY_MEASURED, warmup_s, "monotonic_clock", NULL)
                               : quantity_absent(NO_WARMUP));
}

static void report_steadiness(struct experiment *x)
{
    const char *few = x->warmup.t1_ns ? "fewer than five iterations" : NO_WARMUP;
    bool some = x->warmup_iterations > 0;
    json_t *tree = json_pack("{s:i, s:b, s:b, s:s*}", "iterations", (int)x->warmup_iterations, "steady", x->steady.steady,
                             "timed_out", x->steady.timed_out, "waiting_for", x->steady.waiting_for);
    jsonx_set_real(tree, "cv", some ? x->steady.cv : NAN, few);
    jsonx_set_real(tree, "slope", some ? x->steady.slope : NAN, few);
    jsonx_set_real(tree, "temperature_slope_c_per_min", some ? x->steady.temperature_slope : NAN,
                   some ? "no sensor of temperature, not seen for half a minute, or no longer waited for" : NO_WARMUP);
    result_part(x->result, "steadiness", tree);
}

bool phase_estimate(struct experiment *x, GError **error)
{
    (void)error;
    service_metrics(x->result, &x->generation, engine_status(x));
    report_work(x);
    report_flops(x);
    report_memory(x);
    report_energy(x);
    report_timing(x);
    report_steadiness(x);
    machine_report(x);
    if (x->sampler)
        result_part(x->result, "sampler", sampler_stats_json(x->sampler));
    return true;
}
