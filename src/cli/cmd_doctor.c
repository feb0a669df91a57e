/* SPDX-License-Identifier: MIT */
/* llem doctor: what this machine has and lacks, for everything or for one file. */
#include "cli/cli.h"

#include "cli/columns.h"
#include "cli/plan.h"
#include "cli/runner.h"
#include "preflight/preflight.h"

#include <string.h>

static char *option_output;
static gboolean as_json, reference;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &option_output, "The folder that results would go to", "DIR"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "As JSON", NULL},
    {"reference", 0, 0, G_OPTION_ARG_NONE, &reference, "Print what is looked at, why, and what to do (Markdown)", NULL},
    {0},
};

static void print_table(const struct preflight *p, const struct preflight_finding *const *findings, size_t n)
{
    static const struct cli_column columns[] = {{"CHECK", 0}, {"OF", 0}, {"STATE", 0}, {"FOUND", CLI_WORDS}};
    struct cli_columns *table = cli_columns_new(columns, G_N_ELEMENTS(columns));
    for (size_t i = 0; i < n; i++)
        cli_columns_row(table, (const char *const[]){findings[i]->id, findings[i]->about,
                                                     cli_finding_state(p, findings[i]),
                                                     findings[i]->text});
    cli_columns_print(table);
}

static const char *remedy_of(const struct preflight_finding *finding)
{
    return finding->hint ? finding->hint : finding->remedy;
}

/* Every finding that is one, and then its remedy, which several in a row may share. */
static void print_remedies(const struct preflight *p, const struct preflight_finding *const *findings, size_t n)
{
    const struct preflight_finding *last = NULL;
    int number = 0;
    for (size_t i = 0; i < n; i++) {
        if (preflight_severity(p, findings[i]) < 0)
            continue;
        if (last && strcmp(remedy_of(last), remedy_of(findings[i])) != 0)
            cli_print("      %s\n", remedy_of(last));
        last = findings[i];
        number++;
        cli_print("%s  %d. %s (%s): %s\n", number == 1 ? "\nWhat to do:\n" : "", number, last->id, last->about,
                  last->why);
    }
    if (last)
        cli_print("      %s\n", remedy_of(last));
}

static void print_sum(const struct preflight *p, const struct preflight_finding *const *findings, size_t n)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int v = 0; v < PREFLIGHT_VERDICT_COUNT; v++) {
        const char *name = preflight_verdict_name(v);
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            count += !strcmp(cli_finding_state(p, findings[i]), name);
        if (count)
            g_string_append_printf(text, "%s%zu %s", text->len ? ", " : "", count, name);
    }
    cli_print("\n%zu check%s: %s\n", n, n == 1 ? "" : "s", text->str);
}

static int report(const struct preflight *p)
{
    const struct preflight_finding *const *findings;
    size_t n = preflight_findings(p, &findings);
    json_t *list = as_json ? json_array() : NULL;
    bool failed = false;
    for (size_t i = 0; i < n; i++) {
        failed |= preflight_severity(p, findings[i]) == DIAG_ERROR;
        if (list)
            json_array_append_new(list, cli_finding_json(p, findings[i]));
    }
    if (list) {
        cli_print_json(list);
    } else {
        print_table(p, findings, n);
        print_remedies(p, findings, n);
        print_sum(p, findings, n);
    }
    return failed ? CLI_FAILED : CLI_OK;
}

/* What is being done, where it may take its time. */
static void say(const char *text, void *data)
{
    (void)data;
    cli_say("%s\n", text);
}

static int look(const struct plan *plan, const char *results, const struct dispatch *dispatch)
{
    int interrupt_fd = interrupt_open(); /* a container that was begun is ended, and what was made for it removed */
    const struct preflight_options how = {.results_dir = results,
                                          .dispatch = dispatch,
                                          .thorough = true,
                                          .starts = true,
                                          .interrupt_fd = interrupt_fd,
                                          .say = say};
    g_autoptr(owned_preflight) p = preflight_new(&how);
    proc_become_subreaper(); /* so that what an adapter leaves behind is seen, and ended */
    if (plan)
        preflight_look_at_plan(p, plan);
    else
        preflight_look_at_machine(p);
    int signal_number = interrupt_take(interrupt_fd);
    if (signal_number)
        cli_say("llem: interrupted before everything was looked at\n");
    return signal_number ? CLI_SIGNAL + signal_number : report(p);
}

static int print_reference(void)
{
    g_autofree char *text = preflight_reference();
    cli_print("%s", text);
    return CLI_OK;
}

static int run(int argc, char **argv)
{
    if (option_output && !*option_output)
        return cli_misuse("-o needs a folder name");
    if (reference)
        return print_reference();
    g_autoptr(owned_config_file) file = NULL;
    const struct cli_plan_options target = {.output = option_output};
    g_autoptr(owned_plan) plan = argc > 0 ? cli_plan_load(argv, &target, &file) : NULL;
    if (argc > 0 && !plan)
        return CLI_USAGE;
    g_autofree char *results = plan            ? cli_plan_target(plan, &target)
                               : option_output ? g_strdup(option_output)
                                               : g_strdup("results");
    g_autoptr(owned_dispatch) dispatch = cli_dispatch_new_to_look(plan, plan ? config_file_name(file) : NULL);
    if (!dispatch)
        return CLI_USAGE;
    return look(plan, results, dispatch);
}

const struct cli_command cli_doctor = {
    .name = "doctor",
    .actions =
        (const struct cli_action[]){
            {
                .arguments = "[FILE [KEY=VALUE…]]",
                .summary = "Check this machine, or what one file needs of it: what was found, what to do",
                .details = "Without FILE every engine and sensor is looked at, with FILE what its runs need, engines started\n"
                           "included. Exit status: 0 nothing failed (warnings are not failures), 1 a check failed, 2 the file\n"
                           "or the command line is wrong, 128 + N ended by signal N (130: Ctrl-C).",
                .max = -1,
                .options = options,
                .run = run,
            },
            {0},
        },
};
