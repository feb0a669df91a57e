/* SPDX-License-Identifier: MIT */
/* The adapter's process: started in a session of its own, ended by a ladder that leaves nothing behind. */
#include "engine/private.h"

#include "base/interrupt.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_FD 3 /* the socket's number in the adapter */
#define POLL_NS  (5 * NS_PER_MS)

/* A process that cannot be mistaken for a later one with the same number. */
struct process {
    int64_t pid;
    int64_t start; /* clock ticks after boot, from /proc/PID/stat */
};

/* ---- Starting -------------------------------------------------------------------------------------------------- */

/* Descriptors of a start, closed on every way out; -1: none. */
struct plumbing {
    int socket[2]; /* ours, the adapter's */
    int log[2];    /* ours (read), the adapter's (write) */
    int report[2]; /* errno of a failed exec, read by us */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void plumbing_close(struct plumbing *p)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&p->socket[i]);
        close_fd(&p->log[i]);
        close_fd(&p->report[i]);
    }
}

static bool plumbing_open(struct plumbing *p, GError **error)
{
    *p = (struct plumbing){{-1, -1}, {-1, -1}, {-1, -1}};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->socket) == 0 && pipe2(p->log, O_CLOEXEC) == 0 &&
        pipe2(p->report, O_CLOEXEC) == 0 && fcntl(p->socket[0], F_SETFL, O_NONBLOCK) == 0)
        return true;
    file_error(error, "cannot open", "a socket to the engine");
    plumbing_close(p);
    return false;
}

/* Everything the child needs, made before the fork: after it only async-signal-safe calls are allowed. */
struct launch {
    char *path;
    char **argv, **env;
    const char *work_dir;
    pid_t parent;
};

static void launch_clear(struct launch *l)
{
    g_free(l->path);
    g_strfreev(l->argv);
    g_strfreev(l->env);
}

static bool launch_init(struct launch *l, const struct engine_options *o, GError **error)
{
    *l = (struct launch){.work_dir = o->work_dir, .parent = getpid()};
    l->path = strchr(o->argv[0], '/') ? g_strdup(o->argv[0]) : g_find_program_in_path(o->argv[0]);
    if (!l->path) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "there is no program '%s' in PATH", o->argv[0]);
        return false;
    }
    l->argv = g_strdupv((char **)(uintptr_t)o->argv);
    l->env = g_get_environ();
    for (const char *const *row = o->env; row && *row; row++) {
        g_auto(GStrv) parts = g_strsplit(*row, "=", 2);
        if (parts[0] && parts[1])
            l->env = g_environ_setenv(l->env, parts[0], parts[1], TRUE);
    }
    l->env = g_environ_setenv(l->env, "LLEM_ENGINE_FD", G_STRINGIFY(CHILD_FD), TRUE);
    return true;
}

/* The child, up to exec. SIGTERM when we die: the adapter takes its own children with it, which SIGKILL would not let
 * it do; the end of the socket tells it the same. */
static void run_child(const struct launch *l, const struct plumbing *p)
{
    /* out of the way of the numbers they are moved to */
    int socket_fd = fcntl(p->socket[1], F_DUPFD_CLOEXEC, CHILD_FD + 1);
    int log_fd = fcntl(p->log[1], F_DUPFD_CLOEXEC, CHILD_FD + 1);
    int report_fd = fcntl(p->report[1], F_DUPFD_CLOEXEC, CHILD_FD + 1);
    int null_fd = open("/dev/null", O_RDONLY);
    setsid();
    interrupt_reset_child();
    bool ok = prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == l->parent && dup2(null_fd, 0) == 0 &&
              dup2(log_fd, 1) == 1 && dup2(log_fd, 2) == 2 && dup2(socket_fd, CHILD_FD) == CHILD_FD &&
              (!l->work_dir || chdir(l->work_dir) == 0);
#ifdef SYS_close_range
    syscall(SYS_close_range, CHILD_FD + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC; older kernels refuse, which is fine */);
#endif
    if (ok)
        execve(l->path, l->argv, l->env);
    int failure = errno;
    ssize_t sent = write(report_fd, &failure, sizeof failure);
    _exit(sent == sizeof failure ? 127 : 126);
}

/* Forks and waits for the exec to have worked. */
static pid_t launch_run(const struct launch *l, struct plumbing *p, GError **error)
{
    pid_t pid = fork();
    if (pid == 0)
        run_child(l, p);
    if (pid < 0) {
        file_error(error, "cannot start", l->path);
        return -1;
    }
    close_fd(&p->socket[1]);
    close_fd(&p->log[1]);
    close_fd(&p->report[1]);
    int failure;
    ssize_t n;
    do
        n = read(p->report[0], &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n != sizeof failure)
        return pid;
    waitpid(pid, NULL, 0);
    g_set_error(error, LLEM_ERROR, failure == ENOENT ? LLEM_ERROR_MISSING : LLEM_ERROR_IO, "cannot run %s: %s%s",
                l->path, g_strerror(failure),
                failure == ENOEXEC ? " (a script needs a #! line)" : "");
    return -1;
}

/* A subreaper inherits what the adapter's children leave: remember which children are not the engine's. */
static GArray *find_bystanders(void)
{
    int subreaper = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
    return subreaper ? proc_descendants(getpid()) : NULL;
}

struct engine *engine_start(const struct engine_options *options, GError **error)
{
    struct plumbing p;
    struct launch launch;
    if (!launch_init(&launch, options, error) || !plumbing_open(&p, error)) {
        launch_clear(&launch);
        return NULL;
    }
    struct engine *engine = g_new0(struct engine, 1);
    engine->pidfd = engine->fd = -1;
    engine->interrupt_fd = options->interrupt_fd;
    engine->failure = (struct engine_failure){.code = -1, .exit_status = -1, .signal = -1};
    engine->name = g_path_get_basename(launch.argv[0]);
    engine->oom_before = oom_count();
    engine->bystanders = find_bystanders();
    engine->seen = g_array_new(FALSE, FALSE, sizeof(struct process));
    engine->prepared = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, prepared_free);
    line_reader_init(&engine->in, LIMIT_PROTOCOL_LINE);
    engine->log = log_open(p.log[0], options->log_path,
                           options->log_bytes ? options->log_bytes : LIMIT_ENGINE_LOG_BYTES, error);
    p.log[0] = -1; /* the log's now, or closed */
    engine->pid = engine->log ? launch_run(&launch, &p, error) : -1;
    if (engine->pid > 0) {
        engine->pidfd = proc_pidfd(engine->pid);
        engine->fd = p.socket[0];
        p.socket[0] = -1;
    }
    plumbing_close(&p);
    launch_clear(&launch);
    if (engine->pid > 0)
        return engine;
    engine->stopped = true;
    engine_free(engine);
    return NULL;
}

pid_t engine_pid(const struct engine *engine)
{
    return engine->pid;
}

char **engine_log_tail(struct engine *engine, size_t max_lines)
{
    log_sync(engine->log);
    return log_tail(engine->log, max_lines);
}

/* ---- Ending ---------------------------------------------------------------------------------------------------- */

bool process_ended(struct engine *engine, int64_t deadline_ns)
{
    for (;;) {
        siginfo_t info = {0};
        if (engine->stopped)
            return true;
        int rc = waitid(P_PID, (id_t)engine->pid, &info, WEXITED | WNOHANG | WNOWAIT);
        if ((rc == 0 && info.si_pid == engine->pid) || (rc < 0 && errno == ECHILD))
            return true;
        int64_t now = clock_mono_ns();
        if (now >= deadline_ns)
            return false;
        struct pollfd fd = {.fd = engine->pidfd, .events = POLLIN};
        int64_t wait_ns = engine->pidfd < 0 ? MIN(POLL_NS, deadline_ns - now) : deadline_ns - now;
        poll(&fd, 1, (int)MIN((wait_ns + NS_PER_MS - 1) / NS_PER_MS, 1000));
    }
}

/* The most memory it (or a child it waited for) held at once; 0: not known. waitid(2) of glibc does not hand that out. */
static int64_t peak_bytes(const struct engine *engine)
{
    siginfo_t info = {0};
    struct rusage usage = {0};
    if (syscall(SYS_waitid, P_PID, engine->pid, &info, WEXITED | WNOHANG | WNOWAIT, &usage) != 0)
        return 0;
    return usage.ru_maxrss * 1024;
}

static void read_status(struct engine *engine, int options)
{
    siginfo_t info = {0};
    if (engine->status_known || waitid(P_PID, (id_t)engine->pid, &info, WEXITED | WNOHANG | options) < 0 ||
        info.si_pid != engine->pid)
        return;
    /* as waitpid() would put it */
    engine->wait_status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status & 0x7f;
    engine->status_known = true;
}

char *process_describe_end(struct engine *engine)
{
    read_status(engine, WNOWAIT);
    if (!engine->status_known)
        return g_strdup("ended (its status went to another reader)");
    int status = engine->wait_status;
    engine->failure.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    engine->failure.signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1;
    g_autofree char *words = proc_describe_status(status);
    if (WIFEXITED(status))
        return g_strdup_printf("ended with %s", words);
    return g_strdup_printf("was %s", words);
}

char *process_explain_kill(struct engine *engine, bool *ret_oom)
{
    *ret_oom = false;
    read_status(engine, WNOWAIT);
    if (!engine->status_known || !WIFSIGNALED(engine->wait_status) || WTERMSIG(engine->wait_status) != SIGKILL)
        return NULL;
    *ret_oom = oom_has_struck(&engine->oom_before);
    if (!*ret_oom)
        return g_strdup("who sent it is not known: where nothing counts OOM kills, perhaps memory ran out");
    g_autofree char *advice = oom_advice();
    int64_t peak = peak_bytes(engine);
    if (peak <= 0)
        return g_strdup_printf("the kernel's OOM killer was at work, memory ran out: %s", advice);
    g_autofree char *held = num_format_bytes(peak);
    return g_strdup_printf("the kernel's OOM killer was at work, memory ran out: the engine had held up to %s, and %s",
                           held, advice);
}

#define START_FIELD 20 /* behind the name; proc(5) counts it as 22 from the start */

/* False when there is no such process, or only its zombie. */
static bool process_read(pid_t pid, struct process *ret)
{
    char path[32], text[1024];
    int64_t start;
    g_snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *after = strrchr(text, ')'); /* the name may hold anything */
    g_auto(GStrv) fields = g_strsplit(after ? after + 1 : "", " ", START_FIELD + 2);
    if (g_strv_length(fields) < START_FIELD + 1 || !num_parse_int(fields[START_FIELD], 0, INT64_MAX, &start, NULL))
        return false;
    char state = fields[1][0];
    *ret = (struct process){pid, start};
    return state != 'Z' && state != 'X';
}

static void note_process(struct engine *engine, pid_t pid)
{
    struct process p;
    if (pid == engine->pid || pid == getpid() || !process_read(pid, &p))
        return;
    for (guint i = 0; i < engine->seen->len; i++) {
        const struct process *old = &g_array_index(engine->seen, struct process, i);
        if (old->pid == p.pid && old->start == p.start)
            return;
    }
    g_array_append_val(engine->seen, p);
}

static bool has_pid(const GArray *pids, pid_t pid)
{
    for (guint i = 0; pids && i < pids->len; i++)
        if (g_array_index(pids, pid_t, i) == pid)
            return true;
    return false;
}

/* Adds what belongs to the engine now to what was seen before: by parentage, by the adapter's session, and what was
 * orphaned to us. */
static void look_around(struct engine *engine)
{
    g_autoptr(GArray) snapshot = proc_snapshot();
    g_autoptr(GArray) below = proc_descendants_in(snapshot, engine->pid);
    for (guint i = 0; i < below->len; i++)
        note_process(engine, g_array_index(below, pid_t, i));
    for (guint i = 0; i < snapshot->len; i++) {
        const struct proc_entry *e = &g_array_index(snapshot, struct proc_entry, i);
        if (e->session == engine->pid)
            note_process(engine, e->pid);
    }
    if (!engine->bystanders)
        return;
    g_autoptr(GArray) theirs = proc_below_in(snapshot, engine->bystanders);
    g_autoptr(GArray) mine = proc_descendants_in(snapshot, getpid());
    for (guint i = 0; i < mine->len; i++)
        if (!has_pid(theirs, g_array_index(mine, pid_t, i)))
            note_process(engine, g_array_index(mine, pid_t, i));
}

/* How many of the processes seen, the adapter apart, are alive; drops and reaps the others. */
static guint count_left(struct engine *engine)
{
    if (engine->bystanders && proc_childless()) { /* a subreaper without children: whatever was seen is gone */
        g_array_set_size(engine->seen, 0);
        return 0;
    }
    look_around(engine);
    for (guint i = 0; i < engine->seen->len; i++) {
        struct process *p = &g_array_index(engine->seen, struct process, i);
        struct process now;
        if (process_read((pid_t)p->pid, &now) && now.start == p->start)
            continue;
        waitpid((pid_t)p->pid, NULL, WNOHANG); /* ours if we are the subreaper; else it does nothing */
        g_array_remove_index_fast(engine->seen, i--);
    }
    return engine->seen->len;
}

static bool wait_none_left(struct engine *engine, int64_t wait_ns)
{
    int64_t deadline_ns = clock_mono_ns() + wait_ns;
    while (count_left(engine) > 0) {
        if (clock_mono_ns() >= deadline_ns)
            return false;
        clock_sleep_until_ns(clock_mono_ns() + POLL_NS);
    }
    return true;
}

static void kill_each(struct engine *engine)
{
    for (guint i = 0; i < engine->seen->len; i++)
        kill((pid_t)g_array_index(engine->seen, struct process, i).pid, SIGKILL);
}

/* ---- The ladder ------------------------------------------------------------------------------------------------ */

static const char *const stage_names[ENGINE_STOP_COUNT] = {"none", "shutdown", "term", "kill", "descendants"};

const char *engine_stop_stage_name(enum engine_stop_stage stage)
{
    return stage_names[stage];
}

#define GRACE_NS (500 * NS_PER_MS) /* for children that end a moment after the adapter */

static bool wait_ended(struct engine *engine, int64_t wait_ns)
{
    int64_t deadline_ns = clock_mono_ns() + wait_ns;
    while (!process_ended(engine, MIN(deadline_ns, clock_mono_ns() + 20 * NS_PER_MS))) {
        wire_drain(engine);
        if (clock_mono_ns() >= deadline_ns)
            return false;
    }
    return true;
}

static enum engine_stop_stage end_adapter(struct engine *engine, const struct engine_stop_waits *w)
{
    if (process_ended(engine, 0))
        return ENGINE_STOP_NONE;
    wire_shutdown(engine);
    if (wait_ended(engine, w->shutdown_ns))
        return ENGINE_STOP_SHUTDOWN;
    look_around(engine);
    kill(-engine->pid, SIGTERM);
    if (wait_ended(engine, w->term_ns))
        return ENGINE_STOP_TERM;
    look_around(engine);
    kill(-engine->pid, SIGKILL);
    wait_ended(engine, w->kill_ns);
    return ENGINE_STOP_KILL;
}

/* What the adapter left. The group still exists: its leader is not reaped yet. */
static enum engine_stop_stage end_rest(struct engine *engine, const struct engine_stop_waits *w,
                                       enum engine_stop_stage stage)
{
    if (stage < ENGINE_STOP_TERM) {
        stage = ENGINE_STOP_TERM;
        kill(-engine->pid, SIGTERM);
        if (wait_none_left(engine, MIN(w->term_ns, 2 * NS_PER_S)))
            return stage;
    }
    if (stage < ENGINE_STOP_KILL) {
        stage = ENGINE_STOP_KILL;
        kill(-engine->pid, SIGKILL);
        if (wait_none_left(engine, MIN(w->kill_ns, GRACE_NS)))
            return stage;
    }
    int64_t deadline_ns = clock_mono_ns() + w->kill_ns;
    do
        kill_each(engine); /* again and again, for those that fork meanwhile */
    while (!wait_none_left(engine, 20 * NS_PER_MS) && clock_mono_ns() < deadline_ns);
    return ENGINE_STOP_DESCENDANTS;
}

static bool say_survivors(struct engine *engine, GError **error)
{
    g_autoptr(GString) pids = g_string_new(NULL);
    for (guint i = 0; i < engine->seen->len; i++)
        g_string_append_printf(pids, " %" G_GINT64_FORMAT, g_array_index(engine->seen, struct process, i).pid);
    if (!process_ended(engine, 0))
        g_string_append_printf(pids, " %d", (int)engine->pid);
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_TIMEOUT,
                "%s could not be ended: still alive after SIGKILL:%s (stuck in the kernel; a reboot may be needed)",
                engine->name, pids->str);
    return false;
}

static struct engine_stop_waits settle_waits(const struct engine_stop_waits *given)
{
    struct engine_stop_waits w = given ? *given : (struct engine_stop_waits){0};
    w.shutdown_ns = w.shutdown_ns > 0 ? w.shutdown_ns : 10 * NS_PER_S;
    w.term_ns = w.term_ns > 0 ? w.term_ns : 10 * NS_PER_S;
    w.kill_ns = w.kill_ns > 0 ? w.kill_ns : 5 * NS_PER_S;
    return w;
}

bool engine_stop(struct engine *engine, const struct engine_stop_waits *waits, struct engine_stop_report *report,
                 GError **error)
{
    struct engine_stop_waits w = settle_waits(waits);
    struct engine_stop_report done = {.stage = ENGINE_STOP_NONE, .exit_status = -1, .signal = -1};
    int64_t start = clock_mono_ns();
    bool ok = true;
    if (!engine->stopped) {
        look_around(engine);
        done.stage = end_adapter(engine, &w);
        if (!wait_none_left(engine, GRACE_NS)) {
            done.n_left_behind = (int)engine->seen->len;
            done.stage = end_rest(engine, &w, done.stage);
        }
        ok = process_ended(engine, 0) && (engine->seen->len == 0 || count_left(engine) == 0);
        read_status(engine, 0);
        if (ok && waitpid(engine->pid, NULL, WNOHANG) >= -1)
            engine->stopped = true;
    }
    if (engine->status_known && WIFEXITED(engine->wait_status))
        done.exit_status = WEXITSTATUS(engine->wait_status);
    if (engine->status_known && WIFSIGNALED(engine->wait_status))
        done.signal = WTERMSIG(engine->wait_status);
    close_fd(&engine->fd);
    done.wall_ns = clock_mono_ns() - start;
    if (report)
        *report = done;
    return ok || say_survivors(engine, error);
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    if (!engine->stopped)
        engine_stop(engine, &(struct engine_stop_waits){GRACE_NS, GRACE_NS, 2 * NS_PER_S}, NULL, NULL);
    log_close(engine->log);
    close_fd(&engine->fd);
    close_fd(&engine->pidfd);
    line_reader_clear(&engine->in);
    g_hash_table_unref(engine->prepared);
    g_array_unref(engine->seen);
    g_clear_pointer(&engine->bystanders, g_array_unref);
    g_free(engine->failure_class);
    g_free(engine->failure_message);
    g_free(engine->name);
    g_free(engine);
}
