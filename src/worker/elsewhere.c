/* SPDX-License-Identifier: MIT */
#include "elsewhere.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Of what a variable names; -1: nothing, or it cannot be opened. */
static int open_named(const char *variable, int flags)
{
    const char *path = g_getenv(variable);
    if (!path || !*path)
        return -1;
    int fd = open(path, flags | O_CLOEXEC, 0666);
    if (fd < 0)
        fprintf(stderr, "llem-worker: cannot open %s: %s\n", path, g_strerror(errno));
    return fd;
}

static void move_output(void)
{
    int fd = open_named(ELSEWHERE_LOG, O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0)
        return;
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* Sleeps in the kernel until the parent lets go; whoever polls for signals then finds one. */
static void *wait_for_lock(void *data)
{
    int fd = GPOINTER_TO_INT(data), done;
    do
        done = flock(fd, LOCK_EX);
    while (done != 0 && errno == EINTR);
    if (done == 0)
        kill(getpid(), SIGTERM);
    return NULL;
}

static void watch_owner(void)
{
    int fd = open_named(ELSEWHERE_LOCK, O_RDWR);
    pthread_t thread;
    sigset_t all, before;
    if (fd < 0)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the threads that expect them */
    if (pthread_create(&thread, NULL, wait_for_lock, GINT_TO_POINTER(fd)) == 0)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void elsewhere_begin(void)
{
    move_output();
    watch_owner();
}
