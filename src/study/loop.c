/* SPDX-License-Identifier: MIT */
#include "study/study.h"

#include "backend/backend.h"
#include "runner/runner.h"
#include "study/lock.h"
#include "study/work.h"

#include <poll.h>
#include <string.h>

/* Past the deadline the worker's hurried ladder for its engine needs up to 12 s: only then its runner steps in. */
#define SLACK_NS (15 * NS_PER_S)
/* Between SIGTERM and SIGKILL: the worker's own ladder for its engine needs up to 25 s. */
#define GRACE_NS (30 * NS_PER_S)
#define SWEEP_NS (5 * NS_PER_S)

/* The loop at work. */
struct loop {
    const struct study_job *job;
    struct store *store;
    struct workload_library *library;
    struct study_lock *lock;
    pid_t told_of; /* the other study that was warned of; -1: none yet */
    int interrupted;
};

static void tell(struct loop *loop, struct study_event event)
{
    if (loop->job->event)
        loop->job->event(&event, loop->job->event_data);
}

G_GNUC_PRINTF(3, 4) static void warn(struct loop *loop, size_t index, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    tell(loop, (struct study_event){
                   .kind = STUDY_EVENT_WARNING, .index = index, .total = store_runs(loop->store), .message = text});
    store_run_warn(loop->store, index, text);
}

/* --- What a worker is told ------------------------------------------------------------------------------------------ */

static bool add_model(const struct config *config, struct exchange *x, GError **error)
{
    g_auto(workload_resolved) model = {0};
    if (!config_model(config, &model, error))
        return false;
    x->model_path = g_steal_pointer(&model.path);
    return true;
}

/* True if another study measures here too; said once of each. */
static bool is_disturbed(struct loop *loop, size_t index)
{
    pid_t other;
    if (!study_lock_is_elsewhere(loop->lock, &other))
        return false;
    if (other != loop->told_of)
        warn(loop, index, "another llem study is at work on this machine (process %d): both disturb each other's figures",
             (int)other);
    loop->told_of = other;
    return true;
}

static void add_config(const struct config *config, struct exchange *x)
{
    x->config_hash = g_strdup(config_hash(config));
    x->config = config_tree(config);
    x->hashed = config_hashed(config);
    x->origins = config_origins(config);
    x->roles = config_roles(config);
    x->digests = config_digests(config);
    x->files = config_files(config);
}

/* What the worker starts, with which environment, and what it is; false where it is not there. */
static bool add_engine(const struct config *config, struct exchange *x, GError **error)
{
    const struct backend *backend = backend_find(config_string(config, FIELD_BACKEND), error);
    x->command = backend ? backend_command(backend, error) : NULL;
    if (!x->command)
        return false;
    x->environment = json_object();
    for (const char *const *row = backend_env(backend); *row; row++) {
        g_auto(GStrv) parts = g_strsplit(*row, "=", 2);
        json_object_set_new(x->environment, parts[0], json_string(parts[1]));
    }
    x->record_env = g_strdupv((char **)(uintptr_t)backend_record_env(backend));
    x->descriptor_sha256 = g_strdup(backend_digest(backend));
    x->program_sha256 = file_sha256_cached(backend_program(backend, (const char *const *)x->command), error);
    return x->program_sha256 != NULL;
}

/* What the worker of a run is told; false with why it cannot run here. */
static bool prepare(struct loop *loop, size_t index, const struct config *config, struct exchange *ret, GError **error)
{
    add_config(config, ret);
    ret->cycle = store_run(loop->store, index)->cycle;
    ret->study = g_strdup(store_name(loop->store));
    ret->study_hash = g_strdup(store_hash(loop->store));
    ret->runner = g_strdup(loop->job->runner->ops->name);
    ret->runner_source = g_strdup(loop->job->runner->source);
    if (!work_fill(loop->library, config, ret, error) || !add_engine(config, ret, error))
        return false;
    ret->concurrent_study = is_disturbed(loop, index);
    return add_model(config, ret, error);
}

/* --- One run -------------------------------------------------------------------------------------------------------- */

struct forward {
    struct loop *loop;
    struct study_event event;
};

static void forward_progress(const json_t *progress, void *data)
{
    struct forward *f = data;
    f->event.progress = progress;
    tell(f->loop, f->event);
}

/* What a run left behind. A process that cannot be ended would draw power in every run to come. */
static bool check_leftovers(struct loop *loop, size_t index, const struct runner_report *report, GError **error)
{
    const struct runner_leftovers *left = &report->leftovers;
    if (left->n)
        warn(loop, index, "%d process%s of run %zu had to be killed after its worker ended",
             left->n, left->n == 1 ? "" : "es", index + 1);
    if (!left->survivors)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_RUNNER,
                "run %zu left processes that SIGKILL does not end (pid %s): the study stops, for they would disturb all "
                "that follows; they are stuck in the kernel, and a reboot may be needed",
                index + 1, left->survivors);
    return false;
}

/* How a run ended, by its failure (NULL: it did not fail), which must outlive it. */
static struct store_end end_of(const struct loop *loop, const GError *failure)
{
    if (!failure)
        return (struct store_end){.state = STORE_OK};
    return (struct store_end){
        .state = loop->interrupted ? STORE_INTERRUPTED : store_state_of_failure(failure),
        .message = store_message_of_failure(failure),
    };
}

static struct flight *start_flight(struct loop *loop, const struct config *config, const char *dir, struct forward *forward)
{
    return flight_start(loop->job->runner, &(struct runner_job){.exchange_dir = dir,
                                                                .config_hash = config_hash(config),
                                                                .timeout_ns = config_ns(config, FIELD_LIMITS_TIMEOUT_SECONDS),
                                                                .slack_ns = SLACK_NS,
                                                                .grace_ns = GRACE_NS,
                                                                .sweep_ns = SWEEP_NS,
                                                                .progress = forward_progress,
                                                                .progress_data = forward});
}

/* Runs one prepared experiment in its own worker and keeps what it left. Failures of the run are noted of it; failures of
 * the study's own files are returned, and the journal is told what can be told all the same. */
static bool fly(struct loop *loop, size_t index, const struct config *config, const char *dir, struct forward *forward,
                GError **error)
{
    struct runner_report report;
    struct flight *flight = start_flight(loop, config, dir, forward);
    while (!flight_wait(&flight, 1, loop->job->interrupt_fd, INT64_MAX)) {
        loop->interrupted = interrupt_take(loop->job->interrupt_fd);
        flight_interrupt(flight, loop->interrupted);
    }
    flight_finish(flight, &report);
    g_autoptr(GError) failure = report.failure;
    g_autofree char *survivors = report.leftovers.survivors;
    struct store_end end = end_of(loop, failure);
    end.exchange_dir = dir;
    end.wall_ns = report.wall_ns;
    is_disturbed(loop, index); /* one that began meanwhile: this run has its warning, the next its flag */
    bool clear = check_leftovers(loop, index, &report, error);
    return store_run_end(loop->store, index, &end, clear ? error : NULL) && clear;
}

static bool execute(struct loop *loop, size_t index, const struct config *config, const struct exchange *exchange,
                    struct forward *forward, GError **error)
{
    g_autoptr(GError) removal = NULL;
    g_autofree char *dir = exchange_folder_new(store_folder(loop->store), exchange, NULL, error);
    if (!dir)
        return false;
    if (!store_run_begin(loop->store, index, dir, error)) {
        file_remove_tree(dir, NULL);
        return false;
    }
    bool ok = fly(loop, index, config, dir, forward, error);
    if (store_run(loop->store, index)->folder && !file_remove_tree(dir, &removal))
        warn(loop, index, "%s (it holds nothing that is needed)", removal->message);
    return ok;
}

/* A run that is not begun: something is missing here, or what it asks for cannot be had. */
static bool turn_down(struct loop *loop, size_t index, const GError *why, GError **error)
{
    struct store_end end = end_of(loop, why);
    if (end.state == STORE_FAILED)
        end.state = STORE_REFUSED;
    return store_run_end(loop->store, index, &end, error);
}

/* A gap between runs that an interrupt ends. */
static void wait_gap(struct loop *loop, int64_t wait_ns)
{
    if (wait_ns <= 0)
        return;
    tell(loop, (struct study_event){.kind = STUDY_EVENT_GAP, .wait_ns = wait_ns});
    struct pollfd fd = {.fd = loop->job->interrupt_fd, .events = POLLIN};
    poll(&fd, 1, (int)MIN(wait_ns / NS_PER_MS, G_MAXINT));
    loop->interrupted = interrupt_take(loop->job->interrupt_fd);
}

static bool step(struct loop *loop, size_t index, GError **error)
{
    const struct store_run *run = store_run(loop->store, index);
    g_auto(owned_store_cell) cell = {0};
    g_autoptr(owned_config) config = store_cell_config(loop->store, run->cell, error);
    if (!config || !store_cell_read(loop->store, run->cell, &cell, error))
        return false;
    struct study_event event = {
        .index = index, .total = store_runs(loop->store), .cycle = run->cycle, .label = cell.label};
    struct forward forward = {loop, event};
    forward.event.kind = STUDY_EVENT_PROGRESS;
    event.kind = STUDY_EVENT_RUN;
    tell(loop, event);
    g_autoptr(GError) why = NULL;
    g_auto(owned_exchange) exchange = {0};
    bool ok = prepare(loop, index, config, &exchange, &why) ? execute(loop, index, config, &exchange, &forward, error)
                                                            : turn_down(loop, index, why, error);
    event.kind = STUDY_EVENT_DONE;
    event.state = run->state;
    event.message = run->message;
    event.wall_ns = run->wall_ns;
    tell(loop, event);
    return ok;
}

/* The next run that is planned, from `index` on; the number of runs when there is none. */
static size_t next_planned(const struct store *store, size_t index)
{
    while (index < store_runs(store) && store_run(store, index)->state != STORE_PLANNED)
        index++;
    return index;
}

bool study_execute(const struct study_job *job, int *ret_signal, GError **error)
{
    struct loop loop = {
        .job = job, .store = job->store, .library = workload_library_new(), .lock = study_lock_new(), .told_of = -1};
    size_t n = store_runs(job->store), next;
    bool ok = true;
    for (size_t i = next_planned(job->store, 0); ok && i < n && !loop.interrupted; i = next) {
        loop.interrupted = interrupt_take(job->interrupt_fd); /* one that came while nothing waited */
        if (loop.interrupted)
            break;
        ok = step(&loop, i, error);
        next = next_planned(job->store, i + 1);
        if (ok && next < n && !loop.interrupted && store_run(job->store, i)->folder)
            wait_gap(&loop, store_gap_ns(job->store, i));
    }
    workload_library_free(loop.library);
    study_lock_free(loop.lock);
    *ret_signal = loop.interrupted;
    return ok;
}
