/* SPDX-License-Identifier: MIT */
/* The rows of an adapter's options: what the schema says of them, what is read, what is refused. */
#include "engine/engine.h"

#include <math.h>
#include <string.h>

static struct engine *start(void)
{
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {LLEM_BINARY_DIR "/tests/every_option", NULL};
    struct engine *engine = engine_start(&(struct engine_options){.argv = argv, .interrupt_fd = -1}, &error);
    struct engine_identity identity;
    g_assert_no_error(error);
    g_assert_true(engine_hello(engine, 0, &identity, &error));
    engine_identity_clear(&identity);
    return engine;
}

static bool load(struct engine *engine, const char *options, struct engine_loaded *ret, GError **error)
{
    g_autofree char *text = g_strdup_printf("{\"options\": {%s}}", options);
    g_autoptr(json_t) config = jsonx_parse(text, -1, "config", error);
    g_assert_nonnull(config);
    return engine_load(engine, config, false, 0, ret, error);
}

static const struct {
    const char *name;
    enum backend_reported_type type;
    double min, max;
    size_t n_choices;
    const char *unit, *initial;
} rows[] = {
    {"cache.blocks", REPORTED_INTEGER, 1, 64, 0, "blocks", "null"},
    {"cache.share", REPORTED_NUMBER, 0, 1, 0, NULL, "0.5"},
    {"steps", REPORTED_NUMBERS, 0, INFINITY, 0, "ms", "1"},
    {"sink", REPORTED_BOOLEAN, -INFINITY, INFINITY, 0, NULL, "false"},
    {"kind", REPORTED_STRING, -INFINITY, INFINITY, 2, NULL, "\"fast\""},
    {"name", REPORTED_STRING, -INFINITY, INFINITY, 0, NULL, "null"},
    {"list", REPORTED_LIST, -INFINITY, INFINITY, 0, NULL, "[]"},
    {"mapping", REPORTED_MAPPING, -INFINITY, INFINITY, 0, NULL, "{}"},
    {"any", REPORTED_ANY, -INFINITY, INFINITY, 0, NULL, "null"},
};

static void test_schema(void)
{
    g_autoptr(GError) error = NULL;
    struct engine *engine = start();
    struct engine_schema schema;
    engine_schema(engine, 0, &schema, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(schema.n, ==, G_N_ELEMENTS(rows));
    for (size_t i = 0; i < schema.n; i++) {
        const struct backend_reported *o = &schema.options[i];
        g_autofree char *initial = jsonx_dump(o->initial, JSONX_COMPACT);
        g_assert_cmpstr(o->name, ==, rows[i].name);
        g_assert_cmpstr(backend_reported_type_name(o->type), ==, backend_reported_type_name(rows[i].type));
        g_assert_cmpfloat(o->min, ==, rows[i].min);
        g_assert_cmpfloat(o->max, ==, rows[i].max);
        g_assert_cmpuint(json_array_size(o->choices), ==, rows[i].n_choices);
        g_assert_cmpstr(o->unit, ==, rows[i].unit);
        g_assert_cmpstr(initial, ==, rows[i].initial);
        g_assert_nonnull(o->help);
    }
    engine_schema_clear(&schema);
    engine_free(engine);
}

/* Dotted names come nested; null is as if nothing stood there; a default of null leaves the member alone. */
static void test_read(void)
{
    static const struct {
        const char *options, *read;
    } cases[] = {
        {"", "blocks -1, share 0.5, last of 1 steps 1, sink 0, kind 7, name none, list 0, mapping 0, any none"},
        {"\"cache\": {\"blocks\": 64}, \"steps\": [1, 2, 2.5], \"sink\": true, \"kind\": \"slow\"",
         "blocks 64, share 0.5, last of 3 steps 2.5, sink 1, kind 9, name none, list 0, mapping 0, any none"},
        {"\"cache\": {\"blocks\": null, \"share\": 1}, \"kind\": null, \"name\": \"x\"",
         "blocks -1, share 1, last of 1 steps 1, sink 0, kind 7, name x, list 0, mapping 0, any none"},
        {"\"list\": [1], \"mapping\": {\"a.b\": 1, \"c\": {}}, \"any\": [2]",
         "blocks -1, share 0.5, last of 1 steps 1, sink 0, kind 7, name none, list 1, mapping 2, any a list"},
    };
    struct engine *engine = start();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct engine_loaded loaded;
        g_test_message("%s", cases[i].options);
        load(engine, cases[i].options, &loaded, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(json_string_value(json_object_get(loaded.resolved, "read")), ==, cases[i].read);
        g_assert_cmpfloat(json_number_value(jsonx_at(loaded.resolved, "cache.share")), >, 0);
        engine_loaded_clear(&loaded);
    }
    engine_free(engine);
}

static void test_refused(void)
{
    static const struct {
        const char *options, *class, *says;
    } cases[] = {
        {"\"cache\": {\"blocks\": 0}", "BadValue", "option 'cache.blocks' must lie between 1 and 64, not 0"},
        {"\"cache\": {\"blocks\": 2.0}", "BadValue", "option 'cache.blocks' must be an integer, not a number"},
        {"\"cache\": {\"block\": 2}", "UnknownKey", "there is no 'cache.block'"},
        {"\"cache.blocks\": 2", "UnknownKey", "there is no 'cache.blocks'"},
        {"\"cache\": 2", "UnknownKey", "there is no 'cache'"},
        {"\"cach\": {\"blocks\": 2}, \"sinc\": 1", "UnknownKey", "there is no 'cach', 'sinc'"},
        {"\"steps\": -1", "BadValue", "option 'steps' must be at least 0, not -1"},
        {"\"steps\": [1, -2]", "BadValue", "option 'steps' must be at least 0, not -2"},
        {"\"steps\": []", "BadValue", "option 'steps' must be a number or a list of numbers"},
        {"\"steps\": [1, \"2\"]", "BadValue", "option 'steps' must be a number or a list of numbers"},
        {"\"sink\": 1", "BadValue", "option 'sink' must be a boolean"},
        {"\"kind\": \"medium\"", "BadValue", "option 'kind': 'medium' is none of fast, slow"},
        {"\"name\": 5", "BadValue", "option 'name' must be a string"},
        {"\"list\": {}", "BadValue", "option 'list' must be a list"},
        {"\"mapping\": []", "BadValue", "option 'mapping' must be a mapping"},
    };
    struct engine *engine = start();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct engine_loaded loaded;
        g_assert_false(load(engine, cases[i].options, &loaded, &error));
        g_assert_cmpstr(engine_last_failure(engine)->engine_class, ==, cases[i].class);
        if (!strstr(error->message, cases[i].says))
            g_error("'%s' does not say '%s'", error->message, cases[i].says);
    }
    engine_free(engine);
}

/* The suite's case tries every option, the nested ones too. */
static void note_case(const struct engine_check_case *row, enum engine_check_status status, const char *message,
                      void *data)
{
    g_test_message("%s: %s", row->name, message ? message : "");
    *(bool *)data = status == ENGINE_CHECK_PASS;
}

static void test_suite(void)
{
    static const char *const names[] = {"schema", "unknown-keys", "bad-value"};
    const char *const argv[] = {LLEM_BINARY_DIR "/tests/every_option", NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        bool passed = false;
        engine_check(&(struct engine_check_options){.argv = argv, .only = names[i]}, note_case, &passed);
        g_assert_true(passed);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/schema", test_schema);
    g_test_add_func("/options/read", test_read);
    g_test_add_func("/options/refused", test_refused);
    g_test_add_func("/options/suite", test_suite);
    return g_test_run();
}
