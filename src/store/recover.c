/* SPDX-License-Identifier: MIT */
/* What became of each run: the journal is read through, and what it does not say is looked up in the folder. */
#include "store/internal.h"

#include "exchange/exchange.h"
#include "result/result.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- The journal ---------------------------------------------------------------------------------------------------- */

static bool apply_line(const json_t *line, void *store, GError **error)
{
    return store_line_apply(store, line, error);
}

/* --- The folder ----------------------------------------------------------------------------------------------------- */

/* The folder of a run's last attempt. */
struct found {
    char *name, *partial; /* partial: one that was not complete when its llem ended */
    int attempt;
};

static void found_clear(void *data)
{
    struct found *found = data;
    g_free(found->name);
    g_free(found->partial);
}

static void set_text(char **at, const char *text)
{
    g_free(*at);
    *at = g_strdup(text);
}

/* The run folders that are there, by the number of their run. */
static GArray *find_folders(const struct store *store)
{
    GArray *list = g_array_sized_new(FALSE, TRUE, sizeof(struct found), store->runs->len);
    g_autoptr(GDir) dir = g_dir_open(store->folder, 0, NULL);
    g_array_set_size(list, store->runs->len);
    g_array_set_clear_func(list, found_clear);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        size_t run;
        int cycle, attempt;
        bool partial = store_run_name_is_partial(name);
        if (!store_run_name_parse(name, &run, &cycle, &attempt) || run >= store->runs->len)
            continue;
        struct found *found = &g_array_index(list, struct found, run);
        const struct store_run *known = store_run_at(store, run);
        if (cycle == known->cycle && partial && attempt > known->attempts)
            set_text(&found->partial, name);
        if (cycle != known->cycle || partial || found->attempt >= attempt)
            continue;
        set_text(&found->name, name);
        found->attempt = attempt;
    }
    return list;
}

static void lose(struct store_run *run, char *message)
{
    run->state = STORE_LOST;
    g_free(run->message);
    run->message = message;
}

/* The run folder is there, but not the journal's line of it: llem was killed or the disk was full between the two. */
static void believe_folder(struct store_run *run)
{
    g_autoptr(json_t) result = result_load(run->folder, NULL);
    g_autoptr(json_t) record = result ? NULL : result_load_error(run->folder, NULL);
    g_autoptr(GError) failure = record ? result_error_parse(record) : NULL;
    if (result) {
        g_autoptr(json_t) figures = store_figures(result);
        run->state = store_state_of_record(result);
        run->figures = jsonx_dump(figures, JSONX_COMPACT);
    } else if (failure) {
        run->state = store_state_of_failure(failure);
        run->message = g_strdup(store_message_of_failure(failure));
    } else {
        lose(run, g_strdup_printf("its end was not recorded; what it left is in %s", run->folder));
    }
}

/* The first file of a folder with this ending, as a path; NULL when there is none. New string. */
static char *find_file(const char *folder, const char *suffix)
{
    g_autoptr(GDir) dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
    for (const char *name; dir && (name = g_dir_read_name(dir));)
        if (g_str_has_suffix(name, suffix))
            return g_build_filename(folder, name, NULL);
    return NULL;
}

/* Where what a run left lies: its exchange folder, and the run folder that was not complete. New string, or NULL. */
static char *places_of(const struct store *store, const struct store_run *run, const char *partial)
{
    g_autofree char *second = partial ? g_build_filename(store->folder, partial, NULL) : NULL;
    const char *first = run->exchange && access(run->exchange, F_OK) == 0 ? run->exchange : NULL;
    if (first && second)
        return g_strdup_printf("%s and %s", first, second);
    return g_strdup(first ? first : second);
}

/* A run that was begun and of which only its exchange folder may be there, or a part of its run folder. */
static void believe_exchange(const struct store *store, struct store_run *run, const char *partial)
{
    g_autofree char *result = find_file(run->exchange, "_result.json");
    g_autofree char *path = find_file(run->exchange, "_error.json");
    g_autofree char *places = places_of(store, run, partial);
    g_autoptr(json_t) record = path ? jsonx_load(path, LIMIT_RESULT_BYTES, NULL) : NULL;
    g_autoptr(GError) failure = record ? result_error_parse(record) : NULL;
    if (failure)
        lose(run, g_strdup_printf("llem ended before it; its worker says: %s (%s)", failure->message, places));
    else if (result)
        lose(run, g_strdup_printf("llem ended before it could keep the result: %s", result));
    else if (partial)
        lose(run, g_strdup_printf("llem ended while it moved what the run left; that is in %s", places));
    else if (places)
        lose(run, g_strdup_printf("llem ended before it; what it left is in %s", places));
    else
        lose(run, g_strdup("llem ended before it, and it left nothing"));
}

/* What its llem would have moved had it lived: a run folder that it began to fill, or a whole result that nothing
 * disowns and whose worker is gone. */
static bool is_to_be_moved(const struct store *store, const struct store_run *run, const char *partial)
{
    g_autofree char *result = find_file(run->exchange, "_result.json");
    g_autofree char *failure = find_file(run->exchange, "_error.json");
    g_auto(owned_store_cell) cell = {0};
    if (partial || !result || failure)
        return partial != NULL;
    return store_cell_read(store, run->cell, &cell, NULL) && !exchange_is_held(run->exchange, cell.hash);
}

/* Whoever reads a study of their own may end what its llem began, if nobody else is at it. */
static bool may_write(struct store *store)
{
    struct stat st;
    g_autofree char *path = g_build_filename(store->folder, "journal.jsonl", NULL);
    if (store->journal)
        return true;
    if (stat(store->folder, &st) == 0 && st.st_uid == geteuid())
        store->journal = journal_open(path, NULL);
    if (store->journal && journal_unprotected(store->journal)) /* then nobody can tell whether another is at it */
        g_clear_pointer(&store->journal, journal_close);
    return store->journal != NULL;
}

/* Moves what a run left where its llem was killed at it, or just before. */
static bool finish_move(struct store *store, size_t index, const char *partial)
{
    struct store_run *run = store_run_at(store, index);
    g_autofree char *folder = NULL;
    if (!is_to_be_moved(store, run, partial) || !may_write(store) ||
        !store_run_move(store, index, run->exchange, &folder, NULL))
        return false;
    file_remove_tree(run->exchange, NULL);
    g_clear_pointer(&run->exchange, g_free);
    g_free(run->folder);
    run->folder = g_steal_pointer(&folder);
    return true;
}

/* True if the run has come further than the journal knows. Only the folder of an attempt whose end the journal does not
 * know can say so. */
static bool complete_run(struct store *store, size_t index, const struct found *found)
{
    struct store_run *run = store_run_at(store, index);
    if (found->attempt > run->attempts) {
        g_free(run->folder);
        run->folder = g_build_filename(store->folder, found->name, NULL);
        run->attempts = found->attempt;
        believe_folder(run);
        return true;
    }
    if (run->state != STORE_RUNNING)
        return false;
    if (run->exchange && finish_move(store, index, found->partial))
        believe_folder(run);
    else
        believe_exchange(store, run, found->partial);
    run->attempts++;
    return true;
}

/* A reader notes only what it moved: a worker of another run may still be ending in order. */
static bool complete_runs(struct store *store, bool reads, GError **error)
{
    g_autoptr(GArray) folders = find_folders(store);
    for (size_t i = 0; i < store->runs->len; i++) {
        const struct store_run *run = store_run_at(store, i);
        bool open = run->state == STORE_PLANNED || run->state == STORE_RUNNING;
        if (!open || !complete_run(store, i, &g_array_index(folders, struct found, i)))
            continue;
        bool notes = store->journal && !(reads && run->state == STORE_LOST);
        if (notes && !store_note(store, i, reads ? NULL : error) && !reads)
            return false; /* a reader has moved what it shows, noted or not: the folder says it again to the next */
    }
    return true;
}

bool store_recover(struct store *store, GError **error)
{
    g_autofree char *path = g_build_filename(store->folder, "journal.jsonl", NULL);
    bool told = true;
    store->at_work = !store->journal && file_is_locked(path, &told); /* before it is read: an end in between is read */
    if (!told)
        g_ptr_array_add(store->doubts, g_strdup_printf("whether another llem is at work in %s cannot be told (%s): what is "
                                                       "called lost here may be running", store->folder,
                                                       g_strerror(errno)));
    if (!journal_read(path, apply_line, store, store->doubts, error))
        return false;
    if (store->at_work)
        return true;
    bool reads = !store->journal, ok = complete_runs(store, reads, error);
    if (reads)
        g_clear_pointer(&store->journal, journal_close);
    return ok;
}
