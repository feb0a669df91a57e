/* SPDX-License-Identifier: MIT */
#include "base/proc.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool proc_become_subreaper(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

bool proc_childless(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

int proc_pidfd(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    errno = ENOSYS;
    return -1;
#endif
}

/* The comm field may hold anything, spaces and parentheses too: the last ')' ends it. */
bool proc_read(pid_t pid, struct proc_entry *ret)
{
    char path[64], text[1024];
    g_snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[MAX(n, 0)] = 0;
    const char *after = strrchr(text, ')');
    int parent, group, session;
    /* proc(5): fields 3 (state), 4 (parent), 5 (group), 6 (session), 12 (major faults), 22 (start) */
    if (!after || sscanf(after + 1,
                         " %c %d %d %d %*s %*s %*s %*s %*s %" SCNd64
                         " %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNd64,
                         &ret->state, &parent, &group, &session, &ret->major_faults, &ret->start_ticks) != 6)
        return false;
    ret->pid = pid;
    ret->parent = parent;
    ret->group = group;
    ret->session = session;
    return true;
}

GArray *proc_snapshot(void)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct proc_entry));
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        struct proc_entry entry;
        if (g_ascii_isdigit(name[0]) && proc_read((pid_t)g_ascii_strtoll(name, NULL, 10), &entry))
            g_array_append_val(all, entry);
    }
    return all;
}

static bool contains(const GArray *pids, pid_t pid)
{
    for (guint i = 0; i < pids->len; i++)
        if (g_array_index(pids, pid_t, i) == pid)
            return true;
    return false;
}

GArray *proc_descendants_in(const GArray *snapshot, pid_t pid)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(pid_t));
    bool grew = true;
    while (grew) {
        grew = false;
        for (guint i = 0; i < snapshot->len; i++) {
            const struct proc_entry *e = &g_array_index(snapshot, struct proc_entry, i);
            if ((e->parent == pid || contains(found, e->parent)) && !contains(found, e->pid)) {
                g_array_append_val(found, e->pid);
                grew = true;
            }
        }
    }
    for (guint i = 0; i < snapshot->len; i++) {
        const struct proc_entry *e = &g_array_index(snapshot, struct proc_entry, i);
        if (e->state != 'Z')
            continue;
        for (guint k = 0; k < found->len; k++)
            if (g_array_index(found, pid_t, k) == e->pid)
                g_array_remove_index_fast(found, k--);
    }
    return found;
}

GArray *proc_descendants(pid_t pid)
{
    if (pid == getpid() && proc_childless())
        return g_array_new(FALSE, FALSE, sizeof(pid_t));
    g_autoptr(GArray) all = proc_snapshot();
    return proc_descendants_in(all, pid);
}

int proc_signal_descendants(pid_t pid, int signal_number)
{
    g_autoptr(GArray) pids = proc_descendants(pid);
    for (guint i = 0; i < pids->len; i++)
        kill(g_array_index(pids, pid_t, i), signal_number);
    return (int)pids->len;
}

void proc_reap(pid_t keep)
{
    if (proc_childless())
        return;
    g_autoptr(GArray) all = proc_snapshot();
    for (guint i = 0; i < all->len; i++) {
        const struct proc_entry *e = &g_array_index(all, struct proc_entry, i);
        if (e->parent == getpid() && e->state == 'Z' && e->pid != keep)
            waitpid(e->pid, NULL, WNOHANG);
    }
}

GArray *proc_below_in(const GArray *snapshot, const GArray *roots)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(pid_t));
    for (guint i = 0; i < roots->len; i++) {
        pid_t pid = g_array_index(roots, pid_t, i);
        g_autoptr(GArray) below = proc_descendants_in(snapshot, pid);
        g_array_append_val(all, pid);
        g_array_append_vals(all, below->data, below->len);
    }
    return all;
}

GArray *proc_leftovers(const GArray *spared)
{
    if (!spared || spared->len == 0)
        return proc_descendants(getpid());
    g_autoptr(GArray) all = proc_snapshot();
    GArray *mine = proc_descendants_in(all, getpid());
    g_autoptr(GArray) theirs = proc_below_in(all, spared);
    for (guint i = 0; i < mine->len; i++)
        if (contains(theirs, g_array_index(mine, pid_t, i)))
            g_array_remove_index_fast(mine, i--);
    return mine;
}

static GArray *find_leftovers(const void *spared)
{
    return proc_leftovers(spared);
}

GArray *proc_kill_leftovers(const GArray *spared, int64_t deadline_ns)
{
    return proc_kill_found(find_leftovers, spared, deadline_ns);
}

GArray *proc_kill_found(GArray *(*find)(const void *data), const void *data, int64_t deadline_ns)
{
    for (;;) {
        proc_reap(0);
        GArray *pids = find(data);
        if (pids->len == 0 || clock_mono_ns() > deadline_ns) {
            proc_reap(0); /* who died between the two looks */
            return pids;
        }
        for (guint i = 0; i < pids->len; i++)
            kill(g_array_index(pids, pid_t, i), SIGKILL);
        g_array_unref(pids);
        g_usleep(5000);
    }
}

char *proc_describe_status(int wait_status)
{
    if (WIFEXITED(wait_status))
        return g_strdup_printf("exit status %d", WEXITSTATUS(wait_status));
    if (WIFSIGNALED(wait_status))
        return g_strdup_printf("killed by signal %d (%s)", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    return g_strdup_printf("wait status %d", wait_status);
}

int64_t proc_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec ts;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return -1;
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

char *proc_value(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
        if (strncmp(line, key, length) != 0)
            continue;
        const char *colon = line + length + strspn(line + length, " \t");
        if (*colon == ':')
            return g_strstrip(g_strndup(colon + 1, strcspn(colon + 1, "\n")));
    }
    return NULL;
}
