/* SPDX-License-Identifier: MIT */
#include "cli/runner.h"

#include "cli/cli.h"
#include "cli/image.h"
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

enum settling { SETTLED, AS_FAR_AS_IT_GOES, UNSETTLED };

/* Engines that do not start are told by whoever looks at the machine. */
static bool settle(struct dispatch *d, enum settling how, struct diag *diag)
{
    g_autoptr(owned_diag) unsaid = diag_new();
    if (how == UNSETTLED)
        return true;
    proc_become_subreaper(); /* so that what an adapter leaves behind is seen, and ended */
    return dispatch_settle(d, how == SETTLED ? diag : unsaid) || how != SETTLED;
}

static struct dispatch *make(const struct plan *plan, const char *study, enum settling how)
{
    g_autofree char *worker = find_worker();
    g_autoptr(owned_diag) diag = diag_new();
    struct dispatch *d =
        dispatch_new(&(struct dispatch_options){.worker_path = worker, .study = study, .host_cuda = cli_host_cuda});
    bool ok = !plan || (dispatch_add_plan(d, plan, diag) && settle(d, how, diag));
    cli_print_diagnostics(diag);
    if (ok)
        return d;
    dispatch_free(d);
    return NULL;
}

struct dispatch *cli_dispatch_new(const struct plan *plan, const char *study)
{
    return make(plan, study, SETTLED);
}

struct dispatch *cli_dispatch_new_unsettled(const struct plan *plan, const char *study)
{
    return make(plan, study, UNSETTLED);
}

struct dispatch *cli_dispatch_new_to_look(const struct plan *plan, const char *study)
{
    return make(plan, study, AS_FAR_AS_IT_GOES);
}

struct dispatch *cli_dispatch_new_of(const struct config *config)
{
    struct dispatch *d = make(NULL, NULL, UNSETTLED);
    g_autoptr(owned_diag) diag = diag_new();
    bool ok = dispatch_add(d, config, diag);
    cli_print_diagnostics(diag);
    if (ok)
        return d;
    dispatch_free(d);
    return NULL;
}

/* --- Showing ------------------------------------------------------------------------------------------------------ */

void cli_dispatch_print(const struct dispatch *dispatch, FILE *to)
{
    const struct dispatch_choice *const *choices;
    size_t n = dispatch_choices(dispatch, &choices);
    for (size_t i = 0; i < n; i++) {
        const struct dispatch_choice *choice = choices[i];
        cli_write(to, "  %s: %s%s%s (%s)\n", choice->backend, choice->runner->ops->name, choice->image ? ":" : "",
                choice->image ? choice->image : "", choice->source);
    }
}

json_t *cli_dispatch_json(const struct dispatch *dispatch)
{
    const struct dispatch_choice *const *choices;
    size_t n = dispatch_choices(dispatch, &choices);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s?, s:s}", "backend", choices[i]->backend, "runner",
                                              choices[i]->runner->ops->name, "image", choices[i]->image, "source",
                                              choices[i]->source));
    return list;
}
