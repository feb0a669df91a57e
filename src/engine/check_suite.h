/* SPDX-License-Identifier: MIT */
/* What the cases of the conformance suite (check.c, check_messages.c, check_options.c) stand on: an adapter in the
 * state a case needs, and verdicts. */
#pragma once

#include "engine/private.h"

#include "backend/backend.h"

#define MAX_IN_TOKENS  64
#define MAX_OUT_TOKENS 1024 /* long enough to be aborted in the middle */
#define FEW_TOKENS     8
#define ABORT_NS       (1 * NS_PER_S)
#define END_NS         (10 * NS_PER_S)   /* from the end of the socket, or SIGTERM, to the end of the program */
#define BUSY_NS        (150 * NS_PER_MS) /* into a generation before it is disturbed */

struct suite {
    const struct engine_check_options *options;
    struct engine *engine;
    bool greeted, loaded;
    char *engine_version; /* what hello said of it, or NULL */
    bool prefix_cache;    /* what load said of it, and of these */
    int64_t batch, in_flight;
    bool load_failed; /* cases that need a loaded engine are skipped from then on */
    int64_t next_batch;
    struct engine_tokens *tokens; /* of three texts, from the case tokenize */
    char *message;
};

#define PASS ENGINE_CHECK_PASS

/* Sets the message of the case. Returns status. */
enum engine_check_status suite_say(struct suite *s, enum engine_check_status status, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
enum engine_check_status suite_fail_with(struct suite *s, const GError *error);
/* The same for what an engine need not be able to do: SKIP in its own words where it answered NotSupported. */
enum engine_check_status suite_unless_unsupported(struct suite *s, const GError *error);
/* A deadline: the patience asked for, or so many seconds. */
int64_t suite_patience(const struct suite *s, int64_t otherwise_s);
int64_t suite_soon(const struct suite *s);
/* Ends the adapter, however it is; the next case starts another. */
void suite_drop_engine(struct suite *s);
/* An adapter that runs; starts one where needed. */
bool suite_start(struct suite *s, GError **error);
/* The same, and it has answered hello. */
bool suite_greet(struct suite *s, GError **error);
/* What every load asks for. New reference. */
json_t *suite_load_config(const struct suite *s);
bool suite_load_with(struct suite *s, const json_t *config, struct engine_loaded *ret, GError **error);
/* The same with a model loaded. */
bool suite_load(struct suite *s, GError **error);
/* SKIP, because what the case needs could not be had. */
enum engine_check_status suite_needs(struct suite *s, const char *what, const GError *error);
/* What should have been refused: an error of that class (NULL: any) that says `names` (NULL: anything). */
enum engine_check_status suite_refused(struct suite *s, bool accepted, const GError *error, const char *what,
                                       const char *error_class, const char *names);
/* Prepares one batch of n requests, the i-th with a prompt i tokens shorter and i tokens more to put out. */
bool suite_prepare(struct suite *s, size_t n, int64_t max_tokens, int64_t *ret_batch, GError **error);
/* Generates a prepared batch, and collects. */
bool suite_generate(struct suite *s, int64_t batch, struct engine_generation *g, GError **error);
bool suite_generate_one(struct suite *s, int64_t max_tokens, struct engine_generation *g, GError **error);
/* Lets a long generation run a moment. False when it did not end in a deadline: *ret_status says how to answer. */
bool suite_start_long(struct suite *s, enum engine_check_status *ret_status);
/* PASS if the engine still works: a short generation. */
enum engine_check_status suite_still_works(struct suite *s);

/* Cases about members and messages of the work, in check_messages.c. */
enum engine_check_status check_version(struct suite *s);
enum engine_check_status check_members(struct suite *s);
enum engine_check_status check_special(struct suite *s);
enum engine_check_status check_collect(struct suite *s);
enum engine_check_status check_in_flight(struct suite *s);
enum engine_check_status check_stamps(struct suite *s);

/* Cases about engine.json, in check_options.c: only where a backend is given. */
enum engine_check_status check_options(struct suite *s);
enum engine_check_status check_roles(struct suite *s);

#define NEED(s, level, what)                                                                                           \
    do {                                                                                                               \
        g_autoptr(GError) need_error = NULL;                                                                           \
        if (!level((s), &need_error))                                                                                  \
            return suite_needs((s), what, need_error);                                                                 \
    } while (0)
#define NEED_HELLO(s) NEED(s, suite_greet, "an adapter that answers hello")
#define NEED_LOAD(s)  NEED(s, suite_load, "a loaded engine")
