/* SPDX-License-Identifier: MIT */
/* engine.json against the adapter it speaks of: what agrees passes, each difference is named with both statements. */
#include "engine/engine.h"

#include "backend/backend.h"

#include <string.h>

static const char descriptor[] =
    "{\"format\": 1, \"name\": \"every\", \"summary\": \"all types\", \"protocol\": 1, \"hash_version\": 1,\n"
    " \"remedy\": \"build it\", \"command\": [\"every_option\"], \"model\": {\"takes\": \"none\"},\n"
    " \"roles\": {\"in_flight\": \"cache.blocks\"},\n"
    " \"owned\": [{\"name\": \"list\", \"note\": \"llem\"}],\n"
    " \"pass_through\": {\"arguments\": [{\"name\": \"any\"}]},\n"
    " \"options\": [\n"
    "  {\"name\": \"cache.blocks\", \"type\": \"integer\", \"range\": [1, 64], \"unit\": \"blocks\", \"help\": \"h\"},\n"
    "  {\"name\": \"cache.share\", \"type\": \"number\", \"range\": [0, 1], \"default\": 0.5, \"help\": \"h\"},\n"
    "  {\"name\": \"steps\", \"type\": \"numbers\", \"range\": [0, null], \"default\": 1, \"unit\": \"ms\", \"help\": \"h\"},\n"
    "  {\"name\": \"sink\", \"type\": \"boolean\", \"default\": false, \"help\": \"h\"},\n"
    "  {\"name\": \"kind\", \"type\": \"choice\", \"choices\": [\"slow\", \"fast\"], \"default\": \"fast\", \"help\": \"h\"},\n"
    "  {\"name\": \"name\", \"type\": \"string\", \"help\": \"h\"},\n"
    "  {\"name\": \"mapping\", \"type\": \"mapping\", \"default\": {}, \"help\": \"h\"}\n"
    " ]}\n";

struct outcome {
    enum engine_check_status status;
    char *message;
};

static void note(const struct engine_check_case *row, enum engine_check_status status, const char *message, void *data)
{
    struct outcome *o = data;
    g_test_message("%s: %s", row->name, message ? message : "");
    o->status = status;
    o->message = g_strdup(message);
}

static struct outcome check(const char *text, const char *only, const char *options)
{
    const char *const argv[] = {LLEM_BINARY_DIR "/tests/every_option", NULL};
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_backend) backend = backend_parse("every/engine.json", text, strlen(text), "/tmp/every", diag);
    g_autofree char *errors = diag_render(diag, false);
    g_assert_cmpstr(errors, ==, "");
    g_autoptr(json_t) set = jsonx_parse(options, -1, "options", NULL);
    struct outcome o = {.status = ENGINE_CHECK_SKIP};
    const struct engine_check_options suite = {.argv = argv, .only = only, .backend = backend, .options = set};
    engine_check(&suite, note, &o);
    return o;
}

static void test_agrees(void)
{
    struct outcome o = check(descriptor, "options", "{}");
    g_assert_cmpint(o.status, ==, ENGINE_CHECK_PASS);
    g_assert_null(o.message); /* nothing lies beyond: one argument is owned, one is handed on */
}

static const struct {
    const char *name, *from, *to;
    enum engine_check_status status;
    const char *says; /* NULL: nothing */
} rows[] = {
    {"range", "[1, 64]", "[1, 128]", ENGINE_CHECK_FAIL,
     "every/engine.json:7:3: option 'cache.blocks': engine.json says integer from 1 to 128 (blocks), the adapter integer "
     "from 1 to 64 (blocks)"},
    {"no-bound", "[0, 1]", "[0, null]", ENGINE_CHECK_FAIL,
     "'cache.share': engine.json says number from 0, the adapter number from 0 to 1"},
    {"type", "\"type\": \"boolean\", \"default\": false", "\"type\": \"integer\", \"default\": 0", ENGINE_CHECK_FAIL,
     "'sink': engine.json says integer, the adapter boolean"},
    {"unknown", "\"sink\"", "\"sinc\"", ENGINE_CHECK_FAIL,
     "'sinc': engine.json says boolean, the adapter has no such option"},
    {"choice", "\"slow\", \"fast\"", "\"slow\", \"fast\", \"idle\"", ENGINE_CHECK_FAIL,
     "'kind': engine.json says string, one of \"slow\", \"fast\", \"idle\", the adapter string, one of \"fast\", \"slow\""},
    {"default", "\"default\": 0.5", "\"default\": 0.25", ENGINE_CHECK_FAIL,
     "'cache.share': engine.json says default 0.25, the adapter default 0.5"},
    {"no-default", ", \"default\": 0.5", "", ENGINE_CHECK_FAIL,
     "'cache.share': engine.json says default null, the adapter default 0.5"},
    {"default-of-the-engine", "\"default\": 0.5", "\"engine_default\": \"0.9\"", ENGINE_CHECK_PASS, NULL},
    {"unit", "\"ms\"", "\"s\"", ENGINE_CHECK_FAIL, "'steps': engine.json says numbers from 0 (s), the adapter numbers from 0 (ms)"},
    {"unit-of-one-alone", ", \"unit\": \"ms\"", "", ENGINE_CHECK_PASS, NULL},
    {"later", "\"range\": [1, 64]", "\"range\": [1, 9], \"since\": \"1.10\"", ENGINE_CHECK_PASS, NULL},
    {"earlier", "\"range\": [1, 64]", "\"range\": [1, 9], \"until\": \"0.9\"", ENGINE_CHECK_PASS, NULL},
    {"in-its-time", "\"range\": [1, 64]", "\"range\": [1, 9], \"since\": \"0.9\", \"until\": \"1.10\"", ENGINE_CHECK_FAIL,
     "'cache.blocks'"},
    {"beyond", "{\"name\": \"sink\", \"type\": \"boolean\", \"default\": false, \"help\": \"h\"},", "", ENGINE_CHECK_PASS,
     "the engine also takes what engine.json does not have: sink"},
    {"owned-no-more", "{\"name\": \"list\", \"note\": \"llem\"}", "", ENGINE_CHECK_PASS, "does not have: list"},
};

static void test_row(gconstpointer data)
{
    size_t i = (size_t)(uintptr_t)data;
    g_auto(GStrv) parts = g_strsplit(descriptor, rows[i].from, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    g_autofree char *text = g_strjoin(rows[i].to, parts[0], parts[1], NULL);
    struct outcome o = check(text, "options", "{}");
    g_assert_cmpint(o.status, ==, rows[i].status);
    g_assert_cmpint(o.message != NULL, ==, rows[i].says != NULL);
    if (rows[i].says && !strstr(o.message, rows[i].says))
        g_error("'%s' does not say '%s'", o.message, rows[i].says);
    g_free(o.message);
}

/* Everything that differs is said at once. */
static void test_all_at_once(void)
{
    g_autofree char *text = g_strdup(descriptor);
    memcpy(strstr(text, "[1, 64]"), "[1, 63]", 7);
    memcpy(strstr(text, "0.5"), "0.6", 3);
    struct outcome o = check(text, "options", "{}");
    g_assert_cmpint(o.status, ==, ENGINE_CHECK_FAIL);
    g_assert_nonnull(strstr(o.message, "2 of 7 options differ"));
    g_assert_nonnull(strstr(o.message, "'cache.blocks'"));
    g_assert_nonnull(strstr(o.message, "'cache.share'"));
    g_free(o.message);
}

/* What load says of in_flight is held to the options of the role; the adapter says blocks + 1 when told to lie. */
static void test_roles(void)
{
    static const struct {
        const char *options;
        enum engine_check_status status;
        const char *says;
    } cases[] = {
        {"{}", ENGINE_CHECK_SKIP, "neither"},
        {"{\"cache\": {\"blocks\": 5}}", ENGINE_CHECK_PASS, NULL},
        {"{\"cache\": {\"blocks\": 5}, \"name\": \"liar\"}", ENGINE_CHECK_FAIL,
         "by the role 'in_flight' of engine.json it is 5, load says 6"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct outcome o = check(descriptor, "roles", cases[i].options);
        g_assert_cmpint(o.status, ==, cases[i].status);
        if (cases[i].says)
            g_assert_nonnull(strstr(o.message, cases[i].says));
        g_free(o.message);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/descriptor/agrees", test_agrees);
    g_test_add_func("/descriptor/all-at-once", test_all_at_once);
    g_test_add_func("/descriptor/roles", test_roles);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strconcat("/descriptor/row/", rows[i].name, NULL);
        g_test_add_data_func(path, (gconstpointer)(uintptr_t)i, test_row);
    }
    return g_test_run();
}
