/* SPDX-License-Identifier: MIT */
#include "base/base.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that has a child of its own (in another session when asked) and waits to be killed. */
static pid_t start_pair(bool other_session, pid_t *ret_grandchild)
{
    int fds[2];
    g_assert_cmpint(pipe(fds), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0 && other_session)
            setsid();
        if (grandchild > 0 && write(fds[1], &grandchild, sizeof grandchild) != sizeof grandchild)
            _exit(1);
        for (;;)
            pause();
    }
    g_assert_cmpint(read(fds[0], ret_grandchild, sizeof *ret_grandchild), ==, sizeof *ret_grandchild);
    close(fds[0]);
    close(fds[1]);
    return child;
}

static bool holds(const GArray *pids, pid_t pid)
{
    for (guint i = 0; i < pids->len; i++)
        if (g_array_index(pids, pid_t, i) == pid)
            return true;
    return false;
}

static const struct proc_entry *entry_of(const GArray *snapshot, pid_t pid)
{
    for (guint i = 0; i < snapshot->len; i++)
        if (g_array_index(snapshot, struct proc_entry, i).pid == pid)
            return &g_array_index(snapshot, struct proc_entry, i);
    return NULL;
}

static void wait_dead(pid_t pid)
{
    siginfo_t info;
    g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), ==, 0);
}

static void kill_below(const GArray *spared)
{
    g_autoptr(GArray) left = proc_kill_leftovers(spared, clock_mono_ns() + 5 * NS_PER_S);
    g_assert_cmpuint(left->len, ==, 0);
}

static void test_childless(void)
{
    g_assert_true(proc_childless());
    pid_t grandchild, child = start_pair(false, &grandchild);
    g_assert_false(proc_childless());
    kill(grandchild, SIGKILL);
    kill(child, SIGKILL);
    wait_dead(child);
    g_assert_false(proc_childless()); /* a zombie is still a child: what it left may be ours */
    kill_below(NULL);
    g_assert_true(proc_childless());
}

static void test_descendants(void)
{
    pid_t grandchild, child = start_pair(true, &grandchild);
    g_autoptr(GArray) snapshot = proc_snapshot();
    const struct proc_entry *self = entry_of(snapshot, getpid()), *entry = entry_of(snapshot, child);
    g_assert_true(self && entry);
    g_assert_cmpint(self->parent, ==, getppid());
    g_assert_cmpint(self->session, ==, getsid(0));
    g_assert_cmpint(entry->parent, ==, getpid());
    g_autoptr(GArray) mine = proc_descendants(getpid());
    g_autoptr(GArray) of_child = proc_descendants_in(snapshot, child);
    g_assert_true(holds(mine, child) && holds(mine, grandchild) && !holds(mine, getpid()));
    g_assert_true(holds(of_child, grandchild) && !holds(of_child, child));

    kill(child, SIGKILL);
    wait_dead(child);
    g_autoptr(GArray) after = proc_descendants(getpid());
    g_assert_false(holds(after, child));     /* dead, not reaped */
    g_assert_true(holds(after, grandchild)); /* ours now, by the subreaper, in a session of its own */
    kill_below(NULL);
    g_assert_cmpint(kill(grandchild, 0), !=, 0);
}

static void test_spared(void)
{
    pid_t grandchild, kept = start_pair(false, &grandchild), other_grandchild;
    g_autoptr(GArray) spared = g_array_new(FALSE, FALSE, sizeof(pid_t));
    g_array_append_val(spared, kept); /* the grandchild is spared for whose child it is */
    pid_t other = start_pair(true, &other_grandchild);
    kill_below(spared);
    g_assert_cmpint(kill(other, 0), !=, 0);
    g_assert_cmpint(kill(other_grandchild, 0), !=, 0);
    g_assert_cmpint(kill(kept, 0), ==, 0);
    g_assert_cmpint(kill(grandchild, 0), ==, 0);
    kill_below(NULL);
    g_assert_true(proc_childless());
}

/* Past the deadline nothing is killed any more, and who is left is named. */
static void test_survivors_are_named(void)
{
    pid_t grandchild, child = start_pair(false, &grandchild);
    g_autoptr(GArray) left = proc_kill_leftovers(NULL, clock_mono_ns() - 1);
    g_assert_cmpuint(left->len, ==, 2);
    g_assert_true(holds(left, child) && holds(left, grandchild));
    kill_below(NULL);
}

/* In a process of its own: interrupt_open() is for good. */
static void test_ignored_stays_ignored(void)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGHUP, SIG_IGN);
        signal(SIGINT, SIG_DFL);
        int fd = interrupt_open();
        kill(getpid(), SIGHUP);
        if (fd < 0 || interrupt_pending(fd))
            _exit(1);
        kill(getpid(), SIGINT);
        _exit(interrupt_take(fd) == SIGINT && interrupt_take(fd) == 0 ? 0 : 2);
    }
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(proc_become_subreaper());
    g_test_add_func("/proc/childless", test_childless);
    g_test_add_func("/proc/descendants", test_descendants);
    g_test_add_func("/proc/spared", test_spared);
    g_test_add_func("/proc/survivors-are-named", test_survivors_are_named);
    g_test_add_func("/interrupt/ignored-stays-ignored", test_ignored_stays_ignored);
    return g_test_run();
}
