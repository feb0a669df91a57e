/* SPDX-License-Identifier: MIT */
/*
 * The null runner runs nothing: it gives each run the record that its script says, when its script says so. It shows
 * that a runner is one file and one row, and that several runs can be in flight. It lives among the tests and in no
 * program, so that nobody gets figures that were never measured.
 */
#pragma once

#include "runner/runner.h"

#define NULL_NEVER G_MAXINT

/* What becomes of one run. */
struct null_run {
    const char *cannot_start; /* why; NULL: it starts */
    const char *progress;     /* a line of progress.jsonl, written at the start */
    const char *result, *error; /* texts of the records, written at the end; NULL: none */
    const char *how;          /* how it ends; NULL: "exit status 0", cleanly */
    int after;                /* it ends when so many other runs have ended; NULL_NEVER: until it is asked to stop */
    bool deaf;                /* asked to stop it goes on; else it ends with a record of the class Interrupted */
    int leaves;
    const char *survivors;
};

/* The state of an instance: what becomes of the runs in the order in which they are started, the last for all more. */
struct null_script {
    const struct null_run *runs;
    size_t n_runs;
    int n_started, n_ended, most_in_flight; /* counted by the runner */
    GPtrArray *in_flight;                   /* the runner's own */
};

extern const struct runner_ops runner_null;
