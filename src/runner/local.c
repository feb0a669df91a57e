/* SPDX-License-Identifier: MIT */
#include "runner/runner.h"

#include "exchange/exchange.h"
#include "result/result.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRESS_TICK_MS 100
#define DISK_FULL_BYTES  (64 << 10) /* with less to be had, a worker that died is taken to have died of it */

/* A run in flight. */
struct flight {
    const struct runner_job *job;
    struct runner_report *report;
    struct spawn_child child;
    int64_t started_ns, kill_at_ns; /* kill_at_ns 0: nobody asked the worker to stop yet */
    bool timed_out, killed;
    char *progress_path;
    off_t progress_at;
    struct oom_count oom_before;
    int wait_status;
};

static char *file_of(const struct runner_job *job, const char *suffix)
{
    return exchange_file(job->exchange_dir, job->config_hash, suffix);
}

static bool spawn(struct flight *f, GError **error)
{
    g_autofree char *log = g_build_filename(f->job->exchange_dir, "worker.log", NULL);
    g_autofree char *config = file_of(f->job, "config.json");
    g_autofree char *variable = g_strconcat("LLEM_CONFIG_PATH=", config, NULL);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return file_error(error, "cannot create", log);
    g_autoptr(GError) cause = NULL;
    struct spawn spawn = {.argv = (const char *const[]){f->job->worker_path, NULL},
                          .env = (const char *const[]){variable, NULL},
                          .fds = (const struct spawn_fd[]){{-1, 0}, {fd, 1}, {fd, 2}},
                          .n_fds = 3,
                          .group = SPAWN_NEW_GROUP,
                          .death_signal = SIGTERM};
    bool ok = spawn_start(&spawn, &f->child, &cause);
    close(fd);
    if (!ok)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_RUNNER, "cannot start the worker: %s", cause->message);
    return ok;
}

/* Hands complete new lines of progress.jsonl to the listener. */
static void follow_progress(struct flight *f)
{
    if (!f->job->progress)
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
            f->job->progress(event, f->job->progress_data);
    }
    fclose(file);
}

static void ask_to_stop(struct flight *f)
{
    if (f->kill_at_ns)
        return;
    kill(f->child.pid, SIGTERM);
    f->kill_at_ns = clock_mono_ns() + f->job->grace_ns;
}

static void kill_now(struct flight *f)
{
    proc_signal_descendants(f->child.pid, SIGKILL);
    kill(-f->child.pid, SIGKILL);
    kill(f->child.pid, SIGKILL);
    f->killed = true;
}

static void on_signal(struct flight *f, int signal_number)
{
    bool again = f->report->interrupted != 0;
    f->report->interrupted = signal_number;
    if (again)
        kill_now(f);
    else
        ask_to_stop(f);
}

static bool has_ended(struct flight *f)
{
    pid_t pid = waitpid(f->child.pid, &f->wait_status, WNOHANG);
    return pid == f->child.pid || (pid < 0 && errno == ECHILD);
}

static void watch(struct flight *f)
{
    while (!has_ended(f)) {
        struct pollfd fds[] = {{.fd = f->child.pidfd, .events = POLLIN},
                               {.fd = f->job->interrupt_fd, .events = POLLIN}};
        poll(fds, G_N_ELEMENTS(fds), PROGRESS_TICK_MS);
        follow_progress(f);
        int signal_number = interrupt_take(f->job->interrupt_fd);
        if (signal_number)
            on_signal(f, signal_number);
        int64_t now = clock_mono_ns();
        if (!f->kill_at_ns && now > f->started_ns + f->job->timeout_ns + f->job->slack_ns) {
            f->timed_out = true;
            ask_to_stop(f);
        }
        if (f->kill_at_ns && now > f->kill_at_ns && !f->killed)
            kill_now(f);
    }
    follow_progress(f);
}

static GError *timeout_error(const struct flight *f)
{
    g_autofree char *limit = num_format_duration_ns(f->job->timeout_ns);
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

/* Why there is neither a result nor an error record. */
static GError *explain_death(const struct flight *f)
{
    g_autofree char *how = proc_describe_status(f->wait_status);
    bool sigkill = WIFSIGNALED(f->wait_status) && WTERMSIG(f->wait_status) == SIGKILL;
    if (f->timed_out)
        return timeout_error(f);
    if (f->report->interrupted)
        return g_error_new(LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted by signal %d (%s)",
                           f->report->interrupted, strsignal(f->report->interrupted));
    if (sigkill && oom_has_struck(&f->oom_before)) {
        g_autofree char *advice = oom_advice();
        return g_error_new(LLEM_ERROR, LLEM_ERROR_WORKER_DIED,
                           "the worker was killed while the kernel's OOM killer was at work, memory ran out: %s", advice);
    }
    if (disk_is_full(f->job->exchange_dir))
        return g_error_new(LLEM_ERROR, LLEM_ERROR_WORKER_DIED,
                           "the worker ended without a result (%s), and the disk of %s is full: %s; free some space or "
                           "name a results folder on another disk (-o)",
                           how, f->job->exchange_dir, g_strerror(ENOSPC));
    return g_error_new(LLEM_ERROR, LLEM_ERROR_WORKER_DIED, "the worker ended without a result (%s)", how);
}

/* Writes the error record of a failure that the worker has none for; hands the failure back. */
static GError *record(const struct flight *f, GError *failure)
{
    g_autofree char *config = file_of(f->job, "config.json");
    g_autofree char *path = file_of(f->job, "error.json");
    g_autofree char *log = g_build_filename(f->job->exchange_dir, "worker.log", NULL);
    g_auto(owned_exchange) x = {0};
    g_autoptr(GError) second = NULL;
    if (exchange_read(config, &x, NULL) && !result_error_write(path, &x, failure, "worker", NULL, log, &second))
        g_prefix_error(&failure, "(its error record could not be written: %s) ", second->message);
    return failure;
}

/* The worker's record with the class and message of another failure: where it was and what the engine said stay. */
static GError *rewrite(const char *path, json_t *own, GError *failure)
{
    g_autoptr(GError) second = NULL;
    json_object_set_new(own, "class", json_string(llem_error_name(failure->code)));
    json_object_set_new(own, "message", json_string(failure->message));
    if (!jsonx_save(path, own, &second))
        g_prefix_error(&failure, "(its error record could not be rewritten: %s) ", second->message);
    return failure;
}

/* What the worker's own error record says. */
static GError *judge_record(const struct flight *f, const char *path)
{
    GError *failure = NULL;
    g_autoptr(json_t) own = jsonx_load(path, LIMIT_RESULT_BYTES, &failure);
    if (!own)
        return record(f, failure);
    failure = result_error_parse(own);
    /* The worker knows of a SIGTERM only that it came; why, the sender knows. */
    if (!f->timed_out || f->report->interrupted || !g_error_matches(failure, LLEM_ERROR, LLEM_ERROR_INTERRUPTED))
        return failure;
    g_error_free(failure);
    return rewrite(path, own, timeout_error(f));
}

/* A whole result counts however its worker ended: what came after it was only tidying. */
static GError *judge_result(const struct flight *f, const char *path)
{
    bool clean = WIFEXITED(f->wait_status) && WEXITSTATUS(f->wait_status) == 0;
    g_autoptr(GError) torn = NULL;
    g_autoptr(json_t) result = access(path, F_OK) == 0 ? jsonx_load(path, LIMIT_RESULT_BYTES, &torn) : NULL;
    if (result)
        return NULL;
    return record(f, torn && clean ? g_steal_pointer(&torn) : explain_death(f));
}

/* The failure of a run whose worker has ended; NULL when the result is there. */
static GError *judge(const struct flight *f)
{
    g_autofree char *result_path = file_of(f->job, "result.json");
    g_autofree char *error_path = file_of(f->job, "error.json");
    GError *failure = access(error_path, F_OK) == 0 ? judge_record(f, error_path) : judge_result(f, result_path);
    if (failure)
        unlink(result_path); /* disowned by its worker, or torn: never beside an error record */
    return failure;
}

static char *join_pids(const GArray *pids)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < pids->len; i++)
        g_string_append_printf(text, "%s%d", i ? ", " : "", (int)g_array_index(pids, pid_t, i));
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* Ends what the worker left. */
static void sweep(const struct flight *f, const GArray *bystanders)
{
    g_autoptr(GArray) left = proc_leftovers(bystanders);
    g_autoptr(GArray) survivors = proc_kill_leftovers(bystanders, clock_mono_ns() + f->job->sweep_ns);
    f->report->leftovers = (int)left->len;
    f->report->survivors = join_pids(survivors);
}

void runner_local(const struct runner_job *job, struct runner_report *ret)
{
    *ret = (struct runner_report){0};
    struct flight f = {.job = job, .report = ret, .started_ns = clock_mono_ns(), .oom_before = oom_count()};
    g_autoptr(GArray) bystanders = proc_descendants(getpid());
    if (!spawn(&f, &ret->failure)) {
        ret->failure = record(&f, ret->failure);
        return;
    }
    f.progress_path = g_build_filename(job->exchange_dir, "progress.jsonl", NULL);
    watch(&f);
    sweep(&f, bystanders);
    ret->wall_ns = clock_mono_ns() - f.started_ns;
    ret->failure = judge(&f);
    if (f.child.pidfd >= 0)
        close(f.child.pidfd);
    g_free(f.progress_path);
}
