/* SPDX-License-Identifier: MIT */
/* Layers, origins, typing by field, gates, rules, the exchange file. */
#include "help.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct config_file *parse_ok(const char *text, const struct config_file_options *options)
{
    g_autoptr(owned_diag) diag = diag_new();
    struct config_file *study = config_file_parse("file.yaml", text, strlen(text), "/", options, diag);
    if (!study || diag_errors(diag)) {
        g_autofree char *said = diag_render(diag, false);
        g_error("%s\n%s", text, said);
    }
    return study;
}

struct config *config_of(const char *text, const char *const *overrides, struct config_file **ret_study)
{
    const struct config_file_options options = {.overrides = overrides};
    g_autoptr(owned_diag) diag = diag_new();
    *ret_study = parse_ok(text, &options);
    struct config *config = config_file_resolve(*ret_study, NULL, 0, diag);
    g_assert_nonnull(config);
    return config;
}

char *hash_of(const char *text)
{
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_config) config = config_of(text, NULL, &study);
    return g_strdup(config_hash(config));
}

char *errors_of(const char *text)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config_file) study = config_file_parse("file.yaml", text, strlen(text), "/", NULL, diag);
    if (study || !diag_errors(diag))
        g_error("nothing is wrong with:\n%s", text);
    return diag_render(diag, false);
}

static char *engines_dir;

void engine_there(const char *name, const char *json)
{
    engines_dir = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    g_autofree char *folder = g_build_filename(engines_dir, name, NULL);
    g_autofree char *file = g_build_filename(folder, "engine.json", NULL);
    g_autofree char *path = g_strdup_printf("%s:" LLEM_SOURCE_DIR "/engines", engines_dir);
    g_assert_true(file_make_dirs(folder, NULL));
    g_assert_true(g_file_set_contents(file, json, -1, NULL));
    g_setenv("LLEM_ENGINES_PATH", path, TRUE);
}

void engines_away(void)
{
    g_setenv("LLEM_ENGINES_PATH", LLEM_SOURCE_DIR "/engines", TRUE);
    file_remove_tree(engines_dir, NULL);
    g_free(engines_dir);
}

struct config_table *whole_table(void)
{
    g_autoptr(owned_diag) diag = diag_new();
    struct config_table *table = config_table_new(NULL, diag);
    g_assert_cmpuint(diag_errors(diag), ==, 0);
    return table;
}

char *temp_file(const char *suffix, const char *content)
{
    g_autofree char *template = g_strdup_printf("llem-test-XXXXXX%s", suffix);
    g_autoptr(GError) error = NULL;
    char *path = NULL;
    int fd = g_file_open_tmp(template, &path, &error);
    g_assert_no_error(error);
    close(fd);
    g_file_set_contents(path, content, -1, &error);
    g_assert_no_error(error);
    return path;
}

/* --- Values and where they come from ---------------------------------------------------------------------------- */

static void test_defaults(void)
{
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_config) config = config_of("model: m\n", NULL, &study);
    g_assert_false(config_file_is_study(study));
    g_assert_cmpstr(config_file_name(study), ==, "file");
    g_assert_cmpint(config_file_int(study, FIELD_EXECUTION_N_CYCLES), ==, 1);
    g_assert_cmpstr(config_string(config, FIELD_BACKEND), ==, "pytorch");
    g_assert_cmpint(config_int(config, FIELD_N), ==, 100);
    g_assert_cmpstr(config_string(config, FIELD_PRECISION), ==, "bf16");
    g_assert_cmpfloat(config_real(config, FIELD_DECODER_TEMPERATURE), ==, 0);
    g_assert_true(config_bool(config, FIELD_DECODER_IGNORE_EOS));
    g_assert_false(config_bool(config, FIELD_DECODER_DO_SAMPLE));
    g_assert_false(config_has(config, FIELD_DECODER_TOP_P));
    g_assert_null(config_value_at(config, "llamacpp.n_threads"));
    g_assert_false(config_has(config, FIELD_ENERGY_GUARD_MS));
    g_autofree char *origin = config_origin_at(config, "n");
    g_assert_cmpstr(origin, ==, "default");
    g_autofree char *where = config_origin_at(config, "model");
    g_assert_cmpstr(where, ==, "file.yaml:1:8");
}

static void test_layers(void)
{
    g_autofree char *user = temp_file(".yaml", "output_dir: from-user\nbaseline: {duration_seconds: 5}\n"
                                               "limits: {timeout_seconds: 10}\nexecution: {experiment_gap_seconds: 7}\n");
    static const char *const overrides[] = {"n=7", "decoder.temperature = 0.5", "dataset_order=shuffled", NULL};
    const struct config_file_options options = {.overrides = overrides, .user_file = user, .environment = true};
    g_setenv("LLEM_TIMEOUT_SECONDS", "30", TRUE);
    g_autoptr(owned_config_file) study = parse_ok("model: m\nn: 5\nlimits: {timeout_seconds: 20}\n", &options);
    g_unsetenv("LLEM_TIMEOUT_SECONDS");
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config) config = config_file_resolve(study, NULL, 0, diag);
    g_assert_cmpint(config_int(config, FIELD_N), ==, 7);
    g_assert_cmpfloat(config_real(config, FIELD_LIMITS_TIMEOUT_SECONDS), ==, 30);
    g_assert_cmpfloat(config_real(config, FIELD_BASELINE_DURATION_SECONDS), ==, 5);
    g_assert_cmpstr(config_string(config, FIELD_OUTPUT_DIR), ==, "from-user");
    g_assert_cmpfloat(config_file_real(study, FIELD_EXECUTION_EXPERIMENT_GAP_SECONDS), ==, 7);
    g_assert_false(config_file_is_study(study));
    g_autoptr(json_t) origins = config_origins(config);
    g_autofree char *of_user = g_strdup_printf("%s:1:13", user);
    g_assert_cmpstr(json_string_value(json_object_get(origins, "n")), ==, "command line 'n=7'");
    g_assert_cmpstr(json_string_value(json_object_get(origins, "output_dir")), ==, of_user);
    g_assert_cmpstr(json_string_value(json_object_get(origins, "limits.timeout_seconds")), ==,
                    "environment LLEM_TIMEOUT_SECONDS");
    g_assert_cmpstr(json_string_value(json_object_get(origins, "decoder.do_sample")), ==,
                    "follows decoder.temperature");
    unlink(user);
}

static void test_user_file_is_bounded(void)
{
    g_autofree char *user = temp_file(".yaml", "max_output_tokens: 5\n");
    const struct config_file_options options = {.user_file = user};
    g_autoptr(owned_diag) diag = diag_new();
    g_assert_null(config_file_parse("f", "model: m\n", 9, "/", &options, diag));
    g_autofree char *said = diag_render(diag, false);
    g_assert_nonnull(strstr(said, ":1:1: error: max_output_tokens cannot be set in the user's file"));
    unlink(user);
}

static const struct {
    const char *line;  /* after "model: m" */
    const char *path;
    const char *json;  /* compact value, or NULL: the field does not apply */
} typed[] = {
    {"baseline: {enabled: yes}", "baseline.enabled", "true"},
    {"baseline: {enabled: Off}", "baseline.enabled", "false"},
    {"n: 1e3", "n", "1000"},
    {"n: 0x10", "n", "16"},
    {"n: 128.0", "n", "128"},
    {"decoder: {repetition_penalty: 2}", "decoder.repetition_penalty", "2.0"},
    {"decoder: {min_p: 0, temperature: 1}", "decoder.min_p", "0.0"},
    {"pytorch: {device: 1e5}", "pytorch.device", "\"1e5\""},
    {"pytorch: {device: 012}", "pytorch.device", "\"012\""},
    {"pytorch: {device: no}", "pytorch.device", "\"no\""},
    {"pytorch: {device: true}", "pytorch.device", "\"true\""},
    {"pytorch: {device: null}", "pytorch.device", NULL},
    {"pytorch: {device_map: auto, max_memory: {0: 20GiB, cpu: 64GiB}}", "pytorch.max_memory",
     "{\"0\":\"20GiB\",\"cpu\":\"64GiB\"}"},
    {"pytorch:", "pytorch.batch_size", "1"},
    {"backend: llamacpp\nllamacpp: {flash_attn: on}", "llamacpp.flash_attn", "\"on\""},
    {"backend: llamacpp\nllamacpp: {flash_attn: false}", "llamacpp.flash_attn", "\"off\""},
    {"backend: llamacpp\nllamacpp.n_threads: 3", "llamacpp.n_threads_batch", "3"},
    {"backend: llamacpp\nllamacpp: {quantization: q8_0}", "precision", NULL},
    {"backend: sim\nsim: {token_us: [1, 2.5]}", "sim.token_us", "[1.0,2.5]"},
    {"backend: sim\nsim: {token_us: [7]}", "sim.token_us", "7.0"},
    {"backend: vllm\nvllm: {engine: {cudagraph_capture_sizes: [1, 2]}}", "vllm.engine.cudagraph_capture_sizes", "[1,2]"},
    {"backend: vllm\nvllm.sampling.presence_penalty: -1", "vllm.sampling.presence_penalty", "-1.0"},
    {"energy: {modelled: true, modelled_watts_per_core: [3, 9]}", "energy.modelled_watts_per_core", "[3.0,9.0]"},
    {"energy: {backend: none}", "energy.modelled", NULL},
    {"energy: {backend: none}", "energy.sample_period_ms", "10.0"},
    {"warmup: {enabled: false}", "warmup.n_warmup", NULL},
    {"warmup: {enabled: false}", "warmup.enabled", "false"},
    {"decoder: {preset: standard}", "decoder.top_p", "0.95"},
    {"decoder: {preset: standard, top_p: 0.5}", "decoder.top_p", "0.5"},
    {"decoder: {preset: deterministic}", "decoder.top_p", NULL},
    {"decoder: {temperature: 0.7}", "decoder.do_sample", "true"},
    {"backend: vllm\npassthrough_kwargs: {hf_overrides: {a: yes}}", "vllm.engine.hf_overrides", "{\"a\":\"yes\"}"},
};

static void test_typed_by_field(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(typed); i++) {
        g_autofree char *text = g_strdup_printf("model: m\n%s\n", typed[i].line);
        g_autoptr(owned_config_file) study = NULL;
        g_autoptr(owned_config) config = config_of(text, NULL, &study);
        const json_t *value = config_value_at(config, typed[i].path);
        g_autofree char *json = value ? jsonx_dump(value, JSONX_COMPACT) : NULL;
        g_assert_cmpstr(json, ==, typed[i].json);
    }
}

/* The configuration as the other end of an exchange makes it. */
static struct config *sent(const struct config *config, GError **error)
{
    g_autoptr(json_t) tree = config_tree(config), origins = config_origins(config), roles = config_roles(config);
    g_autoptr(json_t) hashed = config_hashed(config);
    g_autofree char *text = jsonx_dump(tree, JSONX_PRETTY);
    g_autoptr(json_t) read = jsonx_parse(text, -1, "x", NULL);
    const struct config_parts parts = {.values = read, .hashed = hashed, .origins = origins, .roles = roles};
    return config_from_values(&parts, config_hash(config), error);
}

/* The path of a GGUF file has no precision but one that was written, here as in the worker. */
static void test_precision_of_a_file(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "llem-precision.gguf", NULL);
    g_assert_true(g_file_set_contents(path, "GGUF", -1, NULL));
    g_autofree char *bare = g_strdup_printf("model: %s\nbackend: llamacpp\n", path);
    g_autofree char *labelled = g_strconcat(bare, "precision: fp16\n", NULL);
    const struct {
        const char *text, *precision;
    } cases[] = {{bare, NULL}, {labelled, "fp16"}, {"model: m\nbackend: llamacpp\n", "bf16"}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(owned_config_file) study = NULL;
        g_autoptr(owned_config) config = config_of(cases[i].text, NULL, &study);
        g_autoptr(owned_config) back = sent(config, NULL);
        g_assert_nonnull(back);
        g_assert_cmpstr(config_has(config, FIELD_PRECISION) ? config_string(config, FIELD_PRECISION) : NULL, ==,
                        cases[i].precision);
        g_assert_cmpint(config_has(back, FIELD_PRECISION), ==, config_has(config, FIELD_PRECISION));
    }
    unlink(path);
}

/* precision and llamacpp.quantization: the higher layer stands. */
static void test_exclusive_values(void)
{
    static const char both[] = "model: m\nbackend: llamacpp\nprecision: fp16\nllamacpp: {quantization: q8_0}\n";
    g_autofree char *said = errors_of(both);
    g_assert_nonnull(strstr(said, "file.yaml:4:26: error: llamacpp.quantization: q8_0 and precision: fp16 exclude"));
    static const char *const quantization[] = {"llamacpp.quantization=q4_0", NULL};
    static const char *const precision[] = {"precision=fp32", NULL};
    g_autoptr(owned_config_file) a = NULL, b = NULL;
    g_autoptr(owned_config) first =
        config_of("model: m\nbackend: llamacpp\nprecision: fp16\n", quantization, &a);
    g_assert_cmpstr(json_string_value(config_value_at(first, "llamacpp.quantization")), ==, "q4_0");
    g_assert_false(config_has(first, FIELD_PRECISION));
    g_autoptr(owned_config) second =
        config_of("model: m\nbackend: llamacpp\nllamacpp: {quantization: q8_0}\n", precision, &b);
    g_assert_cmpstr(config_string(second, FIELD_PRECISION), ==, "fp32");
    g_assert_null(config_value_at(second, "llamacpp.quantization"));
}

static void test_overrides_of_axes(void)
{
    static const char text[] = "model: m\nbackend: llamacpp\nsweep: {n: [1, 2, 3], precision: [fp16]}\n";
    static const char *const overrides[] = {"n=9", "sweep.precision=[bf16, fp32]", "sweep.llamacpp.n_threads=2", NULL};
    const struct config_file_options options = {.overrides = overrides};
    g_autoptr(owned_config_file) study = parse_ok(text, &options);
    const struct config_axis *axes;
    g_assert_cmpuint(config_file_axes(study, &axes), ==, 2);
    g_assert_cmpstr(axes[0].field->path, ==, "precision");
    g_assert_cmpuint(axes[0].n, ==, 2);
    g_assert_cmpstr(json_string_value(config_value_json(axes[0].values[1])), ==, "fp32");
    g_assert_cmpstr(axes[1].field->path, ==, "llamacpp.n_threads");
    g_assert_cmpuint(axes[1].n, ==, 1);
}

static void test_paths_are_relative_to_the_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    g_autofree char *study_path = g_build_filename(dir, "s.yaml", NULL);
    g_autofree char *data = g_build_filename(dir, "d.jsonl", NULL);
    g_file_set_contents(study_path, "model: m\ndataset: ./d.jsonl\n", -1, NULL);
    g_file_set_contents(data, "{\"prompt\": \"a\"}\n", -1, NULL);
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config_file) study = config_file_load(study_path, NULL, diag);
    g_assert_nonnull(study);
    g_autoptr(owned_config) config = config_file_resolve(study, NULL, 0, diag);
    g_assert_cmpstr(config_string(config, FIELD_DATASET), ==, data);
    g_auto(GStrv) files = config_files(config);
    g_assert_cmpuint(g_strv_length(files), ==, 1);
    g_assert_cmpstr(files[0], ==, "dataset");
    g_assert_null(config_digest(config, FIELD_MODEL));
    file_remove_tree(dir, NULL);
}

/* --- The exchange file ------------------------------------------------------------------------------------------ */

static const char *const exchanged[] = {
    "model: m\n",
    "model: m\nbackend: llamacpp\nllamacpp: {quantization: q4_1, n_threads: 2}\n",
    "model: m\nbackend: llamacpp\nprecision: fp32\nllamacpp: {type_v: q8_0, flash_attn: auto}\n",
    "model: m\nbackend: vllm\nvllm: {engine: {max_num_seqs: 4, compilation_config: {mode: 3}}}\n",
    "model: m\nbackend: sim\nsim: {token_us: [1, 2]}\ndecoder: {preset: creative}\n",
    "model: m\nenergy: {backend: none}\nwarmup: {enabled: no}\nbaseline: {enabled: no}\n",
    "model: m\ndecoder: {ignore_eos: false, min_new_tokens: 3}\nbackend: vllm\npassthrough_kwargs: {hf_overrides: {b: [1]}}\n",
};

static void test_exchange(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(exchanged); i++) {
        g_autoptr(owned_config_file) study = NULL;
        g_autoptr(owned_config) config = config_of(exchanged[i], NULL, &study);
        g_autoptr(GError) error = NULL;
        g_autoptr(owned_config) back = sent(config, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(config_hash(back), ==, config_hash(config));
        g_autoptr(json_t) tree = config_tree(config), tree_back = config_tree(back);
        g_assert_true(json_equal(tree, tree_back));
        g_autoptr(json_t) origins = config_origins(config), origins_back = config_origins(back);
        g_assert_true(json_equal(origins, origins_back));
    }
}

/* The worker trusts what was carried: it needs neither the files nor a descriptor. */
static void test_exchange_needs_nothing(void)
{
    g_autofree char *data = temp_file(".jsonl", "{\"prompt\": \"x\"}\n"), *model = temp_file(".gguf", "GGUF");
    g_autofree char *text = g_strdup_printf("model: %s\nbackend: llamacpp\ndataset: %s\n", model, data);
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_config) config = config_of(text, NULL, &study);
    unlink(data);
    unlink(model);
    g_setenv("LLEM_ENGINES_PATH", "/nowhere", TRUE);
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_config) back = sent(config, &error);
    g_setenv("LLEM_ENGINES_PATH", LLEM_SOURCE_DIR "/engines", TRUE);
    g_assert_no_error(error);
    g_assert_cmpstr(config_hash(back), ==, config_hash(config));
    g_assert_cmpint(json_integer_value(config_value_at(back, "llamacpp.n_threads")), ==, 1);
    int64_t threads = 0;
    g_assert_true(config_role_int(back, ROLE_THREADS, &threads));
    g_assert_cmpint(threads, ==, 1);
    g_assert_cmpstr(config_role_kv_type(back, 1), ==, "f16");
    g_assert_cmpstr(config_role_kv_type(config, 1), ==, "f16");
    g_assert_null(config_engine(back));
    g_assert_cmpstr(backend_name(config_engine(config)), ==, "llamacpp");
}

static void test_exchange_refuses(void)
{
    static const struct {
        const char *path, *json, *said;
        int code;
    } changes[] = {
        {"config.n", "7", "config.n is not what the hash was made of", LLEM_ERROR_DATA},
        {"config.max_output_tokens", "7", "config.max_output_tokens is not what", LLEM_ERROR_DATA},
        {"config.backend", "\"sim\"", "config.backend is not what", LLEM_ERROR_DATA},
        {"config.pytorch.batch_size", "7", "config.pytorch.batch_size is not what", LLEM_ERROR_DATA},
        {"config.n", "\"7\"", "config.n: found a string", LLEM_ERROR_DATA},
        {"hashed.fields.n", "7", "hashes to", LLEM_ERROR_DATA},
        {"hash", "\"0000000000000000\"", "not to 0000000000000000", LLEM_ERROR_DATA},
        {"config", "{}", "config.model is missing", LLEM_ERROR_DATA},
    };
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_config) config = config_of("model: m\nn: 20\npytorch: {batch_size: 2}\n", NULL, &study);
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(json_t) root = json_pack("{s:o, s:o, s:s}", "config", config_tree(config), "hashed",
                                           config_hashed(config), "hash", config_hash(config));
        jsonx_set_at(root, changes[i].path, jsonx_parse(changes[i].json, -1, "x", NULL));
        g_autoptr(GError) error = NULL;
        const struct config_parts parts = {.values = json_object_get(root, "config"),
                                           .hashed = json_object_get(root, "hashed")};
        g_assert_null(config_from_values(&parts, json_string_value(json_object_get(root, "hash")), &error));
        g_assert_error(error, LLEM_ERROR, changes[i].code);
        if (!strstr(error->message, changes[i].said))
            g_error("%s", error->message);
    }
}

int main(int argc, char **argv)
{
    /* The cache of the machine stays out of it. (G_TEST_OPTION_ISOLATE_DIRS leaks, which LeakSanitizer would
     * report.) */
    g_autofree char *cache = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    g_setenv("XDG_CONFIG_HOME", cache, TRUE);
    g_setenv("LLEM_ENGINES_PATH", LLEM_SOURCE_DIR "/engines", TRUE);
    /* A data set that is read quickly. */
    g_autofree char *data = g_build_filename(cache, DEFAULT_DATASET ".jsonl", NULL);
    g_autofree char *names = g_build_filename(cache, "datasets.json", NULL);
    g_autofree char *list = NULL;
    g_assert_true(g_file_get_contents(LLEM_SOURCE_DIR "/data/datasets.json", &list, NULL, NULL));
    g_assert_true(g_file_set_contents(names, list, -1, NULL));
    g_assert_true(g_file_set_contents(data, "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n", -1, NULL));
    g_setenv("LLEM_DATA_DIR", cache, TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/precision of a file", test_precision_of_a_file);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/layers", test_layers);
    g_test_add_func("/config/user file", test_user_file_is_bounded);
    g_test_add_func("/config/typed by field", test_typed_by_field);
    g_test_add_func("/config/exclusive values", test_exclusive_values);
    g_test_add_func("/config/overrides of axes", test_overrides_of_axes);
    g_test_add_func("/config/relative paths", test_paths_are_relative_to_the_file);
    g_test_add_func("/config/exchange", test_exchange);
    g_test_add_func("/config/exchange needs nothing", test_exchange_needs_nothing);
    g_test_add_func("/config/exchange refuses", test_exchange_refuses);
    add_engine_tests();
    add_rows_tests();
    add_hash_tests();
    add_message_tests();
    int failed = g_test_run();
    file_remove_tree(cache, NULL);
    return failed;
}
