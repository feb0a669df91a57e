/* SPDX-License-Identifier: MIT */
/* What the configuration says of the runs of an engine (runners.ENGINE), and its descriptor, become a runner. */
#include "dispatch/internal.h"

#include "container/container.h"

#include <string.h>

const struct diag_span *place_of(const struct diag_span *at)
{
    return at->source ? at : NULL;
}

const json_t *settings_value(const struct engine *engine, const char *name)
{
    return json_object_get(engine->settings, name);
}

const char *settings_text(const struct engine *engine, const char *name)
{
    return json_string_value(settings_value(engine, name));
}

/* A list of texts, borrowed from the settings. New vector, or NULL. */
static const char **list_of(const struct engine *engine, const char *name)
{
    const json_t *list = settings_value(engine, name);
    size_t n = json_array_size(list);
    const char **texts = n ? g_new0(const char *, n + 1) : NULL;
    for (size_t i = 0; i < n; i++)
        texts[i] = json_string_value(json_array_get(list, i));
    return texts;
}

static int64_t size_of(const struct engine *engine, const char *name)
{
    const char *text = settings_text(engine, name);
    int64_t bytes;
    return text && config_size_parse(text, &bytes) ? bytes : 0;
}

/* --- Images --------------------------------------------------------------------------------------------------------- */

bool settings_find_image(const struct dispatch *d, struct engine *engine, GError **error)
{
    const struct backend *backend = backend_find(engine->backend, error);
    if (!backend)
        return false;
    int cuda = backend_image(backend) && d->host_cuda ? d->host_cuda() : 0;
    const struct backend_build *build = backend_image_for(backend, cuda, error);
    if (build)
        engine->image = backend_image_name(backend, build);
    return build != NULL;
}

char *dispatch_image_id(const struct backend *backend, const char *use, const char *client, int (*host_cuda)(void))
{
    g_autofree char *kind = NULL, *image = NULL, *why = NULL;
    if (!config_runner_parse(use, &kind, &image, &why) || !strcmp(kind, RUNNER_LOCAL))
        return NULL;
    const struct backend_build *build = NULL;
    if (!image && backend_image(backend))
        build = backend_image_for(backend, host_cuda ? host_cuda() : 0, NULL);
    if (build)
        image = backend_image_name(backend, build);
    g_autoptr(owned_container_client) made = image ? container_client_new(client ? client : kind, NULL) : NULL;
    struct container_image seen = {0};
    char *id = made && container_image_inspect(made, image, -1, &seen, NULL) ? g_strdup(seen.id) : NULL;
    container_image_clear(&seen);
    return id;
}

/* --- Runners -------------------------------------------------------------------------------------------------------- */

static struct runner *make_contained(const struct dispatch *d, const struct engine *engine, const char *source,
                                     GError **error)
{
    const struct backend *backend = backend_find(engine->backend, error);
    if (!backend)
        return NULL;
    g_autofree const char **mounts = list_of(engine, "mounts"), **environment = list_of(engine, "environment");
    g_autofree const char **secrets = list_of(engine, "secrets"), **ulimits = list_of(engine, "ulimits");
    g_autofree const char **arguments = list_of(engine, "arguments");
    const json_t *cpus = settings_value(engine, "cpus");
    char number[64] = "";
    if (cpus)
        jsonx_format_real(json_number_value(cpus), number);
    struct runner_container container = {.client = settings_text(engine, "client"),
                                         .image = engine->image,
                                         .pull = settings_text(engine, "pull"),
                                         .shm_bytes = size_of(engine, "shm_size"),
                                         .mounts = mounts,
                                         .environment = environment,
                                         .secrets = secrets,
                                         .ulimits = ulimits,
                                         .arguments = arguments,
                                         .ipc = settings_text(engine, "ipc"),
                                         .network = settings_text(engine, "network"),
                                         .memory = settings_text(engine, "memory"),
                                         .cpus = cpus ? number : NULL,
                                         .engine = engine->backend,
                                         .engine_folder = backend_folder(backend),
                                         .files = backend_files(backend),
                                         .caches = backend_caches(backend),
                                         .record_env = backend_record_env(backend),
                                         .study = d->study};
    return runner_new(&(struct runner_options){.name = engine->kind,
                                               .source = source,
                                               .worker_path = d->worker_path,
                                               .container = &container},
                      error);
}

bool settings_make_runner(const struct dispatch *d, struct engine *engine, const char *source, GError **error)
{
    const char *kept = g_intern_string(source);
    const struct runner_options here = {.name = RUNNER_LOCAL, .source = kept, .worker_path = d->worker_path};
    struct runner *made = strcmp(engine->kind, RUNNER_LOCAL) ? make_contained(d, engine, kept, error)
                                                             : runner_new(&here, error);
    if (!made)
        return false;
    runner_free(engine->runner);
    engine->runner = made;
    engine->choice = (struct dispatch_choice){.backend = engine->backend,
                                              .runner = made,
                                              .image = engine->image,
                                              .source = kept,
                                              .at = engine->at,
                                              .python = engine->python};
    return true;
}
