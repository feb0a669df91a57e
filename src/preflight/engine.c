/* SPDX-License-Identifier: MIT */
/* Checks of engines and models: what their descriptors say of them. */
#include "preflight/place.h"

#include "engine/engine.h"

#include <sched.h>
#include <string.h>

/* --- Adapters -------------------------------------------------------------------------------------------------------- */

/* The backend of a cell; of the machine the nth there is. */
static char *backend_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    if (config)
        return nth == 0 ? g_strdup(config_string(config, FIELD_BACKEND)) : NULL;
    g_auto(GStrv) names = backend_names();
    return nth < g_strv_length(names) ? g_strdup(names[nth]) : NULL;
}

static void probe_adapter(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(q->about, &error);
    bool elsewhere = place_container(q->preflight, q->config) != NULL;
    g_auto(GStrv) argv = !backend    ? NULL
                         : elsewhere ? backend_command_elsewhere(backend, "python3", &error)
                                     : backend_command(backend, &error);
    if (argv) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s", backend_program(backend, (const char *const *)argv));
        return;
    }
    const struct diag_span *at = q->config ? config_place(q->config, FIELD_BACKEND) : NULL;
    preflight_find(ret, q->config ? PREFLIGHT_LACKS : PREFLIGHT_ABSENT, at, "%s", error->message);
    if (q->config && !at)
        ret->hint = g_strdup_printf(
            "the file names no backend, so it is %s; `llem engine list` shows those that are here", q->about);
}

static char *any_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    return !config && nth == 0 ? g_strdup("any") : NULL;
}

static void probe_any(const struct preflight_question *q, struct preflight_finding *ret)
{
    (void)q;
    g_autoptr(GString) here = g_string_new(NULL);
    g_auto(GStrv) names = backend_names();
    for (char **name = names; *name; name++) {
        const struct backend *backend = backend_find(*name, NULL);
        g_auto(GStrv) argv = backend ? backend_command(backend, NULL) : NULL;
        if (argv && backend_check_python(backend, NULL))
            g_string_append_printf(here, "%s%s", here->len ? ", " : "", *name);
    }
    if (here->len)
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s", here->str);
    else
        preflight_find(ret, PREFLIGHT_FAILS, NULL, "no engine can be run here");
}

/* An engine whose program is there; what is in an image is asked there. */
static char *start_key(struct preflight *p, const struct config *config, size_t nth)
{
    if (place_container(p, config))
        return NULL;
    g_autofree char *name = backend_key(p, config, nth);
    const struct backend *backend = name ? backend_find(name, NULL) : NULL;
    g_auto(GStrv) argv = backend ? backend_command(backend, NULL) : NULL;
    return argv ? g_steal_pointer(&name) : name && !config ? start_key(p, config, nth + 1) : NULL;
}

static void probe_start(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(q->about, &error);
    g_auto(GStrv) argv = backend_command(backend, &error);
    const struct engine_options start = {.argv = (const char *const *)argv,
                                         .env = backend_env(backend),
                                         .interrupt_fd = preflight_interrupt_fd(q->preflight)};
    struct engine *engine = argv ? engine_start(&start, &error) : NULL;
    struct engine_identity identity;
    if (engine && engine_hello(engine, clock_mono_ns() + 60 * NS_PER_S, &identity, &error)) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s %s", identity.engine,
                       identity.engine_version ? identity.engine_version : "of an unknown version");
        engine_identity_clear(&identity);
    } else {
        preflight_find(ret, PREFLIGHT_REFUSES, q->config ? config_place(q->config, FIELD_BACKEND) : NULL, "%s",
                       error->message);
        ret->hint = g_strdup(backend_remedy(backend));
    }
    engine_free(engine);
}

/* An engine whose adapter is a Python program, where none of the user's takes its place. */
static char *python_key(struct preflight *p, const struct config *config, size_t nth)
{
    if (place_container(p, config))
        return NULL;
    g_autofree char *name = backend_key(p, config, nth);
    const struct backend *backend = name ? backend_find(name, NULL) : NULL;
    const char *instead = backend ? g_getenv(backend_variable(backend)) : NULL;
    if (backend && backend_python(backend) && !(instead && *instead))
        return g_steal_pointer(&name);
    return name && !config ? python_key(p, config, nth + 1) : NULL;
}

static void probe_python(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(q->about, NULL);
    g_autofree char *python = backend_find_python(backend, &error);
    const struct diag_span *at = q->config ? config_place(q->config, FIELD_BACKEND) : NULL;
    if (python && backend_check_python(backend, &error))
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s", python);
    else
        preflight_find(ret, q->config ? PREFLIGHT_REFUSES : PREFLIGHT_ABSENT, at, "%s", error->message);
}

/* --- The environment ------------------------------------------------------------------------------------------------- */

/* The nth variable that is set here and that the engine of a cell heeds no more. */
static const struct backend_unheeded *unheeded_of(struct preflight *p, const struct config *config, size_t nth)
{
    const struct backend *backend = config && !place_container(p, config) ? preflight_backend(config) : NULL;
    const struct backend_unheeded *rows;
    size_t n = backend ? backend_unheeded(backend, &rows) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *value = g_getenv(rows[i].name);
        if (value && *value && nth-- == 0)
            return &rows[i];
    }
    return NULL;
}

static char *environment_key(struct preflight *p, const struct config *config, size_t nth)
{
    const struct backend_unheeded *row = unheeded_of(p, config, nth);
    return row ? g_strdup_printf("%s for %s", row->name, backend_name(preflight_backend(config))) : NULL;
}

static void probe_environment(const struct preflight_question *q, struct preflight_finding *ret)
{
    const struct backend *backend = preflight_backend(q->config);
    const struct backend_unheeded *row;
    for (size_t i = 0; (row = unheeded_of(q->preflight, q->config, i)); i++) {
        if (!g_str_has_prefix(q->about, row->name) || q->about[strlen(row->name)] != ' ')
            continue;
        g_autofree char *version = row->since ? g_strdup_printf("since %s", row->since) : NULL;
        g_autofree char *engine = backend_with_version(backend, version);
        preflight_find(ret, PREFLIGHT_LACKS, NULL, "%s is set, and %s does not look at it", row->name, engine);
        ret->hint = g_strdup(row->text);
        return;
    }
}

/* --- Models ---------------------------------------------------------------------------------------------------------- */

static char *model_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    return config && nth == 0 ? preflight_model_name(config) : NULL;
}

/* The place of the field that a message begins with; else the model's. */
static const struct diag_span *place_of_message(const struct config *config, const char *message)
{
    g_autofree char *field = g_strndup(message, strcspn(message, ":"));
    const struct diag_span *at = config_place_at(config, field);
    return at ? at : config_place(config, FIELD_MODEL);
}

/* A form that has to be got first skips its cells, and a hub's name is no mistake for engines that take it. */
static void probe_model(const struct preflight_question *q, struct preflight_finding *ret)
{
    const struct preflight_model *model = preflight_model(q->preflight, q->config);
    const struct backend *backend = preflight_backend(q->config);
    if (!model->error) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s", model->path ? model->path : "the engine makes its own");
        return;
    }
    bool torn = g_error_matches(model->error, LLEM_ERROR, LLEM_ERROR_DATA); /* no engine makes a model of it */
    bool skips = !backend || (backend_model(backend)->takes != BACKEND_TAKES_GGUF && !torn) ||
                 g_error_matches(model->error, LLEM_ERROR, LLEM_ERROR_MISSING);
    const char *message = model->error->message;
    preflight_find(ret, skips ? PREFLIGHT_LACKS : PREFLIGHT_REFUSES, place_of_message(q->config, message), "%s",
                   message);
}

/* The option that sets the context of an adapter that otherwise sizes it by the longest request; NULL where it is set,
 * or the engine sizes it in another way. */
static const struct backend_option *unset_context(const struct config *config)
{
    const struct backend *backend = preflight_backend(config);
    const struct backend_context *context = backend ? backend_context(backend) : NULL;
    const struct backend_option *const *options;
    if (!context || !context->rounds_to || !backend_role(backend, ROLE_CONTEXT, &options))
        return NULL;
    return config_value_at(config, options[0]->path) ? NULL : options[0];
}

static char *length_key(struct preflight *p, const struct config *config, size_t nth)
{
    if (!config || nth > 0 || !unset_context(config) || preflight_model(p, config)->context_length == 0)
        return NULL;
    g_autofree char *model = preflight_model_name(config);
    return g_strdup_printf("%s, %" G_GINT64_FORMAT " + %" G_GINT64_FORMAT " tokens", model,
                           config_int(config, FIELD_MAX_INPUT_TOKENS), config_int(config, FIELD_MAX_OUTPUT_TOKENS));
}

/* Such an adapter refuses a context longer than the model was trained for. */
static void probe_length(const struct preflight_question *q, struct preflight_finding *ret)
{
    int64_t input = config_int(q->config, FIELD_MAX_INPUT_TOKENS),
        output = config_int(q->config, FIELD_MAX_OUTPUT_TOKENS);
    int64_t trained = preflight_model(q->preflight, q->config)->context_length;
    const struct backend_option *option = unset_context(q->config);
    if (!option || input + output - 1 <= trained) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "the model was trained for %" G_GINT64_FORMAT, trained);
        return;
    }
    preflight_find(ret, PREFLIGHT_REFUSES, config_place(q->config, FIELD_MAX_OUTPUT_TOKENS),
                   "max_input_tokens %" G_GINT64_FORMAT " and max_output_tokens %" G_GINT64_FORMAT " need %" G_GINT64_FORMAT
                   " positions; %s was trained for %" G_GINT64_FORMAT,
                   input, output, input + output - 1, config_string(q->config, FIELD_MODEL), trained);
    ret->hint = g_strdup_printf("lower one of them, or set %s to go beyond what it was trained for",
                                option->path);
}

/* --- Special tokens -------------------------------------------------------------------------------------------------- */

/* The nth switch of the role that is on, where the model's file is here: "sim.add_bos with m.gguf for sim". */
static char *special_key(struct preflight *p, const struct config *config, size_t nth)
{
    const struct backend *backend = config ? preflight_backend(config) : NULL;
    const struct backend_option *const *options;
    size_t n = backend ? backend_role(backend, ROLE_ADD_SPECIAL, &options) : 0;
    for (size_t i = 0; i < n; i++) {
        if (!json_is_true(config_value_at(config, options[i]->path)) || !preflight_model(p, config)->path || nth-- > 0)
            continue;
        g_autofree char *model = preflight_model_name(config);
        return g_strdup_printf("%s with %s", options[i]->path, model);
    }
    return NULL;
}

/* A switch that does nothing would make two cells of the same work. */
static void probe_special(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autofree char *path = g_strndup(q->about, strcspn(q->about, " "));
    if (!preflight_model(q->preflight, q->config)->adds_no_special) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "%s", path);
        return;
    }
    preflight_find(ret, PREFLIGHT_REFUSES, config_place_at(q->config, path),
                   "%s: true does nothing with %s: its file asks for no special tokens around a text", path,
                   config_string(q->config, FIELD_MODEL));
    ret->hint = g_strdup_printf("leave %s out", path);
}

/* --- Threads --------------------------------------------------------------------------------------------------------- */

/* The nth option of the role that somebody wrote: "llamacpp.n_threads 512". One without a place follows from
 * another. */
static char *threads_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    const struct backend *backend = config ? preflight_backend(config) : NULL;
    const struct backend_option *const *options;
    size_t n = backend ? backend_role(backend, ROLE_THREADS, &options) : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *value = config_value_at(config, options[i]->path);
        if (json_is_integer(value) && config_place_at(config, options[i]->path) && nth-- == 0)
            return g_strdup_printf("%s %" JSON_INTEGER_FORMAT, options[i]->path, json_integer_value(value));
    }
    return NULL;
}

/* By the affinity that the engine will inherit (taskset, a cpuset); GLib before 2.76 counts what is online. */
static int64_t processors_allowed(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int64_t)g_get_num_processors();
}

/* Threads of one step spin while they wait for each other: more of them than processors take turns at spinning. */
static void probe_threads(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autofree char *path = g_strndup(q->about, strcspn(q->about, " "));
    int64_t asked = json_integer_value(config_value_at(q->config, path)), most = processors_allowed();
    if (asked <= most) {
        preflight_find(ret, PREFLIGHT_OK, NULL, "llem may use %" G_GINT64_FORMAT " here", most);
        return;
    }
    preflight_find(ret, PREFLIGHT_LACKS, config_place_at(q->config, path),
                   "%s: %" G_GINT64_FORMAT " is more than the %" G_GINT64_FORMAT " processor%s that llem may use here", path,
                   asked, most, most == 1 ? "" : "s");
    ret->hint = g_strdup("the threads will wait for each other: the figures will be slower and scatter");
}

const struct preflight_check preflight_engine_rows[] = {
    {.id = "engine.adapter",
     .why = "cells of an engine that is not here are skipped",
     .remedy = "`llem engine list` says how to get each",
     .key = backend_key,
     .probe = probe_adapter},
    {.id = "engine.any",
     .why = "without an engine nothing can be run",
     .remedy = "`llem engine list` says how to get each",
     .key = any_key,
     .probe = probe_any},
    {.id = "engine.python",
     .why = "an adapter in Python needs an interpreter that has its engine",
     .remedy = "name the interpreter in the variable of its engine.json",
     .thorough = true,
     .key = python_key,
     .probe = probe_python},
    {.id = "engine.start",
     .why = "an adapter that does not start fails every run",
     .remedy = "`llem engine check NAME` says more",
     .thorough = true,
     .key = start_key,
     .probe = probe_start},
    {.id = "engine.environment",
     .why = "a variable that an engine no longer looks at changes nothing, whoever relies on it",
     .remedy = "write what took its place",
     .key = environment_key,
     .probe = probe_environment},
    {.id = "engine.model",
     .why = "an engine loads what the model's name comes to",
     .remedy = "`llem model list` shows the models llem knows",
     .key = model_key,
     .probe = probe_model},
    {.id = "engine.context",
     .why = "an adapter refuses more positions than the model was trained for",
     .remedy = "lower max_input_tokens or max_output_tokens",
     .key = length_key,
     .probe = probe_length},
    {.id = "engine.special",
     .why = "a switch that does nothing with this model is recorded as if it had done something",
     .remedy = "leave it out",
     .key = special_key,
     .probe = probe_special},
    {.id = "engine.threads",
     .why = "more threads than processors wait for each other",
     .remedy = "ask for fewer",
     .key = threads_key,
     .probe = probe_threads},
    {0},
};
