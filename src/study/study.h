/* SPDX-License-Identifier: MIT */
/*
 * study: the loop over a store. Each run that is planned gets a worker of its own through a runner, as many at once
 * as the runner takes; what a worker leaves becomes the run's folder in the store. A run that fails, or whose model
 * is not there, is recorded and the loop goes on. The pause that a study asks for between runs is kept by each slot
 * after its run: with one run at a time between a run and the next, with several on the machine of each. A signal
 * ends the loop after all runs in flight were brought down; a second one kills them.
 *
 * Calling sequence: store_create() or store_open(folder, STORE_WRITE); study_execute(&job, &signal, &error); what
 * became of the runs is in the store, whose journal has the transitions in the order in which they came about. The
 * caller is a subreaper (room runner). Threading: one study at a time in a process. Another study of the same user on
 * this machine is a warning, and marked in the exchange file ("concurrent_study" in its context).
 */
#pragma once

#include "dispatch/dispatch.h"
#include "store/store.h"

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
    enum store_state state;
    const char *message;
    int64_t wait_ns, wall_ns;
};
typedef void study_event_fn(const struct study_event *event, void *data);

struct study_job {
    struct store *store; /* open for writing */
    const struct dispatch *dispatch; /* with every engine of the store, and prepared */
    int interrupt_fd;
    study_event_fn *event; /* may be NULL */
    void *event_data;
};

/* Runs what is planned. False only when the study's own files could not be written, or the machine is not fit to go
 * on: the other runs in flight are then asked to stop, and kept. ret_signal: the last signal that came, or 0. */
bool study_execute(const struct study_job *job, int *ret_signal, GError **error);
