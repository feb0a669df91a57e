/* SPDX-License-Identifier: MIT */
/* llem show: what became of a study. */
#include "cli/cli.h"

#include "cli/table.h"

#include <stdio.h>
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

static int run(int argc, char **argv)
{
    (void)argc;
    const char *folder = argv[0];
    g_autoptr(GError) error = NULL;
    g_autofree char *meant = is_study(folder) ? NULL : meant_study(folder);
    if (meant) {
        fprintf(stderr, "llem: %s is %s, not a study folder; try:  llem show %s\n", folder,
                g_str_has_prefix(meant, folder) ? "a folder of studies" : "the folder of one run", meant);
        return CLI_FAILED;
    }
    g_autoptr(json_t) description = NULL;
    struct study_outcome outcome;
    if (!study_read(folder, &description, &outcome, &error))
        return cli_fail(error);
    cli_print_study(description, &outcome);
    study_outcome_clear(&outcome);
    return CLI_OK;
}

const struct cli_command cli_show = {
    .name = "show",
    .actions =
        (const struct cli_action[]){
            {
                .arguments = "FOLDER",
                .summary = "Print the table of a study folder, finished, interrupted or at work",
                .missing = "which folder? The one that 'llem run' named at its end",
                .min = 1,
                .max = 1,
                .run = run,
            },
            {0},
        },
};
