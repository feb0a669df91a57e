/* SPDX-License-Identifier: MIT */
/* llem config: what a file says, what it would run, and what can be written in one. */
#include "cli/cli.h"

#include "cli/plan.h"
#include "config/config.h"
#include "sweep/sweep.h"

#include <stdio.h>
#include <string.h>

static gboolean as_json, of_study;

static const GOptionEntry options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "show: print JSON", NULL},
    {"study", 0, 0, G_OPTION_ARG_NONE, &of_study, "schema: of study files instead of experiment files", NULL},
    {0},
};

static int check(int argc, char **argv)
{
    (void)argc;
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_plan) plan = cli_plan_load(argv[0], (const char *const *)argv + 1, &study);
    if (!plan)
        return 2;
    cli_plan_print(study, plan, true, stdout);
    cli_flush_stdout(); /* what is missing comes after the plan, whatever stdout is */
    g_autofree char *results = cli_plan_results(plan);
    return cli_plan_preflight(plan, results) ? 0 : 2;
}

static void print_origins(const struct config *config)
{
    const struct config_field *fields;
    size_t n = config_fields(&fields), width = 0;
    for (size_t i = 0; i < n; i++)
        if (config_value_at(config, fields[i].path))
            width = MAX(width, strlen(fields[i].path));
    for (size_t i = 0; i < n; i++) {
        const json_t *json = config_value_at(config, fields[i].path);
        if (!json)
            continue;
        g_autofree char *value = jsonx_dump(json, JSONX_COMPACT);
        g_autofree char *origin = config_origin_at(config, fields[i].path);
        printf("%-*s  %-24s  # %s\n", (int)width, fields[i].path, value, origin);
    }
}

static void show_cell(const struct plan *plan, size_t cell, json_t *list)
{
    g_autoptr(owned_config) config = plan_cell_config(plan, cell);
    if (list) {
        json_array_append_new(list, config_exchange(config));
        return;
    }
    g_autofree char *label = plan_cell_label(plan, cell);
    printf("%s# cell %zu, hash %s%s%s\n", cell ? "\n" : "", cell + 1, config_hash(config), *label ? ": " : "", label);
    print_origins(config);
}

static int show(int argc, char **argv)
{
    (void)argc;
    g_autoptr(owned_config_file) study = NULL;
    g_autoptr(owned_plan) plan = cli_plan_load(argv[0], (const char *const *)argv + 1, &study);
    if (!plan)
        return 2;
    g_autoptr(json_t) list = as_json ? json_array() : NULL;
    for (size_t i = 0; i < plan_cells(plan); i++)
        show_cell(plan, i, list);
    if (list) {
        g_autofree char *text = jsonx_dump(list, JSONX_PRETTY);
        fputs(text, stdout);
    }
    return 0;
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
    printf("%s: %s", row->path, expects);
    if (row->unit)
        printf(" (%s)", row->unit);
    printf("%s%s\n", row->initial ? ", default " : (row->flags & CONFIG_REQUIRED) ? ", required" : "",
           row->initial ? row->initial : "");
    printf("    %s\n", row->help);
    for (const struct config_choice *c = row->choices; whole && c && c->name; c++)
        if (c->help)
            printf("    %-14s %s\n", c->name, c->help);
}

static int fields(int argc, char **argv)
{
    const char *prefix = argc > 0 ? argv[0] : "";
    const struct config_field *rows;
    size_t n = config_fields(&rows), shown = 0;
    struct suggest suggest = {.word = prefix};
    for (size_t i = 0; i < n; i++) {
        suggest_offer(&suggest, rows[i].path);
        if (!below(rows[i].path, prefix))
            continue;
        print_field(&rows[i], argc > 0);
        shown++;
    }
    if (shown)
        return 0;
    fprintf(stderr, "llem config: no field or section '%s'", prefix);
    if (suggest.best)
        fprintf(stderr, "; did you mean '%s'?", suggest.best);
    fputs("\n", stderr);
    return 2;
}

static int schema(int argc, char **argv)
{
    (void)argc, (void)argv;
    g_autoptr(json_t) tree = config_schema(of_study);
    g_autofree char *text = jsonx_dump(tree, JSONX_PRETTY);
    fputs(text, stdout);
    return 0;
}

static int reference(int argc, char **argv)
{
    (void)argc, (void)argv;
    g_autofree char *text = config_reference();
    fputs(text, stdout);
    return 0;
}

static const struct action {
    const char *name;
    int min, max; /* arguments after the name; max -1: any number */
    int (*run)(int argc, char **argv);
} actions[] = {
    {"check", 1, -1, check},  {"show", 1, -1, show},          {"fields", 0, 1, fields},
    {"schema", 0, 0, schema}, {"reference", 0, 0, reference},
};

static int run(const struct cli_command *self, int argc, char **argv)
{
    bool done;
    int code = cli_parse(self, &argc, &argv, 1, -1, &done);
    if (code || done)
        return code;
    struct suggest suggest = {.word = argv[1]};
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
        suggest_offer(&suggest, actions[i].name);
        if (strcmp(actions[i].name, argv[1]))
            continue;
        if (!cli_options_of_action(self, argv[1]))
            return 2;
        if (argc - 2 >= actions[i].min && (actions[i].max < 0 || argc - 2 <= actions[i].max))
            return actions[i].run(argc - 2, argv + 2);
        fprintf(stderr, "llem config %s: %s\nTry 'llem config --help'.\n", argv[1],
                argc - 2 < actions[i].min ? "the file is missing" : "too many arguments");
        return 2;
    }
    fprintf(stderr, "llem config: no action '%s'%s%s%s\nTry 'llem config --help'.\n", argv[1],
            suggest.best ? "; did you mean '" : "", suggest.best ? suggest.best : "", suggest.best ? "'?" : "");
    return 2;
}

const struct cli_command cli_config = {
    .name = "config",
    .arguments = "check|show FILE [KEY=VALUE…] | fields [PREFIX] | schema | reference",
    .summary = "Check a file, show its values, list the fields",
    .details = "  check FILE [KEY=VALUE…]  say everything that is wrong with a file, what it would run, and what is\n"
               "                           missing for that on this machine\n"
               "  show FILE [KEY=VALUE…]   every value of every cell, and where it came from\n"
               "  fields [PREFIX]          the fields that can be written, with their defaults\n"
               "  schema                   JSON Schema of experiment files (--study: of study files)\n"
               "  reference                the reference page (Markdown)\n\n"
               "KEY=VALUE overrides a field, as in 'llem run'.",
    .run = run,
    .options = options,
};
