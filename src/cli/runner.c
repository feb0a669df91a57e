/* SPDX-License-Identifier: MIT */
#include "cli/runner.h"

/* $LLEM_WORKER, or beside this program, or ../libexec/llem. New string. */
static char *find_worker(void)
{
    const char *given = g_getenv("LLEM_WORKER");
    if (given && *given)
        return g_strdup(given);
    static const char *const places[] = {"llem-worker", "../libexec/llem/llem-worker", NULL};
    char *found = install_find(places, G_FILE_TEST_IS_EXECUTABLE);
    if (found)
        return found;
    g_autofree char *folder = install_folder();
    return g_build_filename(folder ? folder : ".", places[0], NULL);
}

struct runner *cli_runner_new(void)
{
    g_autofree char *worker = find_worker();
    return runner_new(&(struct runner_options){.worker_path = worker}, NULL);
}
