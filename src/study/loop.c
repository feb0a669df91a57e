/* SPDX-License-Identifier: MIT */
#include "study/study.h"

#include "beside/beside.h"
#include "preflight/preflight.h"
#include "study/gpus.h"
#include "study/lock.h"
#include "study/slots.h"
#include "study/work.h"

#include <signal.h>

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
    struct preflight *preflight; /* what is known against cells */
    struct boards *boards;
    struct study_lock *lock;
    pid_t told_of; /* the other study that was warned of; -1: none yet */
    struct slots slots;
    int64_t ended_ns; /* when a run ended last; 0: none has */
    size_t next;     /* the first run that is planned; the number of runs when there is none */
    int interrupted; /* the last signal that came, or 0 */
    bool failed;     /* the study's own files could not be written, or the machine is not fit to go on */
};

/* A run that is begun. */
struct run {
    struct loop *loop;
    size_t index;
    const struct store_run *in_store;
    struct store_cell cell;
    struct config *config;
    const struct runner *runner; /* of its engine */
    struct runner_places *places;
    struct beside *beside; /* sensors that its worker does not see; NULL: it sees them itself */
    char *dir; /* its exchange folder */
};

static void loop_tell(struct loop *loop, struct study_event event)
{
    if (loop->job->event)
        loop->job->event(&event, loop->job->event_data);
}

static void run_tell(const struct run *run, struct study_event event)
{
    event.index = run->index;
    event.total = store_runs(run->loop->store);
    event.cycle = run->in_store->cycle;
    event.label = run->cell.label;
    loop_tell(run->loop, event);
}

G_GNUC_PRINTF(2, 3) static void run_warn(const struct run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    run_tell(run, (struct study_event){.kind = STUDY_EVENT_WARNING, .message = text});
    store_run_warn(run->loop->store, run->index, text);
}

/* True if another study measures here too; said once of each. */
static bool run_is_disturbed(const struct run *run)
{
    struct loop *loop = run->loop;
    pid_t other;
    if (!study_lock_is_elsewhere(loop->lock, &other))
        return false;
    if (other != loop->told_of)
        run_warn(run, "another llem study is at work on this machine (process %d): both disturb each other's figures",
                 (int)other);
    loop->told_of = other;
    return true;
}

/* Resumed studies and those that another machine planned were not looked at by whoever runs them now. */
static bool run_look_ahead(const struct run *run, GError **error)
{
    const struct preflight_finding *refusal = preflight_refusal(run->loop->preflight, run->config);
    if (refusal)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_CONFIG, "%s%s%s", refusal->text, refusal->hint ? ": " : "",
                    refusal->hint ? refusal->hint : "");
    return !refusal;
}

/* Where the worker is elsewhere, sensors that only this machine shows are read here. */
static bool run_look_beside(struct run *run, struct exchange *x, GError **error)
{
    if (!(run->runner->ops->flags & RUNNER_ELSEWHERE))
        return true;
    run->beside = beside_new(run->config, error);
    if (run->beside)
        beside_tell(run->beside, x);
    return run->beside != NULL;
}

/* What its runner waits for. */
static void run_say_away(const char *text, void *data)
{
    run_warn(data, "%s", text);
}

/* How long the machine has rested since the run before, ms; 0: there was none. */
static int64_t rested_ms(const struct loop *loop)
{
    if (!slots_empty(&loop->slots))
        return 1; /* another is at work */
    return loop->ended_ns ? MAX(1, (clock_mono_ns() - loop->ended_ns) / NS_PER_MS) : 0;
}

/* What its worker is told; false with why it cannot run here. */
static bool run_prepare(struct run *run, struct exchange *ret, GError **error)
{
    const struct loop *loop = run->loop;
    if (!run_look_ahead(run, error) ||
        !work_fill(loop->store, run->index, run->config, loop->library, loop->job->dispatch, ret, error))
        return false;
    ret->runner = g_strdup(run->runner->ops->name);
    ret->runner_source = g_strdup(run->runner->source);
    ret->concurrent_study = run_is_disturbed(run);
    ret->unprotected = g_strdup(store_unprotected(run->loop->job->store));
    ret->rested_ms = rested_ms(loop);
    if (!gpus_choose(loop->boards, run->config, ret, error))
        return false;
    if (!runner_place(run->runner, ret, loop->job->interrupt_fd, run_say_away, run, &run->places, error))
        return false;
    if (run->places && run->places->warning)
        run_warn(run, "%s", run->places->warning);
    return run_look_beside(run, ret, error);
}

static void run_say_waiting(const char *text, void *data)
{
    g_autoptr(json_t) progress = json_pack("{s:s, s:s}", "phase", "memory gate", "detail", text);
    run_tell(data, (struct study_event){.kind = STUDY_EVENT_PROGRESS, .progress = progress});
}

/* The last thing before a run begins. Nothing else is served meanwhile: where several run at once their boards are
 * elsewhere. */
static enum gpus_passage run_pass_gate(struct run *run, struct exchange *x, GError **error)
{
    const struct boards_watch watch = {
        .interrupt_fd = run->loop->job->interrupt_fd, .say = run_say_waiting, .data = run};
    g_autofree char *warning = NULL;
    enum gpus_passage passage = gpus_pass_gate(run->loop->boards, run->config, x, &watch, &warning, error);
    if (warning)
        run_warn(run, "%s", warning);
    return passage;
}

/* --- One run: planned, running, ended ----------------------------------------------------------------------------- */

static void run_free(struct run *run)
{
    beside_free(run->beside);
    config_free(run->config);
    store_cell_clear(&run->cell);
    if (run->runner)
        runner_places_free(run->runner, run->places);
    g_free(run->dir);
    g_free(run);
}

/* The runner of its engine, which the study must know. */
static bool run_find_runner(struct run *run, GError **error)
{
    const char *backend = config_string(run->config, FIELD_BACKEND);
    run->runner = dispatch_runner(run->loop->job->dispatch, backend);
    if (!run->runner)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_RUNNER, "nobody was chosen to run the runs of %s", backend);
    return run->runner != NULL;
}

static struct run *run_new(struct loop *loop, size_t index, GError **error)
{
    struct run *run = g_new0(struct run, 1);
    run->loop = loop;
    run->index = index;
    run->in_store = store_run(loop->store, index);
    run->config = store_cell_config(loop->store, run->in_store->cell, error);
    if (run->config && run_find_runner(run, error) &&
        store_cell_read(loop->store, run->in_store->cell, &run->cell, error))
        return run;
    run_free(run);
    return NULL;
}

static void run_forward_progress(const json_t *progress, void *data)
{
    run_tell(data, (struct study_event){.kind = STUDY_EVENT_PROGRESS, .progress = progress});
}

static struct flight *run_start(struct run *run)
{
    struct runner_job job = {.exchange_dir = run->dir,
                             .config_hash = config_hash(run->config),
                             .places = run->places,
                             .timeout_ns = config_ns(run->config, FIELD_LIMITS_TIMEOUT_SECONDS),
                             .slack_ns = SLACK_NS,
                             .grace_ns = GRACE_NS,
                             .sweep_ns = SWEEP_NS,
                             .progress = run_forward_progress,
                             .progress_data = run};
    return flight_start(run->runner, &job);
}

/* Puts a prepared run into a slot. The journal names its exchange folder before it begins. */
static bool run_launch(struct run *run, const struct exchange *exchange, struct slot *slot, GError **error)
{
    struct store *store = run->loop->store;
    if (!store_is_there(store, error))
        return false;
    run->dir = exchange_folder_new(store_folder(store), exchange, runner_places_map(run->places), error);
    if (!run->dir)
        return false;
    if ((run->beside && !beside_begin(run->beside, run->dir, error)) ||
        !store_run_begin(store, run->index, run->dir, error)) {
        file_remove_tree(run->dir, NULL);
        return false;
    }
    *slot = (struct slot){.flight = run_start(run), .run = run};
    return true;
}

/* How a run ended, by its failure (NULL: it did not fail), which must outlive it. */
static struct store_end end_of(const GError *failure, bool interrupted)
{
    if (!failure)
        return (struct store_end){.state = STORE_OK};
    return (struct store_end){
        .state = interrupted ? STORE_INTERRUPTED : store_state_of_failure(failure),
        .message = store_message_of_failure(failure),
    };
}

/* A run that is not begun: something is missing here, or what it asks for cannot be had. */
static bool run_turn_down(const struct run *run, const GError *why, GError **error)
{
    struct store_end end = end_of(why, false);
    if (end.state == STORE_FAILED)
        end.state = STORE_REFUSED;
    return store_run_end(run->loop->store, run->index, &end, error);
}

static void run_tell_end(const struct run *run)
{
    const struct store_run *end = run->in_store;
    run_tell(run, (struct study_event){.kind = STUDY_EVENT_DONE,
                                       .state = end->state,
                                       .message = end->message,
                                       .wall_ns = end->wall_ns});
}

/* Begins a run in a free slot; one that cannot run here ends at once, and its slot stays free and does not rest. */
static bool run_begin(struct loop *loop, size_t index, struct slot *slot, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_auto(owned_exchange) exchange = {0};
    struct run *run = run_new(loop, index, error);
    if (!run)
        return false;
    run_tell(run, (struct study_event){.kind = STUDY_EVENT_RUN});
    enum gpus_passage passage = GPUS_REFUSED;
    if (run_prepare(run, &exchange, &why))
        passage = run_pass_gate(run, &exchange, &why);
    else if (g_error_matches(why, LLEM_ERROR, LLEM_ERROR_INTERRUPTED))
        passage = GPUS_INTERRUPTED;
    bool ok = true; /* interrupted before it began, it stays planned, and the signal is still to be taken */
    if (passage == GPUS_PASSES)
        ok = run_launch(run, &exchange, slot, error);
    else if (passage == GPUS_REFUSED)
        ok = run_turn_down(run, why, error);
    if (slot->flight)
        return true;
    if (passage != GPUS_INTERRUPTED)
        run_tell_end(run);
    run_free(run);
    return ok;
}

/* A process that cannot be ended would draw power in every run to come. */
static bool run_check_leftovers(const struct run *run, const struct runner_leftovers *left, GError **error)
{
    if (left->n)
        run_warn(run, "%d process%s of run %zu had to be killed after its worker ended", left->n,
                 left->n == 1 ? "" : "es", run->index + 1);
    if (!left->survivors)
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_RUNNER,
                "run %zu left processes that SIGKILL does not end (pid %s): the study stops, for they would disturb "
                "all that follows; they are stuck in the kernel, and a reboot may be needed",
                run->index + 1, left->survivors);
    return false;
}

/* What was read beside its worker becomes a file of the run. */
static void run_account(const struct run *run)
{
    g_autoptr(GError) failure = NULL;
    if (run->beside && !beside_end(run->beside, config_hash(run->config), &failure))
        run_warn(run, "%s", failure->message);
}

/* Keeps what a run left. Failures of the run are noted of it; failures of the study's own files are returned, and the
 * journal is told what can be told all the same. */
static bool run_keep(const struct run *run, const struct runner_report *report, GError **error)
{
    struct store *store = run->loop->store;
    struct store_end end = end_of(report->failure, report->interrupted);
    g_autoptr(GError) removal = NULL;
    end.exchange_dir = run->dir;
    end.wall_ns = report->wall_ns;
    run_account(run);
    run_is_disturbed(run); /* by one that began meanwhile: this run has its warning, the next its flag */
    bool clear = run_check_leftovers(run, &report->leftovers, error);
    bool ok = store_run_end(store, run->index, &end, clear ? error : NULL) && clear;
    if (run->in_store->folder && !file_remove_tree(run->dir, &removal))
        run_warn(run, "%s (it holds nothing that is needed)", removal->message);
    return ok;
}

/* Takes a run that has ended out of its slot. */
static bool run_end(struct slot *slot, GError **error)
{
    struct run *run = slot->run;
    struct runner_report report;
    flight_finish(slot->flight, &report);
    run->loop->ended_ns = clock_mono_ns();
    *slot = (struct slot){0};
    bool ok = run_keep(run, &report, error);
    run_tell_end(run);
    run_free(run);
    g_clear_error(&report.failure);
    g_free(report.leftovers.survivors);
    return ok;
}

/* --- All runs ----------------------------------------------------------------------------------------------------- */

static bool loop_has_more(const struct loop *loop)
{
    return !loop->failed && !loop->interrupted && loop->next < store_runs(loop->store);
}

/* The next run that is planned, from `index` on. */
static size_t next_planned(const struct store *store, size_t index)
{
    while (index < store_runs(store) && store_run(store, index)->state != STORE_PLANNED)
        index++;
    return index;
}

/* The first signal asks all runs to stop, and no other begins; a second one kills them. */
static void loop_heed_signal(struct loop *loop)
{
    int signal_number = interrupt_take(loop->job->interrupt_fd);
    if (!signal_number)
        return;
    loop->interrupted = signal_number;
    slots_interrupt(&loop->slots, signal_number);
}

/* No other run begins; those in flight are asked to stop, and what can be kept of them is kept. */
static void loop_note_failure(struct loop *loop)
{
    if (!loop->failed)
        slots_interrupt(&loop->slots, SIGTERM);
    loop->failed = true;
}

/* The pause that the study asks for after a run is its slot's. */
static void slot_rest(struct loop *loop, struct slot *slot, size_t index)
{
    int64_t wait_ns = loop_has_more(loop) ? store_gap_ns(loop->store, index) : 0;
    if (wait_ns <= 0)
        return;
    slot->rests_until_ns = clock_mono_ns() + wait_ns;
    loop_tell(loop, (struct study_event){.kind = STUDY_EVENT_GAP, .wait_ns = wait_ns});
}

static void loop_begin_next(struct loop *loop, struct slot *slot, GError **error)
{
    size_t index = loop->next;
    loop->next = next_planned(loop->store, index + 1);
    if (!run_begin(loop, index, slot, error))
        loop_note_failure(loop);
}

static void loop_wait(struct loop *loop, GError **error)
{
    struct slot *slot = slots_wait(&loop->slots, loop->job->interrupt_fd, loop_has_more(loop));
    if (!slot)
        return;
    size_t index = ((const struct run *)slot->run)->index;
    if (!run_end(slot, loop->failed ? NULL : error))
        loop_note_failure(loop);
    slot_rest(loop, slot, index);
}

/* Of several failures the first is reported. */
static void loop_run_all(struct loop *loop, GError **error)
{
    for (;;) {
        loop_heed_signal(loop);
        struct slot *slot = loop_has_more(loop) ? slots_free_one(&loop->slots) : NULL;
        if (slot)
            loop_begin_next(loop, slot, error);
        else if (loop_has_more(loop) || !slots_empty(&loop->slots))
            loop_wait(loop, error);
        else
            return;
    }
}

bool study_execute(const struct study_job *job, int *ret_signal, GError **error)
{
    const struct preflight_options look_at_cells = {0};
    struct loop loop = {.job = job,
                        .store = job->store,
                        .library = workload_library_new(),
                        .preflight = preflight_new(&look_at_cells),
                        .boards = boards_new(),
                        .lock = study_lock_new(),
                        .told_of = -1,
                        .next = next_planned(job->store, 0)};
    slots_init(&loop.slots, (size_t)dispatch_max_in_flight(job->dispatch));
    loop_run_all(&loop, error);
    slots_clear(&loop.slots);
    workload_library_free(loop.library);
    preflight_free(loop.preflight);
    boards_free(loop.boards);
    study_lock_free(loop.lock);
    *ret_signal = loop.interrupted;
    return !loop.failed;
}
