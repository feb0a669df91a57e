/* SPDX-License-Identifier: MIT */
#include "dispatch/dispatch.h"

#include <string.h>

/* The row of runner.c that every engine has unless something else is said. */
#define LOCAL "local"

/* An engine's choice, and what it points to. */
struct engine {
    struct dispatch_choice choice;
    struct runner *runner;
    char *backend, *kind, *image, *python;
};

struct dispatch {
    char *worker_path, *study;
    GPtrArray *engines; /* struct engine *; a choice is its first member */
    struct runner *local;
    const struct runner *only;
};

static void engine_free(void *data)
{
    struct engine *engine = data;
    runner_free(engine->runner);
    g_free(engine->backend);
    g_free(engine->kind);
    g_free(engine->image);
    g_free(engine->python);
    g_free(engine);
}

struct dispatch *dispatch_new(const struct dispatch_options *options)
{
    struct dispatch *d = g_new0(struct dispatch, 1);
    d->worker_path = g_strdup(options->worker_path);
    d->study = g_strdup(options->study);
    d->engines = g_ptr_array_new_with_free_func(engine_free);
    d->only = options->only;
    d->local = runner_new(&(struct runner_options){.worker_path = d->worker_path}, NULL);
    return d;
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    g_ptr_array_unref(d->engines);
    runner_free(d->local);
    g_free(d->worker_path);
    g_free(d->study);
    g_free(d);
}

/* --- What the configuration says of the runs of an engine --------------------------------------------------------- */

static const json_t *setting(const struct config *config, const char *name)
{
    g_autofree char *path = config_runner_path(config_string(config, FIELD_BACKEND), name);
    return config_value_at(config, path);
}

static const char *text_of(const struct config *config, const char *name)
{
    return json_string_value(setting(config, name));
}

/* A list of texts, borrowed from the configuration. New vector, or NULL. */
static const char **list_of(const struct config *config, const char *name)
{
    const json_t *list = setting(config, name);
    size_t n = json_array_size(list);
    const char **texts = n ? g_new0(const char *, n + 1) : NULL;
    for (size_t i = 0; i < n; i++)
        texts[i] = json_string_value(json_array_get(list, i));
    return texts;
}

static int64_t size_of(const struct config *config, const char *name)
{
    const char *text = text_of(config, name);
    int64_t bytes;
    return text && config_size_parse(text, &bytes) ? bytes : 0;
}

/* --- Making a runner ------------------------------------------------------------------------------------------------ */

static struct runner *make_contained(const struct dispatch *d, const struct engine *engine, const char *source,
                                     const struct config *config, GError **error)
{
    const struct backend *backend = backend_find(engine->backend, error);
    if (!backend)
        return NULL;
    g_autofree const char **mounts = list_of(config, "mounts"), **environment = list_of(config, "environment");
    g_autofree const char **secrets = list_of(config, "secrets"), **ulimits = list_of(config, "ulimits");
    g_autofree const char **arguments = list_of(config, "arguments");
    const json_t *cpus = setting(config, "cpus");
    char number[64] = "";
    if (cpus)
        jsonx_format_real(json_number_value(cpus), number);
    struct runner_container container = {.client = text_of(config, "client"),
                                         .image = engine->image,
                                         .pull = text_of(config, "pull"),
                                         .shm_bytes = size_of(config, "shm_size"),
                                         .mounts = mounts,
                                         .environment = environment,
                                         .secrets = secrets,
                                         .ulimits = ulimits,
                                         .arguments = arguments,
                                         .ipc = text_of(config, "ipc"),
                                         .network = text_of(config, "network"),
                                         .memory = text_of(config, "memory"),
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

static struct runner *make_runner(const struct dispatch *d, const struct engine *engine, const char *source,
                                  const struct config *config, GError **error)
{
    if (strcmp(engine->kind, LOCAL) != 0)
        return make_contained(d, engine, source, config, error);
    return runner_new(&(struct runner_options){.name = LOCAL, .source = source, .worker_path = d->worker_path}, error);
}

/* Takes apart what is written; false after an error in diag. */
static bool read_choice(struct engine *engine, const char *text, const struct diag_span *at, struct diag *diag)
{
    g_autofree char *why = NULL;
    if (!config_runner_parse(text, &engine->kind, &engine->image, &why)) {
        diag_add(diag, DIAG_ERROR, at, "%s: '%s' is no runner%s%s", engine->backend, text, why ? ": " : "",
                 why ? why : "");
        return false;
    }
    if (strcmp(engine->kind, LOCAL) == 0 || engine->image)
        return true;
    diag_add(diag, DIAG_ERROR, at, "no image is known for the runs of %s", engine->backend);
    diag_hint(diag, "write  %s:IMAGE", engine->kind);
    return false;
}

static bool decide(struct dispatch *d, struct engine *engine, const struct config *config, struct diag *diag)
{
    g_autofree char *path = config_runner_path(engine->backend, "use");
    const char *text = text_of(config, "use"), *python = text_of(config, "python");
    const struct diag_span *at = text ? config_place_at(config, path) : NULL;
    g_autofree char *origin = text ? config_origin_at(config, path) : g_strdup("default");
    g_autoptr(GError) error = NULL;
    if (!read_choice(engine, text ? text : LOCAL, at, diag))
        return false;
    engine->python = g_strdup(python ? python : "python3");
    const char *source = g_intern_string(origin ? origin : "default");
    engine->runner = make_runner(d, engine, source, config, &error);
    if (!engine->runner) {
        diag_add(diag, DIAG_ERROR, at, "%s: %s", path, error->message);
        return false;
    }
    engine->choice = (struct dispatch_choice){.backend = engine->backend,
                                              .runner = engine->runner,
                                              .image = engine->image,
                                              .source = source,
                                              .at = at ? *at : (struct diag_span){0},
                                              .python = engine->python};
    return true;
}

bool dispatch_add(struct dispatch *d, const struct config *config, struct diag *diag)
{
    const char *backend = config_string(config, FIELD_BACKEND);
    if (d->only || dispatch_choice_of(d, backend))
        return true;
    struct engine *engine = g_new0(struct engine, 1);
    engine->backend = g_strdup(backend);
    if (!decide(d, engine, config, diag)) {
        engine_free(engine);
        return false;
    }
    g_ptr_array_add(d->engines, engine);
    return true;
}

bool dispatch_prepare(const struct dispatch *d, int interrupt_fd, runner_say_fn *say, void *data, GError **error)
{
    for (guint i = 0; i < d->engines->len; i++) {
        const struct engine *engine = d->engines->pdata[i];
        if (runner_prepare(engine->runner, interrupt_fd, say, data, error))
            continue;
        g_prefix_error(error, "%s: ", engine->backend);
        return false;
    }
    return true;
}

/* --- Asking --------------------------------------------------------------------------------------------------------- */

size_t dispatch_choices(const struct dispatch *d, const struct dispatch_choice *const **ret)
{
    *ret = (const struct dispatch_choice *const *)d->engines->pdata;
    return d->engines->len;
}

const struct dispatch_choice *dispatch_choice_of(const struct dispatch *d, const char *backend)
{
    for (guint i = 0; i < d->engines->len; i++) {
        const struct engine *engine = d->engines->pdata[i];
        if (!strcmp(engine->backend, backend))
            return &engine->choice;
    }
    return NULL;
}

const struct runner *dispatch_runner(const struct dispatch *d, const char *backend)
{
    const struct dispatch_choice *choice = d->only ? NULL : dispatch_choice_of(d, backend);
    if (d->only)
        return d->only;
    return choice ? choice->runner : NULL;
}

const struct runner *dispatch_local(const struct dispatch *d)
{
    return d->local;
}

int dispatch_max_in_flight(const struct dispatch *d)
{
    int most = d->only ? d->only->max_in_flight : 0;
    for (guint i = 0; i < d->engines->len; i++) {
        const struct engine *engine = d->engines->pdata[i];
        most = most ? MIN(most, engine->runner->max_in_flight) : engine->runner->max_in_flight;
    }
    return MAX(most, 1);
}
