/* SPDX-License-Identifier: MIT */
/* llem result: what lies in a results folder, and the schema of it. */
#include "cli/cli.h"

#include "cli/table.h"
#include "result/result.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_study(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "study.json", NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* The youngest study of a results folder; NULL when it holds none. New string. */
static char *youngest_study(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    char *best = NULL;
    time_t best_time = 0;
    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name; name = g_dir_read_name(dir)) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        struct stat st;
        if (!is_study(path) || stat(path, &st) != 0 || (best && st.st_mtime < best_time))
            continue;
        best_time = st.st_mtime;
        g_free(best);
        best = g_steal_pointer(&path);
    }
    return best;
}

/* A run's folder and the results folder lie one level beside a study's: the one that is meant. New string or NULL. */
static char *meant_study(const char *folder)
{
    g_autofree char *absolute = g_canonicalize_filename(folder, NULL);
    g_autofree char *parent = g_path_get_dirname(absolute);
    return is_study(parent) ? g_steal_pointer(&parent) : youngest_study(folder);
}

static int show(const char *folder)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *meant = is_study(folder) ? NULL : meant_study(folder);
    if (meant) {
        fprintf(stderr, "llem: %s is %s, not a study folder; try:  llem result show %s\n", folder,
                g_str_has_prefix(meant, folder) ? "a folder of studies" : "the folder of one run", meant);
        return 1;
    }
    g_autoptr(json_t) description = NULL;
    struct study_outcome outcome;
    if (!study_read(folder, &description, &outcome, &error))
        return cli_fail(error);
    cli_print_study(description, &outcome);
    study_outcome_clear(&outcome);
    return 0;
}

static int print_json(json_t *tree)
{
    g_autofree char *text = jsonx_dump(tree, JSONX_PRETTY);
    fputs(text, stdout);
    json_decref(tree);
    return 0;
}

static int metrics(void)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct result_metric_row *row = result_metric_row(i);
        printf("%-28s %-8s %s\n", row->id, row->unit, row->help);
    }
    return 0;
}

static int reference(void)
{
    g_autofree char *text = result_reference();
    fputs(text, stdout);
    return 0;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    bool done;
    int code = cli_parse(self, &argc, &argv, 1, 2, &done);
    if (code || done)
        return code;
    if (!strcmp(argv[1], "show") && argc == 3)
        return show(argv[2]);
    if (!strcmp(argv[1], "schema") && argc == 2)
        return print_json(result_schema());
    if (!strcmp(argv[1], "error-schema") && argc == 2)
        return print_json(result_error_schema());
    if (!strcmp(argv[1], "metrics") && argc == 2)
        return metrics();
    if (!strcmp(argv[1], "reference") && argc == 2)
        return reference();
    if (!strcmp(argv[1], "show")) {
        fputs("llem result show: which folder? The one that 'llem run' named at its end: llem result show FOLDER\n", stderr);
        return 2;
    }
    fprintf(stderr, "llem result: '%s' is not one of show FOLDER, metrics, schema, error-schema, reference\n", argv[1]);
    return 2;
}

const struct cli_command cli_result = {
    .name = "result",
    .arguments = "show FOLDER | metrics | schema | error-schema | reference",
    .summary = "Show a study folder again; list the metrics; print the JSON Schemas",
    .details = "show FOLDER    the table of a finished or interrupted study\n"
               "metrics        every figure of result.json with its unit and meaning\n"
               "schema         JSON Schema of result.json\n"
               "error-schema   JSON Schema of error.json\n"
               "reference      docs/results.md",
    .run = run,
};
