/* SPDX-License-Identifier: MIT */
#include "base/proc.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct entry {
    pid_t pid, parent;
    char state;
};

bool proc_become_subreaper(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
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

/* The comm field may hold spaces and parentheses: the last ')' ends it. */
static bool read_entry(const char *name, struct entry *ret)
{
    char path[64], text[512];
    g_snprintf(path, sizeof path, "/proc/%s/stat", name);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    char *after = strrchr(text, ')');
    int parent;
    if (!after || sscanf(after + 1, " %c %d", &ret->state, &parent) != 2)
        return false;
    ret->pid = (pid_t)g_ascii_strtoll(name, NULL, 10);
    ret->parent = parent;
    return true;
}

static GArray *read_all(void)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct entry));
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        struct entry entry;
        if (g_ascii_isdigit(name[0]) && read_entry(name, &entry))
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

GArray *proc_descendants(pid_t pid)
{
    g_autoptr(GArray) all = read_all();
    GArray *found = g_array_new(FALSE, FALSE, sizeof(pid_t));
    bool grew = true;
    while (grew) {
        grew = false;
        for (guint i = 0; i < all->len; i++) {
            struct entry *e = &g_array_index(all, struct entry, i);
            if ((e->parent == pid || contains(found, e->parent)) && !contains(found, e->pid)) {
                g_array_append_val(found, e->pid);
                grew = true;
            }
        }
    }
    for (guint i = 0; i < all->len; i++) {
        struct entry *e = &g_array_index(all, struct entry, i);
        if (e->state != 'Z')
            continue;
        for (guint k = 0; k < found->len; k++)
            if (g_array_index(found, pid_t, k) == e->pid)
                g_array_remove_index_fast(found, k--);
    }
    return found;
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
    g_autoptr(GArray) all = read_all();
    for (guint i = 0; i < all->len; i++) {
        struct entry *e = &g_array_index(all, struct entry, i);
        if (e->parent == getpid() && e->state == 'Z' && e->pid != keep)
            waitpid(e->pid, NULL, WNOHANG);
    }
}

static GArray *leftovers(pid_t keep)
{
    GArray *mine = proc_descendants(getpid());
    if (keep <= 0)
        return mine;
    g_autoptr(GArray) kept = proc_descendants(keep);
    for (guint i = 0; i < mine->len; i++) {
        pid_t pid = g_array_index(mine, pid_t, i);
        if (pid == keep || contains(kept, pid))
            g_array_remove_index_fast(mine, i--);
    }
    return mine;
}

int proc_kill_leftovers(pid_t keep, int64_t deadline_ns)
{
    for (;;) {
        proc_reap(keep);
        g_autoptr(GArray) pids = leftovers(keep);
        if (pids->len == 0 || clock_mono_ns() > deadline_ns)
            return (int)pids->len;
        for (guint i = 0; i < pids->len; i++)
            kill(g_array_index(pids, pid_t, i), SIGKILL);
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
