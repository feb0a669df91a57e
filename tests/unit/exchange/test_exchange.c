/* SPDX-License-Identifier: MIT */
/* The exchange file: what is written is read, what is wrong is located, paths are mapped in every member that is
 * one. */
#include "exchange/private.h"

#include <string.h>

static struct exchange example(void)
{
    struct exchange x = {.config_hash = g_strdup("0123456789abcdef"),
                         .config = json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:[s, s]}}", "model", "/host/models/m.gguf",
                                             "dataset", "mix", "energy", "calibration", "/host/lab/c.json",
                                             "passthrough_kwargs", "mode", "/no_think", "lora", "/host/models/l.bin", "x"),
                         .hashed = json_pack("{s:i}", "n", 2),
                         .origins = json_pack("{s:s}", "model", "s.yaml:1:8"),
                         .files = g_strsplit("model energy.calibration passthrough_kwargs absent.field", " ", -1),
                         .roles = json_pack("{s:i}", "batch", 4),
                         .command = g_strsplit("/host/engines/x/adapter -m llem.x", " ", -1),
                         .environment = json_pack("{s:s, s:s, s:s}", "CACHE", "/host/cache", "SHELL", "/bin/sh", "PATH",
                                                   "/host/models/bin:/usr/bin::/host/x:y"),
                         .dataset = g_strdup("/host/data/mix.jsonl"),
                         .dataset_sha256 = g_strdup("5eed"),
                         .warmup_variants = 1,
                         .cycle = 2,
                         .study = g_strdup("büro"),
                         .runner = g_strdup("local"),
                         .model_path = g_strdup("/host/models/m.gguf"),
                         .concurrent_study = true};
    exchange_prompts_init(&x.prompts, 2);
    x.prompts.text[0] = g_strdup("one");
    x.prompts.line[0] = 7;
    x.prompts.text[1] = g_strdup("two \"quoted\"\n");
    x.prompts.line[1] = 3;
    exchange_prompts_init(&x.warmup, 0);
    return x;
}

static json_t *tree_of(const struct exchange *x)
{
    g_autoptr(GError) error = NULL;
    json_t *tree = exchange_json(x, &error);
    g_assert_no_error(error);
    return tree;
}

static void test_what_is_written_is_read(void)
{
    g_auto(owned_exchange) x = example(), back = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *parent = g_dir_make_tmp("llem-exchange-XXXXXX", NULL);
    g_autofree char *dir = exchange_folder_new(parent, &x, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *name = g_path_get_basename(dir);
    g_assert_true(g_str_has_prefix(name, EXCHANGE_FOLDER_PREFIX));
    g_autofree char *path = exchange_file(dir, x.config_hash, "config.json");
    g_assert_true(exchange_read(path, &back, &error));
    g_assert_no_error(error);
    g_autoptr(json_t) before = tree_of(&x), after = tree_of(&back);
    g_assert_true(json_equal(before, after));
    g_assert_cmpstr(back.prompts.text[1], ==, "two \"quoted\"\n");
    g_assert_cmpint(back.prompts.line[0], ==, 7);
    g_assert_cmpuint(back.warmup.n, ==, 0);
    g_assert_true(back.concurrent_study);
    g_assert_null(back.image);
    g_assert_true(file_remove_tree(parent, NULL));
}

/* A data set as large as it may be goes through the file: many escapes, more than a record may have. */
static void test_a_large_data_set_is_read(void)
{
    enum { BYTES = LIMIT_RESULT_BYTES / 2 + 1024 };
    g_auto(owned_exchange) x = example(), back = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *parent = g_dir_make_tmp("llem-exchange-XXXXXX", NULL);
    g_free(x.prompts.text[0]);
    x.prompts.text[0] = g_strnfill(BYTES, '"');
    g_autofree char *dir = exchange_folder_new(parent, &x, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *path = exchange_file(dir, x.config_hash, "config.json");
    g_assert_true(exchange_read(path, &back, &error));
    g_assert_cmpuint(strlen(back.prompts.text[0]), ==, BYTES);
    g_assert_true(file_remove_tree(parent, NULL));
}

static void test_context_is_what_the_record_copies(void)
{
    g_auto(owned_exchange) x = example();
    g_autoptr(json_t) context = exchange_context(&x);
    g_autofree char *text = jsonx_dump(context, JSONX_CANONICAL);
    g_assert_cmpstr(text, ==, "{\"concurrent_study\":true,\"cycle\":2,"
                              "\"model_path\":\"/host/models/m.gguf\",\"runner\":\"local\",\"study\":\"büro\"}");
}

static void test_wrong_files_are_located(void)
{
    static const struct {
        const char *place, *json, *said; /* json NULL: the member is taken out */
    } cases[] = {
        {"schema", "\"llem-exchange/9\"", "x.json: this is not an exchange file of this version (llem-exchange/2)"},
        {"config_hash", NULL, "x.json: config_hash is missing"},
        {"context.cycle", NULL, "x.json: context.cycle is missing"},
        {"context.cycle", "\"two\"", "x.json: context.cycle: expected an integer, found a string"},
        {"context", "[]", "x.json: context.cycle is missing"},
        {"engine.command", NULL, "x.json: engine.command is missing"},
        {"config", "[]", "x.json: config: expected an object, found a list"},
        {"engine.command", "[\"a\", 1]", "x.json: engine.command[1]: expected a list of strings, found an integer"},
        {"work.prompts", "[{\"line\": 1, \"text\": \"a\"}, {\"line\": 2}]", "x.json: work.prompts[1]: expected a list of"},
        {"context.concurrent_study", "1", "x.json: context.concurrent_study: expected true or false, found an integer"},
        {"context.modelpath", "\"m\"", "x.json: context.modelpath: no such member; did you mean 'context.model_path'?"},
        {"contexts", "{}", "x.json: contexts: no such member"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(owned_exchange) x = example(), back = {0};
        g_autoptr(json_t) tree = tree_of(&x);
        g_autoptr(GError) error = NULL;
        const char *dot = strchr(cases[i].place, '.');
        g_autofree char *section = g_strndup(cases[i].place, dot ? (size_t)(dot - cases[i].place) : 0);
        if (cases[i].json)
            jsonx_set_at(tree, cases[i].place, json_loads(cases[i].json, JSON_DECODE_ANY, NULL));
        else
            json_object_del(dot ? json_object_get(tree, section) : tree, dot ? dot + 1 : cases[i].place);
        g_assert_false(exchange_parse("x.json", tree, &back, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_DATA);
        if (!g_str_has_prefix(error->message, cases[i].said))
            g_error("%s: %s", cases[i].place, error->message);
        g_assert_null(back.config_hash);
    }
}

static void test_what_is_missing_is_not_written(void)
{
    g_auto(owned_exchange) x = example();
    g_autoptr(GError) error = NULL;
    x.cycle = 0;
    g_assert_null(exchange_json(&x, &error));
    g_assert_nonnull(strstr(error->message, "context.cycle: it was not set"));
    g_clear_error(&error);
    x.cycle = 1;
    g_free(x.model_path);
    x.model_path = g_strdup("/host/\xff");
    g_assert_null(exchange_json(&x, &error));
    g_assert_nonnull(strstr(error->message, "context.model_path: it holds text that is not UTF-8"));
}

static const struct exchange_path paths[] = {
    {"/host", "/all"}, {"/host/models", "/models"}, {"/host/lab/c.json", "/run/llem/calibration.json"}};
static const struct exchange_map whole = {paths, G_N_ELEMENTS(paths)};

/* The longest row counts, whole names only; what is no path stays. */
static void test_paths_are_mapped(void)
{
    static const struct {
        const char *place, *inside;
    } expected[] = {
        {"config.model", "/models/m.gguf"},
        {"config.dataset", "mix"},
        {"config.energy.calibration", "/run/llem/calibration.json"},
        {"config.passthrough_kwargs.lora", "/models/l.bin"},
        {"config.passthrough_kwargs.mode", "/no_think"},
        {"engine.environment.CACHE", "/all/cache"},
        {"engine.environment.SHELL", "/bin/sh"},
        {"engine.environment.PATH", "/models/bin:/usr/bin::/all/x:y"},
        {"engine.command", "/all/engines/x/adapter"},
        {"work.dataset", "/host/data/mix.jsonl"},
        {"context.model_path", "/models/m.gguf"},
        {"context.study", "büro"},
    };
    g_auto(owned_exchange) x = example(), inside = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *parent = g_dir_make_tmp("llem-exchange-XXXXXX", NULL);
    g_autofree char *dir = exchange_folder_new(parent, &x, &whole, &error);
    g_assert_no_error(error);
    g_autofree char *path = exchange_file(dir, x.config_hash, "config.json");
    g_assert_true(exchange_read(path, &inside, &error));
    g_autoptr(json_t) tree = tree_of(&inside);
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        const json_t *value = jsonx_at(tree, expected[i].place);
        value = json_is_array(value) ? json_array_get(value, 0) : value;
        g_assert_cmpstr(json_string_value(value), ==, expected[i].inside);
    }
    g_assert_cmpstr(x.model_path, ==, "/host/models/m.gguf"); /* the caller's is as it was */
    g_assert_true(file_remove_tree(parent, NULL));
}

/* A path that nobody maps would be a file that the worker does not find: every row that is one is refused by name. */
static void test_every_path_is_mapped(void)
{
    static const struct exchange_path elsewhere[] = {{"/hosts", "/h"}};
    static const struct exchange_map map = {elsewhere, G_N_ELEMENTS(elsewhere)};
    int n = 0;
    for (const struct exchange_row *row = exchange_rows; row->name; row++) {
        g_auto(owned_exchange) x = {0};
        g_autoptr(GError) error = NULL;
        if (!(row->flags & EXCHANGE_PATH))
            continue;
        if (row->type == EXCHANGE_STRINGS)
            *(char ***)exchange_member(&x, row) = g_strsplit("relative /host/a", " ", -1);
        else
            *(char **)exchange_member(&x, row) = g_strdup("/host/a");
        g_assert_false(exchange_map_paths(&x, &map, &error));
        g_autofree char *said = g_strdup_printf("%s: /host/a is in none", row->place);
        g_assert_true(g_str_has_prefix(error->message, said));
        n++;
    }
    g_assert_cmpint(n, >=, 2);
}

static void test_a_path_that_is_not_inside_is_refused(void)
{
    static const struct exchange_path elsewhere[] = {{"/host/model", "/m"}, {"/hosts", "/h"}};
    static const struct exchange_map map = {elsewhere, G_N_ELEMENTS(elsewhere)};
    g_auto(owned_exchange) x = example();
    g_autoptr(GError) error = NULL;
    g_assert_false(exchange_map_paths(&x, &map, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_RUNNER);
    g_assert_cmpstr(error->message, ==,
                    "config.model: /host/models/m.gguf is in none of the folders that the worker can see");
}

/* Every member has its row in schema and documentation. */
static void test_schema_and_documentation(void)
{
    g_auto(owned_exchange) x = example();
    g_autoptr(json_t) schema = exchange_schema();
    g_autoptr(GString) text = g_string_new(NULL);
    exchange_describe(text);
#define X(type, member, place, flags, who, meaning) place,
    static const char *const places[] = {EXCHANGE_MEMBERS(X)};
#undef X
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_auto(GStrv) parts = g_strsplit(places[i], ".", -1);
        const json_t *at = schema;
        for (char **part = parts; *part; part++)
            at = json_object_get(json_object_get(at, "properties"), *part);
        g_assert_true(json_is_string(json_object_get(at, "description")));
        g_autofree char *quoted = g_strdup_printf("| `%s` |", places[i]);
        g_assert_nonnull(strstr(text->str, quoted));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/exchange/what is written is read", test_what_is_written_is_read);
    g_test_add_func("/exchange/a large data set", test_a_large_data_set_is_read);
    g_test_add_func("/exchange/context", test_context_is_what_the_record_copies);
    g_test_add_func("/exchange/wrong files are located", test_wrong_files_are_located);
    g_test_add_func("/exchange/what is missing is not written", test_what_is_missing_is_not_written);
    g_test_add_func("/exchange/paths are mapped", test_paths_are_mapped);
    g_test_add_func("/exchange/every path is mapped", test_every_path_is_mapped);
    g_test_add_func("/exchange/a path that is not inside is refused", test_a_path_that_is_not_inside_is_refused);
    g_test_add_func("/exchange/schema and documentation", test_schema_and_documentation);
    return g_test_run();
}
