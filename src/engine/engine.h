/* SPDX-License-Identifier: MIT */
/*
 * engine: the worker's side of the engine protocol (docs/engine-protocol.md): a client that starts an adapter program
 * and speaks to it, and the conformance suite any adapter can be held to. Where an adapter is, room backend knows.
 *
 * Calling sequence of one experiment:
 *
 *   char **argv = backend_command(backend, &error);
 *   struct engine *engine = engine_start(&(struct engine_options){.argv = argv, .log_path = "engine.log",
 *                                                                 .interrupt_fd = -1}, &error);
 *   engine_hello → (engine_schema) → engine_load → engine_tokenize
 *   per window:  engine_prepare (every batch)  … pre-guard …  engine_generate  … post-guard …  engine_collect →
 *                engine_memory
 *   engine_stop(engine, NULL, &report, &error);
 *   engine_free(engine);
 *
 * The window opens between prepare and generate: prompts are parsed and in place when prepare returns, the adapter
 * has declared whether it is quiescent, and the message that releases the work and the reply to it are a few bytes
 * long. Token ids and stamps are asked for afterwards.
 *
 * Time: every deadline_ns is an absolute time of suspend_clock_ns(), which is CLOCK_MONOTONIC where nobody was
 * suspended; 0 takes the message's default (engine_default_wait_ns).
 * Errors: ENGINE (the engine's own class and message), ENGINE_DIED (exit status or signal and the last lines of its
 * log), TIMEOUT, PROTOCOL (what the adapter broke), INTERRUPTED (options.interrupt_fd became readable), IO, LIMIT.
 * engine_last_failure() has the parts. After TIMEOUT or INTERRUPTED the request is still under way: only
 * engine_abort() and engine_stop() may follow; these two cannot be interrupted. After PROTOCOL and ENGINE_DIED only
 * engine_stop() may.
 *
 * Ownership: results are structs filled by the call and emptied by their _clear function (safe on a zeroed struct);
 * strings and trees inside belong to the struct. Threading: one thread at a time per engine; the thread that calls
 * engine_start() must outlive the adapter (it is the one whose death the kernel reports to it).
 * A process that calls prctl(PR_SET_CHILD_SUBREAPER) starts no children of its own while an engine lives: every child
 * that appears meanwhile counts as the engine's and is ended by engine_stop().
 */
#pragma once

#include "backend/backend.h"
#include "base/base.h"

#include <sys/types.h>

/* --- Process ---------------------------------------------------------------------------------------------------- */

struct engine;

struct engine_options {
    const char *const *argv; /* NULL-terminated; argv[0] a path, or a name looked up in PATH */
    const char *const *env;  /* NULL, or "NAME=value" additions, NULL-terminated */
    const char *work_dir;    /* NULL: inherited */
    const char *log_path;    /* where stdout and stderr go; NULL: kept in memory only */
    size_t log_bytes;        /* most bytes kept of them, half head, half tail; 0: LIMIT_ENGINE_LOG_BYTES */
    int interrupt_fd;        /* a descriptor that becomes readable to interrupt waiting calls (never read); -1: none */
};

/* Starts the adapter in a session and process group of its own. Errors: MISSING, IO. */
struct engine *engine_start(const struct engine_options *options, GError **error);
pid_t engine_pid(const struct engine *engine);
/* The last lines of stdout and stderr, at most max_lines. New vector. */
char **engine_log_tail(struct engine *engine, size_t max_lines);

/* What the last failed call met, for error records. Borrowed until the next call. */
struct engine_failure {
    int code;                  /* enum llem_error_code, or -1 when nothing failed yet */
    const char *message_name;  /* the protocol message under way: "load", "generate" … */
    const char *engine_class;  /* ENGINE: the engine's own; ENGINE_DIED of an OOM kill: "OutOfMemory"; else NULL */
    const char *engine_message;
    bool oom;                  /* the engine said it ran out of memory, or the kernel killed it for that */
    int exit_status, signal;   /* ENGINE_DIED: one of them ≥ 0, the other -1; both -1 when unknown */
};
const struct engine_failure *engine_last_failure(const struct engine *engine);

/* How far the ladder had to go. */
enum engine_stop_stage {
    ENGINE_STOP_NONE,        /* it had already ended */
    ENGINE_STOP_SHUTDOWN,    /* the shutdown message (and the end of the socket) sufficed */
    ENGINE_STOP_TERM,        /* SIGTERM to the process group */
    ENGINE_STOP_KILL,        /* SIGKILL to the process group */
    ENGINE_STOP_DESCENDANTS, /* processes that had left the group had to be killed one by one */
    ENGINE_STOP_COUNT
};
const char *engine_stop_stage_name(enum engine_stop_stage stage);

/* How long each rung is given; members that are 0 take the defaults (10 s, 10 s, 5 s). */
struct engine_stop_waits {
    int64_t shutdown_ns, term_ns, kill_ns;
};

struct engine_stop_report {
    enum engine_stop_stage stage;
    int exit_status, signal; /* of the adapter; -1 where it does not apply */
    int n_left_behind;       /* processes the adapter left when it ended, all of them ended by the ladder */
    int64_t wall_ns;         /* what the whole ladder took */
};

/* Ends the adapter and everything it started. False (error TIMEOUT) when something is still alive at the end, which
 * only a process stuck in the kernel can be. May be called in any state, and again. report may be NULL. */
bool engine_stop(struct engine *engine, const struct engine_stop_waits *waits, struct engine_stop_report *report,
                 GError **error);
/* Stops in a hurry (short waits) what still runs, closes the log, frees. NULL is fine. */
void engine_free(struct engine *engine);

/* --- Messages --------------------------------------------------------------------------------------------------- */

/* How long a message may take when the caller gives no deadline: hello 2 min (imports), load 30 min, … */
int64_t engine_default_wait_ns(const char *message_name);

struct engine_identity {
    json_t *reply; /* the whole reply; the strings below are borrowed from it */
    const char *adapter, *adapter_version, *engine;
    const char *engine_version; /* NULL: known only after load */
    int64_t pid;
    const json_t *libraries; /* NULL, or name → version */
    bool simulated;          /* its times, tokens and memory are scripted: nothing it says was measured */
};
/* Errors besides the usual: PROTOCOL for another protocol version, or a clock that is not ours (time namespace). */
bool engine_hello(struct engine *engine, int64_t deadline_ns, struct engine_identity *ret, GError **error);
void engine_identity_clear(struct engine_identity *identity);

struct engine_schema {
    json_t *reply; /* everything in the options is borrowed from it */
    json_t *fields;
    struct backend_reported *options;
    size_t n;
};
/* Every row is held to itself, as room backend reads it. */
bool engine_schema(struct engine *engine, int64_t deadline_ns, struct engine_schema *ret, GError **error);
void engine_schema_clear(struct engine_schema *schema);
/* The row of that name, or NULL. */
const struct backend_reported *engine_schema_find(const struct engine_schema *schema, const char *name);

/* Where engine.json and the installed engine speak of different parameters, or differently of one. */
enum engine_difference_kind {
    ENGINE_NEW,   /* the installed engine has it, and engine.json says nothing of it */
    ENGINE_GONE,  /* engine.json speaks of it, and the installed engine does not have it */
    ENGINE_OTHER, /* another type, range, choices, unit or default */
};
struct engine_difference {
    enum engine_difference_kind kind;
    const char *name;                    /* borrowed from the descriptor, or the schema */
    const struct backend_option *option; /* NULL: no option, an argument that would be handed on */
    char *ours, *theirs;                 /* in words; NULL: has none */
};
/* version: of the installed engine, or NULL. New array of struct engine_difference *. */
GPtrArray *engine_compare(const struct backend *backend, const struct engine_schema *schema, const char *version);

struct engine_loaded {
    json_t *reply;               /* everything below is borrowed from it */
    const json_t *resolved;      /* the configuration as the engine runs it */
    const json_t *facts;         /* NULL, or what else the engine knows: file type, digests, parameters, CPU variant */
    const json_t *memory;        /* figures right after loading, as in struct engine_memory */
    const json_t *substitutions; /* [{"what", "requested", "used", "reason"}], empty when all is as asked */
    const char *engine_version;
    int64_t *pids; /* every process of the engine */
    size_t n_pids;
    int64_t weights_bytes;  /* -1: not known */
    int64_t batch;          /* requests that belong into one batch, by its options; 0: not said */
    int64_t in_flight;      /* requests it computes at once, by its options; 0: not said */
    bool on_gpu;            /* some of the model is computed on a GPU */
    bool on_cpu;            /* some of it on the CPU: all, or beside a GPU */
    bool prefix_cache;      /* prompts that begin like an earlier one may be served from a cache */
    int64_t t0_ns, t1_ns;   /* loading, by the adapter's stamps */
    int64_t compile_t0_ns, compile_t1_ns; /* of it, compiling; both 0: it does not say */
    bool quiescent;
};
/*
 * config: {"model", "model_path", "precision", "max_input_tokens", "max_output_tokens", "random_seed", "decoder": {…},
 * "options": {the backend's section}}; docs/engine-protocol.md has the rows. A substitution that is not allowed is an
 * ENGINE error of class "Substitution", whoever noticed it.
 */
bool engine_load(struct engine *engine, const json_t *config, bool allow_substitution, int64_t deadline_ns,
                 struct engine_loaded *ret, GError **error);
void engine_loaded_clear(struct engine_loaded *loaded);

struct engine_tokens {
    int32_t *ids;
    size_t n;
};
/* Token ids of each text: ret_tokens[n_texts], new array (engine_tokens_free). add_special: with the tokens the model
 * wants around a text. parse_special: the text of a control token becomes that token; otherwise it stays text. */
bool engine_tokenize(struct engine *engine, const char *const *texts, size_t n_texts, bool add_special,
                     bool parse_special, int64_t deadline_ns, struct engine_tokens **ret_tokens, GError **error);
void engine_tokens_free(struct engine_tokens *tokens, size_t n_texts);

/* Forgets cached prefixes, starts the peak memory figures again. ret_* (may be NULL) say whether it was done. */
bool engine_reset(struct engine *engine, bool prefix_cache, bool peak_memory, int64_t deadline_ns,
                  bool *ret_prefix_cache, bool *ret_peak_memory, GError **error);

struct engine_prompt {
    const char *id; /* unique among the prepared requests */
    const int32_t *token_ids;
    size_t n_tokens;
    int64_t max_tokens; /* output */
    bool ignore_eos;    /* exactly max_tokens come out */
};
/* Hands a batch over. ret_quiescent (may be NULL): nothing runs in the engine until generate. */
bool engine_prepare(struct engine *engine, int64_t batch, const struct engine_prompt *prompts, size_t n_prompts,
                    int64_t deadline_ns, bool *ret_quiescent, GError **error);

/* One request's outcome. Arrays have n_out elements. */
struct engine_request {
    char *id;
    int64_t batch;
    int64_t n_in;     /* prompt tokens, equal to what was sent */
    int64_t n_cached; /* of them not computed because a cache had them */
    size_t n_out;
    int32_t *token_ids;
    int64_t *stamps_ns; /* when each token was out; tokens of one merged chunk share a stamp */
    char *finish;       /* "length" or "stop" */
    int64_t merged_chunks;
    /* the engine's own stamps, 0 where it has none */
    int64_t queued_ns, scheduled_ns, first_token_ns, last_token_ns;
};

struct engine_batch_times {
    int64_t batch, t0_ns, t1_ns;
    int64_t n_padded; /* positions computed for no token; -1: the engine does not say */
};

/* What generate answers at once. */
struct engine_work {
    int64_t t0_ns; /* work released */
    int64_t t1_ns; /* last token of the last request out */
    int64_t n_requests, n_in, n_out; /* tokens in and out, of all of them */
};
/* Releases prepared batches, back to back, in this order; they are used up by it, whatever comes of it. in_flight: how
 * many requests of a batch are computed at once, the next joining as one ends; 0: they begin together. Several may
 * follow each other before a collect. */
bool engine_generate(struct engine *engine, const int64_t *batches, size_t n_batches, int64_t in_flight,
                     int64_t deadline_ns, struct engine_work *ret, GError **error);

/* The work of one generate, or of several after each other: all its batches. */
struct engine_generation {
    int64_t t0_ns; /* work released */
    int64_t t1_ns; /* last token of the last request out */
    struct engine_batch_times *batches; /* in the order asked for */
    size_t n_batches;
    struct engine_request *requests; /* in the order prepared, batch after batch */
    size_t n_requests;
    int64_t merged_chunks; /* chunks that carried more than one token */
};
/* What came of every generate since the last collect, in their order, held to what was prepared and to what generate
 * had said. They are forgotten, whatever comes of it. */
bool engine_collect(struct engine *engine, int64_t deadline_ns, struct engine_generation *ret, GError **error);
/* Both at once, for work whose end nobody looks at. */
bool engine_generate_all(struct engine *engine, const int64_t *batches, size_t n_batches, int64_t deadline_ns,
                         struct engine_generation *ret, GError **error);
void engine_generation_clear(struct engine_generation *generation);
/* Adds the batches and requests of a later generation to an earlier (or empty, zeroed) one, which then spans both;
 * later is left empty. */
void engine_generation_append(struct engine_generation *generation, struct engine_generation *later);

struct engine_figure {
    const char *name;   /* "weights_bytes", "peak_bytes", … */
    int64_t bytes;      /* -1: absent */
    const char *reason; /* why, when absent */
};
struct engine_memory {
    json_t *reply; /* the strings are borrowed from it */
    struct engine_figure *figures;
    size_t n_figures;
};
bool engine_memory(struct engine *engine, int64_t deadline_ns, struct engine_memory *ret, GError **error);
void engine_memory_clear(struct engine_memory *memory);

/* Ends what is under way and forgets every prepared batch; the engine stays loaded. Its answer is awaited. */
bool engine_abort(struct engine *engine, int64_t deadline_ns, GError **error);

/* --- Conformance ------------------------------------------------------------------------------------------------ */

struct backend;

struct engine_check_options {
    const char *const *argv;   /* the adapter */
    const char *model_path;    /* NULL: none is needed */
    const char *precision;     /* NULL: the adapter's default */
    const json_t *options;     /* NULL, or the backend's section for every load */
    const struct backend *backend; /* NULL, or the engine whose engine.json is compared and whose defaults are sent */
    int64_t patience_ns;       /* how long an answer may take; 0: 120 s for hello, load and generate, 30 s else */
    const char *only;          /* NULL, or the name of one case */
};

enum engine_check_status { ENGINE_CHECK_PASS, ENGINE_CHECK_FAIL, ENGINE_CHECK_SKIP };

struct engine_check_case {
    const char *name;    /* "generate-stamps" */
    const char *summary; /* what must hold */
    bool of_backend;     /* it compares engine.json: left out where none is given */
};
extern const struct engine_check_case engine_check_cases[]; /* in the order they run; ended by a row without a name */

typedef void (*engine_check_report)(const struct engine_check_case *row, enum engine_check_status status,
                                    const char *message, void *data);
/* Runs the cases, each against processes of its own, reporting each once; on a pass message is NULL, or something worth
 * knowing. Returns how many failed. Errors are failures of cases, never of the suite. */
int engine_check(const struct engine_check_options *options, engine_check_report report, void *data);
