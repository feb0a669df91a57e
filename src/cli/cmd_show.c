/* SPDX-License-Identifier: MIT */
/* llem show: what became of a study, or of one run. */
#include "cli/cli.h"

#include "cli/table.h"
#include "report/report.h"
#include "result/result.h"

#include <stdio.h>
#include <sys/stat.h>

static struct cli_table_options table;
static gboolean as_json;

static const GOptionEntry options[] = {
    CLI_TABLE_OPTIONS(table),
    {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "As JSON: of a study a run a line, of a run its record as it is", NULL},
    {0},
};

/* --- What is meant ------------------------------------------------------------------------------------------------ */

/* The folder itself, or the one that a file of it was named for. New string. */
static char *folder_of(const char *path)
{
    return g_file_test(path, G_FILE_TEST_IS_REGULAR) ? g_path_get_dirname(path) : g_strdup(path);
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
        if (!store_is_study(path) || stat(path, &st) != 0 || (best && st.st_mtime < best_time))
            continue;
        best_time = st.st_mtime;
        g_free(best);
        best = g_steal_pointer(&path);
    }
    return best;
}

/* Says why a path is neither a study's nor a run's, and which may be meant. */
static int explain(const char *path)
{
    g_autofree char *youngest = youngest_study(path);
    if (youngest)
        cli_misuse("%s is a folder of studies, not one of them; try:  llem show %s", path, youngest);
    else if (!g_file_test(path, G_FILE_TEST_EXISTS))
        cli_misuse("there is no folder %s; 'llem run' names the folder of a study at its end", path);
    else if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        cli_misuse("%s is a file that lies in no study's or run's folder; 'llem run' names the folder of a study at its end",
                   path);
    else
        cli_misuse("%s is neither the folder of a study nor of a run: it has no study.json, result.json or error.json", path);
    return CLI_FAILED;
}

/* --- A run -------------------------------------------------------------------------------------------------------- */

/* An error record has no configuration; that of the run lies beside it. */
static void add_configuration(json_t *record, const char *folder)
{
    g_autofree char *path = g_build_filename(folder, result_files[RESULT_FILE_CONFIG].name, NULL);
    g_autoptr(json_t) exchange = jsonx_load(path, LIMIT_EXCHANGE_BYTES, NULL);
    json_object_set(record, "config", json_object_get(exchange, "config"));
    json_object_set(record, "origins", json_object_get(exchange, "origins"));
}

static int show_run(const char *folder)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *result = g_build_filename(folder, result_files[RESULT_FILE_RESULT].name, NULL);
    bool failed = !g_file_test(result, G_FILE_TEST_EXISTS);
    g_autoptr(json_t) record = failed ? result_load_error(folder, &error) : result_load(folder, &error);
    if (!record)
        return cli_fail(error);
    if (as_json)
        return cli_print_json(json_incref(record));
    if (failed)
        add_configuration(record, folder);
    g_autofree char *absolute = g_canonicalize_filename(folder, NULL), *name = g_path_get_basename(absolute);
    g_autofree char *text = report_record(name, record, cli_terminal_width());
    cli_print("%s", text);
    return CLI_OK;
}

/* --- A study ------------------------------------------------------------------------------------------------------ */

static void add_record(json_t *line, const struct store *store, size_t index)
{
    static const char *const members[] = {"flags", "warnings", "metrics"};
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) record = store_run_record(store, index, &error);
    for (size_t i = 0; record && i < G_N_ELEMENTS(members); i++)
        json_object_set(line, members[i], json_object_get(record, members[i]));
    if (record)
        json_object_set(line, "energy_scope", jsonx_at(record, "energy.scope"));
    else
        json_object_set_new(line, "unreadable", json_string(error->message));
}

static json_t *run_json(const struct store *store, size_t index)
{
    const struct store_run *run = store_run(store, index);
    g_autoptr(GError) error = NULL;
    g_auto(owned_store_cell) cell = {0};
    json_t *line = json_pack("{s:i, s:i, s:i, s:s, s:s*, s:s*, s:s*}", "run", (int)index + 1, "cell", (int)run->cell,
                             "cycle",
                             run->cycle, "state", store_state_name(run->state), "message", run->message, "warning",
                             run->warning, "folder", run->folder);
    if (store_cell_read(store, run->cell, &cell, &error)) {
        json_object_set_new(line, "config_hash", json_string(cell.hash));
        json_object_set_new(line, "label", json_string(cell.label));
        json_object_set(line, "levels", cell.levels);
    } else {
        json_object_set_new(line, "unreadable", json_string(error->message));
    }
    if (store_state_has_record(run->state))
        add_record(line, store, index);
    return line;
}

/* A run a line, so that one record is in memory at a time. */
static void print_study_json(const struct store *store)
{
    cli_print_json_line("{\"study\": ", store_describe(store), ",\n\"runs\": [");
    for (size_t i = 0; i < store_runs(store); i++)
        cli_print_json_line("", run_json(store, i), i + 1 < store_runs(store) ? "," : "");
    cli_print("]}\n");
    cli_print_doubts(store);
}

static int show_study(const char *folder)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(owned_store) store = store_open(folder, STORE_READ, &error);
    if (!store)
        return cli_fail(error);
    if (as_json)
        print_study_json(store);
    else
        cli_print_study(store, &table);
    return CLI_OK;
}

/* True if no option of the table is given where none is printed. */
static bool options_fit(const char *folder)
{
    const char *option = table.sort ? "--sort" : table.columns ? "--columns" : NULL;
    bool run = !store_is_study(folder) && cli_is_run(folder);
    if (!option || (!as_json && !run))
        return true;
    cli_misuse("%s is of a study's table: %s", option,
               run ? "name the study's folder, not a run's" : "leave --json out");
    return false;
}

static int run(int argc, char **argv)
{
    (void)argc;
    g_autofree char *folder = folder_of(argv[0]);
    if (!cli_table_check(&table) || !options_fit(folder))
        return CLI_USAGE;
    return store_is_study(folder) ? show_study(folder) : cli_is_run(folder) ? show_run(folder) : explain(argv[0]);
}

const struct cli_command cli_show = {
    .name = "show",
    .actions =
        (const struct cli_action[]){
            {
                .arguments = "FOLDER",
                .summary = "Show a study's table, or one run's figures",
                .details = "FOLDER is a study's, finished, interrupted or at work: its table. Or a run's within it: what was run,\n"
                           "every figure with interval, status and origin, what is absent and why, flags and warnings; of a\n"
                           "failed run what went wrong.",
                .missing = "which folder? The one that 'llem run' named at its end",
                .min = 1,
                .max = 1,
                .options = options,
                .run = run,
            },
            {0},
        },
};
