/* SPDX-License-Identifier: MIT */
/* llem config: what a file says, what it would run, and what can be written in one. */
#include "cli/cli.h"

#include "backend/backend.h"
#include "cli/plan.h"
#include "cli/runner.h"
#include "config/config.h"
#include "sweep/sweep.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static gboolean as_json, of_study;

static const GOptionEntry show_options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "As JSON: what a run is handed", NULL},
    {0},
};

static const GOptionEntry schema_options[] = {
    {"study", 0, 0, G_OPTION_ARG_NONE, &of_study, "Of study files instead of experiment files", NULL},
    {0},
};

static int check(int argc, char **argv)
{
    (void)argc;
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_plan) plan = cli_plan_load(argv, NULL, &study);
    if (!plan)
        return CLI_USAGE;
    cli_plan_print(study, plan, true, cli_out());
    cli_flush_stdout(); /* what is missing comes after the plan, whatever stdout is */
    g_autofree char *results = cli_plan_results(plan);
    g_autoptr(owned_dispatch) dispatch = cli_dispatch_new(plan, config_file_name(study));
    if (!dispatch)
        return CLI_USAGE;
    cli_dispatch_print(dispatch, cli_out());
    cli_flush_stdout();
    const struct preflight_options how = {.results_dir = results, .dispatch = dispatch};
    return cli_plan_preflight(plan, &how, NULL) ? CLI_OK : CLI_USAGE;
}

static void print_origins(const struct config *config)
{
    const struct config_field *fields;
    size_t n = config_table_fields(config_rows(config), &fields), width = 0;
    for (size_t i = 0; i < n; i++)
        if (config_value_at(config, fields[i].path))
            width = MAX(width, strlen(fields[i].path));
    for (size_t i = 0; i < n; i++) {
        const json_t *json = config_value_at(config, fields[i].path);
        if (!json)
            continue;
        g_autofree char *value = jsonx_dump(json, JSONX_COMPACT);
        g_autofree char *origin = config_origin_at(config, fields[i].path);
        cli_print("%-*s  %-24s  # %s\n", (int)width, fields[i].path, value, origin);
    }
}

static void show_cell(const struct plan *plan, size_t cell, json_t *list)
{
    g_autoptr(owned_config) config = plan_cell_config(plan, cell);
    if (list) {
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "config_hash", config_hash(config),
                                              "config",
                                              config_tree(config), "hashed", config_hashed(config), "origins",
                                              config_origins(config), "roles", config_roles(config), "digests",
                                              config_digests(config)));
        return;
    }
    g_autofree char *label = plan_cell_label(plan, cell);
    cli_print("%s# cell %zu, hash %s%s%s\n", cell ? "\n" : "", cell + 1, config_hash(config),
              *label ? ": " : "", label);
    print_origins(config);
}

static int show(int argc, char **argv)
{
    (void)argc;
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_plan) plan = cli_plan_load(argv, NULL, &study);
    if (!plan)
        return CLI_USAGE;
    json_t *list = as_json ? json_array() : NULL;
    for (size_t i = 0; i < plan_cells(plan); i++)
        show_cell(plan, i, list);
    return list ? cli_print_json(list) : CLI_OK;
}

static bool below(const char *path, const char *prefix)
{
    size_t length = strlen(prefix);
    return !strncmp(path, prefix, length) &&
           (length == 0 || prefix[length - 1] == '.' || path[length] == '\0' || path[length] == '.');
}

static void print_field(const struct config_field *row, bool whole)
{
    g_autofree char *expects = config_field_expects(row);
    /* in the list of all, rows that every engine has stand once */
    g_autofree char *path = row->runner && !whole ? config_runner_path("ENGINE", row->runner) : g_strdup(row->path);
    cli_print("%s: %s", path, expects);
    if (row->unit)
        cli_print(" (%s)", row->unit);
    cli_print("%s%s\n", row->initial ? ", default " : (row->flags & CONFIG_REQUIRED) ? ", required" : "",
              row->initial ? row->initial : "");
    cli_print("    %s\n", row->help);
    for (const struct backend_choice *c = row->choices; whole && c && c->name; c++)
        if (c->help)
            cli_print("    %-14s %s\n", c->name, c->help);
}

/* names: of engines, NULL-terminated; NULL: all there are. *ret_good, which may be NULL: every descriptor is in
 * order. */
static struct config_table *open_table(const char *const *names, bool *ret_good)
{
    g_autoptr(owned_diag) diag = diag_new();
    struct config_table *table = config_table_new(names, diag);
    cli_print_diagnostics(diag);
    if (ret_good)
        *ret_good = diag_errors(diag) == 0;
    return table;
}

/* A field may be meant by its last part alone: n_threads for llamacpp.n_threads. */
static void offer(struct suggest *suggest, const char *path)
{
    const char *dot = strrchr(path, '.');
    g_autofree char *section = g_strndup(path, strcspn(path, "."));
    suggest_offer(suggest, path);
    suggest_offer(suggest, g_intern_string(section));
    if (dot && !strcmp(dot + 1, suggest->word))
        *suggest = (struct suggest){.word = suggest->word, .best = path};
}

/* Prints the rows below a field or section, and returns how many. */
static size_t print_below(const struct config_table *table, const char *prefix, struct suggest *suggest)
{
    const struct config_field *rows;
    size_t n = config_table_fields(table, &rows), shown = 0;
    const struct backend *first = NULL;
    for (size_t i = 0; i < n; i++) {
        first = !first && rows[i].runner ? rows[i].engine : first;
        offer(suggest, rows[i].path);
        if (!below(rows[i].path, prefix) || (!*prefix && rows[i].runner && rows[i].engine != first))
            continue;
        print_field(&rows[i], *prefix);
        shown++;
    }
    return shown;
}

static int fields(int argc, char **argv)
{
    const char *prefix = argc > 0 ? argv[0] : "";
    g_autofree char *first = g_strndup(prefix, strcspn(prefix, "."));
    const char *const one[] = {backend_exists(first) ? first : NULL, NULL};
    g_autoptr(GError) error = NULL;
    if (one[0] && !backend_find(first, &error))
        return cli_fail(error);
    struct suggest suggest = {.word = prefix};
    g_autoptr(owned_config_table) few = *prefix ? open_table(one, NULL) : NULL;
    if (few && print_below(few, prefix, &suggest))
        return CLI_OK;
    if (one[0] && !strcmp(prefix, one[0])) {
        cli_print("%s has no options of its own\n", prefix);
        return CLI_OK;
    }
    g_autoptr(owned_config_table) all = open_table(NULL, NULL);
    if (print_below(all, prefix, &suggest))
        return CLI_OK;
    return suggest.best ? cli_misuse("no field or section '%s'; did you mean '%s'?", prefix, suggest.best)
                        : cli_misuse("no field or section '%s'; 'llem config fields' lists them all", prefix);
}

static int schema(int argc, char **argv)
{
    (void)argc, (void)argv;
    bool good;
    g_autoptr(owned_config_table) table = open_table(NULL, &good);
    int code = cli_print_json(config_schema(table, of_study));
    return good ? code : CLI_USAGE;
}

static int reference(int argc, char **argv)
{
    (void)argc, (void)argv;
    bool good;
    g_autoptr(owned_config_table) table = open_table(NULL, &good);
    g_autofree char *text = config_reference(table);
    cli_print("%s", text);
    return good ? CLI_OK : CLI_USAGE;
}

static const struct cli_action actions[] = {
    {
        .name = "check",
        .arguments = "FILE [KEY=VALUE…]",
        .summary = "Say everything that is wrong with a file, what it would run, and what is missing for that here",
        .details = "KEY=VALUE overrides a field, as in 'llem run'. Exit status: 0 it can be run, 2 it cannot.",
        .min = 1,
        .max = -1,
        .run = check,
    },
    {
        .name = "show",
        .arguments = "FILE [KEY=VALUE…]",
        .summary = "Print every value of every cell, and where it came from",
        .details = "KEY=VALUE overrides a field, as in 'llem run'.",
        .min = 1,
        .max = -1,
        .options = show_options,
        .run = show,
    },
    {
        .name = "fields",
        .arguments = "[PREFIX]",
        .summary = "List the fields that can be written, with their defaults",
        .details = "PREFIX is a field or a section; with it, choices are explained too.",
        .max = 1,
        .run = fields,
    },
    {
        .name = "schema",
        .arguments = "",
        .summary = "Print the JSON Schema of experiment files",
        .options = schema_options,
        .run = schema,
    },
    {
        .name = "reference",
        .arguments = "",
        .summary = "Print the reference page of all fields (Markdown)",
        .run = reference,
    },
    {0},
};

const struct cli_command cli_config = {
    .name = "config",
    .summary = "Check a file, show its values, list the fields",
    .actions = actions,
};
