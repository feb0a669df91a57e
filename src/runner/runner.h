/* SPDX-License-Identifier: MIT */
/*
 * runner: gives one run a process of its own, here or elsewhere. A runner knows "configuration file in, result file
 * out, how it ended" and nothing about engines or studies.
 *
 * A runner is a row of runner.c and an instance {ops, state}; its verbs (struct runner_ops) are all that differs from
 * one runner to another. A flight is one run by one of them: deadline, interrupt, progress, judgement and error records
 * are the same for all. Many flights are served from one loop.
 *
 * Calling sequence:
 *     runner = runner_new(&options, &error);
 *     dir = exchange_folder_new(study_dir, &x, map, &error);       {hash}_config.json is written (room exchange)
 *     flight = flight_start(runner, &job);                         returns at once, also when nothing could be started
 *     flight_wait(flights, n, interrupt_fd, until_ns)              one that has ended; NULL: a signal, or until_ns
 *     flight_interrupt(flight, signal)                             asks it to stop; a second time kills
 *     flight_finish(flight, &report)                               ends what it left, judges; the files lie in dir
 *     run_folder_collect(dir, …), file_remove_tree(dir), runner_free(runner)
 *
 * A run past its deadline is asked to stop, and killed after the grace. One that cannot be started, or ends without a
 * result or an error record, gets an error record written for it: how it ended, OOM kill, full disk, last lines of its
 * log. Afterwards there is a result or an error record, never both.
 *
 * The caller must be a subreaper (proc_become_subreaper()) for the local runner; what is below it before the start (a
 * shell's children that an exec left it) is not touched. Threading: one thread.
 */
#pragma once

#include "base/base.h"

#define RUNNER_LOG "worker.log" /* in the exchange folder: what the worker wrote to stdout and stderr */

/* --- Runners --------------------------------------------------------------------------------------------------- */

/* One line of the worker's progress.jsonl, parsed. Borrowed during the call. */
typedef void runner_progress_fn(const json_t *event, void *data);

/* One run. Strings are borrowed during flight_start(), progress_data until flight_finish(). */
struct runner_job {
    const char *exchange_dir;
    const char *config_hash;
    int64_t timeout_ns; /* of the whole run; the worker keeps it itself and knows best what took too long */
    int64_t slack_ns;   /* beyond it, before the runner asks it to stop: the worker's own ladder */
    int64_t grace_ns;   /* between asking and killing; the worker needs it to stop its engine */
    int64_t sweep_ns;   /* how long to go on killing what the worker left */
    runner_progress_fn *progress; /* NULL: nobody listens */
    void *progress_data;
};

/* How a run ended, as its runner saw it. */
struct runner_end {
    char *how;   /* "exit status 3", "killed by signal 9 (Killed)". New string. */
    bool clean;  /* as a program ends that has done its work */
    bool killed; /* by SIGKILL of somebody: perhaps of the kernel, for its memory */
};

/* What a run left running. */
struct runner_leftovers {
    int n;           /* processes that were still there after the worker ended, and were killed */
    char *survivors; /* "12, 34": those that cannot be ended, or NULL. New string. */
};

/* What must be so that runs can be started, asked before a study begins. */
struct runner_check {
    const char *id;  /* "runner.worker" */
    const char *why; /* what goes wrong without it */
    bool (*probe)(const void *state, GError **error); /* the error says what is not so */
    const char *remedy;
};

struct runner_options {
    const char *name; /* NULL: the first row, and the source is "default" */
    const char *source;
    const char *worker_path; /* llem-worker */
};

struct runner_ops {
    const char *name;    /* as records have it */
    const char *summary; /* one line, for a list of runners */
    int max_in_flight;   /* runs at once, unless an instance is made for fewer or more */
    const struct runner_check *checks; /* as far as a row without an id; NULL: none */
    bool (*open)(const struct runner_options *options, void **ret_state, GError **error);
    void (*close)(void *state);
    /* Returns at once. *ret_run is the runner's own and goes to the verbs below until release(). */
    bool (*start)(void *state, const struct runner_job *job, void **ret_run, GError **error);
    int (*end_fd)(const void *run); /* readable when has_ended() may have turned true; -1: it is asked every 100 ms */
    bool (*has_ended)(void *run);   /* without waiting */
    void (*ask_to_stop)(void *run); /* whoever is asked ends with a record of its own */
    void (*kill)(void *run);
    void (*describe_end)(const void *run, struct runner_end *ret); /* once it has ended */
    void (*sweep)(void *run, int64_t deadline_ns, struct runner_leftovers *ret);
    void (*release)(void *run);
};

struct runner {
    const struct runner_ops *ops;
    void *state;
    const char *source; /* who chose it: "default", … */
    int max_in_flight;
};

/* The rows, the default first. */
const struct runner_ops *const *runner_rows(size_t *ret_n);
/* Strings of the options are borrowed during the call, source for good. Errors: USAGE for a name without a row. */
struct runner *runner_new(const struct runner_options *options, GError **error);
void runner_free(struct runner *runner);
typedef struct runner owned_runner; /* for g_autoptr(owned_runner) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_runner, runner_free)

/* --- Flights --------------------------------------------------------------------------------------------------- */

struct runner_report {
    GError *failure; /* NULL: {hash}_result.json is there and whole. Owned by the caller. */
    int interrupted; /* the signal that ended the run, or 0 */
    int64_t wall_ns; /* start to end */
    struct runner_leftovers leftovers; /* survivors owned by the caller */
};

struct flight;

struct flight *flight_start(const struct runner *runner, const struct runner_job *job);
/* The first of them that has ended. NULL when until_ns (monotonic) has come or interrupt_fd (-1: none) is readable;
 * a signal in it is left for the caller to take. */
struct flight *flight_wait(struct flight *const *flights, size_t n, int interrupt_fd, int64_t until_ns);
void flight_interrupt(struct flight *flight, int signal_number);
/* Only of one that has ended. Frees it. */
void flight_finish(struct flight *flight, struct runner_report *ret);
