/* SPDX-License-Identifier: MIT */
/*
 * The adapter's side of the engine protocol for engines driven from C. An adapter fills struct adapter_ops and calls
 * adapter_main(); lines, JSON, members, unknown keys, order of messages, prepared batches, replies and aborts are done
 * here, the engine's work in the ops.
 *
 *   int main(void) { return adapter_main(&ops, &state); }
 *
 * An op returns false after adapter_fail(): the request is answered with that error and the adapter goes on.
 * Everything runs on one thread. stdout and stderr are a log; print what a person would want to read.
 */
#pragma once

#include "base/base.h"

#include <math.h>
#include <stddef.h>

struct adapter;

/* Classes every adapter uses for these cases; an engine's own errors carry the engine's own class. */
#define ADAPTER_BAD_LINE        "BadLine"        /* not a JSON object */
#define ADAPTER_UNKNOWN_MESSAGE "UnknownMessage"
#define ADAPTER_UNKNOWN_KEY     "UnknownKey"     /* a member or option that does not exist */
#define ADAPTER_BAD_VALUE       "BadValue"       /* a member or option of the wrong type or range */
#define ADAPTER_BAD_ORDER       "BadOrder"       /* generate before load, … */
#define ADAPTER_NOT_SUPPORTED   "NotSupported"   /* this engine or build cannot do it */
#define ADAPTER_SUBSTITUTION    "Substitution"   /* what was asked for would have been replaced */
#define ADAPTER_LOAD_FAILED     "LoadFailed"     /* the model could not be loaded */
#define ADAPTER_OUT_OF_MEMORY   "OutOfMemory"    /* sent with "oom": true */
#define ADAPTER_ABORTED         "Aborted"

/* --- What load is asked for ------------------------------------------------------------------------------------- */

struct adapter_load {
    const char *model, *model_path, *precision; /* NULL where not given */
    int64_t max_input_tokens, max_output_tokens; /* 0 where not given */
    int64_t random_seed;
    const json_t *decoder; /* object or NULL; adapter_check_keys() it */
    const json_t *options; /* object or NULL; already held to ops->options: read with adapter_read_options() */
    bool allow_substitution;
};

/* --- Options: one row each ------------------------------------------------------------------------------------- */

enum adapter_type {
    ADAPTER_INTEGER, /* fills an int64_t */
    ADAPTER_NUMBER,  /* a double */
    ADAPTER_NUMBERS, /* a number or a list of numbers: a struct adapter_numbers */
    ADAPTER_BOOLEAN, /* a bool */
    ADAPTER_STRING,  /* with choices an int, the value of the chosen row; else a const char *, valid while load lasts */
    ADAPTER_LIST,    /* this and the rest: a const json_t *, valid while load lasts */
    ADAPTER_MAPPING,
    ADAPTER_ANY,
    ADAPTER_TYPE_COUNT
};

struct adapter_numbers {
    double *values; /* g_free() them */
    size_t n;
};

struct adapter_choice {
    const char *name;
    int value;
};

/* All that is said of an option, anywhere in an adapter: the schema message, what is refused, and where its value goes
 * are made from the row. engine.json of the engine's folder says the same to llem; `llem engine check` compares. */
struct adapter_option {
    const char *name; /* dotted where `load` nests it: "cache.blocks" is {"cache": {"blocks": …}} */
    enum adapter_type type;
    const char *initial;                  /* the default as JSON text; "null": follows from something else */
    double min, max;                      /* of numbers, inclusive; -INFINITY, INFINITY: no bound */
    const struct adapter_choice *choices; /* of a string: rows ended by {0}; NULL: any text */
    const char *unit;                     /* "tokens", "ms"; NULL: none */
    size_t at;                            /* offset of the member that adapter_read_options() fills */
    const char *help;                     /* one line */
};
#define ADAPTER_NO_RANGE -INFINITY, INFINITY

/* How a text is to become tokens. */
struct adapter_tokenize {
    bool add_special;   /* with the tokens the model wants around a text */
    bool parse_special; /* a control token's text in it becomes that token; false: it stays text */
};

/* --- What generate works on ------------------------------------------------------------------------------------- */

struct adapter_request {
    char *id;
    int32_t *token_ids;
    size_t n_in;
    int64_t max_tokens;
    bool ignore_eos;
    /* filled by ops->generate: adapter_token() for each token out, and these */
    int64_t n_cached;
    const char *finish; /* "length" (set beforehand) or "stop" */
    /* the engine's own stamps where it has them, else 0 */
    int64_t queued_ns, scheduled_ns, first_token_ns, last_token_ns;
    /* kept here */
    int32_t *out_ids;
    int64_t *out_stamps_ns; /* room for max_tokens, allocated and touched at prepare */
    size_t n_out;
    void *user; /* the adapter's own */
};

struct adapter_batch {
    int64_t batch;
    struct adapter_request *requests;
    size_t n_requests;
    size_t in_flight;     /* requests of it that may be computed at once: as one ends, the next one joins */
    bool joins;           /* false: nothing was said of that, they may begin together */
    int64_t t0_ns, t1_ns; /* set by ops->generate: work released, last token of the last request out */
};

/* Notes a token that is out now; the stamp is taken where the caller took it. Never allocates. */
static inline void adapter_token(struct adapter_request *request, int32_t id, int64_t stamp_ns)
{
    if (request->n_out < (size_t)request->max_tokens) {
        request->out_ids[request->n_out] = id;
        request->out_stamps_ns[request->n_out++] = stamp_ns;
    }
}

/* True if what is under way is to stop: an abort, a shutdown or the end of the socket came. One non-blocking read of
 * the socket (well under a microsecond); call it between steps. An op that stops for it returns false without
 * adapter_fail(). */
bool adapter_stop_requested(struct adapter *adapter);

/* --- The ops ---------------------------------------------------------------------------------------------------- */

struct adapter_ops {
    const char *adapter;         /* "llem-engine-llamacpp" */
    const char *adapter_version; /* llem's */
    const char *engine;          /* "llama.cpp" */
    const struct adapter_option *options; /* ended by a row without a name */

    /* Adds "engine_version" (string or null) and, if it likes, "libraries" to the reply. */
    bool (*hello)(struct adapter *adapter, void *state, json_t *reply);
    /* Loads (a second load replaces the first). Adds "resolved", "engine_version", "weights_bytes" (or null), "memory"
     * ({name: bytes, or the reason as text}), "substitutions" ([] or adapter_substitution() rows), optionally "facts"
     * and "pids" (default: this process). Load stamps are taken around it. */
    bool (*load)(struct adapter *adapter, void *state, const struct adapter_load *load, json_t *reply);
    /* Token ids of one text, appended to ids (GArray of int32_t). */
    bool (*tokenize)(struct adapter *adapter, void *state, const char *text, const struct adapter_tokenize *how,
                     GArray *ids);
    /* Sets *prefix_cache and *peak_memory to false when it cannot do what they ask. */
    bool (*reset)(struct adapter *adapter, void *state, bool *prefix_cache, bool *peak_memory);
    /* May be NULL. Puts a batch in place (allocate here, not in generate). *quiescent comes in true. */
    bool (*prepare)(struct adapter *adapter, void *state, struct adapter_batch *batch, bool *quiescent);
    /* Requests can join others under way: then batch->in_flight may be less than its requests. */
    bool joins;
    /* Runs one batch, from batch->t0_ns to batch->t1_ns. Called batch after batch with nothing in between. */
    bool (*generate)(struct adapter *adapter, void *state, struct adapter_batch *batch);
    /* Adds figures, {name: bytes, or the reason as text}. */
    bool (*memory)(struct adapter *adapter, void *state, json_t *figures);
    const char *const *computed; /* names of those that are computed and not measured, NULL-terminated; may be NULL */
    /* May be NULL. Lets go of everything; called once before the program ends. */
    void (*close)(struct adapter *adapter, void *state);
    /* NULL but for the simulated engine, which breaks the protocol on request: each gets a message of that type after
     * it was read, or before it is written, and may change it. */
    void (*spoil_request)(struct adapter *adapter, void *state, const char *type, json_t *request);
    void (*spoil_reply)(struct adapter *adapter, void *state, const char *type, json_t *reply);
};

/* Serves the protocol on LLEM_ENGINE_FD until shutdown or the end of the socket. Returns the exit status. */
int adapter_main(const struct adapter_ops *ops, void *state);

/* --- Failing ---------------------------------------------------------------------------------------------------- */

/* Notes the error to answer with. Returns false, for "return adapter_fail(…)". */
bool adapter_fail(struct adapter *adapter, const char *error_class, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The same with "oom": true and the class OutOfMemory. */
bool adapter_fail_oom(struct adapter *adapter, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Fails with UnknownKey, naming every key of object that is not in names (NULL-terminated) and what it is part of. */
bool adapter_check_keys(struct adapter *adapter, const json_t *object, const char *part, const char *const *names);
/* Puts the value of every option, or its default, into the adapter's struct at the row's place. Where both are null the
 * member is left as it is. Nothing can fail: types, ranges and choices were checked before load was called. */
void adapter_read_options(struct adapter *adapter, const struct adapter_load *load, void *into);
/* The value of the option as asked for, or its default. Never NULL. Borrowed. */
const json_t *adapter_option_value(struct adapter *adapter, const struct adapter_load *load, const char *name);
/* Adds to resolved what adapter_read_options() reads; where the engine decides otherwise, set the member afterwards. */
void adapter_echo_options(struct adapter *adapter, const struct adapter_load *load, json_t *resolved);
/* {"what", "requested", "used", "reason"}: appended to reply's "substitutions"; false (after adapter_fail) when the
 * load does not allow it. */
bool adapter_substitution(struct adapter *adapter, const struct adapter_load *load, json_t *reply, const char *what,
                          const char *requested, const char *used, const char *reason);
/* "VmRSS:" of /proc/self/status in bytes, "VmHWM:" at its most; -1: not told. What getrusage() has is the parent's
 * peak, too. */
int64_t adapter_status_bytes(const char *name);
/* For the simulated engine only: writes bytes to the socket as they are, or closes it. */
void adapter_write_raw(struct adapter *adapter, const char *bytes, size_t n);
void adapter_close_socket(struct adapter *adapter);
