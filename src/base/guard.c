/* SPDX-License-Identifier: MIT */
#include "base/guard.h"

#include "base/proc.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAME         "LLEM_GUARD="
#define TICK_NS      100000000
#define TICKS_PER_S  10
#define GIVE_UP_S    120 /* what SIGKILL does not end by then is stuck in the kernel */
#define DIGITS       10
#define CHUNK        4096
#define DIRENT_BYTES 8192

struct guard {
    struct spawn_child child;
    int line; /* whom to wait for; its end is ours */
    char *variable;
};

/* --- Finding the marked: without memory of its own, for the guard is a fork ------------------------------------- */

typedef void found_fn(pid_t pid, void *data);

/* "/proc/PID/environ" */
static void path_of(pid_t pid, char *ret)
{
    char digits[DIGITS], *at = digits + DIGITS;
    for (; pid; pid /= 10)
        *--at = (char)('0' + pid % 10);
    ret = (char *)memcpy(ret, "/proc/", strlen("/proc/")) + strlen("/proc/");
    ret = (char *)memcpy(ret, at, (size_t)(digits + DIGITS - at)) + (digits + DIGITS - at);
    memcpy(ret, "/environ", strlen("/environ") + 1);
}

/* True if one of the texts of a file of them, each ended by a 0, is this one. */
static bool holds(int fd, const char *text)
{
    char bytes[CHUNK];
    const size_t length = strlen(text) + 1;
    size_t matched = 0; /* length + 1: this one is another */
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            bool same = matched < length && bytes[i] == text[matched];
            matched = same ? matched + 1 : length + 1;
            if (matched == length)
                return true;
            if (!bytes[i])
                matched = 0;
        }
    }
    return false;
}

static bool is_marked(pid_t pid, const char *variable)
{
    char path[sizeof "/proc//environ" + DIGITS];
    path_of(pid, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool marked = fd >= 0 && holds(fd, variable);
    if (fd >= 0)
        close(fd);
    return marked;
}

/* The number that a name is; 0: it is none. */
static pid_t pid_of(const char *name)
{
    pid_t pid = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        pid = pid * 10 + (*name - '0');
    return *name ? 0 : pid;
}

/* As getdents64(2) fills it in. */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static void for_each_marked(const char *variable, found_fn *found, void *data)
{
    _Alignas(struct entry) char bytes[DIRENT_BYTES];
    int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;
    while (dir >= 0 && (n = syscall(SYS_getdents64, dir, bytes, sizeof bytes)) > 0) {
        const struct entry *entry;
        for (long at = 0; at < n; at += entry->length) {
            entry = (const struct entry *)(const void *)(bytes + at);
            pid_t pid = pid_of(entry->name);
            if (pid && is_marked(pid, variable))
                found(pid, data);
        }
    }
    if (dir >= 0)
        close(dir);
}

/* --- The guard: only calls that are safe in a fork ----------------------------------------------------------------- */

/* One look at those that are left. */
struct look {
    pid_t first;
    int number; /* to send them; 0: none */
    int n;
    bool first_lives;
};

static void look_at(pid_t pid, void *data)
{
    struct look *look = data;
    look->n++;
    look->first_lives = look->first_lives || pid == look->first;
    if (look->number)
        kill(pid, look->number);
}

/* What the parent has said last before it was gone. */
static pid_t wait_for_the_end(void)
{
    pid_t first = 0, said;
    ssize_t n;
    while ((n = read(STDIN_FILENO, &said, sizeof said)) == sizeof said || (n < 0 && errno == EINTR))
        first = n > 0 ? said : first;
    return first;
}

static void be_deaf(void)
{
    static const int deaf[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < sizeof deaf / sizeof *deaf; i++)
        signal(deaf[i], SIG_IGN);
}

/* The signal for those that are left, so many ticks after the first of them was gone, or its time was over. */
static int signal_after(int ticks)
{
    return ticks == 0 ? SIGTERM : ticks >= GUARD_GRACE_S * TICKS_PER_S ? SIGKILL : 0;
}

static void guard_at_work(void *data)
{
    const char *variable = data;
    const struct timespec tick = {0, TICK_NS};
    int alone = 0; /* ticks since nobody else is to end them */
    be_deaf();
    prctl(PR_SET_NAME, "llem-guard");
    pid_t first = wait_for_the_end();
    for (int ticks = 0; ticks < GIVE_UP_S * TICKS_PER_S; ticks++) {
        struct look look = {.first = first};
        for_each_marked(variable, look_at, &look);
        if (!look.n)
            return;
        bool is_ours = !look.first_lives || ticks >= GUARD_PATIENCE_S * TICKS_PER_S;
        struct look strike = {.number = is_ours ? signal_after(alone++) : 0};
        if (strike.number)
            for_each_marked(variable, look_at, &strike);
        nanosleep(&tick, NULL);
    }
}

/* --- Its owner --------------------------------------------------------------------------------------------------- */

static bool start(struct guard *guard)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    const struct spawn spawn = {.entry = guard_at_work,
                                .entry_data = guard->variable,
                                .fds = (const struct spawn_fd[]){{ends[0], 0}, {-1, 1}, {-1, 2}},
                                .n_fds = 3,
                                .dir = "/",
                                .group = SPAWN_NEW_SESSION};
    bool ok = spawn_start(&spawn, &guard->child, NULL);
    close(ends[0]);
    if (!ok)
        close(ends[1]);
    guard->line = ok ? ends[1] : -1;
    return ok;
}

struct guard *guard_new(void)
{
    struct guard *guard = g_new0(struct guard, 1);
    g_autofree char *id = g_uuid_string_random();
    guard->variable = g_strconcat(NAME, id, NULL);
    if (start(guard))
        return guard;
    g_free(guard->variable);
    g_free(guard);
    return NULL;
}

const char *guard_variable(const struct guard *guard)
{
    return guard->variable;
}

void guard_first(struct guard *guard, pid_t pid)
{
    send(guard->line, &pid, sizeof pid, MSG_NOSIGNAL); /* a guard that was killed guards nothing */
}

void guard_free(struct guard *guard)
{
    if (!guard)
        return;
    close(guard->line);
    if (waitpid(guard->child.pid, NULL, WNOHANG) == 0) { /* else it is gone, and another may have its number */
        kill(guard->child.pid, SIGKILL); /* it would look for those that we say have ended */
        waitpid(guard->child.pid, NULL, 0);
    }
    if (guard->child.pidfd >= 0)
        close(guard->child.pidfd);
    g_free(guard->variable);
    g_free(guard);
}

static void append(pid_t pid, void *data)
{
    g_array_append_val((GArray *)data, pid);
}

GArray *guard_marked(const struct guard *guard)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    for_each_marked(guard->variable, append, pids);
    return pids;
}
