/* SPDX-License-Identifier: MIT */
/* A run by any runner: deadline, interrupt, progress, judgement and error records. */
#include "runner/runner.h"

#include "exchange/exchange.h"
#include "result/result.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LAST_BYTES 4096 /* of the log of a worker, to find its last line in */
#define PROGRESS_TICK_MS 100
#define DISK_FULL_BYTES  (64 << 10) /* with less to be had, a worker that died is taken to have died of it */

struct flight {
    const struct runner_ops *ops;
    void *run; /* the runner's; NULL: it could not be started */
    char *dir, *config_hash;
    struct runner_job job; /* its strings are those above */
    GError *start_failure;
    int64_t started_ns, ended_ns, kill_at_ns; /* 0: not ended; nobody asked it to stop */
    int64_t away_ns;                          /* for which it was suspended; no deadline counts it */
    int interrupted;
    bool timed_out, killed;
    char *progress_path;
    off_t progress_at;
    struct oom_count oom_before;
    struct runner_end end;
};

static char *flight_file(const struct flight *f, enum result_file file)
{
    return exchange_file(f->dir, f->config_hash, result_files[file].name);
}

/* --- Under way ------------------------------------------------------------------------------------------------- */

struct flight *flight_start(const struct runner *runner, const struct runner_job *job)
{
    struct flight *f = g_new0(struct flight, 1);
    f->ops = runner->ops;
    f->dir = g_strdup(job->exchange_dir);
    f->config_hash = g_strdup(job->config_hash);
    f->job = *job;
    f->job.exchange_dir = f->dir;
    f->job.config_hash = f->config_hash;
    f->job.places = NULL;
    f->progress_path = g_build_filename(f->dir, result_files[RESULT_FILE_PROGRESS].name, NULL);
    f->oom_before = oom_count();
    f->started_ns = clock_mono_ns();
    g_autoptr(GError) cause = NULL;
    if (f->ops->suspend)
        suspend_hold();
    if (f->ops->start(runner->state, job, &f->run, &cause))
        return f;
    f->run = NULL;
    f->ended_ns = clock_mono_ns();
    f->start_failure =
        g_error_new(LLEM_ERROR, LLEM_ERROR_RUNNER, "cannot start the worker: %s", cause->message);
    return f;
}

/* Hands complete new lines of progress.jsonl to the listener. */
static void flight_follow_progress(struct flight *f)
{
    if (!f->job.progress)
        return;
    FILE *file = fopen(f->progress_path, "re");
    if (!file)
        return;
    char line[8192];
    fseeko(file, f->progress_at, SEEK_SET);
    while (fgets(line, sizeof line, file) && strchr(line, '\n')) {
        f->progress_at = ftello(file);
        g_autoptr(json_t) event = jsonx_parse(line, -1, "progress", NULL);
        if (event)
            f->job.progress(event, f->job.progress_data);
    }
    fclose(file);
}

static void flight_ask_to_stop(struct flight *f)
{
    if (f->kill_at_ns)
        return;
    f->ops->ask_to_stop(f->run);
    f->kill_at_ns = clock_mono_ns() + f->job.grace_ns;
}

static void flight_kill(struct flight *f)
{
    f->ops->kill(f->run);
    f->killed = true;
}

void flight_interrupt(struct flight *f, int signal_number)
{
    bool again = f->interrupted != 0;
    if (f->ended_ns || !signal_number)
        return;
    f->interrupted = signal_number;
    if (again)
        flight_kill(f);
    else
        flight_ask_to_stop(f);
}

static void flight_keep_deadlines(struct flight *f)
{
    int64_t now = clock_mono_ns();
    if (!f->kill_at_ns && now > f->started_ns + f->away_ns + f->job.timeout_ns + f->job.slack_ns) {
        f->timed_out = true;
        flight_ask_to_stop(f);
    }
    if (f->kill_at_ns && now > f->kill_at_ns && !f->killed)
        flight_kill(f);
}

/* True when it has ended. */
static bool flight_serve(struct flight *f)
{
    if (f->ended_ns)
        return true;
    if (f->ops->has_ended(f->run))
        f->ended_ns = clock_mono_ns();
    flight_follow_progress(f);
    if (!f->ended_ns)
        flight_keep_deadlines(f);
    return f->ended_ns != 0;
}

/* Ctrl-Z. A run that has ended has nothing to suspend. */
static void flights_suspend(struct flight *const *flights, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (flights[i]->ops->suspend && !flights[i]->ended_ns)
            flights[i]->ops->suspend(flights[i]->run);
    int64_t away_ns = suspend_now();
    for (size_t i = 0; i < n; i++) {
        struct flight *f = flights[i];
        if (!f->ops->suspend || f->ended_ns)
            continue;
        f->ops->resume(f->run, away_ns);
        f->away_ns += away_ns;
        f->kill_at_ns += f->kill_at_ns ? away_ns : 0;
    }
}

/* Sleeps until one of them may have something to say, a signal waits or until_ns. */
static void flights_sleep(struct flight *const *flights, size_t n, int interrupt_fd, int64_t until_ns)
{
    g_autofree struct pollfd *fds = g_new0(struct pollfd, n + 2);
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = flights[i]->ops->end_fd(flights[i]->run), .events = POLLIN};
    fds[n] = (struct pollfd){.fd = interrupt_fd, .events = POLLIN};
    fds[n + 1] = (struct pollfd){.fd = suspend_fd(), .events = POLLIN};
    int64_t ms = (MAX(until_ns - clock_mono_ns(), 0) + NS_PER_MS - 1) / NS_PER_MS;
    poll(fds, n + 2, (int)MIN(ms, n ? PROGRESS_TICK_MS : G_MAXINT));
}

struct flight *flight_wait(struct flight *const *flights, size_t n, int interrupt_fd, int64_t until_ns)
{
    for (;;) {
        for (size_t i = 0; i < n; i++)
            if (flight_serve(flights[i]))
                return flights[i];
        if (suspend_pending()) {
            flights_suspend(flights, n);
            continue;
        }
        if (interrupt_pending(interrupt_fd) || clock_mono_ns() >= until_ns)
            return NULL;
        flights_sleep(flights, n, interrupt_fd, until_ns);
    }
}

/* --- Why there is neither a result nor an error record --------------------------------------------------------- */

static GError *flight_timeout_error(const struct flight *f)
{
    g_autofree char *limit = num_format_duration_ns(f->job.timeout_ns);
    return g_error_new(LLEM_ERROR, LLEM_ERROR_TIMEOUT,
                       "the run took longer than %s and was killed; raise limits.timeout_seconds or make the work "
                       "smaller",
                       limit);
}

static bool disk_is_full(const char *folder)
{
    struct statvfs disk;
    if (statvfs(folder, &disk) != 0 || disk.f_blocks == 0) /* some file systems count nothing */
        return false;
    return (uint64_t)disk.f_bavail * disk.f_frsize < DISK_FULL_BYTES || (disk.f_files > 0 && disk.f_favail == 0);
}

/* What the worker said last, which is most likely why it ended. New string, or NULL. */
static char *last_line_of(const struct flight *f)
{
    g_autofree char *path = g_build_filename(f->dir, RUNNER_LOG, NULL);
    g_autofree char *tail = file_tail(path, LAST_BYTES);
    const char *line = strrchr(g_strchomp(tail), '\n');
    line = line ? line + 1 : tail;
    return *line ? g_strdup(line) : NULL;
}

static GError *flight_explain_end(const struct flight *f)
{
    if (f->timed_out)
        return flight_timeout_error(f);
    if (f->interrupted)
        return g_error_new(LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted by signal %d (%s)", f->interrupted,
                           strsignal(f->interrupted));
    if (f->end.why)
        return g_error_copy(f->end.why);
    if (f->end.killed && oom_has_struck(&f->oom_before)) {
        g_autofree char *advice = oom_advice();
        return g_error_new(LLEM_ERROR, LLEM_ERROR_WORKER_DIED,
                           "the worker was killed while the kernel's OOM killer was at work, memory ran out: %s",
                           advice);
    }
    if (disk_is_full(f->dir))
        return g_error_new(LLEM_ERROR, LLEM_ERROR_WORKER_DIED,
                           "the worker ended without a result (%s), and the disk of %s is full: %s; free some space or "
                           "name a results folder on another disk (-o)",
                           f->end.how, f->dir, g_strerror(ENOSPC));
    g_autofree char *last = last_line_of(f);
    return g_error_new(LLEM_ERROR, LLEM_ERROR_WORKER_DIED, "the worker ended without a result (%s)%s%s", f->end.how,
                       last ? "; the last line of its log: " : "", last ? last : "");
}

/* --- Judgement ------------------------------------------------------------------------------------------------- */

/* Writes the error record of a failure that the worker has none for; hands the failure back. */
static GError *flight_write_record(const struct flight *f, GError *failure)
{
    g_autofree char *config = flight_file(f, RESULT_FILE_CONFIG);
    g_autofree char *path = flight_file(f, RESULT_FILE_ERROR);
    g_autofree char *log = g_build_filename(f->dir, f->end.log ? f->end.log : RUNNER_LOG, NULL);
    g_auto(owned_exchange) x = {0};
    g_autoptr(GError) second = NULL;
    if (exchange_read(config, &x, NULL) && !result_error_write(path, &x, failure, "worker", NULL, log, &second))
        g_prefix_error(&failure, "(its error record could not be written: %s) ", second->message);
    return failure;
}

/* The worker's record with the class and message of another failure: where it was and what the engine said stay. */
static GError *record_rewrite(const char *path, json_t *own, GError *failure)
{
    g_autoptr(GError) second = NULL;
    json_object_set_new(own, "class", json_string(llem_error_name(failure->code)));
    json_object_set_new(own, "message", json_string(failure->message));
    if (!jsonx_save(path, own, &second))
        g_prefix_error(&failure, "(its error record could not be rewritten: %s) ", second->message);
    return failure;
}

/* What the worker's own error record says. */
static GError *flight_judge_record(const struct flight *f, const char *path)
{
    GError *failure = NULL;
    g_autoptr(json_t) own = jsonx_load(path, LIMIT_RESULT_BYTES, &failure);
    if (!own)
        return flight_write_record(f, failure);
    failure = result_error_parse(own);
    /* The worker knows only that it was asked to stop; why, whoever asked knows. */
    bool asked = f->timed_out || f->end.why;
    if (!asked || f->interrupted || !g_error_matches(failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED))
        return failure;
    g_error_free(failure);
    return record_rewrite(path, own, f->timed_out ? flight_timeout_error(f) : g_error_copy(f->end.why));
}

/* A whole result counts however its worker ended: what came after it was only tidying. */
static GError *flight_judge_result(const struct flight *f, const char *path)
{
    g_autoptr(GError) torn = NULL;
    g_autoptr(json_t) result = access(path, F_OK) == 0 ? jsonx_load(path, LIMIT_RESULT_BYTES, &torn) : NULL;
    if (result)
        return NULL;
    return flight_write_record(f, torn && f->end.clean ? g_steal_pointer(&torn) : flight_explain_end(f));
}

/* The failure of a run that has ended; NULL when the result is there. */
static GError *flight_judge(const struct flight *f)
{
    g_autofree char *result_path = flight_file(f, RESULT_FILE_RESULT);
    g_autofree char *error_path = flight_file(f, RESULT_FILE_ERROR);
    bool disowned = access(error_path, F_OK) == 0;
    GError *failure = disowned ? flight_judge_record(f, error_path) : flight_judge_result(f, result_path);
    if (failure)
        unlink(result_path); /* disowned, or torn: never beside an error record */
    return failure;
}

static void flight_free(struct flight *f)
{
    if (f->run)
        f->ops->release(f->run);
    if (f->ops->suspend)
        suspend_release();
    g_free(f->end.how);
    g_clear_error(&f->end.why);
    g_free(f->dir);
    g_free(f->config_hash);
    g_free(f->progress_path);
    g_free(f);
}

void flight_finish(struct flight *f, struct runner_report *ret)
{
    *ret = (struct runner_report){.interrupted = f->interrupted, .wall_ns = f->ended_ns - f->started_ns};
    if (f->run) {
        f->ops->describe_end(f->run, &f->end);
        f->ops->sweep(f->run, clock_mono_ns() + f->job.sweep_ns, &ret->leftovers);
        ret->failure = flight_judge(f);
    } else {
        ret->failure = flight_write_record(f, f->start_failure);
    }
    flight_free(f);
}
