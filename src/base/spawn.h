/* SPDX-License-Identifier: MIT */
/*
 * Starting a process: the one way in which worker, engines, loads and pip come to life.
 *
 * Calling sequence:
 *     struct spawn spawn = {.argv = argv, .fds = (const struct spawn_fd[]){{log, 1}, {log, 2}}, .n_fds = 2, …};
 *     spawn_start(&spawn, &child, &error)        the program runs, or the error names the step that failed
 *     … waitpid(child.pid, …), close(child.pidfd)
 *
 * A child has no signal blocked, and SIGPIPE, SIGTERM and SIGCHLD as they are by default; another signal that we were
 * started to ignore stays ignored. Standard streams that fds does not name are ours; of the other descriptors it has
 * those of fds and no more.
 *
 * Threading: any thread; but a child with a death signal gets it when the thread that started it ends.
 * Errors: MISSING for a program that is not there, else IO; none leaves a process behind.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* In the child, number is what from is here. */
struct spawn_fd {
    int from; /* -1: /dev/null */
    int number;
};

enum spawn_group {
    SPAWN_OUR_GROUP, /* a Ctrl-C of the terminal reaches it too */
    SPAWN_NEW_GROUP,
    SPAWN_NEW_SESSION,
};

struct spawn {
    const char *const *argv; /* a name without a slash is looked for in PATH; NULL: entry runs instead of a program */
    void (*entry)(void *data); /* may call only what is async-signal-safe; its return ends the child with status 0 */
    void *entry_data;
    const char *const *env; /* over our environment: "NAME=value" sets, "NAME" removes; NULL: as ours */
    const char *dir;        /* NULL: ours */
    const struct spawn_fd *fds;
    size_t n_fds;
    enum spawn_group group;
    int death_signal; /* sent by the kernel when we die; 0: none */
    bool interruptible; /* of spawn_capture(): ended, with its children, once a blocked signal waits (INTERRUPTED) */
};

struct spawn_child {
    pid_t pid; /* its group's and session's too, where it has one of its own */
    int pidfd; /* readable when it has ended; -1 where the kernel has none. Owned by the caller. */
};

/* What an entry ends with that becomes a program, by its path. */
void spawn_become(const char *const *argv);
/* Returns when the program has begun. */
bool spawn_start(const struct spawn *spawn, struct spawn_child *ret, GError **error);
/* Runs a program to its end, with nothing to read. The last max_bytes of what it wrote to stdout and stderr are new
 * strings; fds is not heeded. */
bool spawn_capture(const struct spawn *spawn, size_t max_bytes, char **ret_out, char **ret_err, int *ret_wait_status,
                   GError **error);
