/* SPDX-License-Identifier: MIT */
/*
 * What our adapters cost over the engines themselves: the same prompts and numbers of tokens, by the adapter and by a
 * yardstick without llem (yardstick.h), both loaded once and asked in turns; paired ratio of tokens/s, adapter over
 * yardstick.
 *   bench_adapter [ROUNDS [NAME…]]     (default: every one whose engine is here)
 */
#include "bench.h"
#include "yardstick.h"

#include "backend/backend.h"
#include "base/base.h"
#include "engine/engine.h"
#include "workload/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED      20260227
#define FIRST_ID  1000 /* of the ids that prompts are drawn from: words, no control tokens */
#define LAST_ID   20000

#define VLLM_OPTIONS                                                                                                         \
    "{\"engine\": {\"enforce_eager\": true, \"max_model_len\": 256, \"max_num_seqs\": 8, "                                  \
    "\"max_num_batched_tokens\": 2048, \"enable_prefix_caching\": false}}"

static const struct contest {
    const char *name, *backend, *precision, *what;
    int n_prompts, n_in, n_out;
    const char *options, *decoder; /* JSON */
    void *(*start)(const struct yardstick_work *work, const char *name);
    yardstick_run run;
    void (*end)(void *yardstick);
} contests[] = {
    {"llamacpp", "llamacpp", NULL, "llama.cpp, our adapter over libllama's plain loop", 1, 16, 64, "{\"n_threads\": 1}", "{}",
     plain_start, plain_run, plain_end},
    {"transformers", "pytorch", "fp32", "PyTorch, our adapter over a bare generate() of transformers", 4, 32, 32,
     "{\"n_threads\": 1, \"batch_size\": 4, \"padding\": \"longest\", \"attn_implementation\": \"sdpa\", "
     "\"use_cache\": true, \"num_beams\": 1}", "{}", bare_start, bare_run, bare_end},
    {"vllm", "vllm", "fp32", "vLLM, our adapter over a bare loop of AsyncLLM", 8, 32, 32, VLLM_OPTIONS, "{}", bare_start, bare_run,
     bare_end},
    {"vllm-benchmark", "vllm", "fp32", "vLLM, our adapter over its own throughput benchmark", 8, 32, 32, VLLM_OPTIONS,
     "{\"temperature\": 1.0, \"do_sample\": true}", bare_start, bare_run, bare_end},
};

/* --- Our side ------------------------------------------------------------------------------------------------------ */

static struct engine *adapter_load(const struct contest *contest, const struct yardstick_work *work)
{
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(contest->backend, &error);
    g_auto(GStrv) argv = backend ? backend_command(backend, &error) : NULL;
    struct engine_options options = {
        .argv = (const char *const *)argv, .env = backend ? backend_env(backend) : NULL, .interrupt_fd = -1};
    struct engine *engine = argv ? engine_start(&options, &error) : NULL;
    struct engine_identity identity = {0};
    struct engine_loaded loaded = {0};
    json_t *decoder = json_loads(contest->decoder, 0, NULL), *section = json_loads(contest->options, 0, NULL);
    g_autoptr(json_t) config =
        json_pack("{s:s, s:s, s:s*, s:i, s:i, s:i, s:o, s:o}", "model", "bench", "model_path", work->model_path,
                  "precision", contest->precision, "max_input_tokens", work->n_in, "max_output_tokens", work->n_out,
                  "random_seed", 42, "decoder", decoder, "options", section);
    if (!engine || !engine_hello(engine, 0, &identity, &error) ||
        !engine_load(engine, config, false, 0, &loaded, &error))
        yardstick_give_up(error->message);
    engine_identity_clear(&identity);
    engine_loaded_clear(&loaded);
    return engine;
}

/* As yardstick_run, by the adapter's own window. */
static double adapter_run(struct engine *engine, const struct yardstick_work *work, int64_t batch, int32_t *ret_ids)
{
    g_autoptr(GError) error = NULL;
    struct engine_generation done = {0};
    g_autoptr(GStringChunk) names = g_string_chunk_new(256);
    g_autofree struct engine_prompt *prompts = g_new0(struct engine_prompt, work->n_prompts);
    for (int i = 0; i < work->n_prompts; i++) {
        g_autofree char *name = g_strdup_printf("p%d", i);
        prompts[i] = (struct engine_prompt){.id = g_string_chunk_insert(names, name),
                                            .token_ids = work->ids + i * work->n_in,
                                            .n_tokens = (size_t)work->n_in,
                                            .max_tokens = work->n_out,
                                            .ignore_eos = true};
    }
    if (!engine_prepare(engine, batch, prompts, (size_t)work->n_prompts, 0, NULL, &error) ||
        !engine_generate_all(engine, &batch, 1, 0, &done, &error))
        yardstick_give_up(error->message);
    for (size_t i = 0; i < done.n_requests; i++) {
        if (done.requests[i].n_out != (size_t)work->n_out)
            yardstick_give_up("an answer of the adapter has another length: the work is not equal");
        memcpy(ret_ids + i * (size_t)work->n_out, done.requests[i].token_ids, (size_t)work->n_out * sizeof *ret_ids);
    }
    double seconds = (double)(done.t1_ns - done.t0_ns) / (double)NS_PER_S;
    engine_generation_clear(&done);
    return seconds;
}

/* --- In turns ------------------------------------------------------------------------------------------------------ */

static void run(const struct contest *contest, const struct yardstick_work *work, int rounds)
{
    size_t n_ids = (size_t)(work->n_prompts * work->n_out);
    g_autofree int32_t *bare_ids = g_new0(int32_t, n_ids), *our_ids = g_new0(int32_t, n_ids);
    g_autofree double *bare = g_new(double, rounds), *ours = g_new(double, rounds);
    struct engine *engine = adapter_load(contest, work);
    void *yardstick = contest->start(work, contest->name);
    contest->run(yardstick, work, bare_ids);
    adapter_run(engine, work, 0, our_ids);
    g_autoptr(GRand) rng = g_rand_new_with_seed(SEED);
    for (int i = 0; i < rounds; i++) {
        bool bare_first = g_rand_boolean(rng);
        if (bare_first)
            bare[i] = 1 / contest->run(yardstick, work, bare_ids);
        ours[i] = 1 / adapter_run(engine, work, i + 1, our_ids);
        if (!bare_first)
            bare[i] = 1 / contest->run(yardstick, work, bare_ids);
    }
    contest->end(yardstick);
    engine_free(engine);
    if (bare_ids[0] >= 0 && memcmp(bare_ids, our_ids, n_ids * sizeof *our_ids) != 0)
        yardstick_give_up("the adapter's token ids differ from the yardstick's: the work is not equal");
    bench_row(contest->what, stats_paired_ratio(bare, ours, (size_t)rounds, 0.95), "×", "aim ≥ 0.98");
}

static void contest_run(const struct contest *contest, int rounds)
{
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(contest->backend, &error);
    g_auto(owned_resolved) model = {0};
    if (!backend || !workload_model_resolve("smollm2-135m-instruct", backend, contest->precision, NULL, &model, &error))
        yardstick_give_up(error->message);
    g_autofree char *python = contest->start == bare_start ? backend_find_python(backend, &error) : NULL;
    if (error)
        yardstick_give_up(error->message);
    g_autoptr(GRand) rng = g_rand_new_with_seed(SEED);
    g_autofree int32_t *ids = g_new(int32_t, contest->n_prompts * contest->n_in);
    for (int i = 0; i < contest->n_prompts * contest->n_in; i++)
        ids[i] = g_rand_int_range(rng, FIRST_ID, LAST_ID);
    struct yardstick_work work = {.model_path = model.path, .python = python, .n_prompts = contest->n_prompts,
                                  .n_in = contest->n_in, .n_out = contest->n_out, .ids = ids};
    run(contest, &work, rounds);
}

void yardstick_give_up(const char *message)
{
    fprintf(stderr, "bench_adapter: %s\n", message);
    exit(1);
}

/* True if it was asked for: by its name, or where none is named and its engine is here. */
static bool is_asked(const struct contest *contest, int n_names, char *const names[])
{
    for (int i = 0; i < n_names; i++)
        if (strcmp(names[i], contest->name) == 0)
            return true;
    g_autoptr(GError) error = NULL;
    const struct backend *backend = backend_find(contest->backend, &error);
    if (n_names > 0 || (backend && backend_check_python(backend, &error)))
        return n_names == 0;
    fprintf(stderr, "bench_adapter: without %s: %s\n", contest->name, error->message);
    return false;
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 30);
    int n_names = MAX(argc - 2, 0), found = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(contests); i++) {
        if (!is_asked(&contests[i], n_names, argv + argc - n_names))
            continue;
        contest_run(&contests[i], rounds);
        found++;
    }
    if (found < n_names)
        yardstick_give_up("a NAME is none of llamacpp, transformers, vllm, vllm-benchmark");
    return 0;
}
