/* SPDX-License-Identifier: MIT */
/* Internal to store: what the files of the folder share. */
#pragma once

#include "store/store.h"

struct journal;

struct store {
    char *folder;
    json_t *head;       /* study.json */
    char *cells;        /* text of cells.jsonl */
    GArray *lines;      /* size_t: where the line of each cell begins in it */
    GArray *runs;       /* struct store_run */
    GPtrArray *doubts;  /* char *, NULL-terminated */
    struct journal *journal; /* open for writing, or NULL */
    bool at_work;
};

static inline struct store_run *store_run_at(const struct store *store, size_t run)
{
    return &g_array_index(store->runs, struct store_run, run);
}

/* --- study.json (head.c) ------------------------------------------------------------------------------------------ */

/* shared: as store_cells_text() gave it; cells_sha256: of the text of cells.jsonl. */
json_t *store_head_json(const struct config_file *file, const struct plan *plan, json_t *shared,
                        const char *cells_sha256);
/* Reads study.json and fills in head and runs. */
bool store_head_read(struct store *store, GError **error);

/* --- cells.jsonl (cells.c) ---------------------------------------------------------------------------------------- */

/* The lines, and in *ret_shared what cells have in common: a list of {"values", "origins", "digests",
 * "hashed", "roles", "files"}, one for each backend. */
GString *store_cells_text(const struct plan *plan, json_t **ret_shared);
/* Reads cells.jsonl, which must be what the head says. */
bool store_cells_read(struct store *store, GError **error);
/* {"hash", "hashed", "values", "origins", "roles", "digests", "files"} of a cell, whole. New reference. */
json_t *store_cell_parts(const struct store *store, size_t cell, GError **error);

/* --- journal.jsonl (journal.c) ------------------------------------------------------------------------------------- */

/* Opens the journal at its end, which is that of its last whole line. UNSUPPORTED where another llem has it open. */
struct journal *journal_open(const char *path, GError **error);
/* Adds version and checksum. One write, one sync, whatever the size of the study. Takes over the reference. */
bool journal_append(struct journal *journal, json_t *line, GError **error);
/* False where the file that is open is no longer what its path names. */
bool journal_is_there(const struct journal *journal);
/* Why a second llem could open it as well: the file system has no locks. NULL: it is locked. */
const char *journal_unprotected(const struct journal *journal);
void journal_close(struct journal *journal);
/* Hands over each line that is whole and right; one that is not, or that is refused, is said in doubts (char *). A
 * journal that is not there has no lines. */
typedef bool journal_line_fn(const json_t *line, void *data, GError **error);
bool journal_read(const char *path, journal_line_fn *line, void *data, GPtrArray *doubts, GError **error);

/* --- Lines of the journal (line.c) ---------------------------------------------------------------------------------- */

/* What there is to say of a run. New reference. */
json_t *store_line_json(const struct store *store, size_t run);
/* All that was said of a run goes, but for its state and how often it was begun. */
void store_run_forget(struct store_run *run);
/* The inverse: the run becomes what the line says. DATA where it is not a line of this study. */
bool store_line_apply(struct store *store, const json_t *line, GError **error);

/* --- Folders and their names (folders.c) --------------------------------------------------------------------------- */

/* RESULTS/NAME_2026-11-25T02-44-37[_n]: a new study folder, never an existing one. New string. */
char *store_folder_new(const char *results_dir, const char *name, GError **error);
/* NNN_cC_MODEL-BACKEND_HASH8[_N]: the name of the folder of a run, in its Nth attempt. New string. */
char *store_run_name(size_t run, int cycle, const char *model, const char *backend, const char *config_hash,
                     int attempt);
/* The inverse, also of the name while it is not complete: run (from 0), cycle and attempt; false if it is not one. */
bool store_run_name_parse(const char *name, size_t *ret_run, int *ret_cycle, int *ret_attempt);
bool store_run_name_is_partial(const char *name);
/* Moves what a worker left in an exchange folder into a new run folder, under their lasting names; the folder is
 * renamed into place complete, so that it is there whole or not at all. Goes on where a llem was killed that moved
 * them. */
bool store_run_collect(const char *exchange_dir, const char *config_hash, const char *run_dir, GError **error);
/* What becomes of run_dir's name until it is complete. New string. */
char *store_run_partial(const char *run_dir);

/* --- Reading back (recover.c) --------------------------------------------------------------------------------------- */

/* What became of each run: by the journal and, where that ends too early, by what lies in the folder; into the journal
 * of a store open for writing. */
bool store_recover(struct store *store, GError **error);

/* --- Transitions (transitions.c) ------------------------------------------------------------------------------------- */

/* The line of a run as it stands now, into the journal. */
bool store_note(struct store *store, size_t run, GError **error);
/* Moves the files of a run's attempt into its folder, whose path is in *ret_folder, moved or not. */
bool store_run_move(const struct store *store, size_t run, const char *exchange_dir, char **ret_folder, GError **error);

/* --- Figures (figures.c) --------------------------------------------------------------------------------------------- */

/* What the table shows of a record. New reference. */
json_t *store_figures(const json_t *record);
