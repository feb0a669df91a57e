/* SPDX-License-Identifier: MIT */
/* Start-up of `llem --version` over an empty C program, run in turns. */
#include "bench.h"

int main(int argc, char **argv)
{
    char llem_path[] = LLEM_BINARY_DIR "/bin/llem", version[] = "--version";
    char empty_path[] = LLEM_BINARY_DIR "/bench/parts/bench_empty";
    char *const llem[] = {llem_path, version, NULL};
    char *const empty[] = {empty_path, NULL};
    int rounds = bench_rounds(argc, argv, 300);
    g_autofree double *over = g_new(double, rounds);
    bench_spawn_ms(llem); /* both are in the page cache from here on */
    bench_spawn_ms(empty);
    for (int i = 0; i < rounds; i++) {
        double base = bench_spawn_ms(empty);
        over[i] = bench_spawn_ms(llem) - base;
    }
    bench_row("`llem --version` over an empty C program", bench_median(over, (size_t)rounds), "ms",
              "≤ 3 ms");
    return 0;
}
