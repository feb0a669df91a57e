/* SPDX-License-Identifier: MIT */
/* The llama.cpp adapter as a program, with a tiny model that really runs: equal ids however the work is cut, stamps,
 * ends, sampling, refusals, aborts, quantising. */
#include "config/config.h"
#include "engine/engine.h"
#include "workload/workload.h"

#include "gguf_writer.h"

#include <string.h>
#include <unistd.h>

#define ADAPTER LLEM_BINARY_DIR "/libexec/llem/engines/llamacpp/llem-engine-llamacpp"

static char *folder, *tiny; /* a private folder, and the model in it */

static char *put_model(const char *name, const GByteArray *bytes, size_t length)
{
    char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, (const char *)bytes->data, (gssize)length, NULL));
    return path;
}

/* --- Driving ---------------------------------------------------------------------------------------------------- */

static struct engine *start(const char *program, const char *const *env)
{
    g_autoptr(GError) error = NULL;
    const char *argv[] = {program, NULL};
    const struct engine_options options = {.argv = argv, .env = env, .interrupt_fd = -1};
    struct engine *engine = engine_start(&options, &error);
    g_assert_no_error(error);
    return engine;
}

static void stop(struct engine *engine)
{
    struct engine_stop_report report;
    g_assert_true(engine_stop(engine, NULL, &report, NULL));
    g_assert_cmpint(report.stage, <=, ENGINE_STOP_SHUTDOWN);
    g_assert_cmpint(report.exit_status, ==, 0);
    engine_free(engine);
}

static bool hello(struct engine *engine, GError **error)
{
    struct engine_identity identity;
    if (!engine_hello(engine, 0, &identity, error))
        return false;
    g_assert_cmpstr(identity.engine, ==, "llama.cpp");
    engine_identity_clear(&identity);
    return true;
}

/* rest: more members of the configuration, with a comma before, or "". ret may be NULL. */
static bool load(struct engine *engine, const char *path, const char *options, const char *rest,
                 bool substitute, struct engine_loaded *ret, GError **error)
{
    g_autofree char *text =
        g_strdup_printf("{\"model_path\": \"%s\", \"options\": {%s}%s}", path, options, rest);
    g_autoptr(json_t) config = jsonx_parse(text, -1, "config", error);
    struct engine_loaded loaded;
    g_assert_nonnull(config);
    if (!engine_load(engine, config, substitute, 0, &loaded, error))
        return false;
    if (ret)
        *ret = loaded;
    else
        engine_loaded_clear(&loaded);
    return true;
}

static struct engine *started(const char *options, const char *rest)
{
    g_autoptr(GError) error = NULL;
    struct engine *engine = start(ADAPTER, NULL);
    hello(engine, &error);
    g_assert_no_error(error);
    load(engine, tiny, options, rest, false, NULL, &error);
    g_assert_no_error(error);
    return engine;
}

#define N_REQUESTS 6

/* Six prompts of 1, 12, 23, … tokens. */
static size_t fill_prompts(int32_t ids[N_REQUESTS][64], struct engine_prompt *prompts, int64_t max_tokens)
{
    static const char *const names[N_REQUESTS] = {"a", "b", "c", "d", "e", "f"};
    for (size_t r = 0; r < N_REQUESTS; r++) {
        size_t n = 1 + 11 * r;
        for (size_t i = 0; i < n; i++)
            ids[r][i] = (int32_t)(3 + (r * 97 + i * i * 31 + i) % 256);
        prompts[r] = (struct engine_prompt){names[r], ids[r], n, max_tokens, true};
    }
    return N_REQUESTS;
}

static void generate(struct engine *engine, const struct engine_prompt *prompts, size_t n,
                     struct engine_generation *ret)
{
    g_autoptr(GError) error = NULL;
    bool quiescent = false;
    engine_prepare(engine, 1, prompts, n, 0, &quiescent, &error);
    g_assert_no_error(error);
    g_assert_true(quiescent);
    engine_generate_all(engine, &(int64_t){1}, 1, 0, ret, &error);
    g_assert_no_error(error);
}

/* All ids of the six requests as one text. */
static char *ids_of(const struct engine_generation *out)
{
    GString *text = g_string_new(NULL);
    for (size_t r = 0; r < out->n_requests; r++)
        for (size_t i = 0; i < out->requests[r].n_out; i++)
            g_string_append_printf(text, "%d%c", out->requests[r].token_ids[i],
                                   i + 1 == out->requests[r].n_out ? '\n' : ' ');
    return g_string_free(text, FALSE);
}

static char *run_six(struct engine *engine, int64_t max_tokens)
{
    int32_t ids[N_REQUESTS][64];
    struct engine_prompt prompts[N_REQUESTS];
    struct engine_generation out;
    generate(engine, prompts, fill_prompts(ids, prompts, max_tokens), &out);
    char *text = ids_of(&out);
    engine_generation_clear(&out);
    return text;
}

/* --- Tests ------------------------------------------------------------------------------------------------------ */

/* The ids do not depend on how many run together, how prompts are cut, how memory is used, or on what ran before. */
static void test_equal_work(void)
{
    static const char *const options[] = {
        "\"n_parallel\": 1",
        "\"n_parallel\": 4",
        "\"n_parallel\": 6, \"n_batch\": 8, \"n_ubatch\": 4",
        "\"n_parallel\": 2, \"n_ubatch\": 16, \"load_mode\": \"none\"",
        "\"n_parallel\": 3, \"kv_unified\": true",
        "\"n_ctx\": 512, \"use_extra_bufts\": false, \"load_mode\": \"mmap\"",
    };
    g_autofree char *expected = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        struct engine *engine = started(options[i], "");
        g_autofree char *first = run_six(engine, 20), *again = run_six(engine, 20);
        g_test_message("%s", options[i]);
        if (!expected)
            expected = g_strdup(first);
        g_assert_cmpstr(first, ==, expected);
        g_assert_cmpstr(again, ==, expected);
        stop(engine);
    }
    /* A model that says the same for every prompt would prove nothing. */
    g_auto(GStrv) lines = g_strsplit(expected, "\n", -1);
    g_assert_cmpstr(lines[0], !=, lines[1]);
}

static void test_stamps(void)
{
    struct engine *engine = started("\"n_parallel\": 4", "");
    int32_t ids[N_REQUESTS][64];
    struct engine_prompt prompts[N_REQUESTS];
    struct engine_generation out;
    generate(engine, prompts, fill_prompts(ids, prompts, 15), &out);
    g_assert_cmpuint(out.n_requests, ==, N_REQUESTS);
    g_assert_cmpint(out.merged_chunks, ==, 0);
    int64_t latest = 0;
    for (size_t r = 0; r < N_REQUESTS; r++) {
        const struct engine_request *q = &out.requests[r];
        g_assert_cmpuint(q->n_out, ==, 15);
        g_assert_cmpint(q->n_in, ==, (int64_t)prompts[r].n_tokens);
        g_assert_cmpstr(q->finish, ==, "length");
        g_assert_cmpint(q->queued_ns, ==, out.t0_ns);
        g_assert_cmpint(q->scheduled_ns, >=, q->queued_ns);
        g_assert_cmpint(q->stamps_ns[0], >, q->scheduled_ns);
        g_assert_cmpint(q->first_token_ns, ==, q->stamps_ns[0]);
        for (size_t i = 1; i < q->n_out; i++)
            g_assert_cmpint(q->stamps_ns[i], >, q->stamps_ns[i - 1]);
        latest = MAX(latest, q->stamps_ns[q->n_out - 1]);
    }
    g_assert_cmpint(out.t1_ns, ==, latest);
    /* The fifth and sixth wait for the first wave to end. */
    for (size_t r = 0; r < 4; r++)
        g_assert_cmpint(out.requests[r].last_token_ns, <=, out.requests[4].scheduled_ns);
    engine_generation_clear(&out);
    stop(engine);
}

/* The third token of an answer made the model's end token: the answer stops there, unless it is told not to. */
static void test_end_of_text(void)
{
    static const int32_t prompt[] = {70, 71, 72};
    struct engine_prompt request = {"a", prompt, 3, 10, true};
    struct engine_generation plain, ended, ignored;
    struct engine *engine = started("", "");
    generate(engine, &request, 1, &plain);
    int32_t third = plain.requests[0].token_ids[2];
    size_t first_place = 0;
    while (plain.requests[0].token_ids[first_place] != third)
        first_place++;
    g_autoptr(GByteArray) bytes = gguf_running_llama(7, (uint32_t)third);
    g_autofree char *path = put_model("ends.gguf", bytes, bytes->len);
    g_autoptr(GError) error = NULL;
    load(engine, path, "", "", false, NULL, &error);
    g_assert_no_error(error);
    generate(engine, &request, 1, &ignored);
    g_assert_cmpmem(ignored.requests[0].token_ids, 40, plain.requests[0].token_ids, 40);
    request.ignore_eos = false;
    generate(engine, &request, 1, &ended);
    g_assert_cmpuint(ended.requests[0].n_out, ==, first_place + 1);
    g_assert_cmpstr(ended.requests[0].finish, ==, "stop");
    engine_generation_clear(&plain);
    engine_generation_clear(&ended);
    engine_generation_clear(&ignored);
    stop(engine);
}

static char *sampled(const char *options, const char *rest)
{
    struct engine *engine = started(options, rest);
    char *ids = run_six(engine, 12);
    stop(engine);
    return ids;
}

/* A seed is one answer, whatever runs beside it. */
static void test_sampling(void)
{
    static const char hot[] =
        ", \"random_seed\": 5, \"decoder\": {\"do_sample\": true, \"temperature\": 1.5, "
        "\"top_k\": 50, \"top_p\": 0.95, \"min_p\": 0.01, \"repetition_penalty\": 1.1}";
    static const char other[] =
        ", \"random_seed\": 6, \"decoder\": {\"do_sample\": true, \"temperature\": 1.5}";
    static const char cold[] = ", \"decoder\": {\"do_sample\": true, \"temperature\": 0}";
    static const char penalty[] = ", \"decoder\": {\"do_sample\": false, \"repetition_penalty\": 1.8}";
    g_autofree char *one = sampled("", hot), *again = sampled("", hot),
                    *beside = sampled("\"n_parallel\": 5", hot);
    g_autofree char *different = sampled("", other), *greedy = sampled("", ""),
                    *zero = sampled("", cold);
    g_autofree char *penalised = sampled("", penalty);
    g_assert_cmpstr(one, ==, again);
    g_assert_cmpstr(one, ==, beside);
    g_assert_cmpstr(one, !=, different);
    g_assert_cmpstr(one, !=, greedy);
    g_assert_cmpstr(zero, ==, greedy);
    g_assert_cmpstr(penalised, !=, greedy);
}

static int64_t resolved(const struct engine_loaded *loaded, const char *name)
{
    return json_integer_value(json_object_get(loaded->resolved, name));
}

/* What nobody asked for follows the context; what was asked for and cut is a substitution. */
static void test_batch_and_context(void)
{
    const struct {
        const char *options, *rest;
        int64_t n_ctx, n_batch, n_ubatch;
        size_t substitutions;
    } cases[] = {
        {"", ", \"max_input_tokens\": 300, \"max_output_tokens\": 100", 512, 512, 512, 0},
        {"\"n_ctx\": 256", "", 256, 256, 256, 0},
        {"\"n_ctx\": 300, \"n_batch\": 512", "", 512, 300, 300, 1},
        {"\"n_ctx\": 512, \"n_batch\": 64", "", 512, 64, 64, 0},
        {"\"n_ctx\": 512, \"n_batch\": 513", "", 512, 512, 512, 1},
        {"\"n_ctx\": 512, \"n_batch\": 600, \"n_ubatch\": 600", "", 512, 512, 512, 2},
    };
    struct engine *engine = start(ADAPTER, NULL);
    g_assert_true(hello(engine, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct engine_loaded loaded;
        g_test_message("%s%s", cases[i].options, cases[i].rest);
        load(engine, tiny, cases[i].options, cases[i].rest, true, &loaded, &error);
        g_assert_no_error(error);
        g_assert_cmpint(resolved(&loaded, "n_ctx"), ==, cases[i].n_ctx);
        g_assert_cmpint(resolved(&loaded, "n_batch"), ==, cases[i].n_batch);
        g_assert_cmpint(resolved(&loaded, "n_ubatch"), ==, cases[i].n_ubatch);
        g_assert_cmpuint(json_array_size(loaded.substitutions), ==, cases[i].substitutions);
        engine_loaded_clear(&loaded);
    }
    stop(engine);
}

/* Every option of the configuration is one of the adapter, comes to the context and back into the record. */
static void test_switches(void)
{
    static const char *const names[] = {"offload_kqv", "op_offload", "kv_unified", "use_extra_bufts", "add_bos"};
    struct engine *engine = start(ADAPTER, NULL);
    g_assert_true(hello(engine, NULL));
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        struct engine_loaded loaded;
        const char *name = names[i / 2];
        g_autofree char *path = g_strconcat("llamacpp.", name, NULL);
        g_autofree char *option = g_strdup_printf("\"%s\": %s", name, i % 2 ? "true" : "false");
        g_assert_true(config_is_field(path));
        load(engine, tiny, option, "", false, &loaded, &error);
        g_assert_no_error(error);
        g_assert_cmpint(json_is_true(json_object_get(loaded.resolved, name)), ==, i % 2);
        engine_loaded_clear(&loaded);
    }
    stop(engine);
}

static void test_resolved(void)
{
    g_autoptr(GError) error = NULL;
    struct engine *engine = start(ADAPTER, NULL);
    struct engine_loaded loaded;
    hello(engine, &error);
    load(engine, tiny,
         "\"n_parallel\": 3, \"type_k\": \"q8_0\", \"flash_attn\": \"on\", \"type_v\": \"q8_0\"",
         ", \"max_input_tokens\": 300, \"max_output_tokens\": 100", false, &loaded, &error);
    g_assert_no_error(error);
    g_auto(owned_facts) facts = {0};
    g_assert_true(workload_facts_read(tiny, &facts, NULL));
    int64_t n_ctx = json_integer_value(json_object_get(loaded.resolved, "n_ctx"));
    g_assert_cmpint(n_ctx, ==, 3 * 512);
    g_assert_cmpint(loaded.in_flight, ==, 3);
    g_assert_cmpint(loaded.batch, ==, 0);
    g_assert_cmpint(json_integer_value(json_object_get(loaded.resolved, "n_ctx_seq")), ==, 512);
    g_assert_cmpint(json_integer_value(json_object_get(loaded.resolved, "n_threads_batch")), ==, 1);
    g_assert_cmpstr(json_string_value(json_object_get(loaded.resolved, "weights")), ==, "f32");
    g_assert_cmpint(loaded.weights_bytes, ==, facts.weights_bytes);
    g_assert_cmpint(json_integer_value(json_object_get(loaded.memory, "kv_cache_bytes")), ==,
                    workload_kv_bytes(&facts, n_ctx, "q8_0", "q8_0", true));
    g_assert_cmpint(json_integer_value(json_object_get(loaded.memory, "rss_peak_bytes")), >,
                    facts.weights_bytes);
    g_autofree char *sum = file_sha256(tiny, NULL);
    g_assert_cmpstr(json_string_value(json_object_get(loaded.facts, "model_sha256")), ==, sum);
    g_assert_nonnull(json_object_get(loaded.facts, "cpu_features"));
    engine_loaded_clear(&loaded);
    bool cache, peak;
    g_assert_true(engine_reset(engine, true, true, 0, &cache, &peak, &error));
    g_assert_true(cache);
    stop(engine);
}

/* The key's value follows its type, both of 4 bytes. */
static void patch_context_length(GByteArray *bytes, uint32_t value)
{
    static const char key[] = "llama.context_length";
    uint8_t *at = memmem(bytes->data, bytes->len, key, strlen(key));
    g_assert_nonnull(at);
    value = GUINT32_TO_LE(value);
    memcpy(at + strlen(key) + 4, &value, sizeof value);
}

static int64_t memory_bytes(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* Each is refused with words that say what to do, and the adapter goes on: the last load works. */
static void test_load_refused(void)
{
    g_autoptr(GByteArray) bytes = gguf_running_llama(7, 2);
    g_autofree char *torn = put_model("torn.gguf", bytes, bytes->len / 2);
    g_autofree char *headless = put_model("headless.gguf", bytes, 100);
    patch_context_length(bytes, 1 << 30);
    g_autofree char *endless = put_model("endless.gguf", bytes, bytes->len);
    memset(bytes->data, 'x', 4);
    g_autofree char *other = put_model("other.gguf", bytes, bytes->len);
    const struct {
        const char *path, *options, *rest, *class, *message;
    } cases[] = {
        {"/nowhere/m.gguf", "", "", "LoadFailed", "there is no model file /nowhere/m.gguf"},
        {torn, "", "", "LoadFailed", "truncated"},
        {headless, "", "", "LoadFailed", "truncated"},
        {other, "", "", "LoadFailed", "not a GGUF file"},
        {folder, "", "", "LoadFailed", "config.json"},
        {tiny, "\"n_treads\": 2", "", "UnknownKey", "n_treads"},
        {tiny, "\"n_threads\": 0", "", "BadValue", "between 1 and 512"},
        {tiny, "\"n_ctx\": 0", "", "BadValue", "option 'n_ctx' must lie between 1 and"},
        {tiny, "\"n_gpu_layers\": 10001", "", "BadValue", "between -1 and 10000, not 10001"},
        {tiny, "\"n_threads\": 1.5", "", "BadValue", "option 'n_threads' must be an integer, not a"},
        {tiny, "\"type_k\": \"q3\"", "", "BadValue", "none of f32, f16"},
        {tiny, "\"type_v\": \"q8_0\"", "", "BadValue", "needs flash_attn: on"},
        {tiny, "\"n_batch\": 2, \"n_parallel\": 4", "", "BadValue", "at least n_parallel"},
        {tiny, "\"n_ctx\": 256", ", \"max_input_tokens\": 400, \"max_output_tokens\": 10",
         "BadValue", "Raise llamacpp.n_ctx"},
        {tiny, "", ", \"max_input_tokens\": 1000, \"max_output_tokens\": 1050", "BadValue",
         "need 2049 positions; the model was trained for 2048"},
        {endless, "\"n_parallel\": 256, \"type_k\": \"f32\", \"type_v\": \"f32\"",
         ", \"max_input_tokens\": 1048576, \"max_output_tokens\": 1048576", "OutOfMemory",
         "536870912 positions (256 GiB) do not fit"},
        {tiny, "", ", \"decoder\": {\"temprature\": 1}", "UnknownKey", "temprature"},
        {tiny, "", ", \"decoder\": {\"top_p\": 2}", "BadValue", "decoder.top_p"},
        {tiny, "", ", \"decoder\": {\"min_new_tokens\": 3}", "NotSupported", "use ignore_eos"},
        {tiny, "\"quantization\": \"q8_0\"", "", "Substitution",
         "'q8_0' was asked for, 'f32' would be used"},
        {tiny, "\"n_gpu_layers\": 5", "", "Substitution", "finds no GPU"},
        {tiny, "\"n_batch\": 2048, \"n_ctx\": 512", "", "Substitution",
         "n_batch: '2048' was asked for, '512' would be used"},
        {tiny, "\"n_ubatch\": 300, \"n_batch\": 256", "", "Substitution",
         "n_ubatch: '300' was asked for, '256' would be used"},
    };
    struct engine *engine = start(ADAPTER, NULL);
    g_assert_true(hello(engine, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", cases[i].message);
        if (cases[i].path == endless && memory_bytes() > INT64_C(200) << 30)
            continue; /* it might fit */
        g_assert_false(load(engine, cases[i].path, cases[i].options, cases[i].rest, false, NULL, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_ENGINE);
        g_assert_cmpstr(engine_last_failure(engine)->engine_class, ==, cases[i].class);
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
    g_autoptr(GError) error = NULL;
    load(engine, tiny, "\"n_gpu_layers\": 5", "", true, NULL, &error); /* replaced, and said so */
    g_assert_no_error(error);
    g_autofree char *ids = run_six(engine, 3);
    g_assert_cmpuint(strlen(ids), >, 0);
    /* to the last position; and beyond, where n_ctx says that this is meant */
    load(engine, tiny, "", ", \"max_input_tokens\": 1000, \"max_output_tokens\": 1049", false, NULL, &error);
    g_assert_no_error(error);
    load(engine, tiny, "\"n_ctx\": 4096",
         ", \"max_input_tokens\": 1000, \"max_output_tokens\": 2000", false, NULL, &error);
    g_assert_no_error(error);
    stop(engine);
}

/* What the configuration lets through, the adapter takes: it goes on to the model, which is not there. */
static void test_ranges_of_the_fields(void)
{
    const struct backend_option *options;
    const struct backend *backend = backend_find("llamacpp", NULL);
    g_assert_nonnull(backend);
    size_t n = backend_options(backend, &options);
    struct engine *engine = start(ADAPTER, NULL);
    g_assert_true(hello(engine, NULL));
    for (size_t i = 0; i < n; i++) {
        if (options[i].type != BACKEND_INT)
            continue;
        g_autoptr(GError) error = NULL;
        g_autofree char *option = g_strdup_printf("\"%s\": %.0f", options[i].name, options[i].max);
        g_test_message("%s", option);
        g_assert_false(load(engine, "/nowhere/m.gguf", option, "", false, NULL, &error));
        g_assert_nonnull(strstr(error->message, "there is no model file"));
    }
    stop(engine);
}

static void test_prepare_refused(void)
{
    static const int32_t fine[] = {5, 6, 7}, strange[] = {5, 512};
    static const struct {
        struct engine_prompt prompt;
        const char *message;
    } cases[] = {
        {{"a", fine, 3, 255, true}, "needs 257 positions; the context holds 256"},
        {{"a", strange, 2, 5, true}, "token id 512; the vocabulary has 512"},
    };
    struct engine *engine = started("\"n_ctx\": 256", "");
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(engine_prepare(engine, 1, &cases[i].prompt, 1, 0, NULL, &error));
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
    /* To the last position it works. */
    struct engine_prompt full = {"a", fine, 3, 254, true};
    struct engine_generation out;
    generate(engine, &full, 1, &out);
    g_assert_cmpuint(out.requests[0].n_out, ==, 254);
    engine_generation_clear(&out);
    stop(engine);
}

/* Work of minutes is dropped within a second, and the next work is right. */
static void test_abort(void)
{
    static const int32_t prompt[] = {5, 6, 7};
    struct engine *engine = started("\"n_ctx\": 400000", "");
    g_autofree char *before = run_six(engine, 5);
    struct engine_prompt endless = {"z", prompt, 3, 390000, true};
    struct engine_generation none;
    g_autoptr(GError) error = NULL, late = NULL;
    engine_prepare(engine, 9, &endless, 1, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_false(engine_generate_all(engine, &(int64_t){9}, 1, clock_mono_ns() + 300 * NS_PER_MS, &none, &late));
    g_assert_error(late, LLEM_ERROR, LLEM_ERROR_TIMEOUT);
    int64_t begin = clock_mono_ns();
    engine_abort(engine, clock_mono_ns() + 10 * NS_PER_S, &error);
    g_assert_no_error(error);
    g_assert_cmpint(clock_mono_ns() - begin, <, NS_PER_S);
    g_autofree char *after = run_six(engine, 5);
    g_assert_cmpstr(before, ==, after);
    stop(engine);
}

static void test_tokenize(void)
{
    const char *texts[] = {"ab", "", "\xc3\xa9"};
    for (int add_bos = 0; add_bos < 2; add_bos++) {
        g_autoptr(GError) error = NULL;
        struct engine *engine = started(add_bos ? "\"add_bos\": true" : "", "");
        struct engine_tokens *tokens, *bare;
        engine_tokenize(engine, texts, 3, true, false, 0, &tokens, &error);
        g_assert_no_error(error);
        engine_tokenize(engine, texts, 3, false, false, 0, &bare, &error);
        g_assert_no_error(error);
        for (size_t i = 0; i < 3; i++)
            g_assert_cmpuint(tokens[i].n, ==, bare[i].n + (size_t)add_bos);
        g_assert_cmpint(tokens[0].ids[0] == 1, ==, add_bos);
        g_assert_cmpint(bare[2].ids[bare[2].n - 2], ==, 3 + 0xc3);
        g_assert_cmpint(bare[2].ids[bare[2].n - 1], ==, 3 + 0xa9);
        engine_tokens_free(tokens, 3);
        engine_tokens_free(bare, 3);
        stop(engine);
    }
}

/* A libllama of another release is refused at the first word: told by its version, and by the size of a struct. */
static void test_other_library(void)
{
    static const char *const preload[] = {"LD_PRELOAD=" LLEM_BINARY_DIR
                                          "/tests/libllama_other_size.so",
                                          "ASAN_OPTIONS=verify_asan_link_order=0", NULL};
    static const struct {
        const char *program;
        const char *const *env;
        const char *message;
    } cases[] = {
        {LLEM_BINARY_DIR "/tests/llem-engine-llamacpp-other", NULL,
         "built for llama.cpp 0.0.1 and libllama here is"},
        {ADAPTER, preload, "structs differ in size"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct engine *engine = start(cases[i].program, cases[i].env);
        g_assert_false(hello(engine, &error));
        g_assert_cmpstr(engine_last_failure(engine)->engine_class, ==, "LibraryMismatch");
        g_assert_nonnull(strstr(error->message, cases[i].message));
        stop(engine);
    }
}

static int quantize(const char *source, const char *target, const char *form)
{
    const char *argv[] = {ADAPTER, "--quantize", source, target, form, NULL};
    int status = -1;
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL,
                               G_SPAWN_STDERR_TO_DEV_NULL | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                               NULL, NULL, &status, NULL));
    return status;
}

static void test_quantize(void)
{
    static const char *const forms[] = {"q8_0", "q4_0", "q4_1", "f16", "bf16", "f32"};
    g_autofree char *target = g_build_filename(folder, "made.gguf", NULL);
    g_autofree char *partial = g_strconcat(target, ".partial", NULL);
    g_autofree char *torn = g_build_filename(folder, "torn.gguf", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_auto(owned_facts) facts = {0};
        g_assert_cmpint(quantize(tiny, target, forms[i]), ==, 0);
        g_assert_true(workload_facts_read(target, &facts, NULL));
        g_assert_cmpstr(facts.form, ==, forms[i]);
        g_assert_cmpint(unlink(target), ==, 0);
    }
    g_assert_cmpint(quantize(tiny, target, "q9"), !=, 0);
    g_assert_true(g_file_set_contents(torn, "GGUF and then nothing", -1, NULL));
    g_assert_cmpint(quantize(torn, target, "q8_0"), !=, 0);
    g_assert_false(g_file_test(target, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(partial, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("llem-XXXXXX", NULL);
    g_autoptr(GByteArray) bytes = gguf_running_llama(7, 2);
    tiny = put_model("tiny.gguf", bytes, bytes->len);
    g_test_add_func("/llamacpp/equal-work", test_equal_work);
    g_test_add_func("/llamacpp/stamps", test_stamps);
    g_test_add_func("/llamacpp/end-of-text", test_end_of_text);
    g_test_add_func("/llamacpp/sampling", test_sampling);
    g_test_add_func("/llamacpp/resolved", test_resolved);
    g_test_add_func("/llamacpp/batch-and-context", test_batch_and_context);
    g_test_add_func("/llamacpp/switches", test_switches);
    g_test_add_func("/llamacpp/load-refused", test_load_refused);
    g_test_add_func("/llamacpp/ranges-of-the-fields", test_ranges_of_the_fields);
    g_test_add_func("/llamacpp/prepare-refused", test_prepare_refused);
    g_test_add_func("/llamacpp/abort", test_abort);
    g_test_add_func("/llamacpp/tokenize", test_tokenize);
    g_test_add_func("/llamacpp/other-library", test_other_library);
    g_test_add_func("/llamacpp/quantize", test_quantize);
    int status = g_test_run();
    file_remove_tree(folder, NULL);
    g_free(folder);
    g_free(tiny);
    return status;
}
