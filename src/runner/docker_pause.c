/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-Z of a run in a container: it is paused as a whole, so that sensors, clocks and threads stand still together.
 * Its client is not: the kernel tells that one when we are killed. It cannot always make a paused container hear, so
 * while it is paused a keeper sleeps beside us, which lets it go on when we are gone; the worker ends itself then.
 */
#include "runner/docker_end.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKER_COMM   "llem-worker\n"
#define UNPAUSE_TRIES 3 /* then the keeper asks, who has all the time of the daemon */

/* --- The keeper: only calls that are safe in a fork --------------------------------------------------------------- */

static void keep(void *data)
{
    const char *const *argv = data;
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    spawn_become(argv);
}

static void start_keeper(struct docker_run *run)
{
    const char *argv[] = {container_client_path(run->docker->client), "unpause", run->name, NULL};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return;
    const struct spawn spawn = {.entry = keep,
                                .entry_data = argv,
                                .fds = (const struct spawn_fd[]){{ends[0], 0}, {-1, 1}, {-1, 2}},
                                .n_fds = 3,
                                .dir = "/",
                                .group = SPAWN_NEW_SESSION};
    bool ok = spawn_start(&spawn, &run->keeper, NULL);
    close(ends[0]);
    run->keeper_line = ok ? ends[1] : -1;
    if (!ok)
        close(ends[1]);
}

/* Without `let_go_on` it does nothing more; else it does what it is there for, for as long as that takes. */
static void end_keeper(struct docker_run *run, bool let_go_on)
{
    if (run->keeper_line < 0)
        return;
    if (!let_go_on && waitpid(run->keeper.pid, NULL, WNOHANG) == 0) {
        kill(run->keeper.pid, SIGKILL);
        waitpid(run->keeper.pid, NULL, 0);
    }
    if (run->keeper.pidfd >= 0)
        close(run->keeper.pidfd);
    close(run->keeper_line);
    run->keeper_line = -1;
}

/* --- The run ------------------------------------------------------------------------------------------------------ */

/* True where the daemon did not answer in time: what was asked of it may yet happen. */
static bool is_open(const GError *why)
{
    return g_error_matches(why, LLEM_ERROR, LLEM_ERROR_TIMEOUT);
}

/* What is not paused works on, as its worker would see if it were: one that is only being made, or a client that cannot
 * (podman without root, on cgroups of version 1). */
void docker_suspend(void *state)
{
    struct docker_run *run = state;
    int64_t from_ns = clock_mono_ns();
    if (run->over || run->lost_ns)
        return;
    start_keeper(run);
    g_autoptr(GError) why = NULL;
    if (container_pause(run->docker->client, run->name, &why) || is_open(why))
        run->paused_ns = from_ns;
    else
        end_keeper(run, false);
}

static bool is_worker(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
    g_autofree char *text = file_read(path, 64, NULL, NULL);
    return text && !strcmp(text, WORKER_COMM);
}

/* Told before it goes on, it knows at its first look at a clock. One of another user's sees by its own clock that it
 * stood still. */
void docker_resume(void *state, int64_t away_ns)
{
    struct docker_run *run = state;
    (void)away_ns; /* pausing takes its time too */
    if (!run->paused_ns)
        return;
    g_autoptr(GArray) pids = docker_processes(run);
    for (guint i = 0; i < pids->len; i++)
        if (is_worker(g_array_index(pids, pid_t, i)))
            suspend_tell(g_array_index(pids, pid_t, i), clock_mono_ns() - run->paused_ns);
    g_autoptr(GError) why = NULL;
    for (int i = 0; i < UNPAUSE_TRIES; i++) {
        g_clear_error(&why);
        if (container_unpause(run->docker->client, run->name, &why) || !is_open(why))
            break;
    }
    run->paused_ns = 0;
    end_keeper(run, is_open(why));
}
