/* SPDX-License-Identifier: MIT */
/*
 * store: the folder of one study. It holds all that is needed to go on with the study, to move it, and to read it
 * again, without the user's file.
 *
 *   study.json      what is to be done: schema, name, hashes, seed, order, axes, what the cells share (values with
 *                   their origins), the cell of every run in the order of the runs
 *   cells.jsonl     one line a cell: hash, label, levels, and what differs from the shared values
 *   journal.jsonl   one line a transition of a run; the line that ends a run holds the figures of the table
 *   NNN_cC_…/       one folder a run: what its worker left
 *   .exchange-…/    the exchange folder of a run at work, or of one whose files could not be moved
 *   NNN_cC_….partial/  a run folder that is being filled; whoever opens the store next, and may write there, fills it
 *
 * study.json and cells.jsonl are written whole before the first run and never again; the journal only grows, a line at
 * a time, each on disk before the call returns. A line has a version and a checksum: the last one may be torn (the llem
 * was killed, the disk was full), any other that is damaged is told (store_doubts()) and not heeded; where the journal
 * ends too early the run folders say the rest.
 *
 * Calling sequence, of the one who works on it:
 *     store = store_create(results_dir, file, plan, &error);        or store_open(folder, STORE_WRITE, &error)
 *     config = store_cell_config(store, store_run(store, i)->cell, &error);
 *     store_run_begin(store, i, exchange_dir, &error);              the exchange folder lies in store_folder()
 *     store_run_end(store, i, &end, &error);
 *     store_free(store);
 * of readers: store_open(folder, STORE_READ, &error); store_run(), store_run_record(): one record at a time.
 *
 * store_create() and store_open() give the same: the first writes and then opens. While a store is open for writing it
 * holds a lock on the journal: a second llem is refused, and a reader can tell a study at work from one that was
 * killed.
 *
 * Ownership: store_free(); what is borrowed lives as long as the store, or until the run changes. Errors: IO, DATA,
 * MISSING (no study folder), UNSUPPORTED (of another version, or at work elsewhere). Threading: one thread at a time.
 */
#pragma once

#include "config/config.h"
#include "sweep/sweep.h"

#define STORE_SCHEMA "llem-study/2"

/* --- States ------------------------------------------------------------------------------------------------------ */

/* A build with further rows (unit.rows: a row is all there is to add) has them here. */
#ifndef STORE_MORE_STATES
#define STORE_MORE_STATES(X)
#endif

/* state, its name, meaning */
#define STORE_STATES(X)                                                                                                \
    X(PLANNED, "planned", "not begun yet")                                                                             \
    X(RUNNING, "running", "begun, and its llem is at work")                                                            \
    X(OK, "ok", "its record is there")                                                                                 \
    X(UNEQUAL, "unequal", "its record is there, and says that its repeats were not the same work (`unequal_work`)")    \
    X(FAILED, "failed", "begun, and it ended with an error record")                                                    \
    X(INTERRUPTED, "interrupted", "ended by a signal to llem")                                                         \
    X(LOST, "lost", "begun, and its llem ended before it could tell what became of it")                                \
    X(SKIPPED, "skipped", "cannot run here: a model form that is missing, an adapter that is not installed")           \
    X(REFUSED, "refused", "not begun, because it could not have succeeded")                                            \
    STORE_MORE_STATES(X)

enum store_state {
#define X(id, name, meaning) STORE_##id,
    STORE_STATES(X)
#undef X
        STORE_STATE_COUNT
};
/* A table of the states in Markdown. */
void store_describe_states(GString *out);
const char *store_state_name(enum store_state state); /* "planned", "ok", … */
int store_state_from_name(const char *name);          /* or -1 */
bool store_state_has_record(enum store_state state);  /* of a result, not of an error */
enum store_state store_state_of_record(const json_t *record);
/* What a failure makes of a run that was begun: interrupted, skipped (something is to be installed first) or failed. */
enum store_state store_state_of_failure(const GError *failure);
/* Why, for behind the name of the state: "interrupted" is not said twice; NULL: the name says it all. Borrowed. */
const char *store_message_of_failure(const GError *failure);

/* --- The study ---------------------------------------------------------------------------------------------------- */

struct store;

/* A new folder for the plan below results_dir, open for writing. File and plan are not needed after it. */
struct store *store_create(const char *results_dir, const struct config_file *file, const struct plan *plan,
                           GError **error);
enum store_access { STORE_READ, STORE_WRITE };
struct store *store_open(const char *folder, enum store_access access, GError **error);
void store_free(struct store *store);
typedef struct store owned_store; /* for g_autoptr(owned_store) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_store, store_free)
/* True if a folder holds a study, of any version. */
bool store_is_study(const char *folder);

const char *store_folder(const struct store *store);
const char *store_name(const struct store *store);
const char *store_hash(const struct store *store);
const char *store_order(const struct store *store);
uint64_t store_seed(const struct store *store);
int store_cycles(const struct store *store);
size_t store_axes(const struct store *store);
const char *store_axis_path(const struct store *store, size_t axis);
/* What study.json says of the study: names, hashes, order, axes, without cells and runs. New reference. */
json_t *store_describe(const struct store *store);
/* The pause that the study asks for after a run: the cycles' own where a cycle ends, 0 after the last run. */
int64_t store_gap_ns(const struct store *store, size_t run);
/* True if another llem works on it (a store open for reading). */
bool store_is_at_work(const struct store *store);
/* Why a second llem could write into it, too (a store open for writing); NULL: it is locked. */
const char *store_unprotected(const struct store *store);
/* What of the journal could not be heeded, and what locks do not tell, one sentence each; NULL-terminated. */
const char *const *store_doubts(const struct store *store);

/* --- Cells --------------------------------------------------------------------------------------------------------- */

struct store_cell {
    char hash[17];
    char *label;    /* "precision=bf16 llamacpp.n_threads=2", or "" without axes */
    json_t *levels; /* {"axis path": level}; an axis that does not apply is not in it */
};
size_t store_cells(const struct store *store);
/* False, with an error, where the line of the cell cannot be read. */
bool store_cell_read(const struct store *store, size_t cell, struct store_cell *ret, GError **error);
void store_cell_clear(struct store_cell *cell);
typedef struct store_cell owned_store_cell; /* for g_auto(owned_store_cell) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_store_cell, store_cell_clear)
/* The whole experiment, as the plan had it; its hash is computed again. New. */
struct config *store_cell_config(const struct store *store, size_t cell, GError **error);

/* --- Runs ---------------------------------------------------------------------------------------------------------- */

struct store_run {
    size_t cell;
    int cycle; /* from 1 */
    enum store_state state;
    int attempts;    /* how often it was begun and ended */
    char *folder;    /* of the run, or NULL while nothing was kept */
    char *exchange;  /* its exchange folder while it is at work, or where its files were left; or NULL */
    char *message;   /* why it is not ok, or NULL */
    char *warning;   /* what was not as it should be beside it, or NULL */
    char *figures;   /* JSON text of store_run_figures(), or NULL */
    int64_t wall_ns; /* from begin to end; 0: unknown */
};
/* In the order in which they are to be done. */
size_t store_runs(const struct store *store);
const struct store_run *store_run(const struct store *store, size_t run);
/* The record of a run, whole. New reference. */
json_t *store_run_record(const struct store *store, size_t run, GError **error);
/* The figures of the table as the journal has them, without its record: {"metrics": {id: quantity}, "scope", "flags"}.
 * NULL where it has none. New reference. */
json_t *store_run_figures(const struct store *store, size_t run);

/* --- Transitions (a store open for writing) -------------------------------------------------------------------------- */

/* False, with an error, where the folder is no longer what was opened: what is written there now would be lost, and
 * nothing is to be made anew in its place. */
bool store_is_there(const struct store *store, GError **error);
/* The run begins; its worker will be handed exchange_dir, a folder in the study's. */
bool store_run_begin(struct store *store, size_t run, const char *exchange_dir, GError **error);

struct store_end {
    enum store_state state;
    const char *message;      /* or NULL */
    const char *exchange_dir; /* what lies in it becomes the run folder; NULL: the run was not begun */
    int64_t wall_ns;
};
/* The run has ended. False where its files could not be moved or the journal could not be written: then the study
 * cannot go on; the run says where its files are (and is not ok), and the journal is told what it can be told. */
bool store_run_end(struct store *store, size_t run, const struct store_end *end, GError **error);
/* A run that has ended is to be done again. */
bool store_run_plan_again(struct store *store, size_t run, GError **error);
/* What was not as it should be beside a run: is in its next line, behind what was said before. */
void store_run_warn(struct store *store, size_t run, const char *text);
