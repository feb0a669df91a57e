/* SPDX-License-Identifier: MIT */
/*
 * study: the loop over a plan. Each run gets a worker of its own through a runner; its files become a run folder in the
 * study folder; a run that fails, or whose model is not there, is recorded and the loop goes on; an interrupt ends the
 * loop after the run in flight was brought down.
 *
 * Files in the study folder, all written so that they are whole or absent:
 *   study.json     what is to be done: name, hash, order, seed, cells, runs (written before the first run)
 *   journal.jsonl  one line a transition, each synced: {"run", "cell", "cycle", "state", "exchange", "folder",
 *                  "message", "warning", "utc"}; "running", with the name of its exchange folder, before a run is begun
 *   NNN_cC_…/      one folder a run (room result)
 *   .exchange-…    the exchange folder of a run whose llem was killed, or whose files could not be moved
 *
 * Calling sequence: study_execute(&job, &outcome, &error); study_outcome_clear(&outcome). Later: study_read().
 * The caller is a subreaper (room runner). Threading: one study at a time in a process. Another study of the same user
 * on this machine is a warning, and marked in the exchange file ("concurrent_study" in its context).
 */
#pragma once

#include "config/config.h"
#include "runner/runner.h"
#include "sweep/sweep.h"

enum study_state {
    STUDY_NOT_RUN,
    STUDY_OK,
    STUDY_FAILED,
    STUDY_SKIPPED, /* cannot run here: a model form that is missing, an adapter that is not installed */
    STUDY_INTERRUPTED,
    STUDY_RUNNING, /* read back while its llem is at work */
    STUDY_LOST,    /* read back: begun, and its llem ended before it could tell what became of it */
    STUDY_STATE_COUNT
};
const char *study_state_name(enum study_state state); /* "ok", "failed", … */

/* What the loop tells whoever watches; strings and trees are borrowed during the call. */
enum study_event_kind {
    STUDY_EVENT_RUN,      /* a run begins: index, label */
    STUDY_EVENT_PROGRESS, /* the worker said something: progress */
    STUDY_EVENT_DONE,     /* a run ended: state, message */
    STUDY_EVENT_GAP,      /* waiting between runs: wait_ns */
    STUDY_EVENT_WARNING,  /* what the user should know though the run goes on: message */
};
struct study_event {
    enum study_event_kind kind;
    size_t index, total; /* of the run, from 0 */
    int cycle;
    const char *label;
    const json_t *progress;
    enum study_state state;
    const char *message;
    int64_t wait_ns, wall_ns;
};
typedef void study_event_fn(const struct study_event *event, void *data);

struct study_job {
    const struct config_file *file;
    const struct plan *plan;
    const char *results_dir;
    const struct runner *runner;
    int interrupt_fd;
    study_event_fn *event; /* may be NULL */
    void *event_data;
};

struct study_run {
    enum study_state state;
    size_t cell;
    int cycle;
    char *folder;  /* NULL when nothing was kept */
    char *message; /* why it is not ok */
    char *warning; /* what was not as it should be beside it, or NULL */
    int64_t wall_ns;
};

struct study_outcome {
    char *folder;
    struct study_run *runs; /* in the order of the plan */
    size_t n_runs;
    int interrupted; /* the signal that ended it, or 0 */
};

/* False only when the study could not begin or its own files could not be written; what became of the runs is in ret. */
bool study_execute(const struct study_job *job, struct study_outcome *ret, GError **error);
void study_outcome_clear(struct study_outcome *outcome);

/* What this machine lacks for a plan, before anything runs. Warnings: adapters, models and sensors that are not there
 * (their cells are skipped, or have no energy), more threads than processors. Errors: data sets that are missing, broken
 * or too small, results that cannot be written (results_dir NULL: not asked), and models that cannot be meant or read
 * (a warning where other cells can run). Once each. */
void study_preflight(const struct plan *plan, const char *results_dir, struct diag *diag);

/* A study folder read back: its description (new reference) and what became of each run, by its journal and, where that
 * ends too early (killed, disk full), by the run folders; other runs are STUDY_NOT_RUN. A torn last line is skipped. */
bool study_read(const char *folder, json_t **ret_description, struct study_outcome *ret, GError **error);
