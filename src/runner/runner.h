/* SPDX-License-Identifier: MIT */
/*
 * runner: gives one run a process of its own. A runner knows "configuration file in, result file out, exit status"
 * and nothing about engines or studies.
 *
 * Calling sequence:
 *     dir = exchange_folder_new(study_dir, &x, map, &error);        {hash}_config.json is written (room exchange)
 *     runner_local(&job, &report);                                   blocks until the worker and all it started ended
 *     report.failure ? … : …                                         the files lie in dir either way
 *     run_folder_collect(dir, …), file_remove_tree(dir)
 *
 * The local runner spawns llem-worker in its own process group, watches it by pidfd, passes an interrupt on, enforces
 * the deadline (SIGTERM, grace, SIGKILL), and ends whatever the worker left behind. A worker that cannot be started or
 * ends without a result or an error record gets an error record written for it: exit status, signal, OOM kill, full
 * disk, last lines of its log. Afterwards there is a result or an error record, never both.
 *
 * The caller must be a subreaper (proc_become_subreaper()); what is below it before the spawn (a shell's children that
 * an exec left it) is not touched. Threading: one run at a time.
 */
#pragma once

#include "base/base.h"

/* One line of the worker's progress.jsonl, parsed. Borrowed during the call. */
typedef void runner_progress_fn(const json_t *event, void *data);

struct runner_job {
    const char *worker_path;
    const char *exchange_dir;
    const char *config_hash;
    int64_t timeout_ns; /* of the whole run; the worker keeps it itself and knows best what took too long */
    int64_t slack_ns;   /* beyond it, before the runner sends SIGTERM: the worker's own ladder */
    int64_t grace_ns;   /* between SIGTERM and SIGKILL; the worker needs it to stop its engine */
    int64_t sweep_ns;   /* how long to go on killing what the worker left */
    int interrupt_fd;   /* of interrupt_open(), or -1 */
    runner_progress_fn *progress; /* NULL: nobody listens */
    void *progress_data;
};

struct runner_report {
    GError *failure;  /* NULL: {hash}_result.json is there and whole. Owned by the caller. */
    int interrupted;  /* the signal that ended the run, or 0 */
    int64_t wall_ns;  /* spawn to end */
    int leftovers;    /* processes that were still there after the worker ended, and were killed */
    char *survivors;  /* "12, 34": those that SIGKILL did not end, or NULL. Owned by the caller. */
};

void runner_local(const struct runner_job *job, struct runner_report *ret);
