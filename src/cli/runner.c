/* SPDX-License-Identifier: MIT */
#include "cli/runner.h"

#include "cli/cli.h"
#include "cli/plan.h"

#include <unistd.h>

/* $LLEM_WORKER, or beside this program, or ../libexec/llem. New string. */
static char *find_worker(void)
{
    const char *given = g_getenv("LLEM_WORKER");
    if (given && *given)
        return g_strdup(given);
    static const char *const places[] = {"llem-worker", "../libexec/llem/llem-worker", NULL};
    char *found = install_find(places, G_FILE_TEST_IS_EXECUTABLE);
    if (found)
        return found;
    g_autofree char *folder = install_folder();
    return g_build_filename(folder ? folder : ".", places[0], NULL);
}

/* The cells' own settings of one engine are the same: none of them can be swept. */
static bool add_cells(struct dispatch *d, const struct plan *plan, struct diag *diag)
{
    bool ok = true;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autoptr(owned_config) config = plan_cell_config(plan, i);
        if (g_hash_table_add(seen, g_strdup(config_string(config, FIELD_BACKEND))))
            ok = dispatch_add(d, config, diag) && ok;
    }
    return ok;
}

struct dispatch *cli_dispatch_new(const struct plan *plan, const char *study)
{
    g_autofree char *worker = find_worker();
    g_autoptr(owned_diag) diag = diag_new();
    struct dispatch *d = dispatch_new(&(struct dispatch_options){.worker_path = worker, .study = study});
    bool ok = !plan || add_cells(d, plan, diag);
    cli_print_diagnostics(diag);
    if (ok)
        return d;
    dispatch_free(d);
    return NULL;
}
