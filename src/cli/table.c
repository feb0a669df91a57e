/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include "cli/cli.h"
#include "report/report.h"
#include "result/result.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

size_t cli_terminal_width(void)
{
    struct winsize size;
    return isatty(fileno(cli_out())) && ioctl(fileno(cli_out()), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static bool holds(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

bool cli_is_run(const char *folder)
{
    return holds(folder, result_files[RESULT_FILE_RESULT].name) ||
           holds(folder, result_files[RESULT_FILE_ERROR].name);
}

static struct report_options report_options_of(const struct cli_table_options *options)
{
    return (struct report_options){
        .columns = options->columns, .sort = options->sort, .width = cli_terminal_width()};
}

bool cli_table_check(const struct cli_table_options *options)
{
    g_autoptr(GError) error = NULL;
    struct report_options report = report_options_of(options);
    if (report_options_check(&report, &error))
        return true;
    cli_misuse("%s", error->message);
    return false;
}

/* One record in memory at a time: the frame keeps what the table needs of it. */
static void add_run(struct frame *frame, const struct store *store, size_t index)
{
    const struct store_run *run = store_run(store, index);
    g_autoptr(GError) error = NULL;
    g_auto(owned_store_cell) cell = {0};
    bool known = store_cell_read(store, run->cell, &cell, &error);
    bool has_record = known && store_state_has_record(run->state);
    g_autoptr(json_t) record = has_record ? store_run_record(store, index, &error) : NULL;
    frame_add(frame,
              &(struct frame_run){
                  .index = (int)index + 1,
                  .cycle = run->cycle,
                  .levels = cell.levels,
                  .state = store_state_name(error ? STORE_LOST : run->state),
                  .message = error ? error->message : run->message,
              },
              record);
}

void cli_print_doubts(const struct store *store)
{
    for (const char *const *doubt = store_doubts(store); *doubt; doubt++)
        cli_say("llem: warning: %s\n", *doubt);
}

void cli_print_study(const struct store *store, const struct cli_table_options *options)
{
    g_autoptr(owned_frame) frame = frame_new();
    for (size_t i = 0; i < store_axes(store); i++)
        frame_add_axis(frame, store_axis_path(store, i));
    for (size_t i = 0; i < store_runs(store); i++)
        add_run(frame, store, i);
    struct report_options report = report_options_of(options);
    g_autofree char *text = report_table(frame, &report);
    cli_print("%s", text);
    cli_print_doubts(store);
}
