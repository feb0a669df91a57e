/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include "report/report.h"
#include "result/result.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

size_t cli_terminal_width(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void cli_print_study(const json_t *description, const struct study_outcome *outcome)
{
    g_autofree struct report_run *runs = g_new0(struct report_run, outcome->n_runs);
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    const json_t *cells = json_object_get(description, "cells");
    for (size_t i = 0; i < outcome->n_runs; i++) {
        const struct study_run *run = &outcome->runs[i];
        g_autoptr(GError) error = NULL;
        json_t *record = run->state == STUDY_OK ? result_load(run->folder, &error) : NULL;
        if (record)
            g_ptr_array_add(records, record);
        runs[i] = (struct report_run){
            .index = (int)i + 1,
            .cycle = run->cycle,
            .levels = json_object_get(json_array_get(cells, run->cell), "levels"),
            .record = record,
            .state = error ? "unreadable" : study_state_name(run->state),
            .message = error ? g_intern_string(error->message) : run->message,
        };
    }
    g_autofree char *text = report_table(
        &(struct report_study){.name = json_string_value(json_object_get(description, "name")),
                               .n_cycles = (int)json_integer_value(json_object_get(description, "cycles")),
                               .runs = runs,
                               .n_runs = outcome->n_runs},
        cli_terminal_width());
    fputs(text, stdout);
}
