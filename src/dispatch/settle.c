/* SPDX-License-Identifier: MIT */
/* Engines that do not start on this machine. In a study of several, those for which nobody chose a runner go to Docker;
 * a single one never does, and a choice that was written is never overridden. */
#include "dispatch/internal.h"

#include "container/container.h"

#include <string.h>

/* True if Docker can run containers here. */
static bool can_contain(const struct engine *engine, GError **error)
{
    const char *wanted = settings_text(engine, "client");
    g_autoptr(owned_container_client) client = container_client_new(wanted, error);
    return client && container_daemon(client, error);
}

/* Where to say it: where the runner was chosen, else where the engine was. */
static const struct diag_span *where(const struct engine *engine)
{
    const struct diag_span *at = place_of(&engine->at);
    return at ? at : place_of(&engine->engine_at);
}

/* True if there is an adapter that a container could be given. */
static bool has_adapter(const struct engine *engine)
{
    const struct backend *backend = backend_find(engine->backend, NULL);
    g_auto(GStrv) argv = backend ? backend_command_elsewhere(backend, engine->python, NULL) : NULL;
    return argv != NULL;
}

static bool refuse(const struct engine *engine, const GError *why, bool alone, struct diag *diag)
{
    const char *name = engine->backend;
    diag_add(diag, DIAG_ERROR, where(engine), "%s cannot start on this machine: %s", name, why->message);
    if (engine->is_unwritten)
        diag_hint(diag, "the file names no backend, so it is %s; `llem engine list` shows those that are here", name);
    else if (!has_adapter(engine))
        diag_hint(diag, "a container would have no adapter either; `llem engine list` shows the engines that are here");
    else if (!engine->is_default)
        diag_hint(diag, "its runner is local (%s), which is not overridden: write  runners: {%s: docker:IMAGE}  to run it "
                  "in a container", engine->choice.source, name);
    else if (alone)
        diag_hint(diag, "write  runners: {%s: docker:IMAGE}  to run it in a container (or LLEM_RUNNER_… in the "
                  "environment); `llem engine list` says how to get it here", name);
    return false;
}

static bool refuse_docker(const struct engine *engine, const GError *start, const GError *why, struct diag *diag)
{
    diag_add(diag, DIAG_ERROR, where(engine), "%s cannot start on this machine (%s), and cannot go to Docker: %s",
             engine->backend, start->message, why->message);
    diag_hint(diag, "write  runners: {%s: docker:IMAGE}  once Docker can be used, or get the engine here",
              engine->backend);
    return false;
}

static bool elevate(const struct dispatch *d, struct engine *engine, const GError *start, struct diag *diag)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *source = g_strdup_printf("elevated: %s cannot start on this machine: %s", engine->backend,
                                              start->message);
    g_free(engine->kind);
    engine->kind = g_strdup(RUNNER_DOCKER);
    if (!can_contain(engine, &why) || !settings_find_image(d, engine, &why) ||
        !settings_make_runner(d, engine, source, &why))
        return refuse_docker(engine, start, why, diag);
    diag_add(diag, DIAG_WARNING, where(engine), "%s goes to Docker (%s), because it cannot start on this machine: %s",
             engine->backend, engine->image, start->message);
    diag_hint(diag, "to choose yourself write  runners: {%s: docker:IMAGE}, or local, which is then an error",
              engine->backend);
    return true;
}

bool settle_engine(const struct dispatch *d, struct engine *engine, bool alone, struct diag *diag)
{
    g_autoptr(GError) error = NULL;
    const struct backend *backend = strcmp(engine->kind, RUNNER_LOCAL) ? NULL : backend_find(engine->backend, NULL);
    if (!backend || start_check(backend, d->start_ns, &error))
        return true;
    bool may_leave = engine->is_default && !alone && has_adapter(engine);
    return may_leave ? elevate(d, engine, error, diag) : refuse(engine, error, alone, diag);
}
