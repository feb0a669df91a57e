/* SPDX-License-Identifier: MIT */
/*
 * What measuring does to the measured: llama.cpp decodes the same prompt again and again on all processors, in turns
 * without and with the sampler at 100 Hz (order drawn by a fixed seed within each pair). The sampler reads two
 * simulated boards whose every call keeps the CPU busy for 3.5 to 365 µs (drawn anew, evenly in the logarithm), as
 * drivers do, and whatever this machine has. Each pair is taken in turn for each condition: with and without real-time
 * priority, its threads held to one processor and not. The paired ratios with/without of decode tokens/s are equal
 * within ±0.5 %, different, or undecided. Then the same of the modelled joules of the engine's CPU time, and the
 * sampler's CPU time.
 */
#include "bench.h"

#include "base/base.h"
#include "backend/backend.h"
#include "engine/engine.h"
#include "meter/meter.h"
#include "workload/workload.h"

#include <glib/gstdio.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED       20260227
#define OUT_TOKENS 64 /* at most */
#define FEW_ROUNDS 5  /* fewer are no measurement, but a look whether it works: a quarter of the tokens */
#define MARGIN     0.005
#define BOARD      "{\"load\": [{\"type\": \"constant\", \"watts\": 115}]}"

static const char script[] = "{\"latency\": {\"low_us\": 3.5, \"high_us\": 365, \"spin\": true}, "
                             "\"devices\": [" BOARD ", " BOARD "]}";

static const struct condition {
    const char *words;
    bool held, ordinary;
} conditions[] = {
    {"SCHED_FIFO, on any processor", false, false},
    {"SCHED_FIFO, held to one processor", true, false},
    {"ordinary priority, on any processor", false, true},
    {"ordinary priority, held to one processor", true, true},
};
#define CONDITIONS G_N_ELEMENTS(conditions)

static const char *const prompt_text =
    "Explain in plain words why a warm computer draws more power than a cold one.";

struct set_up {
    struct engine *engine;
    struct meter *meter;
    struct meter_reading *before, *after;
    struct engine_tokens *prompt;
    int64_t batch, tokens;
    cpu_set_t all;
    bool refused; /* SCHED_FIFO was */
};

/* The figures of all runs without and with the sampler. */
struct arm {
    double *rate, *joules;
};
struct pair {
    struct arm off, on;
    struct sampler_stats total;
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
                  "random_seed", 42, "decoder", "options", "n_threads", CPU_COUNT(&s->all));
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
                                   .max_tokens = s->tokens,
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

/* The calling thread, and those that it starts from now on, on the last of the processors alone, or on all of them. */
static void hold(const struct set_up *s, bool held)
{
    cpu_set_t to = s->all;
    for (int cpu = 0, left = CPU_COUNT(&s->all) - 1; held && left > 0; cpu++) {
        left -= CPU_ISSET(cpu, &s->all) ? 1 : 0;
        CPU_CLR(cpu, &to);
    }
    sched_setaffinity(0, sizeof to, &to);
}

/* One run with the sampler on; its statistics are added up in total. */
static void decode_sampled(struct set_up *s, const struct condition *c, struct pair *pair, int at)
{
    g_autoptr(GError) error = NULL;
    struct sampler_stats stats;
    g_autoptr(owned_sampler) sampler =
        sampler_new(s->meter, &(struct sampler_options){.ordinary = c->ordinary}, &error);
    hold(s, c->held);
    if (!sampler || !sampler_start(sampler, &error))
        give_up(error);
    hold(s, false);
    decode_once(s, &pair->on, at);
    if (!sampler_stop(sampler, &error))
        give_up(error);
    sampler_stats(sampler, &stats);
    s->refused = s->refused || (!c->ordinary && !stats.realtime);
    pair->total.cpu_ns += stats.cpu_ns + stats.slow_cpu_ns + stats.writer_cpu_ns;
    pair->total.elapsed_ns += stats.elapsed_ns;
}

static void measure(struct set_up *s, struct pair *pairs, int rounds)
{
    GRand *rng = g_rand_new_with_seed(SEED);
    decode_once(s, &pairs[0].off, 0); /* warm */
    for (size_t k = 0; k < CONDITIONS * (size_t)rounds; k++) {
        struct pair *pair = &pairs[k % CONDITIONS];
        int at = (int)(k / CONDITIONS);
        bool off_first = g_rand_boolean(rng);
        if (off_first)
            decode_once(s, &pair->off, at);
        decode_sampled(s, &conditions[k % CONDITIONS], pair, at);
        if (!off_first)
            decode_once(s, &pair->off, at);
    }
    g_rand_free(rng);
}

static void print(const struct set_up *s, const struct pair *pairs, int rounds)
{
    double cpu_ns = 0, elapsed_ns = 0;
    for (size_t c = 0; c < CONDITIONS; c++) {
        const struct pair *pair = &pairs[c];
        g_autofree char *what = g_strdup_printf(
            "llama.cpp decode tokens/s on %d threads, sampler at 100 Hz over none: %s%s", CPU_COUNT(&s->all),
            conditions[c].words, s->refused && !conditions[c].ordinary ? " (SCHED_FIFO was not granted)" : "");
        bench_equivalence_row(what, pair->off.rate, pair->on.rate, (size_t)rounds, MARGIN);
        cpu_ns += (double)pair->total.cpu_ns;
        elapsed_ns += (double)pair->total.elapsed_ns;
    }
    if (pairs[0].off.joules[0] > 0)
        bench_equivalence_row("modelled joules of the engine, the first of them", pairs[0].off.joules,
                              pairs[0].on.joules, (size_t)rounds, MARGIN);
    bench_row("CPU time of the sampler's threads beside llama.cpp, the calls of the simulated driver in it",
              (struct stats_interval){.estimate = 100 * cpu_ns / elapsed_ns, .low = NAN, .high = NAN},
              "% of one core", NULL);
}

/* The simulated driver stands in the place of this machine's. */
static void open_meter(struct set_up *s)
{
    g_autoptr(GError) error = NULL;
    g_autofree const char **sources = meter_sources_asked(NULL, SOURCE_BY_AUTO | SOURCE_MODEL);
    g_autofree char *dir = g_dir_make_tmp("llem-bench-XXXXXX", &error);
    g_autofree char *path = dir ? g_build_filename(dir, "boards.json", NULL) : NULL;
    if (!dir || !g_file_set_contents(path, script, -1, &error))
        give_up(error);
    g_setenv("LLEM_NVML_SIM", path, TRUE);
    s->meter = meter_open(&(struct meter_options){.sources = sources,
                                                  .library = LLEM_BINARY_DIR "/lib/libllem-nvml-sim.so"},
                          &error);
    g_unlink(path);
    g_rmdir(dir);
    if (!s->meter)
        give_up(error);
    s->before = g_new0(struct meter_reading, meter_channel_count(s->meter));
    s->after = g_new0(struct meter_reading, meter_channel_count(s->meter));
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 60);
    g_autoptr(GError) error = NULL;
    g_auto(owned_resolved) model = {0};
    struct set_up s = {.tokens = rounds < FEW_ROUNDS ? OUT_TOKENS / 4 : OUT_TOKENS};
    struct pair pairs[CONDITIONS] = {0};
    for (size_t c = 0; c < CONDITIONS; c++) {
        pairs[c].off = (struct arm){g_new(double, rounds), g_new(double, rounds)};
        pairs[c].on = (struct arm){g_new(double, rounds), g_new(double, rounds)};
    }
    sched_getaffinity(0, sizeof s.all, &s.all);
    if (!workload_model_resolve("smollm2-135m-instruct", backend_find("llamacpp", NULL), NULL, NULL, &model, &error))
        give_up(error);
    open_meter(&s);
    start_engine(&s, model.path);
    measure(&s, pairs, rounds);
    print(&s, pairs, rounds);
    engine_free(s.engine);
    engine_tokens_free(s.prompt, 1);
    meter_close(s.meter);
    return 0;
}
