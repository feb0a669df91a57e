/* SPDX-License-Identifier: MIT */
/* The named parts of the record beside its figures: what stands where, of which type. Schema and documentation come
 * from these rows; every record of the tests is held to the schema, so that rows and code cannot part. */
#include "result/parts.h"

#include <string.h>

const struct result_part_row result_parts[] = {
    {"engine.backend", PART_STRING, "name of the backend"},
    {"engine.name", PART_STRING, "what the adapter calls its engine"},
    {"engine.version", PART_STRING_OR_NULL, "version of the engine; null: the adapter does not say"},
    {"engine.adapter", PART_STRING, "name of the adapter program"},
    {"engine.adapter_version", PART_STRING, "its version"},
    {"engine.descriptor_sha256", PART_STRING, "digest of its engine.json"},
    {"engine.program_sha256", PART_STRING, "digest of the adapter's program"},
    {"engine.variables", PART_OBJECT, "variables that change its work, by engine.json, with their values; null: not set"},
    {"engine.libraries", PART_OBJECT | PART_OPTIONAL, "libraries the engine says it uses, with versions"},
    {"engine.resolved", PART_OBJECT, "every option as the engine resolved it"},
    {"engine.facts", PART_OBJECT | PART_OPTIONAL, "what the engine says of model and machine"},
    {"engine.substitutions", PART_ARRAY, "what was used instead of what was asked for"},
    {"workload.dataset_sha256", PART_STRING, "digest of the data set's bytes"},
    {"workload.prompts", PART_INTEGER, "prompts of one repeat"},
    {"workload.prompts_truncated", PART_INTEGER, "how many were cut to max_input_tokens"},
    {"workload.input_ids_sha256", PART_STRING, "digest of the input token ids: equal in cells of equal work"},
    {"workload.output_ids_sha256", PART_STRING, "digest of the output token ids"},
    {"workload.input_tokens", PART_ARRAY, "tokens in, per prompt"},
    {"workload.output_tokens", PART_ARRAY, "tokens out, per prompt"},
    {"workload.repeats", PART_INTEGER, "how often the prompts were worked on in the window"},
    {"workload.repeat_sets", PART_STRING, "whether repeats had the same prompts or turned ones"},
    {"energy.scope", PART_STRING_OR_NULL, "scope of the energy that counts; null: none"},
    {"energy.estimator_version", PART_INTEGER, "changes when the same readings would give another number"},
    {"energy.scopes", PART_ESTIMATES, "every scope, the one that counts first: rows `estimate.*`"},
    {"energy.sources", PART_ARRAY, "sources asked for: name, whether open, why not; absent: channels of joules that have none, and why"},
    {"energy.guard.pre_ns", PART_INTEGER, "quiet time before the window"},
    {"energy.guard.post_ns", PART_INTEGER, "quiet time after it"},
    {"energy.guard.planned_post_ns", PART_INTEGER, "what was planned for it"},
    {"energy.guard.gave_up", PART_BOOLEAN, "power had not settled when the longest guard was over"},
    {"energy.characterisation", PART_OBJECT | PART_OPTIONAL, "what watching the sensors showed"},
    {"timing.window.guard_from_ns", PART_INTEGER, "start of the quiet before the window, monotonic"},
    {"timing.window.t0_ns", PART_INTEGER, "work released"},
    {"timing.window.t1_ns", PART_INTEGER, "last token of the last request"},
    {"timing.window.guard_to_ns", PART_INTEGER, "end of the quiet after it"},
    {"timing.window.t0_utc", PART_STRING, "t0 on the wall clock"},
    {"timing.window.host_gap_share", PART_REAL, "share of the window between batches, in which nothing worked"},
    {"timing.load", PART_STRETCH, "loading the model"},
    {"timing.warmup", PART_STRETCH, "the warm-up"},
    {"timing.idle_cold", PART_STRETCH, "idle level before the engine was started"},
    {"timing.idle_context", PART_STRETCH, "idle level with the engine loaded, before the work"},
    {"timing.idle_after", PART_STRETCH, "the same after the work"},
    {"timing.engine_stop_ns", PART_INTEGER, "how long the engine took to end"},
    {"timing.engine_stop_stage", PART_STRING, "what made it end"},
    {"steadiness.iterations", PART_INTEGER, "iterations of the warm-up"},
    {"steadiness.steady", PART_BOOLEAN, "whether all conditions held at its end"},
    {"steadiness.timed_out", PART_BOOLEAN, "whether it ended at its maximum instead"},
    {"steadiness.cv", PART_REAL, "coefficient of variation of the last iterations"},
    {"steadiness.slope", PART_REAL, "their drift, relative"},
    {"steadiness.temperature_slope_c_per_min", PART_REAL, "drift of the temperature"},
    {"steadiness.waiting_for", PART_STRING | PART_OPTIONAL, "the condition that did not hold"},
    {"machine.boards", PART_ARRAY, "UUIDs of the boards the energy is of"},
    {"machine.gpus", PART_ARRAY, "every board: uuid, whether it is the run's, utilisation before, in, after the window"},
    {"machine.foreign_cpu_share", PART_REAL, "CPU time of other processes in the window over that of the machine"},
    {"machine.foreign_cpu_share_half_width", PART_REAL, "what the kernel's ticks leave open of it"},
    {"machine.guard_cores_pre", PART_REAL, "cores that engine and llem kept busy in the quiet before the window"},
    {"machine.guard_cores_post", PART_REAL, "the same after it"},
    {"machine.foreign_gpu_pids", PART_LIST, "other processes that held memory of the run's boards"},
    {"sampler.ticks", PART_INTEGER | PART_OPTIONAL, "readings of the fast channels; the part is there when something was read"},
    {"sampler.missed", PART_INTEGER | PART_OPTIONAL, "ticks that came too late to be made"},
    {"sampler.dropped", PART_INTEGER | PART_OPTIONAL, "readings that did not fit into the ring"},
    {"sampler.late_p50_ns", PART_INTEGER | PART_OPTIONAL, "lateness of a tick, median"},
    {"sampler.late_p99_ns", PART_INTEGER | PART_OPTIONAL, "99th percentile"},
    {"sampler.late_max_ns", PART_INTEGER | PART_OPTIONAL, "longest"},
    {"sampler.tick_max_ns", PART_INTEGER | PART_OPTIONAL, "longest read of all channels"},
    {"sampler.cpu_ns", PART_INTEGER | PART_OPTIONAL, "CPU time of the sampling thread"},
    {"sampler.slow_cpu_ns", PART_INTEGER | PART_OPTIONAL, "of the thread for slow channels"},
    {"sampler.writer_cpu_ns", PART_INTEGER | PART_OPTIONAL, "of the thread that writes the trace"},
    {"sampler.elapsed_ns", PART_INTEGER | PART_OPTIONAL, "how long it sampled"},
    {"sampler.realtime", PART_BOOLEAN | PART_OPTIONAL, "whether the kernel granted a real-time priority"},
    {"sampler.locked", PART_BOOLEAN | PART_OPTIONAL, "whether its memory could be locked"},
    {"sampler.notice", PART_STRING_OR_NULL | PART_OPTIONAL, "what a user should know of it"},
    {"memory", PART_OBJECT, "the adapter's own figures (docs/engine-protocol.md, `memory`)"},
    {"model", PART_OBJECT | PART_OPTIONAL, "shapes and digest of the model's file, where there is one"},
    {"environment", PART_OBJECT, "as environment.json"},
    {"estimate.joules", PART_QUANTITY, "energy of the window; low and high: both parts of the uncertainty together"},
    {"estimate.statistical_half_width_j", PART_REAL, "95 %: what the readings left open"},
    {"estimate.systematic_half_width_j", PART_REAL, "95 %: gain and offset of the sensor"},
    {"estimate.systematic", PART_OBJECT, "where the systematic part comes from: class, gain_u, offset_u_w, source, calibration"},
    {"estimate.raw_j", PART_REAL, "before calibration"},
    {"estimate.duration_s", PART_REAL, "length of the window"},
    {"estimate.method", PART_STRING, "the estimator (docs/methodology.md)"},
    {"estimate.estimator_version", PART_INTEGER, "as energy.estimator_version"},
    {"estimate.scope", PART_STRING | PART_OPTIONAL, "what is inside"},
    {"estimate.outside", PART_STRING | PART_OPTIONAL, "what is not"},
    {"estimate.device", PART_STRING | PART_OPTIONAL, "the board or package; left out for a sum"},
    {"estimate.boards", PART_INTEGER, "how many were added"},
    {"estimate.per_board", PART_ESTIMATES | PART_OPTIONAL, "each of them, where there are several"},
    {"estimate.flags", PART_ARRAY, "doubts about this number"},
    {"estimate.repeats", PART_INTEGER, "batches in the window"},
    {"estimate.recommended_repeats", PART_INTEGER | PART_OPTIONAL, "with `below_resolution`: how many it should hold"},
    {"estimate.tail_j", PART_QUANTITY, "energy above the settled level after the work"},
    {"estimate.average_w", PART_QUANTITY, "mean power"},
    {"estimate.peak_w", PART_QUANTITY, "largest mean over one period of the sensor"},
    {"estimate.guards.pre_w", PART_REAL, "level before the work"},
    {"estimate.guards.pre_u_w", PART_REAL, "its standard uncertainty"},
    {"estimate.guards.post_w", PART_REAL, "level after the work"},
    {"estimate.guards.post_u_w", PART_REAL, "its standard uncertainty"},
    {"estimate.sensor_period_s", PART_REAL, "refresh period seen in this window"},
    {"estimate.agreement_idle", PART_REAL, "counter over integrated power less 1, idle"},
    {"estimate.agreement_busy", PART_REAL, "the same at work"},
    {"estimate.phase.locked", PART_BOOLEAN, "whether steps beat with the sensor"},
    {"estimate.phase.step_s", PART_REAL, "length of a step"},
    {"estimate.phase.alias_hz", PART_REAL, "lowest beat"},
    {"estimate.checks", PART_ARRAY, "the same energy by every method that could answer"},
    {0},
};

/* --- schema ---------------------------------------------------------------------------------------------------------- */

static json_t *type_schema(unsigned type)
{
    switch (type & ~PART_OPTIONAL) {
    case PART_STRING: return schema_typed("string", false);
    case PART_STRING_OR_NULL: return schema_typed("string", true);
    case PART_INTEGER: return schema_typed("integer", false);
    case PART_BOOLEAN: return schema_typed("boolean", false);
    case PART_OBJECT: return schema_typed("object", false);
    case PART_ARRAY: return schema_typed("array", false);
    case PART_LIST: return schema_typed("array", true);
    case PART_REAL: return schema_typed("number", true);
    case PART_STRETCH: return schema_any_of(schema_reference("stretch"), schema_typed("null", false));
    case PART_QUANTITY: return schema_reference("quantity");
    default: return schema_list_of(schema_reference("estimate"), 0, 0);
    }
}

static bool may_be_null(unsigned type)
{
    type &= ~PART_OPTIONAL;
    return type == PART_REAL || type == PART_LIST || type == PART_STRETCH;
}

/* Null needs its reason beside it. */
static void add_reason(json_t *object, const char *name)
{
    g_autofree char *why = g_strconcat(name, "_reason", NULL);
    schema_add(object, why, schema_typed("string", false), false);
    json_t *rules = json_object_get(object, "allOf");
    if (!rules) {
        rules = json_array();
        json_object_set_new(object, "allOf", rules);
    }
    json_t *is_null = json_pack("{s:{s:{s:s}}, s:[s]}", "properties", name, "type", "null", "required", name);
    json_array_append_new(rules, json_pack("{s:o, s:{s:[s]}}", "if", is_null, "then", "required", why));
}

static void add_row(json_t *root, const struct result_part_row *row)
{
    g_auto(GStrv) names = g_strsplit(row->path, ".", -1);
    bool optional = row->type & PART_OPTIONAL;
    json_t *object = root;
    size_t i = 0;
    for (; names[i + 1]; i++)
        object = schema_below(object, names[i], !(i == 0 && optional));
    json_t *schema = type_schema(row->type);
    json_object_set_new(schema, "description", json_string(row->meaning));
    schema_add(object, names[i], schema, !optional);
    if (may_be_null(row->type))
        add_reason(object, names[i]);
}

static bool is_estimate(const struct result_part_row *row)
{
    return g_str_has_prefix(row->path, RESULT_ESTIMATE);
}

void result_parts_schema(json_t *root, json_t *defs)
{
    json_t *rows = schema_object(), *estimates = schema_object();
    const char *name;
    json_t *value;
    for (const struct result_part_row *row = result_parts; row->path; row++)
        add_row(is_estimate(row) ? estimates : rows, row);
    json_object_foreach(json_object_get(rows, "properties"), name, value)
        json_object_set(json_object_get(root, "properties"), name, value);
    json_array_extend(json_object_get(root, "required"), json_object_get(rows, "required"));
    json_object_set(defs, "estimate", json_object_get(json_object_get(estimates, "properties"), "estimate"));
    json_object_set_new(defs, "stretch",
                        json_pack("{s:s, s:{s:{s:s}, s:{s:s}}, s:[s,s], s:b}", "type", "object", "properties", "t0_ns",
                                  "type", "integer", "t1_ns", "type", "integer", "required", "t0_ns", "t1_ns",
                                  "additionalProperties", 0));
    json_decref(rows);
    json_decref(estimates);
}

const char *result_part_type_name(unsigned type)
{
    switch (type & ~PART_OPTIONAL) {
    case PART_STRING: return "text";
    case PART_STRING_OR_NULL: return "text or null";
    case PART_INTEGER: return "integer";
    case PART_BOOLEAN: return "true or false";
    case PART_OBJECT: return "object";
    case PART_ARRAY: return "list";
    case PART_LIST: return "list, or null and reason";
    case PART_REAL: return "number, or null and reason";
    case PART_STRETCH: return "t0_ns and t1_ns, or null and reason";
    case PART_QUANTITY: return "figure";
    default: return "list of estimates";
    }
}
