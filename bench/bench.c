/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include "base/base.h"

#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED      20260227
#define RESAMPLES 2000

extern char **environ;

int bench_rounds(int argc, char **argv, int fallback)
{
    if (argc < 2)
        return fallback;
    guint64 rounds;
    g_autoptr(GError) error = NULL;
    if (!g_ascii_string_to_unsigned(argv[1], 10, 2, 1000000, &rounds, &error)) {
        fprintf(stderr, "%s: rounds: %s\n", argv[0], error->message);
        exit(2);
    }
    return (int)rounds;
}

double bench_spawn_ms(char *const argv[])
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int status = 0;
    int64_t begin = clock_mono_ns();
    int failure = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
    if (failure == 0)
        waitpid(pid, &status, 0);
    int64_t end = clock_mono_ns();
    posix_spawn_file_actions_destroy(&actions);
    if (failure || status) {
        fprintf(stderr, "%s: %s\n", argv[0],
                failure ? strerror(failure) : "did not end with exit status 0");
        exit(1);
    }
    return (double)(end - begin) / (double)NS_PER_MS;
}

static double median(const double *x, size_t n, void *user)
{
    (void)user;
    return stats_median(x, n);
}

struct stats_interval bench_median(const double *x, size_t n)
{
    GRand *rng = g_rand_new_with_seed(SEED);
    struct stats_interval interval =
        stats_bootstrap(x, n, median, NULL, STATS_PERCENTILE, RESAMPLES, rng, 0.95);
    g_rand_free(rng);
    return interval;
}

void bench_row(const char *what, struct stats_interval value, const char *unit, const char *budget)
{
    printf("| %s | %.4g %s | ", what, value.estimate, unit);
    if (isnan(value.low))
        fputs("–", stdout);
    else
        printf("[%.4g, %.4g]", value.low, value.high);
    printf(" | %s |\n", budget ? budget : "–");
    fflush(stdout);
}

void bench_equivalence_row(const char *what, const double *x, const double *y, size_t n, double margin)
{
    g_autofree char *equal = g_strdup_printf("equal within ±%g %%", 100 * margin);
    const char *const words[] = {
        [STATS_UNDECIDED] = "undecided", [STATS_EQUAL] = equal, [STATS_DIFFERENT] = "different"};
    bench_row(what, stats_paired_ratio(x, y, n, 0.95), "×", words[stats_paired_equivalence(x, y, n, margin)]);
}
