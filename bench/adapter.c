/* SPDX-License-Identifier: MIT */
/*
 * What our adapter costs over libllama itself: the same prompt and number of tokens, decoded
 * greedily by llem-engine-llamacpp and by the plain loop below, in turns; paired ratio of decode
 * tokens/s, adapter over loop.
 */
#include "bench.h"

#include "base/base.h"
#include "backend/backend.h"
#include "engine/engine.h"
#include "workload/workload.h"

#include <llama.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED       20260227
#define OUT_TOKENS 64
#define CONTEXT    256

static const char *const prompt_text =
    "Explain in plain words why a warm computer draws more power than a cold one.";

static void give_up(const char *message)
{
    fprintf(stderr, "bench_adapter: %s\n", message);
    exit(1);
}

static void quiet(enum ggml_log_level level, const char *text, void *data)
{
    (void)level;
    (void)text;
    (void)data;
}

/* ---- the plain loop ---- */

struct plain {
    struct llama_model *model;
    struct llama_context *context;
    int n_vocab;
};

static void plain_load(struct plain *plain, const char *path)
{
    llama_log_set(quiet, NULL);
    llama_backend_init();
    plain->model = llama_model_load_from_file(path, llama_model_default_params());
    if (!plain->model)
        give_up("libllama cannot load the model");
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = CONTEXT;
    params.n_threads = params.n_threads_batch = 1;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    plain->context = llama_init_from_model(plain->model, params);
    if (!plain->context)
        give_up("libllama cannot make a context");
    plain->n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(plain->model));
}

static llama_token plain_best(const struct plain *plain)
{
    const float *logits = llama_get_logits_ith(plain->context, -1);
    llama_token best = 0;
    for (llama_token i = 1; i < plain->n_vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* Decode tokens/s; the ids go to ret_ids[OUT_TOKENS]. */
static double plain_run(struct plain *plain, const struct engine_tokens *prompt, int32_t *ret_ids)
{
    g_autofree llama_token *ids = g_memdup2(prompt->ids, prompt->n * sizeof *ids);
    llama_memory_clear(llama_get_memory(plain->context), true);
    if (llama_decode(plain->context, llama_batch_get_one(ids, (int32_t)prompt->n)) != 0)
        give_up("llama_decode failed on the prompt");
    llama_token token = ret_ids[0] = plain_best(plain);
    int64_t first_ns = clock_mono_ns();
    for (int i = 1; i < OUT_TOKENS; i++) {
        if (llama_decode(plain->context, llama_batch_get_one(&token, 1)) != 0)
            give_up("llama_decode failed");
        token = ret_ids[i] = plain_best(plain);
    }
    return (OUT_TOKENS - 1) * (double)NS_PER_S / (double)(clock_mono_ns() - first_ns);
}

/* ---- the adapter ---- */

static struct engine *adapter_load(const char *path, struct engine_tokens **ret_prompt)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = backend_command(backend_find("llamacpp", NULL), &error);
    struct engine *engine =
        argv ? engine_start(
                   &(struct engine_options){.argv = (const char *const *)argv, .interrupt_fd = -1},
                   &error)
             : NULL;
    struct engine_identity identity = {0};
    struct engine_loaded loaded = {0};
    g_autoptr(json_t) config =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:{}, s:{s:i}}", "model", "bench", "model_path", path,
                  "max_input_tokens", CONTEXT - OUT_TOKENS, "max_output_tokens", OUT_TOKENS,
                  "random_seed", 42, "decoder", "options", "n_threads", 1);
    if (!engine || !engine_hello(engine, 0, &identity, &error) ||
        !engine_load(engine, config, false, 0, &loaded, &error) ||
        !engine_tokenize(engine, &prompt_text, 1, true, false, 0, ret_prompt, &error))
        give_up(error->message);
    engine_identity_clear(&identity);
    engine_loaded_clear(&loaded);
    return engine;
}

static double adapter_run(struct engine *engine, const struct engine_tokens *prompt, int64_t batch,
                          int32_t *ret_ids)
{
    g_autoptr(GError) error = NULL;
    struct engine_generation done = {0};
    struct engine_prompt request = {.id = "p",
                                    .token_ids = prompt->ids,
                                    .n_tokens = prompt->n,
                                    .max_tokens = OUT_TOKENS,
                                    .ignore_eos = true};
    if (!engine_prepare(engine, batch, &request, 1, 0, NULL, &error) ||
        !engine_generate_all(engine, &batch, 1, 0, &done, &error))
        give_up(error->message);
    const struct engine_request *out = &done.requests[0];
    double rate = (double)(out->n_out - 1) * (double)NS_PER_S /
                  (double)(out->stamps_ns[out->n_out - 1] - out->stamps_ns[0]);
    for (size_t i = 0; i < out->n_out && i < OUT_TOKENS; i++)
        ret_ids[i] = out->token_ids[i];
    engine_generation_clear(&done);
    return rate;
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 30);
    g_autoptr(GError) error = NULL;
    g_auto(owned_resolved) model = {0};
    if (!workload_model_resolve("smollm2-135m-instruct", backend_find("llamacpp", NULL), NULL, NULL, &model, &error))
        give_up(error->message);
    struct plain plain = {0};
    struct engine_tokens *prompt = NULL;
    struct engine *engine = adapter_load(model.path, &prompt);
    plain_load(&plain, model.path);
    g_autofree double *by_loop = g_new(double, rounds), *by_adapter = g_new(double, rounds);
    int32_t loop_ids[OUT_TOKENS], adapter_ids[OUT_TOKENS] = {0};
    GRand *rng = g_rand_new_with_seed(SEED);
    plain_run(&plain, prompt, loop_ids);
    for (int i = 0; i < rounds; i++) {
        bool loop_first = g_rand_boolean(rng);
        if (loop_first)
            by_loop[i] = plain_run(&plain, prompt, loop_ids);
        by_adapter[i] = adapter_run(engine, prompt, i, adapter_ids);
        if (!loop_first)
            by_loop[i] = plain_run(&plain, prompt, loop_ids);
    }
    for (int i = 0; i < OUT_TOKENS; i++)
        if (loop_ids[i] != adapter_ids[i])
            give_up("the adapter's token ids differ from the plain loop's: the work is not equal");
    bench_row("llama.cpp decode tokens/s, our adapter over libllama's plain loop",
              stats_paired_ratio(by_loop, by_adapter, (size_t)rounds, 0.95), "×", NULL);
    engine_free(engine);
    engine_tokens_free(prompt, 1);
    llama_free(plain.context);
    llama_model_free(plain.model);
    g_rand_free(rng);
    return 0;
}
