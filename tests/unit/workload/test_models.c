/* SPDX-License-Identifier: MIT */
/* The catalogue: which file is meant, what is missing and how to get it, and pulls with a stand-in quantizer. */
#include "workload/workload.h"

#include "gguf_writer.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL "smollm2-135m-instruct"

static char *models_dir; /* LLEM_MODELS_DIR of these tests */

static char *put_file(const char *folder, const char *name, const GByteArray *bytes)
{
    char *path = g_build_filename(folder, name, NULL);
    g_assert_true(file_make_dirs(folder, NULL));
    g_assert_true(g_file_set_contents(path, (const char *)bytes->data, bytes->len, NULL));
    return path;
}

static void test_catalogue(void)
{
    size_t n;
    const struct workload_model *models = workload_catalogue(&n);
    g_assert_cmpuint(n, >=, 1);
    for (size_t i = 0; i < n; i++) {
        g_assert_false(models[i].forms[0].derived);
        g_assert_nonnull(models[i].forms[0].sha256);
        for (size_t k = 0; k < models[i].n_forms; k++) {
            const struct workload_form *form = &models[i].forms[k];
            bool folder = form->format == WORKLOAD_FORMAT_HF; /* picked by the engine that takes one */
            g_assert_cmpint((form->precision != NULL) + (form->quantization != NULL), ==, folder ? 0 : 1);
            g_assert_true(workload_model_form(&models[i], form->name) == form);
        }
    }
    g_assert_true(workload_catalogue_find(MODEL) == &models[0]);
    g_assert_true(workload_catalogue_find("huggingfacetb/smollm2-135m-instruct") == &models[0]);
    g_assert_null(workload_catalogue_find("gpt2"));
}

static const struct backend *find(const char *name)
{
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(name, &error);
    g_assert_no_error(error);
    return backend;
}

static void test_resolve_refused(void)
{
    g_autoptr(GByteArray) tiny = gguf_tiny_llama();
    g_autofree char *file = put_file(models_dir, "tiny.gguf", tiny);
    g_byte_array_set_size(tiny, tiny->len - 1);
    g_autofree char *torn = put_file(models_dir, "torn.gguf", tiny);
    struct {
        const char *model, *backend, *precision, *quantization;
        enum llem_error_code code;
        const char *message;
    } cases[] = {
        {MODEL, "llamacpp", NULL, "q8_0", LLEM_ERROR_MISSING,
         "llem model pull " MODEL " --form q8_0"},
        {MODEL, "llamacpp", "bf16", NULL, LLEM_ERROR_MISSING,
         "llem model pull " MODEL " --form bf16"},
        {MODEL, "llamacpp", NULL, NULL, LLEM_ERROR_MISSING, "get it with: llem model pull " MODEL},
        {MODEL, "llamacpp", NULL, "q5_k_m", LLEM_ERROR_CONFIG, "it has q4_1, q4_0, q8_0"},
        {MODEL, "llamacpp", "int8", NULL, LLEM_ERROR_CONFIG, "it has fp16, bf16, fp32"},
        {MODEL, "llamacpp", "bf16", "q8_0", LLEM_ERROR_CONFIG, "exclude each other"},
        {MODEL, "pytorch", "bf16", NULL, LLEM_ERROR_MISSING, MODEL " --form folder"},
        {"smollm2-135-instruct", "llamacpp", NULL, NULL, LLEM_ERROR_CONFIG,
         "did you mean '" MODEL "'?"},
        {"./none.gguf", "llamacpp", NULL, NULL, LLEM_ERROR_CONFIG,
         "model: ./none.gguf is not there"},
        {models_dir, "llamacpp", NULL, NULL, LLEM_ERROR_CONFIG, "llamacpp needs a GGUF file"},
        {models_dir, "pytorch", NULL, NULL, LLEM_ERROR_CONFIG, "no config.json"},
        {file, "vllm", NULL, NULL, LLEM_ERROR_CONFIG, "vllm needs a folder"},
        {file, "llamacpp", NULL, "q8_0", LLEM_ERROR_CONFIG, "holds f32 weights"},
        {file, "llamacpp", "bf16", NULL, LLEM_ERROR_CONFIG, "precision: bf16, but"},
        {torn, "llamacpp", NULL, NULL, LLEM_ERROR_DATA, "truncated"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct workload_resolved none = {0};
        g_test_message("%s", cases[i].message);
        g_assert_false(workload_model_resolve(cases[i].model, find(cases[i].backend), cases[i].precision,
                                              cases[i].quantization, &none, &error));
        g_assert_error(error, LLEM_ERROR, (int)cases[i].code);
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
}

static void test_resolve_found(void)
{
    g_autoptr(GByteArray) tiny = gguf_tiny_llama();
    const struct workload_model *model = workload_catalogue_find(MODEL);
    g_autofree char *dir = workload_model_dir(model);
    g_autofree char *expected = put_file(dir, workload_model_form(model, "f16")->file, tiny);
    g_auto(owned_resolved) found = {0}, path = {0}, sim = {0};
    g_assert_true(workload_model_resolve("HuggingFaceTB/SmolLM2-135M-Instruct", find("llamacpp"), "fp16",
                                         NULL, &found, NULL));
    g_assert_cmpstr(found.path, ==, expected);
    g_assert_cmpstr(found.form->name, ==, "f16");
    g_assert_true(workload_model_resolve(expected, find("llamacpp"), "fp32", NULL, &path, NULL));
    g_assert_null(path.model);
    g_assert_cmpstr(path.path, ==, expected);
    g_assert_true(workload_model_resolve("anything", find("sim"), "bf16", NULL, &sim, NULL));
    g_assert_null(sim.path);
    g_assert_cmpint(unlink(expected), ==, 0);
}

/* A packaged form counts only with its full size: a torn copy is fetched again. */
static void test_present(void)
{
    g_autoptr(GByteArray) tiny = gguf_tiny_llama();
    const struct workload_model *model = workload_catalogue_find(MODEL);
    g_autofree char *dir = workload_model_dir(model);
    g_autofree char *path = put_file(dir, model->forms[0].file, tiny);
    g_assert_false(workload_form_present(model, &model->forms[0]));
    g_assert_cmpint(truncate(path, model->forms[0].bytes), ==, 0);
    g_assert_true(workload_form_present(model, &model->forms[0]));
    g_assert_cmpint(unlink(path), ==, 0);
}

/* The packaged form in place (by its size), so that derived forms can be made from it. */
static char *fake_packaged(const struct workload_model *model)
{
    g_autofree char *dir = workload_model_dir(model);
    g_autoptr(GByteArray) tiny = gguf_tiny_llama();
    char *path = put_file(dir, model->forms[0].file, tiny);
    g_assert_cmpint(truncate(path, model->forms[0].bytes), ==, 0);
    return path;
}

static void count_lines(const char *line, void *data)
{
    g_test_message("%s", line);
    ++*(int *)data;
}

static void test_pull_derived(void)
{
    const struct workload_model *model = workload_catalogue_find(MODEL);
    const struct workload_form *f32 = workload_model_form(model, "f32"),
                               *q8 = workload_model_form(model, "q8_0");
    g_autofree char *packaged = fake_packaged(model);
    g_autofree char *made = workload_form_path(model, f32), *wrong = workload_form_path(model, q8);
    /* Copies the (f32) file: right for f32, wrong for q8_0. "false" fails half way. */
    char copy[] = "sh", c[] = "-c", script[] = "head -c 300000 \"$0\" >\"$1\"",
         breaks[] = "echo no space >&2; echo x >\"$1\"; exit 3";
    char *copier[] = {copy, c, script, NULL}, *breaker[] = {copy, c, breaks, NULL};
    int n_lines = 0;
    const struct fetch_voice counts = {count_lines, &n_lines};
    g_autoptr(GError) none = NULL, failed = NULL, error = NULL, torn = NULL;

    g_assert_false(workload_model_pull(model, f32, NULL, NULL, &none));
    g_assert_error(none, LLEM_ERROR, LLEM_ERROR_MISSING);
    g_assert_false(workload_model_pull(model, f32, breaker, NULL, &failed));
    g_assert_error(failed, LLEM_ERROR, LLEM_ERROR_ENGINE);
    g_assert_nonnull(strstr(failed->message, "no space"));
    g_assert_false(g_file_test(made, G_FILE_TEST_EXISTS));

    g_assert_true(workload_model_pull(model, f32, copier, &counts, &error));
    g_assert_no_error(error);
    g_assert_cmpint(n_lines, ==, 1);
    g_assert_true(workload_form_present(model, f32));
    g_assert_true(workload_model_pull(model, f32, breaker, &counts, NULL)); /* there: nothing runs */
    g_assert_cmpint(n_lines, ==, 1);

    g_assert_false(workload_model_pull(model, q8, copier, NULL, &torn));
    g_assert_error(torn, LLEM_ERROR, LLEM_ERROR_DATA);
    g_assert_nonnull(strstr(torn->message, "came out as f32"));
    g_assert_false(g_file_test(wrong, G_FILE_TEST_EXISTS));
    g_autofree char *dir = workload_model_dir(model);
    g_autofree char *work = g_build_filename(dir, ".pull", NULL);
    g_assert_false(g_file_test(work, G_FILE_TEST_EXISTS));
    g_assert_cmpint(unlink(made) | unlink(packaged), ==, 0);
}

/* A folder is moved into place whole, or not at all. */
static void test_pull_folder(void)
{
    const struct workload_model *model = workload_catalogue_find(MODEL);
    const struct workload_form *folder = workload_model_form(model, "folder");
    const struct backend *takes = find("pytorch");
    g_autofree char *packaged = fake_packaged(model), *path = workload_form_path(model, folder);
    char sh[] = "sh", c[] = "-c", empty[] = "mkdir \"$1\"",
         good[] = "mkdir \"$1\" && printf '{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 64, "
                  "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
                  "\"intermediate_size\": 128, \"vocab_size\": 512, \"max_position_embeddings\": 256, "
                  "\"torch_dtype\": \"float32\"}' >\"$1/config.json\" && test $# = 1";
    char *nothing[] = {sh, c, empty, NULL}, *maker[] = {sh, c, good, NULL};
    g_auto(owned_resolved) resolved = {0};
    g_autoptr(GError) absent = NULL, torn = NULL, error = NULL;
    g_assert_false(workload_model_resolve(MODEL, takes, "bf16", NULL, &resolved, &absent));
    g_assert_error(absent, LLEM_ERROR, LLEM_ERROR_MISSING);
    g_assert_nonnull(strstr(absent->message, "llem model pull " MODEL " --form folder"));
    g_assert_false(workload_model_pull(model, folder, nothing, NULL, &torn));
    g_assert_nonnull(torn);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_true(workload_model_pull(model, folder, maker, NULL, &error));
    g_assert_no_error(error);
    g_assert_true(workload_model_resolve(MODEL, takes, "bf16", NULL, &resolved, &error));
    g_assert_cmpstr(resolved.path, ==, path);
    g_assert_cmpint(resolved.format, ==, WORKLOAD_FORMAT_HF);
    g_assert_true(file_remove_tree(path, NULL));
    g_assert_cmpint(unlink(packaged), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    models_dir = g_dir_make_tmp("llem-XXXXXX", NULL);
    g_setenv("LLEM_MODELS_DIR", models_dir, TRUE);
    g_test_add_func("/workload/models/catalogue", test_catalogue);
    g_test_add_func("/workload/models/resolve-refused", test_resolve_refused);
    g_test_add_func("/workload/models/resolve-found", test_resolve_found);
    g_test_add_func("/workload/models/present", test_present);
    g_test_add_func("/workload/models/pull-derived", test_pull_derived);
    g_test_add_func("/workload/models/pull-folder", test_pull_folder);
    int status = g_test_run();
    file_remove_tree(models_dir, NULL);
    g_free(models_dir);
    return status;
}
