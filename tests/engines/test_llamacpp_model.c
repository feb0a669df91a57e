/* SPDX-License-Identifier: MIT */
/* The real model on the real engine: the ids must be those that transformers and vLLM compute from the same weights. */
#include "engine/engine.h"
#include "workload/workload.h"

/* 32 greedy ids after "The capital of France is" (no begin token), SmolLM2-135M-Instruct in 32-bit floats: from raw
 * argmax loops in transformers 5.24 and vLLM 0.32, which agree. The smallest gap of the two largest logits is 0.05. */
static const int32_t prompt[] = {504, 3575, 282, 4649, 314};
static const int32_t expected[] = {7042, 30, 198, 198, 504, 2988, 314, 42, 216, 34, 32,
                                   33,   40, 29,  32,  33,  29,   34,  34, 216, 33, 34,
                                   42,   33, 34,  42,  37,  35,   30,  2,  198, 1};

static struct engine *load_model(const char *form, struct workload_resolved *resolved)
{
    g_autoptr(GError) error = NULL;
    workload_model_resolve("smollm2-135m-instruct", backend_find("llamacpp", NULL), form, NULL, resolved, &error);
    g_assert_no_error(error);
    const char *argv[] = {LLEM_BINARY_DIR "/libexec/llem/engines/llamacpp/llem-engine-llamacpp", NULL};
    struct engine *engine = engine_start(&(struct engine_options){.argv = argv, .interrupt_fd = -1}, &error);
    g_assert_no_error(error);
    struct engine_identity identity;
    engine_hello(engine, 0, &identity, &error);
    g_assert_no_error(error);
    engine_identity_clear(&identity);
    g_autoptr(json_t) config = json_pack("{s:s,s:i,s:i}", "model_path", resolved->path,
                                         "max_input_tokens", 32, "max_output_tokens", 32);
    struct engine_loaded loaded;
    engine_load(engine, config, false, 0, &loaded, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(json_string_value(json_object_get(loaded.resolved, "flash_attn")), ==, "off");
    g_assert_cmpint(json_integer_value(json_object_get(loaded.resolved, "n_threads")), ==, 1);
    g_autofree char *sum = file_sha256(resolved->path, NULL);
    g_assert_cmpstr(json_string_value(json_object_get(loaded.facts, "model_sha256")), ==, sum);
    engine_loaded_clear(&loaded);
    return engine;
}

static void test_greedy_ids(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(owned_resolved) resolved = {0};
    struct engine *engine = load_model("fp32", &resolved);
    const char *text = "The capital of France is";
    struct engine_tokens *tokens;
    engine_tokenize(engine, &text, 1, true, false, 0, &tokens, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(tokens[0].ids, tokens[0].n * 4, prompt, sizeof prompt);
    struct engine_prompt request = {"a", prompt, G_N_ELEMENTS(prompt), G_N_ELEMENTS(expected),
                                    true};
    engine_prepare(engine, 1, &request, 1, 0, NULL, &error);
    g_assert_no_error(error);
    struct engine_generation out;
    engine_generate_all(engine, &(int64_t){1}, 1, 0, &out, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(out.requests[0].token_ids, out.requests[0].n_out * 4, expected, sizeof expected);
    engine_generation_clear(&out);
    engine_tokens_free(tokens, 1);
    g_assert_true(engine_stop(engine, NULL, NULL, &error));
    engine_free(engine);
}

/* The real file's facts, and the weights' bytes as libllama counts them. */
static void test_facts(void)
{
    g_auto(owned_resolved) resolved = {0};
    g_auto(owned_facts) facts = {0};
    g_autoptr(GError) error = NULL;
    workload_model_resolve("smollm2-135m-instruct", backend_find("llamacpp", NULL), NULL, "q4_1", &resolved, &error);
    g_assert_no_error(error);
    workload_facts_read(resolved.path, &facts, &error);
    g_assert_no_error(error);
    g_assert_cmpint(facts.n_params, ==, 134515008);
    g_assert_cmpint(facts.n_layers, ==, 30);
    g_assert_cmpint(facts.n_kv_heads, ==, 3);
    g_assert_cmpint(facts.n_vocab, ==, 49152);
    g_assert_cmpstr(facts.form, ==, "q4_1");
    g_assert_cmpstr(facts.licence, ==, "apache-2.0");
    g_assert_true(facts.gated_mlp && facts.tied_embeddings);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/llamacpp/model/greedy-ids", test_greedy_ids);
    g_test_add_func("/llamacpp/model/facts", test_facts);
    return g_test_run();
}
