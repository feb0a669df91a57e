/* SPDX-License-Identifier: MIT */
/* Sections of engines: a stranger's has what ours have, and what is not in use changes nothing. */
#include "help.h"

#include "config/internal.h"

#include <string.h>

static const char toy[] =
    "{\"format\": 1, \"name\": \"toy\", \"summary\": \"a stranger\", \"protocol\": 1, \"hash_version\": 1,"
    " \"remedy\": \"none\", \"command\": [\"{dir}/toy\"], \"model\": {\"takes\": \"none\"}, \"modes\": [\"batch\"],"
    " \"where\": [\"local\"],"
    " \"roles\": {\"batch\": \"rows\", \"in_flight\": [\"rows\", \"deep.columns\"], \"threads\": [\"hands\", \"feet\"]},"
    " \"cannot\": [{\"field\": \"decoder.min_p\", \"why\": \"it knows no probabilities\"}],"
    " \"options\": ["
    "  {\"name\": \"rows\", \"type\": \"integer\", \"range\": [1, 9], \"default\": 1, \"help\": \"Rows.\"},"
    "  {\"name\": \"deep.columns\", \"type\": \"integer\", \"range\": [1, 9], \"default\": 2, \"help\": \"Columns.\"},"
    "  {\"name\": \"hands\", \"type\": \"integer\", \"range\": [1, 9], \"default\": 2, \"help\": \"Hands.\"},"
    "  {\"name\": \"feet\", \"type\": \"integer\", \"range\": [1, 9], \"follows\": \"hands\", \"help\": \"Feet.\"},"
    "  {\"name\": \"colour\", \"type\": \"choice\", \"choices\": [\"red\", \"blue\"], \"help\": \"Colour.\"},"
    "  {\"name\": \"shade\", \"type\": \"number\", \"when\": {\"colour\": \"red\"}, \"help\": \"Shade.\"}],"
    " \"pass_through\": {\"section\": \"deep\", \"arguments\": [{\"name\": \"known\"}]},"
    " \"rules\": [{\"kind\": \"at_least\", \"option\": \"rows\", \"other\": \"deep.columns\", \"is\": {\"not\": 1},"
    "              \"why\": \"columns stand in rows\"}],"
    " \"retired\": [{\"name\": \"lines\", \"alias\": \"rows\"}, {\"name\": \"size\", \"text\": \"write rows\"},"
    "               {\"option\": \"colour\", \"value\": \"crimson\", \"alias\": \"red\"}]}";

static const struct {
    const char *lines; /* behind "model: m\nbackend: toy\n" */
    const char *said;  /* NULL: nothing is wrong */
} cases[] = {
    {"toy: {rows: 3}\n", NULL},
    {"toy: {rows: 10}\n", "toy.rows: expected an integer from 1 to 9, found 10"},
    {"toy: {row: 3}\n", "unknown field 'toy.row'\n    3 | toy: {row: 3}\n      |       ^~~\n      = did you mean 'toy.rows'?"},
    {"toy: {size: 3}\n", "= write rows"},
    {"toy: {colour: green}\n", "toy.colour: expected one of red, blue, found \"green\""},
    {"toy: {rows: 2, deep: {columns: 3}}\n", "toy.rows must be at least toy.deep.columns; they are 2 and 3"},
    {"decoder: {min_p: 0.1, temperature: 1}\n", "decoder.min_p: 0.1 needs backend to be other than toy; it is toy"},
    {"toy: {deep: {known: 1}}\n", "= toy has this parameter: `llem engine schema toy` asks the installed toy for its parameters"},
    {"passthrough_kwargs: {columns: 10}\n", "toy.deep.columns: expected an integer from 1 to 9, found 10"},
    {"passthrough_kwargs: {known: 1}\n", "unknown field 'toy.deep.known'"},
    {"passthrough_kwargs: {columns: 1}\ntoy.deep.columns: 1\n", "toy.deep.columns is given twice"},
    {"sim: {threads: 2}\n", "sim.threads does not apply to backend toy"},
    {"sweep: {toy.rows: [2, 3, ten]}\n", "toy.rows: expected an integer from 1 to 9, found \"ten\""},
};

/* What a descriptor leaves open, or says through others. */
static const char chain[] =
    "{\"format\": 1, \"name\": \"chain\", \"summary\": \"a stranger\", \"protocol\": 1, \"hash_version\": 1,"
    " \"remedy\": \"none\", \"model\": {\"takes\": \"none\"},"
    " \"roles\": {\"context\": {\"option\": \"room\", \"per\": \"engine\"}},"
    " \"cannot\": [{\"field\": \"random_seed\", \"why\": \"it has no dice\"}],"
    " \"options\": ["
    "  {\"name\": \"a\", \"type\": \"integer\", \"follows\": \"b\", \"help\": \"A.\"},"
    "  {\"name\": \"b\", \"type\": \"integer\", \"follows\": \"c\", \"help\": \"B.\"},"
    "  {\"name\": \"c\", \"type\": \"integer\", \"help\": \"C.\"},"
    "  {\"name\": \"room\", \"type\": \"integer\", \"help\": \"Positions.\"},"
    "  {\"name\": \"chunk\", \"type\": \"integer\", \"default\": 5, \"help\": \"Chunk.\"},"
    "  {\"name\": \"shelf\", \"type\": \"string\", \"path\": \"folder\", \"help\": \"Shelf.\"}],"
    " \"rules\": [{\"kind\": \"fits\", \"option\": \"chunk\", \"within\": \"context\"}],"
    " \"retired\": [{\"name\": \"old.c\", \"alias\": \"c\"}]}";

static void test_chain(void)
{
    engine_there("chain", chain);
    g_autoptr(owned_config_file) file = NULL;
    g_autoptr(owned_config) config = config_of("model: m\nbackend: chain\nrandom_seed: 42\nchain: {old: {c: 3}}\n",
                                               NULL, &file);
    g_assert_cmpint(json_integer_value(config_value_at(config, "chain.a")), ==, 3);
    g_autofree char *hash = hash_of("model: m\nbackend: chain\nchain: {a: 3, b: 3, c: 3}\n");
    g_assert_cmpstr(config_hash(config), ==, hash);
    static const struct {
        const char *lines, *said;
    } wrong[] = {
        {"chain: {room: 4}\n", "chain.chunk: 5 is more than the 4 positions of the context"},
        {"random_seed: 43\n", "random_seed: 43 needs backend to be other than chain; it is chain"},
        {"chain: {shelf: /proc/version}\n", "chain.shelf: /proc/version is not a folder"},
        {"chain: {old: {d: 3}}\n", "unknown field 'chain.old.d'"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *text = g_strconcat("model: m\nbackend: chain\n", wrong[i].lines, NULL);
        g_autofree char *said = errors_of(text);
        if (!strstr(said, wrong[i].said))
            g_error("%s", said);
    }
    engines_away();
}

static void test_stranger(void)
{
    engine_there("toy", toy);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat("model: m\nbackend: toy\n", cases[i].lines, NULL);
        g_test_message("%s", cases[i].lines);
        if (!cases[i].said) {
            config_file_free(parse_ok(text, NULL));
            continue;
        }
        g_autofree char *said = errors_of(text);
        if (!strstr(said, cases[i].said))
            g_error("%s", said);
    }
    engines_away();
}

/* What is called otherwise now is taken, with a word. */
static void test_aliases(void)
{
    engine_there("toy", toy);
    static const char text[] = "model: m\nbackend: toy\ntoy: {lines: 2, colour: crimson, shade: 1}\n";
    static const char *const overrides[] = {"toy.lines=4", NULL};
    const struct config_file_options options = {.overrides = overrides};
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config_file) file = config_file_parse("f", text, strlen(text), "/", &options, diag);
    g_assert_nonnull(file);
    g_assert_cmpuint(diag_warnings(diag), ==, 3);
    g_autofree char *said = diag_render(diag, false);
    g_assert_nonnull(strstr(said, "toy.lines is called toy.rows now"));
    g_assert_nonnull(strstr(said, "toy.colour: crimson is called red now"));
    g_autoptr(owned_config) config = config_file_resolve(file, NULL, 0, diag);
    g_assert_cmpint(json_integer_value(config_value_at(config, "toy.rows")), ==, 4);
    g_assert_nonnull(config_value_at(config, "toy.shade"));
    engines_away();
}

static void test_roles(void)
{
    engine_there("toy", toy);
    g_autoptr(owned_config_file) file = NULL;
    g_autoptr(owned_config) config = config_of("model: m\nbackend: toy\ntoy: {rows: 3, feet: 5}\n", NULL, &file);
    int64_t n = 0;
    g_assert_true(config_role_int(config, ROLE_BATCH, &n));
    g_assert_cmpint(n, ==, 3);
    g_assert_true(config_role_int(config, ROLE_IN_FLIGHT, &n));
    g_assert_cmpint(n, ==, 6);
    g_assert_true(config_role_int(config, ROLE_THREADS, &n));
    g_assert_cmpint(n, ==, 5);
    g_assert_false(config_role_int(config, ROLE_CONTEXT, &n));
    g_autoptr(json_t) roles = config_roles(config);
    g_autofree char *text = jsonx_dump(roles, JSONX_CANONICAL);
    g_assert_cmpstr(text, ==, "{\"batch\":3,\"in_flight\":6,\"threads\":5}");
    engines_away();
}

static const struct {
    const char *text, *roles;
} ours[] = {
    {"backend: llamacpp\nllamacpp: {n_parallel: 4, type_v: q8_0, flash_attn: on}\n",
     "{\"add_special\":false,\"gpu_layers\":-1,\"in_flight\":4,\"kv_type\":[\"f16\",\"q8_0\"],\"threads\":1}"},
    {"backend: sim\nsim: {batch_size: 2, prefix_cache: true}\n", "{\"batch\":2,\"prefix_cache\":true}"},
    {"backend: vllm\nvllm.engine: {tensor_parallel_size: 2, data_parallel_size: 3}\n",
     "{\"devices\":6,\"prefix_cache\":false}"},
    {"backend: pytorch\n", "{\"batch\":1}"},
};

static void test_roles_of_ours(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_autofree char *text = g_strconcat("model: m\n", ours[i].text, NULL);
        g_autoptr(owned_config_file) file = NULL;
        g_autoptr(owned_config) config = config_of(text, NULL, &file);
        g_autoptr(json_t) roles = config_roles(config);
        g_autofree char *said = jsonx_dump(roles, JSONX_CANONICAL);
        g_assert_cmpstr(said, ==, ours[i].roles);
    }
}

/* Only the engines a file speaks of are read: one that is broken is in nobody's way. */
static void test_only_what_is_needed(void)
{
    engine_there("broken", "{\"format\": 1, \"nonsense\": 2}");
    config_file_free(parse_ok("model: m\nbackend: sim\n", NULL));
    g_autofree char *said = errors_of("model: m\nbackend: broken\n");
    g_assert_nonnull(strstr(said, "nonsense"));
    g_assert_nonnull(strstr(said, "engine.json"));
    g_assert_nonnull(strstr(said, "file.yaml:2:10: error: "));
    engines_away();
}

void add_engine_tests(void)
{
    g_test_add_func("/config/engines/stranger", test_stranger);
    g_test_add_func("/config/engines/chain", test_chain);
    g_test_add_func("/config/engines/aliases", test_aliases);
    g_test_add_func("/config/engines/roles", test_roles);
    g_test_add_func("/config/engines/roles of ours", test_roles_of_ours);
    g_test_add_func("/config/engines/only what is needed", test_only_what_is_needed);
}
