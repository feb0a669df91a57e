/* SPDX-License-Identifier: MIT */
/* The hash: what changes it and what must not, over every row. */
#include "config/internal.h"
#include "help.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static const char *const engines[] = {"llamacpp", "pytorch", "vllm", "sim"};

/* What must stand beside a field so that it has a meaning, and a value other than the default where none can be
 * made. */
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
    {"pytorch.compile_config.fullgraph", "pytorch.torch_compile: true", NULL},
    {"pytorch.compile_config.dynamic", "pytorch.torch_compile: true", NULL},
    {"pytorch.compile_config.options", "pytorch.torch_compile: true", NULL},
    {"pytorch.bnb_4bit_compute_dtype", "pytorch.load_in_4bit: true", NULL},
    {"pytorch.bnb_4bit_quant_type", "pytorch.load_in_4bit: true", NULL},
    {"pytorch.bnb_4bit_use_double_quant", "pytorch.load_in_4bit: true", NULL},
    {"pytorch.autocast_dtype", "pytorch.autocast_enabled: true", NULL},
    {"pytorch.early_stopping", "pytorch.num_beams: 2\ndecoder.ignore_eos: false", NULL},
    {"pytorch.length_penalty", "pytorch.num_beams: 2\ndecoder.ignore_eos: false", "0.5"},
    {"pytorch.bnb_4bit_quant_storage", "pytorch.load_in_4bit: true", NULL},
    {"pytorch.llm_int8_has_fp16_weight", "pytorch.load_in_8bit: true", NULL},
    {"pytorch.llm_int8_enable_fp32_cpu_offload", "pytorch.load_in_8bit: true", NULL},
    {"pytorch.offload_buffers", "pytorch.device_map: auto", NULL},
    {"pytorch.llm_int8_threshold", "pytorch.load_in_8bit: true", NULL},
    {"pytorch.cache_backend", "pytorch.cache_implementation: quantized", NULL},
    {"pytorch.cache_nbits", "pytorch.cache_implementation: quantized", "2"},
    {"pytorch.max_matching_ngram_size", "pytorch.prompt_lookup_num_tokens: 2", NULL},
    {"pytorch.assistant_model", NULL, LLEM_SOURCE_DIR "/tests/unit/config"},
    {"pytorch.num_assistant_tokens", "pytorch.assistant_model: " LLEM_SOURCE_DIR "/tests/unit/config", NULL},
    {"pytorch.assistant_confidence_threshold", "pytorch.assistant_model: " LLEM_SOURCE_DIR "/tests/unit/config", NULL},
    {"pytorch.max_memory", "pytorch.device_map: auto", NULL},
    {"pytorch.tp_size", "pytorch.tp_plan: auto", NULL},
    {"sim.max_context", NULL, "100000"},
    {"sim.eos_after", "decoder.ignore_eos: false", NULL},
    {"sim.fail_at", "sim.fail: exit", NULL},
    {"sim.log_mib", "sim.fail: log_flood", NULL},
    {"llamacpp.main_gpu", "llamacpp.split_mode: none", NULL},
    {"llamacpp.tensor_split", NULL, "[3, 1]"},
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

/* What is taken where a text is not any text: by the last part of the path. */
static const struct {
    const char *name, *value;
} formed[] = {
    {"use", "docker:registry.example:5000/me/image:1.2@sha256:0123"},
    {"client", "podman"},
    {"python", "/opt/python/bin/python3.12"},
    {"shm_size", "1.5g"},
    {"mounts", "[/usr, /usr:/host/usr:ro, /tmp:/scratch:rw]"},
    {"environment", "[LANG, TOKENIZERS_PARALLELISM=false]"},
    {"secrets", "[MY_TOKEN]"},
    {"ipc", "host"},
    {"ulimits", "[memlock=-1, \"nofile=1024:2048\"]"},
    {"memory", "512mib"},
    {"network", "none"},
    {"arguments", "[--cap-add=SYS_PTRACE]"},
};

/* A value that is not the row's default, as YAML. */
static char *other_value(const struct config_field *row)
{
    for (size_t i = 0; row->form && i < G_N_ELEMENTS(formed); i++)
        if (!strcmp(strrchr(row->path, '.') + 1, formed[i].name))
            return g_strdup(formed[i].value);
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
        const char *as_is = row->option && row->option->own ? row->option->own : row->initial;
        bool first = as_is && strstr(as_is, row->choices[0].name);
        return g_strdup(row->choices[first ? 1 : 0].name);
    }
    case CONFIG_TEXT:
        return g_strdup("another");
    case CONFIG_SPAN:
        return g_strdup("[1, 2]");
    case CONFIG_INTS:
    case CONFIG_LIST:
    case CONFIG_ANY:
        return g_strdup("[3]");
    case CONFIG_TEXTS:
        return g_strdup("[another]");
    case CONFIG_MAP:
        return g_strdup("{zz: 1}");
    }
    return NULL;
}

static char *with_line(const char *engine, const char *path, const char *value)
{
    g_autofree char *model = strcmp(path, "model") ? g_strdup("model: m\n") : g_strdup("");
    return g_strdup_printf("%sbackend: %s\n%s\n%s: %s\n", model, engine, beside_of(path), path, value);
}

static char *base_hash(const char *engine, const char *path)
{
    g_autofree char *text = g_strdup_printf("model: m\nbackend: %s\n%s\n", engine, beside_of(path));
    return hash_of(text);
}

/* do_sample follows from the temperature, backend is the context of every other line, of gpus their number counts, and
 * modes of load need a size or exclude one (pairs), and what is in passthrough_kwargs are options. */
static bool is_special(const char *path)
{
    static const char *const paths[] = {"backend", "decoder.do_sample", "decoder.preset", "gpus",
                                        "load.mode", "load.size", "passthrough_kwargs", NULL};
    return g_strv_contains(paths, path);
}

/* A rule or the range refuses every value but the default one. */
static bool is_refused(const char *engine, const char *path)
{
    return (!strcmp(engine, "llamacpp") && !strcmp(path, "decoder.min_new_tokens")) || !strcmp(path, "vllm.sampling.n");
}

/* True if a row can stand in a file of this engine. */
static bool is_of(const struct config_field *row, const char *engine)
{
    bool passes = !strcmp(engine, "pytorch") || !strcmp(engine, "vllm");
    return row->engine ? !strcmp(backend_name(row->engine), engine) : passes || !(row->flags & CONFIG_PASSED);
}

static void test_every_row(void)
{
    g_autoptr(owned_config_table) table = whole_table();
    const struct config_field *rows;
    size_t n = config_table_fields(table, &rows);
    for (size_t b = 0; b < G_N_ELEMENTS(engines); b++) {
        for (size_t i = 0; i < n; i++) {
            const struct config_field *row = &rows[i];
            if (!is_of(row, engines[b]) || is_special(row->path) || is_refused(engines[b], row->path))
                continue;
            g_autofree char *before = base_hash(engines[b], row->path);
            g_autofree char *other = other_value(row);
            g_autofree char *text = with_line(engines[b], row->path, other);
            g_autofree char *after = hash_of(text);
            if (!!strcmp(before, after) != !!(row->flags & CONFIG_HASHED))
                g_error("%s: %s, %s the hash", row->path, other, strcmp(before, after) ? "changes" : "does not change");
        }
    }
}

static void test_defaults_written_out(void)
{
    g_autoptr(owned_config_table) table = whole_table();
    const struct config_field *rows;
    size_t n = config_table_fields(table, &rows);
    for (size_t b = 0; b < G_N_ELEMENTS(engines); b++) {
        g_autoptr(GString) all = g_string_new("");
        for (size_t i = 0; i < n; i++) {
            const struct config_field *row = &rows[i];
            if (!is_of(row, engines[b]) || is_special(row->path) || !row->initial ||
                (row->flags & CONFIG_STUDY))
                continue;
            g_autofree char *before = base_hash(engines[b], row->path);
            g_autofree char *text = with_line(engines[b], row->path, row->initial);
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
                               engines[b]);
        g_autofree char *whole = hash_of(text->str);
        g_autofree char *plain = base_hash(engines[b], "");
        g_assert_cmpstr(whole, ==, plain);
    }
}

/* Pairs of files, and whether they are the same work. DATA/x is a file of the test's own. */
static const struct {
    bool same;
    const char *a, *b;
} pairs[] = {
    {true, "model: m\nn: 5\nprecision: fp16\n", "precision: fp16\nn: 5\nmodel: m\n"},
    {true, "model: m\ndecoder: {temperature: 0}\n", "model: m\ndecoder.temperature: 0.0\n"},
    {true, "model: m\n", "{\"model\": \"m\", \"backend\": \"pytorch\"}"},
    {true, "model: m\ndecoder: {preset: deterministic}\n", "model: m\n"},
    {true, "model: m\ndecoder: {preset: standard}\n",
     "model: m\ndecoder: {temperature: 1, do_sample: true, top_p: 0.95}\n"},
    {true, "model: m\nbackend: llamacpp\n", "model: m\nbackend: llamacpp\ngpus: [1]\n"},
    {false, "model: m\nbackend: llamacpp\n", "model: m\nbackend: llamacpp\ngpus: [0, 1]\n"},
    {true, "model: m\nbackend: llamacpp\ngpus: [2, 3]\n", "model: m\nbackend: llamacpp\ngpus: [GPU-1-a, GPU-2-b]\n"},
    {false, "model: m\nbackend: llamacpp\ngpus: [0, 1, 2]\n", "model: m\nbackend: llamacpp\ngpus: [0, 1]\n"},
    {true, "model: m\npytorch.tp_size: 2\npytorch.tp_plan: auto\n",
     "model: m\npytorch.tp_size: 2\npytorch.tp_plan: auto\ngpus: [0, 1]\n"},
    {false, "model: m\npytorch.tp_size: 2\npytorch.tp_plan: auto\n",
     "model: m\npytorch.tp_size: 2\npytorch.tp_plan: auto\ngpus: 0\n"},
    {true, "model: m\nbackend: sim\n", "model: m\nbackend: sim\ngpus: [0, 1]\n"}, /* it uses none */
    {false, "model: m\n", "model: m\nload: {mode: offline}\n"},
    {true, "model: m\nload: {mode: offline}\n", "model: m\nload: {mode: offline, size: 4}\n"}, /* it has none */
    {false, "model: m\nload: {mode: batch, size: 4}\n", "model: m\nload: {mode: batch, size: 8}\n"},
    {true, "model: m\nload: {mode: batch, size: 4}\n", "model: m\nload: {mode: batch, size: 4}\npytorch.batch_size: 4\n"},
    /* A load that the option for the batch says is not said twice. */
    {true, "model: m\nload: {mode: batch, size: 4}\n", "model: m\npytorch.batch_size: 4\n"},
    {true, "model: m\nload: {mode: sequential}\n", "model: m\n"},
    {true, "model: m\nn: 7\nload: {mode: offline}\n", "model: m\nn: 7\npytorch.batch_size: 7\n"},
    {false, "model: m\nbackend: vllm\nload: {mode: offline}\n", "model: m\nbackend: vllm\n"},
    {false, "model: m\nbackend: sim\nload: {mode: closed_loop, size: 4}\n", "model: m\nbackend: sim\nsim.batch_size: 4\n"},
    /* The engine's own default, written out. */
    {true, "model: m\nbackend: vllm\nvllm.engine: {enforce_eager: false, load_format: auto, cpu_offload_gb: 0, hf_overrides: {}}\n",
     "model: m\nbackend: vllm\n"},
    {true, "model: m\npytorch: {load_in_4bit: true, bnb_4bit_quant_type: fp4}\n", "model: m\npytorch: {load_in_4bit: true}\n"},
    {false, "model: m\nbackend: vllm\nvllm.engine.enforce_eager: true\n", "model: m\nbackend: vllm\n"},
    {false, "model: m\nbackend: vllm\nvllm.engine.gpu_memory_utilization: 0.92\n", "model: m\nbackend: vllm\n"}, /* not on the CPU */
    {false, "model: m\nbackend: vllm\nvllm.engine.dtype: auto\n", "model: m\nbackend: vllm\n"}, /* precision has another */
    {false, "model: m\nbackend: vllm\nload: {mode: batch, size: 4}\n",
     "model: m\nbackend: vllm\nload: {mode: closed_loop, size: 4}\n"},
    {false, "model: m\nbackend: sim\nsim.device: gpu\n", "model: m\nbackend: sim\nsim.device: gpu\ngpus: [0, 1]\n"},
    {true, "model: m\ndecoder: {top_p: 0.3}\n", "model: m\n"}, /* greedy: no effect */
    {true, "model: m\nwarmup: {enabled: false, n_warmup: 9}\n", "model: m\nwarmup: {enabled: false}\n"},
    {true, "model: m\nbackend: llamacpp\nllamacpp: {n_threads: 2}\n",
     "model: m\nbackend: llamacpp\nllamacpp: {n_threads: 2, n_threads_batch: 2}\n"},
    {false, "model: m\nbackend: llamacpp\nllamacpp: {n_threads: 2}\n",
     "model: m\nbackend: llamacpp\nllamacpp: {n_threads: 2, n_threads_batch: 1}\n"},
    {true, "model: m\nbackend: llamacpp\nllamacpp: {quantization: null}\n", "model: m\nbackend: llamacpp\n"},
    {false, "model: m\nbackend: llamacpp\nllamacpp: {quantization: q8_0}\n", "model: m\nbackend: llamacpp\n"},
    {true, "model: m\noutput_dir: a\nname: x\nlimits: {timeout_seconds: 5}\n", "model: m\n"},
    {true, "model: m\nn: 100\n", "model: m\nn: 1e2\n"},
    {true, "model: m\nbackend: sim\nsim: {token_us: 5}\n", "model: m\nbackend: sim\nsim: {token_us: [5]}\n"},
    {false, "model: m\nbackend: sim\n", "model: m\nbackend: pytorch\n"},
    {false, "model: m\n", "model: other\n"},
    /* A model of the catalogue is what its pin says, whatever it is called; the hub's own is another. */
    {true, "model: smollm2-135m-instruct\nbackend: llamacpp\n",
     "model: HuggingFaceTB/SmolLM2-135M-Instruct\nbackend: llamacpp\n"},
    {false, "model: smollm2-135m-instruct\n", "model: HuggingFaceTB/SmolLM2-135M-Instruct\n"},
    {false, "model: hub/x\npytorch: {device: a}\n", "model: hub/x\npytorch: {device: b}\n"},
    /* Data sets are their prompts and sources. */
    {true, "model: m\ndataset: DATA/one-two\n", "model: m\n"},
    {true, "model: m\ndataset: DATA/one-two\n", "model: m\ndataset: DATA/other-keys\n"},
    {false, "model: m\ndataset: DATA/one-two\n", "model: m\ndataset: DATA/two-one\n"},
    {false, "model: m\ndataset: DATA/one-two\n", "model: m\ndataset: DATA/sources\n"},
    /* What is handed on is what it is, wherever it is known from. */
    {true, "model: m\nbackend: vllm\npassthrough_kwargs: {block_size: 16, max_num_seqs: 4}\n",
     "model: m\nbackend: vllm\nvllm: {engine: {max_num_seqs: 4, block_size: 16}}\n"},
    {true, "model: m\nbackend: vllm\npassthrough_kwargs: {}\n", "model: m\nbackend: vllm\n"},
    {false, "model: m\nbackend: vllm\npassthrough_kwargs: {block_size: 16}\n", "model: m\nbackend: vllm\n"},
};

static const struct {
    const char *name, *lines;
} data_files[] = {
    {"one-two", "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n"},
    {"other-keys", "{\"_provenance\": \"mine\"}\n\n{\"text\": \"one\", \"id\": 1}\n{\"question\": \"two\"}\n"},
    {"two-one", "{\"prompt\": \"two\"}\n{\"prompt\": \"one\"}\n"},
    {"sources", "{\"prompt\": \"one\", \"source\": \"a\"}\n{\"prompt\": \"two\"}\n"},
};

static char *with_data(const char *text, const char *folder)
{
    GString *out = g_string_new(text);
    g_autofree char *name = g_strconcat(folder, "/", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(data_files); i++) {
        g_autofree char *short_name = g_strdup_printf("DATA/%s", data_files[i].name);
        g_autofree char *path = g_strdup_printf("%s%s.jsonl", name, data_files[i].name);
        g_string_replace(out, short_name, path, 0);
    }
    return g_string_free(out, FALSE);
}

static void test_same_work_same_hash(void)
{
    g_autofree char *folder = g_dir_make_tmp("llem-test-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(data_files); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s.jsonl", folder, data_files[i].name);
        g_assert_true(g_file_set_contents(path, data_files[i].lines, -1, NULL));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *text_a = with_data(pairs[i].a, folder), *text_b = with_data(pairs[i].b, folder);
        g_autofree char *a = hash_of(text_a), *b = hash_of(text_b);
        if (!strcmp(a, b) != pairs[i].same)
            g_error("%s\n%s are %s work", pairs[i].a, pairs[i].b, pairs[i].same ? "the same" : "other");
    }
    file_remove_tree(folder, NULL);
}

static char *hashed_text_of(const char *text)
{
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_config) config = config_of(text, NULL, &study);
    g_autoptr(json_t) hashed = config_hashed(config);
    g_autofree char *digest = jsonx_sha256(hashed);
    digest[16] = '\0';
    g_assert_cmpstr(config_hash(config), ==, digest);
    return jsonx_dump(hashed, JSONX_CANONICAL);
}

/* The definition: what differs from its default, the data set, the engine, and two versions. */
static void test_definition(void)
{
    g_autofree char *prompts = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "[\"one\",\"two\"]", -1);
    static const struct {
        const char *text, *engine, *fields;
    } rows[] = {
        {"model: m\nbackend: sim\nsim: {jitter: 0.1, threads: 1}\n", "sim", "\"model\":\"m\",\"sim.jitter\":0.1"},
        {"model: m\nbackend: vllm\npassthrough_kwargs: {hf_overrides: {a b: [1]}, block_size: null}\n", "vllm",
         "\"model\":\"m\",\"vllm.engine.hf_overrides\":{\"a b\":[1]}"},
        {"model: smollm2-135m-instruct\nbackend: llamacpp\n", "llamacpp",
         "\"model\":{\"pin\":\"b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53\"}"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = hashed_text_of(rows[i].text);
        g_autofree char *wanted = g_strdup_printf(
            "{\"backend\":{\"hash_version\":1,\"name\":\"%s\"},\"fields\":{\"dataset\":{\"prompts\":\"%s\"},%s},"
            "\"hash_version\":1,\"schema\":3}",
            rows[i].engine, prompts, rows[i].fields);
        g_assert_cmpstr(text, ==, wanted);
    }
}

/* --- What llem learns changes no hash --------------------------------------------------------------------------- */

static const char small_engine[] =
    "{\"format\": 1, \"name\": \"toy\", \"summary\": \"a stranger\", \"protocol\": 1, \"hash_version\": %d,"
    " \"remedy\": \"none\", \"command\": [\"{dir}/toy\"], \"model\": {\"takes\": \"none\"}, \"modes\": [\"batch\"],"
    " \"where\": [\"local\"], \"pass_through\": {}, \"options\": ["
    "%s{\"name\": \"rows\", \"type\": \"integer\", \"default\": 1, \"help\": \"Rows.\"}]}";

static char *hash_with_engine(int version, const char *more_options, const char *text)
{
    g_autofree char *json = g_strdup_printf(small_engine, version, more_options);
    engine_there("toy", json);
    char *hash = hash_of(text);
    engines_away();
    return hash;
}

static void test_more_is_known(void)
{
    static const char with_default[] = "{\"name\": \"extra\", \"type\": \"integer\", \"default\": 7, \"help\": \"E.\"},";
    static const char without[] = "{\"name\": \"extra\", \"type\": \"integer\", \"help\": \"E.\"},";
    static const char following[] =
        "{\"name\": \"extra\", \"type\": \"integer\", \"follows\": \"rows\", \"help\": \"E.\"},";
    static const char text[] = "model: m\nbackend: toy\ntoy: {rows: 3}\n";
    g_autofree char *before = hash_with_engine(1, "", text);
    g_autofree char *one_more = hash_with_engine(1, with_default, text);
    g_autofree char *unset = hash_with_engine(1, without, text);
    g_autofree char *follows = hash_with_engine(1, following, text);
    g_autofree char *raised = hash_with_engine(2, "", text);
    g_assert_cmpstr(before, ==, one_more);
    g_assert_cmpstr(before, ==, unset);
    g_assert_cmpstr(before, ==, follows);
    g_assert_cmpstr(before, !=, raised);
    /* What is handed on is hashed by the path that it has as an option. */
    g_autofree char *passed = hash_with_engine(1, without, "model: m\nbackend: toy\npassthrough_kwargs: {extra: 5}\n");
    g_autofree char *known = hash_with_engine(1, without, "model: m\nbackend: toy\ntoy: {extra: 5}\n");
    g_assert_cmpstr(passed, ==, known);
    /* Another engine is nobody's business. */
    g_autofree char *ours = hash_of("model: m\nbackend: sim\n");
    g_autofree char *still = hash_with_engine(1, "", "model: m\nbackend: sim\n");
    g_assert_cmpstr(ours, ==, still);
}

/* The same with a shared field: a table with a row less hashes as before, for the row has its default. */
static void test_a_shared_row_more(void)
{
    static const char text[] = "model: m\nbackend: sim\nmax_output_tokens: 9\n";
    g_autoptr(owned_config_file) file = parse_ok(text, NULL);
    g_autofree char *whole = hash_of(text);
    struct config_table *table = file->table;
    for (size_t drop = 0; drop < CONFIG_SHARED_FIELDS; drop++) {
        unsigned flags = table->rows[drop].flags;
        if (!(flags & CONFIG_HASHED) || drop == FIELD_MODEL || drop == FIELD_DATASET || drop == FIELD_MAX_OUTPUT_TOKENS)
            continue;
        size_t sorted = 0;
        while (table->sorted[sorted] != drop)
            sorted++;
        memmove(&table->sorted[sorted], &table->sorted[sorted + 1],
                (--table->n_sorted - sorted) * sizeof *table->sorted);
        g_autoptr(owned_diag) diag = diag_new();
        g_autoptr(owned_config) config = config_file_resolve(file, NULL, 0, diag);
        g_assert_cmpstr(config_hash(config), ==, whole);
    }
}

static void test_files_by_content(void)
{
    g_autofree char *a = temp_file(".gguf", "one\n"), *b = temp_file(".gguf", "one\n");
    g_autofree char *c = temp_file(".gguf", "two\n");
    char *hashes[3];
    const char *const paths[] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("model: %s\n", paths[i]);
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
    g_test_add_func("/config/hash/more is known", test_more_is_known);
    g_test_add_func("/config/hash/a shared row more", test_a_shared_row_more);
    g_test_add_func("/config/hash/files by content", test_files_by_content);
    g_test_add_func("/config/hash/model folder", test_model_folder);
    g_test_add_func("/config/hash/large file", test_large_file);
    g_test_add_func("/config/hash/without digests", test_without_digests);
}
