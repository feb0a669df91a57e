/* SPDX-License-Identifier: MIT */
/*
 * llem-accuracy: errors and coverage of the estimators on simulated sensors with known truth.
 *
 *   llem-accuracy [--smoke] [--n N] [--others M] [--jobs J] [--json FILE] [--markdown FILE] [--only SENSOR]
 *                 [--test TEST] [--seed SEED] [--spoil HOW]
 *   llem-accuracy --joules FILE [--n N]      every trial's joules, to the last digit, against FILE
 *
 * N is $LLEM_CAMPAIGN_N or 1000 (smoke: 200) of each row whose band has two sides; M, of the others, as many; half of M
 * are whole runs. J is $LLEM_JOBS or the number of processors. Rows of fewer than 1000 trials have wider bands. Exit
 * status 0: every band held; 1: a band was missed (the files are written all the same) or a file could not be written;
 * 2: usage.
 */
#include "accuracy/strata.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static gboolean smoke;
static gint64 trials, others, seed = -1;
static int jobs;
static char *json_path, *markdown_path, *joules_path, *only, *only_test, *spoil_name;

/* Below half an hour on two processors. Bands of one side are held to by the durations of a row together. */
#define FULL_N   BANDS_N
#define OTHERS_N (BANDS_N / 2)

static const GOptionEntry entries[] = {
    {"smoke", 0, 0, G_OPTION_ARG_NONE, &smoke, "1 and 5 s only, 200 trials, bands widened for N", NULL},
    {"n", 'n', 0, G_OPTION_ARG_INT64, &trials, "trials of each row whose band has two sides", "N"},
    {"others", 0, 0, G_OPTION_ARG_INT64, &others, "and of the others (default N, at most 500)", "M"},
    {"jobs", 'j', 0, G_OPTION_ARG_INT, &jobs, "processes", "J"},
    {"json", 0, 0, G_OPTION_ARG_FILENAME, &json_path, "write the tallies", "FILE"},
    {"markdown", 0, 0, G_OPTION_ARG_FILENAME, &markdown_path, "write the page of the documentation", "FILE"},
    {"joules", 0, 0, G_OPTION_ARG_FILENAME, &joules_path, "hold every trial's joules to a golden file", "FILE"},
    {"only", 0, 0, G_OPTION_ARG_STRING, &only, "one class of sensor", "SENSOR"},
    {"test", 0, 0, G_OPTION_ARG_STRING, &only_test, "one test: T1, T2, T5, runs, steps", "TEST"},
    {"spoil", 0, 0, G_OPTION_ARG_STRING, &spoil_name,
     "sabotage the estimator: naive, no_guard, narrow, no_flags, alarms, locked, unlocked", "HOW"},
    {"seed", 0, 0, G_OPTION_ARG_INT64, &seed, "another set of trials (default 1; smoke and joules: 0, which constants are set on)", "SEED"},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

static int64_t number_of_environment(const char *name, int64_t otherwise)
{
    const char *text = g_getenv(name);
    int64_t value = 0;
    if (!text || !*text || !num_parse_int(text, 1, 1000000000, &value, NULL))
        return otherwise;
    return value;
}

static enum spoil find_spoil(void)
{
    for (int i = 0; spoil_name && i < SPOIL_COUNT; i++) {
        if (g_str_equal(spoil_name, spoil_names[i]))
            return i;
    }
    if (spoil_name)
        g_error("unknown sabotage %s", spoil_name);
    return SPOIL_NONE;
}

static GArray *list_strata(void)
{
    GArray *list = strata_list(smoke);
    for (guint i = list->len; i-- > 0;) {
        const struct stratum *s = &g_array_index(list, struct stratum, i);
        if ((only && !g_str_equal(s->sensor->name, only)) ||
            (only_test && !g_str_equal(test_names[s->test], only_test)))
            g_array_remove_index(list, i);
    }
    if (list->len == 0)
        g_error("no stratum of sensor class %s and test %s", only ? only : "(any)", only_test ? only_test : "(any)");
    return list;
}

struct line {
    size_t index;
    struct tally tally;
};

/* The next stratum that nobody has begun, one record into the pipe for each (far below PIPE_BUF: never torn). */
static void work(const struct stratum *strata, size_t count, atomic_size_t *next, enum spoil spoil, int out)
{
    for (size_t i; (i = atomic_fetch_add(next, 1)) < count;) {
        struct line line = {.index = i};
        stratum_run(&strata[i], judge_is_two_sided(&strata[i]) ? trials : others, spoil, &line.tally);
        if (write(out, &line, sizeof line) != (ssize_t)sizeof line)
            _exit(1);
    }
    _exit(0);
}

static bool gather(int in, struct tally *tallies, size_t count)
{
    size_t seen = 0;
    struct line line;
    ssize_t n;
    while ((n = read(in, &line, sizeof line)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n != (ssize_t)sizeof line || line.index >= count)
            return false;
        tallies[line.index] = line.tally;
        seen++;
    }
    return seen == count;
}

static bool run_all(const struct stratum *strata, struct tally *tallies, size_t count, enum spoil spoil)
{
    int ends[2];
    atomic_size_t *next = mmap(NULL, sizeof *next, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (next == MAP_FAILED || pipe(ends) != 0)
        g_error("processes of the harness: %s", g_strerror(errno));
    fflush(NULL);
    for (int job = 0; job < jobs; job++) {
        if (fork() == 0) {
            close(ends[0]);
            work(strata, count, next, spoil, ends[1]);
        }
    }
    close(ends[1]);
    bool fine = gather(ends[0], tallies, count);
    close(ends[0]);
    int status;
    while (wait(&status) > 0)
        fine = fine && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    munmap(next, sizeof *next);
    return fine;
}

static bool write_files(const struct stratum *strata, const struct tally *tallies, size_t count,
                        const struct verdict *verdict)
{
    g_autoptr(GError) error = NULL;
    bool fine = true;
    if (json_path) {
        g_autoptr(json_t) tree = report_json(strata, tallies, count, verdict);
        fine = jsonx_save(json_path, tree, &error);
    }
    if (fine && markdown_path) {
        g_autofree char *page = report_markdown(strata, tallies, count, verdict, trials, others);
        fine = file_write_durable(markdown_path, page, strlen(page), &error);
    }
    if (!fine)
        fprintf(stderr, "%s\n", error->message);
    return fine;
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    struct verdict verdict;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 2;
    }
    trials = trials > 0 ? trials : number_of_environment("LLEM_CAMPAIGN_N", smoke ? 200 : FULL_N);
    others = others > 0 ? others : MIN(trials, OTHERS_N);
    jobs = jobs > 0 ? jobs : (int)number_of_environment("LLEM_JOBS", g_get_num_processors());
    strata_seed = seed >= 0 ? (uint64_t)seed : smoke || joules_path ? 0 : 1;
    g_autoptr(GArray) strata = list_strata();
    if (joules_path)
        return joules_hold((const struct stratum *)(void *)strata->data, strata->len, trials, joules_path) ? 0 : 1;
    g_autofree struct tally *tallies = g_new0(struct tally, strata->len);
    if (!run_all((const struct stratum *)(void *)strata->data, tallies, strata->len, find_spoil())) {
        fprintf(stderr, "a process of the harness died\n");
        return 1;
    }
    judge((const struct stratum *)(void *)strata->data, tallies, strata->len, &verdict);
    report_table((const struct stratum *)(void *)strata->data, tallies, strata->len, &verdict);
    bool fine = write_files((const struct stratum *)(void *)strata->data, tallies, strata->len, &verdict);
    fine = fine && verdict.missed->len == 0;
    g_string_free(verdict.missed, TRUE);
    return fine ? 0 : 1;
}
