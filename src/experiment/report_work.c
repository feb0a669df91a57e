/* SPDX-License-Identifier: MIT */
/* The record of the engine, the work it did, the operations and the memory that took. */
#include "experiment/flags.h"
#include "experiment/internal.h"
#include "experiment/machine.h"
#include "workload/workload.h"

#include <math.h>
#include <string.h>

#define MB 1e6

/* --- engine ------------------------------------------------------------------------------------------------------ */

/* What the phases before the record found doubtful, in their order. */
static void raise_flags(const struct experiment *x, struct result *r)
{
    if (machine_boards_assumed(x->machine))
        flag_raise(r, FLAG_BOARDS_ASSUMED);
    if (json_array_size(x->session.loaded.substitutions) > 0)
        flag_raise(r, FLAG_SUBSTITUTED);
    if (x->warmup.at.t1_ns && !x->warmup.steady.steady)
        flag_raise(r, FLAG_NOT_STEADY);
    if (x->warmup.shapes_cold > 0)
        flag_raise(r, FLAG_COLD_SHAPE);
    if (x->block.not_quiescent || !x->session.loaded.quiescent)
        flag_raise(r, FLAG_NOT_QUIESCENT);
}

/* Boards of the run whose counters and clocks begin anew whenever nobody keeps the driver open. */
static void warn_of_persistence(const struct experiment *x, struct result *r)
{
    const json_t *devices = json_object_get(json_object_get(x->environment, "gpus"), "devices");
    const char *const *boards = machine_boards(x->machine);
    for (size_t i = 0; boards && i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i), *mode = json_object_get(device, "persistence_mode");
        const char *uuid = json_string_value(json_object_get(device, "uuid"));
        if (uuid && g_strv_contains(boards, uuid) && json_is_integer(mode) && json_integer_value(mode) == 0)
            result_warn(r, "persistence mode of %s is off: between studies its driver is unloaded, and it starts cold",
                        uuid);
    }
}

void report_engine(const struct experiment *x, struct result *r)
{
    const struct engine_stop_report *stopped = &x->session.stopped;
    result_put_members(r, "engine", session_json(&x->inputs, &x->session));
    result_put_json(r, PART_ENVIRONMENT, json_incref(x->environment));
    raise_flags(x, r);
    for (guint i = 0; i < x->sensors.own.warnings->len; i++)
        result_warn(r, "%s", (const char *)g_ptr_array_index(x->sensors.own.warnings, i));
    warn_of_persistence(x, r);
    if (x->block.cache_kept)
        result_warn(r, "the engine could not empty its prefix cache before the work: prompts may be taken from what came "
                       "before it (tokens_in_cached)");
    if (stopped->stage > ENGINE_STOP_SHUTDOWN)
        result_warn(r, "the engine did not end by itself; it took: %s", engine_stop_stage_name(stopped->stage));
}

/* --- work -------------------------------------------------------------------------------------------------------- */

static void put_answers(const struct engine_generation *g, size_t n, struct result *r)
{
    g_autofree const int32_t **ids = g_new0(const int32_t *, n + 1);
    g_autofree size_t *lengths = g_new0(size_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        ids[i] = g->requests[i].token_ids;
        lengths[i] = g->requests[i].n_out;
    }
    g_autofree char *digest = workload_ids_sha256(ids, lengths, n);
    g_autofree char *columns = workload_ids_columns(ids, lengths, n, RESULT_COLUMNS, RESULT_COLUMN_DIGITS);
    result_put_text(r, PART_WORKLOAD_OUTPUT_IDS_SHA256, digest);
    result_put_text(r, PART_WORKLOAD_OUTPUT_COLUMNS, columns);
}

/* Repeats must compute the same: the same number of input tokens not served from a cache, the same output counts. */
bool report_work_is_unequal(const struct session *session, const struct block *block)
{
    const struct engine_generation *g = &block->generation;
    size_t n = session->n_prompts;
    for (size_t i = n; i < g->n_requests; i++) {
        const struct engine_request *a = &g->requests[i % n], *b = &g->requests[i];
        if (a->n_in - a->n_cached != b->n_in - b->n_cached || a->n_out != b->n_out)
            return true;
    }
    return false;
}

static void warn_of_variants(const struct exchange *in, struct result *r)
{
    if (in->warmup_variants)
        result_warn(r,
                    "the data set has no other prompts left for the warm-up; %" G_GINT64_FORMAT
                    " are rearranged measured ones",
                    in->warmup_variants);
}

#define SAME_ANSWERS 3 /* different prompts */
#define SAME_TOKENS  8 /* tokens each: shorter answers may well be one */

/* Greedy decoding of prompts that differ seldom ends in one answer; an engine that drops the prompt always does. */
static bool has_same_answers(const struct session *session, const struct engine_generation *g, size_t n)
{
    g_autoptr(GHashTable) by_answer = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                            (GDestroyNotify)g_hash_table_unref);
    bool found = false;
    for (size_t i = 0; i < n && !found; i++) {
        struct engine_tokens answer = {.ids = g->requests[i].token_ids, .n = g->requests[i].n_out};
        if (answer.n < SAME_TOKENS)
            continue;
        g_autofree char *key = session_tokens_sha256(&answer, 1);
        GHashTable *prompts = g_hash_table_lookup(by_answer, key);
        if (!prompts) {
            prompts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
            g_hash_table_insert(by_answer, g_steal_pointer(&key), prompts);
        }
        g_hash_table_add(prompts, session_tokens_sha256(&session->tokens[i], 1));
        found = g_hash_table_size(prompts) >= SAME_ANSWERS;
    }
    return found;
}

static void put_workload(const struct experiment *x, size_t n, struct result *r)
{
    const struct engine_generation *g = &x->block.generation;
    g_autofree char *input = session_tokens_sha256(x->session.tokens, x->session.n_prompts);
    json_t *in = json_array(), *out = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(in, json_integer(g->requests[i].n_in));
        json_array_append_new(out, json_integer((json_int_t)g->requests[i].n_out));
    }
    int64_t repeats = x->block.plan.repeats;
    bool turned = repeats > 1 && x->session.loaded.prefix_cache;
    result_put_text(r, PART_WORKLOAD_DATASET_SHA256, x->inputs.exchange.dataset_sha256);
    result_put_int(r, PART_WORKLOAD_PROMPTS, (int64_t)x->session.n_prompts);
    result_put_int(r, PART_WORKLOAD_PROMPTS_TRUNCATED, (int64_t)x->session.n_truncated);
    result_put_text(r, PART_WORKLOAD_INPUT_IDS_SHA256, input);
    put_answers(g, n, r);
    result_put_json(r, PART_WORKLOAD_INPUT_TOKENS, in);
    result_put_json(r, PART_WORKLOAD_OUTPUT_TOKENS, out);
    result_put_int(r, PART_WORKLOAD_REPEATS, repeats);
    result_put_text(r, PART_WORKLOAD_REPEAT_SETS, turned ? "turned: each begins elsewhere" : "same");
}

static bool lengths_vary(const struct experiment *x, size_t n)
{
    int64_t asked = config_int(x->inputs.config, FIELD_MAX_OUTPUT_TOKENS);
    for (size_t i = 0; i < n; i++)
        if ((int64_t)x->block.generation.requests[i].n_out < asked)
            return true;
    return false;
}

static void report_flops(const struct experiment *x, struct result *r)
{
    const char *path = x->inputs.exchange.model_path;
    const struct engine_generation *g = &x->block.generation;
    struct workload_facts facts = {0};
    g_autoptr(GError) error = NULL;
    const char *reason = "the engine has no model file to read the shapes from";
    double total = 0;
    bool ok = path && workload_facts_read(path, &facts, &error);
    if (ok)
        result_put_json(r, PART_MODEL, workload_facts_json(&facts));
    else if (error)
        reason = error->message;
    for (size_t i = 0; ok && i < g->n_requests; i++) {
        const struct engine_request *q = &g->requests[i];
        struct workload_flops flops;
        ok = workload_flops_estimate(&facts, q->n_in - q->n_cached, (int64_t)q->n_out, &flops, &reason);
        total += ok ? flops.total : 0;
    }
    result_set(r, METRIC_FLOPS,
               ok ? quantity_of(QUANTITY_MODELLED, total, "matrix_shapes", NULL) : quantity_absent(reason));
    workload_facts_clear(&facts);
}

void report_work(const struct experiment *x, struct result *r)
{
    size_t n = MIN(x->session.n_prompts, x->block.generation.n_requests);
    put_workload(x, n, r);
    result_set(r, METRIC_REPEATS, quantity_of(QUANTITY_MEASURED, (double)x->block.plan.repeats, NULL, NULL));
    warn_of_variants(&x->inputs.exchange, r);
    if (lengths_vary(x, n))
        flag_raise(r, FLAG_OUTPUT_LENGTH_VARIES);
    if (has_same_answers(&x->session, &x->block.generation, n))
        flag_raise(r, FLAG_SAME_ANSWER);
    size_t in_flight = inputs_in_flight(&x->inputs);
    struct quantity most = result_get(r, METRIC_IN_FLIGHT_MOST);
    if (in_flight && most.status != QUANTITY_ABSENT && most.value > (double)in_flight)
        flag_raise(r, FLAG_LOAD_NOT_KEPT);
    if (report_work_is_unequal(&x->session, &x->block))
        flag_raise(r, FLAG_UNEQUAL_WORK);
    report_flops(x, r);
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

/* A figure of the protocol and the row it fills. */
static const struct {
    const char *figure;
    enum result_metric metric;
} memory_rows[] = {
    {"peak_bytes", METRIC_PEAK_MEMORY},       {"reserved_peak_bytes", METRIC_RESERVED_MEMORY},
    {"weights_bytes", METRIC_WEIGHTS_MEMORY}, {"kv_cache_bytes", METRIC_KV_MEMORY},
    {"kv_used_peak_bytes", METRIC_KV_USED},   {"device_bytes", METRIC_DEVICE_IN_USE},
};
#define NOT_RESTARTED "of the engine's whole life: the adapter could not restart its peak before the work"

/* True if the adapter says that it computed the figure. */
static bool is_computed(const struct session *session, const char *name)
{
    const json_t *list = json_object_get(session->memory.reply, "computed");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!g_strcmp0(json_string_value(json_array_get(list, i)), name))
            return true;
    return false;
}

static struct quantity memory_of(const struct session *session, const char *name, bool peak_restarted)
{
    bool stale = strstr(name, "peak") && !peak_restarted;
    for (size_t i = 0; i < session->memory.n_figures; i++) {
        const struct engine_figure *f = &session->memory.figures[i];
        if (strcmp(f->name, name) != 0)
            continue;
        if (f->bytes >= 0 && is_computed(session, name))
            return quantity_of(QUANTITY_MODELLED, (double)f->bytes / MB, "model_shapes", NULL);
        if (f->bytes >= 0)
            return quantity_remarked(session_status(session), (double)f->bytes / MB, "engine",
                                     stale ? NOT_RESTARTED : NULL);
        return quantity_absent(f->reason ? f->reason : "the adapter does not report it");
    }
    return quantity_absent("the adapter does not report it");
}

/* --- of its processes -------------------------------------------------------------------------------------------- */

#define NOT_READ "the kernel does not tell it of every process of the engine (/proc/PID/status, /proc/PID/smaps_rollup)"
#define NOT_RESTARTED_BY_KERNEL "of the processes' whole life: the kernel did not restart their peaks before the work"

static void set_resident(const struct session *session, int64_t bytes, const char *remark, enum result_metric metric,
                         struct result *r)
{
    g_autofree char *several = g_strdup_printf("proc, sum over %zu processes", session->loaded.n_pids);
    const char *method = session->loaded.n_pids > 1 ? several : "proc";
    result_set(r, metric, bytes >= 0 ? quantity_remarked(QUANTITY_MEASURED, (double)bytes / MB, method, remark)
                                     : quantity_absent(NOT_READ));
}

static void report_resident(const struct experiment *x, struct result *r)
{
    const struct session *session = &x->session;
    set_resident(session, session->resident_loaded.rss_bytes, NULL, METRIC_HOST_LOAD, r);
    set_resident(session, session->resident.rss_bytes, NULL, METRIC_HOST_RSS, r);
    set_resident(session, session->resident.pss_bytes, NULL, METRIC_HOST_PSS, r);
    struct quantity told = memory_of(session, "rss_peak_bytes", x->block.peak_restarted);
    if (told.status != QUANTITY_ABSENT) /* the adapter knows best which processes are its engine's */
        result_set(r, METRIC_HOST_MEMORY, told);
    else
        set_resident(session, session->resident.peak_bytes,
                     x->block.resident_restarted ? NULL : NOT_RESTARTED_BY_KERNEL, METRIC_HOST_MEMORY, r);
}

static struct quantity device_peak(const struct experiment *x)
{
    const struct energy_window *w = &x->block.window;
    double peak = NAN;
    const struct meter_channel *channel = NULL;
    for (size_t i = 0; i < x->sensors.own.energy.channel_count; i++) {
        g_autoptr(GArray) points = sensors_series(&x->sensors, i, METER_MEMORY_USED, w->t0_ns, w->t1_ns);
        for (guint k = 0; points && k < points->len; k++) {
            const struct meter_point *p = &g_array_index(points, struct meter_point, k);
            double bytes = (double)p->raw * x->sensors.own.channels[i]->scale;
            if (p->status != METER_READ_OK || (!isnan(peak) && bytes <= peak))
                continue;
            peak = bytes;
            channel = x->sensors.own.channels[i];
        }
    }
    return channel ? quantity_of(channel->status, peak / MB, "sampled_maximum", channel->id)
                   : quantity_absent("no device of this run whose memory could be sampled");
}

/* The adapter's own words: after the work, and after loading. */
static json_t *memory_json(const struct experiment *x)
{
    json_t *tree = json_copy(x->session.memory.reply);
    if (x->session.loaded.memory)
        json_object_set_new(tree, "load", json_deep_copy(x->session.loaded.memory));
    json_object_set_new(tree, "peak_restarted", json_boolean(x->block.peak_restarted));
    return tree;
}

void report_memory(const struct experiment *x, struct result *r)
{
    const struct session *session = &x->session;
    for (size_t i = 0; i < G_N_ELEMENTS(memory_rows); i++)
        result_set(r, memory_rows[i].metric, memory_of(session, memory_rows[i].figure, x->block.peak_restarted));
    int64_t loaded = -1;
    const json_t *at_load = json_object_get(session->loaded.memory, "peak_bytes");
    bool known = jsonx_get_int(session->loaded.memory, "peak_bytes", false, &loaded, NULL) && loaded >= 0;
    const char *why = json_is_string(at_load) ? json_string_value(at_load)
                                              : "the adapter does not report its memory after loading";
    result_set(r, METRIC_LOAD_MEMORY,
               known ? quantity_of(session_status(session), (double)loaded / MB, "engine", NULL)
                     : quantity_absent(why));
    report_resident(x, r);
    result_set(r, METRIC_DEVICE_MEMORY, device_peak(x));
    result_put_json(r, PART_MEMORY, memory_json(x));
}
