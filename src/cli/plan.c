/* SPDX-License-Identifier: MIT */
#include "cli/plan.h"

#include "cli/cli.h"
#include "cli/image.h"
#include "cli/table.h"
#include "fetch/fetch.h"
#include "workload/workload.h"

#include <string.h>
#include <unistd.h>

/* --- Options ------------------------------------------------------------------------------------------------------ */

/* True if -o is followed by a field: it would make a strange folder and leave the field as it is. */
static bool is_output_a_field(const struct cli_plan_options *options)
{
    const char *equals = options->output ? strchr(options->output, '=') : NULL;
    g_autofree char *key = g_strndup(options->output ? options->output : "",
                                     equals ? (gsize)(equals - options->output) : 0);
    if (!config_is_field(g_str_has_prefix(key, "sweep.") ? key + strlen("sweep.") : key))
        return false;
    cli_misuse("-o needs a folder name, and '%s' is a field: write  %s FILE %s  without -o\n"
               "(for a folder of that name:  -o ./%s)",
               key, g_get_prgname(), options->output, options->output);
    return true;
}

/* True if an option and a field of the command line say the same thing: one of them would be ignored. */
static bool is_said_twice(const struct cli_plan_options *options, char *const *overrides)
{
    const struct {
        const char *option, *value, *field;
    } rows[] = {{"--output", options->output, "output_dir="}, {"--cycles", options->cycles, "execution.n_cycles="}};
    for (char *const *text = overrides; *text; text++)
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
            if (rows[i].value && g_str_has_prefix(*text, rows[i].field)) {
                cli_misuse("%s and '%s' exclude each other: leave one out", rows[i].option, *text);
                return true;
            }
    return false;
}

static bool options_fit(const struct cli_plan_options *options, char *const *overrides)
{
    if (options->output && !*options->output) {
        cli_misuse("-o needs a folder name");
        return false;
    }
    return !is_output_a_field(options) && !is_said_twice(options, overrides);
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

/* Fields written behind the file; --cycles is one of them too. New vector of borrowed strings. */
static const char **add_cycles(char *const *overrides, const char *cycles)
{
    GPtrArray *list = g_ptr_array_new();
    for (char *const *text = overrides; *text; text++)
        g_ptr_array_add(list, *text);
    if (cycles)
        g_ptr_array_add(list, (void *)(uintptr_t)cycles);
    g_ptr_array_add(list, NULL);
    return (const char **)g_ptr_array_free(list, FALSE);
}

/* True unless it is empty or a folder; what a file says, or that it is not there, is told with its place. */
static bool is_file_name(const char *path)
{
    if (!*path)
        cli_misuse("FILE is empty: name an experiment or study file");
    else if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        return true;
    else if (cli_is_run(path) || store_is_study(path))
        cli_misuse("%s is a folder of results, no experiment or study file; 'llem show %s' prints it", path, path);
    else
        cli_misuse("%s is a folder: name an experiment or study file", path);
    return false;
}

struct plan *cli_plan_load(char *const *argv, const struct cli_plan_options *options, struct config_file **ret_file)
{
    *ret_file = NULL;
    if (!is_file_name(argv[0]) || (options && !options_fit(options, argv + 1)))
        return NULL;
    g_autoptr(owned_diag) diag = diag_new();
    g_autofree char *user = config_user_file();
    bool cycled = options && options->cycles;
    g_autofree char *cycles = cycled ? g_strconcat("execution.n_cycles=", options->cycles, NULL) : NULL;
    g_autofree const char **overrides = add_cycles(argv + 1, cycles);
    const struct config_file_options how = {.overrides = overrides,
                                            .user_file = user,
                                            .environment = true,
                                            .image_id = cli_image_id};
    *ret_file = config_file_load(argv[0], &how, diag);
    struct plan *plan = *ret_file ? plan_new(*ret_file, diag) : NULL;
    cli_print_diagnostics(diag);
    return plan;
}

char *cli_plan_results(const struct plan *plan)
{
    g_autoptr(owned_config) first = plan_cell_config(plan, 0);
    return config_has(first, FIELD_OUTPUT_DIR) ? g_strdup(config_string(first, FIELD_OUTPUT_DIR)) : NULL;
}

char *cli_plan_target(const struct plan *plan, const struct cli_plan_options *options)
{
    char *results = options->output ? g_strdup(options->output) : cli_plan_results(plan);
    return results ? results : g_strdup("results");
}

json_t *cli_finding_json(const struct preflight *p, const struct preflight_finding *f)
{
    g_autofree char *place = f->at.source ? g_strdup_printf("%s:%d:%d", f->at.source, f->at.line, f->at.column) : NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*, s:s*}", "check", f->id, "of", f->about, "state",
                     cli_finding_state(p, f), "found", f->text ? f->text : "", "place", place, "why", f->why, "remedy",
                     f->hint ? f->hint : f->remedy);
}

const char *cli_finding_state(const struct preflight *p, const struct preflight_finding *finding)
{
    int severity = preflight_severity(p, finding);
    enum preflight_verdict verdict = severity == DIAG_ERROR     ? PREFLIGHT_FAILS
                                     : severity == DIAG_WARNING ? PREFLIGHT_LACKS
                                                                : finding->verdict;
    return preflight_verdict_name(verdict);
}

/* --- Data sets that are to be brought ------------------------------------------------------------------------------ */

/* The line of a finding's place is shown. */
static void quote_source(struct diag *diag, const char *path)
{
    size_t length;
    bool is_file = path && g_file_test(path, G_FILE_TEST_IS_REGULAR);
    g_autofree char *text = is_file ? file_read(path, LIMIT_CONFIG_BYTES, &length, NULL) : NULL;
    if (text)
        diag_source(diag, path, text, length);
}

/* The name of a cell's data set where it is to be brought and was not seen yet, else NULL. Borrowed. */
static const struct workload_named *to_bring(const struct config *config, const struct workload_names *names,
                                             GHashTable *seen)
{
    const char *name = config_string(config, FIELD_DATASET);
    const struct workload_named *named = workload_is_path(name) ? NULL : workload_names_find(names, name);
    bool absent = named && !named->file && g_hash_table_add(seen, g_strdup(name)) && !workload_named_present(named);
    return absent ? named : NULL;
}

static void say_bringing(const char *line, void *data)
{
    (void)data;
    cli_say("llem: %s\n", line);
}

static void bring(const struct config *config, const struct workload_named *named, struct diag *diag)
{
    static const struct fetch_voice voice = {say_bringing, NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *remedy = workload_named_remedy(named);
    if (workload_named_pull(named, &voice, &error) || g_error_matches(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED))
        return;
    const struct diag_span *at = config_place(config, FIELD_DATASET);
    quote_source(diag, at ? at->source : NULL);
    diag_add(diag, DIAG_ERROR, at, "dataset: %s: %s", named->name, error->message);
    diag_hint(diag, "%s", remedy);
}

static bool for_data(const struct plan *plan, bool bringing)
{
    g_auto(owned_names) names = {0};
    g_autoptr(owned_diag) diag = diag_new();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    bool listed = workload_names_read(&names, NULL);
    for (size_t i = 0; listed && i < plan_cells(plan) && !(bringing && interrupt_waits()); i++) {
        g_autoptr(owned_config) config = plan_cell_config(plan, i);
        const struct workload_named *named = to_bring(config, &names, seen);
        if (named && bringing)
            bring(config, named, diag);
        else if (named)
            cli_say("%s is not here: llem run fetches and verifies it before the first run, llem dataset pull %s now\n",
                    named->name, named->name);
    }
    cli_print_diagnostics(diag);
    return diag_errors(diag) == 0;
}

bool cli_plan_bring_data(const struct plan *plan)
{
    return for_data(plan, true);
}

/* --- What this machine lacks -------------------------------------------------------------------------------------- */

/* The files in which findings have a place, so that their lines are shown. */
static void quote_sources(struct diag *diag, const struct preflight_finding *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        quote_source(diag, list[i]->at.source);
}

bool cli_plan_preflight(const struct plan *plan, const struct preflight_options *how, json_t *findings)
{
    g_autoptr(owned_diag) diag = diag_new();
    const struct preflight_finding *const *list;
    g_autoptr(owned_preflight) p = preflight_new(how);
    preflight_look_at_plan(p, plan);
    size_t n = preflight_findings(p, &list);
    quote_sources(diag, list, n);
    preflight_report(p, diag);
    for (size_t i = 0; findings && i < n; i++)
        if (preflight_severity(p, list[i]) >= 0)
            json_array_append_new(findings, cli_finding_json(p, list[i]));
    cli_print_diagnostics(diag);
    if (!how->pulls)
        for_data(plan, false);
    return diag_errors(diag) == 0;
}

/* --- Showing ------------------------------------------------------------------------------------------------------ */

static void print_cells(const struct plan *plan, FILE *to)
{
    const struct plan_skip *skips;
    size_t n_skips = plan_skips(plan, &skips);
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autofree char *label = plan_cell_label(plan, i);
        cli_write(to, "  %s%s%s\n", plan_cell_hash(plan, i), *label ? "  " : "", label);
    }
    for (size_t i = 0; i < n_skips; i++)
        cli_write(to, "  skipped           %s: %s\n", skips[i].label, skips[i].reason);
}

void cli_plan_print(const struct config_file *file, const struct plan *plan, bool whole, FILE *to)
{
    const struct plan_run *unused;
    size_t n_runs = plan_runs(plan, &unused), cells = plan_cells(plan);
    int cycles = plan_cycles(plan);
    cli_write(to, "%s: %zu cell%s × %d cycle%s = %zu run%s, ", config_file_name(file), cells, cells == 1 ? "" : "s",
            cycles,
            cycles == 1 ? "" : "s", n_runs, n_runs == 1 ? "" : "s");
    if (n_runs > 1)
        cli_write(to, "%s", plan_order(plan));
    if (n_runs > 1 && !strcmp(plan_order(plan), "shuffled"))
        cli_write(to, " (seed %" G_GUINT64_FORMAT ")", plan_seed(plan));
    cli_write(to, "%sstudy %s\n", n_runs > 1 ? ", " : "", plan_hash(plan));
    if (whole)
        print_cells(plan, to);
}

static json_t *cells_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autofree char *label = plan_cell_label(plan, i);
        json_t *levels = json_object();
        for (size_t k = 0; k < plan_axes(plan); k++)
            json_object_set(levels, plan_axis_path(plan, k), plan_cell_level(plan, i, k));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "config_hash", plan_cell_hash(plan, i), "label", label,
                                              "levels", levels));
    }
    return list;
}

/* Cells that are not run, with the reasons. */
static json_t *left_out_json(size_t (*get)(const struct plan *, const struct plan_skip **), const struct plan *plan)
{
    const struct plan_skip *list;
    size_t n = get(plan, &list);
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_pack("{s:s, s:s}", "label", list[i].label, "reason", list[i].reason));
    return array;
}

json_t *cli_plan_json(const struct config_file *file, const struct plan *plan)
{
    const struct plan_run *runs;
    size_t n_runs = plan_runs(plan, &runs);
    json_t *order = json_array();
    for (size_t i = 0; i < n_runs; i++)
        json_array_append_new(order, json_pack("{s:i, s:i}", "cell", (int)runs[i].cell, "cycle", runs[i].cycle));
    json_t *tree = json_pack("{s:s, s:s, s:s, s:I, s:i}", "name", config_file_name(file), "study_hash", plan_hash(plan),
                             "order", plan_order(plan), "seed", (json_int_t)plan_seed(plan), "cycles",
                             plan_cycles(plan));
    json_object_set_new(tree, "cells", cells_json(plan));
    json_object_set_new(tree, "skipped", left_out_json(plan_skips, plan));
    json_object_set_new(tree, "repeated", left_out_json(plan_repeats, plan));
    json_object_set_new(tree, "runs", order);
    return tree;
}
