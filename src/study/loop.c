/* SPDX-License-Identifier: MIT */
#include "study/study.h"

#include "backend/backend.h"
#include "result/result.h"
#include "runner/runner.h"
#include "study/journal.h"
#include "study/lock.h"
#include "study/work.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Past the deadline the worker's hurried ladder for its engine needs up to 12 s: only then its runner steps in. */
#define SLACK_NS (15 * NS_PER_S)
/* Between SIGTERM and SIGKILL: the worker's own ladder for its engine needs up to 25 s. */
#define GRACE_NS (30 * NS_PER_S)
#define SWEEP_NS (5 * NS_PER_S)

/* The loop in flight. */
struct loop {
    const struct study_job *job;
    struct study_outcome *out;
    struct journal *journal;
    struct library *library;
    struct study_lock *lock;
    pid_t told_of; /* the other study that was warned of; -1: none yet */
    const struct plan_run *plan_runs;
};

const char *study_state_name(enum study_state state)
{
    static const char *const names[STUDY_STATE_COUNT] = {"not run",     "ok",      "failed", "skipped",
                                                         "interrupted", "running", "lost"};
    return names[state];
}

void study_outcome_clear(struct study_outcome *outcome)
{
    for (size_t i = 0; i < outcome->n_runs; i++) {
        g_free(outcome->runs[i].folder);
        g_free(outcome->runs[i].message);
        g_free(outcome->runs[i].warning);
    }
    g_free(outcome->runs);
    g_free(outcome->folder);
    *outcome = (struct study_outcome){0};
}

static void tell(struct loop *loop, struct study_event event)
{
    if (loop->job->event)
        loop->job->event(&event, loop->job->event_data);
}

static json_t *describe(const struct study_job *job)
{
    const struct plan *plan = job->plan;
    const struct plan_run *runs;
    size_t n_runs = plan_runs(plan, &runs);
    json_t *cells = json_array(), *order = json_array();
    for (size_t i = 0; i < plan_cells(plan); i++) {
        g_autofree char *label = plan_cell_label(plan, i);
        json_t *levels = json_object();
        for (size_t k = 0; k < plan_axes(plan); k++)
            json_object_set(levels, plan_axis_path(plan, k), plan_cell_level(plan, i, k));
        json_array_append_new(cells, json_pack("{s:s, s:s, s:o}", "config_hash", plan_cell_hash(plan, i), "label",
                                               label, "levels", levels));
    }
    for (size_t i = 0; i < n_runs; i++)
        json_array_append_new(order, json_pack("{s:i, s:i}", "cell", (int)runs[i].cell, "cycle", runs[i].cycle));
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:o, s:o}", "schema", "llem-study/1", "name",
                     config_file_name(job->file), "study_hash", plan_hash(plan), "order", plan_order(plan), "seed",
                     (json_int_t)plan_seed(plan), "cycles", plan_cycles(plan), "cells", cells, "runs", order);
}

G_GNUC_PRINTF(3, 4) static void warn(struct loop *loop, struct study_run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    tell(loop, (struct study_event){.kind = STUDY_EVENT_WARNING,
                                    .index = (size_t)(run - loop->out->runs),
                                    .total = loop->out->n_runs,
                                    .message = text});
    g_autofree char *before = run->warning;
    run->warning = before ? g_strconcat(before, "; ", text, NULL) : g_strdup(text);
}

/* One line of the journal: where a run stands now. exchange names the folder of a run in flight or left there. */
static bool note(struct loop *loop, size_t index, enum study_state state, const char *exchange, GError **error)
{
    const struct study_run *run = &loop->out->runs[index];
    g_autofree char *utc = clock_format_utc(clock_wall_ns());
    g_autofree char *folder = run->folder ? g_path_get_basename(run->folder) : NULL;
    g_autofree char *left = exchange ? g_path_get_basename(exchange) : NULL;
    json_t *line = json_pack("{s:i, s:i, s:i, s:s, s:s*, s:s*, s:s*, s:s*, s:s}", "run", (int)index + 1, "cell",
                             (int)run->cell, "cycle", run->cycle, "state", study_state_name(state), "exchange", left,
                             "folder", folder, "message", run->message, "warning", run->warning, "utc", utc);
    return journal_append(loop->journal, line, error);
}

static bool add_model(const struct config *config, struct exchange *x, GError **error)
{
    g_auto(workload_resolved) model = {0};
    if (!work_model(config, &model, error))
        return false;
    x->model_path = g_steal_pointer(&model.path);
    return true;
}

/* Whether another study measures here too; said once of each. */
static bool is_disturbed(struct loop *loop, size_t index)
{
    pid_t other;
    if (!study_lock_is_elsewhere(loop->lock, &other))
        return false;
    if (other != loop->told_of)
        warn(loop, &loop->out->runs[index],
             "another llem study is at work on this machine (process %d): both disturb each other's figures", (int)other);
    loop->told_of = other;
    return true;
}

static void add_config(const struct config *config, struct exchange *x)
{
    x->config_hash = g_strdup(config_hash(config));
    x->config = config_tree(config);
    x->origins = config_origins(config);
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
    x->program_sha256 = file_sha256(backend_program(backend, (const char *const *)x->command), error);
    return x->program_sha256 != NULL;
}

/* What the worker of a run is told; false with why it cannot run here. */
static bool prepare(struct loop *loop, const struct plan_run *run, const struct config *config, struct exchange *ret,
                    GError **error)
{
    add_config(config, ret);
    ret->cycle = run->cycle;
    ret->study = g_strdup(config_file_name(loop->job->file));
    ret->study_hash = g_strdup(plan_hash(loop->job->plan));
    ret->runner = g_strdup(loop->job->runner->ops->name);
    ret->runner_source = g_strdup(loop->job->runner->source);
    if (!library_work(loop->library, config, ret, error) || !add_engine(config, ret, error))
        return false;
    ret->concurrent_study = is_disturbed(loop, (size_t)(run - loop->plan_runs));
    return add_model(config, ret, error);
}

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

static void settle(struct loop *loop, struct study_run *run, const GError *failure)
{
    run->state = failure ? state_of_failure(failure) : STUDY_OK;
    if (failure && loop->out->interrupted)
        run->state = STUDY_INTERRUPTED;
    run->message = failure ? g_strdup(message_of_failure(failure)) : NULL;
}

/* Says of a run, and of the study, where the files lie that could not be moved. */
static bool leave(struct study_run *run, size_t index, const char *dir, const char *folder, const GError *cause,
                  GError **error)
{
    g_autofree char *partial = g_strconcat(folder, ".partial", NULL);
    bool parted = access(partial, F_OK) == 0;
    g_autofree char *places = g_strdup_printf("%s%s%s", dir, parted ? " and " : "", parted ? partial : "");
    g_autofree char *message = run->message;
    run->message = g_strdup_printf("%s%sits files could not be moved into the run folder (%s); they are in %s",
                                   message ? message : "", message ? "; " : "", cause->message, places);
    if (run->state == STUDY_OK)
        run->state = STUDY_FAILED;
    g_set_error(error, cause->domain, cause->code, "run %zu: %s; its files are in %s", index + 1, cause->message, places);
    return false;
}

/* Makes the run folder. */
static bool keep(struct loop *loop, size_t index, const struct config *config, const char *dir, GError **error)
{
    struct study_run *run = &loop->out->runs[index];
    g_autoptr(GError) cause = NULL;
    g_autofree char *folder =
        run_folder_path(loop->out->folder, (int)index + 1, run->cycle, config_string(config, FIELD_MODEL),
                        config_string(config, FIELD_BACKEND), config_hash(config));
    if (!run_folder_collect(dir, config_hash(config), folder, &cause))
        return leave(run, index, dir, folder, cause, error);
    run->folder = g_steal_pointer(&folder);
    return true;
}

/* What a run left behind. A process that cannot be ended would draw power in every run to come. */
static bool check_leftovers(struct loop *loop, size_t index, const struct runner_report *report, GError **error)
{
    const struct runner_leftovers *left = &report->leftovers;
    if (left->n)
        warn(loop, &loop->out->runs[index], "%d process%s of run %zu had to be killed after its worker ended",
             left->n, left->n == 1 ? "" : "es", index + 1);
    if (!left->survivors)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_RUNNER,
                "run %zu left processes that SIGKILL does not end (pid %s): the study stops, for they would disturb all "
                "that follows; they are stuck in the kernel, and a reboot may be needed",
                index + 1, left->survivors);
    return false;
}

/* Runs one prepared experiment in its own worker, keeps its files and notes its end. Failures of the run end in *run;
 * failures of the study's own files are returned, and the journal is told what can be told all the same. */
static bool fly(struct loop *loop, size_t index, const struct config *config, const char *dir, struct forward *forward,
                GError **error)
{
    struct study_run *run = &loop->out->runs[index];
    struct runner_report report;
    struct flight *flight = flight_start(
        loop->job->runner, &(struct runner_job){.exchange_dir = dir,
                                                .config_hash = config_hash(config),
                                                .timeout_ns = config_ns(config, FIELD_LIMITS_TIMEOUT_SECONDS),
                                                .slack_ns = SLACK_NS,
                                                .grace_ns = GRACE_NS,
                                                .sweep_ns = SWEEP_NS,
                                                .progress = forward_progress,
                                                .progress_data = forward});
    while (!flight_wait(&flight, 1, loop->job->interrupt_fd, INT64_MAX)) {
        loop->out->interrupted = interrupt_take(loop->job->interrupt_fd);
        flight_interrupt(flight, loop->out->interrupted);
    }
    flight_finish(flight, &report);
    g_autoptr(GError) failure = report.failure;
    g_autofree char *survivors = report.leftovers.survivors;
    run->wall_ns = report.wall_ns;
    settle(loop, run, failure);
    is_disturbed(loop, index); /* one that began meanwhile: this run has its warning, the next its flag */
    bool clear = check_leftovers(loop, index, &report, error);
    bool kept = keep(loop, index, config, dir, clear ? error : NULL);
    return note(loop, index, run->state, kept ? NULL : dir, clear && kept ? error : NULL) && clear && kept;
}

static bool execute(struct loop *loop, size_t index, const struct config *config, const struct exchange *exchange,
                    struct forward *forward, GError **error)
{
    struct study_run *run = &loop->out->runs[index];
    g_autoptr(GError) removal = NULL;
    g_autofree char *dir = exchange_folder_new(loop->out->folder, exchange, NULL, error);
    if (!dir)
        return false;
    if (!note(loop, index, STUDY_RUNNING, dir, error)) {
        file_remove_tree(dir, NULL);
        return false;
    }
    bool ok = fly(loop, index, config, dir, forward, error);
    if (run->folder && !file_remove_tree(dir, &removal))
        warn(loop, run, "%s (it holds nothing that is needed)", removal->message);
    return ok;
}

/* A gap between runs that an interrupt ends. */
static void wait_gap(struct loop *loop, int64_t wait_ns)
{
    if (wait_ns <= 0)
        return;
    tell(loop, (struct study_event){.kind = STUDY_EVENT_GAP, .wait_ns = wait_ns});
    struct pollfd fd = {.fd = loop->job->interrupt_fd, .events = POLLIN};
    poll(&fd, 1, (int)MIN(wait_ns / NS_PER_MS, G_MAXINT));
    loop->out->interrupted = interrupt_take(loop->job->interrupt_fd);
}

static bool step(struct loop *loop, size_t index, GError **error)
{
    const struct plan_run *planned = &loop->plan_runs[index];
    struct study_run *run = &loop->out->runs[index];
    g_autoptr(owned_config) config = plan_cell_config(loop->job->plan, planned->cell);
    g_autofree char *label = plan_cell_label(loop->job->plan, planned->cell);
    struct study_event event = {.index = index, .total = loop->out->n_runs, .cycle = planned->cycle, .label = label};
    struct forward forward = {loop, event};
    forward.event.kind = STUDY_EVENT_PROGRESS;
    event.kind = STUDY_EVENT_RUN;
    tell(loop, event);
    g_autoptr(GError) failure = NULL;
    g_auto(owned_exchange) exchange = {0};
    bool ok;
    if (prepare(loop, planned, config, &exchange, &failure)) {
        ok = execute(loop, index, config, &exchange, &forward, error);
    } else {
        settle(loop, run, failure);
        ok = note(loop, index, run->state, NULL, error);
    }
    event.kind = STUDY_EVENT_DONE;
    event.state = run->state;
    event.message = run->message;
    event.wall_ns = run->wall_ns;
    tell(loop, event);
    return ok;
}

static bool begin(struct loop *loop, GError **error)
{
    const struct study_job *job = loop->job;
    loop->out->folder = run_folder_new_study(job->results_dir, config_file_name(job->file), error);
    if (!loop->out->folder)
        return false;
    g_autofree char *description = g_build_filename(loop->out->folder, "study.json", NULL);
    g_autofree char *journal = g_build_filename(loop->out->folder, "journal.jsonl", NULL);
    g_autoptr(json_t) tree = describe(job);
    if (!jsonx_save(description, tree, error))
        return false;
    loop->journal = journal_open(journal, error);
    return loop->journal != NULL;
}

/* The pause after run i: the cycles' own where a cycle ends. */
static int64_t gap_ns(const struct loop *loop, size_t i)
{
    bool cycle_ends = loop->plan_runs[i].cycle != loop->plan_runs[i + 1].cycle;
    enum config_field_id gap = cycle_ends ? FIELD_EXECUTION_CYCLE_GAP_SECONDS : FIELD_EXECUTION_EXPERIMENT_GAP_SECONDS;
    return (int64_t)(config_file_real(loop->job->file, gap) * (double)NS_PER_S);
}

bool study_execute(const struct study_job *job, struct study_outcome *ret, GError **error)
{
    *ret = (struct study_outcome){0};
    struct loop loop = {.job = job, .out = ret, .library = library_new(), .lock = study_lock_new(), .told_of = -1};
    ret->n_runs = plan_runs(job->plan, &loop.plan_runs);
    ret->runs = g_new0(struct study_run, ret->n_runs);
    for (size_t i = 0; i < ret->n_runs; i++) {
        ret->runs[i].cell = loop.plan_runs[i].cell;
        ret->runs[i].cycle = loop.plan_runs[i].cycle;
    }
    bool ok = begin(&loop, error);
    for (size_t i = 0; ok && i < ret->n_runs && !ret->interrupted; i++) {
        ret->interrupted = interrupt_take(job->interrupt_fd); /* one that came while nothing waited */
        if (ret->interrupted)
            break;
        ok = step(&loop, i, error);
        if (ok && i + 1 < ret->n_runs && !ret->interrupted && ret->runs[i].state != STUDY_SKIPPED)
            wait_gap(&loop, gap_ns(&loop, i));
    }
    journal_close(loop.journal);
    library_free(loop.library);
    study_lock_free(loop.lock);
    return ok;
}
