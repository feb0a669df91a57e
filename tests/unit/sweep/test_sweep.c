/* SPDX-License-Identifier: MIT */
/* Cells, skips, duplicates, orders, limits. */
#include "sweep/sweep.h"

#include <string.h>

struct made {
    struct diag *diag;
    struct config_file *study;
    struct plan *plan; /* NULL: refused */
};

static struct made make(const char *text)
{
    struct made made = {.diag = diag_new()};
    made.study = config_file_parse("s.yaml", text, strlen(text), "/", NULL, made.diag);
    if (!made.study) {
        g_autofree char *said = diag_render(made.diag, false);
        g_error("%s", said);
    }
    made.plan = plan_new(made.study, made.diag);
    return made;
}

static void unmake(struct made *made)
{
    plan_free(made->plan);
    config_file_free(made->study);
    diag_free(made->diag);
}

#define MAKE(name, text) __attribute__((cleanup(unmake))) struct made name = make(text)

static char *labels(const struct plan *plan)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autofree char *label = plan_cell_label(plan, i);
        g_string_append_printf(out, "%s%s", i ? " | " : "", label);
    }
    return g_string_free(out, FALSE);
}

static const struct {
    const char *name, *text, *labels;
} grids[] = {
    {"none", "model: m\n", ""},
    {"two axes", "model: m\nsweep: {precision: [fp16, bf16], n: [1, 2]}\n",
     "precision=fp16 n=1 | precision=fp16 n=2 | precision=bf16 n=1 | precision=bf16 n=2"},
    {"a scalar is one level", "model: m\nsweep: {n: 3}\n", "n=3"},
    {"nested and dotted", "model: m\nbackend: sim\nsweep: {sim: {jitter: [0.1, 0.2]}, sim.load_ms: 5}\n",
     "sim.jitter=0.1 sim.load_ms=5.0 | sim.jitter=0.2 sim.load_ms=5.0"},
    {"null unsets", "model: m\nbackend: llamacpp\nsweep: {llamacpp.quantization: [null, q8_0]}\n",
     "llamacpp.quantization=null | llamacpp.quantization=q8_0"},
    {"axes of a backend", "model: m\nsweep: {backend: [llamacpp, sim], llamacpp.n_threads: [1, 2], sim.jitter: 0.5}\n",
     "backend=llamacpp llamacpp.n_threads=1 | backend=llamacpp llamacpp.n_threads=2 | backend=sim sim.jitter=0.5"},
    {"sections of several backends", "model: m\nllamacpp: {n_threads: 3}\nsweep: {backend: [llamacpp, pytorch]}\n",
     "backend=llamacpp | backend=pytorch"},
    {"a list field", "model: m\nbackend: vllm\nsweep: {vllm.engine.cudagraph_capture_sizes: [[1, 2], [4]]}\n",
     "vllm.engine.cudagraph_capture_sizes=[1,2] | vllm.engine.cudagraph_capture_sizes=[4]"},
    {"one level of a list field", "model: m\nbackend: vllm\nsweep: {vllm.engine.cudagraph_capture_sizes: [1, 2]}\n",
     "vllm.engine.cudagraph_capture_sizes=[1,2]"},
    {"empty sweep", "model: m\nsweep:\n", ""},
    {"models", "sweep: {model: [a, b]}\n", "model=a | model=b"},
    {"presets", "model: m\nsweep: {decoder.preset: [deterministic, creative]}\n",
     "decoder.preset=deterministic | decoder.preset=creative"},
};

static void test_grids(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(grids); i++) {
        MAKE(made, grids[i].text);
        g_test_message("%s", grids[i].name);
        g_assert_nonnull(made.plan);
        g_autofree char *got = labels(made.plan);
        g_assert_cmpstr(got, ==, grids[i].labels);
        const struct plan_skip *repeats;
        g_assert_cmpuint(plan_repeats(made.plan, &repeats), ==, 0);
    }
}

/* A cell is the experiment one would have written by hand. */
static void test_cell_is_an_experiment(void)
{
    MAKE(made, "model: m\nbackend: llamacpp\nsweep: {llamacpp.n_threads: [1, 4], precision: [fp16]}\n");
    MAKE(alone, "model: m\nbackend: llamacpp\nprecision: fp16\nllamacpp: {n_threads: 4}\n");
    g_assert_cmpstr(plan_cell_hash(made.plan, 1), ==, plan_cell_hash(alone.plan, 0));
    g_autoptr(owned_config) config = plan_cell_config(made.plan, 1);
    g_assert_cmpstr(config_hash(config), ==, plan_cell_hash(made.plan, 1));
    g_assert_cmpint(json_integer_value(config_value_at(config, "llamacpp.n_threads")), ==, 4);
    g_assert_cmpint(json_integer_value(config_value_at(config, "llamacpp.n_threads_batch")), ==, 4);
    g_autofree char *origin = config_origin_at(config, "llamacpp.n_threads");
    g_assert_cmpstr(origin, ==, "s.yaml:3:33");
    g_assert_cmpint(json_integer_value(plan_cell_level(made.plan, 1, 0)), ==, 4);
    g_assert_cmpstr(plan_axis_path(made.plan, 1), ==, "precision");
}

static void test_skips(void)
{
    MAKE(made, "model: m\nbackend: llamacpp\nllamacpp: {n_ubatch: 512, n_ctx: 2048}\n"
               "sweep: {llamacpp.n_batch: [256, 1024], n: [1, 2]}\n");
    const struct plan_skip *skips;
    g_assert_cmpuint(plan_cells(made.plan), ==, 2);
    g_assert_cmpuint(plan_skips(made.plan, &skips), ==, 2);
    g_assert_cmpstr(skips[0].label, ==, "llamacpp.n_batch=256 n=1");
    g_assert_cmpstr(skips[0].reason, ==, "llamacpp.n_batch must be at least llamacpp.n_ubatch; they are 256 and 512");
    g_autofree char *said = diag_render(made.diag, false);
    g_assert_nonnull(strstr(said, "s.yaml:4:9: warning: 2 of 4 cells break a rule and are skipped"));
}

static void test_no_valid_cell(void)
{
    MAKE(made, "model: m\nbackend: llamacpp\nsweep: {llamacpp.quantization: [q8_0], precision: [fp16, bf16]}\n");
    g_assert_null(made.plan);
    g_autofree char *said = diag_render(made.diag, false);
    g_assert_nonnull(strstr(said, "error: all 2 cells break a rule"));
    g_assert_nonnull(strstr(said, "exclude each other"));
}

/* A reason that holds for many cells is said once. */
static void test_each_reason_once(void)
{
    MAKE(made, "model: m\nbackend: llamacpp\nllamacpp: {n_ubatch: 512, n_ctx: 2048}\n"
               "sweep: {llamacpp.n_batch: [256, 1024], n: [1, 2, 3, 4, 5]}\n");
    g_autofree char *said = diag_render(made.diag, false);
    const char *reason = "and 2 more: llamacpp.n_batch must be at least llamacpp.n_ubatch; they are 256 and 512";
    g_assert_nonnull(strstr(said, "= llamacpp.n_batch=256 n=1; llamacpp.n_batch=256 n=2; "));
    g_assert_nonnull(strstr(said, reason));
    g_assert_null(strstr(strstr(said, reason) + strlen(reason), "they are 256"));
    MAKE(none, "model: m\nbackend: llamacpp\nllamacpp: {n_ubatch: 512, n_ctx: 2048, n_batch: 256}\nsweep: {n: [1, 2]}\n");
    g_autofree char *all = diag_render(none.diag, false);
    g_assert_nonnull(strstr(all, "= every cell: llamacpp.n_batch must be"));
}

static void test_duplicates(void)
{
    MAKE(made, "model: m\nsweep: {decoder.top_p: [0.5, 0.9], n: [1, 1.0, 2]}\n"); /* greedy: top_p has no effect */
    g_assert_cmpuint(plan_cells(made.plan), ==, 2);
    const struct plan_skip *repeats;
    g_assert_cmpuint(plan_repeats(made.plan, &repeats), ==, 4);
    g_assert_cmpstr(repeats[0].label, ==, "decoder.top_p=0.5 n=1");
    g_assert_cmpstr(repeats[0].reason, ==, "n=1 stands twice");
    g_assert_cmpstr(repeats[1].reason, ==, "decoder.top_p=0.9 comes to the same work as decoder.top_p=0.5");
    g_autofree char *said = diag_render(made.diag, false);
    g_assert_nonnull(strstr(said, "warning: 4 cells repeat the work of an earlier one"));
    g_assert_nonnull(strstr(said, "= decoder.top_p=0.9 n=1; decoder.top_p=0.9 n=2: decoder.top_p=0.9 comes to the same work"));
}

/* A value that has an effect in no cell is named; one that has an effect in some is not. */
static void test_no_effect(void)
{
    MAKE(greedy, "model: m\ndecoder: {top_p: 0.5}\nsweep: {n: [1, 2]}\n");
    g_autofree char *said = diag_render(greedy.diag, false);
    g_assert_true(g_str_has_prefix(said, "s.yaml:2:18: warning: decoder.top_p has no effect here"));
    g_assert_nonnull(strstr(said, "it has one while decoder.do_sample is true"));
    MAKE(mixed, "model: m\ndecoder: {top_p: 0.5}\nsweep: {decoder.temperature: [0, 1]}\n");
    g_assert_cmpuint(diag_warnings(mixed.diag), ==, 0);
    g_assert_cmpuint(plan_cells(mixed.plan), ==, 2);
}

static void test_too_many(void)
{
    g_autoptr(GString) text = g_string_new("model: m\nsweep:\n");
    static const char *const fields[] = {"n", "random_seed", "max_input_tokens", "max_output_tokens"};
    for (size_t f = 0; f < G_N_ELEMENTS(fields); f++) {
        g_string_append_printf(text, "  %s: [1", fields[f]);
        for (int i = 2; i <= 1000; i++)
            g_string_append_printf(text, ", %d", i);
        g_string_append(text, "]\n");
    }
    int64_t start = clock_process_cpu_ns();
    MAKE(made, text->str);
    g_assert_null(made.plan);
    g_assert_cmpint(clock_process_cpu_ns() - start, <, 5 * NS_PER_S); /* 10^12 cells are counted, not made */
    g_autofree char *said = diag_render(made.diag, false);
    g_assert_nonnull(strstr(said, "the sweep has 1000 × 1000 × 1000 × 1000 cells; the limit is 100000"));
}

/* --- Order -------------------------------------------------------------------------------------------------------- */

static char *order_of(const struct plan *plan)
{
    const struct plan_run *runs;
    size_t n = plan_runs(plan, &runs);
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%c%d", 'A' + (int)runs[i].cell, runs[i].cycle);
    return g_string_free(out, FALSE);
}

static char *order_with(const char *execution)
{
    g_autofree char *text = g_strdup_printf("model: m\nsweep: {n: [1, 2, 3]}\nexecution: {%s}\n", execution);
    MAKE(made, text);
    return order_of(made.plan);
}

static void test_orders(void)
{
    g_autofree char *sequential = order_with("n_cycles: 2, order: sequential");
    g_autofree char *interleaved = order_with("n_cycles: 2, order: interleaved");
    g_assert_cmpstr(sequential, ==, "A1A2B1B2C1C2");
    g_assert_cmpstr(interleaved, ==, "A1B1C1A2B2C2");
    /* Frozen: the order of a seed is part of a record. */
    g_autofree char *seeded = order_with("n_cycles: 3, order: shuffled, seed: 7");
    g_assert_cmpstr(seeded, ==, "B1C1A1C2B2A2A3C3B3");
}

static void test_shuffle_is_a_permutation_per_cycle(void)
{
    MAKE(made, "model: m\nsweep: {n: [1, 2, 3, 4, 5, 6, 7]}\nexecution: {n_cycles: 40}\n");
    const struct plan_run *runs;
    size_t n = plan_runs(made.plan, &runs), differ = 0;
    g_assert_cmpuint(n, ==, 280);
    unsigned firsts[7] = {0};
    for (int cycle = 0; cycle < 40; cycle++) {
        unsigned seen = 0;
        for (int i = 0; i < 7; i++) {
            const struct plan_run *run = &runs[cycle * 7 + i];
            g_assert_cmpint(run->cycle, ==, cycle + 1);
            seen |= 1u << run->cell;
            differ += run->cell != runs[i].cell;
        }
        g_assert_cmpuint(seen, ==, 0x7f);
        firsts[runs[cycle * 7].cell]++;
    }
    g_assert_cmpuint(differ, >, 100);
    for (int i = 0; i < 7; i++)
        g_assert_cmpuint(firsts[i], <, 20);
}

static void test_seed(void)
{
    g_autofree char *a = order_with("seed: 1, n_cycles: 9"), *b = order_with("seed: 1, n_cycles: 9");
    g_autofree char *c = order_with("seed: 2, n_cycles: 9");
    g_assert_cmpstr(a, ==, b);
    g_assert_cmpstr(a, !=, c);
    MAKE(x, "model: m\nsweep: {n: [1, 2]}\n");
    MAKE(y, "model: m\nsweep: {n: [1, 2]}\noutput_dir: elsewhere\n");
    MAKE(z, "model: m\nsweep: {n: [2, 1]}\n");
    g_assert_cmpstr(plan_hash(x.plan), ==, plan_hash(y.plan));
    g_assert_cmpstr(plan_hash(x.plan), !=, plan_hash(z.plan));
    g_assert_true(plan_seed(x.plan) == plan_seed(y.plan));
    g_assert_cmpint(plan_cycles(x.plan), ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sweep/grids", test_grids);
    g_test_add_func("/sweep/a cell is an experiment", test_cell_is_an_experiment);
    g_test_add_func("/sweep/skips", test_skips);
    g_test_add_func("/sweep/no valid cell", test_no_valid_cell);
    g_test_add_func("/sweep/each reason once", test_each_reason_once);
    g_test_add_func("/sweep/duplicates", test_duplicates);
    g_test_add_func("/sweep/no effect", test_no_effect);
    g_test_add_func("/sweep/too many cells", test_too_many);
    g_test_add_func("/sweep/orders", test_orders);
    g_test_add_func("/sweep/shuffled", test_shuffle_is_a_permutation_per_cycle);
    g_test_add_func("/sweep/seed", test_seed);
    return g_test_run();
}
