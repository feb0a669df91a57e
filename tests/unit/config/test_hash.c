/* SPDX-License-Identifier: MIT */
/* The hash: what changes it and what must not, over every row. */
#include "help.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static const unsigned backends[] = {CONFIG_LLAMACPP, CONFIG_PYTORCH, CONFIG_VLLM, CONFIG_SIM};

/* What must stand beside a field so that it has a meaning, and a value other than the default where none can be made. */
static const struct {
    const char *path, *beside, *other;
} hints[] = {
    {"decoder.top_k", "decoder.temperature: 1", NULL},
    {"decoder.top_p", "decoder.temperature: 1", NULL},
    {"decoder.min_p", "decoder.temperature: 1", NULL},
    {"decoder.min_new_tokens", "decoder.ignore_eos: false", "3"},
    {"energy.modelled_watts_per_core", "energy.modelled: true", "[1, 2]"},
    {"pytorch.torch_compile_mode", "pytorch.torch_compile: true", NULL},
    {"pytorch.torch_compile_backend", "pytorch.torch_compile: true", NULL},
    {"pytorch.bnb_4bit_compute_dtype", "pytorch.load_in_4bit: true", NULL},
    {"pytorch.bnb_4bit_quant_type", "pytorch.load_in_4bit: true", NULL},
    {"pytorch.bnb_4bit_use_double_quant", "pytorch.load_in_4bit: true", NULL},
    {"pytorch.autocast_dtype", "pytorch.autocast_enabled: true", NULL},
    {"pytorch.early_stopping", "pytorch.num_beams: 2", NULL},
    {"pytorch.length_penalty", "pytorch.num_beams: 2", "0.5"},
    {"pytorch.tp_size", "pytorch.tp_plan: auto", NULL},
    {"sim.max_context", NULL, "100000"},
    {"llamacpp.n_batch", NULL, "640"},
    {"llamacpp.n_ubatch", NULL, "64"},
    {"energy.calibration", NULL, LLEM_SOURCE_DIR "/tests/unit/config"},
    {"dataset", NULL, LLEM_SOURCE_DIR "/tests/unit/config/two.jsonl"},
};

static const char *beside_of(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hints); i++)
        if (!strcmp(hints[i].path, path) && hints[i].beside)
            return hints[i].beside;
    return "";
}

/* A value that is not the row's default, as YAML. */
static char *other_value(const struct config_field *row)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hints); i++)
        if (!strcmp(hints[i].path, row->path) && hints[i].other)
            return g_strdup(hints[i].other);
    double initial = row->initial ? g_ascii_strtod(row->initial, NULL) : 0;
    switch (row->type) {
    case CONFIG_BOOL:
        return g_strdup(!g_strcmp0(row->initial, "true") ? "false" : "true");
    case CONFIG_INT:
        if (!row->initial)
            return isfinite(row->max) ? g_strdup_printf("%.0f", row->max) : g_strdup("1000000");
        return g_strdup_printf("%.0f", initial < row->max ? initial + 1 : initial - 1);
    case CONFIG_REAL:
    case CONFIG_REALS:
        return g_strdup_printf("%.17g", initial / 2 + (isfinite(row->max) ? row->max : 10) / 4);
    case CONFIG_CHOICE: {
        bool first = row->initial && strstr(row->initial, row->choices[0].name);
        return g_strdup(row->choices[first ? 1 : 0].name);
    }
    case CONFIG_TEXT:
        return g_strdup("another");
    case CONFIG_SPAN:
        return g_strdup("[1, 2]");
    case CONFIG_INTS:
        return g_strdup("[3]");
    case CONFIG_MAP:
        return g_strdup("{zz: 1}");
    }
    return NULL;
}

static char *with_line(unsigned backend, const char *path, const char *value)
{
    g_autofree char *model = strcmp(path, "model") ? g_strdup("model: m\n") : g_strdup("");
    return g_strdup_printf("%sbackend: %s\n%s\n%s: %s\n", model, config_backend_name(backend), beside_of(path), path,
                           value);
}

static char *base_hash(unsigned backend, const char *path)
{
    g_autofree char *text = g_strdup_printf("model: m\nbackend: %s\n%s\n", config_backend_name(backend),
                                            beside_of(path));
    return hash_of(text);
}

/* do_sample follows from the temperature, and backend is the context of every other line. */
static bool is_special(const char *path)
{
    static const char *const paths[] = {"backend", "decoder.do_sample", "decoder.preset", NULL};
    return g_strv_contains(paths, path);
}

/* A rule refuses every value but the default one. */
static bool is_refused(unsigned backend, const char *path)
{
    return backend == CONFIG_LLAMACPP && !strcmp(path, "decoder.min_new_tokens");
}

static void test_every_row(void)
{
    const struct config_field *rows;
    size_t n = config_fields(&rows);
    for (size_t b = 0; b < G_N_ELEMENTS(backends); b++) {
        for (size_t i = 0; i < n; i++) {
            const struct config_field *row = &rows[i];
            if (!(row->backends & backends[b]) || is_special(row->path) || is_refused(backends[b], row->path))
                continue;
            g_autofree char *before = base_hash(backends[b], row->path);
            g_autofree char *other = other_value(row);
            g_autofree char *text = with_line(backends[b], row->path, other);
            g_autofree char *after = hash_of(text);
            if (!!strcmp(before, after) != !!(row->flags & CONFIG_HASHED))
                g_error("%s: %s, %s the hash", row->path, other, strcmp(before, after) ? "changes" : "does not change");
        }
    }
}

static void test_defaults_written_out(void)
{
    const struct config_field *rows;
    size_t n = config_fields(&rows);
    for (size_t b = 0; b < G_N_ELEMENTS(backends); b++) {
        g_autoptr(GString) all = g_string_new("");
        for (size_t i = 0; i < n; i++) {
            const struct config_field *row = &rows[i];
            if (!(row->backends & backends[b]) || is_special(row->path) || !row->initial ||
                (row->flags & CONFIG_STUDY))
                continue;
            g_autofree char *before = base_hash(backends[b], row->path);
            g_autofree char *text = with_line(backends[b], row->path, row->initial);
            g_autofree char *after = hash_of(text);
            g_assert_cmpstr(before, ==, after);
            g_string_append_printf(all, "%s: %s\n", row->path, row->initial);
        }
        /* All at once, in the reverse order of the rows. */
        g_auto(GStrv) lines = g_strsplit(all->str, "\n", -1);
        g_autoptr(GString) text = g_string_new("");
        for (size_t k = g_strv_length(lines); k-- > 0;)
            g_string_append_printf(text, "%s\n", lines[k]);
        g_string_append_printf(text, "backend: %s\nmodel: m\ndecoder.do_sample: false\n",
                               config_backend_name(backends[b]));
        g_autofree char *whole = hash_of(text->str);
        g_autofree char *plain = base_hash(backends[b], "");
        g_assert_cmpstr(whole, ==, plain);
    }
}

static void test_same_work_same_hash(void)
{
    static const char *const pairs[][2] = {
        {"model: m\nn: 5\nprecision: fp16\n", "precision: fp16\nn: 5\nmodel: m\n"},
        {"model: m\ndecoder: {temperature: 0}\n", "model: m\ndecoder.temperature: 0.0\n"},
        {"model: m\n", "{\"model\": \"m\", \"backend\": \"pytorch\"}"},
        {"model: m\ndecoder: {preset: deterministic}\n", "model: m\n"},
        {"model: m\ndecoder: {preset: standard}\n",
         "model: m\ndecoder: {temperature: 1, do_sample: true, top_p: 0.95}\n"},
        {"model: m\ndecoder: {top_p: 0.3}\n", "model: m\n"},                              /* greedy: no effect */
        {"model: m\nwarmup: {enabled: false, n_warmup: 9}\n", "model: m\nwarmup: {enabled: false}\n"},
        {"model: m\nbackend: llamacpp\nllamacpp: {n_threads: 2}\n",
         "model: m\nbackend: llamacpp\nllamacpp: {n_threads: 2, n_threads_batch: 2}\n"},
        {"model: m\nbackend: llamacpp\nllamacpp: {quantization: null}\n", "model: m\nbackend: llamacpp\n"},
        {"model: m\noutput_dir: a\nname: x\nlimits: {timeout_seconds: 5}\n", "model: m\n"},
        {"model: m\nn: 100\n", "model: m\nn: 1e2\n"},
        {"model: m\nbackend: sim\nsim: {token_us: 5}\n", "model: m\nbackend: sim\nsim: {token_us: [5]}\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *a = hash_of(pairs[i][0]), *b = hash_of(pairs[i][1]);
        g_test_message("%s", pairs[i][0]);
        g_assert_cmpstr(a, ==, b);
    }
}

/* The definition, put together anew: canonical JSON of the hashed fields that apply, with the schema's version. */
static void test_definition(void)
{
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_config) config = config_of("model: m\nbackend: sim\nsim: {jitter: 0.1}\n", NULL, &study);
    json_t *flat = json_object();
    const struct config_field *rows;
    size_t n = config_fields(&rows);
    for (size_t i = 0; i < n; i++)
        if ((rows[i].flags & CONFIG_HASHED) && config_value_at(config, rows[i].path))
            json_object_set(flat, rows[i].path, config_value_at(config, rows[i].path));
    g_autoptr(json_t) root = json_object();
    json_object_set_new(root, "fields", flat);
    json_object_set_new(root, "schema", json_integer(CONFIG_HASH_SCHEMA));
    g_autofree char *digest = jsonx_sha256(root);
    digest[16] = '\0';
    g_assert_cmpstr(config_hash(config), ==, digest);
}

static void test_files_by_content(void)
{
    g_autofree char *a = temp_file(".jsonl", "one\n"), *b = temp_file(".jsonl", "one\n");
    g_autofree char *c = temp_file(".jsonl", "two\n");
    char *hashes[3];
    const char *const paths[] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("model: m\ndataset: %s\n", paths[i]);
        hashes[i] = hash_of(text);
    }
    g_assert_cmpstr(hashes[0], ==, hashes[1]);
    g_assert_cmpstr(hashes[0], !=, hashes[2]);
    for (int i = 0; i < 3; i++) {
        unlink(paths[i]);
        g_free(hashes[i]);
    }
}

static char *model_folder(const char *weights, const char *hidden)
{
    char *dir = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    g_autofree char *below = g_build_filename(dir, "sub", NULL);
    g_autofree char *config = g_build_filename(dir, "config.json", NULL);
    g_autofree char *file = g_build_filename(below, "weights", NULL);
    g_autofree char *cache = g_build_filename(dir, ".cache", NULL);
    g_assert_true(file_make_dirs(below, NULL));
    g_file_set_contents(config, "{}", -1, NULL);
    g_file_set_contents(file, weights, -1, NULL);
    g_file_set_contents(cache, hidden, -1, NULL);
    return dir;
}

static void test_model_folder(void)
{
    char *dirs[] = {model_folder("w", "x"), model_folder("w", "y"), model_folder("v", "x")};
    char *hashes[3];
    for (int i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("model: %s\n", dirs[i]);
        hashes[i] = hash_of(text);
        file_remove_tree(dirs[i], NULL);
    }
    g_assert_cmpstr(hashes[0], ==, hashes[1]);
    g_assert_cmpstr(hashes[0], !=, hashes[2]);
    for (int i = 0; i < 3; i++) {
        g_free(dirs[i]);
        g_free(hashes[i]);
    }
}

/* The digest of a large file is remembered, and forgotten as soon as the file changes. */
static void test_large_file(void)
{
    enum { SIZE = 17 << 20 };
    g_autofree char *path = temp_file(".gguf", "");
    g_autofree char *content = g_strnfill(SIZE, 'a');
    g_autofree char *text = g_strdup_printf("model: %s\n", path);
    g_assert_true(g_file_set_contents(path, content, SIZE, NULL));
    g_usleep(2100 * 1000); /* younger files are not remembered */
    g_autofree char *first = hash_of(text), *again = hash_of(text);
    g_assert_cmpstr(first, ==, again);
    g_autofree char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, path, -1);
    g_autofree char *note = g_build_filename(g_get_user_cache_dir(), "llem", "digests", key, NULL);
    g_assert_true(g_file_test(note, G_FILE_TEST_EXISTS));
    content[SIZE / 2] = 'b';
    g_assert_true(g_file_set_contents(path, content, SIZE, NULL));
    g_autofree char *changed = hash_of(text);
    g_assert_cmpstr(first, !=, changed);
    unlink(path);
}

static void test_without_digests(void)
{
    const struct config_file_options options = {.skip_digests = true};
    g_autoptr(owned_config_file) study = parse_ok("model: /nowhere/x.gguf\n", &options);
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config) config = config_file_resolve(study, NULL, 0, diag);
    g_assert_null(config_hash(config));
}

void add_hash_tests(void)
{
    g_test_add_func("/config/hash/every row", test_every_row);
    g_test_add_func("/config/hash/defaults written out", test_defaults_written_out);
    g_test_add_func("/config/hash/same work", test_same_work_same_hash);
    g_test_add_func("/config/hash/definition", test_definition);
    g_test_add_func("/config/hash/files by content", test_files_by_content);
    g_test_add_func("/config/hash/model folder", test_model_folder);
    g_test_add_func("/config/hash/large file", test_large_file);
    g_test_add_func("/config/hash/without digests", test_without_digests);
}
