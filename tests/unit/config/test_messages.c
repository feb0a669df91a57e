/* SPDX-License-Identifier: MIT */
/* Golden texts: tests/golden/config/NAME.yaml is wrong, NAME.txt is what llem says of it. LLEM_UPDATE_GOLDEN=1 writes
 * the texts anew. */
#include "help.h"

#include "config/internal.h"

#include <string.h>

#define GOLDEN LLEM_SOURCE_DIR "/tests/golden/config"

static char *said_of(const char *file)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autofree char *text = NULL;
    gsize length = 0;
    g_autofree char *path = g_build_filename(GOLDEN, file, NULL);
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    g_autoptr(owned_config_file) study = config_file_parse(file, text, length, GOLDEN, NULL, diag);
    if (study)
        g_error("nothing is wrong with %s", file);
    g_autofree char *said = diag_render(diag, false);
    GString *portable = g_string_new(said);
    g_string_replace(portable, GOLDEN, "FOLDER", 0);
    return g_string_free(portable, FALSE);
}

static void test_file(const void *data)
{
    const char *name = data;
    g_autofree char *file = g_strconcat(name, ".yaml", NULL);
    g_autofree char *golden = g_strdup_printf(GOLDEN "/%s.txt", name);
    g_autofree char *said = said_of(file);
    g_autofree char *kept = NULL;
    if (g_getenv("LLEM_UPDATE_GOLDEN"))
        g_assert_true(g_file_set_contents(golden, said, -1, NULL));
    g_file_get_contents(golden, &kept, NULL, NULL);
    g_assert_cmpstr(said, ==, kept);
}

static const struct {
    const char *text, *said;
} single[] = {
    {"model: m\nbackend: llamacpp\nllamacpp: {n_batch: 64, n_ubatch: 512}\n",
     "file.yaml:3:21: error: llamacpp.n_batch must be at least llamacpp.n_ubatch; they are 64 and 512"},
    {"model: m\nbackend: llamacpp\nllamacpp: {type_v: q8_0}\n", "llamacpp.type_v: q8_0 needs llamacpp.flash_attn"},
    {"model: m\nbackend: llamacpp\nllamacpp: {n_ctx: 100}\n", "n_parallel times max_input_tokens + max_output_tokens "
                                                              "need 640"},
    {"model: m\npytorch: {load_in_4bit: true, load_in_8bit: true}\n", "exclude each other"},
    {"model: m\npytorch: {tp_size: 2}\n", "needs pytorch.tp_plan to be set"},
    {"model: m\nprecision: fp32\npytorch: {attn_implementation: flash_attention_2}\n", "no 32-bit kernels"},
    {"model: m\ndecoder: {do_sample: true}\n", "needs decoder.temperature to be other than 0.0"},
    {"model: m\ndecoder: {do_sample: false, temperature: 1}\n", "without sampling the temperature has no effect"},
    {"model: m\nwarmup: {n_warmup: 50}\n", "warmup.max_prompts must be at least warmup.n_warmup"},
    {"model: m\nbackend: [pytorch, vllm]\n", "to run each of them write  sweep: {backend: [...]}"},
    {"model: m\nbackend: pytorch\nvllm: {engine: {max_num_seqs: 2}}\n",
     "file.yaml:3:31: error: vllm.engine.max_num_seqs does not apply to backend pytorch"},
    {"model: m\nbackend: pytorch\nsweep: {llamacpp.n_threads: [1]}\n", "does not apply to backend pytorch"},
    {"model: m\nn: 5\nsweep: {n: [1, 2]}\n", "file.yaml:2:4: error: n is fixed here and swept in line 3"},
    {"model: m\nsweep: [n]\n", "expected a mapping of fields to lists"},
    {"model: m\nsweep: {n: [1, two]}\n", "file.yaml:2:16: error: n: expected an integer"},
    {"model: m\nsweep: {execution.n_cycles: [1]}\n", "cannot be swept"},
    {"model: m\nn: 1\nn: 2\n", "the key 'n' is given twice"},
    {"model: m\ndecoder: {temperature: 0}\ndecoder.temperature: 1\n", "decoder.temperature is given twice"},
    {"model: m\ndecoder: 3\n", "decoder: expected a mapping of fields, found 3"},
    {"model: ''\n", "model: expected a text"},
    {"model: [a]\n", "to run each of them"},
    {"model: /nowhere/model.gguf\n", "file.yaml:1:8: error: model: cannot open /nowhere/model.gguf"},
    {"model: m\ndataset: /nowhere/x.jsonl\n", "dataset: cannot open /nowhere/x.jsonl"},
    {"model: m\ndataset: llem-mixx\n", "did you mean llem-mix?"},
    {"model: m\nbackend: vllm\npassthrough_kwargs: {seed: 1}\n", "llem sets this argument of vLLM itself (random_seed)"},
    {"model: m\npassthrough_kwargs: {n: 1}\n", "'n' has a field of its own"},
    {"model: m\nn: '5'\n", "leave out the quotes"},
    {"model: m\nn_threads: 2\n", "did you mean 'pytorch.n_threads'?"},
    {"model: m\nbackend: llamacpp\nn_threads: 2\n", "did you mean 'llamacpp.n_threads'?"},
    {"model: m\nprecision: fp8\n", "quantisation belongs to the backend: vllm.engine.quantization\n"},
    {"model: m\nbackend: hf\n", "write pytorch"},
    {"model: m\nbackend: of\n", "found \"of\"\n    2 | backend: of\n      |          ^~\n"},
    {"model: m\nn: 1_000\n", "write the number without separators"},
    {"model: m\nn: .nan\n", "n: expected an integer"},
    {"model: m\ndecoder: {top_p: .inf}\n", "decoder.top_p: expected a number from 0 to 1"},
    {"model: m\nenergy: {modelled_watts_per_core: [9, 3]}\n", "in ascending order"},
    {"", "expected a mapping of fields, found nothing"},
    {"- a\n", "expected a mapping of fields, found a list of 1"},
};

static void test_single(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(single); i++) {
        g_autofree char *said = errors_of(single[i].text);
        if (strstr(said, single[i].said))
            continue;
        g_test_message("%s\n%s", single[i].text, said);
        g_test_fail();
    }
}

static void test_overrides(void)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"n", "command line 'n': error: expected FIELD=VALUE"},
        {"n=[1,", "command line 'n=[1,':1:4: error: expected a value here"},
        {"n={", "command line 'n={':1:2: error: expected a value here"},
        {"n=99999999999999999999", "command line 'n=99999999999999999999': error: n: expected an integer"},
        {"n=many", "command line 'n=many': error: n: expected an integer"},
        {"m=1", "unknown field 'm'"},
        {"sweep.output_dir=[a]", "output_dir cannot be swept"},
        {"sweep.n=[]", "n has no levels"},
        {"n=[1", "this '[' is not closed properly"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const overrides[] = {rows[i].text, NULL};
        const struct config_file_options options = {.overrides = overrides};
        g_autoptr(owned_diag) diag = diag_new();
        g_assert_null(config_file_parse("f", "model: m\n", 9, "/", &options, diag));
        g_autofree char *said = diag_render(diag, false);
        if (!strstr(said, rows[i].said))
            g_error("%s: %s", rows[i].text, said);
    }
}

/* Every name that is no longer taken is refused with its own message, wherever it stands. */
static void test_retired(void)
{
    static const char *const paths[] = {"tensorrt", "lora", "dtype", "vllm.engine.swap_space", "llamacpp.use_mmap",
                                        "vllm.engine.use_v2_block_manager", "execution.cycle_order"};
    g_autoptr(owned_config_table) table = whole_table();
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *text = g_strdup_printf("model: m\nbackend: vllm\n%s: 1\n", paths[i]);
        g_autofree char *said = errors_of(text), *message = retired_name_message(table, paths[i]);
        g_assert_nonnull(message);
        g_assert_nonnull(strstr(said, message));
    }
}

void add_message_tests(void)
{
    g_autoptr(GError) error = NULL;
    GDir *dir = g_dir_open(GOLDEN, 0, &error);
    g_assert_no_error(error);
    const char *name;
    unsigned n = 0;
    while ((name = g_dir_read_name(dir))) {
        if (!g_str_has_suffix(name, ".yaml"))
            continue;
        char *base = g_strndup(name, strlen(name) - strlen(".yaml"));
        g_autofree char *path = g_strdup_printf("/config/golden/%s", base);
        g_test_add_data_func_full(path, base, test_file, g_free);
        n++;
    }
    g_dir_close(dir);
    g_assert_cmpuint(n, >=, 15);
    g_test_add_func("/config/messages", test_single);
    g_test_add_func("/config/messages of overrides", test_overrides);
    g_test_add_func("/config/retired names", test_retired);
}
