/* SPDX-License-Identifier: MIT */
/* What becomes of a run, each a line of the journal. */
#include "store/internal.h"

#include "result/result.h"

#include <unistd.h>

bool store_note(struct store *store, size_t index, GError **error)
{
    return journal_append(store->journal, store_line_json(store, index), error);
}

static void set_string(char **at, const char *text)
{
    g_free(*at);
    *at = g_strdup(text);
}

/* What was said of a run's former attempt, but for what it was warned of. */
static void run_reset(struct store_run *run)
{
    g_autofree char *warning = g_steal_pointer(&run->warning);
    store_run_forget(run);
    run->warning = g_steal_pointer(&warning);
}

bool store_run_begin(struct store *store, size_t index, const char *exchange_dir, GError **error)
{
    struct store_run *run = store_run_at(store, index);
    if (!store_is_there(store, error))
        return false;
    run_reset(run);
    run->state = STORE_RUNNING;
    run->exchange = g_strdup(exchange_dir);
    if (store_note(store, index, error))
        return true;
    run->state = STORE_PLANNED;
    g_clear_pointer(&run->exchange, g_free);
    return false;
}

/* Says of a run, and of the study, where the files lie that could not be moved. */
static bool run_leave(struct store_run *run, size_t index, const char *folder, const GError *cause, GError **error)
{
    g_autofree char *partial = folder ? store_run_partial(folder) : NULL;
    bool parted = partial && access(partial, F_OK) == 0;
    g_autofree char *places =
        g_strdup_printf("%s%s%s", run->exchange, parted ? " and " : "", parted ? partial : "");
    g_autofree char *message = run->message;
    run->message = g_strdup_printf("%s%sits files could not be moved into the run folder (%s); they are in %s",
                                   message ? message : "", message ? "; " : "", cause->message, places);
    if (run->state == STORE_OK)
        run->state = STORE_FAILED;
    g_set_error(error, cause->domain, cause->code, "run %zu: %s; its files are in %s", index + 1, cause->message,
                places);
    return false;
}

/* The path of the folder that the run's files are for. New string. */
static char *folder_of(const struct store *store, size_t index, const json_t *parts)
{
    const struct store_run *run = store_run_at(store, index);
    const char *model = json_string_value(jsonx_at(parts, "values.model"));
    const char *backend = json_string_value(jsonx_at(parts, "values.backend"));
    g_autofree char *name = store_run_name(index, run->cycle, model ? model : "", backend ? backend : "",
                                           json_string_value(json_object_get(parts, "hash")), run->attempts + 1);
    return g_build_filename(store->folder, name, NULL);
}

static void take_figures(struct store_run *run)
{
    g_autoptr(json_t) record = run->state == STORE_OK ? result_load(run->folder, NULL) : NULL;
    g_autoptr(json_t) figures = record ? store_figures(record) : NULL;
    run->state = record ? store_state_of_record(record) : run->state;
    run->figures = figures ? jsonx_dump(figures, JSONX_COMPACT) : NULL;
}

bool store_run_move(const struct store *store, size_t index, const char *exchange_dir, char **ret_folder,
                    GError **error)
{
    g_autoptr(json_t) parts = store_cell_parts(store, store_run_at(store, index)->cell, error);
    const char *hash = json_string_value(json_object_get(parts, "hash"));
    *ret_folder = parts ? folder_of(store, index, parts) : NULL;
    return parts && store_run_collect(exchange_dir, hash, *ret_folder, error);
}

/* The exchange folder's files become the run folder. */
static bool run_keep(struct store *store, size_t index, const char *exchange_dir, GError **error)
{
    struct store_run *run = store_run_at(store, index);
    g_autoptr(GError) cause = NULL;
    g_autofree char *folder = NULL;
    if (!store_run_move(store, index, exchange_dir, &folder, &cause))
        return run_leave(run, index, folder, cause, error);
    g_clear_pointer(&run->exchange, g_free);
    run->folder = g_steal_pointer(&folder);
    take_figures(run);
    return true;
}

bool store_run_end(struct store *store, size_t index, const struct store_end *end, GError **error)
{
    struct store_run *run = store_run_at(store, index);
    run->state = end->state;
    run->wall_ns = end->wall_ns;
    set_string(&run->message, end->message);
    set_string(&run->exchange, end->exchange_dir);
    if (!store_is_there(store, error)) {
        run->state = STORE_LOST;
        set_string(&run->message, "the folder of the study went away under it");
        return false;
    }
    bool begun = end->exchange_dir != NULL, kept = !begun || run_keep(store, index, end->exchange_dir, error);
    run->attempts += begun;
    return store_note(store, index, kept ? error : NULL) && kept;
}

bool store_run_plan_again(struct store *store, size_t index, GError **error)
{
    struct store_run *run = store_run_at(store, index);
    run_reset(run);
    g_clear_pointer(&run->warning, g_free);
    run->state = STORE_PLANNED;
    return store_note(store, index, error);
}

void store_run_warn(struct store *store, size_t index, const char *text)
{
    struct store_run *run = store_run_at(store, index);
    g_autofree char *before = run->warning;
    run->warning = before ? g_strconcat(before, "; ", text, NULL) : g_strdup(text);
}
