/* SPDX-License-Identifier: MIT */
/* How a run in a container ended: by exit codes, what was written and, where that does not do, the daemon's events. */
#include "runner/docker_end.h"

#include "result/result.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAEMON_SAYS    125 /* the client, the daemon, never the program inside */
#define FORCED         1   /* the client's after three signals: it goes and leaves the container */
#define ID_BYTES       64
#define LOG_KEPT_BYTES (256 << 10)
#define TAIL_BYTES     (16 << 10)

static char *run_file(const struct docker_run *run, const char *name)
{
    return g_build_filename(run->dir, name, NULL);
}

static bool run_has(const struct docker_run *run, const char *name)
{
    g_autofree char *path = run_file(run, name);
    return access(path, F_OK) == 0;
}

bool docker_has_begun(const struct docker_run *run)
{
    return run_has(run, RUNNER_LOG) || run_has(run, result_files[RESULT_FILE_PROGRESS].name);
}

/* --- Logs -------------------------------------------------------------------------------------------------------- */

static void bound_log(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || st.st_size <= LIMIT_ENGINE_LOG_BYTES || truncate(path, LOG_KEPT_BYTES) != 0)
        return;
    FILE *file = fopen(path, "ae");
    if (!file)
        return;
    fprintf(file, "\n[… %" G_GINT64_FORMAT " bytes left out …]\n", (gint64)st.st_size - LOG_KEPT_BYTES);
    fclose(file);
}

static const char *const logs[] = {RUNNER_LOG, DOCKER_CLIENT_LOG};

void docker_bound_logs(const struct docker_run *run)
{
    for (size_t i = 0; i < G_N_ELEMENTS(logs); i++) {
        g_autofree char *path = run_file(run, logs[i]);
        bound_log(path);
    }
}

void docker_tidy_logs(const struct docker_run *run)
{
    g_autofree char *path = run_file(run, DOCKER_CLIENT_LOG);
    struct stat st;
    bool clean = run->has_status && run->status == 0;
    if (clean || (stat(path, &st) == 0 && st.st_size == 0))
        unlink(path);
}

static char *tail_of(const struct docker_run *run, const char *name)
{
    g_autofree char *path = run_file(run, name);
    return file_tail(path, TAIL_BYTES);
}

/* --- Exit codes -------------------------------------------------------------------------------------------------- */

/* What a client that waited a second time wrote: a number and a newline. */
static bool read_status(struct docker_run *run)
{
    char text[32] = "";
    int64_t status;
    if (pread(run->status_fd, text, sizeof text - 1, 0) <= 0 || !num_parse_int(g_strstrip(text), 0, 255, &status, NULL))
        return false;
    run->status = (int)status;
    return true;
}

bool docker_take_status(struct docker_run *run)
{
    bool exited = WIFEXITED(run->wait_status);
    int code = exited ? WEXITSTATUS(run->wait_status) : -1;
    if (run->waits_again) {
        run->has_status = exited && code == 0 && read_status(run);
        return run->has_status;
    }
    bool forced = code == FORCED && run->asked_ns != 0;
    bool lost = code == DAEMON_SAYS && docker_has_begun(run);
    if (!exited || forced || lost)
        return false;
    run->has_status = code != DAEMON_SAYS;
    run->status = code;
    return true;
}

bool docker_was_orderly(const struct docker_run *run)
{
    return run->has_status && !run->waits_again && !run->asked_ns && !run->killed && run->status < DAEMON_SAYS;
}

/* --- Processes --------------------------------------------------------------------------------------------------- */

/* The container's id, as the client wrote it down; "" before there is one. New string. */
static char *id_of(const struct docker_run *run)
{
    g_autofree char *path = run_file(run, DOCKER_ID_FILE);
    char *id = file_read(path, 4096, NULL, NULL);
    return id ? g_strstrip(id) : g_strdup("");
}

/* Podman's monitor of a container may be in a cgroup of the same name, and is not in it. */
static bool is_monitor(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/comm", pid);
    g_autofree char *text = file_read(path, 64, NULL, NULL);
    return text && !strcmp(text, "conmon\n");
}

static bool is_of_container(const char *pid, const char *id)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/cgroup", pid);
    g_autofree char *text = file_read(path, 64 << 10, NULL, NULL);
    return text && strstr(text, id) && !is_monitor(pid);
}

static int64_t began_at(pid_t pid)
{
    struct proc_entry entry;
    return proc_read(pid, &entry) ? entry.start_ticks : INT64_MAX;
}

pid_t docker_first_process(const GArray *pids)
{
    pid_t first = g_array_index(pids, pid_t, 0);
    int64_t first_ticks = began_at(first);
    for (guint i = 1; i < pids->len; i++) {
        pid_t pid = g_array_index(pids, pid_t, i);
        int64_t ticks = began_at(pid);
        if (ticks < first_ticks || (ticks == first_ticks && pid < first)) {
            first = pid;
            first_ticks = ticks;
        }
    }
    return first;
}

GArray *docker_processes(const struct docker_run *run)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    g_autofree char *id = id_of(run);
    g_autoptr(GDir) proc = strlen(id) >= ID_BYTES ? g_dir_open("/proc", 0, NULL) : NULL;
    const char *name;
    while (proc && (name = g_dir_read_name(proc))) {
        int64_t number;
        if (!num_parse_int(name, 1, G_MAXINT, &number, NULL) || !is_of_container(name, id))
            continue;
        pid_t pid = (pid_t)number;
        g_array_append_val(pids, pid);
    }
    return pids;
}

/* --- What it comes to -------------------------------------------------------------------------------------------- */

/* "exit status 3", "killed by signal 9 (Killed)": as of a program of this machine. New string. */
static char *describe(const struct docker_run *run, int status)
{
    if (run->lost_ns)
        return g_strdup("the daemon went away");
    if (!run->has_status)
        return proc_describe_status(run->wait_status);
    if (status > 128 && status < 128 + 65)
        return g_strdup_printf("killed by signal %d (%s)", status - 128, strsignal(status - 128));
    return g_strdup_printf("exit status %d", status);
}

/* The exit code that the facts have: the container's where it is known, else the client's. */
static int code_of(const struct docker_run *run)
{
    if (run->has_status)
        return run->status;
    return WIFEXITED(run->wait_status) ? WEXITSTATUS(run->wait_status) : 128 + WTERMSIG(run->wait_status);
}

/* A daemon that is gone by now is a fact, too. */
static bool ask_events(const struct docker_run *run, struct container_end *ret, bool *ret_gone)
{
    g_autofree char *id = id_of(run);
    g_autoptr(GError) error = NULL;
    const char *name = *id ? id : run->name;
    bool told = !run->lost_ns && container_events(run->docker->client, name, run->since_wall_ns, ret, &error);
    *ret_gone = run->lost_ns || g_error_matches(error, LLEM_ERROR, LLEM_ERROR_DAEMON_DOWN);
    return told;
}

/* Why, as far as somebody knows; NULL: nobody does. */
static GError *classify(const struct docker_run *run)
{
    g_autofree char *client_text = tail_of(run, DOCKER_CLIENT_LOG), *log = tail_of(run, RUNNER_LOG);
    struct container_end end = {.exit_code = -1};
    bool by_signal = !run->has_status && WIFSIGNALED(run->wait_status);
    struct container_facts facts = {.exit_code = run->lost_ns ? DAEMON_SAYS : code_of(run),
                                    .client_signal = by_signal ? WTERMSIG(run->wait_status) : 0,
                                    .daemon_gone = run->lost_ns != 0,
                                    .client_text = client_text,
                                    .log_tail = log,
                                    .oom_kills = -1,
                                    .began = docker_has_begun(run),
                                    .program = DOCKER_WORKER};
    bool gone = run->waits_again && !run->has_status; /* before the second client could be told how */
    if ((gone || container_wants_events(&facts)) && ask_events(run, &end, &facts.daemon_gone))
        facts.end = &end;
    if (gone && end.exit_code >= 0)
        facts.exit_code = end.exit_code;
    struct container_verdict verdict;
    container_classify(&facts, &verdict);
    GError *why = verdict.code == LLEM_ERROR_WORKER_DIED
                      ? NULL
                      : g_error_new(LLEM_ERROR, verdict.code, "%s%s%s", verdict.text, verdict.remedy ? "; " : "",
                                    verdict.remedy ? verdict.remedy : "");
    container_verdict_clear(&verdict);
    return why;
}

/* True where the worker itself says why: then nobody else is asked. */
static bool has_record(const struct docker_run *run)
{
    g_autofree char *name = g_strconcat(run->config_hash, "_error.json", NULL);
    return run_has(run, name);
}

void docker_describe_end(const struct docker_run *run, struct runner_end *ret)
{
    int code = code_of(run);
    bool clean = run->has_status && code == 0;
    bool ours = run->killed || (has_record(run) && !run->lost_ns);
    *ret = (struct runner_end){
        .how = describe(run, code),
        .clean = clean,
        .log = run_has(run, RUNNER_LOG) ? RUNNER_LOG : DOCKER_CLIENT_LOG,
        .why = clean || ours ? NULL : classify(run)};
}
