/* SPDX-License-Identifier: MIT */
/*
 * result: the record of one run and its schema.
 *
 * The record (result.json) is one JSON object with named parts; its figures are the rows of RESULT_METRICS below, and
 * every row is present in every record: a number with its status, or absent with the reason. The JSON Schema and the
 * documentation are made from the same rows.
 *
 * Calling sequence, in the worker:
 *
 *     r = result_new(exchange);           identity, configuration and context are copied from the exchange file
 *     result_set(r, METRIC_…, quantity);  any order, the last word counts
 *     result_put_real(r, PART_…, value, reason);   the parts beside the figures: rows of parts.def
 *     result_warn(r, "…");
 *     result_write(r, path, &error);      refuses nothing: a row that was never set is absent, "not collected"
 * A run that failed writes an error record instead (result_error_write()).
 * In the parent: room store moves what the worker left into the folder of the run; the files are the truth and nobody
 * rewrites result.json. result_load() joins what lies in a run folder.
 *
 * Ownership: struct result is opaque and owned by the caller; trees handed in are taken over (reference stolen).
 * Threading: one thread at a time.
 */
#pragma once

#include "base/base.h"
#include "exchange/exchange.h"

/* Of workload.output_columns: positions at most, and digits of each. */
#define RESULT_COLUMNS       2048
#define RESULT_COLUMN_DIGITS 8

#define RESULT_SCHEMA       "llem-result/1"
#define RESULT_ERROR_SCHEMA "llem-error/1"
#define RESULT_HOST_SCHEMA  "llem-host-energy/1"

/* A build with further rows (unit.rows: a row is all there is to add) has them here. */
#ifndef RESULT_MORE_METRICS
#define RESULT_MORE_METRICS(X)
#endif

/* id, group, unit, meaning */
#define RESULT_METRICS(X)                                                                                              \
    X(REQUESTS, "requests", "tokens", "1", "requests completed in the measured window")                                \
    X(TOKENS_IN, "tokens_in", "tokens", "token", "input tokens of all requests, after truncation")                     \
    X(TOKENS_IN_CACHED, "tokens_in_cached", "tokens", "token", "input tokens served from a prefix cache")              \
    X(TOKENS_IN_COMPUTED, "tokens_in_computed", "tokens", "token", "input tokens computed: input less cached")         \
    X(TOKENS_PADDED, "tokens_padded", "tokens", "token",                                                               \
      "positions computed for no token: padding before shorter prompts of a batch, and after the last token of a request") \
    X(TOKENS_OUT, "tokens_out", "tokens", "token", "output tokens, counted as token ids")                              \
    X(TTFT_MEAN, "ttft_mean_s", "latency", "s",                                                                        \
      "time to first token: the request handed over to its first token, waiting for others included")                  \
    X(TTFT_P50, "ttft_p50_s", "latency", "s", "median time to first token")                                            \
    X(TTFT_P95, "ttft_p95_s", "latency", "s", "95th percentile of the time to first token")                            \
    X(TTFT_P99, "ttft_p99_s", "latency", "s", "99th percentile of the time to first token")                            \
    X(PREFILL_LATENCY, "prefill_latency_mean_s", "latency", "s",                                                       \
      "the engine begins with the request to its first token: the time to first token without waiting for others")     \
    X(TPOT_MEAN, "tpot_mean_s", "latency", "s",                                                                        \
      "time per output token of a request: (last - first token) / (output tokens - 1), mean over requests")            \
    X(TPOT_P50, "tpot_p50_s", "latency", "s", "median over requests of the time per output token")                     \
    X(TPOT_P95, "tpot_p95_s", "latency", "s", "95th percentile over requests of the time per output token")            \
    X(ITL_MEAN, "itl_mean_s", "latency", "s", "inter-token latency: gap between successive tokens, mean over gaps")    \
    X(ITL_P50, "itl_p50_s", "latency", "s", "median inter-token latency")                                              \
    X(ITL_P95, "itl_p95_s", "latency", "s", "95th percentile of the inter-token latency")                              \
    X(ITL_P99, "itl_p99_s", "latency", "s", "99th percentile of the inter-token latency")                              \
    X(ITL_MAX, "itl_max_s", "latency", "s", "longest inter-token latency")                                             \
    X(LATENCY_MEAN, "latency_mean_s", "latency", "s", "the request handed over to its last token, mean")               \
    X(LATENCY_P50, "latency_p50_s", "latency", "s", "median request latency")                                          \
    X(LATENCY_P95, "latency_p95_s", "latency", "s", "95th percentile of the request latency")                          \
    X(LATENCY_P99, "latency_p99_s", "latency", "s", "99th percentile of the request latency")                          \
    X(PREFILL_RATE, "prefill_tokens_per_s", "throughput", "token/s",                                                   \
      "computed input tokens over the time in which some request was between admission and first token")               \
    X(DECODE_RATE, "decode_tokens_per_s", "throughput", "token/s",                                                     \
      "output tokens after the first of each request, over the time in which some request was decoding")               \
    X(OUTPUT_RATE, "output_tokens_per_s", "throughput", "token/s", "output tokens over the window")                    \
    X(TOTAL_RATE, "total_tokens_per_s", "throughput", "token/s", "input and output tokens over the window")            \
    X(REQUEST_RATE, "requests_per_s", "throughput", "1/s", "requests over the window")                                 \
    X(IN_FLIGHT, "in_flight_mean", "throughput", "1", "requests under way, from when the engine begins with one to its last token, mean over the window") \
    X(IN_FLIGHT_MOST, "in_flight_max", "throughput", "1", "most requests under way at once")                           \
    X(STEADY_TIME, "steady_s", "throughput", "s",                                                                      \
      "length of the steady state: load.size requests (offline: all) under way, each past its first token at its beginning") \
    X(STEADY_TOKENS, "steady_tokens_out", "throughput", "token", "output tokens put out in the steady state, whatever request they are of") \
    X(STEADY_RATE, "steady_output_tokens_per_s", "throughput", "token/s", "those over the length of the steady state") \
    X(ENERGY, "energy_j", "energy", "J", "gross energy of the measured window in the named scope")                     \
    X(J_OUTPUT, "joules_per_output_token", "energy", "J/token", "gross energy over output tokens")                     \
    X(J_TOTAL, "joules_per_total_token", "energy", "J/token", "gross energy over input and output tokens")             \
    X(J_REQUEST, "joules_per_request", "energy", "J", "gross energy over requests")                                    \
    X(NET_CONTEXT, "energy_net_context_idle_j", "energy", "J",                                                         \
      "energy less the idle power with the engine loaded; may be negative")                                            \
    X(NET_COLD, "energy_net_cold_idle_j", "energy", "J",                                                               \
      "energy less the idle power before the engine was started; may be negative")                                     \
    X(J_OUTPUT_NET, "joules_per_output_token_net", "energy", "J/token", "energy net of context idle, over output tokens") \
    X(TAIL, "tail_energy_j", "energy", "J", "energy above the settled level after the last token; not in energy_j")    \
    X(LOAD_ENERGY, "load_energy_j", "energy", "J", "energy of loading the model; not in energy_j")                     \
    X(COMPILE_ENERGY, "compile_energy_j", "energy", "J", "energy of what was compiled while loading, where the adapter says when; a part of load_energy_j") \
    X(WARMUP_ENERGY, "warmup_energy_j", "energy", "J", "energy of the warm-up; not in energy_j")                       \
    X(STEADY_ENERGY, "steady_energy_j", "energy", "J", "gross energy of the steady state, a part of energy_j")         \
    X(STEADY_J_OUTPUT, "steady_joules_per_output_token", "energy", "J/token",                                          \
      "gross energy of the steady state over the output tokens put out in it")                                         \
    X(POWER_MEAN, "power_mean_w", "energy", "W", "energy over the length of the window")                               \
    X(POWER_PEAK, "power_peak_w", "energy", "W", "largest mean power over one period of the sensor in the window")     \
    X(IDLE_CONTEXT, "idle_power_context_w", "energy", "W", "power with the engine loaded and no requests")             \
    X(IDLE_COLD, "idle_power_cold_w", "energy", "W", "power before the engine was started")                            \
    X(THROTTLE, "throttle_s", "energy", "s", "time throttled in the window, worst board, largest reason")              \
    X(PEAK_MEMORY, "peak_memory_mb", "memory", "MB", "engine allocator peak in the window, weights included (10^6 B)") \
    X(LOAD_MEMORY, "load_memory_mb", "memory", "MB", "engine memory after loading, weights included")                  \
    X(RESERVED_MEMORY, "reserved_memory_mb", "memory", "MB", "most memory the engine's allocator held reserved")         \
    X(WEIGHTS_MEMORY, "weights_mb", "memory", "MB", "size of the weights as loaded")                                   \
    X(KV_MEMORY, "kv_cache_mb", "memory", "MB", "size of the KV cache; modelled where the engine does not tell it")    \
    X(KV_USED, "kv_cache_used_mb", "memory", "MB", "most of the KV cache that requests under way held at once in the window") \
    X(DEVICE_MEMORY, "device_peak_memory_mb", "memory", "MB", "highest device memory sample in the window, all tenants") \
    X(DEVICE_IN_USE, "device_memory_mb", "memory", "MB", "device memory in use after the work, all tenants, by the engine's word") \
    X(HOST_MEMORY, "host_peak_memory_mb", "memory", "MB", "peak resident memory of the engine's processes")            \
    X(HOST_LOAD, "host_load_memory_mb", "memory", "MB", "resident memory of the engine's processes after loading")     \
    X(HOST_RSS, "host_rss_mb", "memory", "MB",                                                                         \
      "resident memory of the engine's processes after the work: a page that several share counts in each")           \
    X(HOST_PSS, "host_pss_mb", "memory", "MB", "the same, where a page that several share counts once in all (PSS)")   \
    X(WINDOW, "window_s", "time", "s",                                                                                 \
      "length of the measured window: work released to last token of the last request, without the meter's own pauses")\
    X(LOAD_TIME, "load_s", "time", "s", "time to load the model")                                                      \
    X(COMPILE_TIME, "compile_s", "time", "s", "time of compiling while loading; a part of load_s")                     \
    X(WARMUP_TIME, "warmup_s", "time", "s", "time of the warm-up")                                                     \
    X(REPEATS, "repeats", "time", "1", "how often the work was repeated back to back inside the window")               \
    X(CPU_OUTPUT, "cpu_s_per_output_token", "work", "s/token",                                                         \
      "CPU time of the engine's processes while it worked, over output tokens")                                         \
    X(FLOPS, "flops", "work", "FLOP", "floating point operations of the window, from the shapes of the model")                             \
    X(FLOPS_PER_J, "flops_per_joule", "work", "FLOP/J", "estimated operations over gross energy")                      \
    RESULT_MORE_METRICS(X)

enum result_metric {
#define X(code, id, group, unit, help) METRIC_##code,
    RESULT_METRICS(X)
#undef X
        METRIC_COUNT
};

struct result_metric_row {
    const char *id, *group, *unit, *help;
};

const struct result_metric_row *result_metric_row(enum result_metric metric); /* borrowed, static */
int result_metric_from_id(const char *id);                                    /* or -1 */

/* The parts of a record beside its figures: one id a row of parts.def. */
enum result_part {
#define ROW(id, ...) PART_##id,
#include "result/parts.def"
#undef ROW
    PART_COUNT
};

/* --- files of a run ------------------------------------------------------------------------------------------------- */

/* name in the folder of the run, whether "{hash}_" stands before it in the exchange folder, meaning. */
#define RESULT_FILES(X)                                                                                                \
    X(CONFIG, "config.json", true,                                                                                     \
      "all that the worker was told: [exchange file](#exchange-file) (schema: `llem result schema --exchange`)")       \
    X(RESULT, "result.json", true, "the record (schema: `llem result schema`), or")                                    \
    X(ERROR, "error.json", true,                                                                                       \
      "why there is none: class, message, phase, what the engine said, the last lines of its log")                     \
    X(REQUESTS, "requests.csv", false,                                                                                 \
      "a line a request of the measured window: tokens, stamps, latencies ([columns](#requests))")                     \
    X(TRACE, "trace.csv.gz", false,                                                                                    \
      "every sensor reading at full rate, and the marks, on both clocks; not there when nothing can be read")          \
    X(TRACE_PARTIAL, "trace.partial.csv.gz", false,                                                                    \
      "instead of it: what was written of the trace when the worker was killed")                                       \
    X(HOST_ENERGY, "host_energy.json", false,                                                                          \
      "in a container: energy by sensors of the host (schema: `llem result schema --host`)")                           \
    X(HOST_TRACE, "host_trace.csv.gz", false, "their readings, as in `trace.csv.gz`")                                  \
    X(ENVIRONMENT, "environment.json", false,                                                                          \
      "host, kernel, CPU and its limits, governor, clock source, memory, variables, GPUs, versions")                   \
    X(PROGRESS, "progress.jsonl", false, "the phases the run went through, as the progress line showed them")          \
    X(ENGINE_LOG, "engine.log", false, "what the engine printed (bounded)")                                            \
    X(WORKER_LOG, "worker.log", false, "what the worker printed (bounded)")                                            \
    X(CLIENT_LOG, "client.log", false,                                                                                 \
      "what docker or podman, its daemon and the loader said of a container that failed (bounded)")

enum result_file {
#define X(code, name, prefixed, meaning) RESULT_FILE_##code,
    RESULT_FILES(X)
#undef X
        RESULT_FILE_COUNT
};
struct result_file_row {
    const char *name;
    bool prefixed;
    const char *meaning;
};
extern const struct result_file_row result_files[RESULT_FILE_COUNT];

/* A request of the measured window, as requests.csv has it. Stamps are of CLOCK_MONOTONIC, as those of timing.window;
 * 0: the engine has none. */
struct result_request {
    int64_t request, prompt, repeat, batch;         /* each from 1 */
    int64_t tokens_in, tokens_in_cached, tokens_out;
    int64_t merged_chunks;
    const char *finish;
    int64_t released_ns, first_token_ns, last_token_ns; /* the adapter's */
    int64_t engine_queued_ns, engine_scheduled_ns, engine_first_token_ns, engine_last_token_ns;
    double ttft_s, prefill_latency_s, tpot_s, latency_s; /* NaN: not known */
    double engine_ttft_s, engine_tpot_s, engine_latency_s;
};
/* Writes requests.csv whole. */
bool result_requests_write(const struct result_request *requests, size_t n, const char *path, GError **error);
/* Its columns, for docs/results.md: rows of a table. */
void result_requests_describe(GString *out);

struct result;

/* x is borrowed during the call. */
struct result *result_new(const struct exchange *x);
void result_free(struct result *r);
typedef struct result owned_result; /* for g_autoptr(owned_result) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_result, result_free)
void result_set(struct result *r, enum result_metric metric, struct quantity q);
struct quantity result_get(const struct result *r, enum result_metric metric);
/* Every row of a group that was not set yet becomes absent for this reason. */
void result_absent_group(struct result *r, const char *group, const char *reason);
/* The parts, each put by the function of its row's type: anything else is a bug and aborts. The last word counts. */
void result_put_text(struct result *r, enum result_part part, const char *text); /* NULL: null, or left out */
void result_put_int(struct result *r, enum result_part part, int64_t value);
void result_put_bool(struct result *r, enum result_part part, bool value);
/* NaN: null, and why. */
void result_put_real(struct result *r, enum result_part part, double value, const char *reason);
/* Null, and why, where it did not take place: t1_ns 0. */
void result_put_stretch(struct result *r, enum result_part part, int64_t t0_ns, int64_t t1_ns, const char *reason);
/* Objects and lists; takes over the reference. NULL: left out. */
void result_put_json(struct result *r, enum result_part part, json_t *value);
/* Null, and why, of a row that may be null. */
void result_put_null(struct result *r, enum result_part part, const char *reason);
/* Whatever a tree has of the rows below a part ("sampler"); a member without a row is a bug. Takes over the
 * reference. */
void result_put_members(struct result *r, const char *part, json_t *tree);
/* Holds an object of energy.scopes to the rows `estimate.*`: what is required and not there becomes null, "not
 * collected"; a member without a row is a bug. Returns it. */
json_t *result_estimate(json_t *tree);
G_GNUC_PRINTF(2, 3) void result_warn(struct result *r, const char *format, ...);
/* A doubt a machine can read ("phase_locked") and one sentence for people; each flag once. */
void result_flag(struct result *r, const char *flag, const char *meaning);
json_t *result_json(const struct result *r);
bool result_write(const struct result *r, const char *path, GError **error);

/* An error record: class and message of the error, the phase it happened in, what the engine said, last log lines. */
bool result_error_write(const char *path, const struct exchange *x, const GError *failure, const char *phase,
                        const json_t *engine_error, const char *log_path, GError **error);
/* The last lines of a text file as a JSON list of strings (empty when there is none). */
json_t *result_log_tail(const char *log_path, int lines);
/* Turns a loaded error record back into a GError with its class. */
GError *result_error_parse(const json_t *record);

/* The JSON Schema (draft 2020-12) of result.json and of error.json, made from the rows. */
json_t *result_schema(void);
json_t *result_error_schema(void);
/* docs/results.md. New string. */
char *result_reference(void);

/* --- figures of sensors that were read beside the worker (host_energy.json) ------------------------------------------- */

/* The energy part of a record, as a document of its own that says which result.json it belongs to (by the digest of its
 * bytes): scopes, the figures that were set, flags, warnings. New reference. */
json_t *result_host_json(const struct result *r, const char *result_sha256);
json_t *result_host_schema(void);
/* Joins such a document with the record it belongs to: its scopes are added and, where it has figures, its scope is
 * the energy of the run from then on. DATA, and nothing joined, where it is damaged or of another record. */
bool result_host_join(json_t *record, const json_t *host, const char *result_sha256, GError **error);

/* result.json of a run folder, joined with host_energy.json where it lies beside it; one that cannot be joined, or is
 * missing, is a flag and a warning of the record. LLEM_ERROR_MISSING if there is no result.json. */
json_t *result_load(const char *run_dir, GError **error);
json_t *result_load_error(const char *run_dir, GError **error);
/* The quantity of a metric in a loaded record. Strings are borrowed from the record. */
struct quantity result_metric_of(const json_t *record, enum result_metric metric);
