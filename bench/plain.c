/* SPDX-License-Identifier: MIT */
/* libllama's plain loop: one sequence, greedy, a decode a token. */
#include "yardstick.h"

#include "base/base.h"

#include <llama.h>

#define CONTEXT 256

struct plain {
    struct llama_model *model;
    struct llama_context *context;
    int n_vocab;
};

static void quiet(enum ggml_log_level level, const char *text, void *data)
{
    (void)level;
    (void)text;
    (void)data;
}

void *plain_start(const struct yardstick_work *work, const char *name)
{
    (void)name;
    struct plain *plain = g_new0(struct plain, 1);
    llama_log_set(quiet, NULL);
    llama_backend_init();
    plain->model = llama_model_load_from_file(work->model_path, llama_model_default_params());
    if (!plain->model)
        yardstick_give_up("libllama cannot load the model");
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = CONTEXT;
    params.n_threads = params.n_threads_batch = 1;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    plain->context = llama_init_from_model(plain->model, params);
    if (!plain->context)
        yardstick_give_up("libllama cannot make a context");
    plain->n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(plain->model));
    return plain;
}

static llama_token best(const struct plain *plain)
{
    const float *logits = llama_get_logits_ith(plain->context, -1);
    llama_token best = 0;
    for (llama_token i = 1; i < plain->n_vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

double plain_run(void *yardstick, const struct yardstick_work *work, int32_t *ret_ids)
{
    struct plain *plain = yardstick;
    g_autofree llama_token *ids = g_memdup2(work->ids, (size_t)work->n_in * sizeof *ids);
    int64_t begin_ns = clock_mono_ns();
    llama_memory_clear(llama_get_memory(plain->context), true);
    if (llama_decode(plain->context, llama_batch_get_one(ids, work->n_in)) != 0)
        yardstick_give_up("llama_decode failed on the prompt");
    llama_token token = ret_ids[0] = best(plain);
    for (int i = 1; i < work->n_out; i++) {
        if (llama_decode(plain->context, llama_batch_get_one(&token, 1)) != 0)
            yardstick_give_up("llama_decode failed");
        token = ret_ids[i] = best(plain);
    }
    return (double)(clock_mono_ns() - begin_ns) / (double)NS_PER_S;
}

void plain_end(void *yardstick)
{
    struct plain *plain = yardstick;
    llama_free(plain->context);
    llama_model_free(plain->model);
    g_free(plain);
}
