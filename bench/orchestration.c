/* SPDX-License-Identifier: MIT */
/*
 * What llem itself costs per experiment: a study of do-nothing experiments (scripted engine, no
 * warm-up, baseline, guards or sensors) run with 1 and with 1 + EXTRA cycles, in turns; the
 * difference over EXTRA. Start of worker and engine, the protocol, the records and their fsyncs are
 * inside.
 */
#include "bench.h"

#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXTRA 10

static const char study[] = "model: scripted\n"
                            "backend: sim\n"
                            "n: 1\n"
                            "max_input_tokens: 4\n"
                            "max_output_tokens: 2\n"
                            "warmup: {enabled: false}\n"
                            "baseline: {enabled: false}\n"
                            "energy: {backend: none, guard_ms: 0}\n"
                            "sim: {token_us: 0}\n";

static double run_ms(const char *file, const char *results, int cycles)
{
    g_autofree char *count = g_strdup_printf("%d", cycles);
    char llem[] = LLEM_BINARY_DIR "/bin/llem", run[] = "run", quiet[] = "-q", c[] = "-c",
         o[] = "-o";
    g_autofree char *f = g_strdup(file), *dir = g_strdup(results);
    double ms = bench_spawn_ms((char *const[]){llem, run, f, quiet, c, count, o, dir, NULL});
    file_remove_tree(results, NULL);
    return ms;
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 15);
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("llem-bench-XXXXXX", &error);
    g_autofree char *file = dir ? g_build_filename(dir, "nothing.yaml", NULL) : NULL;
    g_autofree char *results = dir ? g_build_filename(dir, "results", NULL) : NULL;
    if (!dir || !g_file_set_contents(file, study, -1, &error)) {
        fprintf(stderr, "bench_orchestration: %s\n", error->message);
        return 1;
    }
    g_autofree double *each = g_new(double, rounds);
    run_ms(file, results, 1);
    for (int i = 0; i < rounds; i++) {
        double one = run_ms(file, results, 1);
        each[i] = (run_ms(file, results, 1 + EXTRA) - one) / EXTRA;
    }
    bench_row("orchestration per experiment, do-nothing engine", bench_median(each, (size_t)rounds),
              "ms", "≤ 20 ms");
    file_remove_tree(dir, NULL);
    return 0;
}
