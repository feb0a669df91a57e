/* SPDX-License-Identifier: MIT */
#include "engine/check_suite.h"

#include <string.h>

/* --- Words ------------------------------------------------------------------------------------------------------ */

enum engine_check_status suite_say(struct suite *s, enum engine_check_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(s->message);
    s->message = g_strdup_vprintf(format, args);
    va_end(args);
    return status;
}

enum engine_check_status suite_fail_with(struct suite *s, const GError *error)
{
    return suite_say(s, ENGINE_CHECK_FAIL, "%s", error->message);
}

enum engine_check_status suite_unless_unsupported(struct suite *s, const GError *error)
{
    const struct engine_failure *f = engine_last_failure(s->engine);
    bool unsupported = !g_strcmp0(f->engine_class, "NotSupported");
    return unsupported ? suite_say(s, ENGINE_CHECK_SKIP, "%s", f->engine_message) : suite_fail_with(s, error);
}

/* --- A process for the case ------------------------------------------------------------------------------------- */

int64_t suite_patience(const struct suite *s, int64_t otherwise_s)
{
    return clock_mono_ns() + (s->options->patience_ns ? s->options->patience_ns : otherwise_s * NS_PER_S);
}

int64_t suite_soon(const struct suite *s)
{
    return suite_patience(s, 30);
}

void suite_drop_engine(struct suite *s)
{
    g_clear_pointer(&s->engine, engine_free);
    s->greeted = s->loaded = false;
}

bool suite_start(struct suite *s, GError **error)
{
    if (s->engine && !s->engine->broken && !s->engine->abandoned_id && !process_ended(s->engine, 0))
        return true;
    suite_drop_engine(s);
    const struct engine_options start = {
        .argv = s->options->argv,
        .env = s->options->backend ? backend_env(s->options->backend) : NULL,
        .interrupt_fd = -1,
    };
    s->engine = engine_start(&start, error);
    return s->engine != NULL;
}

bool suite_greet(struct suite *s, GError **error)
{
    struct engine_identity identity;
    if (!suite_start(s, error))
        return false;
    if (s->greeted)
        return true;
    s->greeted = engine_hello(s->engine, suite_patience(s, 120), &identity, error);
    if (!s->greeted)
        return false;
    g_free(s->engine_version);
    s->engine_version = g_strdup(identity.engine_version);
    engine_identity_clear(&identity);
    return true;
}

/* Sets in `to` what llem sends of an option that nobody wrote. One with conditions is left out: they may not hold. */
static void set_default(json_t *to, const struct backend_option *row)
{
    json_t *value = row->initial && row->n_when == 0 ? jsonx_parse(row->initial, -1, row->name, NULL) : NULL;
    if (value)
        jsonx_set_at(to, row->name, value);
}

static void merge(json_t *into, const json_t *from)
{
    const char *key;
    json_t *value;
    jsonx_foreach(from, key, value) {
        if (json_is_object(value) && json_is_object(json_object_get(into, key)))
            merge(json_object_get(into, key), value);
        else
            json_object_set_new(into, key, json_deep_copy(value));
    }
}

/* What llem would send: the defaults of engine.json, then what was asked for. */
static json_t *load_options(const struct suite *s)
{
    json_t *options = json_object();
    const struct backend_option *rows = NULL;
    size_t n = s->options->backend ? backend_options(s->options->backend, &rows) : 0;
    for (size_t i = 0; i < n; i++)
        if (backend_option_is_in(&rows[i], s->engine_version))
            set_default(options, &rows[i]);
    merge(options, s->options->options);
    return options;
}

json_t *suite_load_config(const struct suite *s)
{
    json_t *config = json_object();
    json_object_set_new(config, "model", json_string("conformance"));
    if (s->options->model_path)
        json_object_set_new(config, "model_path", json_string(s->options->model_path));
    if (s->options->precision)
        json_object_set_new(config, "precision", json_string(s->options->precision));
    json_object_set_new(config, "max_input_tokens", json_integer(MAX_IN_TOKENS));
    json_object_set_new(config, "max_output_tokens", json_integer(MAX_OUT_TOKENS));
    json_object_set_new(config, "random_seed", json_integer(42));
    json_object_set_new(config, "options", load_options(s));
    return config;
}

bool suite_load_with(struct suite *s, const json_t *config, struct engine_loaded *ret, GError **error)
{
    s->loaded = false;
    return engine_load(s->engine, config, true, suite_patience(s, 120), ret, error);
}

bool suite_load(struct suite *s, GError **error)
{
    if (s->load_failed) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_ENGINE, "a load did not work before");
        return false;
    }
    if (!suite_greet(s, error))
        return false;
    if (s->loaded)
        return true;
    g_autoptr(json_t) config = suite_load_config(s);
    struct engine_loaded loaded;
    s->loaded = suite_load_with(s, config, &loaded, error);
    if (s->loaded) {
        s->prefix_cache = loaded.prefix_cache;
        s->batch = loaded.batch;
        s->in_flight = loaded.in_flight;
        engine_loaded_clear(&loaded);
    }
    s->load_failed = !s->loaded;
    return s->loaded;
}

enum engine_check_status suite_needs(struct suite *s, const char *what, const GError *error)
{
    return suite_say(s, ENGINE_CHECK_SKIP, "needs %s: %s", what, error->message);
}

/* --- Pieces of cases -------------------------------------------------------------------------------------------- */

enum engine_check_status suite_refused(struct suite *s, bool accepted, const GError *error, const char *what,
                                       const char *error_class, const char *names)
{
    if (accepted)
        return suite_say(s, ENGINE_CHECK_FAIL, "%s was accepted", what);
    if (!g_error_matches(error, LLEM_ERROR, LLEM_ERROR_ENGINE))
        return suite_fail_with(s, error);
    const struct engine_failure *f = engine_last_failure(s->engine);
    if (names && !strstr(f->engine_message, names))
        return suite_say(s, ENGINE_CHECK_FAIL, "%s was refused without naming '%s': %s", what, names,
                         f->engine_message);
    if (error_class && g_strcmp0(f->engine_class, error_class))
        return suite_say(s, ENGINE_CHECK_FAIL, "%s was refused with the class %s, not %s: %s", what, f->engine_class,
                         error_class, f->engine_message);
    return PASS;
}

/* The ids of a prompt: the tokenizer's when the case of it has passed, else small ones every vocabulary has. */
static const struct engine_tokens *prompt_tokens(const struct suite *s)
{
    static int32_t small[] = {5, 6, 7, 8, 9, 10, 11, 12};
    static const struct engine_tokens otherwise = {small, G_N_ELEMENTS(small)};
    return s->tokens && s->tokens->n >= 4 ? s->tokens : &otherwise;
}

bool suite_prepare(struct suite *s, size_t n, int64_t max_tokens, int64_t *ret_batch, GError **error)
{
    const struct engine_tokens *tokens = prompt_tokens(s);
    g_autofree struct engine_prompt *prompts = g_new0(struct engine_prompt, n);
    g_auto(GStrv) ids = g_new0(char *, n + 1);
    *ret_batch = ++s->next_batch;
    for (size_t i = 0; i < n; i++) {
        ids[i] = g_strdup_printf("request-%" G_GINT64_FORMAT "-%zu", *ret_batch, i);
        prompts[i] = (struct engine_prompt){ids[i], tokens->ids, MIN(tokens->n, MAX_IN_TOKENS) - i,
                                            max_tokens + (int64_t)i, true};
    }
    return engine_prepare(s->engine, *ret_batch, prompts, n, suite_soon(s), NULL, error);
}

bool suite_generate(struct suite *s, int64_t batch, struct engine_generation *g, GError **error)
{
    return engine_generate_all(s->engine, &batch, 1, suite_patience(s, 120), g, error);
}

bool suite_generate_one(struct suite *s, int64_t max_tokens, struct engine_generation *g, GError **error)
{
    int64_t batch;
    return suite_prepare(s, 1, max_tokens, &batch, error) && suite_generate(s, batch, g, error);
}

bool suite_start_long(struct suite *s, enum engine_check_status *ret_status)
{
    struct engine_generation g;
    int64_t batch;
    g_autoptr(GError) error = NULL;
    if (!suite_prepare(s, 1, MAX_OUT_TOKENS, &batch, &error)) {
        *ret_status = suite_fail_with(s, error);
        return false;
    }
    if (engine_generate_all(s->engine, &batch, 1, clock_mono_ns() + BUSY_NS, &g, &error)) {
        engine_generation_clear(&g);
        *ret_status = suite_say(s, ENGINE_CHECK_SKIP, "%d tokens were out before the generation could be disturbed",
                                MAX_OUT_TOKENS);
        return false;
    }
    if (g_error_matches(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT))
        return true;
    *ret_status = suite_fail_with(s, error);
    return false;
}

enum engine_check_status suite_still_works(struct suite *s)
{
    struct engine_generation g;
    g_autoptr(GError) error = NULL;
    if (!suite_generate_one(s, FEW_TOKENS, &g, &error))
        return suite_say(s, ENGINE_CHECK_FAIL, "afterwards the engine does not work any more: %s", error->message);
    engine_generation_clear(&g);
    return PASS;
}
