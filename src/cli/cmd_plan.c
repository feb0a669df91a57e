/* SPDX-License-Identifier: MIT */
/* llem plan: what `llem run` would do, and what is missing for it here. */
#include "cli/cli.h"

#include "cli/plan.h"
#include "cli/runner.h"

static struct cli_plan_options target;
static gboolean as_json, unused_quiet;

static const GOptionEntry options[] = {
    CLI_PLAN_OPTIONS(target),
    {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "As JSON, with the runs in their order", NULL},
    {"quiet", 'q', G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &unused_quiet, "Nothing: of `llem run --dry-run`", NULL},
    {0},
};

/* What is missing is in the tree, and on stderr as well. */
static int run_json(const struct config_file *file, const struct plan *plan, const char *results,
                    const struct dispatch *dispatch)
{
    json_t *tree = cli_plan_json(file, plan), *findings = json_array();
    const struct preflight_options how = {.results_dir = results, .dispatch = dispatch};
    bool ok = dispatch && cli_plan_preflight(plan, &how, findings);
    json_object_set_new(tree, "runners", dispatch ? cli_dispatch_json(dispatch) : json_null());
    json_object_set_new(tree, "findings", findings);
    cli_print_json(tree);
    return ok ? CLI_OK : CLI_USAGE;
}

static int run(int argc, char **argv)
{
    (void)argc;
    g_autoptr(owned_config_file) file = NULL;
    g_autoptr(owned_plan) plan = cli_plan_load(argv, &target, &file);
    if (!plan)
        return CLI_USAGE;
    g_autofree char *results = cli_plan_target(plan, &target);
    if (!as_json)
        cli_plan_print(file, plan, true, cli_out());
    cli_flush_stdout(); /* what is missing comes after the plan, whatever stdout is */
    g_autoptr(owned_dispatch) dispatch = cli_dispatch_new(plan, config_file_name(file));
    if (as_json)
        return run_json(file, plan, results, dispatch);
    if (!dispatch)
        return CLI_USAGE;
    cli_dispatch_print(dispatch, cli_out());
    cli_flush_stdout();
    const struct preflight_options how = {.results_dir = results, .dispatch = dispatch};
    return cli_plan_preflight(plan, &how, NULL) ? CLI_OK : CLI_USAGE;
}

const struct cli_command cli_plan = {
    .name = "plan",
    .actions =
        (const struct cli_action[]){
            {
                .arguments = "FILE [KEY=VALUE…]",
                .summary = "Show what a file would run, and what is missing for it here; run nothing",
                .details = "Takes what 'llem run' takes. Cells with their hashes, what is skipped and why, the order of the\n"
                           "runs, and who runs each engine and who chose that, go to stdout; what this machine lacks goes\n"
                           "to stderr.\n\n"
                           "Exit status: 0 it can be run, 2 it cannot.",
                .missing = "FILE is missing: name an experiment or study file",
                .min = 1,
                .max = -1,
                .options = options,
                .run = run,
            },
            {0},
        },
};
