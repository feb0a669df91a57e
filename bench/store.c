/* SPDX-License-Identifier: MIT */
/*
 * The folder of a large study (10,000 cells × 3 cycles): written and opened, over the time that planning it takes; and
 * a transition of a run in it, over one in a study of 30 runs, on the same disk in turns.
 */
#include "bench.h"

#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define TRANSITIONS 20 /* a round */
#define AXIS        "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"

static const char large[] = "model: smollm2-135m-instruct\n"
                            "backend: llamacpp\n"
                            "sweep: {max_output_tokens: " AXIS ", max_input_tokens: " AXIS ",\n"
                            "  llamacpp.n_threads: " AXIS ", llamacpp.n_parallel: " AXIS "}\n"
                            "execution: {n_cycles: 3}\n";
static const char small[] = "model: smollm2-135m-instruct\n"
                            "backend: llamacpp\n"
                            "sweep: {llamacpp.n_threads: " AXIS "}\n"
                            "execution: {n_cycles: 3}\n";

static void die(const GError *error)
{
    fprintf(stderr, "bench_store: %s\n", error->message);
    exit(1);
}

/* Milliseconds since start; start becomes now. */
static double lap_ms(int64_t *start)
{
    int64_t now = clock_mono_ns();
    double ms = (double)(now - *start) / 1e6;
    *start = now;
    return ms;
}

struct times {
    double plan, write, open;
};

/* The store is handed over, open for writing. */
static struct store *build(const char *results, const char *text, struct times *ret)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_diag) diag = diag_new();
    int64_t at = clock_mono_ns();
    g_autoptr(owned_config_file) file = config_file_parse("study.yaml", text, strlen(text), "/", NULL, diag);
    g_autoptr(owned_plan) plan = plan_new(file, diag);
    ret->plan = lap_ms(&at);
    struct store *store = store_create(results, file, plan, &error);
    if (!store)
        die(error);
    ret->write = lap_ms(&at);
    g_autoptr(owned_store) again = store_open(store_folder(store), STORE_READ, &error);
    if (!again)
        die(error);
    ret->open = lap_ms(&at);
    return store;
}

/* Microseconds of a transition. */
static double transition_us(struct store *store)
{
    g_autoptr(GError) error = NULL;
    int64_t start = clock_mono_ns();
    for (size_t i = 0; i < TRANSITIONS; i++)
        if (!store_run_begin(store, i, "/nowhere/.exchange-1", &error))
            die(error);
    return (double)(clock_mono_ns() - start) / 1e3 / TRANSITIONS;
}

static double bytes_per_cell(const struct store *store)
{
    g_autofree char *path = g_build_filename(store_folder(store), "cells.jsonl", NULL);
    struct stat st = {0};
    stat(path, &st);
    return (double)st.st_size / (double)store_cells(store);
}

static void row_of_one(const char *what, double value, const char *unit, const char *budget)
{
    bench_row(what, (struct stats_interval){.estimate = value, .low = value, .high = value}, unit, budget);
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 10);
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("llem-bench-XXXXXX", &error);
    if (!dir)
        die(error);
    g_autofree double *write = g_new(double, rounds), *open = g_new(double, rounds), *line = g_new(double, rounds);
    double bytes = 0;
    for (int i = 0; i < rounds; i++) {
        struct times times, unused;
        g_autoptr(owned_store) big = build(dir, large, &times), little = build(dir, small, &unused);
        write[i] = times.write / times.plan;
        open[i] = times.open / times.plan;
        double of_little = transition_us(little);
        line[i] = transition_us(big) / of_little;
        bytes = bytes_per_cell(big);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    size_t n = (size_t)rounds;
    bench_row("write the folder of 10,000 cells × 3 cycles, over planning them", bench_median(write, n), "×", "≤ 8 ×");
    bench_row("open it again, over planning them", bench_median(open, n), "×", "≤ 2 ×");
    row_of_one("a cell in cells.jsonl", bytes, "B", "≤ 1 kB");
    bench_row("a transition in it, over one in a study of 30 runs", bench_median(line, n), "×", "1 ×");
    row_of_one("peak memory of all that", (double)usage.ru_maxrss / 1024, "MiB", "≤ 100 MB");
    file_remove_tree(dir, NULL);
    return 0;
}
