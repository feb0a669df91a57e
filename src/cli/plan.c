/* SPDX-License-Identifier: MIT */
#include "cli/plan.h"

#include "cli/cli.h"

#include <string.h>
#include <unistd.h>

static void print_diagnostics(const struct diag *diag)
{
    g_autofree char *text = diag_render(diag, cli_colour(STDERR_FILENO));
    fputs(text, stderr);
}

struct plan *cli_plan_load(const char *path, const char *const *overrides, struct config_file **ret_file)
{
    g_autoptr(owned_diag) diag = diag_new();
    g_autofree char *user = config_user_file();
    const struct config_file_options how = {.overrides = overrides, .user_file = user, .environment = true};
    *ret_file = config_file_load(path, &how, diag);
    struct plan *plan = *ret_file ? plan_new(*ret_file, diag) : NULL;
    print_diagnostics(diag);
    return plan;
}

static void print_cells(const struct plan *plan, FILE *to)
{
    const struct plan_skip *skips;
    size_t n_skips = plan_skips(plan, &skips);
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autofree char *label = plan_cell_label(plan, i);
        fprintf(to, "  %s%s%s\n", plan_cell_hash(plan, i), *label ? "  " : "", label);
    }
    for (size_t i = 0; i < n_skips; i++)
        fprintf(to, "  skipped           %s: %s\n", skips[i].label, skips[i].reason);
}

void cli_plan_print(const struct config_file *file, const struct plan *plan, bool whole, FILE *to)
{
    const struct plan_run *unused;
    size_t n_runs = plan_runs(plan, &unused), cells = plan_cells(plan);
    int cycles = plan_cycles(plan);
    fprintf(to, "%s: %zu cell%s × %d cycle%s = %zu run%s, ", config_file_name(file), cells, cells == 1 ? "" : "s", cycles,
            cycles == 1 ? "" : "s", n_runs, n_runs == 1 ? "" : "s");
    if (n_runs > 1)
        fprintf(to, "%s", plan_order(plan));
    if (n_runs > 1 && !strcmp(plan_order(plan), "shuffled"))
        fprintf(to, " (seed %" G_GUINT64_FORMAT ")", plan_seed(plan));
    fprintf(to, "%sstudy %s\n", n_runs > 1 ? ", " : "", plan_hash(plan));
    if (whole)
        print_cells(plan, to);
}

char *cli_plan_results(const struct plan *plan)
{
    g_autoptr(owned_config) first = plan_cell_config(plan, 0);
    return config_has(first, FIELD_OUTPUT_DIR) ? g_strdup(config_string(first, FIELD_OUTPUT_DIR)) : NULL;
}

bool cli_plan_preflight(const struct plan *plan, const char *results)
{
    g_autoptr(owned_diag) diag = diag_new();
    study_preflight(plan, NULL, results, diag);
    print_diagnostics(diag);
    return diag_errors(diag) == 0;
}
