/* SPDX-License-Identifier: MIT */
#include "dispatch/internal.h"

#include "container/container.h"

#include <string.h>

#define START_NS (60 * NS_PER_S)

static void engine_free_all(void *data)
{
    struct engine *engine = data;
    runner_free(engine->runner);
    json_decref(engine->settings);
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
    d->host_cuda = options->host_cuda;
    d->start_ns = options->start_ns ? options->start_ns : START_NS;
    d->engines = g_ptr_array_new_with_free_func(engine_free_all);
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

/* --- Choosing ------------------------------------------------------------------------------------------------------- */

static struct diag_span span_of(const struct diag_span *at)
{
    return at ? *at : (struct diag_span){0};
}

/* What is written of the runner of an engine; NULL: nothing. A study that is gone on with was read elsewhere, and the
 * environment is that of here. *ret_origin: a new string. */
static const char *written_choice(const struct config *config, const char *backend, char **ret_origin)
{
    g_autofree char *path = config_runner_path(backend, "use"), *variable = config_runner_variable(backend);
    const char *text = json_string_value(config_value_at(config, path));
    const char *here = config_rows(config) ? NULL : g_getenv(variable);
    if (here && *here) {
        *ret_origin = g_strdup_printf("environment %s", variable);
        return here;
    }
    *ret_origin = text ? config_origin_at(config, path) : NULL;
    return text;
}

/* Takes apart what is written; false after an error in diag. */
static bool read_choice(struct engine *engine, const char *text, struct diag *diag)
{
    g_autofree char *why = NULL;
    if (config_runner_parse(text, &engine->kind, &engine->image, &why))
        return true;
    diag_add(diag, DIAG_ERROR, place_of(&engine->at), "%s: '%s' is no runner%s%s", engine->backend, text,
             why ? ": " : "", why ? why : "");
    return false;
}

/* What would undo what llem promises of a container. */
static bool check_arguments(const struct engine *engine, const struct config *config, struct diag *diag)
{
    g_autofree char *path = config_runner_path(engine->backend, "arguments");
    const json_t *list = settings_value(engine, "arguments"), *argument;
    bool ok = true;
    size_t i;
    json_array_foreach (list, i, argument) {
        const char *text = json_string_value(argument);
        bool local = !strcmp(engine->kind, RUNNER_LOCAL);
        const char *problem = local ? NULL : container_argument_problem(engine->kind, text);
        if (problem)
            diag_add(diag, DIAG_ERROR, config_place_at(config, path), "%s: %s: %s", path, text, problem);
        ok = ok && !problem;
    }
    return ok;
}

/* What names the Python of an image says nothing of one on this machine. What the user's file says of containers stays,
 * whatever one study does. */
static bool check_python(const struct engine *engine, const struct config *config, struct diag *diag)
{
    g_autofree char *path = config_runner_path(engine->backend, "python"), *user = config_user_file();
    const struct diag_span *at = config_place_at(config, path);
    if (!at || strcmp(engine->kind, RUNNER_LOCAL) != 0 || !g_strcmp0(at->source, user))
        return true;
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(engine->backend, &error);
    const struct backend_python *python = backend ? backend_python(backend) : NULL;
    diag_add(diag, DIAG_ERROR, at, "%s is the Python of an image, and %s runs on this machine, without one", path,
             engine->backend);
    if (python)
        diag_hint(diag, "the Python here is named in %s; an image by  runners: {%s: docker:IMAGE}", python->variable,
                  engine->backend);
    return false;
}

/* A container without an image gets the published one of its engine. */
static bool check_image(const struct dispatch *d, struct engine *engine, struct diag *diag)
{
    g_autoptr(GError) error = NULL;
    if (!strcmp(engine->kind, RUNNER_LOCAL) || engine->image || settings_find_image(d, engine, &error))
        return true;
    diag_add(diag, DIAG_ERROR, place_of(&engine->at), "runners.%s: %s", engine->backend, error->message);
    diag_hint(diag, "for example  runners: {%s: %s:IMAGE}", engine->backend, engine->kind);
    return false;
}

static bool decide(struct dispatch *d, struct engine *engine, const struct config *config, struct diag *diag)
{
    g_autofree char *path = config_runner_path(engine->backend, "use"), *origin = NULL;
    g_autofree char *section = g_strdup_printf("runners.%s", engine->backend);
    const char *text = written_choice(config, engine->backend, &origin);
    g_autofree char *engine_origin = config_origin_at(config, "backend");
    g_autoptr(json_t) tree = config_tree(config);
    g_autoptr(GError) error = NULL;
    engine->settings = json_incref(jsonx_at(tree, section));
    engine->is_default = !text;
    engine->is_unwritten = !g_strcmp0(engine_origin, "default");
    engine->at = text ? span_of(config_place_at(config, path)) : (struct diag_span){0};
    /* A file that names no engine is told where its model stands. */
    const struct diag_span *at = config_place(config, FIELD_BACKEND);
    engine->engine_at = span_of(at ? at : config_place(config, FIELD_MODEL));
    const char *python = settings_text(engine, "python");
    engine->python = g_strdup(python ? python : "python3");
    if (!read_choice(engine, text ? text : RUNNER_LOCAL, diag) || !check_arguments(engine, config, diag) ||
        !check_python(engine, config, diag) || !check_image(d, engine, diag))
        return false;
    if (settings_make_runner(d, engine, origin ? origin : "default", &error))
        return true;
    diag_add(diag, DIAG_ERROR, place_of(&engine->at), "%s: %s", section, error->message);
    return false;
}

bool dispatch_add(struct dispatch *d, const struct config *config, struct diag *diag)
{
    const char *backend = config_string(config, FIELD_BACKEND);
    if (d->only || dispatch_choice_of(d, backend))
        return true;
    struct engine *engine = g_new0(struct engine, 1);
    engine->backend = g_strdup(backend);
    if (!decide(d, engine, config, diag)) {
        engine_free_all(engine);
        return false;
    }
    g_ptr_array_add(d->engines, engine);
    return true;
}

/* --- All engines of a study ------------------------------------------------------------------------------------------ */

/* True if every cell is of the same engine. */
static bool has_one_engine(const struct plan *plan)
{
    const char *field = "backend";
    for (size_t k = 0; k < plan_axes(plan); k++)
        if (!strcmp(plan_axis_path(plan, k), field))
            return false;
    return true;
}

bool dispatch_add_plan(struct dispatch *d, const struct plan *plan, struct diag *diag)
{
    bool ok = true;
    size_t n = has_one_engine(plan) ? MIN(plan_cells(plan), 1) : plan_cells(plan);
    for (size_t i = 0; i < n && ok; i++) {
        g_autoptr(owned_config) config = plan_cell_config(plan, i);
        ok = dispatch_add(d, config, diag);
    }
    return ok;
}

bool dispatch_add_store(struct dispatch *d, const struct store *store, struct diag *diag)
{
    bool ok = true;
    for (size_t i = 0; i < store_cells(store) && ok; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(owned_config) config = store_cell_config(store, i, &error);
        if (!config)
            diag_add(diag, DIAG_ERROR, NULL, "%s", error->message);
        ok = config && dispatch_add(d, config, diag);
    }
    return ok;
}

bool dispatch_settle(struct dispatch *d, struct diag *diag)
{
    bool ok = true;
    for (guint i = 0; i < d->engines->len; i++)
        ok = settle_engine(d, d->engines->pdata[i], d->engines->len == 1, diag) && ok;
    return ok;
}

/* What to do where a published image is not there. */
static void add_remedy(const struct engine *engine, GError **error)
{
    const struct backend *backend = engine->image ? backend_find(engine->backend, NULL) : NULL;
    g_autofree char *remedy = backend && backend_image(backend) ? backend_image_remedy(backend, engine->image) : NULL;
    bool missing = g_error_matches(*error, LLEM_ERROR, LLEM_ERROR_IMAGE_MISSING) ||
                   g_error_matches(*error, LLEM_ERROR, LLEM_ERROR_IMAGE_PULL);
    if (!remedy || !missing)
        return;
    GError *with = g_error_new(LLEM_ERROR, (*error)->code, "%s; %s", (*error)->message, remedy);
    g_clear_error(error);
    *error = with;
}

bool dispatch_prepare(const struct dispatch *d, int interrupt_fd, runner_say_fn *say, void *data, GError **error)
{
    for (guint i = 0; i < d->engines->len; i++) {
        const struct engine *engine = d->engines->pdata[i];
        GError *why = NULL;
        if (runner_prepare(engine->runner, interrupt_fd, say, data, &why))
            continue;
        add_remedy(engine, &why);
        g_propagate_prefixed_error(error, why, "%s: ", engine->backend);
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
