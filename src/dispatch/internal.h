/* SPDX-License-Identifier: MIT */
/* Private to the room. Files, each using only those above it:
 *
 *   start.c      an engine is started on this machine, to see
 *   settings.c   what is said of an engine's runs becomes a runner
 *   settle.c     those that do not start here go to Docker, or are refused
 *   dispatch.c   all of them
 */
#pragma once

#include "dispatch/dispatch.h"

/* The rows of runner.c that have a meaning of their own here. */
#define RUNNER_LOCAL  "local"
#define RUNNER_DOCKER "docker"

/* An engine's choice, and what it points to. */
struct engine {
    struct dispatch_choice choice;
    struct runner *runner;
    char *backend, *kind, *image, *python;
    json_t *settings;             /* runners.ENGINE; NULL: nothing is said */
    bool is_default;              /* nobody chose it */
    bool is_unwritten;            /* nor wrote which engine it is */
    struct diag_span at, engine_at; /* of the choice, and of the field `backend`, else `model`; source NULL: no place */
};

struct dispatch {
    char *worker_path, *study;
    int (*host_cuda)(void);
    int64_t start_ns;
    GPtrArray *engines; /* struct engine *; a choice is its first member */
    struct runner *local;
    const struct runner *only;
};

/* NULL where there is no place. */
const struct diag_span *place_of(const struct diag_span *at);

/* --- Starting (start.c) -------------------------------------------------------------------------------------------- */

/* True if the engine starts on this machine and says by `schema` what it takes, for which it imports what it needs.
 * That it did is remembered for a day by its interpreter and its files. Errors: MISSING, those of room engine. */
bool start_check(const struct backend *backend, int64_t limit_ns, GError **error);

/* --- Settings (settings.c) ----------------------------------------------------------------------------------------- */

/* A setting of the engine's runs, or NULL. Borrowed. */
const json_t *settings_value(const struct engine *engine, const char *name);
const char *settings_text(const struct engine *engine, const char *name);
/* Finds the image of an engine that goes to a container without one. Error: CONFIG, with what to write. */
bool settings_find_image(const struct dispatch *d, struct engine *engine, GError **error);
/* Makes the engine's runner of its kind, chosen by `source` (copied). */
bool settings_make_runner(const struct dispatch *d, struct engine *engine, const char *source, GError **error);

/* --- Whoever does not start here (settle.c) ------------------------------------------------------------------------ */

/* Looks at one engine; alone: the study has no other. False after an error in diag. */
bool settle_engine(const struct dispatch *d, struct engine *engine, bool alone, struct diag *diag);
