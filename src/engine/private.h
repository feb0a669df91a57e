/* SPDX-License-Identifier: MIT */
/*
 * What the files of the engine room share. Each calls only those before it:
 *
 *   log.c         what the adapter prints
 *   process.c     its process: start, and how it ended
 *   wire.c        lines to and from it
 *   stop.c        its end: the ladder
 *   schema.c, cached.c, generation.c  the replies to schema, and to generate and collect
 *   work.c        generate and collect
 *   messages.c    the other messages, typed
 *   check_suite.c, check.c  the conformance suite
 */
#pragma once

#include "engine/engine.h"

struct engine_log;

/* A process that cannot be mistaken for a later one with the same number. */
struct engine_process {
    int64_t pid;
    int64_t start; /* clock ticks after boot, from /proc/PID/stat */
};

struct engine {
    pid_t pid;
    int pidfd; /* -1 where the kernel has none */
    int fd;    /* our end of the socket, non-blocking; -1 once closed */
    int interrupt_fd;
    char *name; /* of the program, for messages */
    struct line_reader in;
    struct engine_log *log;

    int64_t last_id;
    int64_t abandoned_id; /* a request that was given up and may still be answered; 0: none */
    const char *abandoned_name;
    bool broken;  /* the stream makes no sense any more, or the adapter is gone */
    bool stopped; /* the ladder is done and the adapter reaped */
    int wait_status;
    bool status_known;
    struct oom_count oom_before; /* the start */

    GArray *bystanders; /* pid_t: children of this process from before, or NULL when it is no subreaper */
    GArray *seen;       /* struct engine_process: descendants of the adapter seen so far */
    GHashTable *shm;    /* shared memory that they had */

    GHashTable *prepared; /* batch number (int64) → struct prepared */
    GPtrArray *generated; /* struct outcome: what generate has answered and nobody has collected yet */
    GHashTable *cached;   /* prompts given since nothing was cached; see cached.c */
    bool prefix_cache;    /* what load said of it */
    bool cold;            /* nothing was generated since a reset that forgot the cached prefixes */
    struct engine_failure failure;
    char *failure_class, *failure_message;
};

/* --- log.c ------------------------------------------------------------------------------------------------------ */

/* Reads fd (taken over) on a thread of its own until the end or log_close(); head and tail into path, unless NULL. */
struct engine_log *log_open(int fd, const char *path, size_t max_bytes, GError **error);
/* Waits, briefly, until what was written so far has been read. */
void log_sync(struct engine_log *log);
char **log_tail(struct engine_log *log, size_t max_lines);
void log_close(struct engine_log *log);

/* --- process.c -------------------------------------------------------------------------------------------------- */

/* True if the adapter has ended; it stays a zombie until engine_stop(). Waits until the deadline for it. */
bool process_ended(struct engine *engine, int64_t deadline_ns);
/* "exit status 3" of an adapter that has ended. New string. */
char *process_describe_end(struct engine *engine);
/* Words about a SIGKILL (NULL: it was none): was it for memory, how much it had held, what to do. New string. */
char *process_explain_kill(struct engine *engine, bool *ret_oom);

/* Reads the wait status when it ended. options: 0, or WNOWAIT to leave it a zombie. */
void process_read_status(struct engine *engine, int options);
/* Closes *fd where it is one, and sets it to -1. */
void process_close_fd(int *fd);
/* Lets go of everything of an engine that never ran, or was stopped. */
void process_free(struct engine *engine);

/* --- wire.c ----------------------------------------------------------------------------------------------------- */

/* Sends {"id", "type", …body} (body taken over, may be NULL) and waits for its reply. */
json_t *wire_call(struct engine *engine, const char *type, json_t *body, int64_t deadline_ns, GError **error);
/* The same for abort: sent although a request is under way, whose late reply is dropped; cannot be interrupted. */
json_t *wire_abort(struct engine *engine, int64_t deadline_ns, GError **error);
/* Sends the shutdown message and the end of the socket, without waiting and whatever state the stream is in. */
void wire_shutdown(struct engine *engine);
/* Reads and drops what comes; keeps an adapter that is writing from blocking. */
void wire_drain(struct engine *engine);
/* A line as it is, for the conformance suite. */
bool wire_send_raw(struct engine *engine, const char *line, int64_t deadline_ns, GError **error);
/* The next line whatever it is, for the conformance suite. */
json_t *wire_receive_any(struct engine *engine, int64_t deadline_ns, GError **error);
/* Marks the engine broken and sets PROTOCOL "NAME broke the protocol: …". Returns false. */
bool wire_broken(struct engine *engine, const char *type, GError **error, const char *format, ...) G_GNUC_PRINTF(4, 5);
/* The reply is not what it should be: turns *detail (freed) into PROTOCOL. Returns false. */
bool wire_bad_reply(struct engine *engine, const char *type, GError *detail, GError **error);
/* Notes an error of the engine's own. Returns false. */
bool wire_engine_error(struct engine *engine, const char *type, const char *error_class, const char *message, bool oom,
                       GError **error);

/* --- cached.c --------------------------------------------------------------------------------------------------- */

struct prepared;
struct prepared_request;
GHashTable *cached_new(void);
void cached_note(GHashTable *cached, const struct prepared *batch);
/* The id of a request that says that more of its prompt came from a cache than can have; NULL: none. */
const char *cached_check(GHashTable *cached, const struct prepared_request *const *asked,
                         const struct engine_request *requests, size_t n, size_t *ret_most);

/* --- generation.c ----------------------------------------------------------------------------------------------- */

/* What the reply to generate is held to. */
struct prepared_request {
    char *id;
    GBytes *ids; /* int32_t; NULL: no cache keeps them */
    size_t n_in;
    int64_t max_tokens;
    bool ignore_eos;
};
struct prepared {
    int64_t batch;
    struct prepared_request *requests;
    size_t n_requests;
};
/* keep: what the prompts are is asked for later. */
struct prepared *prepared_new(int64_t batch, const struct engine_prompt *prompts, size_t n_prompts, bool keep);
void prepared_free(gpointer prepared);

/* A generate that was answered, and what its outcome is held to. */
struct outcome {
    struct engine_work work;
    GPtrArray *batches; /* struct prepared */
    bool prefix_cache;  /* prompt tokens may come from a cache */
    GHashTable *cached; /* which may have had these prompts */
    bool cold;          /* and before it there was nothing in that cache */
};
void outcome_free(gpointer outcome);
/* Reads and checks a reply to generate. Errors here and below: DATA, saying which member of which request. */
bool work_read(const json_t *reply, struct outcome *outcome, GError **error);

/* The requests that one collect asks for. */
struct page {
    guint batch, n_batches; /* of the outcome's */
    size_t first, count;    /* of the requests of these batches */
};
/* Room for all that an outcome is to hold. */
void generation_begin(const struct outcome *outcome, struct engine_generation *ret);
/* Reads and checks a reply to collect, whose requests are added to those of the pages before. */
bool page_read(const json_t *reply, const struct outcome *outcome, const struct page *page,
               struct engine_generation *g, GError **error);
/* What can be said only when all pages are there. */
bool generation_check(const struct outcome *outcome, const struct engine_generation *g, GError **error);
