/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include "report/report.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

size_t cli_terminal_width(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* What the table shows of a run. The record and the levels are kept in `keep`. */
static struct report_run run_of(const struct store *store, size_t index, GPtrArray *keep)
{
    const struct store_run *run = store_run(store, index);
    struct report_run row = {
        .index = (int)index + 1, .cycle = run->cycle, .state = run->state, .message = run->message};
    g_autoptr(GError) error = NULL;
    g_auto(owned_store_cell) cell = {0};
    if (store_cell_read(store, run->cell, &cell, &error)) {
        row.levels = json_incref(cell.levels);
        g_ptr_array_add(keep, cell.levels);
    }
    json_t *record = run->state == STORE_OK ? store_run_record(store, index, &error) : NULL;
    if (record) {
        row.record = record;
        g_ptr_array_add(keep, record);
    } else if (error) {
        row.state = STORE_LOST;
        row.message = g_intern_string(error->message);
    }
    return row;
}

void cli_print_study(const struct store *store)
{
    size_t n = store_runs(store);
    g_autofree struct report_run *runs = g_new0(struct report_run, n);
    g_autoptr(GPtrArray) keep = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    for (size_t i = 0; i < n; i++)
        runs[i] = run_of(store, i, keep);
    g_autofree char *text = report_table(
        &(struct report_study){
            .name = store_name(store), .n_cycles = store_cycles(store), .runs = runs, .n_runs = n},
        cli_terminal_width());
    fputs(text, stdout);
    for (const char *const *doubt = store_doubts(store); *doubt; doubt++)
        fprintf(stderr, "llem: warning: %s\n", *doubt);
}
