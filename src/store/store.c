/* SPDX-License-Identifier: MIT */
/* Making, opening and asking a store. */
#include "store/internal.h"

#include "result/result.h"

#include <string.h>
#include <unistd.h>

/* --- Making and opening --------------------------------------------------------------------------------------------- */

static void run_clear(void *data)
{
    struct store_run *run = data;
    g_free(run->folder);
    g_free(run->exchange);
    g_free(run->message);
    g_free(run->warning);
    g_free(run->figures);
}

void store_free(struct store *store)
{
    if (!store)
        return;
    journal_close(store->journal);
    json_decref(store->head);
    g_free(store->cells);
    if (store->lines)
        g_array_unref(store->lines);
    g_array_unref(store->runs);
    g_ptr_array_unref(store->doubts);
    g_free(store->folder);
    g_free(store);
}

static bool open_journal(struct store *store, GError **error)
{
    g_autofree char *path = g_build_filename(store->folder, "journal.jsonl", NULL);
    store->journal = journal_open(path, error);
    return store->journal != NULL;
}

struct store *store_open(const char *folder, enum store_access access, GError **error)
{
    g_autoptr(owned_store) store = g_new0(struct store, 1);
    store->folder = g_strdup(folder);
    store->runs = g_array_new(FALSE, FALSE, sizeof(struct store_run));
    store->doubts = g_ptr_array_new_with_free_func(g_free);
    g_array_set_clear_func(store->runs, run_clear);
    if (!store_head_read(store, error) || !store_cells_read(store, error) ||
        (access == STORE_WRITE && !open_journal(store, error)) || !store_recover(store, error))
        return NULL;
    if (store_unprotected(store))
        g_ptr_array_add(store->doubts, g_strdup_printf("not protected against a second llem in %s: its file system has no "
                                                       "locks (%s)", folder, store_unprotected(store)));
    g_ptr_array_add(store->doubts, NULL);
    return g_steal_pointer(&store);
}

/* study.json comes last: a folder without it is no study. */
static bool write_files(const char *folder, const struct config_file *file, const struct plan *plan, GError **error)
{
    json_t *shared;
    GString *text = store_cells_text(plan, &shared);
    g_autofree char *cells_path = g_build_filename(folder, "cells.jsonl", NULL);
    g_autofree char *head_path = g_build_filename(folder, "study.json", NULL);
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text->str, text->len);
    g_autoptr(json_t) head = store_head_json(file, plan, shared, sum);
    bool ok = file_write_durable(cells_path, text->str, text->len, error) && jsonx_save(head_path, head, error);
    g_string_free(text, TRUE);
    return ok;
}

struct store *store_create(const char *results_dir, const struct config_file *file, const struct plan *plan,
                           GError **error)
{
    g_autofree char *folder = store_folder_new(results_dir, config_file_name(file), error);
    struct store *store = NULL;
    if (folder && write_files(folder, file, plan, error))
        store = store_open(folder, STORE_WRITE, error);
    /* The names of the journal and of the folder itself must survive a power cut as well as what is written there. */
    if (store && !(file_sync_dir(folder, error) && file_sync_dir(results_dir, error)))
        g_clear_pointer(&store, store_free);
    if (folder && !store)
        file_remove_tree(folder, NULL); /* nothing was begun in it */
    return store;
}

/* --- Asking ---------------------------------------------------------------------------------------------------------- */

const char *store_folder(const struct store *store)
{
    return store->folder;
}

static const char *head_text(const struct store *store, const char *key)
{
    return json_string_value(json_object_get(store->head, key));
}

const char *store_name(const struct store *store)
{
    return head_text(store, "name");
}

const char *store_hash(const struct store *store)
{
    return head_text(store, "study_hash");
}

const char *store_order(const struct store *store)
{
    return head_text(store, "order");
}

uint64_t store_seed(const struct store *store)
{
    return (uint64_t)json_integer_value(json_object_get(store->head, "seed"));
}

int store_cycles(const struct store *store)
{
    return (int)json_integer_value(json_object_get(store->head, "cycles"));
}

size_t store_axes(const struct store *store)
{
    return json_array_size(json_object_get(store->head, "axes"));
}

const char *store_axis_path(const struct store *store, size_t axis)
{
    return json_string_value(json_array_get(json_object_get(store->head, "axes"), axis));
}

json_t *store_describe(const struct store *store)
{
    static const char *const others[] = {"cells", "cells_sha256", "shared", "runs"};
    json_t *head = json_copy(store->head);
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        json_object_del(head, others[i]);
    return head;
}

int64_t store_gap_ns(const struct store *store, size_t run)
{
    if (run + 1 >= store->runs->len)
        return 0;
    bool cycle_ends = store_run_at(store, run)->cycle != store_run_at(store, run + 1)->cycle;
    const char *path = cycle_ends ? "study.execution.cycle_gap_seconds" : "study.execution.experiment_gap_seconds";
    return (int64_t)(MAX(json_number_value(jsonx_at(store->head, path)), 0) * (double)NS_PER_S);
}

bool store_is_at_work(const struct store *store)
{
    return store->at_work;
}

const char *store_unprotected(const struct store *store)
{
    return store->journal ? journal_unprotected(store->journal) : NULL;
}

const char *const *store_doubts(const struct store *store)
{
    return (const char *const *)store->doubts->pdata;
}

size_t store_runs(const struct store *store)
{
    return store->runs->len;
}

const struct store_run *store_run(const struct store *store, size_t run)
{
    return store_run_at(store, run);
}

/* The folder of a run is named by its configuration; a record that was copied into it is of another. */
static bool is_of_run(const json_t *record, const struct store_run *run, GError **error)
{
    const char *hash = json_string_value(jsonx_at(record, "identity.config_hash"));
    g_autofree char *name = g_path_get_basename(run->folder);
    g_autofree char *end = g_strdup_printf("_%.8s", hash ? hash : "?");
    int64_t cycle = json_integer_value(jsonx_at(record, "identity.cycle"));
    if (strstr(name, end) && cycle == run->cycle)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                "%s/result.json belongs to another run (configuration %.8s, cycle %" G_GINT64_FORMAT ")", run->folder,
                hash ? hash : "unknown", cycle);
    return false;
}

json_t *store_run_record(const struct store *store, size_t run, GError **error)
{
    const struct store_run *row = store_run_at(store, run);
    g_autoptr(json_t) record = row->folder ? result_load(row->folder, error) : NULL;
    if (row->folder)
        return record && is_of_run(record, row, error) ? g_steal_pointer(&record) : NULL;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "run %zu has no folder", run + 1);
    return NULL;
}

json_t *store_run_figures(const struct store *store, size_t run)
{
    const char *text = store_run_at(store, run)->figures;
    return text ? jsonx_parse(text, -1, "journal", NULL) : NULL;
}
