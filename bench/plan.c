/* SPDX-License-Identifier: MIT */
/* Planning a large study: 10,000 cells × 3 cycles, every cell validated and hashed. */
#include "bench.h"

#include "sweep/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char study_text[] = "model: smollm2-135m-instruct\n"
                                 "backend: llamacpp\n"
                                 "sweep:\n"
                                 "  max_output_tokens: [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]\n"
                                 "  max_input_tokens: [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]\n"
                                 "  llamacpp.n_threads: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
                                 "  llamacpp.n_parallel: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
                                 "execution: {n_cycles: 3}\n";

static double plan_once_ms(void)
{
    const struct plan_run *runs;
    int64_t start = clock_mono_ns();
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(owned_config_file) study = config_file_parse("plan.yaml", study_text, strlen(study_text), "/", NULL,
                                                           diag);
    g_autoptr(owned_plan) plan = plan_new(study, diag);
    if (!plan || plan_runs(plan, &runs) != 30000) {
        fprintf(stderr, "bench_plan: not 30,000 runs\n");
        exit(1);
    }
    return (double)(clock_mono_ns() - start) / 1e6;
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 30);
    g_autofree double *ms = g_new(double, rounds);
    plan_once_ms();
    for (int i = 0; i < rounds; i++)
        ms[i] = plan_once_ms();
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double mib = (double)usage.ru_maxrss / 1024;
    bench_row("plan 10,000 cells × 3 cycles, hashes included", bench_median(ms, (size_t)rounds), "ms", "≤ 150 ms");
    bench_row("the same, peak memory of the process",
              (struct stats_interval){.estimate = mib, .low = mib, .high = mib}, "MiB", "≤ 100 MB");
    return 0;
}
