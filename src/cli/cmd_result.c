/* SPDX-License-Identifier: MIT */
/* llem result: what a result file holds. */
#include "cli/cli.h"

#include "exchange/exchange.h"
#include "report/report.h"
#include "result/result.h"
#include "store/store.h"

#include <stdio.h>

static gboolean of_error, of_exchange, of_host;

static const GOptionEntry schema_options[] = {
    {"error", 0, 0, G_OPTION_ARG_NONE, &of_error, "Of error.json, the record of a run that failed", NULL},
    {"exchange", 0, 0, G_OPTION_ARG_NONE, &of_exchange, "Of config.json, all that the worker of a run was told", NULL},
    {"host", 0, 0, G_OPTION_ARG_NONE, &of_host, "Of host_energy.json, what sensors beside the worker showed", NULL},
    {0},
};

static int metrics(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct result_metric_row *row = result_metric_row(i);
        cli_print("%-28s %-8s %s\n", row->id, row->unit, row->help);
    }
    return CLI_OK;
}

static int reference(int argc, char **argv)
{
    (void)argc, (void)argv;
    g_autofree char *text = result_reference(), *columns = report_reference(), *compared = frame_reference();
    g_autoptr(GString) states = g_string_new("\n## States of a run\n\n");
    store_describe_states(states);
    cli_print("%s%s%s%s", text, states->str, columns, compared);
    return CLI_OK;
}

static int schema(int argc, char **argv)
{
    (void)argc, (void)argv;
    if (of_error + of_exchange + of_host > 1)
        return cli_misuse("--error, --exchange and --host exclude each other: give one of them");
    if (of_exchange)
        return cli_print_json(exchange_schema());
    if (of_host)
        return cli_print_json(result_host_schema());
    return cli_print_json(of_error ? result_error_schema() : result_schema());
}

static const struct cli_action actions[] = {
    {
        .name = "schema",
        .arguments = "",
        .summary = "Print the JSON Schema of result.json",
        .options = schema_options,
        .run = schema,
    },
    {
        .name = "metrics",
        .arguments = "",
        .summary = "List every figure of result.json with its unit and meaning",
        .run = metrics,
    },
    {
        .name = "reference",
        .arguments = "",
        .summary = "Print the reference page of a run's files (Markdown)",
        .run = reference,
    },
    {0},
};

const struct cli_command cli_result = {
    .name = "result",
    .summary = "List the figures of a result; print its JSON Schema",
    .actions = actions,
};
