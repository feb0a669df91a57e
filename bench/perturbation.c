/* SPDX-License-Identifier: MIT */
/*
 * What measuring does to the measured: llama.cpp decodes the same prompt again and again, in turns
 * without and with the sampler at 100 Hz (order drawn by a fixed seed within each pair), and the
 * paired ratios with/without are given for decode tokens/s and for the modelled joules of the
 * engine's CPU time. Then the sampler's own ticks and CPU time. 1 means no effect.
 */
#include "bench.h"

#include "base/base.h"
#include "backend/backend.h"
#include "engine/engine.h"
#include "meter/meter.h"
#include "workload/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED       20260227
#define OUT_TOKENS 64

static const char *const prompt_text =
    "Explain in plain words why a warm computer draws more power than a cold one.";

struct set_up {
    struct engine *engine;
    struct meter *meter;
    struct meter_reading *before, *after;
    struct engine_tokens *prompt;
    size_t n_cpu_channels;
    int64_t batch;
};

/* The figures of all runs of one arm. */
struct arm {
    double *rate, *joules;
};

static void give_up(const GError *error)
{
    fprintf(stderr, "bench_perturbation: %s\n", error->message);
    exit(1);
}

static void start_engine(struct set_up *s, const char *model_path)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = backend_command(backend_find("llamacpp", NULL), &error);
    if (!argv)
        give_up(error);
    s->engine = engine_start(
        &(struct engine_options){.argv = (const char *const *)argv, .interrupt_fd = -1}, &error);
    struct engine_identity identity = {0};
    struct engine_loaded loaded = {0};
    g_autoptr(json_t) config =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:{}, s:{s:i}}", "model", "bench", "model_path",
                  model_path, "max_input_tokens", 128, "max_output_tokens", OUT_TOKENS,
                  "random_seed", 42, "decoder", "options", "n_threads", 1);
    if (!s->engine || !engine_hello(s->engine, 0, &identity, &error) ||
        !engine_load(s->engine, config, false, 0, &loaded, &error) ||
        !engine_tokenize(s->engine, &prompt_text, 1, true, false, 0, &s->prompt, &error))
        give_up(error);
    pid_t pid = engine_pid(s->engine);
    meter_set_engine_pids(s->meter, &pid, 1);
    engine_identity_clear(&identity);
    engine_loaded_clear(&loaded);
}

/* Joules of the modelled channels between the two readings: middle of the stated range. */
static double modelled_joules(const struct set_up *s)
{
    double joules = 0;
    for (size_t i = 0; i < meter_channel_count(s->meter); i++) {
        const struct meter_channel *channel = meter_channel_at(s->meter, i);
        enum meter_read_status status;
        int64_t raw;
        if (channel->status == QUANTITY_MODELLED && channel->kind == METER_ENERGY &&
            meter_counter_delta(channel, &s->before[i], &s->after[i], &raw, &status))
            joules += (double)raw * channel->scale;
    }
    return joules;
}

static void decode_once(struct set_up *s, struct arm *arm, int at)
{
    g_autoptr(GError) error = NULL;
    struct engine_generation done = {0};
    struct engine_prompt prompt = {.id = "p",
                                   .token_ids = s->prompt->ids,
                                   .n_tokens = s->prompt->n,
                                   .max_tokens = OUT_TOKENS,
                                   .ignore_eos = true};
    int64_t batch = s->batch++;
    if (!engine_prepare(s->engine, batch, &prompt, 1, 0, NULL, &error))
        give_up(error);
    meter_read(s->meter, METER_ALL_RATES, s->before);
    if (!engine_generate_all(s->engine, &batch, 1, 0, &done, &error))
        give_up(error);
    meter_read(s->meter, METER_ALL_RATES, s->after);
    const struct engine_request *request = &done.requests[0];
    int64_t decode_ns = request->stamps_ns[request->n_out - 1] - request->stamps_ns[0];
    arm->rate[at] = (double)(request->n_out - 1) * (double)NS_PER_S / (double)decode_ns;
    arm->joules[at] = modelled_joules(s);
    engine_generation_clear(&done);
}

/* One run with the sampler on; its statistics are added up in total. */
static void decode_sampled(struct set_up *s, struct arm *arm, int at, struct sampler_stats *total)
{
    g_autoptr(GError) error = NULL;
    struct sampler_stats stats;
    g_autoptr(owned_sampler) sampler = sampler_new(s->meter, &(struct sampler_options){0}, &error);
    if (!sampler || !sampler_start(sampler, &error))
        give_up(error);
    decode_once(s, arm, at);
    if (!sampler_stop(sampler, &error))
        give_up(error);
    sampler_stats(sampler, &stats);
    total->cpu_ns += stats.cpu_ns + stats.slow_cpu_ns + stats.writer_cpu_ns;
    total->elapsed_ns += stats.elapsed_ns;
}

static void print_ratio(const char *what, const double *off, const double *on, int rounds)
{
    bench_row(what, stats_paired_ratio(off, on, (size_t)rounds, 0.95), "×",
              "1 inside the interval");
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 30);
    g_autoptr(GError) error = NULL;
    g_auto(owned_resolved) model = {0};
    g_autofree const char **sources = meter_sources_asked(NULL, SOURCE_BY_AUTO | SOURCE_MODEL);
    struct set_up s = {0};
    struct arm off = {g_new(double, rounds), g_new(double, rounds)},
               on = {g_new(double, rounds), g_new(double, rounds)};
    struct sampler_stats total = {0};
    GRand *rng = g_rand_new_with_seed(SEED);
    if (!workload_model_resolve("smollm2-135m-instruct", backend_find("llamacpp", NULL), NULL, NULL, &model, &error))
        give_up(error);
    s.meter = meter_open(&(struct meter_options){.sources = sources}, &error);
    if (!s.meter)
        give_up(error);
    s.before = g_new0(struct meter_reading, meter_channel_count(s.meter));
    s.after = g_new0(struct meter_reading, meter_channel_count(s.meter));
    start_engine(&s, model.path);
    decode_once(&s, &off, 0); /* warm */
    for (int i = 0; i < rounds; i++) {
        bool off_first = g_rand_boolean(rng);
        if (off_first)
            decode_once(&s, &off, i);
        decode_sampled(&s, &on, i, &total);
        if (!off_first)
            decode_once(&s, &off, i);
    }
    print_ratio("llama.cpp decode tokens/s, sampler at 100 Hz over none", off.rate, on.rate,
                rounds);
    if (off.joules[0] > 0)
        print_ratio("modelled joules of the engine, sampler at 100 Hz over none", off.joules,
                    on.joules, rounds);
    double share = 100.0 * (double)total.cpu_ns / (double)total.elapsed_ns;
    bench_row("CPU time of the sampler's threads beside llama.cpp",
              (struct stats_interval){.estimate = share, .low = NAN, .high = NAN}, "% of one core",
              "≤ 0.5 % for 8 GPUs");
    engine_free(s.engine);
    engine_tokens_free(s.prompt, 1);
    meter_close(s.meter);
    g_rand_free(rng);
    return 0;
}
