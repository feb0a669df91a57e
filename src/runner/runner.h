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
 *     runner_prepare(runner, interrupt_fd, say, data, &error);     before a study: what may take minutes, once
 *     runner_place(runner, &x, interrupt_fd, say, data, &places, &error);   what a run needs of this machine, where it
 *                                                                  will be
 *     dir = exchange_folder_new(study_dir, &x, runner_places_map(places), &error);   {hash}_config.json (room exchange)
 *     flight = flight_start(runner, &job);                         returns at once, also when nothing could be started
 *     flight_wait(flights, n, interrupt_fd, until_ns)              one that has ended; NULL: a signal, or until_ns
 *     flight_interrupt(flight, signal)                             asks it to stop; a second time kills
 *     flight_finish(flight, &report)                               ends what it left, judges; the files lie in dir
 *     runner_places_free(places), run_folder_collect(dir, …), file_remove_tree(dir), runner_free(runner)
 *
 * A run past its deadline is asked to stop, and killed after the grace. One that cannot be started, or ends without a
 * result or an error record, gets an error record written for it: how it ended, OOM kill, full disk, last lines of its
 * log. Afterwards there is a result or an error record, never both.
 *
 * Ctrl-Z while flights are waited for suspends them with this process, where their runner can; that time counts for no
 * deadline.
 *
 * The caller must be a subreaper (proc_become_subreaper()) for the local runner; what is below it before the start (a
 * shell's children that an exec left it) is not touched. Threading: one thread.
 */
#pragma once

#include "base/base.h"
#include "exchange/exchange.h"

#define RUNNER_LOG "worker.log" /* in the exchange folder: what the worker wrote to stdout and stderr */

/* --- Runners --------------------------------------------------------------------------------------------------- */

/* One line of the worker's progress.jsonl, parsed. Borrowed during the call. */
typedef void runner_progress_fn(const json_t *event, void *data);

/* Where what a run needs of this machine is for its worker. */
struct runner_places {
    struct exchange_map map; /* for exchange_folder_new() */
    char *warning;           /* what the user should know of this run though it goes on; NULL: nothing */
    void *own;               /* the runner's own */
};

/* One run. Strings and places are borrowed during flight_start(), progress_data until flight_finish(). */
struct runner_job {
    const char *exchange_dir;
    const char *config_hash;
    const struct runner_places *places; /* of runner_place(); NULL: paths are as they are here */
    const char *const *arguments; /* of the worker; NULL: none, it runs the experiment */
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
    bool killed; /* by SIGKILL of somebody here: perhaps of the kernel, for its memory */
    const char *log; /* in the exchange folder, to be quoted where there is no record; NULL: RUNNER_LOG */
    GError *why; /* the runner knows better why it ended so than a judge of its files would; NULL: it does not. Owned by
                    the flight. */
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

/* What a container of the runs is to be. Lists are ended by NULL; NULL is an empty one. */
struct runner_container {
    const char *client; /* "docker", "podman" or the path of a client; NULL: the row's, or what is there */
    const char *image;  /* name or id */
    const char *pull;   /* "missing", "never", "always": when the image is pulled before a study; NULL: "missing" */
    int64_t shm_bytes;  /* of /dev/shm; 0: 8 GiB */
    const char *const *mounts;      /* "HOST[:INSIDE[:ro|rw]]", absolute; read-only unless it says rw */
    const char *const *environment; /* "NAME=value", or "NAME": the value it has here */
    const char *const *secrets;     /* names whose values are in no command line and no record, besides those known */
    const char *const *ulimits;     /* "nofile=1024:2048" */
    const char *const *arguments;   /* further ones of `docker run`, as they are */
    const char *ipc, *network, *memory, *cpus; /* as the client takes them; NULL: its default */
    /* Of the engine: its name and folder, what a container must see of this machine, where it keeps things, and the
     * variables that change its work. */
    const char *engine, *engine_folder;
    const char *const *files, *const *caches, *const *record_env;
    const char *study; /* for a label; may be NULL */
};

struct runner_options {
    const char *name; /* NULL: the first row, and the source is "default" */
    const char *source;
    const char *worker_path; /* llem-worker */
    const struct runner_container *container; /* copied by rows that start containers, of no meaning to others */
};

enum runner_flags {
    /* The worker is in another place than the parent: commands name what is there (room backend), and
     * sensors that only the host shows are not seen by it. */
    RUNNER_ELSEWHERE = 1 << 0,
};

/* What is being done, for whoever waits: one line. Borrowed during the call. */
typedef void runner_say_fn(const char *text, void *data);

struct runner_ops {
    const char *name;    /* as records have it */
    const char *summary; /* one line, for a list of runners */
    int max_in_flight;   /* runs at once, unless an instance is made for fewer or more */
    unsigned flags;      /* enum runner_flags */
    const struct runner_check *checks; /* as far as a row without an id; NULL: none */
    const struct runner_container *(*container)(const void *state); /* NULL: no container */
    bool (*open)(const struct runner_options *options, void **ret_state, GError **error);
    void (*close)(void *state);
    /* NULL: nothing to prepare. */
    bool (*prepare)(void *state, int interrupt_fd, runner_say_fn *say, void *data, GError **error);
    bool (*pin)(void *state, int interrupt_fd, GError **error); /* as far as prepare() is there */
    /* Fills in what the row says of runs in x; NULL: paths are as they are here, and it says nothing. */
    bool (*place)(void *state, struct exchange *x, int interrupt_fd, runner_say_fn *say, void *data,
                  struct runner_places **ret, GError **error);
    void (*places_free)(struct runner_places *places); /* as far as place() is there */
    /* Returns at once. *ret_run is the runner's own and goes to the verbs below until release(). */
    bool (*start)(void *state, const struct runner_job *job, void **ret_run, GError **error);
    int (*end_fd)(const void *run); /* readable when has_ended() may have turned true; -1: it is asked every 100 ms */
    bool (*has_ended)(void *run);   /* without waiting */
    void (*ask_to_stop)(void *run); /* whoever is asked ends with a record of its own */
    void (*kill)(void *run);
    /* Ctrl-Z: all that belongs to the run stands still until resume(), which hears for how long. NULL: it works on, and
     * its end is found when llem is continued. */
    void (*suspend)(void *run);
    void (*resume)(void *run, int64_t away_ns);
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

/* What a container of its runs is to be, with what is otherwise if nothing was said; NULL: its runs are in none. */
const struct runner_container *runner_container_of(const struct runner *runner);
/* What is done once before the runs of a study, and may take minutes: what dead owners left is ended, an image is
 * pulled and pinned. A signal in interrupt_fd (-1: none) ends it (INTERRUPTED) and is left for the caller to take.
 * say may be NULL. Comes before runner_place(). */
bool runner_prepare(const struct runner *runner, int interrupt_fd, runner_say_fn *say, void *data, GError **error);
/* In its place, for who only looks: what is here now is taken, whatever would be pulled before a study. */
bool runner_pin(const struct runner *runner, int interrupt_fd, GError **error);
/* Where the files that x names will be for its worker, and what its context says of the runner (image, …), filled in.
 * *ret is NULL where paths are as they are here. x must be complete but for that. What prepare() found and is away (a
 * daemon that is restarted) is waited for, for some seconds; interrupt_fd and say are as there. */
bool runner_place(const struct runner *runner, struct exchange *x, int interrupt_fd, runner_say_fn *say, void *data,
                  struct runner_places **ret, GError **error);
/* For exchange_folder_new(): NULL where places is. */
const struct exchange_map *runner_places_map(const struct runner_places *places);
void runner_places_free(const struct runner *runner, struct runner_places *places);

/* Asks a worker what it finds where runs would be (llem-worker --probe): the start and the end of a run in the very
 * place that x describes, in a new folder below `folder` that is removed. *ret_found is its answer, of which a part may
 * be there though false is returned; new reference or NULL. Comes after runner_prepare(). Errors: those of the place,
 * the start and the end as the runner knows it, TIMEOUT, INTERRUPTED (interrupt_fd readable; -1: none), WORKER_DIED. */
bool runner_ask(const struct runner *runner, struct exchange *x, const char *folder, int64_t timeout_ns,
                int interrupt_fd, json_t **ret_found, GError **error);

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
