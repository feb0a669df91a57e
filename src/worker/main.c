/* SPDX-License-Identifier: MIT */
/* llem-worker: runs the one experiment of $LLEM_CONFIG_PATH. Its exit code says how it went, its files say the rest.
 * With --probe it says what it finds where it is. */
#include "elsewhere.h"
#include "experiment/experiment.h"

#include "version.h"

#include <stdio.h>
#include <string.h>

static int probe(const char *path)
{
    int interrupt_fd = interrupt_open();
    elsewhere_begin();
    proc_become_subreaper();
    g_autoptr(GError) error = NULL;
    if (experiment_probe(path && *path ? path : NULL, interrupt_fd, &error))
        return LLEM_EXIT_OK;
    fprintf(stderr, "llem-worker: %s\n", error->message);
    return llem_error_exit_code(error);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("llem-worker " LLEM_VERSION " " LLEM_REVISION);
        return LLEM_EXIT_OK;
    }
    const char *path = g_getenv("LLEM_CONFIG_PATH");
    if (argc == 2 && !strcmp(argv[1], "--probe"))
        return probe(path);
    if (argc == 2 && !strcmp(argv[1], "--probe-cuda")) {
        experiment_probe_cuda();
        return LLEM_EXIT_OK;
    }
    if (argc > 1 || !path || !*path) {
        fputs("llem-worker runs one experiment: LLEM_CONFIG_PATH must name its exchange file. People want 'llem run'.\n",
              stderr);
        return LLEM_EXIT_USAGE;
    }
    int interrupt_fd = interrupt_open();
    suspend_listen();
    elsewhere_begin();
    proc_become_subreaper();
    g_autoptr(GError) error = NULL;
    if (experiment_run(path, interrupt_fd, &error))
        return LLEM_EXIT_OK;
    fprintf(stderr, "llem-worker: %s\n", error->message);
    return llem_error_exit_code(error);
}
