/* SPDX-License-Identifier: MIT */
/*
 * What llem adds to a container: an experiment that does nothing in a container, over a bare `docker run` with the same
 * flags whose worker only says its version. In turns: a study of 1 run, EXTRA bare containers, a study of 1 + EXTRA
 * runs; the difference of the studies over EXTRA is one experiment with all that belongs to it (exchange folder,
 * worker, engine, protocol, records, journal, and their fsyncs). The flags, and how often the client is called for one
 * run more, are those that a client in front of the real one wrote down.
 *
 * Needs a daemon (DOCKER_HOST) with the image LLEM_BENCH_IMAGE: `tools/bench.sh containers` starts one.
 */
#include "bench.h"

#include "base/base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXTRA     4
#define SEPARATOR "\037"

static const char study[] = "model: scripted\n"
                            "backend: sim\n"
                            "n: 1\n"
                            "max_input_tokens: 4\n"
                            "max_output_tokens: 2\n"
                            "warmup: {enabled: false}\n"
                            "baseline: {enabled: false}\n"
                            "energy: {backend: none, guard_ms: 0}\n"
                            "sim: {token_us: 0}\n";

/* Writes down the words of each call and becomes the client. */
static const char note[] = "#!/bin/sh\n"
                           "{ for word; do printf '%s" SEPARATOR "' \"$word\"; done; echo; } >>\"$LLEM_BENCH_CALLS\"\n"
                           "PATH=$LLEM_BENCH_PATH exec docker \"$@\"\n";

struct place {
    char *dir, *file, *results, *calls, *exchange;
    char *path; /* where the client is found */
};

static void die(const char *what)
{
    fprintf(stderr, "bench_containers: %s\n", what);
    exit(1);
}

static void place_make(struct place *p)
{
    g_autoptr(GError) error = NULL;
    p->dir = g_dir_make_tmp("llem-bench-XXXXXX", &error);
    if (!p->dir)
        die(error->message);
    p->file = g_build_filename(p->dir, "nothing.yaml", NULL);
    p->results = g_build_filename(p->dir, "results", NULL);
    p->calls = g_build_filename(p->dir, "calls", NULL);
    p->exchange = g_build_filename(p->dir, "exchange", NULL);
    p->path = g_strdup(g_getenv("PATH"));
    g_autofree char *bin = g_build_filename(p->dir, "bin", NULL);
    g_autofree char *client = g_build_filename(bin, "docker", NULL);
    if (mkdir(bin, 0755) != 0 || mkdir(p->exchange, 0755) != 0 || !g_file_set_contents(p->file, study, -1, &error) ||
        !g_file_set_contents(client, note, -1, &error) || chmod(client, 0755) != 0)
        die(error ? error->message : "no folder to work in");
    g_setenv("LLEM_BENCH_PATH", p->path, TRUE);
    g_setenv("LLEM_BENCH_CALLS", p->calls, TRUE);
}

static double study_ms(const struct place *p, int cycles)
{
    g_autofree char *count = g_strdup_printf("%d", cycles);
    char llem[] = LLEM_BINARY_DIR "/bin/llem", run[] = "run", quiet[] = "-q", c[] = "-c", o[] = "-o";
    double ms = bench_spawn_ms((char *const[]){llem, run, p->file, quiet, c, count, o, p->results, NULL});
    file_remove_tree(p->results, NULL);
    return ms;
}

/* The calls of a study, a line each. */
static char **calls_of(const struct place *p, int cycles)
{
    g_autofree char *path = g_strdup_printf("%s/bin:%s", p->dir, p->path), *text = NULL;
    g_autoptr(GError) error = NULL;
    remove(p->calls);
    g_setenv("PATH", path, TRUE);
    study_ms(p, cycles);
    g_setenv("PATH", p->path, TRUE);
    if (!g_file_get_contents(p->calls, &text, NULL, &error))
        die(error->message);
    g_strchomp(text);
    return g_strsplit(text, "\n", -1);
}

/* A mount of the exchange folder, or of what is in it, as one of our folder; other words as they are. */
static char *elsewhere(const char *word, const char *folder)
{
    const char *target = strstr(word, ",target=") ? strstr(word, ",target=") : strstr(word, ",dst=");
    bool is_exchange = target && strstr(word, "/.exchange-");
    return is_exchange ? g_strdup_printf("type=bind,source=%s%s", folder, target) : g_strdup(word);
}

/* The last call that ran something, led to an empty exchange folder and a worker that only says its version. */
static GPtrArray *bare_words(const struct place *p, char *const *calls)
{
    const char *last = NULL;
    for (; *calls; calls++)
        if (g_str_has_prefix(*calls, "run" SEPARATOR))
            last = *calls;
    if (!last)
        die("no run was among the client's calls");
    g_auto(GStrv) words = g_strsplit(last, SEPARATOR, -1);
    GPtrArray *bare = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *client = g_find_program_in_path("docker");
    g_ptr_array_add(bare, g_strdup(client));
    for (char **w = words; *w && **w; w++) {
        if (g_str_equal(*w, "--cidfile") || g_str_equal(*w, "--env-file") || g_str_equal(*w, "--name")) {
            w++;
            continue;
        }
        g_ptr_array_add(bare, elsewhere(*w, p->exchange));
    }
    g_ptr_array_add(bare, g_strdup("--version"));
    g_ptr_array_add(bare, NULL);
    return bare;
}

static struct stats_interval plain(double value)
{
    return (struct stats_interval){.estimate = value, .low = NAN, .high = NAN};
}

static void measure(const struct place *p, char *const *bare, int rounds)
{
    g_autofree double *more = g_new(double, rounds), *ours = g_new(double, rounds), *theirs = g_new(double, rounds);
    for (int i = 0; i < rounds; i++) {
        double one = study_ms(p, 1), sum = 0;
        for (int k = 0; k < EXTRA; k++)
            sum += bench_spawn_ms(bare);
        ours[i] = (study_ms(p, 1 + EXTRA) - one) / EXTRA;
        theirs[i] = sum / EXTRA;
        more[i] = ours[i] - theirs[i];
    }
    bench_row("an experiment in a container, do-nothing engine", bench_median(ours, (size_t)rounds), "ms", NULL);
    bench_row("a bare `docker run` with the same flags", bench_median(theirs, (size_t)rounds), "ms", NULL);
    bench_row("what llem adds to it", bench_median(more, (size_t)rounds), "ms", "≤ 100 ms");
}

int main(int argc, char **argv)
{
    int rounds = bench_rounds(argc, argv, 11);
    const char *image = g_getenv("LLEM_BENCH_IMAGE");
    if (!image || !g_getenv("DOCKER_HOST")) {
        fprintf(stderr, "bench_containers: no daemon (DOCKER_HOST) or no image (LLEM_BENCH_IMAGE): left out\n");
        return 0;
    }
    g_autofree char *runner = g_strdup_printf("docker:%s", image);
    g_setenv("LLEM_RUNNER_SIM", runner, TRUE);
    struct place p;
    place_make(&p);
    study_ms(&p, 1);
    g_auto(GStrv) of_one = calls_of(&p, 1), of_more = calls_of(&p, 1 + EXTRA);
    g_autoptr(GPtrArray) bare = bare_words(&p, of_more);
    bench_spawn_ms((char *const *)bare->pdata);
    measure(&p, (char *const *)bare->pdata, rounds);
    double calls = ((double)g_strv_length(of_more) - (double)g_strv_length(of_one)) / EXTRA;
    bench_row("calls of the client for a run, its `run` among them", plain(calls), "calls", "≤ 3");
    file_remove_tree(p.dir, NULL);
    return 0;
}
