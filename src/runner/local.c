/* SPDX-License-Identifier: MIT */
/* The local runner: llem-worker as a child in a process group of its own, watched by pidfd. */
#include "runner/rows.h"

#include "exchange/exchange.h"
#include "result/result.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct local {
    char *worker_path;
    struct guard *guard; /* ends what is left when llem and worker are gone; NULL: before the first run */
};

/* A worker. */
struct worker {
    struct spawn_child child;
    const struct guard *guard; /* or NULL */
    int wait_status;
    GArray *bystanders; /* pids below us from before */
};

static bool local_open(const struct runner_options *options, void **ret_state, GError **error)
{
    (void)error;
    struct local *local = g_new0(struct local, 1);
    local->worker_path = g_strdup(options->worker_path);
    *ret_state = local;
    return true;
}

static void local_close(void *state)
{
    struct local *local = state;
    guard_free(local->guard);
    g_free(local->worker_path);
    g_free(local);
}

static bool spawn_worker(const struct local *local, const struct runner_job *job, struct spawn_child *ret,
                         GError **error)
{
    g_autofree char *log = g_build_filename(job->exchange_dir, RUNNER_LOG, NULL);
    g_autofree char *config = exchange_file(job->exchange_dir, job->config_hash, result_files[RESULT_FILE_CONFIG].name);
    g_autofree char *variable = g_strconcat("LLEM_CONFIG_PATH=", config, NULL);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return file_error(error, "cannot create", log);
    const char *question = job->arguments ? job->arguments[0] : NULL;
    const char *mark = local->guard ? guard_variable(local->guard) : NULL;
    struct spawn spawn = {.argv = (const char *const[]){local->worker_path, question, NULL},
                          .env = (const char *const[]){variable, mark, NULL},
                          .fds = (const struct spawn_fd[]){{-1, 0}, {fd, 1}, {fd, 2}},
                          .n_fds = 3,
                          .group = SPAWN_NEW_GROUP,
                          .death_signal = SIGTERM};
    bool ok = spawn_start(&spawn, ret, error);
    close(fd);
    return ok;
}

static void worker_release(void *run)
{
    struct worker *worker = run;
    if (worker->child.pidfd >= 0)
        close(worker->child.pidfd);
    g_array_unref(worker->bystanders);
    g_free(worker);
}

static bool worker_start(void *state, const struct runner_job *job, void **ret_run, GError **error)
{
    struct local *local = state;
    struct worker *worker = g_new0(struct worker, 1);
    worker->child.pidfd = -1;
    local->guard = local->guard ? local->guard : guard_new();
    worker->guard = local->guard;
    worker->bystanders = proc_descendants(getpid());
    if (!spawn_worker(local, job, &worker->child, error)) {
        worker_release(worker);
        return false;
    }
    if (local->guard)
        guard_first(local->guard, worker->child.pid);
    *ret_run = worker;
    return true;
}

static int worker_end_fd(const void *run)
{
    const struct worker *worker = run;
    return worker->child.pidfd;
}

static bool worker_has_ended(void *run)
{
    struct worker *worker = run;
    pid_t pid = waitpid(worker->child.pid, &worker->wait_status, WNOHANG);
    return pid == worker->child.pid || (pid < 0 && errno == ECHILD);
}

static void worker_ask_to_stop(void *run)
{
    const struct worker *worker = run;
    kill(worker->child.pid, SIGTERM);
}

static void worker_kill(void *run)
{
    const struct worker *worker = run;
    proc_signal_descendants(worker->child.pid, SIGKILL);
    kill(-worker->child.pid, SIGKILL);
    kill(worker->child.pid, SIGKILL);
}

/* The worker first, which would wonder; again for those that were begun meanwhile. */
static void worker_suspend(void *run)
{
    const struct worker *worker = run;
    kill(worker->child.pid, SIGSTOP);
    for (int i = 0; i < 2; i++)
        proc_signal_descendants(worker->child.pid, SIGSTOP);
}

static void worker_resume(void *run, int64_t away_ns)
{
    const struct worker *worker = run;
    proc_signal_descendants(worker->child.pid, SIGCONT);
    suspend_tell(worker->child.pid, away_ns);
}

static void worker_describe_end(const void *run, struct runner_end *ret)
{
    const struct worker *worker = run;
    int status = worker->wait_status;
    *ret = (struct runner_end){.how = proc_describe_status(status),
                               .clean = WIFEXITED(status) && WEXITSTATUS(status) == 0,
                               .killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL};
}

static char *join_pids(const GArray *pids)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < pids->len; i++)
        g_string_append_printf(text, "%s%d", i ? ", " : "", (int)g_array_index(pids, pid_t, i));
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* What is below us and was not there before. All that lost their parents are below the first process of a container:
 * there only what has the mark of ours is taken. */
static GArray *find_left(const void *run)
{
    const struct worker *worker = run;
    bool is_init = getpid() == 1 && worker->guard;
    return is_init ? guard_marked(worker->guard) : proc_leftovers(worker->bystanders);
}

static void worker_sweep(void *run, int64_t deadline_ns, struct runner_leftovers *ret)
{
    g_autoptr(GArray) left = find_left(run);
    g_autoptr(GHashTable) shm = shm_new();
    for (guint i = 0; i < left->len; i++)
        shm_note(shm, g_array_index(left, pid_t, i));
    g_autoptr(GArray) survivors = proc_kill_found(find_left, run, deadline_ns);
    shm_sweep(shm);
    *ret = (struct runner_leftovers){.n = (int)left->len, .survivors = join_pids(survivors)};
}

/* --- Checks ---------------------------------------------------------------------------------------------------- */

static bool probe_worker(const void *state, GError **error)
{
    const struct local *local = state;
    if (access(local->worker_path, X_OK) == 0 && !g_file_test(local->worker_path, G_FILE_TEST_IS_DIR))
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "%s is not a program that can be run", local->worker_path);
    return false;
}

static const struct runner_check checks[] = {
    {"runner.worker", "every run is a process of llem-worker", probe_worker,
     "reinstall llem, or name its worker in LLEM_WORKER"},
    {NULL},
};

/* One run at a time: two would disturb each other's figures, and each take the other's processes for leftovers. */
const struct runner_ops runner_local = {
    .name = "local",
    .summary = "a process on this machine, one at a time",
    .max_in_flight = 1,
    .checks = checks,
    .open = local_open,
    .close = local_close,
    .start = worker_start,
    .end_fd = worker_end_fd,
    .has_ended = worker_has_ended,
    .ask_to_stop = worker_ask_to_stop,
    .kill = worker_kill,
    .suspend = worker_suspend,
    .resume = worker_resume,
    .describe_end = worker_describe_end,
    .sweep = worker_sweep,
    .release = worker_release,
};
