/* SPDX-License-Identifier: MIT */
/*
 * dispatch: who runs what. For each engine of a study a runner, made from what the configuration says of its runs
 * (runners.ENGINE) and from its descriptor, and who chose it.
 *
 * Calling sequence:
 *     d = dispatch_new(&options);
 *     dispatch_add_plan(d, plan, diag);            or dispatch_add_store(), or dispatch_add() for every cell
 *     dispatch_settle(d, diag);                    engines that do not start here go to Docker, or are refused
 *     dispatch_prepare(d, interrupt_fd, say, data, &error);     before the first run: images are pulled and pinned
 *     runner = dispatch_runner(d, "llamacpp");     …, runner_place(), flight_start() (room runner)
 *     dispatch_free(d);
 *
 * Ownership: runners live as long as the dispatch; configurations are needed during dispatch_add() alone, but for the
 * documents that places point into. Threading: one thread at a time.
 */
#pragma once

#include "config/config.h"
#include "runner/runner.h"
#include "store/store.h"
#include "sweep/sweep.h"

struct dispatch_options {
    const char *worker_path; /* llem-worker of this machine */
    const char *study;       /* its name, for labels; may be NULL */
    int (*host_cuda)(void);    /* the newest CUDA of this machine's driver: 13000 is 13.0; 0: none. NULL: not known */
    int64_t start_ns;          /* how long an engine may take to start; 0: 60 s */
    const struct runner *only; /* runs everything, whatever is asked for: of tests; borrowed. NULL: none does */
};

/* What was decided for an engine. */
struct dispatch_choice {
    const char *backend;
    const struct runner *runner;
    const char *image;  /* as it was asked for; NULL: no container */
    /* who chose the runner: "default", "study.yaml:3:5", "environment LLEM_RUNNER_X", "elevated: …" */
    const char *source;
    struct diag_span at; /* where; source NULL: no place */
    const char *python;  /* the interpreter of a runner that is elsewhere */
};

struct dispatch;

/* Strings of the options are copied. */
struct dispatch *dispatch_new(const struct dispatch_options *options);
void dispatch_free(struct dispatch *d);
typedef struct dispatch owned_dispatch; /* for g_autoptr(owned_dispatch) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_dispatch, dispatch_free)

/* Decides for the engine of a cell, unless that was done: what is written, else local. False after errors in diag. */
bool dispatch_add(struct dispatch *d, const struct config *config, struct diag *diag);
/* The same for every engine of a plan, and of a study that is gone on with: there the environment is that of here. */
bool dispatch_add_plan(struct dispatch *d, const struct plan *plan, struct diag *diag);
bool dispatch_add_store(struct dispatch *d, const struct store *store, struct diag *diag);
/* Starts every engine that is to run on this machine, once a day. One that does not start is an error in diag (and
 * false is returned); but where the study has others and nobody chose its runner, it goes to Docker, with a warning.
 * Comes after all engines were added. */
bool dispatch_settle(struct dispatch *d, struct diag *diag);
/* What is done once before the runs, for every runner (runner_prepare()). */
bool dispatch_prepare(const struct dispatch *d, int interrupt_fd, runner_say_fn *say, void *data, GError **error);

/* In the order in which engines were added. Borrowed. */
size_t dispatch_choices(const struct dispatch *d, const struct dispatch_choice *const **ret);
/* Of an engine; NULL: it was not added. Borrowed. */
const struct dispatch_choice *dispatch_choice_of(const struct dispatch *d, const char *backend);
const struct runner *dispatch_runner(const struct dispatch *d, const char *backend);
/* The runner of this machine, of no engine: for who looks at the machine alone. Borrowed. */
const struct runner *dispatch_local(const struct dispatch *d);
/* The ID of the image that `runners.NAME.use` and `.client` (or NULL) of a configuration come to, if it is here: new
 * string. NULL: there is none, or it cannot be told. host_cuda as in the options. */
char *dispatch_image_id(const struct backend *backend, const char *use, const char *client, int (*host_cuda)(void));
/* Runs at once that all its runners take. */
int dispatch_max_in_flight(const struct dispatch *d);
