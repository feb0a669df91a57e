/* SPDX-License-Identifier: MIT */
/* llem result: what lies in a results folder, and the schema of it. */
#include "cli/cli.h"

#include "cli/table.h"
#include "result/result.h"

#include <stdio.h>
#include <string.h>

static int show(const char *folder)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) description = NULL;
    struct study_outcome outcome;
    if (!study_read(folder, &description, &outcome, &error))
        return cli_fail(error);
    cli_print_study(description, &outcome);
    study_outcome_clear(&outcome);
    return 0;
}

static int print_json(json_t *tree)
{
    g_autofree char *text = jsonx_dump(tree, JSONX_PRETTY);
    fputs(text, stdout);
    json_decref(tree);
    return 0;
}

static int metrics(void)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct result_metric_row *row = result_metric_row(i);
        printf("%-28s %-8s %s\n", row->id, row->unit, row->help);
    }
    return 0;
}

static int reference(void)
{
    g_autofree char *text = result_reference();
    fputs(text, stdout);
    return 0;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    bool done;
    int code = cli_parse(self, &argc, &argv, 1, 2, &done);
    if (code || done)
        return code;
    if (!strcmp(argv[1], "show") && argc == 3)
        return show(argv[2]);
    if (!strcmp(argv[1], "schema") && argc == 2)
        return print_json(result_schema());
    if (!strcmp(argv[1], "error-schema") && argc == 2)
        return print_json(result_error_schema());
    if (!strcmp(argv[1], "metrics") && argc == 2)
        return metrics();
    if (!strcmp(argv[1], "reference") && argc == 2)
        return reference();
    fprintf(stderr, "llem result: '%s' is not one of show FOLDER, metrics, schema, error-schema, reference\n", argv[1]);
    return 2;
}

const struct cli_command cli_result = {
    .name = "result",
    .arguments = "show FOLDER | metrics | schema | error-schema | reference",
    .summary = "Show a study folder again; list the metrics; print the JSON Schemas",
    .details = "show FOLDER    the table of a finished or interrupted study\n"
               "metrics        every figure of result.json with its unit and meaning\n"
               "schema         JSON Schema of result.json\n"
               "error-schema   JSON Schema of error.json\n"
               "reference      docs/results.md",
    .run = run,
};
