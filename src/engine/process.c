/* SPDX-License-Identifier: MIT */
/* The adapter's process: started in a session of its own, and how it ended. */
#include "engine/private.h"

#include "base/proc.h"
#include "base/shm.h"
#include "base/spawn.h"

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

/* --- Starting --------------------------------------------------------------------------------------------------- */

/* Descriptors of a start, closed on every way out; -1: none. */
struct plumbing {
    int socket[2]; /* ours, the adapter's */
    int log[2];    /* ours (read), the adapter's (write) */
};

void process_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void plumbing_close(struct plumbing *p)
{
    for (int i = 0; i < 2; i++) {
        process_close_fd(&p->socket[i]);
        process_close_fd(&p->log[i]);
    }
}

static bool plumbing_open(struct plumbing *p, GError **error)
{
    *p = (struct plumbing){{-1, -1}, {-1, -1}};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->socket) == 0 && pipe2(p->log, O_CLOEXEC) == 0 &&
        fcntl(p->socket[0], F_SETFL, O_NONBLOCK) == 0)
        return true;
    file_error(error, "cannot open", "a socket to the engine");
    plumbing_close(p);
    return false;
}

/* The environment of the adapter over ours. Freed with g_free(): its strings are the options' own. */
static const char **adapter_env(const struct engine_options *o)
{
    GPtrArray *env = g_ptr_array_new();
    for (const char *const *row = o->env; row && *row; row++)
        if (strchr(*row, '='))
            g_ptr_array_add(env, (gpointer)(uintptr_t)*row);
    g_ptr_array_add(env, (gpointer)(uintptr_t) "LLEM_ENGINE_FD=" G_STRINGIFY(CHILD_FD));
    g_ptr_array_add(env, NULL);
    return (const char **)g_ptr_array_free(env, FALSE);
}

/* SIGTERM when we die: the adapter takes its own children with it, which SIGKILL would not let it do; the end of the
 * socket tells it the same. */
static bool spawn_adapter(struct engine *engine, const struct engine_options *o, struct plumbing *p, GError **error)
{
    g_autofree const char **env = adapter_env(o);
    const struct spawn_fd fds[] = {{-1, 0}, {p->log[1], 1}, {p->log[1], 2}, {p->socket[1], CHILD_FD}};
    struct spawn_child child;
    struct spawn spawn = {.argv = o->argv,
                          .env = env,
                          .dir = o->work_dir,
                          .fds = fds,
                          .n_fds = G_N_ELEMENTS(fds),
                          .group = SPAWN_NEW_SESSION,
                          .death_signal = SIGTERM};
    if (!spawn_start(&spawn, &child, error))
        return false;
    engine->pid = child.pid;
    engine->pidfd = child.pidfd;
    engine->fd = p->socket[0];
    p->socket[0] = -1;
    return true;
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
    if (!plumbing_open(&p, error))
        return NULL;
    struct engine *engine = g_new0(struct engine, 1);
    engine->pidfd = engine->fd = -1;
    engine->interrupt_fd = options->interrupt_fd;
    engine->failure = (struct engine_failure){.code = -1, .exit_status = -1, .signal = -1};
    engine->name = g_path_get_basename(options->argv[0]);
    engine->oom_before = oom_count();
    engine->bystanders = find_bystanders();
    engine->shm = shm_new();
    engine->seen = g_array_new(FALSE, FALSE, sizeof(struct engine_process));
    engine->prepared = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, prepared_free);
    engine->generated = g_ptr_array_new_with_free_func(outcome_free);
    engine->cached = cached_new();
    line_reader_init(&engine->in, LIMIT_PROTOCOL_LINE);
    engine->log = log_open(p.log[0], options->log_path,
                           options->log_bytes ? options->log_bytes : LIMIT_ENGINE_LOG_BYTES, error);
    p.log[0] = -1; /* the log's now, or closed */
    bool ok = engine->log && spawn_adapter(engine, options, &p, error);
    plumbing_close(&p);
    if (ok)
        return engine;
    process_free(engine);
    return NULL;
}

void process_free(struct engine *engine)
{
    log_close(engine->log);
    process_close_fd(&engine->fd);
    process_close_fd(&engine->pidfd);
    line_reader_clear(&engine->in);
    g_hash_table_unref(engine->prepared);
    g_ptr_array_unref(engine->generated);
    g_hash_table_unref(engine->cached);
    g_array_unref(engine->seen);
    g_hash_table_unref(engine->shm);
    g_clear_pointer(&engine->bystanders, g_array_unref);
    g_free(engine->failure_class);
    g_free(engine->failure_message);
    g_free(engine->name);
    g_free(engine);
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

/* --- Ending ----------------------------------------------------------------------------------------------------- */

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

/* The most memory it (or a child it waited for) held at once; 0: not known. glibc's waitid() does not hand it out. */
static int64_t peak_bytes(const struct engine *engine)
{
    siginfo_t info = {0};
    struct rusage usage = {0};
    if (syscall(SYS_waitid, P_PID, engine->pid, &info, WEXITED | WNOHANG | WNOWAIT, &usage) != 0)
        return 0;
    return usage.ru_maxrss * 1024;
}

void process_read_status(struct engine *engine, int options)
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
    process_read_status(engine, WNOWAIT);
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
    process_read_status(engine, WNOWAIT);
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
