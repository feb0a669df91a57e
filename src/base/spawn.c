/* SPDX-License-Identifier: MIT */
#include "base/spawn.h"

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLOSE_ON_EXEC 4U     /* CLOSE_RANGE_CLOEXEC, which older headers lack */
#define INTERRUPT_TICK_MS 100 /* how often whoever may be interrupted looks for a signal */
#define ASKED_MS          2000 /* before one that was asked to end is killed */
#define MOST_FDS      65536L /* how far to go one by one, where the kernel cannot close a range */

/* Everything the child needs, made before the fork: after it only async-signal-safe calls are allowed. */
struct launch {
    const struct spawn *spawn;
    char *path; /* of the program; NULL: an entry */
    char **env;
    pid_t parent;
    int report;  /* where the child says which step failed */
    int *moved;  /* the descriptors to pass on, out of the way of the numbers they get */
    int floor;   /* the first number above all that are passed on */
    int failing; /* row of fds that could not be passed on */
};

/* --- Steps of the child ---------------------------------------------------------------------------------------- */

static bool step_group(struct launch *l)
{
    switch (l->spawn->group) {
    case SPAWN_NEW_GROUP:
        return setpgid(0, 0) == 0;
    case SPAWN_NEW_SESSION:
        return setsid() > 0;
    default:
        return true;
    }
}

/* The kernel tells only of deaths after the prctl: whoever has another parent by then was too late. */
static bool step_death_signal(struct launch *l)
{
    if (!l->spawn->death_signal)
        return true;
    if (prctl(PR_SET_PDEATHSIG, l->spawn->death_signal) != 0)
        return false;
    if (getppid() != l->parent)
        _exit(127); /* nobody is left to be told */
    return true;
}

static int moved_fd(int from, int floor)
{
    if (from >= 0)
        return fcntl(from, F_DUPFD_CLOEXEC, floor);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, floor);
}

static bool is_passed(const struct spawn *spawn, int number)
{
    for (size_t i = 0; i < spawn->n_fds; i++)
        if (spawn->fds[i].number == number)
            return true;
    return number <= STDERR_FILENO;
}

static bool drop_range(int first, unsigned how)
{
#ifdef SYS_close_range
    return syscall(SYS_close_range, (unsigned)first, ~0U, how) == 0;
#else
    return (void)first, (void)how, false;
#endif
}

/* Leaves the child the descriptors it was given and no other: at once, or when a program begins. */
static void drop_fds(const struct launch *l, bool at_once)
{
    bool dropped = drop_range(l->floor, at_once ? 0 : CLOSE_ON_EXEC);
    long end = dropped ? l->floor : MIN(sysconf(_SC_OPEN_MAX), MOST_FDS);
    for (int fd = 0; fd < end; fd++) {
        if (fd < l->floor && is_passed(l->spawn, fd))
            continue;
        if (at_once)
            close(fd);
        else
            fcntl(fd, F_SETFD, FD_CLOEXEC); /* closed ones say EBADF, which is fine */
    }
}

static bool step_fds(struct launch *l)
{
    const struct spawn *spawn = l->spawn;
    for (size_t i = 0; i < spawn->n_fds; i++) {
        l->failing = (int)i;
        l->moved[i] = moved_fd(spawn->fds[i].from, l->floor);
        if (l->moved[i] < 0)
            return false;
    }
    for (size_t i = 0; i < spawn->n_fds; i++) {
        l->failing = (int)i;
        if (dup2(l->moved[i], spawn->fds[i].number) < 0)
            return false;
    }
    if (l->path)
        drop_fds(l, false);
    return true;
}

static bool step_dir(struct launch *l)
{
    return !l->spawn->dir || chdir(l->spawn->dir) == 0;
}

static bool step_program(struct launch *l)
{
    if (l->path)
        execve(l->path, (char **)(uintptr_t)l->spawn->argv, l->env);
    return !l->path;
}

/* --- What a failed step is called ------------------------------------------------------------------------------ */

static char *group_words(const struct launch *l, int cause)
{
    const char *what = l->spawn->group == SPAWN_NEW_SESSION ? "session" : "process group";
    return g_strdup_printf("cannot begin a %s: %s", what, g_strerror(cause));
}

static char *death_signal_words(const struct launch *l, int cause)
{
    return g_strdup_printf("cannot ask for signal %d at the end of the parent: %s", l->spawn->death_signal,
                           g_strerror(cause));
}

static char *fds_words(const struct launch *l, int cause)
{
    const struct spawn_fd *fd = &l->spawn->fds[l->failing];
    const char *hint = cause == EMFILE ? " (raise ulimit -n)" : "";
    if (fd->from < 0)
        return g_strdup_printf("cannot open /dev/null as descriptor %d: %s%s", fd->number, g_strerror(cause), hint);
    return g_strdup_printf("cannot pass descriptor %d on as %d: %s%s", fd->from, fd->number, g_strerror(cause), hint);
}

static char *dir_words(const struct launch *l, int cause)
{
    return g_strdup_printf("cannot enter %s: %s", l->spawn->dir, g_strerror(cause));
}

static char *program_words(const struct launch *l, int cause)
{
    if (cause == ENOENT && access(l->path, F_OK) == 0)
        return g_strdup_printf("cannot start %s: what it names as its interpreter is not there", l->path);
    return g_strdup_printf("cannot start %s: %s%s", l->path, g_strerror(cause),
                           cause == ENOEXEC ? " (a script needs a #! line)" : "");
}

/* In the order in which the child takes them. */
static const struct {
    bool (*take)(struct launch *l);
    char *(*words)(const struct launch *l, int cause); /* of its failure, new string */
} steps[] = {
    {step_group, group_words}, {step_death_signal, death_signal_words}, {step_fds, fds_words},
    {step_dir, dir_words},     {step_program, program_words},
};

/* What the child reports: one write, so all or nothing. */
struct failure {
    int step, cause, failing;
};

/* --- Both sides of the fork ------------------------------------------------------------------------------------ */

static _Noreturn void run_entry(const struct launch *l)
{
    drop_fds(l, true); /* with them the report, which says that all went well */
    l->spawn->entry(l->spawn->entry_data);
    _exit(0);
}

void spawn_become(const char *const *argv)
{
    execv(argv[0], (char *const *)(uintptr_t)argv);
}

static _Noreturn void run_child(struct launch *l)
{
    int report = fcntl(l->report, F_DUPFD_CLOEXEC, l->floor); /* without one to spare, where it is will do */
    l->report = report >= 0 ? report : l->report;
    interrupt_reset_child();
    for (int i = 0; i < (int)G_N_ELEMENTS(steps); i++) {
        if (steps[i].take(l))
            continue;
        struct failure failure = {i, errno, l->failing};
        ssize_t sent = write(l->report, &failure, sizeof failure);
        _exit(sent == sizeof failure ? 127 : 126);
    }
    run_entry(l);
}

/* No handler of ours may run in the child, which has our memory and none of our threads: it clears what it inherits
 * before its signals come through. */
static pid_t fork_quietly(struct launch *l)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        run_child(l);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

/* True if the child came through all its steps; else it is reaped and the error says where it stopped. */
static bool read_report(struct launch *l, int fd, pid_t pid, GError **error)
{
    struct failure failure;
    ssize_t n;
    do
        n = read(fd, &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n != sizeof failure)
        return true;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    l->failing = failure.failing;
    bool missing = steps[failure.step].take == step_program && failure.cause == ENOENT;
    g_autofree char *words = steps[failure.step].words(l, failure.cause);
    g_set_error_literal(error, LLEM_ERROR, missing ? LLEM_ERROR_MISSING : LLEM_ERROR_IO, words);
    return false;
}

static bool launch_run(struct launch *l, struct spawn_child *ret, GError **error)
{
    const char *what = l->path ? l->path : "a child of this program";
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return file_error(error, "cannot open a pipe to start", what);
    l->report = ends[1];
    pid_t pid = fork_quietly(l);
    int saved = errno;
    close(ends[1]);
    errno = saved;
    bool ok = pid > 0 ? read_report(l, ends[0], pid, error) : file_error(error, "cannot fork for", what);
    close(ends[0]);
    if (ok)
        *ret = (struct spawn_child){pid, proc_pidfd(pid)};
    return ok;
}

static char **environment(const char *const *delta)
{
    char **env = g_get_environ();
    for (const char *const *row = delta; row && *row; row++) {
        const char *equals = strchr(*row, '=');
        g_autofree char *name = equals ? g_strndup(*row, (gsize)(equals - *row)) : g_strdup(*row);
        env = equals ? g_environ_setenv(env, name, equals + 1, TRUE) : g_environ_unsetenv(env, name);
    }
    return env;
}

static bool launch_init(struct launch *l, const struct spawn *spawn, GError **error)
{
    *l = (struct launch){.spawn = spawn, .parent = getpid(), .floor = STDERR_FILENO + 1};
    const char *program = spawn->argv ? spawn->argv[0] : NULL;
    if (program)
        l->path = strchr(program, '/') ? g_strdup(program) : g_find_program_in_path(program);
    if (program && !l->path) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_MISSING, "there is no program '%s' in PATH", program);
        return false;
    }
    l->env = environment(spawn->env);
    l->moved = g_new0(int, spawn->n_fds + 1);
    for (size_t i = 0; i < spawn->n_fds; i++)
        l->floor = MAX(l->floor, spawn->fds[i].number + 1);
    return true;
}

bool spawn_start(const struct spawn *spawn, struct spawn_child *ret, GError **error)
{
    struct launch l;
    bool ok = launch_init(&l, spawn, error) && launch_run(&l, ret, error);
    g_free(l.path);
    g_free(l.moved);
    g_strfreev(l.env);
    return ok;
}

/* --- Running to the end ---------------------------------------------------------------------------------------- */

/* What a program writes to one of its streams. */
struct stream {
    int ours, its; /* -1: closed */
    GByteArray *last;
};

static bool stream_open(struct stream *s, GError **error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return file_error(error, "cannot open", "a pipe");
    *s = (struct stream){ends[0], ends[1], g_byte_array_new()};
    return true;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void stream_clear(struct stream *s)
{
    close_end(&s->ours);
    close_end(&s->its);
    g_clear_pointer(&s->last, g_byte_array_unref);
}

static char *stream_text(struct stream *s, size_t max_bytes)
{
    size_t n = MIN(s->last->len, max_bytes);
    return n ? g_strndup((const char *)s->last->data + s->last->len - n, n) : g_strdup("");
}

static void stream_read(struct stream *s, size_t max_bytes)
{
    guint8 chunk[4096];
    ssize_t n = read(s->ours, chunk, sizeof chunk);
    if (n > 0)
        g_byte_array_append(s->last, chunk, (guint)n);
    else if (n == 0 || errno != EINTR)
        close_end(&s->ours);
    if (s->last->len > 2 * max_bytes)
        g_byte_array_remove_range(s->last, 0, s->last->len - (guint)max_bytes);
}

/* False once a signal waits that is to end the program. */
static bool streams_follow(struct stream *streams, size_t n, size_t max_bytes, bool interruptible)
{
    while (!interruptible || !interrupt_waits()) {
        struct pollfd fds[2];
        size_t open = 0;
        for (size_t i = 0; i < n; i++) {
            fds[i] = (struct pollfd){.fd = streams[i].ours, .events = POLLIN}; /* poll skips what is -1 */
            open += streams[i].ours >= 0;
        }
        if (!open)
            return true;
        poll(fds, n, interruptible ? INTERRUPT_TICK_MS : -1);
        for (size_t i = 0; i < n; i++)
            if (streams[i].ours >= 0 && fds[i].revents)
                stream_read(&streams[i], max_bytes);
    }
    return false;
}

/* Asked, and after a while killed, with what it started. */
static void end_child(pid_t pid)
{
    static const int signals[] = {SIGTERM, SIGKILL};
    siginfo_t ended = {.si_pid = 0};
    for (size_t i = 0; i < G_N_ELEMENTS(signals) && !ended.si_pid; i++) {
        proc_signal_descendants(pid, signals[i]);
        kill(pid, signals[i]);
        for (int ms = 0; ms < ASKED_MS && !ended.si_pid; ms += INTERRUPT_TICK_MS) {
            g_usleep(INTERRUPT_TICK_MS * 1000);
            if (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) != 0)
                return;
        }
    }
}

static bool capture(const struct spawn *spawn, struct stream *streams, size_t max_bytes, int *ret_wait_status,
                    GError **error)
{
    struct spawn_child child;
    struct spawn with = *spawn;
    with.fds = (const struct spawn_fd[]){{-1, STDIN_FILENO}, {streams[0].its, STDOUT_FILENO},
                                         {streams[1].its, STDERR_FILENO}};
    with.n_fds = 3;
    if (!spawn_start(&with, &child, error))
        return false;
    close_end(&streams[0].its);
    close_end(&streams[1].its);
    bool followed = streams_follow(streams, 2, max_bytes, spawn->interruptible);
    if (!followed)
        end_child(child.pid);
    close_end(&child.pidfd);
    pid_t reaped;
    do
        reaped = waitpid(child.pid, ret_wait_status, 0);
    while (reaped < 0 && errno == EINTR);
    if (reaped == child.pid && followed)
        return true;
    if (reaped == child.pid)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_INTERRUPTED, "interrupted while %s was at work", spawn->argv[0]);
    return reaped != child.pid && file_error(error, "cannot wait for", spawn->argv[0]);
}

bool spawn_capture(const struct spawn *spawn, size_t max_bytes, char **ret_out, char **ret_err, int *ret_wait_status,
                   GError **error)
{
    struct stream streams[2] = {{-1, -1, NULL}, {-1, -1, NULL}};
    bool ok = stream_open(&streams[0], error) && stream_open(&streams[1], error) &&
              capture(spawn, streams, max_bytes, ret_wait_status, error);
    if (ok) {
        *ret_out = stream_text(&streams[0], max_bytes);
        *ret_err = stream_text(&streams[1], max_bytes);
    }
    stream_clear(&streams[0]);
    stream_clear(&streams[1]);
    return ok;
}
